/* Enrolment tokens: "ztc1." and base64url of a message Token. One line a person can carry over. */
#ifndef ZTC_WIRE_TOKEN_H
#define ZTC_WIRE_TOKEN_H

#include "common/base/cal.h"
#include "common/wire/check.h"

#define TOKEN_PREFIX   "ztc1."
#define TOKEN_TEXT_MAX 4096u

struct token {
    uint32_t site;
    uint8_t secret[WIRE_SECRET_SIZE];
    msec_t expires_at;
    char addresses[WIRE_ADDRESSES_MAX][WIRE_ADDRESS_MAX + 1]; /* host:port, NUL-terminated */
    unsigned n_addresses;                                     /* 1 to WIRE_ADDRESSES_MAX */
    uint8_t ca_fingerprint[WIRE_HASH_SIZE];                   /* SHA-256 of the CA's DER */
};

/* Append the token's text. Values that would not parse are a bug. Errors stick in OUT. */
void token_print(struct buf *out, const struct token *t);

/* Blanks around the text are dropped. Expiry is the caller's to judge: token_expired.
 * E_TOKEN when anything is wrong with it, E_NOMEM. */
int token_parse(struct slice text, struct token *ret);

bool token_expired(const struct token *t, msec_t now);

#endif
