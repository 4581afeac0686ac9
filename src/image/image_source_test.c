#include "image/image_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"

enum {
    FILE_BYTES = 3 * IMAGE_SOURCE_BUFFER_BYTES + 17
};

static uint8_t content[FILE_BYTES];
static char folder[64], path[80];

static void make_file(void)
{
    for (size_t i = 0; i < FILE_BYTES; ++i)
        content[i] = (uint8_t)(i * 31 + (i >> 8));
    strcpy(folder, "/tmp/darkroom-image-source-XXXXXX");
    if (!mkdtemp(folder)) abort();
    (void)snprintf(path, sizeof path, "%s/data", folder);
    FILE *const file = fopen(path, "wb");
    if (!file || fwrite(content, 1, FILE_BYTES, file) != FILE_BYTES) abort();
    fclose(file);
}

/* Random reads, skips and seeks against plain indexing; from a file and from memory. */
static void walk(struct image_source *source)
{
    uint64_t seed = 5;
    uint64_t at = 0;
    static uint8_t data[FILE_BYTES];
    for (int round = 0; round < 3000; ++round) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const uint64_t value = seed >> 33;
        const uint64_t step = value % (round % 3 ? 300 : FILE_BYTES + 100);
        switch (round % 4) {
        case 0:
            image_source_seek(source, step);
            at = step < FILE_BYTES ? step : FILE_BYTES;
            break;
        case 1:
            image_source_skip(source, step);
            at = at + step < FILE_BYTES ? at + step : FILE_BYTES;
            break;
        default:
            if (at + step <= FILE_BYTES) {
                check(image_source_read(source, data, step));
                if (memcmp(data, content + at, step) != 0)
                    check_fail_at("wrong bytes at %llu", (unsigned long long)at);
                at += step;
            } else {
                check(!image_source_read(source, data, step));
                check_int(source->state, ==, IMAGE_SOURCE_ENDED);
                check_int(image_source_fail(source, NULL), ==, DR_CORRUPT);
                image_source_seek(source, 0);
                at = 0;
            }
        }
    }
}

static void file_and_memory_agree(void)
{
    struct image_source source;
    check_int(image_source_open(&source, path, NULL), ==, DR_OK);
    check_int(source.bytes, ==, FILE_BYTES);
    walk(&source);
    image_source_close(&source);
    image_source_close(&source);
    image_source_open_memory(&source, content, FILE_BYTES, "memory");
    check_int(source.bytes, ==, FILE_BYTES);
    walk(&source);
    image_source_skip(&source, UINT64_MAX);
    size_t ready = 1;
    check(image_source_peek(&source, &ready) == NULL);
    check_int(ready, ==, 0);
    image_source_close(&source);
    image_source_open_memory(&source, NULL, 0, "nothing");
    check(image_source_peek(&source, &ready) == NULL);
    image_source_close(&source);
}

static void skips_past_any_end(void)
{
    struct image_source source;
    check_int(image_source_open(&source, path, NULL), ==, DR_OK);
    image_source_skip(&source, UINT64_MAX);
    image_source_skip(&source, UINT64_MAX);
    uint8_t byte = 0;
    check(!image_source_read(&source, &byte, 1));
    image_source_seek(&source, FILE_BYTES - 1);
    check(image_source_read(&source, &byte, 1));
    check_int(byte, ==, content[FILE_BYTES - 1]);
    image_source_close(&source);
}

static void what_is_no_file(void)
{
    struct image_source source;
    struct dr_error err;
    check_int(image_source_open(&source, "/no/such/picture.png", &err), ==,
              DR_NOT_FOUND);
    check_has(err.message, "/no/such/picture.png");
    check_int(image_source_open(&source, folder, &err), ==, DR_IO);
    check_has(err.message, "a folder");
    check_int(image_source_open(&source, "/dev/null", &err), ==, DR_IO);
    char pipe_path[90];
    (void)snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
    check_int(mkfifo(pipe_path, 0600), ==, 0);
    check_int(image_source_open(&source, pipe_path, &err), ==,
              DR_IO); /* and does not wait */
    check_has(err.message, "pipe");
    unlink(pipe_path);
    check(source.descriptor == -1);
}

/* A failed read is told apart from the end, and stays failed. */
static void read_errors(void)
{
    for (int64_t nth = 1; nth <= 4; ++nth) {
        struct image_source source;
        static uint8_t data[FILE_BYTES];
        check_int(image_source_open(&source, path, NULL), ==, DR_OK);
        fault_arm(1u << FAULT_READ, nth, FAULT_ONCE);
        check(!image_source_read(&source, data, FILE_BYTES));
        check(fault_has_struck());
        fault_disarm();
        check_int(source.state, ==, IMAGE_SOURCE_FAILED);
        image_source_seek(&source, 0);
        check(!image_source_read(&source, data, 1));
        struct dr_error err;
        check_int(image_source_fail(&source, &err), ==, DR_IO);
        check_has(err.message, "Input/output error");
        image_source_close(&source);
    }
}

int main(void)
{
    make_file();
    check_run(file_and_memory_agree);
    check_run(skips_past_any_end);
    check_run(what_is_no_file);
    check_run_with_faults(read_errors);
    unlink(path);
    rmdir(folder);
    return check_done();
}
