#include "common/sheet/package.h"

#include "common/base/mem.h"

#include <expat.h>
#include <string.h>

#define CHUNK          (64 * 1024)
#define TAG_MAX        (1024 * 1024) /* expat reads a tag again with every chunk that it spans */
#define RATIO_FROM     (4 * 1024 * 1024)
#define DEPTH_MAX      64
#define PREFIX_MAX     32
#define END_RECORD_LEN 22
#define END_RECORD_MAX (END_RECORD_LEN + 65535)

/* One parse of one part. */
struct xml {
    XML_Parser parser;
    const struct xml_events *events;
    void *ctx;
    char prefix[PREFIX_MAX]; /* of the root element with the colon, "" without */
    size_t prefix_len;
    unsigned depth;
    int ret;           /* what stopped the parse */
    bool has_doctype;
};

const char *xml_attr(const char **attrs, const char *name)
{
    for (; attrs[0] != NULL; attrs += 2) {
        if (strcmp(attrs[0], name) == 0)
            return attrs[1];
    }
    return NULL;
}

static void stop(struct xml *x, int ret)
{
    if (x->ret == 0)
        x->ret = ret;
    (void)XML_StopParser(x->parser, XML_FALSE); /* fails only when stopped already */
}

static void take_prefix(struct xml *x, const char *root)
{
    const char *colon = strchr(root, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - root) + 1;

    if (len > sizeof x->prefix) {
        stop(x, E_MALFORMED);
        return;
    }
    memcpy(x->prefix, root, len);
    x->prefix_len = len;
}

static const char *local_name(const struct xml *x, const char *name)
{
    if (x->prefix_len != 0 && strncmp(name, x->prefix, x->prefix_len) == 0)
        return name + x->prefix_len;
    return name;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
    struct xml *x = arg;
    int ret;

    if (x->ret != 0)
        return;
    if (x->depth++ == 0)
        take_prefix(x, name);
    if (x->depth > DEPTH_MAX) {
        stop(x, E_MALFORMED);
        return;
    }
    ret = x->events->start(x->ctx, local_name(x, name), attrs);
    if (ret != 0)
        stop(x, ret);
}

static void on_end(void *arg, const XML_Char *name)
{
    struct xml *x = arg;
    int ret;

    if (x->ret != 0)
        return;
    x->depth--;
    ret = x->events->end(x->ctx, local_name(x, name));
    if (ret != 0)
        stop(x, ret);
}

static void on_text(void *arg, const XML_Char *p, int len)
{
    struct xml *x = arg;
    int ret;

    if (x->ret != 0)
        return;
    ret = x->events->text(x->ctx, p, (size_t)len);
    if (ret != 0)
        stop(x, ret);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int has_subset)
{
    struct xml *x = arg;

    (void)name;
    (void)system;
    (void)public;
    (void)has_subset;
    x->has_doctype = true;
    stop(x, E_MALFORMED);
}

static int xml_init(struct xml *x, const struct xml_events *events, void *ctx)
{
    static const XML_Memory_Handling_Suite memory = {mem_alloc, mem_realloc, mem_free};

    *x = (struct xml){.events = events, .ctx = ctx};
    x->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (x->parser == NULL)
        return E_NOMEM;
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    if (events->text != NULL)
        XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    return 0;
}

/* Why the parse of PART ended, in words unless an event stopped it. */
static int parse_failure(const struct xml *x, const char *part, struct err *err)
{
    if (x->has_doctype)
        return err_set(err, E_MALFORMED, "%s 含有文档类型声明，不予读取", part);
    if (x->ret != 0)
        return x->ret;
    if (XML_GetErrorCode(x->parser) == XML_ERROR_NO_MEMORY)
        return err_set(err, E_NOMEM, NULL);
    return err_set(err, E_MALFORMED, "%s 第 %lu 行不是正确的 XML，文件可能已损坏", part,
                   (unsigned long)XML_GetCurrentLineNumber(x->parser));
}

/* Refuse what the part's real bytes have shown so far. */
static int check_growth(const struct package *p, const zip_stat_t *st, const char *part,
                        uint64_t bytes, struct err *err)
{
    if (bytes > p->limits->entry_bytes)
        return err_set(err, E_TOOBIG, "%s 展开后超过上限 %llu 字节", part,
                       (unsigned long long)p->limits->entry_bytes);
    if (bytes > RATIO_FROM && bytes / p->limits->ratio > st->comp_size)
        return err_set(err, E_TOOBIG, "%s 的压缩比异常，不予读取", part);
    return 0;
}

