/* An .xlsx as a package: a zip of XML parts, every one of them hostile until read. Inside sheet only.
 *
 * A part is refused when its declared or its real size, or its ratio, passes the limits, when its
 * checksum is wrong, when it has a document type (entities!), and when one tag is very long. */
#ifndef ZTC_SHEET_PACKAGE_H
#define ZTC_SHEET_PACKAGE_H

#include "common/sheet/input.h"
#include "common/sheet/scan.h"

#include <zip.h>

struct package {
    zip_t *zip;
    const struct sheet_limits *limits;
};

int package_open(struct package *p, struct input *in, const struct sheet_limits *limits,
                 struct err *err);
void package_close(struct package *p);

bool package_has(const struct package *p, const char *part);

/* Parse PART. Element names lose the prefix of the root's namespace; a name of another namespace keeps
 * its own and so matches nothing. E_MALFORMED when there is no such part. ERR gets a sentence for what
 * went wrong in the package or the XML, not for what EVENTS returned. */
int package_parse(struct package *p, const char *part, const struct xml_events *events, void *ctx,
                  struct err *err);

/* The same for a bulky part, whose attributes are plain: by the fast reader if it takes the part. */
int package_parse_bulk(struct package *p, const char *part, const struct xml_events *events,
                       void *ctx, struct err *err);

/* The value of an attribute, NULL without. */
const char *xml_attr(const char **attrs, const char *name);

#endif
