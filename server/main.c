/* ztcd: the city's daemon and its administration. */
#include "server/admin/admin.h"

#include "common/crypto/memory.h"

#include <sys/stat.h>

int main(int argc, char **argv)
{
    (void)umask(077); /* whatever is written belongs to the service's own user; umask cannot fail */
    (void)crypto_memory_init();  /* nothing of OpenSSL was used before */
    return program_main(&ztcd_program, argc, argv);
}
