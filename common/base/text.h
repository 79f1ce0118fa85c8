/* UTF-8 text as the ledgers mean it: code points, white space at the ends, numbers. */
#ifndef ZTC_BASE_TEXT_H
#define ZTC_BASE_TEXT_H

#include "common/base/buf.h"

/* Bytes of the longest valid UTF-8 prefix (RFC 3629: no surrogates, no over-long forms). */
size_t text_valid_prefix(const uint8_t *p, size_t len);

/* Valid UTF-8 without NUL. */
bool text_valid(struct slice s);

/* Code points of valid UTF-8. */
size_t text_length(struct slice s);

/* The next code point of valid UTF-8 at *AT, which moves on; 0 at the end. */
uint32_t text_next(struct slice s, size_t *at);

/* Append one code point. */
void text_put(struct buf *b, uint32_t c);

/* White_Space of Unicode, U+200B or U+FEFF: what trimming removes. */
bool text_is_blank(uint32_t c);

/* Without blanks at both ends; borrowed from S, which is valid UTF-8. */
struct slice text_trim(struct slice s);

/* A decimal integer, optional minus, nothing else. 0 or E_MALFORMED. */
int text_int(struct slice s, int64_t *ret_value);

#endif