static int parse_chunks(struct package *p, zip_file_t *file, const zip_stat_t *st, struct xml *x,
                        const char *part, struct err *err)
{
    uint64_t bytes = 0;
    zip_int64_t got;

    do {
        void *chunk = XML_GetBuffer(x->parser, CHUNK);
        int ret;

        if (chunk == NULL)
            return err_set(err, E_NOMEM, NULL);
        got = zip_fread(file, chunk, CHUNK);
        if (got < 0)
            return err_set(err, E_MALFORMED, "%s 无法解压，文件可能已损坏", part);
        bytes += (uint64_t)got;
        ret = check_growth(p, st, part, bytes, err);
        if (ret != 0)
            return ret;
        if (XML_ParseBuffer(x->parser, (int)got, got == 0) != XML_STATUS_OK)
            return parse_failure(x, part, err);
        if (bytes > TAG_MAX && (uint64_t)XML_GetCurrentByteIndex(x->parser) < bytes - TAG_MAX)
            return err_set(err, E_MALFORMED, "%s 含有过长的标记，不予读取", part);
    } while (got > 0);
    return 0;
}

/* Find PART and refuse what its directory entry already shows. */
static int stat_part(struct package *p, const char *part, zip_stat_t *st, struct err *err)
{
    const zip_uint64_t needed = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;

    if (zip_stat(p->zip, part, ZIP_FL_NOCASE, st) != 0)
        return err_set(err, E_MALFORMED, "缺少 %s，不是完整的 .xlsx 文件", part);
    if ((st->valid & needed) != needed || st->encryption_method != ZIP_EM_NONE ||
        (st->comp_method != ZIP_CM_STORE && st->comp_method != ZIP_CM_DEFLATE))
        return err_set(err, E_MALFORMED, "%s 已加密或用了不支持的压缩方法", part);
    return check_growth(p, st, part, st->size, err);
}

int package_parse(struct package *p, const char *part, const struct xml_events *events, void *ctx,
                  struct err *err)
{
    zip_file_t *file;
    zip_stat_t st;
    struct xml x;
    int ret;

    ret = stat_part(p, part, &st, err);
    if (ret != 0)
        return ret;
    ret = xml_init(&x, events, ctx);
    if (ret != 0)
        return err_set(err, ret, NULL);
    file = zip_fopen_index(p->zip, st.index, 0);
    if (file == NULL)
        ret = err_set(err, E_MALFORMED, "%s 无法打开，文件可能已损坏", part);
    else
        ret = parse_chunks(p, file, &st, &x, part, err);
    if (file != NULL)
        (void)zip_fclose(file); /* its failure is that of the last read */
    XML_ParserFree(x.parser);
    return ret;
}

bool package_has(const struct package *p, const char *part)
{
    return zip_name_locate(p->zip, part, ZIP_FL_NOCASE) >= 0;
}

/* The end record tells the number of entries before libzip makes room for each of them. A zip64
 * archive says 65535 here. Every place that could be the record counts. */
static int check_entries(struct input *in, const struct sheet_limits *limits, struct err *err)
{
    size_t len = in->size < END_RECORD_MAX ? (size_t)in->size : END_RECORD_MAX;
    uint8_t *tail = mem_alloc(len);
    int ret;

    if (tail == NULL)
        return err_set(err, E_NOMEM, NULL);
    ret = input_read(in, in->size - len, tail, len, &len);
    if (ret != 0)
        (void)err_set(err, ret, NULL);
    for (size_t i = 0; ret == 0 && i + END_RECORD_LEN <= len; i++) {
        if (memcmp(tail + i, "PK\5\6", 4) == 0 &&
            (unsigned)(tail[i + 10] | tail[i + 11] << 8) > limits->entries)
            ret = err_set(err, E_TOOBIG, "文件内部的部件超过上限 %u 个", limits->entries);
    }
    mem_free(tail);
    return ret;
}

static int zip_failure(zip_error_t *error, struct err *err)
{
    int code = zip_error_code_zip(error);

    zip_error_fini(error);
    if (code == ZIP_ER_MEMORY)
        return err_set(err, E_NOMEM, NULL);
    if (code == ZIP_ER_OPEN || code == ZIP_ER_READ || code == ZIP_ER_SEEK)
        return err_set(err, E_IO, NULL);
    return err_set(err, E_MALFORMED, "文件不完整或已损坏，不是正确的 .xlsx 文件");
}

int package_open(struct package *p, struct input *in, const struct sheet_limits *limits,
                 struct err *err)
{
    zip_source_t *source;
    zip_error_t error;
    int ret = check_entries(in, limits, err);

    if (ret != 0)
        return ret;
    zip_error_init(&error);
    if (in->path != NULL)
        source = zip_source_file_create(in->path, 0, 0, &error);
    else
        source = zip_source_buffer_create(in->bytes.p, in->bytes.len, 0, &error);
    if (source == NULL)
        return zip_failure(&error, err);
    *p = (struct package){.limits = limits};
    p->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (p->zip == NULL) {
        zip_source_free(source);
        return zip_failure(&error, err);
    }
    zip_error_fini(&error);
    return 0;
}

void package_close(struct package *p)
{
    if (p->zip != NULL)
        zip_discard(p->zip);
    p->zip = NULL;
}
