/* Attachments of a record as they are shown: their names, and how their bytes stand. */
#ifndef ZTC_CMD_ATTACHED_H
#define ZTC_CMD_ATTACHED_H

#include "common/base/json.h"
#include "common/cmd/show.h"

/* Lines after a record's own: "附件 5 个，2 个待上传", then one each. Nothing when there are none. */
int attached_lines(const struct view *v, const struct row *row, struct buf *out, struct err *err);

/* A member "attachments" of the object that J is in; none when there are none. */
int attached_json(const struct view *v, const struct row *row, struct json *j, struct err *err);

/* ---- `attach`: what both sides write ---- */

struct attached_file {
    struct id id;          /* of the new record */
    uint8_t hash[32];      /* SHA-256 */
    uint64_t size;
    const char *mime, *name; /* borrowed */
};

/* The fields of an attachment of TARGET, ascending by tag, in A. */
int attached_fields(struct arena *a, const struct row *target, const struct attached_file *f,
                    struct field_change **ret, size_t *ret_n, struct err *err);

/* The field of KIND that lists a record's files, or NULL; and N ids added to it, in A. */
const struct field *attached_list(const struct kind *kind);
int attached_added(struct arena *a, const struct attached_file *files, size_t n,
                   const struct field *list, struct field_change *ret, struct err *err);

#endif
