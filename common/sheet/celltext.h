/* What a cell says, as text: numbers, date serials, number formats, escapes. Inside sheet only. */
#ifndef ZTC_SHEET_CELLTEXT_H
#define ZTC_SHEET_CELLTEXT_H

#include "common/base/buf.h"
#include "common/base/cal.h"

#define CELL_NUMBER_SIZE 32
#define CELL_DATE_SIZE   20 /* YYYY-MM-DD HH:MM:SS and the NUL */

/* The shortest text of a finite number, plain notation from 1e-6 to 1e21. Returns its length. */
size_t cell_number_text(double v, char text[CELL_NUMBER_SIZE]);

/* The number RAW writes; false when it writes none. */
bool cell_parse_number(struct slice raw, double *ret_v);

/* Whether RAW already is the shortest text of its number: most are, and need no arithmetic. */
bool cell_number_is_short(struct slice raw);

/* The date or time of a serial number; false when no calendar has it (it is then a number). */
bool cell_serial_text(double serial, bool since_1904, char text[CELL_DATE_SIZE]);

/* The serial number of an instant, counted from 1900; false before 1900-03-01, where spreadsheet
 * programs disagree. */
bool cell_serial_of(day_t day, unsigned second, double *ret_serial);

/* The text of an ISO 8601 date cell in the same form; false when RAW is none. */
bool cell_iso_text(struct slice raw, char text[CELL_DATE_SIZE]);

/* Whether a built-in number format, or a format code, shows dates or times. */
bool cell_builtin_is_date(unsigned id);
bool cell_format_is_date(const char *code);

/* The UTF-8 of one character. Returns its length. */
size_t cell_encode(uint32_t c, uint8_t out[4]);

/* Undo _xHHHH_ in place (surrogates joined; NUL and lone surrogates stay as written). Returns the
 * new length. */
size_t cell_unescape(uint8_t *p, size_t len);

/* Make CR LF and CR into LF in place. Returns the new length. */
size_t cell_newlines(uint8_t *p, size_t len);

/* Append S so that cell_unescape gives it back and XML can hold it; line breaks become LF. */
void cell_escape(struct buf *out, struct slice s);

/* Whether the .csv writer puts an apostrophe before S (see sheet.h). */
bool cell_needs_guard(struct slice s);

#endif
