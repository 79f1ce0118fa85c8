/* Text on a terminal: how many columns it takes, and nothing in it that commands the terminal. */
#ifndef ZTC_CMD_WIDTH_H
#define ZTC_CMD_WIDTH_H

#include "common/base/buf.h"

/* Columns of valid UTF-8: East Asian wide characters take two, combining ones none. */
unsigned text_width(struct slice s);

/* Append S with its control characters made blanks; line breaks stay only with LINES. */
void text_plain(struct buf *out, struct slice s, bool lines);

/* Append S on one line in at most WIDTH columns, the cut marked by "…". */
void text_fit(struct buf *out, struct slice s, unsigned width);

/* Append blanks from column AT up to column TO. */
void text_pad(struct buf *out, unsigned at, unsigned to);

#endif
