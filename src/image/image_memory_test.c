/* Every allocation fails once, and from then on, while pictures are read and written: each
 * time DR_NOMEM, and nothing is left behind. libpng and libjpeg allocate through malloc, which
 * this program replaces; so it is for glibc, and without the address sanitizer, which does the
 * same.
 */
#include "check.h"

#include "image/image.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)

int main(void)
{
    return check_skip("malloc is not ours to replace here");
}

#else

#include <errno.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void __libc_free(void *memory);

static long countdown = -1, live; /* -1: nothing fails */
static bool failed, from_then_on;

static bool strikes(void)
{
    if (countdown > 0) --countdown;
    if (countdown != 0 || (failed && !from_then_on)) return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t bytes)
{
    void *const memory = strikes() ? NULL : __libc_malloc(bytes);
    live += memory != NULL;
    return memory;
}

void *calloc(size_t count, size_t bytes)
{
    void *const memory = strikes() ? NULL : __libc_calloc(count, bytes);
    live += memory != NULL;
    return memory;
}

void *realloc(void *memory, size_t bytes)
{
    void *const grown = strikes() ? NULL : __libc_realloc(memory, bytes);
    live += !memory && grown;
    return grown;
}

void free(void *memory)
{
    live -= memory != NULL;
    __libc_free(memory);
}

enum {
    SIDE = 24,
    VALUES = 3 * SIDE * SIDE
};
static float rgb[VALUES], back[VALUES];
static char path[] = "/tmp/darkroom-image-memory-XXXXXX";

static enum dr_code read_picture(const char *name)
{
    struct image_reader *reader = NULL;
    struct image_head head;
    enum dr_code code = image_reader_open(&reader, &head, name, NULL);
    if (code == DR_OK) code = image_reader_pixels(reader, back, NULL);
    image_reader_close(&reader);
    return code;
}

static enum dr_code read_text(const char *name)
{
    char *text = NULL;
    const enum dr_code code = image_read_parameters(name, &text, NULL);
    free(text);
    return code;
}

static enum dr_code write_png(const char *name)
{
    const struct image_write_options options = {.format = IMAGE_PNG,
                                                .width = SIDE,
                                                .height = SIDE,
                                                .bits = 8,
                                                .parameters = "☃"};
    return image_write(name, &options, rgb, NULL);
}

static enum dr_code write_jpeg(const char *name)
{
    const struct image_write_options options = {.format = IMAGE_JPEG,
                                                .width = SIDE,
                                                .height = SIDE,
                                                .bits = 8,
                                                .parameters = "☃"};
    return image_write(name, &options, rgb, NULL);
}

/* libjpeg asks for less where much is refused, and libpng leaves out a text that it cannot
 * keep: so one failed allocation may also be no failure; but not all of them. */
static void sweep(enum dr_code (*act)(const char *), const char *name)
{
    for (int mode = 0; mode < 2; ++mode) {
        long nth = 1, refused = 0;
        for (;; ++nth) {
            const long before = live;
            failed = false;
            from_then_on = mode == 1;
            countdown = nth;
            const enum dr_code code = act(name);
            countdown = -1;
            if (live != before)
                check_fail_at("%s: %ld: %ld left", name, nth, live - before);
            if (!failed) {
                check_int(code, ==, DR_OK);
                break;
            }
            if (code != DR_OK) check_int(code, ==, DR_NOMEM);
            refused += code != DR_OK;
        }
        fprintf(stderr, "%s: %ld of %ld refused\n", name, refused, nth - 1);
        check_int(nth, >, 3);
        check_int(2 * refused, >, nth - 1);
    }
}

static void reading(void)
{
    static const char *const names[] = {
        "a1111-unicode.png", "interlaced.png", "palette-clear.png", "turned.png",
        "a1111.jpg",         "cmyk.jpg",       "progressive.jpg",
    };
    const char *const root = getenv("DARKROOM_SOURCE");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        char name[4096];
        (void)snprintf(name, sizeof name, "%s/tests/corpus/image/%s", root ? root : ".",
                       names[i]);
        sweep(read_picture, name);
        sweep(read_text, name);
    }
}

static void writing(void)
{
    for (int i = 0; i < VALUES; ++i)
        rgb[i] = (float)(i % 251) / 250.0f;
    check_int(close(mkstemp(path)), ==, 0);
    sweep(write_png, path);
    sweep(write_jpeg, path);
    unlink(path);
}

int main(void)
{
    check_run(reading);
    check_run(writing);
    return check_done();
}

#endif
