/* Records and their history shown: for people as a table or lines, with --json for programs. */
#ifndef ZTC_CMD_SHOW_H
#define ZTC_CMD_SHOW_H

#include "common/base/json.h"
#include "common/cmd/args.h"
#include "common/cmd/names.h"

/* How the bytes of an attachment stand. */
/* X(symbol, code for programs, words, counts as still to be sent) */
#define ATTACHED_STATES(X)                                                                         \
    X(PENDING, "pending", "待上传", true)                                                          \
    X(UPLOADED, "uploaded", "已上传", false)                                                       \
    X(REFUSED, "refused", "市级未接受", true)                                                      \
    X(LOST, "lost", "已丢失", true)                                                                \
    X(HERE, "here", "已在本机", false)                                                             \
    X(ELSEWHERE, "elsewhere", "未取到本机", false)

enum attached_state {
#define X(symbol, code, words, counts) ATTACHED_##symbol,
    ATTACHED_STATES(X)
#undef X
};

/* What showing needs; borrowed. */
struct view {
    struct store *store;
    struct names *names;
    FILE *out;
    bool json;
    /* The changes of RECORD that have no place in a stream yet, oldest first: EACH with bytes and side.
     * NULL where there are none (the city). */
    int (*pending)(void *ctx, const struct id *record,
                   int (*each)(void *each_ctx, struct slice bytes, struct slice side),
                   void *each_ctx, struct err *err);
    void *pending_ctx;
    /* NULL: attachments are not listed with their records. *RET_CAUSE: E_*, why it does not travel; 0: none. */
    int (*attached)(void *ctx, const struct row *attachment, enum attached_state *ret, int *ret_cause,
                    struct err *err);
    void *attached_ctx;
};

/* One value: masked where its field is, labels of codes, names of records. ROW gives a rid its kind;
 * may be NULL. */
int show_text(const struct view *v, struct buf *out, const struct row *row, const struct field *f,
              const struct value *value, struct err *err);

/* Who did something: a login, 系统, or at a county 市级用户. */
int show_user(const struct view *v, struct buf *out, const struct id *account, struct err *err);

/* A value for programs: codes, ids, numbers; masked text where the field is masked. */
void show_json(struct json *j, const struct field *f, const struct value *value);

/* "field=value" texts as filters of KIND; values lie in A. E_USAGE for a field that cannot be compared
 * (masked or not stored), E_INVALID. */
int show_filters(const struct view *v, struct arena *a, const struct kind *kind,
                 const struct pair *pairs, size_t n, struct store_filter **ret, struct err *err);

/* `ls`: an array, or a table and the number of records. */
struct show_list {
    const struct store_filter *filters;
    size_t n_filters;
    uint32_t stream; /* 0: any */
    uint64_t limit;  /* 0: all */
};
int show_list(const struct view *v, const struct kind *kind, const struct show_list *which,
              struct err *err);

/* `show`: one object, or lines "label: value" of what is filled. */
int show_record(const struct view *v, const struct row *row, struct err *err);

/* `log`: what happened to a record, oldest first; changes without a place come last, with seq null. */
int show_log(const struct view *v, const struct row *row, struct err *err);

/* What C does, for a person who makes it anew: the action, the record, and every value whole; and the
 * same for programs, as members of the object that J is in. */
int show_change(const struct view *v, struct buf *out, const struct change *c, struct err *err);
void show_change_json(struct json *j, const struct change *c);

/* `log --stream`: every entry of a stream; RAW gives its bytes in hex. */
int show_stream(const struct view *v, uint32_t stream, bool raw, struct err *err);

/* shared, city or a site's code. 0 or E_USAGE; and back, borrowed from BUF. */
int stream_of_word(const char *word, uint32_t *ret, struct err *err);
const char *stream_word(uint32_t stream, char buf[12]);

#endif
