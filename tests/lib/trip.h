/* Calls that fail on demand: the n-th call to SQLite, or the n-th request for memory, of a program that is
 * linked against `test_trip`. The linker puts these in the place of the real ones, so that what is tested
 * knows nothing of it. One thread. */
#ifndef ZTC_TESTS_TRIP_H
#define ZTC_TESTS_TRIP_H

enum trip {
    TRIP_SQL = 1,    /* a statement that is prepared, run or stepped: an I/O error. ROLLBACK works */
    TRIP_MEMORY = 2, /* mem_*, and each piece of an arena */
};

/* Fail the COUNTDOWN-th call of these kinds (a set of enum trip) from now, once; 0: none. */
void trip_set(unsigned kinds, unsigned countdown);

/* What a fixture does for itself, between the two, is not counted. */
void trip_pause(void);
void trip_resume(void);

/* How many were failed since. */
unsigned trip_hits(void);

#endif
