/* An .xlsx as a package: a zip of XML parts, every one of them hostile until read. Inside sheet only.
 *
 * A part is refused when its declared or its real size, or its ratio, passes the limits, when its
 * checksum is wrong, when it has a document type (entities!), and when one tag is very long. */
#ifndef ZTC_SHEET_PACKAGE_H
#define ZTC_SHEET_PACKAGE_H

#include "common/sheet/input.h"

#include <zip.h>

struct package {
    zip_t *zip;
    const struct sheet_limits *limits;
};

/* NAME loses the prefix of the document's main namespace; a name of another namespace keeps its own
 * and so matches nothing. ATTRS are pairs ending with NULL, names as written. 0 or a failure, which
 * ends the parse and is returned by it. */
struct xml_events {
    int (*start)(void *ctx, const char *name, const char **attrs);
    int (*end)(void *ctx, const char *name);
    int (*text)(void *ctx, const char *p, size_t len); /* may be NULL; in pieces */
};

int package_open(struct package *p, struct input *in, const struct sheet_limits *limits,
                 struct err *err);
void package_close(struct package *p);

bool package_has(const struct package *p, const char *part);

/* Parse PART. E_MALFORMED when there is none. ERR gets a sentence for what went wrong in the package
 * or the XML, not for what EVENTS returned. */
int package_parse(struct package *p, const char *part, const struct xml_events *events, void *ctx,
                  struct err *err);

/* The value of an attribute, NULL without. */
const char *xml_attr(const char **attrs, const char *name);

#endif
