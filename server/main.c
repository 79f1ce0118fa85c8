#include "server/admin/admin.h"

int main(int argc, char **argv)
{
    return program_main(&ztcd_program, argc, argv);
}
