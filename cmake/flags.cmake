# One interface target carries every warning and sanitizer; each of our targets links it PRIVATE.

add_library(ztc_flags INTERFACE)
target_compile_definitions(ztc_flags INTERFACE _GNU_SOURCE ZTC_VERSION="${PROJECT_VERSION}")
target_include_directories(ztc_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(ztc_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wformat=2 -Wstrict-prototypes
    -Wmissing-prototypes -Wundef -Wimplicit-fallthrough -Wvla -Wwrite-strings -Werror
    -fno-strict-aliasing -fstack-protector-strong)

set(ZTC_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
if(ZTC_SANITIZE)
    target_compile_options(ztc_flags INTERFACE
        -fsanitize=${ZTC_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(ztc_flags INTERFACE -fsanitize=${ZTC_SANITIZE})
endif()

option(ZTC_COVERAGE "Instrument for gcov" OFF)
if(ZTC_COVERAGE)
    target_compile_options(ztc_flags INTERFACE --coverage)
    target_link_options(ztc_flags INTERFACE --coverage)
endif()

# Tests may convert loosely. Linked after ztc_flags, because the last word on a warning counts.
add_library(ztc_test_flags INTERFACE)
target_compile_options(ztc_test_flags INTERFACE
    -Wno-conversion -Wno-sign-conversion -Wno-missing-prototypes)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# A library of ours: `ztc_library(name FILES... LINK targets... )`.
function(ztc_library name)
    cmake_parse_arguments(ARG "" "" "FILES;LINK;PRIVATE_LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_FILES})
    target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE ztc_flags ${ARG_PRIVATE_LINK})
endfunction()
