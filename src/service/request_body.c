#include "service/request_body.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

enum {
    FIRST_BYTES = 16 * 1024
};

void request_body_init(struct request_body *body, struct body_room *room,
                       uint64_t most_bytes)
{
    *body = (struct request_body){.room = room, .most_bytes = most_bytes};
}

void request_body_finish(struct request_body *body)
{
    if (body->capacity) atomic_fetch_sub(&body->room->used_bytes, body->capacity);
    free(body->bytes);
    EVP_MD_CTX_free(body->digest);
    *body = (struct request_body){.room = body->room, .most_bytes = body->most_bytes};
}

/* Takes so much more of the room, if it is there. */
static bool take_room(struct body_room *room, size_t bytes)
{
    uint64_t used = atomic_load(&room->used_bytes);
    do {
        if (bytes > room->most_bytes || used > room->most_bytes - bytes) return false;
    } while (!atomic_compare_exchange_weak(&room->used_bytes, &used, used + bytes));
    return true;
}

/* Doubles, so that a body is seldom moved: large blocks are remapped by the C library, not copied. */
static bool grow(struct request_body *body, size_t needed)
{
    size_t capacity = body->capacity ? body->capacity : FIRST_BYTES;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > body->most_bytes + 1) capacity = (size_t)body->most_bytes + 1;
    if (!take_room(body->room, capacity - body->capacity)) return false;
    char *const grown = realloc(body->bytes, capacity);
    if (!grown) {
        atomic_fetch_sub(&body->room->used_bytes, capacity - body->capacity);
        return false;
    }
    body->bytes = grown;
    body->capacity = capacity;
    return true;
}

static bool add_to_digest(struct request_body *body, const char *bytes, size_t count)
{
    if (!body->digest) {
        body->digest = EVP_MD_CTX_new();
        if (!body->digest || EVP_DigestInit_ex(body->digest, EVP_sha256(), NULL) != 1)
            return false;
    }
    return EVP_DigestUpdate(body->digest, bytes, count) == 1;
}

enum body_status request_body_add(struct request_body *body, const char *bytes,
                                  size_t count)
{
    if (count > body->most_bytes - body->count) return BODY_TOO_LARGE;
    /* One more, for the end. */
    if (body->count + count + 1 > body->capacity &&
        !grow(body, body->count + count + 1))
        return BODY_NO_ROOM;
    if (!add_to_digest(body, bytes, count)) return BODY_NO_ROOM;
    memcpy(body->bytes + body->count, bytes, count);
    body->count += count;
    body->bytes[body->count] = '\0';
    return BODY_TAKEN;
}

void request_body_digest(struct request_body *body, unsigned char digest[32])
{
    memset(digest, 0, 32);
    if (add_to_digest(body, "", 0))
        (void)EVP_DigestFinal_ex(body->digest, digest, NULL);
    EVP_MD_CTX_free(body->digest);
    body->digest = NULL;
}
