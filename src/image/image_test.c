/* The layer as its users see it: whole files, round trips, texts, failures. */
#include "image/image.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"

enum {
    WIDTH = 37,
    HEIGHT = 23,
    VALUES = 3 * WIDTH * HEIGHT
};

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int next;
    char *const path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int entries(const char *path)
{
    DIR *const stream = opendir(path);
    if (!stream) return -1;
    int count = -2; /* . and .. */
    while (readdir(stream))
        ++count;
    (void)closedir(stream);
    return count;
}

static void fill(float *rgb)
{
    for (int i = 0; i < VALUES; ++i)
        rgb[i] = (float)((i * 7919) % 1000) / 999.0f;
}

static struct image_write_options options_of(enum image_format format, int32_t bits,
                                             const char *parameters)
{
    return (struct image_write_options){.format = format,
                                        .width = WIDTH,
                                        .height = HEIGHT,
                                        .bits = bits,
                                        .parameters = parameters};
}

static void read_back(const char *path, const struct image_write_options *options,
                      float *rgb)
{
    struct image_reader *reader = NULL;
    struct image_head head = {0};
    struct dr_error err = {.message = ""};
    check_int(image_reader_open(&reader, &head, path, &err), ==, DR_OK);
    check_str(err.message, "");
    if (!reader) return;
    check_int(head.format, ==, options->format);
    check_int(head.width, ==, options->width);
    check_int(head.height, ==, options->height);
    check_int(head.bits, ==, options->bits);
    check_int(head.orientation, ==, 1);
    check_int(image_reader_pixels(reader, rgb, &err), ==, DR_OK);
    image_reader_close(&reader);
}

static void png_round_trip_is_exact(void)
{
    float rgb[VALUES], back[VALUES];
    fill(rgb);
    rgb[0] = -0.5f;
    rgb[1] = 1.5f;
    for (int32_t bits = 8; bits <= 16; bits += 8) {
        const float most = bits == 8 ? 255.0f : 65535.0f;
        const struct image_write_options options = options_of(IMAGE_PNG, bits, NULL);
        check_int(image_write(in_folder("a.png"), &options, rgb, NULL), ==, DR_OK);
        read_back(in_folder("a.png"), &options, back);
        for (int i = 0; i < VALUES; ++i) {
            const float clamped = fminf(fmaxf(rgb[i], 0.0f), 1.0f);
            if (back[i] != rintf(clamped * most) / most)
                check_fail_at("%d bits, value %d: %.9g of %.9g", bits, i,
                              (double)back[i], (double)rgb[i]);
        }
        /* Written again, the values are the same. */
        check_int(image_write(in_folder("b.png"), &options, back, NULL), ==, DR_OK);
        read_back(in_folder("b.png"), &options, rgb);
        check_bytes(rgb, back, sizeof rgb);
        fill(rgb);
    }
    unlink(in_folder("a.png"));
    unlink(in_folder("b.png"));
}

static double mean_error(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < VALUES; ++i)
        sum += fabs((double)a[i] - (double)b[i]);
    return sum / VALUES;
}

static void jpeg_round_trip_is_near(void)
{
    float rgb[VALUES], back[VALUES];
    for (int y = 0; y < HEIGHT; ++y)
        for (int x = 0; x < WIDTH; ++x)
            for (int c = 0; c < 3; ++c)
                rgb[3 * (y * WIDTH + x) + c] =
                    0.5f +
                    0.4f * sinf((float)(x + c * 3) / 6.0f) * cosf((float)y / 5.0f);
    double last = 0;
    static const int32_t qualities[] = {100, 0, 60, 5};
    for (size_t i = 0; i < 4; ++i) {
        struct image_write_options options = options_of(IMAGE_JPEG, 8, NULL);
        options.quality = qualities[i];
        check_int(image_write(in_folder("a.jpg"), &options, rgb, NULL), ==, DR_OK);
        read_back(in_folder("a.jpg"), &options, back);
        const double error = mean_error(rgb, back);
        check_real(error, >, last); /* worse each time */
        last = error;
        if (qualities[i] == 100) check_real(error, <, 0.004);
        if (qualities[i] == 0) check_real(error, <, 0.01);
    }
    unlink(in_folder("a.jpg"));
}

