/* Writing: checks what comes in, keeps the temporary file, puts it in its place.
 *
 * The temporary file is beside the target, so that the rename stays inside one file system, and it
 * is readable by its owner only: exports carry personal data. */
#include "common/sheet/writer.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ROWS_MAX    1048576
#define SCRATCH_MAX (1024 * 1024)

enum sheet_format sheet_format_of(const char *path)
{
    size_t len = strlen(path);

    return len > 4 && strcasecmp(path + len - 4, ".csv") == 0 ? SHEET_CSV : SHEET_XLSX;
}

int writer_fail(struct err *err, int error)
{
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        return err_set(err, E_FULL, NULL);
    if (error == ENOMEM)
        return err_set(err, E_NOMEM, NULL);
    if (error == EROFS || error == EACCES || error == EPERM)
        return err_set(err, E_READONLY, "没有权限在该位置写入文件");
    if (error == ENOENT || error == ENOTDIR)
        return err_set(err, E_NOTFOUND, "要写入的文件夹不存在");
    return err_set(err, E_IO, NULL);
}

/* The first LEN bytes of S, then MORE. */
static char *joined(const char *s, size_t len, const char *more)
{
    char *text = mem_alloc(len + strlen(more) + 1);

    if (text == NULL)
        return NULL;
    memcpy(text, s, len);
    memcpy(text + len, more, strlen(more) + 1);
    return text;
}

static int make_names(struct sheet_writer *w, const char *path)
{
    const char *slash = strrchr(path, '/');

    w->path = mem_strdup(path);
    w->temp_path = joined(path, strlen(path), ".XXXXXX");
    w->dir = slash == NULL ? mem_strdup(".") : joined(path, (size_t)(slash - path), "/");
    return w->path != NULL && w->temp_path != NULL && w->dir != NULL ? 0 : E_NOMEM;
}

static int open_temp(struct sheet_writer *w, const char *path, const struct sheet_options *options,
                     struct err *err)
{
    int fd;

    if (make_names(w, path) != 0) {
        mem_free(w->temp_path);
        w->temp_path = NULL;
        return err_set(err, E_NOMEM, NULL);
    }
    fd = mkostemp(w->temp_path, O_CLOEXEC);
    if (fd < 0) {
        int error = errno;

        mem_free(w->temp_path);
        w->temp_path = NULL;
        return writer_fail(err, error);
    }
    if (options->format == SHEET_CSV)
        return csv_writer_open(w, fd, err);
    return xlsx_writer_open(w, fd, options, err);
}

int sheet_writer_new(const char *path, const struct sheet_options *options, struct err *err,
                     struct sheet_writer **ret_writer)
{
    struct sheet_writer *w = mem_calloc(1, sizeof *w);
    int ret;

    if (w == NULL)
        return err_set(err, E_NOMEM, NULL);
    buf_init(&w->scratch, SCRATCH_MAX);
    w->n_columns = options->n_columns;
    ret = open_temp(w, path, options, err);
    if (ret != 0) {
        sheet_writer_free(w);
        return err_wrap(err, ret, "不能写入“%s”", path);
    }
    *ret_writer = w;
    return 0;
}

static int check_text(const struct sheet_writer *w, unsigned column, struct slice text,
                      struct err *err)
{
    if (text_valid(text))
        return 0;
    return err_set(err, E_INVALID, "第 %u 行第 %u 列的文字不是正确的 UTF-8",
                   (unsigned)w->n_rows + 1, column + 1);
}

static int check_row(const struct sheet_writer *w, const struct sheet_cell *cells, unsigned n_cells,
                     struct err *err)
{
    int ret;

