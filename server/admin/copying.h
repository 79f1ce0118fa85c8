/* Files of a city's folder and of a copy of it: taken over whole or not at all. */
#ifndef ZTC_SERVER_COPYING_H
#define ZTC_SERVER_COPYING_H

#include "server/admin/home.h"

#include <limits.h>

/* A folder that was given, and below it a name and a name more. */
struct path {
    char text[HOME_PATH_MAX + 2 * (NAME_MAX + 1)];
};

/* RET->text; empty, which no file is called, when there is no room for it. */
const char *path_join(struct path *ret, const char *dir, const char *name);

/* The same bytes, and both can be read. For small files. */
bool file_same(const char *a, const char *b);

/* Under another name until it is whole and synced; 0600. */
int file_copy(const char *from, const char *to, struct err *err);

int folder_make(const char *dir, struct err *err);

/* Whether the file NAME of a folder is one that is meant. */
typedef bool (*kept_choice)(void *ctx, const char *name);

/* Each of DIR's settings, keys and certificates that is meant: into TO unless the same is there, or, where TO is NULL,
 * away. */
int kept_each(const char *dir, const char *to, kept_choice meant, void *ctx, struct err *err);

/* What is whole of the attachments below FROM and not below TO. */
int blobs_copy(const char *from, const char *to, struct err *err);

/* Waits a minute for the lock of the copy DIR: one at a time writes it, and nobody reads it meanwhile. E_BUSY. Released
 * by closing *RET_FD, -1 where there is none: a copy that is only read need not have one. */
int copy_lock(const char *dir, bool to_write, int *ret_fd, struct err *err);
void copy_unlock(int fd);

#endif
