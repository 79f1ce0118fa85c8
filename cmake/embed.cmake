# ztc_embed(OUT out.c FILES a.sql b.sql ...): each file becomes `const char embed_<name>[]`, NUL-terminated, where
# <name> is the file's base name with non-letters as '_'.
function(ztc_embed out)
    set(text "/* Generated from the files named below. */\n")
    foreach(file ${ARGN})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
        get_filename_component(name ${file} NAME_WE)
        string(REGEX REPLACE "[^A-Za-z0-9]" "_" name ${name})
        file(READ ${file} hex HEX)
        string(REGEX REPLACE "(..)" "(char)0x\\1," bytes "${hex}")
        string(APPEND text "extern const char embed_${name}[];\nconst char embed_${name}[] = {${bytes}0};\n")
    endforeach()
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${out} CONTENT "${text}" @ONLY)
endfunction()
