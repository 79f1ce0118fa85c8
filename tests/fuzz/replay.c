/* Runs a fuzz target over the files of the folders named on the command line: the corpus and every
 * reproducer stay covered in builds without libFuzzer. Fails when there is no file at all. */
#include "common/base/mem.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = mem_alloc(4u << 20);
    size_t size;

    if (f == NULL || data == NULL) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, 4u << 20, f);
    (void)fclose(f); /* only read */
    /* The exact size, so that a read past the end is seen. */
    data = mem_realloc(data, size == 0 ? 1 : size);
    (void)LLVMFuzzerTestOneInput(data, size); /* always 0 */
    mem_free(data);
    return 0;
}

static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    char path[4096];
    int files = 0;
    int failed = 0;

    if (dir == NULL) {
        perror(folder);
        return 1;
    }
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        failed |= run_file(path);
        files++;
    }
    (void)closedir(dir);
    printf("%s: %d files\n", folder, files);
    return failed != 0 || files == 0;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;

    for (int i = 1; i < argc; i++)
        failed |= run_folder(argv[i]);
    return failed;
}
