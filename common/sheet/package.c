#include "common/sheet/package.h"

#include "common/base/mem.h"

#include <expat.h>
#include <string.h>

#define CHUNK          (64 * 1024)
#define TAG_MAX        (1024 * 1024) /* expat reads a tag again with every chunk that it spans */
#define RATIO_FROM     (4 * 1024 * 1024)
#define DEPTH_MAX      SCAN_DEPTH_MAX
#define PREFIX_MAX     32
#define END_RECORD_LEN 22
#define END_RECORD_MAX (END_RECORD_LEN + 65535)

/* A part that is being read. */
struct part {
    struct package *package;
    const char *name;
    zip_stat_t st;
    zip_file_t *file;
    uint64_t bytes; /* expanded so far */
    struct err *err;
};

/* One parse of one part, by expat or by scan. */
struct xml {
    XML_Parser parser; /* NULL with scan */
    const struct xml_events *events;
    void *ctx;
    char prefix[PREFIX_MAX]; /* of the root element with the colon, "" without */
    size_t prefix_len;
    unsigned depth;
    int ret;         /* what stopped the parse */
    bool from_event; /* RET is an event's, which has its own sentence */
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

static int take_prefix(struct xml *x, const char *root)
{
    const char *colon = strchr(root, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - root) + 1;

    if (len > sizeof x->prefix)
        return E_MALFORMED;
    memcpy(x->prefix, root, len);
    x->prefix_len = len;
    return 0;
}

static const char *local_name(const struct xml *x, const char *name)
{
    if (x->prefix_len != 0 && strncmp(name, x->prefix, x->prefix_len) == 0)
        return name + x->prefix_len;
    return name;
}

static int note(struct xml *x, int ret)
{
    if (ret != 0) {
        x->ret = ret;
        x->from_event = true;
    }
    return ret;
}

/* The events of either parser. */
static int element_start(void *ctx, const char *name, const char **attrs)
{
    struct xml *x = ctx;

    if (x->depth++ == 0 && take_prefix(x, name) != 0)
        return E_MALFORMED;
    if (x->depth > DEPTH_MAX)
        return E_MALFORMED;
    return note(x, x->events->start(x->ctx, local_name(x, name), attrs));
}

static int element_end(void *ctx, const char *name)
{
    struct xml *x = ctx;

    x->depth--;
    return note(x, x->events->end(x->ctx, local_name(x, name)));
}

static int element_text(void *ctx, const char *p, size_t len)
{
    struct xml *x = ctx;

    return x->events->text == NULL ? 0 : note(x, x->events->text(x->ctx, p, len));
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
    struct xml *x = arg;
    int ret = x->ret != 0 ? 0 : element_start(x, name, attrs);

    if (ret != 0)
        stop(x, ret);
}

static void on_end(void *arg, const XML_Char *name)
{
    struct xml *x = arg;
    int ret = x->ret != 0 ? 0 : element_end(x, name);

    if (ret != 0)
        stop(x, ret);
}

static void on_text(void *arg, const XML_Char *p, int len)
{
    struct xml *x = arg;
    int ret = x->ret != 0 ? 0 : element_text(x, p, (size_t)len);

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

static int xml_init(struct xml *x)
{
    static const XML_Memory_Handling_Suite memory = {mem_alloc, mem_realloc, mem_free};

    x->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (x->parser == NULL)
        return E_NOMEM;
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    if (x->events->text != NULL)
        XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    return 0;
}

/* Refuse what the part's size has shown so far. */
static int check_growth(const struct part *p, uint64_t bytes)
{
    const struct sheet_limits *limits = p->package->limits;

    if (bytes > limits->entry_bytes)
        return err_set(p->err, E_TOOBIG, "%s 展开后超过上限 %llu 字节", p->name,
                       (unsigned long long)limits->entry_bytes);
    if (bytes > RATIO_FROM && bytes / limits->ratio > p->st.comp_size)
        return err_set(p->err, E_TOOBIG, "%s 的压缩比异常，不予读取", p->name);
    return 0;
}

/* Find the part, refuse what its directory entry already shows, and open it. */
static int part_open(struct part *p)
{
    const zip_uint64_t needed = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    int ret;

    if (zip_stat(p->package->zip, p->name, ZIP_FL_NOCASE, &p->st) != 0)
        return err_set(p->err, E_MALFORMED, "缺少 %s，不是完整的 .xlsx 文件", p->name);
    if ((p->st.valid & needed) != needed || p->st.encryption_method != ZIP_EM_NONE ||
        (p->st.comp_method != ZIP_CM_STORE && p->st.comp_method != ZIP_CM_DEFLATE))
        return err_set(p->err, E_MALFORMED, "%s 已加密或用了不支持的压缩方法", p->name);
    ret = check_growth(p, p->st.size);
    if (ret != 0)
        return ret;
    p->bytes = 0;
    p->file = zip_fopen_index(p->package->zip, p->st.index, 0);
    if (p->file == NULL)
        return err_set(p->err, E_MALFORMED, "%s 无法打开，文件可能已损坏", p->name);
    return 0;
}

static void part_close(struct part *p)
{
    if (p->file != NULL)
        (void)zip_fclose(p->file); /* its failure is that of the last read */
    p->file = NULL;
}

/* Up to CHUNK bytes; none at the end. */
static int part_read(struct part *p, void *chunk, size_t *ret_len)
{
    zip_int64_t got = zip_fread(p->file, chunk, CHUNK);

    if (got < 0)
        return err_set(p->err, E_MALFORMED, "%s 无法解压，文件可能已损坏", p->name);
    p->bytes += (uint64_t)got;
    *ret_len = (size_t)got;
    return check_growth(p, p->bytes);
}

static int too_long(const struct part *p)
{
    return err_set(p->err, E_MALFORMED, "%s 含有过长的标记，不予读取", p->name);
}

/* Why the parse ended, in words unless an event ended it. */
static int parse_failure(const struct xml *x, const struct part *p)
{
    if (x->has_doctype)
        return err_set(p->err, E_MALFORMED, "%s 含有文档类型声明，不予读取", p->name);
    if (x->from_event)
        return x->ret;
    if (x->parser != NULL && XML_GetErrorCode(x->parser) == XML_ERROR_NO_MEMORY)
        return err_set(p->err, E_NOMEM, NULL);
    return err_set(p->err, E_MALFORMED, "%s 不是正确的 XML，文件可能已损坏", p->name);
}

static int parse_by_expat(struct part *p, struct xml *x)
{
    size_t got;

    if (xml_init(x) != 0)
        return err_set(p->err, E_NOMEM, NULL);
    do {
        void *chunk = XML_GetBuffer(x->parser, CHUNK);
        int ret;

        if (chunk == NULL)
            return err_set(p->err, E_NOMEM, NULL);
        ret = part_read(p, chunk, &got);
        if (ret != 0)
            return ret;
        if (XML_ParseBuffer(x->parser, (int)got, got == 0) != XML_STATUS_OK)
            return parse_failure(x, p);
        if (p->bytes > TAG_MAX && (uint64_t)XML_GetCurrentByteIndex(x->parser) < p->bytes - TAG_MAX)
            return too_long(p);
    } while (got > 0);
    return 0;
}

/* BUFFER begins with the part's first GOT bytes. */
static int parse_by_scan(struct part *p, struct xml *x, char *buffer, size_t got)
{
    static const struct xml_events events = {element_start, element_end, element_text};
    struct scan scan;
    size_t left = 0;

    scan_init(&scan, &events, x);
    for (;;) {
        size_t used;
        int ret = scan_feed(&scan, buffer, left + got, got == 0, &used);

        x->has_doctype = scan.has_doctype;
        if (ret != 0)
            return parse_failure(x, p);
        if (got == 0)
            return 0;
        left = left + got - used;
        if (left > CHUNK)
            return too_long(p);
        memmove(buffer, buffer + used, left);
        ret = part_read(p, buffer + left, &got);
        if (ret != 0)
            return ret;
    }
}

int package_parse(struct package *package, const char *name, const struct xml_events *events,
                  void *ctx, struct err *err)
{
    struct part p = {.package = package, .name = name, .err = err};
    struct xml x = {.events = events, .ctx = ctx};
    int ret = part_open(&p);

    if (ret == 0)
        ret = parse_by_expat(&p, &x);
    part_close(&p);
    if (x.parser != NULL)
        XML_ParserFree(x.parser);
    return ret;
}

int package_parse_bulk(struct package *package, const char *name, const struct xml_events *events,
                       void *ctx, struct err *err)
{
    struct part p = {.package = package, .name = name, .err = err};
    struct xml x = {.events = events, .ctx = ctx};
    char *buffer;
    bool takes;
    size_t got;
    int ret = part_open(&p);

    if (ret != 0)
        return ret;
    buffer = mem_alloc(2 * CHUNK);
    ret = buffer == NULL ? err_set(err, E_NOMEM, NULL) : part_read(&p, buffer, &got);
    takes = ret == 0 && scan_takes(buffer, got);
    if (takes)
        ret = parse_by_scan(&p, &x, buffer, got);
    part_close(&p);
    mem_free(buffer);
    return ret != 0 || takes ? ret : package_parse(package, name, events, ctx, err);
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
