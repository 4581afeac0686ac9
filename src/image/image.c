#include "image/image.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file_kind.h"
#include "image/image_codec.h"

struct image_reader {
    struct image_source source;
    struct image_head head; /* width and height as shown */
    const struct image_decoder *decoder;
    void *state; /* the decoder's */
    bool used;
    char name[]; /* for messages */
};

static const struct image_decoder *const decoders[] = {
    [IMAGE_PNG] = &png_decoder,
    [IMAGE_JPEG] = &jpeg_decoder,
};
static const struct image_encoder *const encoders[] = {
    [IMAGE_PNG] = &png_encoder,
    [IMAGE_JPEG] = &jpeg_encoder,
};

enum dr_code image_check_size(const char *name, uint32_t width, uint32_t height,
                              struct dr_error *err)
{
    if (width == 0 || height == 0)
        return error_set(err, DR_CORRUPT,
                         "%s: a picture of %" PRIu32 " x %" PRIu32 " pixels is empty",
                         name, width, height);
    const uint64_t pixels = (uint64_t)width * height;
    if (width <= IMAGE_MAX_SIDE && height <= IMAGE_MAX_SIDE &&
        pixels <= IMAGE_MAX_PIXELS)
        return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "%s: a picture of %" PRIu32 " x %" PRIu32
                     " pixels is too large; at most %d per side and %" PRId64 " in all",
                     name, width, height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
}

struct magic {
    int at, bytes;
    const char *text, *format;
};

/* What else people try, so that the message can name it. */
static const struct magic other_formats[] = {
    {8, 4, "WEBP",             "WebP"     },
    {0, 4, "GIF8",             "GIF"      },
    {0, 2, "BM",               "BMP"      },
    {0, 4, "II*\0",            "TIFF"     },
    {0, 4, "MM\0*",            "TIFF"     },
    {8, 4, "avif",             "AVIF"     },
    {8, 3, "hei",              "HEIF"     },
    {8, 4, "mif1",             "HEIF"     },
    {4, 4, "JXL ",             "JPEG XL"  },
    {0, 2, "\xFF\x0A",         "JPEG XL"  },
    {4, 4, "jP  ",             "JPEG 2000"},
    {0, 4, "8BPS",             "Photoshop"},
    {0, 4, "\x76\x2f\x31\x01", "OpenEXR"  },
    {0, 4, "%PDF",             "PDF"      },
    {0, 4, "qoif",             "QOI"      },
};

static bool begins(const uint8_t *data, const struct magic *magic)
{
    return memcmp(data + magic->at, magic->text, (size_t)magic->bytes) == 0;
}

static enum dr_code tell_format(struct image_source *source, enum image_format *format,
                                struct dr_error *err)
{
    static const struct magic png = {0, 4, "\x89PNG", ""},
                              jpeg = {0, 2, "\xFF\xD8", ""};
    uint8_t data[FILE_KIND_BYTES] = {0};
    char words[FILE_KIND_TEXT];
    const size_t bytes =
        source->bytes < sizeof data ? (size_t)source->bytes : sizeof data;
    if (bytes == 0)
        return error_set(err, DR_CORRUPT, "%s: an empty file", source->name);
    if (!image_source_read(source, data, bytes)) return image_source_fail(source, err);
    image_source_seek(source, 0);
    *format = begins(data, &png) ? IMAGE_PNG : IMAGE_JPEG;
    if (begins(data, &png) || begins(data, &jpeg)) return DR_OK;
    for (size_t i = 0; i < sizeof other_formats / sizeof other_formats[0]; ++i)
        if (begins(data, &other_formats[i]))
            return error_set(
                err, DR_UNSUPPORTED,
                "%s: a %s file; only PNG and JPEG pictures are read, so convert it "
                "first",
                source->name, other_formats[i].format);
    const bool is_known = file_kind_tell((const char *)data, bytes, words);
    return error_set(err, DR_UNSUPPORTED, "%s: neither a PNG nor a JPEG picture%s%s",
                     source->name, is_known ? ": it is " : "", words);
}

static struct image_reader *new_reader(const char *name)
{
    const size_t bytes = strlen(name) + 1;
    struct image_reader *const reader = calloc(1, sizeof *reader + bytes);
    if (!reader) return NULL;
    memcpy(reader->name, name, bytes);
    reader->source.descriptor = -1;
    return reader;
}

/* Behind the opened source: tell the format and read the head. */
static enum dr_code read_head(struct image_reader *reader, enum image_want want,
                              struct dr_error *err)
{
    enum image_format format = IMAGE_PNG;
    enum dr_code code = tell_format(&reader->source, &format, err);
    if (code != DR_OK) return code;
    reader->decoder = decoders[format];
    return reader->decoder->open(&reader->state, &reader->source, want, &reader->head,
                                 err);
}

static void turn_head(struct image_head *head)
{
    if (head->orientation < 5) return;
    const int32_t width = head->width;
    head->width = head->height;
    head->height = width;
}

/* Give the reader out, or close it on failure. */
static enum dr_code hand_out(struct image_reader **out, struct image_head *head,
                             struct image_reader *reader, enum dr_code code)
{
    if (code != DR_OK) {
        image_reader_close(&reader);
        return code;
    }
    turn_head(&reader->head);
    *head = reader->head;
    *out = reader;
    return DR_OK;
}

enum dr_code image_reader_open(struct image_reader **out, struct image_head *head,
                               const char *path, struct dr_error *err)
{
    *out = NULL;
    struct image_reader *reader = new_reader(path);
    if (!reader) return error_set(err, DR_NOMEM, "%s: no memory for a reader", path);
    enum dr_code code = image_source_open(&reader->source, reader->name, err);
    if (code == DR_OK) code = read_head(reader, IMAGE_WANT_PIXELS, err);
    return hand_out(out, head, reader, code);
}

