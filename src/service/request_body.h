/* request_body — a body as it comes, in memory that all bodies share: each grows as its bytes come, never by what a client
 * says it will send, so a length that is only claimed takes nothing.
 */
#ifndef SERVICE_REQUEST_BODY_H
#define SERVICE_REQUEST_BODY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of all bodies. */
struct body_room {
    _Atomic uint64_t used_bytes;
    uint64_t most_bytes;
};

struct request_body {
    struct body_room *room; /* borrowed */
    uint64_t most_bytes;    /* of this one */
    char *bytes;            /* terminated once there are any */
    size_t count, capacity; /* capacity is counted in the room */
    void *digest;           /* private */
};

enum body_status {
    BODY_TAKEN,
    BODY_TOO_LARGE, /* more than most_bytes */
    BODY_NO_ROOM    /* other bodies have the memory, or there is none */
};

void request_body_init(struct request_body *body, struct body_room *room,
                       uint64_t most_bytes);
/* Frees the bytes, and gives their room back. */
void request_body_finish(struct request_body *body);

enum body_status request_body_add(struct request_body *body, const char *bytes,
                                  size_t count);
/* The SHA-256 of all that came. */
void request_body_digest(struct request_body *body, unsigned char digest[32]);

#endif
