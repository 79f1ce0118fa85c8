/* ztc: the county's replica on the command line. */
#include "client/cmd/commands.h"

int main(int argc, char **argv)
{
    return program_main(&ztc_program, argc, argv);
}