enum dr_code image_reader_open_memory(struct image_reader **out,
                                      struct image_head *head, const void *data,
                                      size_t bytes, struct dr_error *err)
{
    *out = NULL;
    struct image_reader *reader = new_reader("picture in memory");
    if (!reader) return error_set(err, DR_NOMEM, "no memory for a reader");
    image_source_open_memory(&reader->source, data, bytes, reader->name);
    return hand_out(out, head, reader, read_head(reader, IMAGE_WANT_PIXELS, err));
}

enum dr_code image_reader_pixels(struct image_reader *reader, float *rgb,
                                 struct dr_error *err)
{
    assert(!reader->used);
    reader->used = true;
    const struct image_head *const head = &reader->head;
    const bool turned = head->orientation >= 5;
    const struct pixel_place place =
        pixel_place_oriented(turned ? head->height : head->width,
                             turned ? head->width : head->height, head->orientation);
    return reader->decoder->pixels(reader->state, &place, rgb, err);
}

void image_reader_close(struct image_reader **reader)
{
    if (!*reader) return;
    if ((*reader)->decoder) (*reader)->decoder->close((*reader)->state);
    image_source_close(&(*reader)->source);
    free(*reader);
    *reader = NULL;
}

static enum dr_code check_options(const char *path,
                                  const struct image_write_options *options,
                                  struct dr_error *err)
{
    const int32_t width = options->width, height = options->height,
                  bits = options->bits;
    if (width < 1 || height < 1)
        return error_set(err, DR_BAD_INPUT,
                         "%s: a picture of %d x %d pixels cannot be written", path,
                         (int)width, (int)height);
    const enum dr_code code =
        image_check_size(path, (uint32_t)width, (uint32_t)height, err);
    if (code != DR_OK) return code;
    if (bits != 8 && !(bits == 16 && options->format == IMAGE_PNG))
        return error_set(err, DR_BAD_INPUT,
                         "%s: %d bits per channel; PNG has 8 or 16, JPEG has 8", path,
                         (int)bits);
    if (options->quality < 0 || options->quality > 100)
        return error_set(err, DR_BAD_INPUT, "%s: the quality is %d; give 1 to 100",
                         path, (int)options->quality);
    return DR_OK;
}

enum dr_code image_check_write(const char *path,
                               const struct image_write_options *options,
                               struct dr_error *err)
{
    const enum dr_code code = check_options(path, options, err);
    return code == DR_OK ? encoders[options->format]->check(path, options, err) : code;
}

enum dr_code image_write_rows(const char *path,
                              const struct image_write_options *options,
                              const struct image_rows *rows, struct dr_error *err)
{
    struct temporary_file file = TEMPORARY_FILE_INIT;
    struct image_sink sink = {.file = NULL};
    enum dr_code code = image_check_write(path, options, err);
    if (code == DR_OK) code = temporary_file_open(&file, path, err);
    if (code == DR_OK) code = image_sink_init(&sink, &file, path, err);
    if (code == DR_OK)
        code = encoders[options->format]->write(&sink, options, rows, err);
    if (code == DR_OK) code = image_sink_flush(&sink);
    if (code == DR_OK) code = temporary_file_commit(&file, err);
    image_sink_finish(&sink);
    temporary_file_discard(&file);
    return code;
}

struct map {
    const float *rgb;
    size_t samples; /* of a row */
};

static void get_row(void *cookie, int32_t y, float *rgb)
{
    const struct map *const map = cookie;
    memcpy(rgb, map->rgb + (size_t)y * map->samples, map->samples * sizeof *rgb);
}

enum dr_code image_write(const char *path, const struct image_write_options *options,
                         const float *rgb, struct dr_error *err)
{
    struct map map = {.rgb = rgb, .samples = 3 * (size_t)options->width};
    const struct image_rows rows = {.get = get_row, .cookie = &map};
    return image_write_rows(path, options, &rows, err);
}

bool image_format_from_path(const char *path, enum image_format *format)
{
    const char *const slash = strrchr(path, '/');
    const char *const dot = strrchr(slash ? slash : path, '.');
    if (!dot) return false;
    const bool png = strcasecmp(dot, ".png") == 0;
    if (!png && strcasecmp(dot, ".jpg") != 0 && strcasecmp(dot, ".jpeg") != 0)
        return false;
    *format = png ? IMAGE_PNG : IMAGE_JPEG;
    return true;
}

static enum dr_code read_text(struct image_reader *reader, char **text,
                              struct dr_error *err)
{
    const enum dr_code code = read_head(reader, IMAGE_WANT_TEXT, err);
    return code == DR_OK ? reader->decoder->text(reader->state, text, err) : code;
}

enum dr_code image_read_parameters(const char *path, char **text, struct dr_error *err)
{
    *text = NULL;
    struct image_reader *reader = new_reader(path);
    if (!reader) return error_set(err, DR_NOMEM, "%s: no memory for a reader", path);
    enum dr_code code = image_source_open(&reader->source, reader->name, err);
    if (code == DR_OK) code = read_text(reader, text, err);
    image_reader_close(&reader);
    return code;
}

enum dr_code image_read_parameters_memory(const void *data, size_t bytes, char **text,
                                          struct dr_error *err)
{
    *text = NULL;
    struct image_reader *reader = new_reader("picture in memory");
    if (!reader) return error_set(err, DR_NOMEM, "no memory for a reader");
    image_source_open_memory(&reader->source, data, bytes, reader->name);
    const enum dr_code code = read_text(reader, text, err);
    image_reader_close(&reader);
    return code;
}
