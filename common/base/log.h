/* Log lines of the rim (net, main): subject: event -> consequence key=value. Never personal data.
 *
 * error = we failed someone; warning = odd, carried on; info = lifecycle; debug = decisions. */
#ifndef ZTC_BASE_LOG_H
#define ZTC_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Lines above LEVEL are dropped; default LOG_INFO. Set before threads start. */
void log_level_set(enum log_level level);

/* One line on standard error with UTC time and level; safe from any thread. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

#endif