static size_t load(const char *path, uint8_t *data, size_t capacity)
{
    FILE *const file = fopen(path, "rb");
    if (!file) return 0;
    const size_t bytes = fread(data, 1, capacity, file);
    fclose(file);
    return bytes;
}

static void same_input_same_bytes(void)
{
    static uint8_t one[100000], two[100000];
    float rgb[VALUES];
    fill(rgb);
    for (int format = IMAGE_PNG; format <= IMAGE_JPEG; ++format) {
        const struct image_write_options options =
            options_of((enum image_format)format, 8, "a text");
        check_int(image_write(in_folder("one"), &options, rgb, NULL), ==, DR_OK);
        check_int(image_write(in_folder("two"), &options, rgb, NULL), ==, DR_OK);
        const size_t bytes = load(in_folder("one"), one, sizeof one);
        check_int(bytes, >, 300);
        check_int(load(in_folder("two"), two, sizeof two), ==, bytes);
        check_bytes(one, two, bytes);
    }
    unlink(in_folder("one"));
    unlink(in_folder("two"));
}

struct asked {
    const float *rgb;
    int32_t next;
};

static void get_row(void *cookie, int32_t y, float *rgb)
{
    struct asked *const asked = cookie;
    check_int(y, ==, asked->next++);
    memcpy(rgb, asked->rgb + (size_t)y * 3 * WIDTH, 3 * WIDTH * sizeof *rgb);
}

/* Each row is asked for once, from the top; the file is the one that a whole map gives. */
static void rows_are_asked_for_in_order(void)
{
    static uint8_t one[100000], two[100000];
    float rgb[VALUES];
    fill(rgb);
    for (int format = IMAGE_PNG; format <= IMAGE_JPEG; ++format) {
        const struct image_write_options options =
            options_of((enum image_format)format, 8, NULL);
        struct asked asked = {.rgb = rgb};
        const struct image_rows rows = {get_row, &asked};
        check_int(image_write(in_folder("one"), &options, rgb, NULL), ==, DR_OK);
        check_int(image_write_rows(in_folder("two"), &options, &rows, NULL), ==, DR_OK);
        check_int(asked.next, ==, HEIGHT);
        const size_t bytes = load(in_folder("one"), one, sizeof one);
        check_int(bytes, >, 300);
        check_int(load(in_folder("two"), two, sizeof two), ==, bytes);
        check_bytes(one, two, bytes);
    }
    unlink(in_folder("one"));
    unlink(in_folder("two"));
}

static const char *const texts[] = {
    "",
    "a lighthouse\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 7, VAE: x.pt",
    "café, naïve, \xc2\xa0\xc3\xbf", /* Latin-1 */
    "灯台 ☃ 🌅 \xce\xa9",             /* beyond */
    "tab\tand\rreturn and \x7f",
};

static void parameters_return(void)
{
    float rgb[VALUES];
    fill(rgb);
    for (int format = IMAGE_PNG; format <= IMAGE_JPEG; ++format)
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
            const struct image_write_options options =
                options_of((enum image_format)format, 8, texts[i]);
            char *text = NULL;
            check_int(image_write(in_folder("t"), &options, rgb, NULL), ==, DR_OK);
            check_int(image_read_parameters(in_folder("t"), &text, NULL), ==, DR_OK);
            check_str(text, texts[i]);
            free(text);
            float back[VALUES];
            read_back(in_folder("t"), &options, back);
        }
    const struct image_write_options plain = options_of(IMAGE_PNG, 8, NULL);
    char *text = NULL;
    check_int(image_write(in_folder("t"), &plain, rgb, NULL), ==, DR_OK);
    check_int(image_read_parameters(in_folder("t"), &text, NULL), ==, DR_OK);
    check(text == NULL);
    const struct image_write_options wrong = options_of(IMAGE_PNG, 8,
                                                        "a\xff"
                                                        "b");
    check_int(image_write(in_folder("t"), &wrong, rgb, NULL), ==, DR_OK);
    check_int(image_read_parameters(in_folder("t"), &text, NULL), ==, DR_OK);
    check_str(text, "a\xef\xbf\xbd"
                    "b");
    free(text);
    unlink(in_folder("t"));
}

