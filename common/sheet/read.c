/* Reading: opens the file, tells the format by its first bytes, lets the format's reader run. */
#include "common/sheet/input.h"

#include "common/base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1024 * 1024)

const struct sheet_limits sheet_limits_default = {
    .file_bytes = 256 * MIB,
    .entry_bytes = 256 * MIB,
    .ratio = 250,
    .entries = 4096,
    .rows = 1048576,
    .columns = SHEET_COLUMNS_MAX,
    .cell_bytes = 128 * 1024,
    .strings_bytes = 256 * MIB,
};

int input_read(struct input *in, uint64_t offset, uint8_t *p, size_t len, size_t *ret_len)
{
    if (in->file == NULL) {
        size_t left = offset < in->bytes.len ? in->bytes.len - (size_t)offset : 0;

        *ret_len = len < left ? len : left;
        if (*ret_len > 0)
            memcpy(p, in->bytes.p + offset, *ret_len);
        return 0;
    }
    if (fseeko(in->file, (off_t)offset, SEEK_SET) != 0)
        return E_IO;
    *ret_len = fread(p, 1, len, in->file);
    return ferror(in->file) ? E_IO : 0;
}

static int read_by_content(struct input *in, struct rows *rows)
{
    static const uint8_t ole[] = {0xd0, 0xcf, 0x11, 0xe0};
    uint8_t magic[4] = {0};
    size_t len;
    int ret = input_read(in, 0, magic, sizeof magic, &len);

    if (ret != 0)
        return err_set(rows->err, ret, NULL);
    if (len == 4 && memcmp(magic, "PK\3\4", 4) == 0)
        return xlsx_read(in, rows);
    if (len == 4 && memcmp(magic, ole, 4) == 0)
        return err_set(rows->err, E_MALFORMED,
                       "这是旧版 .xls 或加了密码的表格，请另存为不带密码的 .xlsx 后再试");
    if (len >= 2 &&
        ((magic[0] == 0xff && magic[1] == 0xfe) || (magic[0] == 0xfe && magic[1] == 0xff)))
        return err_set(rows->err, E_MALFORMED,
                       "文件是 UTF-16 编码，请另存为 .xlsx 或 UTF-8 编码的 .csv 后再试");
    return csv_read(in, rows);
}

static int read_input(struct input *in, const struct sheet_limits *limits, sheet_row_cb cb,
                      void *ctx, struct err *err)
{
    struct rows *rows;
    int ret;

    if (limits == NULL)
        limits = &sheet_limits_default;
    if (in->size > limits->file_bytes)
        return err_set(err, E_TOOBIG, "文件超过上限 %llu 字节",
                       (unsigned long long)limits->file_bytes);
    rows = mem_alloc(sizeof *rows);
    if (rows == NULL)
        return err_set(err, E_NOMEM, NULL);
    sheet_rows_init(rows, limits, cb, ctx, err);
    ret = read_by_content(in, rows);
    sheet_rows_release(rows);
    mem_free(rows);
    return ret == SHEET_STOP ? 0 : ret;
}

int sheet_read(const char *path, const struct sheet_limits *limits, sheet_row_cb cb, void *ctx,
               struct err *err)
{
    struct input in = {.path = path};
    struct stat st;
    int ret;

    /* Asked before opening: opening a pipe waits for its writer. */
    if (stat(path, &st) != 0)
        return err_set(err, errno == ENOENT || errno == ENOTDIR ? E_NOTFOUND : E_IO,
                       "打不开文件“%s”：%s", path,
                       errno == ENOENT || errno == ENOTDIR ? "没有这个文件" : "无法访问");
    if (!S_ISREG(st.st_mode))
        return err_set(err, E_INVALID, "“%s”不是普通文件", path);
    in.file = fopen(path, "rbe");
    if (in.file == NULL)
        return err_set(err, E_IO, "打不开文件“%s”：无法访问", path);
    in.size = (uint64_t)st.st_size;
    ret = read_input(&in, limits, cb, ctx, err);
    (void)fclose(in.file); /* read only */
    return ret;
}

int sheet_read_bytes(struct slice file, const struct sheet_limits *limits, sheet_row_cb cb,
                     void *ctx, struct err *err)
{
    struct input in = {.bytes = file, .size = file.len};

    return read_input(&in, limits, cb, ctx, err);
}
