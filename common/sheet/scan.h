/* A fast reader for the bulky XML parts of an .xlsx: about five times as fast as a general parser,
 * because it takes only what such parts are. Inside sheet only.
 *
 * UTF-8 only. Elements must nest, text must be valid characters, the five named entities and numeric
 * ones are decoded; comments, processing instructions and CDATA are understood; a document type is
 * refused. Attributes come as written: nothing that is read from them needs entities. */
#ifndef ZTC_SHEET_SCAN_H
#define ZTC_SHEET_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_DEPTH_MAX 64
#define SCAN_NAME_MAX  64 /* bytes of an element's name with its NUL */

/* 0 goes on; anything else ends the reading and is returned. */
struct xml_events {
    int (*start)(void *ctx, const char *name, const char **attrs); /* pairs, then NULL */
    int (*end)(void *ctx, const char *name);
    int (*text)(void *ctx, const char *p, size_t len); /* may be NULL; in pieces */
};

struct scan {
    const struct xml_events *events;
    void *ctx;
    unsigned depth;
    bool had_root;
    bool has_doctype; /* why the last E_MALFORMED */
    char names[SCAN_DEPTH_MAX][SCAN_NAME_MAX];
};

void scan_init(struct scan *s, const struct xml_events *events, void *ctx);

/* Whether the part that begins with P is one for this reader. */
bool scan_takes(const char *p, size_t len);

/* Take what is whole of the LEN bytes at P, which are written to; the rest is to be given again with
 * what follows. LAST: nothing follows. E_MALFORMED or what an event returned. */
int scan_feed(struct scan *s, char *p, size_t len, bool last, size_t *ret_used);

#endif
