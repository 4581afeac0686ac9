/* Replies with pictures: the bytes for every block size, their length, and files that are gone. */
#include "service/picture_stream.h"

#include "check.h"
#include "service/base64.h"
#include "service/store_fixture.h"

static struct dr_error problem;
static struct store *store;
static char job[STORE_ID_BYTES];

/* A picture of the job whose file has so many bytes. */
static struct gallery_picture made_picture(int32_t index, size_t byte_count)
{
    struct gallery_picture picture = fixture_picture(job, index, "", NULL);
    unsigned char *const bytes = malloc(byte_count ? byte_count : 1);
    for (size_t i = 0; i < byte_count; ++i)
        bytes[i] = (unsigned char)(i * 7 + (size_t)index);
    scratch_write(fixture_path(store, job, index, false), bytes, byte_count);
    free(bytes);
    check_int(gallery_add(store, &picture, &problem), ==, DR_OK);
    return picture;
}

/* All of it, asked for in pieces of so many bytes: malloc'ed. */
static char *read_reply(struct http_reply *reply, size_t step, size_t *length)
{
    char *const text = malloc(reply->byte_count + step + 1);
    size_t count;
    *length = 0;
    while ((count = reply->read(reply->cookie, text + *length, step)) > 0)
        *length += count;
    text[*length] = '\0';
    return text;
}

static struct http_reply make_reply(const struct gallery_picture *pictures,
                                    int32_t count)
{
    struct http_reply reply;
    struct picture_stream *const stream = picture_stream_create(store);
    http_reply_init(&reply);
    check_int(picture_stream_add(stream, "<", &problem), ==, DR_OK);
    for (int32_t i = 0; i < count; ++i) {
        check_int(picture_stream_add_picture(stream, &pictures[i], &problem), ==,
                  DR_OK);
        check_int(picture_stream_add_take(stream, strdup(","), &problem), ==, DR_OK);
    }
    check_int(picture_stream_add(stream, ">", &problem), ==, DR_OK);
    picture_stream_reply_take(stream, &reply);
    check_int(reply.status, ==, 200);
    return reply;
}

static void pictures_are_base64_between_texts(void)
{
    static const size_t sizes[] = {1, 2, 3, 100, 12288, 12289, 40000};
    static const size_t steps[] = {1, 3, 5, 4096, 1 << 20};
    enum {
        COUNT = sizeof sizes / sizeof *sizes
    };
    struct gallery_picture pictures[COUNT];
    char *const expected = malloc(1 << 20);
    size_t length = 0;
    expected[length++] = '<';
    for (size_t i = 0; i < COUNT; ++i) {
        pictures[i] = made_picture((int32_t)i, sizes[i]);
        unsigned char *const bytes = malloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; ++k)
            bytes[k] = (unsigned char)(k * 7 + i);
        base64_encode_into(bytes, sizes[i], expected + length);
        free(bytes);
        length += base64_length(sizes[i]);
        expected[length++] = ',';
    }
    expected[length++] = '>';
    expected[length] = '\0';
    for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i) {
        struct http_reply reply = make_reply(pictures, COUNT);
        check_int(reply.byte_count, ==, length);
        size_t got;
        char *const text = read_reply(&reply, steps[i], &got);
        check_int(got, ==, length);
        check(strcmp(text, expected) == 0);
        free(text);
        http_reply_finish(&reply);
    }
    free(expected);
}

static void a_picture_that_is_removed_cuts_the_reply_short(void)
{
    const struct gallery_picture pictures[] = {made_picture(20, 100),
                                               made_picture(21, 100)};
    struct http_reply reply = make_reply(pictures, 2);
    check_int(gallery_remove(store, pictures[1].id, NULL, &problem), ==, DR_OK);
    size_t got;
    char *const text = read_reply(&reply, 64, &got);
    check_int(got, <, reply.byte_count);
    check_int(got, ==, 1 + base64_length(100) + 1);
    free(text);
    http_reply_finish(&reply);
    struct picture_stream *const stream = picture_stream_create(store);
    check_int(picture_stream_add_picture(stream, &pictures[1], &problem), ==,
              DR_NOT_FOUND);
    picture_stream_destroy(stream);
}

/* A client that leaves: what was not sent is released. */
static void a_reply_may_end_early(void)
{
    const struct gallery_picture picture = made_picture(30, 40000);
    struct http_reply reply = make_reply(&picture, 1);
    char some[10];
    check_int(reply.read(reply.cookie, some, sizeof some), ==, sizeof some);
    http_reply_finish(&reply);
}

int main(void)
{
    store = fixture_open("data");
    check_int(fixture_add_job(store, "", false, job, &problem), ==, DR_OK);
    check_run(pictures_are_base64_between_texts);
    check_run(a_picture_that_is_removed_cuts_the_reply_short);
    check_run(a_reply_may_end_early);
    store_close(store);
    return check_done();
}
