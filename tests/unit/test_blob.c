/* Attachments' files: what is taken in, what a type and a name become, parts that go on and are
 * verified before they count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/blob/file_name.h"
#include "common/blob/files.h"
#include "common/blob/sniff.h"
#include "common/crypto/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- fixture ---- */

struct fixture {
    char dir[64], root[96], file[96];
    struct err err;
};

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof f);
    (void)snprintf(f.dir, sizeof f.dir, "/tmp/test_blob.XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    (void)snprintf(f.root, sizeof f.root, "%s/blobs", f.dir);
    (void)snprintf(f.file, sizeof f.file, "%s/扫描.pdf", f.dir);
    assert_int_equal(blob_folder(f.root, &f.err), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf %s", f->dir);
    return system(command);
}

static void put_file(const char *path, const char *bytes, size_t len)
{
    FILE *out = fopen(path, "wb");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

/* A PDF of LEN bytes, every one of which depends on its place. */
static char *make_pdf(size_t len)
{
    char *p = malloc(len);

    for (size_t i = 0; i < len; i++)
        p[i] = (char)(i * 31 + i / 251);
    memcpy(p, "%PDF-1.7", 8);
    return p;
}

static void hash_of(const char *p, size_t len, uint8_t ret[HASH_SIZE])
{
    struct slice s = {(const uint8_t *)p, len};

    hasher_of(HASH_SHA256)->digest(&s, 1, ret);
}

/* ---- files ---- */

/* A file is copied in under its hash; the same bytes again are the same file. */
static void test_blob__take_keeps_bytes_by_hash(void **state)
{
    struct fixture *f = *state;
    char *pdf = make_pdf(300000);
    struct blob_info info, again;
    uint8_t hash[HASH_SIZE];
    struct buf out;
    uint64_t size;

    put_file(f->file, pdf, 300000);
    assert_int_equal(blob_take(f->root, f->file, 300000, &info, &f->err), 0);
    hash_of(pdf, 300000, hash);
    assert_memory_equal(info.hash, hash, HASH_SIZE);
    assert_string_equal(info.mime, "application/pdf");
    assert_string_equal(info.name, "扫描.pdf");
    assert_int_equal(blob_take(f->root, f->file, 300000, &again, &f->err), 0);
    assert_int_equal(blob_size(f->root, hash, &size, &f->err), 0);
    assert_int_equal(size, 300000);
    buf_init(&out, 1u << 20);
    assert_int_equal(blob_read(f->root, hash, 262144, 300000 - 262144, &out, &f->err), 0);
    assert_memory_equal(out.p, pdf + 262144, out.len);
    assert_int_equal(blob_read(f->root, hash, 262144, 262144, &out, &f->err), E_CORRUPT);
    buf_release(&out);
    free(pdf);
}

/* Too big, empty, missing, a folder, an unknown type: refused, and nothing is left behind. */
static void test_blob__take_refuses(void **state)
{
    struct fixture *f = *state;
    struct blob_info info;
    char *pdf = make_pdf(1000);

    put_file(f->file, pdf, 1000);
    assert_int_equal(blob_take(f->root, f->file, 999, &info, &f->err), E_TOOBIG);
    put_file(f->file, "", 0);
    assert_int_equal(blob_take(f->root, f->file, 999, &info, &f->err), E_INVALID);
    put_file(f->file, "MZ\x90\0\1\2\3", 7);
    assert_int_equal(blob_take(f->root, f->file, 999, &info, &f->err), E_INVALID);
    assert_non_null(strstr(f->err.text, "类型"));
    assert_int_equal(blob_take(f->root, f->dir, 999, &info, &f->err), E_INVALID);
    assert_int_equal(blob_take(f->root, "/tmp/nothing here", 999, &info, &f->err), E_NOTFOUND);
    free(pdf);
}

/* A part grows by chunks, keeps its length across openings, and becomes whole once it is right. */
static void test_blob__part_goes_on_and_is_verified(void **state)
{
    struct fixture *f = *state;
    struct blob_part p = {.owner = 431021};
    char *pdf = make_pdf(1000), path[160];
    uint64_t size;

    hash_of(pdf, 1000, p.hash);
    assert_int_equal(blob_part_size(f->root, &p, &size, &f->err), 0);
    assert_int_equal(size, 0);
    assert_int_equal(blob_part_write(f->root, &p, 0, (struct slice){(uint8_t *)pdf, 600}, &f->err),
                     0);
    assert_int_equal(blob_part_write(f->root, &p, 700,
                                     (struct slice){(uint8_t *)pdf + 700, 300}, &f->err),
                     E_BUSY);
    assert_int_equal(blob_part_size(f->root, &p, &size, &f->err), 0);
    assert_int_equal(size, 600);
    assert_int_equal(blob_part_write(f->root, &p, 600,
                                     (struct slice){(uint8_t *)pdf + 600, 400}, &f->err), 0);
    assert_int_equal(blob_size(f->root, p.hash, &size, &f->err), E_NOTFOUND);
    assert_int_equal(blob_part_finish(f->root, &p, 1000, &f->err), 0);
    assert_int_equal(blob_size(f->root, p.hash, &size, &f->err), 0);
    assert_int_equal(size, 1000);
    (void)snprintf(path, sizeof path, "%s/out.pdf", f->dir);
    assert_int_equal(blob_save(f->root, p.hash, path, &f->err), 0);
    assert_int_equal(access(path, R_OK), 0);
    free(pdf);
}

/* Bytes that are not what the hash says never become whole, and the part is gone. */
static void test_blob__part_of_other_bytes_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct blob_part p = {.owner = 431021, .hash = {1}};
    struct slice bytes = slice_str("%PDF-1.7 something else");
    uint64_t size;

    assert_int_equal(blob_part_write(f->root, &p, 0, bytes, &f->err), 0);
    assert_int_equal(blob_part_finish(f->root, &p, bytes.len, &f->err), E_CORRUPT);
    assert_int_equal(blob_part_size(f->root, &p, &size, &f->err), 0);
    assert_int_equal(size, 0);
    assert_int_equal(blob_size(f->root, p.hash, &size, &f->err), E_NOTFOUND);
}

static void put_old(const struct fixture *f, const char *name, time_t seconds)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    char path[256];

    (void)snprintf(path, sizeof path, "%s/part/%s", f->root, name);
    put_file(path, "x", 1);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool in_parts(const struct fixture *f, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/part/%s", f->root, name);
    return access(path, F_OK) == 0;
}

/* Uploads given up and copies that a crash left go when the next one begins, and not before their time. */
static void test_blob__what_was_given_up_goes(void **state)
{
    struct fixture *f = *state;
    struct blob_part p = {.owner = 431021, .hash = {1}};
    char *pdf = make_pdf(1000);
    struct blob_info info;

    for (int way = 0; way < 2; way++) {
        put_old(f, "new-abcdef", 31 * 86400);
        put_old(f, "431081-old", 31 * 86400);
        put_old(f, "431081-slow", 29 * 86400);
        if (way == 0) {
            assert_int_equal(blob_part_write(f->root, &p, 0, slice_str("%PDF-"), &f->err), 0);
        } else {
            put_file(f->file, pdf, 1000);
            assert_int_equal(blob_take(f->root, f->file, 2000, &info, &f->err), 0);
        }
        assert_false(in_parts(f, "new-abcdef"));
        assert_false(in_parts(f, "431081-old"));
        assert_true(in_parts(f, "431081-slow"));
    }
    free(pdf);
}

static void keep(const struct fixture *f, const char *bytes, uint8_t ret_hash[HASH_SIZE])
{
    struct blob_part p = {.owner = 0};
    struct slice s = slice_str(bytes);

    hash_of(bytes, s.len, p.hash);
    assert_int_equal(blob_part_write(f->root, &p, 0, s, NULL), 0);
    assert_int_equal(blob_part_finish(f->root, &p, s.len, NULL), 0);
    memcpy(ret_hash, p.hash, HASH_SIZE);
}

/* What a record calls a file is not what its bytes are: no program gets a program's name. */
static void test_blob__handed_out_by_its_type(void **state)
{
    struct fixture *f = *state;
    uint8_t pdf[HASH_SIZE], program[HASH_SIZE];
    char name[BLOB_NAME_MAX + 1];

    keep(f, "%PDF-1.7 x", pdf);
    keep(f, "MZ\x90\x03", program);
    assert_int_equal(blob_name(f->root, pdf, slice_str("../答复.pdf"), name, &f->err), 0);
    assert_string_equal(name, "答复.pdf");
    assert_int_equal(blob_name(f->root, pdf, slice_str("答复.exe"), name, &f->err), 0);
    assert_string_equal(name, "答复.exe.pdf");
    assert_int_equal(blob_name(f->root, program, slice_str("答复.exe"), name, &f->err), 0);
    assert_string_equal(name, "答复.exe.bin");
    assert_int_equal(blob_name(f->root, program, slice_str("答复.pdf"), name, &f->err), 0);
    assert_string_equal(name, "答复.pdf.bin");
    program[0] ^= 1;
    assert_int_equal(blob_name(f->root, program, slice_str("a"), name, &f->err), E_NOTFOUND);
}

/* A file that changed on the disk is not handed out. */
static void test_blob__save_verifies(void **state)
{
    struct fixture *f = *state;
    char *pdf = make_pdf(1000), path[192], hex[2 * HASH_SIZE + 1];
    struct blob_info info;

    put_file(f->file, pdf, 1000);
    assert_int_equal(blob_take(f->root, f->file, 1000, &info, &f->err), 0);
    for (size_t i = 0; i < HASH_SIZE; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", info.hash[i]);
    (void)snprintf(path, sizeof path, "%s/%.2s/%s", f->root, hex, hex + 2);
    pdf[500] ^= 1;
    put_file(path, pdf, 1000);
    (void)snprintf(path, sizeof path, "%s/out.pdf", f->dir);
    assert_int_equal(blob_save(f->root, info.hash, path, &f->err), E_CORRUPT);
    assert_int_not_equal(access(path, F_OK), 0);
    free(pdf);
}

/* ---- types ---- */

static const char *type_of(const char *bytes, size_t len, const char *name)
{
    struct sniff s = {.head = {(const uint8_t *)bytes, len}, .name = name};

    s.tail = s.head;
    return sniff_type(&s);
}

#define TYPE(bytes, name) type_of(bytes, sizeof bytes - 1, name)

/* The bytes decide, whatever the name says. */
static void test_blob__types_by_bytes(void **state)
{
    (void)state;
    assert_string_equal(TYPE("%PDF-1.4", "x.txt"), "application/pdf");
    assert_string_equal(TYPE("\xff\xd8\xff\xe0", "x"), "image/jpeg");
    assert_string_equal(TYPE("\x89PNG\r\n\x1a\n", "x"), "image/png");
    assert_string_equal(TYPE("PK\x03\x04....xl/workbook.xml", "x.docx"),
                        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
    assert_string_equal(TYPE("PK\x03\x04....word/document.xml", "x"),
                        "application/vnd.openxmlformats-officedocument.wordprocessingml.document");
    assert_string_equal(TYPE("PK\x03\x04....OFD.xml", "x"), "application/ofd");
    assert_null(TYPE("PK\x03\x04....classes.dex", "x.docx"));
    assert_string_equal(TYPE("桂阳县\r\n", "x.pdf"), "text/plain");
    assert_string_equal(TYPE("\xb9\xf0\xd1\xf4\xcf\xd8\n", "x.txt"), "text/plain"); /* GB 18030 */
    assert_null(TYPE("#!\x7f\x01 text", "x.txt"));
    assert_null(TYPE("a\0b", "x.txt"));
    assert_null(TYPE("\xff\xff\xff", "x.txt"));
}

/* The streams of an OLE file tell a text from a sheet; its name, one office's from another's. */
static void test_blob__types_of_ole(void **state)
{
    static const char word[] = "W\0o\0r\0d\0D\0o\0c\0u\0m\0e\0n\0t";
    static const char book[] = "W\0o\0r\0k\0b\0o\0o\0k";
    uint8_t head[512] = {0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1};
    struct sniff s = {.head = {head, sizeof head}, .name = "x.doc"};

    (void)state;
    head[0x1e] = 9;
    head[0x30] = 4;
    assert_int_equal(sniff_directory(s.head), 5 * 512);
    assert_null(sniff_type(&s));
    s.directory = (struct slice){(const uint8_t *)word, sizeof word - 1};
    assert_string_equal(sniff_type(&s), "application/msword");
    s.name = "x.wps";
    assert_string_equal(sniff_type(&s), "application/wps-office.wps");
    s.directory = (struct slice){(const uint8_t *)book, sizeof book - 1};
    assert_string_equal(sniff_type(&s), "application/vnd.ms-excel");
    head[0x1e] = 200;
    assert_int_equal(sniff_directory(s.head), 0);
}

/* ---- names ---- */

static const char *clean(const char *raw)
{
    static char ret[BLOB_NAME_MAX + 1];

    file_name_clean(slice_str(raw), BLOB_NAME_MAX, ret);
    return ret;
}

/* No path, no control or bidirectional character, nothing that a file system refuses. */
static void test_blob__names(void **state)
{
    char name[400] = "", *cut;

    (void)state;
    assert_string_equal(clean("/etc/../扫描 1.pdf"), "扫描 1.pdf");
    assert_string_equal(clean("C:\\Users\\x\\a.pdf"), "a.pdf");
    assert_string_equal(clean("a\r\n\x1b[31mb.pdf"), "a[31mb.pdf");
    assert_string_equal(clean("gpj.\xe2\x80\xae" "fdp.exe"), "gpj.fdp.exe"); /* U+202E */
    assert_string_equal(clean("a\xe2\x80\x8b\xef\xbb\xbf.txt"), "a.txt");
    assert_string_equal(clean("a<b>:c?.txt"), "a_b__c_.txt");
    assert_string_equal(clean(" ..  a.txt . "), "a.txt");
    assert_string_equal(clean("con.txt"), "_con.txt");
    assert_string_equal(clean("COM7"), "_COM7");
    assert_string_equal(clean("console.txt"), "console.txt");
    assert_string_equal(clean(".."), "附件");
    assert_string_equal(clean("\xff\xfe.pdf"), "附件");
    for (int i = 0; i < 100; i++)
        strcat(name, "长");
    strcat(name, ".pdf");
    cut = (char *)clean(name);
    assert_int_equal(strlen(cut), 3 * 38 + 4);
    assert_string_equal(cut + strlen(cut) - 4, ".pdf");
}

/* A name whose extension does not fit the bytes gets one that does. */
static void test_blob__extension_follows_type(void **state)
{
    struct fixture *f = *state;
    struct blob_info info;
    char path[160];

    (void)snprintf(path, sizeof path, "%s/报告.exe", f->dir);
    put_file(path, "%PDF-1.7", 8);
    assert_int_equal(blob_take(f->root, path, 100, &info, &f->err), 0);
    assert_string_equal(info.name, "报告.exe.pdf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_blob__take_keeps_bytes_by_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blob__take_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blob__part_goes_on_and_is_verified, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blob__part_of_other_bytes_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blob__what_was_given_up_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blob__handed_out_by_its_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blob__save_verifies, setup, teardown),
        cmocka_unit_test(test_blob__types_by_bytes),
        cmocka_unit_test(test_blob__types_of_ole),
        cmocka_unit_test(test_blob__names),
        cmocka_unit_test_setup_teardown(test_blob__extension_follows_type, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
