/* One loopback round trip through mutual TLS: 100 bytes to another process and back. */
#ifndef ZTC_BENCH_RTT_H
#define ZTC_BENCH_RTT_H

/* N round trips, one after another, in seconds each. Ends the program when something fails. */
void rtt_measure(double *ret_seconds, unsigned n);

#endif
