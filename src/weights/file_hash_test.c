/* The digest of a whole file: right at every size, by a thread and without one, stopped and cancelled. */
#include "weights/file_hash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static unsigned char data[5 * FILE_HASH_BUFFER + 7];
static struct dr_error problem;

static int open_file(size_t bytes)
{
    const char *const path = scratch_path("file");
    scratch_write(path, data, bytes);
    const int descriptor = open(path, O_RDONLY);
    check_int(descriptor, >=, 0);
    return descriptor;
}

static void expect_of(size_t bytes, uint8_t out[DIGEST_BYTES])
{
    struct digest digest;
    digest_init(&digest);
    digest_add(&digest, data, bytes);
    digest_end(&digest, out);
}

static void is_that_of_the_bytes(void)
{
    static const size_t sizes[] = {
        0,          1, FILE_HASH_BUFFER - 1, FILE_HASH_BUFFER, FILE_HASH_BUFFER + 1,
        sizeof data};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i)
        for (int place = FILE_HASH_BESIDE; place <= FILE_HASH_HERE; ++place) {
            struct file_hash hash;
            uint8_t out[DIGEST_BYTES], expected[DIGEST_BYTES];
            const int descriptor = open_file(sizes[i]);
            expect_of(sizes[i], expected);
            check_int(file_hash_begin(&hash, descriptor, sizes[i],
                                      (enum file_hash_place)place, &problem),
                      ==, DR_OK);
            check_int(file_hash_wait(&hash, NULL, out, &problem), ==, DR_OK);
            check_bytes(out, expected, sizeof out);
            check_int(file_hash_wait(&hash, NULL, out, &problem), ==, DR_OK);
            file_hash_end(&hash);
            (void)close(descriptor);
        }
}

static void a_file_that_shrank_is_an_error(void)
{
    for (int place = FILE_HASH_BESIDE; place <= FILE_HASH_HERE; ++place) {
        struct file_hash hash;
        uint8_t out[DIGEST_BYTES];
        const int descriptor = open_file(100);
        check_int(file_hash_begin(&hash, descriptor, 101, (enum file_hash_place)place,
                                  &problem),
                  ==, DR_OK);
        check_int(file_hash_wait(&hash, NULL, out, &problem), ==, DR_CHANGED);
        file_hash_end(&hash);
        (void)close(descriptor);
    }
}

static void what_cannot_be_read_is_an_error(void)
{
    struct file_hash hash;
    uint8_t out[DIGEST_BYTES];
    check_int(file_hash_begin(&hash, -1, 100, FILE_HASH_BESIDE, &problem), ==, DR_OK);
    check_int(file_hash_wait(&hash, NULL, out, &problem), ==, DR_IO);
    file_hash_end(&hash);
}

/* A sparse file of a size that takes minutes: what stops has to stop at once. */
static void stops_at_once(void)
{
    const uint64_t bytes = (uint64_t)1 << 40;
    for (int place = FILE_HASH_BESIDE; place <= FILE_HASH_HERE; ++place) {
        struct cancel cancel = {0};
        struct file_hash hash;
        uint8_t out[DIGEST_BYTES];
        const char *const path = scratch_path("sparse");
        const int descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (ftruncate(descriptor, (off_t)bytes) != 0) {
            check_skip_case("no file system with files of 1 TiB");
            (void)close(descriptor);
            return;
        }
        check_int(file_hash_begin(&hash, descriptor, bytes, (enum file_hash_place)place,
                                  &problem),
                  ==, DR_OK);
        cancel_request(&cancel);
        check_int(file_hash_wait(&hash, &cancel, out, &problem), ==, DR_CANCELLED);
        file_hash_end(&hash);
        (void)close(descriptor);
        (void)unlink(path);
    }
}

static void nothing_begun_is_ended(void)
{
    struct file_hash hash = {0};
    file_hash_end(&hash);
}

int main(void)
{
    for (size_t i = 0; i < sizeof data; ++i)
        data[i] = (unsigned char)(i * 31 + i / 251);
    check_run(is_that_of_the_bytes);
    check_run(a_file_that_shrank_is_an_error);
    check_run(what_cannot_be_read_is_an_error);
    check_run(stops_at_once);
    check_run(nothing_begun_is_ended);
    return check_done();
}
