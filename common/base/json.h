/* A streaming JSON writer onto a buf: no tree, commas placed by itself. */
#ifndef ZTC_BASE_JSON_H
#define ZTC_BASE_JSON_H

#include "common/base/buf.h"

#define JSON_DEPTH 32

struct json {
    struct buf *out; /* borrowed */
    unsigned depth;
    bool first[JSON_DEPTH]; /* the next item at this depth needs no comma */
    bool after_key;
};

void json_init(struct json *j, struct buf *out);

void json_object(struct json *j);
void json_object_end(struct json *j);
void json_array(struct json *j);
void json_array_end(struct json *j);

void json_key(struct json *j, const char *key);

/* Text is valid UTF-8; control characters, quotes and backslashes are escaped. */
void json_text(struct json *j, struct slice s);
void json_str(struct json *j, const char *s); /* NULL gives null */
void json_int(struct json *j, int64_t v);
void json_uint(struct json *j, uint64_t v);
void json_bool(struct json *j, bool v);
void json_null(struct json *j);
void json_raw(struct json *j, struct slice value); /* a value that is JSON already */

/* key and value at once */
void json_kv_str(struct json *j, const char *key, const char *value);
void json_kv_int(struct json *j, const char *key, int64_t value);
void json_kv_uint(struct json *j, const char *key, uint64_t value);
void json_kv_bool(struct json *j, const char *key, bool value);

#endif
