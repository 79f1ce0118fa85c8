/* receipt: the proof that a record is durable at the city, made and checked without a network. */
#include "client/cmd/commands.h"

#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "common/ledger/receipt.h"

#include <inttypes.h>
#include <string.h>

#define SENTENCE_MAX 4096u

/* ---- what it says ---- */

static void say_json(struct buf *b, const struct receipt *x, const struct change *c)
{
    char id[ID_TEXT_SIZE], word[12], at[CAL_DATETIME_SIZE], hash[2 * HASH_SIZE + 1];
    struct json j;

    id_format(&c->record, id);
    cal_format_datetime(x->entry.received_at, at);
    json_init(&j, b);
    json_object(&j);
    json_kv_str(&j, "id", id);
    json_kv_str(&j, "stream", stream_word(x->entry.stream, word));
    json_kv_uint(&j, "seq", x->entry.seq);
    json_kv_str(&j, "received_at", at);
    hex_encode(x->entry.hash, HASH_SIZE, hash);
    json_kv_str(&j, "hash", hash);
    json_kv_uint(&j, "head_seq", x->head.seq);
    hex_encode(x->head.hash, HASH_SIZE, hash);
    json_kv_str(&j, "head_hash", hash);
    id_format(&x->head.incarnation, id);
    json_kv_str(&j, "incarnation", id);
    json_object_end(&j);
    buf_u8(b, '\n');
}

static void say_lines(struct buf *b, const struct receipt *x, const struct change *c)
{
    const struct kind *kind = catalogue_kind(c->kind);
    char id[ID_TEXT_SIZE], word[12], at[CAL_DATETIME_SIZE], hash[2 * HASH_SIZE + 1];

    id_format(&c->record, id);
    cal_format_datetime(x->entry.received_at, at);
    hex_encode(x->entry.hash, HASH_SIZE, hash);
    buf_printf(b, "记录：%s %s\n", kind != NULL ? kind->label : "", id);
    buf_printf(b, "市级已收存：流 %s 第 %" PRIu64 " 条，市级时间 %s\n",
               stream_word(x->entry.stream, word), x->entry.seq, at);
    buf_printf(b, "校验值：%s\n", hash);
    buf_printf(b, "市级签名：验证通过（签到第 %" PRIu64 " 条）\n", x->head.seq);
}

/* Check BYTES with the city's key that this computer was given at enrolment, and say what they prove. */
static int tell(struct work *w, struct slice bytes)
{
    struct receipt x;
    struct change c;
    struct buf b;
    int ret = receipt_check(bytes, hasher_of, &w->home.keys.log_key, &x);

    if (ret == 0)
        ret = change_decode(w->args->arena, x.entry.bytes, (struct slice){NULL, 0}, &c);
    if (ret == E_MALFORMED)
        return err_set(w->err, ret, "这不是凭证，或者凭证不完整");
    if (ret == E_AUTH)
        return err_set(w->err, ret, "凭证不是由本机所接入的市级签名的");
    if (ret != 0)
        return err_set(w->err, ret, ret == E_CORRUPT ? "凭证的内容被改动过" : NULL);
    buf_init(&b, SENTENCE_MAX);
    if (w->args->json)
        say_json(&b, &x, &c);
    else
        say_lines(&b, &x, &c);
    (void)fputs(buf_cstr(&b), w->args->out);
    buf_release(&b);
    return 0;
}

/* ---- the command ---- */

static int give(struct work *w, struct buf *b)
{
    const char *path = args_text(w->args, OPT_OUT);
    struct row *row;
    int ret = work_record(w, w->args->words[0], &row);

    if (ret != 0)
        return ret;
    if (row->seq == 0)
        return err_set(w->err, E_WAITING, "这条记录还没有上传，市级没有收存");
    ret = replica_receipt(w->home.replica, row->stream, row->seq, b, w->err);
    if (ret == 0)
        ret = tell(w, buf_slice(b));
    if (ret == 0 && path != NULL)
        ret = file_write_new(path, buf_slice(b), w->err);
    if (ret != 0 || w->args->json)
        return ret;
    if (row->pending)
        (void)fprintf(w->args->out, "注意：本机对这条记录还有更改尚未上传\n");
    if (path != NULL)
        (void)fprintf(w->args->out, "凭证已写到 %s\n", path);
    return 0;
}

static int check(struct work *w, struct buf *b)
{
    int ret = file_read(args_text(w->args, OPT_CHECK), b, w->err);

    return ret != 0 ? ret : tell(w, buf_slice(b));
}

int cmd_receipt(const struct args *a, struct err *err)
{
    bool checks = args_has(a, OPT_CHECK);
    struct work w;
    struct buf b;
    int ret;

    if (checks == (a->n_words == 1) || (checks && args_has(a, OPT_OUT)))
        return err_set(err, E_USAGE, "请写一条记录的编号，或者用 --check 指明一个凭证文件");
    buf_init(&b, RECEIPT_MAX);
    ret = work_open(&w, a, err);
    if (ret == 0)
        ret = checks ? check(&w, &b) : give(&w, &b);
    work_close(&w);
    buf_release(&b);
    return ret;
}
