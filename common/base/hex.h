/* Hexadecimal and base64url text of bytes. */
#ifndef ZTC_BASE_HEX_H
#define ZTC_BASE_HEX_H

#include "common/base/buf.h"

/* 2·LEN lower-case digits and a NUL into TEXT. */
void hex_encode(const uint8_t *p, size_t len, char *text);

/* LEN digits (even) into LEN/2 bytes. 0 or E_MALFORMED. */
int hex_decode(const char *text, size_t len, uint8_t *ret_bytes);

/* RFC 4648 base64url without padding, appended. */
void base64url_encode(struct buf *out, struct slice s);

/* Appends the bytes; refuses padding, blanks and non-canonical tails with E_MALFORMED. */
int base64url_decode(struct buf *out, struct slice text);

#endif
