/* A file from another computer and what it is called: the first byte says how much of the rest is the name. */
#include "common/base/text.h"
#include "common/blob/file_name.h"
#include "common/blob/sniff.h"

#include <assert.h>
#include <string.h>

#define NAME_MAX 120u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name(struct slice raw, char ret[NAME_MAX + 1])
{
    char again[NAME_MAX + 1];

    file_name_clean(raw, NAME_MAX, ret);
    assert(ret[0] != '\0' && strlen(ret) <= NAME_MAX && strpbrk(ret, "/\\\n\x1b") == NULL);
    assert(text_valid(slice_str(ret)));
    file_name_clean(slice_str(ret), NAME_MAX, again);
    assert(strcmp(ret, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = size == 0 ? 0 : data[0] < size ? data[0] : size - 1;
    struct slice raw = {data + (size > 0), n}, file = {raw.p + n, size - n - (size > 0)};
    char clean[NAME_MAX + 1];
    struct sniff s = {.head = file, .tail = file, .name = clean};
    uint64_t directory = sniff_directory(file);
    const char *type;

    name(raw, clean);
    if (directory != 0 && directory < file.len)
        s.directory = (struct slice){file.p + directory, file.len - directory};
    type = sniff_type(&s);
    if (type != NULL)
        assert(sniff_extension(type)[0] == '.');
    return 0;
}
