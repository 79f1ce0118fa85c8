/* Makes catalogue_data.c from the .tsv files of this folder, and refuses a catalogue that
 * contradicts itself.
 *
 *   catalogue_gen FOLDER OUTPUT
 *
 * Every complaint names file and line; all are printed before the program fails, so that one run
 * shows everything. Three steps: load (cells), resolve and check (names become places), emit. */
#include "common/catalogue/gen.h"

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: catalogue_gen FOLDER OUTPUT\n");
        return 2;
    }
    struct table kind_lines = load(argv[1], "kinds.tsv", kind_columns);
    struct table code_lines = load(argv[1], "enums.tsv", enum_columns);
    struct table field_lines = load(argv[1], "fields.tsv", field_columns);
    struct table transition_lines = load(argv[1], "transitions.tsv", transition_columns);
    struct table since_lines = load(argv[1], "since.tsv", since_columns);
    resolve_codes(&code_lines);
    if (find_codes("account_role") < 0) {
        die("no code table account_role", "enums.tsv");
    }
    resolve_kinds(&kind_lines);
    resolve_fields(&field_lines);
    check_fields();
    resolve_writers();
    resolve_transitions(&transition_lines);
    resolve_sinces(&since_lines);
    check_reachable();
    return errors > 0 ? 1 : emit(argv[2]);
}
