#include "common/base/err.h"

#include "common/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_code(int ret)
{
    switch (ret) {
#define X(name, number, code, text)                                                                \
    case name:                                                                                     \
        return code;
        ERR_MAP(X)
#undef X
    default:
        return "ZT-UNKNOWN";
    }
}

const char *err_text(int ret)
{
    switch (ret) {
#define X(name, number, code, text)                                                                \
    case name:                                                                                     \
        return text;
        ERR_MAP(X)
#undef X
    default:
        return "未知错误";
    }
}

bool err_is_fault(int ret)
{
    switch (ret) {
    case E_NOMEM:
    case E_IO:
    case E_FULL:
    case E_BUSY:
    case E_READONLY:
    case E_CORRUPT:
    case E_INTERNAL:
        return true;
    default:
        return false;
    }
}

int err_from_code(const char *code)
{
#define X(name, number, c, text)                                                                   \
    if (strcmp(code, c) == 0)                                                                      \
        return name;
    ERR_MAP(X)
#undef X
    return E_INTERNAL;
}

/* A sentence cut in the middle of a character would not print. */
static void cut_at_character(char *text, size_t size)
{
    size_t len = strnlen(text, size);

    text[text_valid_prefix((const uint8_t *)text, len)] = '\0';
}

int err_set(struct err *err, int ret, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return ret;
    err->ret = ret;
    if (fmt == NULL) {
        (void)snprintf(err->text, sizeof err->text, "%s", err_text(ret));
        return ret;
    }
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    cut_at_character(err->text, sizeof err->text);
    return ret;
}

int err_wrap(struct err *err, int ret, const char *fmt, ...)
{
    char prefix[ERR_TEXT_MAX];
    char whole[2 * ERR_TEXT_MAX + 4];
    va_list ap;

    if (err == NULL)
        return ret;
    if (err->ret == 0 || err->text[0] == '\0')
        (void)err_set(err, ret, NULL);
    va_start(ap, fmt);
    (void)vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    cut_at_character(prefix, sizeof prefix);
    (void)snprintf(whole, sizeof whole, "%s：%s", prefix, err->text);
    err->ret = ret;
    memcpy(err->text, whole, sizeof err->text - 1); /* whole is longer than text */
    err->text[sizeof err->text - 1] = '\0';
    cut_at_character(err->text, sizeof err->text);
    return ret;
}
