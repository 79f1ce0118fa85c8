#include "common/ledger/statement.h"

#include <inttypes.h>

bool statement_complete(const struct statement *s)
{
    return s->own_n == s->acked_n && s->waiting == 0 && s->refused == 0 && s->attachments == 0;
}

static void separate(struct buf *out, size_t from)
{
    if (out->len > from)
        buf_put(out, "，", sizeof "，" - 1);
}

void statement_why(const struct statement *s, struct buf *out)
{
    uint64_t unanswered = s->own_n - s->acked_n;
    size_t from = out->len;

    if (unanswered < s->waiting)
        unanswered = s->waiting;
    if (unanswered > 0)
        buf_printf(out, "还有 %" PRIu64 " 项更改没有上传", unanswered);
    if (s->refused > 0) {
        separate(out, from);
        buf_printf(out, "有 %" PRIu64 " 项更改未被接受", s->refused);
    }
    if (s->attachments > 0) {
        separate(out, from);
        buf_printf(out, "还有 %" PRIu64 " 个附件没有上传完", s->attachments);
    }
}
