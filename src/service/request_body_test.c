#include "service/request_body.h"

#include "check.h"

static void a_body_is_what_came(void)
{
    struct body_room room = {.most_bytes = 1 << 20};
    struct request_body body;
    unsigned char digest[32];
    static const unsigned char abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    static const unsigned char none[] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc};
    request_body_init(&body, &room, 1000);
    check_int(request_body_add(&body, "a", 1), ==, BODY_TAKEN);
    check_int(request_body_add(&body, "bc", 2), ==, BODY_TAKEN);
    check_str(body.bytes, "abc");
    check_int(body.count, ==, 3u);
    request_body_digest(&body, digest);
    check_bytes(digest, abc, sizeof abc);
    request_body_finish(&body);
    check_int(room.used_bytes, ==, 0u);
    request_body_init(&body, &room, 1000);
    request_body_digest(&body, digest);
    check_bytes(digest, none, sizeof none);
    request_body_finish(&body);
}

static void R21_a_body_is_counted_as_it_comes(void)
{
    struct body_room room = {.most_bytes = 1 << 20};
    struct request_body body;
    char piece[700] = "";
    request_body_init(&body, &room, 1000);
    check_int(request_body_add(&body, piece, 700), ==, BODY_TAKEN);
    check_int(request_body_add(&body, piece, 301), ==, BODY_TOO_LARGE);
    check_int(request_body_add(&body, piece, 300), ==, BODY_TAKEN);
    check_int(request_body_add(&body, piece, 1), ==, BODY_TOO_LARGE);
    check_int(body.count, ==, 1000u);
    check_int(body.capacity, ==, 1001u);
    request_body_finish(&body);
    check_int(room.used_bytes, ==, 0u);
}

static void R28_all_bodies_together_have_a_limit(void)
{
    struct body_room room = {.most_bytes = 100000};
    struct request_body first, second;
    char *const piece = calloc(1, 90000);
    request_body_init(&first, &room, 90000);
    request_body_init(&second, &room, 90000);
    check_int(room.used_bytes, ==, 0u); /* what is only claimed takes nothing */
    check_int(request_body_add(&first, piece, 90000), ==, BODY_TAKEN);
    check_int(request_body_add(&second, piece, 20000), ==, BODY_NO_ROOM);
    check_int(room.used_bytes, ==, 90001u);
    request_body_finish(&second);
    request_body_finish(&first);
    check_int(room.used_bytes, ==, 0u);
    request_body_init(&second, &room, 90000);
    check_int(request_body_add(&second, piece, 20000), ==, BODY_TAKEN);
    request_body_finish(&second);
    check_int(room.used_bytes, ==, 0u);
    free(piece);
}

static void a_limit_past_all_numbers_overflows_nothing(void)
{
    struct body_room room = {.most_bytes = UINT64_MAX};
    struct request_body body;
    request_body_init(&body, &room, UINT64_MAX - 1);
    check_int(request_body_add(&body, "abc", 3), ==, BODY_TAKEN);
    check_int(body.capacity, <=, 1u << 20);
    request_body_finish(&body);
    check_int(room.used_bytes, ==, 0u);
}

int main(void)
{
    check_run(a_body_is_what_came);
    check_run(R21_a_body_is_counted_as_it_comes);
    check_run(R28_all_bodies_together_have_a_limit);
    check_run(a_limit_past_all_numbers_overflows_nothing);
    return check_done();
}
