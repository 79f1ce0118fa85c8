/* A replica without a store: a real connection with the real frames, that counts what arrives. Every
 * batch's signed head is verified; any surprise ends the program. */
#ifndef ZTC_BENCH_LIGHT_H
#define ZTC_BENCH_LIGHT_H

#include "common/net/uv_stream.h"
#include "common/wire/body.h"
#include "common/wire/frame.h"
#include "tests/bench/crew.h"

/* What all light clients of a program share. */
struct light_net {
    uv_loop_t *loop;
    struct net *net;
    struct crew *crew;
    struct pubkey *log_key;
    const char *host;
    uint16_t port;
    struct body_codec codec;
    struct arena arena; /* of the frame being read */
    struct buf out;
    uint64_t bytes_in, bytes_out; /* TLS records included, TCP not */
    void (*on_served)(struct light_net *n); /* one more client has its Welcome */
    void (*on_echo)(struct light_net *n);   /* some client's acked_n moved */
    void (*on_entry)(struct light_net *n, uint32_t stream, uint64_t seq); /* of another author */
    void *ctx;
    size_t served;
};

struct light {
    struct light_net *net;
    struct author *author;
    struct tls_config *tls;
    struct stream *stream;
    struct frame_reader frames;
    uv_timer_t ping;
    uint64_t acked_n; /* the last own change whose echo came */
    uint64_t own_seq; /* of the site's stream, the last that came */
    uint32_t window;
    bool served;
};

void light_net_init(struct light_net *n, uv_loop_t *loop, struct crew *crew, const char *host,
                    uint16_t port);
void light_net_release(struct light_net *n);

/* Connect as the AT-th of the crew. */
void light_open(struct light *l, struct light_net *n, size_t at);

/* Hang up in order; the loop then has nothing left of it. */
void light_close(struct light *l);

/* A Push frame of COUNT changes from FIRST_N: PLAIN is their PushBody. Appended to OUT. */
void light_frame(struct light_net *n, uint64_t first_n, uint32_t count, struct slice plain,
                 struct buf *out);

/* Send bytes made by light_frame. */
void light_send(struct light *l, struct slice frame);

/* "host:port" of the command line; ends the program when it is none. */
void light_address(const char *text, char host[64], uint16_t *ret_port);

/* Say what failed and end. */
void light_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