static const uint8_t *find(const uint8_t *data, size_t bytes, const void *part,
                           size_t count)
{
    for (size_t i = 0; i + count <= bytes; ++i)
        if (memcmp(data + i, part, count) == 0) return data + i;
    return NULL;
}

/* The chunks and markers that other programs look for. */
static void parameters_are_where_others_look(void)
{
    static uint8_t data[100000];
    float rgb[VALUES];
    fill(rgb);
    struct image_write_options options = options_of(IMAGE_PNG, 8, "caf\xc3\xa9");
    check_int(image_write(in_folder("t"), &options, rgb, NULL), ==, DR_OK);
    size_t bytes = load(in_folder("t"), data, sizeof data);
    check(find(data, bytes, "\0\0\0\x0ftEXtparameters\0caf\xe9", 23) != NULL);
    options.parameters = "☃";
    check_int(image_write(in_folder("t"), &options, rgb, NULL), ==, DR_OK);
    bytes = load(in_folder("t"), data, sizeof data);
    check(find(data, bytes, "\0\0\0\x12iTXtparameters\0\0\0\0\0☃", 26) != NULL);
    options.format = IMAGE_JPEG;
    check_int(image_write(in_folder("t"), &options, rgb, NULL), ==, DR_OK);
    bytes = load(in_folder("t"), data, sizeof data);
    const uint8_t *const app1 = find(data, bytes,
                                     "\xff\xe1\0\x3e"
                                     "Exif\0\0MM\0*",
                                     14);
    check(app1 != NULL);
    check(find(data, bytes, "UNICODE\0\x26\x03", 10) != NULL);
    /* JFIF first, then EXIF: what both standards' readers accept. */
    check(find(data, 30, "JFIF", 4) != NULL);
    unlink(in_folder("t"));
}

/* The parameters of a file's bytes in memory of just that size. */
static enum dr_code read_from_memory(const char *path, char **text)
{
    FILE *const file = fopen(path, "rb");
    check(file && fseek(file, 0, SEEK_END) == 0);
    const size_t bytes = (size_t)ftell(file);
    uint8_t *const data = malloc(bytes);
    rewind(file);
    check_int(fread(data, 1, bytes, file), ==, bytes);
    (void)fclose(file);
    const enum dr_code code = image_read_parameters_memory(data, bytes, text, NULL);
    free(data);
    return code;
}

/* A text that a JPEG's marker cannot hold is refused, with numbers; PNG holds it. */
static void long_parameters(void)
{
    float rgb[VALUES];
    fill(rgb);
    const size_t most = (65533 - 6 - 44 - 8) / 2;
    char *const text = malloc(most + 2);
    if (!text) abort();
    memset(text, 'x', most + 2);
    struct dr_error err;
    for (size_t count = most; count <= most + 1; ++count) {
        text[count] = '\0';
        const struct image_write_options jpeg = options_of(IMAGE_JPEG, 8, text);
        check_int(image_write(in_folder("t"), &jpeg, rgb, &err), ==,
                  count == most ? DR_OK : DR_BAD_INPUT);
        check_int(image_check_write(in_folder("t"), &jpeg, NULL), ==,
                  count == most ? DR_OK : DR_BAD_INPUT);
        const struct image_write_options png = options_of(IMAGE_PNG, 8, text);
        check_int(image_write(in_folder("u"), &png, rgb, NULL), ==, DR_OK);
        char *back = NULL;
        check_int(image_read_parameters(in_folder("t"), &back, NULL), ==, DR_OK);
        check_int(back ? strlen(back) : 0, ==,
                  most); /* the refused one left the old file */
        free(back);
        check_int(image_read_parameters(in_folder("u"), &back, NULL), ==, DR_OK);
        check_str(back, text);
        free(back);
        check_int(read_from_memory(in_folder("u"), &back), ==, DR_OK);
        check_str(back, text);
        free(back);
        text[count] = 'x';
    }
    check_has(err.message, "65533");
    free(text);
    unlink(in_folder("t"));
    unlink(in_folder("u"));
}

