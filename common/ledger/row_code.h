/* A row as bytes: the one form in which a record's state is digested, repaired, sent and kept.
 *
 * Bytes, format 1:
 *   u8 1 | varint kind | id record | varint stream | varint created_seq | varint seq
 *   | varint created_at | id created_by | varint updated_at | id updated_by
 *   | varint count | (varint tag | value) ascending by tag
 *
 * Only stored fields, never a V_NULL; what this catalogue does not know takes its place by its tag like
 * any other. So two sides of different catalogues write the same bytes for the same record. A value that
 * can vanish stands as its value (salts are the log's alone), a site's own as its sealed bytes. What one
 * side alone keeps (per-field seqs, whether something is pending) is no part of it. */
#ifndef ZTC_LEDGER_ROW_CODE_H
#define ZTC_LEDGER_ROW_CODE_H

#include "common/catalogue/row.h"

#define ROW_FORMAT     1u
#define ROW_FIELDS_MAX 4096u /* a row holds fewer; a decoder takes no more */

/* Append ROW. A malformed pack of unknown fields marks OUT with E_CORRUPT. */
void row_encode(struct buf *out, const struct row *row);

/* Read a row into A; its values are borrowed from BYTES. E_MALFORMED; E_VERSION: this catalogue has no
 * such kind; E_NOMEM. */
int row_decode(struct arena *a, struct slice bytes, struct row **ret_row);

#endif
