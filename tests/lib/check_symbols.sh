#!/bin/bash
# check_symbols.sh LIBRARY...: fails when a library that must be pure references an event loop, a
# database, TLS, a clock, chance, a socket or the log. Its time, its chance and its bytes are given to
# it; that is what lets the simulated world run it.
set -u -o pipefail

libraries='uv_|sqlite3_|SSL_|EVP_|X509_|RAND_|OPENSSL_|CRYPTO_|BIO_|PEM_|BN_|EC_'
clocks='time|clock|times|clock_gettime|clock_getres|gettimeofday|timespec_get|ftime|localtime(_r)?|mktime|tzset|nanosleep|clock_nanosleep|usleep|sleep|alarm|setitimer|timer_create'
chance='rand|rand_r|srand|random|random_r|srandom|[dlmen]rand48(_r)?|getrandom|getentropy|arc4random(_buf|_uniform)?'
sockets='socket|connect|accept4?|listen|send(to|msg)?|recv(from|msg)?|poll|select|epoll_.*'
forbidden="^(($libraries).*|$clocks|$chance|$sockets|log_line)$"

(($# > 0)) || { echo "usage: check_symbols.sh LIBRARY..." >&2; exit 2; }
bad=0
for library in "$@"; do
    symbols=$(nm -u "$library") || exit 2
    found=$(awk 'NF == 2 && $1 == "U" { sub(/@.*/, "", $2); print $2 }' <<<"$symbols" |
        sort -u | grep -E "$forbidden")
    if [[ -n $found ]]; then
        echo "${library##*/} must not reference: ${found//$'\n'/ }"
        bad=1
    fi
done
exit $bad