/* What libpng's readers do not take is not written. */
static void longest_text_of_png(void)
{
    enum {
        MOST = 7999000
    };
    float rgb[VALUES];
    fill(rgb);
    char *const text = malloc(MOST + 2);
    if (!text) abort();
    memset(text, 'x', MOST + 1);
    text[MOST + 1] = '\0';
    struct dr_error err;
    const struct image_write_options options = options_of(IMAGE_PNG, 8, text);
    check_int(image_check_write(in_folder("u"), &options, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "7999001 bytes");
    check_int(image_write(in_folder("u"), &options, rgb, &err), ==, DR_BAD_INPUT);
    text[MOST] = '\0';
    check_int(image_write(in_folder("u"), &options, rgb, &err), ==, DR_OK);
    char *back = NULL;
    check_int(image_read_parameters(in_folder("u"), &back, NULL), ==, DR_OK);
    check_int(back ? strlen(back) : 0, ==, MOST);
    free(back);
    /* A byte that is no UTF-8 becomes three. */
    memset(text, '\xff', MOST / 3 + 1);
    text[MOST / 3 + 1] = '\0';
    check_int(image_check_write(in_folder("u"), &options, NULL), ==, DR_BAD_INPUT);
    free(text);
    unlink(in_folder("u"));
}

static void wrong_options(void)
{
    static const struct {
        struct image_write_options options;
        const char *said;
    } cases[] = {
        {{IMAGE_PNG, 0, 5, 8, 0, NULL},         "0 x 5"        },
        {{IMAGE_PNG, 5, -1, 8, 0, NULL},        "5 x -1"       },
        {{IMAGE_PNG, 40000, 1, 8, 0, NULL},     "40000"        },
        {{IMAGE_PNG, 20000, 20000, 8, 0, NULL}, "20000 x 20000"},
        {{IMAGE_PNG, 5, 5, 4, 0, NULL},         "4 bits"       },
        {{IMAGE_JPEG, 5, 5, 16, 0, NULL},       "16 bits"      },
        {{IMAGE_JPEG, 5, 5, 8, 101, NULL},      "101"          },
        {{IMAGE_JPEG, 5, 5, 8, -1, NULL},       "-1"           },
    };
    const float rgb[3 * 25] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct dr_error err;
        check_int(image_write(in_folder("t"), &cases[i].options, rgb, &err), ==,
                  DR_BAD_INPUT);
        check_has(err.message, cases[i].said);
    }
    check_int(entries(folder), ==, 0);
}

/* A picture with a value that is no number is no picture; the old file stays. */
static void not_finite(void)
{
    float rgb[VALUES];
    fill(rgb);
    for (int format = IMAGE_PNG; format <= IMAGE_JPEG; ++format) {
        const struct image_write_options options =
            options_of((enum image_format)format, 8, NULL);
        check_int(image_write(in_folder("t"), &options, rgb, NULL), ==, DR_OK);
        struct stat before, after;
        check_int(stat(in_folder("t"), &before), ==, 0);
        struct dr_error err;
        rgb[3 * WIDTH * 5 + 4] = NAN;
        check_int(image_write(in_folder("t"), &options, rgb, &err), ==, DR_NOT_FINITE);
        check_has(err.message, "row 5");
        rgb[3 * WIDTH * 5 + 4] = 0;
        check_int(stat(in_folder("t"), &after), ==, 0);
        check_int(before.st_ino, ==, after.st_ino);
        check_int(entries(folder), ==, 1);
        unlink(in_folder("t"));
    }
}

