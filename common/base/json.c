#include "common/base/json.h"

#include <assert.h>

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){.out = out, .first = {true}};
}

static void separate(struct json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (!j->first[j->depth])
        buf_u8(j->out, ',');
    j->first[j->depth] = false;
}

static void open_level(struct json *j, char c)
{
    separate(j);
    buf_u8(j->out, (uint8_t)c);
    assert(j->depth + 1 < JSON_DEPTH);
    j->first[++j->depth] = true;
}

static void close_level(struct json *j, char c)
{
    assert(j->depth > 0);
    j->depth--;
    buf_u8(j->out, (uint8_t)c);
}

void json_object(struct json *j)
{
    open_level(j, '{');
}

void json_object_end(struct json *j)
{
    close_level(j, '}');
}

void json_array(struct json *j)
{
    open_level(j, '[');
}

void json_array_end(struct json *j)
{
    close_level(j, ']');
}

void json_key(struct json *j, const char *key)
{
    json_str(j, key);
    buf_u8(j->out, ':');
    j->after_key = true;
}

static void escape(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"':
        buf_str(out, "\\\"");
        break;
    case '\\':
        buf_str(out, "\\\\");
        break;
    case '\n':
        buf_str(out, "\\n");
        break;
    case '\r':
        buf_str(out, "\\r");
        break;
    case '\t':
        buf_str(out, "\\t");
        break;
    default:
        buf_printf(out, "\\u%04x", c);
    }
}

void json_text(struct json *j, struct slice s)
{
    size_t from = 0;

    if (s.p == NULL)
        s = slice_str(""); /* the address of an empty slice may be missing, and is added to below */
    separate(j);
    buf_u8(j->out, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];

        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_put(j->out, s.p + from, i - from);
        escape(j->out, c);
        from = i + 1;
    }
    buf_put(j->out, s.p + from, s.len - from);
    buf_u8(j->out, '"');
}

void json_str(struct json *j, const char *s)
{
    if (s == NULL)
        json_null(j);
    else
        json_text(j, slice_str(s));
}

void json_int(struct json *j, int64_t v)
{
    separate(j);
    buf_printf(j->out, "%lld", (long long)v);
}

void json_uint(struct json *j, uint64_t v)
{
    separate(j);
    buf_printf(j->out, "%llu", (unsigned long long)v);
}

void json_bool(struct json *j, bool v)
{
    separate(j);
    buf_str(j->out, v ? "true" : "false");
}

void json_null(struct json *j)
{
    separate(j);
    buf_str(j->out, "null");
}

void json_raw(struct json *j, struct slice value)
{
    separate(j);
    buf_put(j->out, value.p, value.len);
}

void json_kv_str(struct json *j, const char *key, const char *value)
{
    json_key(j, key);
    json_str(j, value);
}

void json_kv_int(struct json *j, const char *key, int64_t value)
{
    json_key(j, key);
    json_int(j, value);
}

void json_kv_uint(struct json *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_uint(j, value);
}

void json_kv_bool(struct json *j, const char *key, bool value)
{
    json_key(j, key);
    json_bool(j, value);
}
