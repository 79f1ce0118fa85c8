/* ztc: the county's replica on the command line. */
#include "client/cmd/commands.h"

#include <sys/stat.h>

int main(int argc, char **argv)
{
    (void)umask(077); /* whatever is written belongs to the office's own user; umask cannot fail */
    return program_main(&ztc_program, argc, argv);
}