/* What no compression makes small. */
static void fill_noise(float *rgb, size_t count)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < count; ++i) {
        seed = seed * 1664525 + 1013904223;
        rgb[i] = (float)(seed >> 8) / 16777216.0f;
    }
}

/* Each write fails once, and from then on: the old file stays, nothing is left beside it. */
static void every_write_fault(void)
{
    static float rgb[3 * 200 * 200]; /* several buffers of bytes */
    fill_noise(rgb, sizeof rgb / sizeof rgb[0]);
    for (int format = IMAGE_PNG; format <= IMAGE_JPEG; ++format)
        for (int mode = FAULT_ONCE; mode <= FAULT_FROM_THEN_ON; ++mode) {
            struct image_write_options options =
                options_of((enum image_format)format, 8, "t");
            options.width = options.height = 200;
            int64_t nth = 1;
            for (;; ++nth) {
                FILE *const old = fopen(in_folder("t"), "wb");
                if (!old) abort();
                fputs("old", old);
                fclose(old);
                struct dr_error err = {.message = ""};
                fault_arm(1u << FAULT_WRITE, nth, (enum fault_mode)mode);
                const enum dr_code code =
                    image_write(in_folder("t"), &options, rgb, &err);
                const bool struck = fault_has_struck();
                fault_disarm();
                check_int(code, ==, struck ? DR_IO : DR_OK);
                check_int(entries(folder), ==, 1);
                if (!struck) break;
                check_has(err.message, in_folder("t"));
                uint8_t data[8];
                check_int(load(in_folder("t"), data, 8), ==, 3);
                check_bytes(data, "old", 3);
            }
            check_int(nth, >=, 4);
            unlink(in_folder("t"));
        }
}

