/* ztc: the county's replica on the command line. */
#include "client/cmd/commands.h"

#include "common/crypto/memory.h"

#include <sys/stat.h>

int main(int argc, char **argv)
{
    (void)umask(077); /* whatever is written belongs to the office's own user; umask cannot fail */
    (void)crypto_memory_init();  /* nothing of OpenSSL was used before */
    return program_main(&ztc_program, argc, argv);
}