    if (w->n_rows == ROWS_MAX || n_cells > SHEET_COLUMNS_MAX)
        return err_set(err, E_TOOBIG, "表格超过 %d 行或 %d 列", ROWS_MAX, SHEET_COLUMNS_MAX);
    for (unsigned i = 0; i < n_cells; i++) {
        if (cells[i].kind == SHEET_NUMBER && !isfinite(cells[i].number))
            return err_set(err, E_INVALID, "第 %u 行第 %u 列不是有效的数", (unsigned)w->n_rows + 1,
                           i + 1);
        if (cells[i].kind != SHEET_TEXT)
            continue;
        ret = check_text(w, i, cells[i].text, err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

static uint64_t count_full(const struct sheet_cell *cells, unsigned n_cells)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < n_cells; i++)
        n += cells[i].kind != SHEET_EMPTY && (cells[i].kind != SHEET_TEXT || cells[i].text.len > 0);
    return n;
}

int sheet_writer_row(struct sheet_writer *w, enum sheet_style style, const struct sheet_cell *cells,
                     unsigned n_cells, struct err *err)
{
    if (w->ret != 0)
        return err_set(err, w->ret, NULL);
    w->ret = check_row(w, cells, n_cells, err);
    if (w->ret == 0)
        w->ret = w->back->row(w, style, cells, n_cells, err);
    if (w->ret != 0)
        return w->ret;
    w->n_rows++;
    w->n_full += count_full(cells, n_cells);
    return 0;
}

int sheet_writer_title(struct sheet_writer *w, const char *title, struct err *err)
{
    struct sheet_cell cell = {.kind = SHEET_TEXT, .text = slice_str(title)};

    if (w->ret != 0)
        return err_set(err, w->ret, NULL);
    w->ret = check_row(w, &cell, 1, err);
    if (w->ret == 0)
        w->ret = w->back->title(w, title, err);
    if (w->ret != 0)
        return w->ret;
    w->n_rows++;
    w->n_full += count_full(&cell, 1);
    return 0;
}

int sheet_writer_header(struct sheet_writer *w, const char *const *names, unsigned n_names,
                        struct err *err)
{
    struct sheet_cell cells[SHEET_COLUMNS_MAX];

    if (n_names > SHEET_COLUMNS_MAX)
        return err_set(err, E_TOOBIG, "表格超过 %d 列", SHEET_COLUMNS_MAX);
    for (unsigned i = 0; i < n_names; i++)
        cells[i] = (struct sheet_cell){.kind = SHEET_TEXT, .text = slice_str(names[i])};
    return sheet_writer_row(w, SHEET_HEADER, cells, n_names, err);
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    int error = 0;

    if (fd < 0)
        return errno;
    if (fsync(fd) != 0)
        error = errno;
    (void)close(fd); /* synced or failed already */
    return error;
}

static int put_in_place(struct sheet_writer *w, struct err *err)
{
    int error = sync_path(w->temp_path, O_RDONLY);

    if (error == 0 && rename(w->temp_path, w->path) != 0)
        error = errno;
    if (error != 0)
        return writer_fail(err, error);
    mem_free(w->temp_path);
    w->temp_path = NULL;
    error = sync_path(w->dir, O_RDONLY | O_DIRECTORY);
    /* Some file systems cannot sync a folder; the file itself is safe. */
    return error == 0 || error == EINVAL ? 0 : writer_fail(err, error);
}

int sheet_writer_finish(struct sheet_writer *w, struct err *err)
{
    if (w->ret != 0)
        return err_set(err, w->ret, NULL);
    w->ret = w->back->finish(w, err);
    if (w->ret == 0)
        w->ret = put_in_place(w, err);
    if (w->ret != 0)
        return err_wrap(err, w->ret, "不能写入“%s”", w->path);
    w->ret = E_STATE; /* nothing may follow */
    return 0;
}

void sheet_writer_free(struct sheet_writer *w)
{
    if (w == NULL)
        return;
    if (w->back != NULL)
        w->back->release(w);
    if (w->temp_path != NULL)
        (void)unlink(w->temp_path); /* nothing more can be done about it */
    buf_release(&w->scratch);
    mem_free(w->temp_path);
    mem_free(w->path);
    mem_free(w->dir);
    mem_free(w);
}
