/* One value of a field, in the one form that encoding, equality, merging and storage share.
 *
 *   V_NULL    nothing
 *   V_INT     int, decimal(5,1) ×10, money in fen, bool 0/1, year
 *   V_TEXT    text, longtext, phone, url, time HH:MM, date YYYY-MM-DD,
 *             datetime YYYY-MM-DDTHH:MM:SS+08:00, enum code
 *   V_SET     codes, sorted by bytes, unique, joined by ','
 *   V_ID      16 bytes: ref, rid
 *   V_IDS     16-byte ids, sorted, unique, one after another: refs, files
 *   V_SEALED  a site's own value under the site's key: nonce, ciphertext, tag (crypto/seal.h)
 *   V_ERASED  the value was erased; nothing of it is left
 */
#ifndef ZTC_CATALOGUE_VALUE_H
#define ZTC_CATALOGUE_VALUE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/id.h"

enum value_type { V_NULL, V_INT, V_TEXT, V_SET, V_ID, V_IDS, V_SEALED, V_ERASED };

struct value {
    enum value_type type;
    int64_t i;      /* V_INT */
    struct slice s; /* every other type; borrowed */
};

struct value value_null(void);
struct value value_int(int64_t i);
struct value value_text(struct slice s);
struct value value_str(const char *s);          /* borrowed; NULL gives V_NULL */
struct value value_id(const struct id *id);     /* borrowed */

bool value_is_null(const struct value *v);

/* Same type and content. Two V_SEALED are never equal: only the site can tell. */
bool value_eq(const struct value *a, const struct value *b);

/* Canonical bytes: u8 type, then zigzag varint (V_INT) or length and bytes (the others);
 * V_NULL and V_ERASED are the type alone. */
void value_encode(struct buf *out, const struct value *v);

/* Reads one value in place. A set that is not sorted and unique, text that is not UTF-8, ids whose
 * length is not a multiple of 16, and unknown types mark R bad. */
struct value value_decode(struct rd *r);

/* A deep copy in A; V_NULL content on lack of memory is reported by *RET_OK = false. */
struct value value_dup(struct arena *a, const struct value *v, bool *ret_ok);

/* (OLD without DEL) with ADD, all three V_SET or all V_IDS or V_NULL; the result lies in A and is
 * V_NULL when empty. 0, E_NOMEM, or E_INVALID when the types do not fit. */
int value_set_apply(struct arena *a, const struct value *old, const struct value *add,
                    const struct value *del, struct value *ret);

/* What must be added to OLD and removed from it to get NEW; results in A. 0 or E_NOMEM. */
int value_set_diff(struct arena *a, const struct value *old, const struct value *now,
                   struct value *ret_add, struct value *ret_del);

/* CODE is an element of the set V. */
bool value_set_has(const struct value *v, struct slice code);

/* ID is an element of the ids V. */
bool value_ids_has(const struct value *v, const struct id *id);

/* The id of a V_ID; false for any other type. */
bool value_get_id(const struct value *v, struct id *ret_id);

#endif