static void full_disk_child(void)
{
    static float rgb[3 * 300 * 300];
    fill_noise(rgb, sizeof rgb / sizeof rgb[0]);
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {.rlim_cur = 70000, .rlim_max = 70000};
    check_int(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    struct image_write_options options = options_of(IMAGE_PNG, 16, NULL);
    options.width = options.height = 300;
    struct dr_error err;
    check_int(image_write(in_folder("t"), &options, rgb, &err), ==, DR_IO);
    check_has(err.message, "File too large");
    check_int(entries(folder), ==, 0);
}

static void full_disk(void)
{
    const pid_t child = fork();
    if (child == 0) {
        check_failed_count = 0;
        full_disk_child();
        _exit(check_failed_count > 100 ? 100 : check_failed_count);
    }
    int status = -1;
    check_int(waitpid(child, &status, 0), ==, child);
    check_int(status, ==, 0);
}

/* Each read fails: DR_IO with the system's words, never DR_CORRUPT, nothing leaks. */
static void every_read_fault(void)
{
    static float rgb[3 * 200 * 200], back[3 * 200 * 200];
    fill_noise(rgb, sizeof rgb / sizeof rgb[0]);
    for (int format = IMAGE_PNG; format <= IMAGE_JPEG; ++format) {
        struct image_write_options options =
            options_of((enum image_format)format, 8, "t");
        options.width = options.height = 200;
        check_int(image_write(in_folder("t"), &options, rgb, NULL), ==, DR_OK);
        const int descriptors = entries("/proc/self/fd");
        int64_t nth = 1;
        for (;; ++nth) {
            struct image_reader *reader = NULL;
            struct image_head head;
            struct dr_error err = {.message = ""};
            fault_arm(1u << FAULT_READ, nth, FAULT_FROM_THEN_ON);
            enum dr_code code = image_reader_open(&reader, &head, in_folder("t"), &err);
            if (code == DR_OK) code = image_reader_pixels(reader, back, &err);
            image_reader_close(&reader);
            const bool struck = fault_has_struck();
            fault_disarm();
            check_int(code, ==, struck ? DR_IO : DR_OK);
            if (!struck) break;
            check_has(err.message, "Input/output error");
        }
        check_int(nth, >, 2);
        check_int(entries("/proc/self/fd"), ==, descriptors);
        char *text = NULL;
        fault_arm(1u << FAULT_READ, 1, FAULT_ONCE);
        check_int(image_read_parameters(in_folder("t"), &text, NULL), ==, DR_IO);
        fault_disarm();
        check(text == NULL);
        unlink(in_folder("t"));
    }
}

static void other_formats_are_named(void)
{
    static const struct {
        const char *data;
        size_t bytes;
        enum dr_code code;
        const char *said;
    } cases[] = {
        {"RIFF\x10\0\0\0WEBPVP8 ",       16, DR_UNSUPPORTED, "WebP"     },
        {"GIF89a..........",             16, DR_UNSUPPORTED, "GIF"      },
        {"BM..............",             16, DR_UNSUPPORTED, "BMP"      },
        {"II*\0............",            16, DR_UNSUPPORTED, "TIFF"     },
        {"MM\0*............",            16, DR_UNSUPPORTED, "TIFF"     },
        {"\0\0\0 ftypavif....",          16, DR_UNSUPPORTED, "AVIF"     },
        {"\0\0\0 ftypheic....",          16, DR_UNSUPPORTED, "HEIF"     },
        {"\0\0\0\x0cJXL \r\n\x87\n....", 16, DR_UNSUPPORTED, "JPEG XL"  },
        {"hello",                        5,  DR_UNSUPPORTED, "neither"  },
        {"x",                            1,  DR_UNSUPPORTED, "neither"  },
        {"",                             0,  DR_CORRUPT,     "empty"    },
        {"\xff\xd8",                     2,  DR_CORRUPT,     "truncated"},
        {"\x89PNG",                      4,  DR_CORRUPT,     "truncated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        FILE *const file = fopen(in_folder("t.png"), "wb");
        if (!file) abort();
        fwrite(cases[i].data, 1, cases[i].bytes, file);
        fclose(file);
        struct image_reader *reader = NULL;
        struct image_head head;
        struct dr_error err = {.message = ""};
        check_int(image_reader_open(&reader, &head, in_folder("t.png"), &err), ==,
                  cases[i].code);
        check_has(err.message, cases[i].said);
        check_has(err.message, "t.png");
        check(reader == NULL);
        char *text = NULL;
        check_int(image_read_parameters(in_folder("t.png"), &text, &err), ==,
                  cases[i].code);
    }
    unlink(in_folder("t.png"));
    struct image_reader *reader = NULL;
    struct image_head head;
    check_int(image_reader_open(&reader, &head, in_folder("none.png"), NULL), ==,
              DR_NOT_FOUND);
    check_int(image_reader_open(&reader, &head, folder, NULL), ==, DR_IO);
}

static void formats_from_names(void)
{
    static const struct {
        const char *path;
        int format; /* -1: none */
    } cases[] = {
        {"a.png",         IMAGE_PNG },
        {"A.PNG",         IMAGE_PNG },
        {"x/y.z/a.b.PnG", IMAGE_PNG },
        {"a.jpg",         IMAGE_JPEG},
        {"a.JPEG",        IMAGE_JPEG},
        {"a",             -1        },
        {"a.png/b",       -1        },
        {"a.safetensors", -1        },
        {"png",           -1        },
        {"",              -1        },
        {"a.",            -1        },
        {"a.pngx",        -1        },
        {"a.jpg.txt",     -1        },
        {"a.png ",        -1        },
        {"/",             -1        },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        enum image_format format = IMAGE_PNG;
        const bool known = image_format_from_path(cases[i].path, &format);
        check_int(known ? (int)format : -1, ==, cases[i].format);
    }
}

/* Pictures of other programs, with what they are known to hold. */
static void pictures_of_others(void)
{
    static const struct {
        const char *name, *text;
        int32_t width, height, bits;
        float first[3];
    } cases[] = {
        {"a1111.png",         "caf\xc3\xa9 at dusk\nSteps: 20", 6,  4,  8,  {10, 20, 30}   },
        {"a1111-unicode.png", "灯台 🌅\nSteps: 20",         6,  4,  8,  {10, 20, 30}   },
        {"a1111.jpg",         "灯台 🌅\nSteps: 20",         16, 8,  8,  {200, 100, 50} },
        {"pillow-exif.jpg",   "灯台, dusk",                   16, 8,  8,  {200, 100, 50} },
        {"turned.png",        NULL,                             4,  6,  8,  {-1}           },
        {"turned.jpg",        NULL,                             8,  16, 8,  {200, 100, 50} },
        {"cmyk.jpg",          NULL,                             16, 8,  8,  {200, 100, 50} },
        {"progressive.jpg",   NULL,                             16, 8,  8,  {200, 100, 50} },
        {"grey-16.png",       NULL,                             3,  2,  16, {-1}           },
        {"palette-clear.png", NULL,                             4,  4,  8,  {255, 255, 255}},
    };
    const char *const root = getenv("DARKROOM_SOURCE");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/tests/corpus/image/%s", root ? root : ".",
                       cases[i].name);
        struct image_reader *reader = NULL;
        struct image_head head = {0};
        struct dr_error err = {.message = ""};
        check_int(image_reader_open(&reader, &head, path, &err), ==, DR_OK);
        check_str(err.message, "");
        if (!reader) continue;
        float rgb[3 * 16 * 16];
        check_int(head.width, ==, cases[i].width);
        check_int(head.height, ==, cases[i].height);
        check_int(head.bits, ==, cases[i].bits);
        check_int(image_reader_pixels(reader, rgb, &err), ==, DR_OK);
        image_reader_close(&reader);
        for (int c = 0; c < 3 && cases[i].first[0] >= 0; ++c)
            if (fabsf(rgb[c] * 255.0f - cases[i].first[c]) > 3.0f)
                check_fail_at("%s: colour %d is %g", path, c,
                              (double)(rgb[c] * 255.0f));
        char *text = NULL;
        check_int(image_read_parameters(path, &text, NULL), ==, DR_OK);
        if (cases[i].text)
            check_str(text, cases[i].text);
        else
            check(text == NULL);
        free(text);
    }
}

