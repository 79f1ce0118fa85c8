/* Any line a person may paste; what parses must print and parse again to the same. */
#include "common/wire/token.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token t;
    struct token again;
    struct buf text;

    if (token_parse((struct slice){data, size}, &t) != 0)
        return 0;
    buf_init(&text, TOKEN_TEXT_MAX);
    token_print(&text, &t);
    assert(token_parse(buf_slice(&text), &again) == 0);
    assert(memcmp(&t, &again, sizeof t) == 0);
    buf_release(&text);
    return 0;
}