/* 16 KB that unpack to 16 MB of text: not unpacked, and the picture is still read. */
static void text_bomb(void)
{
    char path[4096];
    const char *const root = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/corpus/image/text-bomb.png",
                   root ? root : ".");
    char *text = NULL;
    check_int(image_read_parameters(path, &text, NULL), ==, DR_OK);
    check(text == NULL);
    struct image_reader *reader = NULL;
    struct image_head head;
    float rgb[3] = {1, 1, 1};
    check_int(image_reader_open(&reader, &head, path, NULL), ==, DR_OK);
    check_int(image_reader_pixels(reader, rgb, NULL), ==, DR_OK);
    check(rgb[0] == 0.0f && rgb[1] == 0.0f && rgb[2] == 0.0f);
    image_reader_close(&reader);
}

int main(void)
{
    strcpy(folder, "/tmp/darkroom-image-XXXXXX");
    if (!mkdtemp(folder)) abort();
    check_run(png_round_trip_is_exact);
    check_run(rows_are_asked_for_in_order);
    check_run(jpeg_round_trip_is_near);
    check_run(same_input_same_bytes);
    check_run(parameters_return);
    check_run(parameters_are_where_others_look);
    check_run(long_parameters);
    check_run(longest_text_of_png);
    check_run(wrong_options);
    check_run(not_finite);
    check_run_with_faults(every_write_fault);
    check_run(full_disk);
    check_run_with_faults(every_read_fault);
    check_run(other_formats_are_named);
    check_run(formats_from_names);
    check_run(pictures_of_others);
    check_run(text_bomb);
    check_int(rmdir(folder), ==, 0);
    return check_done();
}
