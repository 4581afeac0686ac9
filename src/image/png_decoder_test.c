/* PNGs of every kind are made here with libpng, from samples that are known, and read back. */
#include <png.h>

#include "check.h"
#include "image/image.h"

static uint64_t random_state = 7;

static uint32_t random_below(uint32_t limit)
{
    random_state += 0x9E3779B97F4A7C15u;
    uint64_t z = random_state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) >> 32) % limit;
}

struct bytes {
    uint8_t *data;
    size_t count, capacity;
};

static void bytes_put(struct bytes *bytes, const void *data, size_t count)
{
    if (bytes->count + count > bytes->capacity) {
        bytes->capacity = 2 * (bytes->count + count);
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data) abort();
    }
    memcpy(bytes->data + bytes->count, data, count);
    bytes->count += count;
}

static void on_write(png_structp png, png_bytep data, size_t count)
{
    bytes_put(png_get_io_ptr(png), data, count);
}

static void on_flush(png_structp png)
{
    (void)png;
}

enum exif_place {
    EXIF_NONE,
    EXIF_EARLY,
    EXIF_LATE
};

struct recipe {
    int32_t width, height, bits, color;
    bool interlaced, transparent;
    enum exif_place exif;
    int32_t orientation;
};

enum {
    SAMPLES_MOST = 4 * 40 * 40
};

/* What is in a made picture: samples as stored, and what they mean. */
struct made {
    struct recipe recipe;
    uint16_t samples[SAMPLES_MOST];
    png_color palette[256];
    png_byte palette_alpha[256];
    int32_t palette_count, alpha_count;
    png_color_16 key; /* the transparent colour */
    struct bytes file;
};

static int32_t channels_of(int32_t color)
{
    return color == PNG_COLOR_TYPE_RGB          ? 3
           : color == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
           : color == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                : 1;
}

static void choose_transparency(struct made *made)
{
    const struct recipe *const recipe = &made->recipe;
    if (recipe->color == PNG_COLOR_TYPE_PALETTE) {
        made->alpha_count = 1 + (int32_t)random_below((uint32_t)made->palette_count);
        for (int32_t i = 0; i < made->alpha_count; ++i)
            made->palette_alpha[i] = (png_byte)random_below(256);
        return;
    }
    /* One of the pixels gives the key, so that it really occurs. */
    const int32_t channels = channels_of(recipe->color);
    const uint16_t *const pixel =
        made->samples +
        channels * (int32_t)random_below((uint32_t)(recipe->width * recipe->height));
    made->key.gray = pixel[0];
    if (channels < 3) return;
    made->key.red = pixel[0];
    made->key.green = pixel[1];
    made->key.blue = pixel[2];
}

static void choose_samples(struct made *made)
{
    const struct recipe *const recipe = &made->recipe;
    const int32_t count = recipe->width * recipe->height * channels_of(recipe->color);
    uint32_t limit = 1u << recipe->bits;
    if (recipe->color == PNG_COLOR_TYPE_PALETTE) {
        made->palette_count = 1 + (int32_t)random_below(limit);
        limit = (uint32_t)made->palette_count;
        for (int32_t i = 0; i < made->palette_count; ++i)
            made->palette[i] =
                (png_color){(png_byte)random_below(256), (png_byte)random_below(256),
                            (png_byte)random_below(256)};
    }
    for (int32_t i = 0; i < count; ++i) {
        made->samples[i] = (uint16_t)random_below(limit);
        /* Fully clear and fully opaque alpha often. */
        if (random_below(4) == 0)
            made->samples[i] = (uint16_t)(random_below(2) * (limit - 1));
    }
}

/* The row's samples packed as PNG has them. */
static void pack_row(const struct made *made, int32_t y, uint8_t *row)
{
    const struct recipe *const recipe = &made->recipe;
    const int32_t count = recipe->width * channels_of(recipe->color);
    const uint16_t *const samples = made->samples + y * count;
    memset(row, 0, (size_t)(count * recipe->bits + 7) / 8);
    for (int32_t i = 0; i < count; ++i) {
        if (recipe->bits == 16) {
            row[2 * i] = (uint8_t)(samples[i] >> 8);
            row[2 * i + 1] = (uint8_t)(samples[i] & 0xFF);
            continue;
        }
        const int32_t at = i * recipe->bits;
        row[at / 8] |= (uint8_t)(samples[i] << (8 - recipe->bits - at % 8));
    }
}

static void put_exif(png_structp png, png_infop info, int32_t orientation)
{
    png_byte exif[] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    exif[19] = (png_byte)orientation;
    png_set_eXIf_1(png, info, sizeof exif - 1, exif);
}

/* A file from a recipe. The caller frees file.data. */
static void make(struct made *made, struct recipe recipe)
{
    memset(made, 0, sizeof *made);
    made->recipe = recipe;
    choose_samples(made);
    if (recipe.transparent) choose_transparency(made);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &made->file, on_write, on_flush);
    png_set_IHDR(png, info, (png_uint_32)recipe.width, (png_uint_32)recipe.height,
                 recipe.bits, recipe.color,
                 recipe.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (recipe.color == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, made->palette, made->palette_count);
    if (recipe.transparent)
        png_set_tRNS(png, info, made->palette_alpha, made->alpha_count, &made->key);
    if (recipe.exif == EXIF_EARLY) put_exif(png, info, recipe.orientation);
    /* What must not matter. */
    png_set_gAMA_fixed(png, info, 100000);
    png_set_pHYs(png, info, 3000, 1000, PNG_RESOLUTION_METER);
    png_write_info(png, info);
    const int32_t passes = png_set_interlace_handling(png);
    for (int32_t pass = 0; pass < passes; ++pass)
        for (int32_t y = 0; y < recipe.height; ++y) {
            uint8_t row[40 * 8];
            pack_row(made, y, row);
            png_write_row(png, row);
        }
    png_infop late = png_create_info_struct(png);
    png_write_end(png, late);
    png_destroy_info_struct(png, &late);
    png_destroy_write_struct(&png, &info);
    if (recipe.exif != EXIF_LATE) return;
    /* libpng writes eXIf before the pixels only: move one behind them, before IEND. */
    struct made twin = {.file = {0}};
    struct recipe early = {1, 1, 8, PNG_COLOR_TYPE_GRAY, .exif = EXIF_EARLY};
    early.orientation = recipe.orientation;
    make(&twin, early);
    size_t at = 8;
    while (memcmp(twin.file.data + at + 4, "eXIf", 4) != 0)
        at += 12 + twin.file.data[at + 3];
    uint8_t end[12];
    memcpy(end, made->file.data + made->file.count - 12, 12);
    made->file.count -= 12;
    bytes_put(&made->file, twin.file.data + at, 12u + twin.file.data[at + 3]);
    bytes_put(&made->file, end, 12);
    free(twin.file.data);
}

/* What pixel (x, y) means, plainly. */
static void meaning(const struct made *made, int32_t x, int32_t y, float rgb[3])
{
    const struct recipe *const recipe = &made->recipe;
    const int32_t channels = channels_of(recipe->color);
    const uint16_t *const s = made->samples + channels * (y * recipe->width + x);
    const float most = (float)((1 << recipe->bits) - 1);
    float alpha = 1.0f;
    for (int32_t c = 0; c < 3; ++c)
        rgb[c] = (float)s[channels >= 3 ? c : 0] / most;
    if (channels == 2 || channels == 4) alpha = (float)s[channels - 1] / most;
    if (recipe->color == PNG_COLOR_TYPE_PALETTE) {
        const png_color color = made->palette[s[0]];
        rgb[0] = (float)color.red / 255.0f;
        rgb[1] = (float)color.green / 255.0f;
        rgb[2] = (float)color.blue / 255.0f;
        if (s[0] < made->alpha_count) alpha = (float)made->palette_alpha[s[0]] / 255.0f;
    } else if (recipe->transparent) {
        const bool same = channels == 1
                              ? s[0] == made->key.gray
                              : s[0] == made->key.red && s[1] == made->key.green &&
                                    s[2] == made->key.blue;
        if (same) alpha = 0.0f;
    }
    for (int32_t c = 0; c < 3; ++c)
        rgb[c] = rgb[c] * alpha + (1.0f - alpha);
}

/* Shown position of a stored pixel, by EXIF's words. */
static int32_t shown_at(const struct recipe *recipe, int32_t x, int32_t y)
{
    const int32_t o = recipe->exif == EXIF_NONE ? 1 : recipe->orientation;
    const bool right = o == 2 || o == 3 || o == 7 || o == 8;
    const bool bottom = o == 3 || o == 4 || o == 6 || o == 7;
    const int32_t u = right ? recipe->width - 1 - x : x;
    const int32_t v = bottom ? recipe->height - 1 - y : y;
    return o < 5 ? v * recipe->width + u : u * recipe->height + v;
}

static void check_made(const struct made *made)
{
    const struct recipe *const recipe = &made->recipe;
    struct image_reader *reader = NULL;
    struct image_head head = {0};
    struct dr_error err = {.message = ""};
    check_int(image_reader_open_memory(&reader, &head, made->file.data,
                                       made->file.count, &err),
              ==, DR_OK);
    check_str(err.message, "");
    if (!reader) return;
    const bool swapped = recipe->exif != EXIF_NONE && recipe->orientation >= 5;
    check_int(head.format, ==, IMAGE_PNG);
    check_int(head.width, ==, swapped ? recipe->height : recipe->width);
    check_int(head.height, ==, swapped ? recipe->width : recipe->height);
    check_int(head.bits, ==, recipe->bits == 16 ? 16 : 8);
    const size_t values = 3 * (size_t)recipe->width * (size_t)recipe->height;
    float *const rgb =
        malloc(values * sizeof *rgb); /* exact, for the address sanitizer */
    if (!rgb) abort();
    for (size_t i = 0; i < values; ++i)
        rgb[i] = -1.0f;
    check_int(image_reader_pixels(reader, rgb, &err), ==, DR_OK);
    check_str(err.message, "");
    int wrong = 0;
    for (int32_t y = 0; y < recipe->height; ++y)
        for (int32_t x = 0; x < recipe->width; ++x) {
            float wanted[3];
            meaning(made, x, y, wanted);
            wrong +=
                memcmp(wanted, rgb + 3 * shown_at(recipe, x, y), sizeof wanted) != 0;
        }
    if (wrong)
        check_fail_at("%d wrong pixels of %d x %d, %d bits, colour %d, interlaced %d, "
                      "transparent %d, exif %d, orientation %d",
                      wrong, recipe->width, recipe->height, recipe->bits, recipe->color,
                      recipe->interlaced, recipe->transparent, recipe->exif,
                      recipe->orientation);
    free(rgb);
    image_reader_close(&reader);
    check(reader == NULL);
    image_reader_close(&reader);
}

static const struct {
    int32_t color, bits;
} kinds[] = {
    {PNG_COLOR_TYPE_GRAY,       1 },
    {PNG_COLOR_TYPE_GRAY,       2 },
    {PNG_COLOR_TYPE_GRAY,       4 },
    {PNG_COLOR_TYPE_GRAY,       8 },
    {PNG_COLOR_TYPE_GRAY,       16},
    {PNG_COLOR_TYPE_RGB,        8 },
    {PNG_COLOR_TYPE_RGB,        16},
    {PNG_COLOR_TYPE_PALETTE,    1 },
    {PNG_COLOR_TYPE_PALETTE,    2 },
    {PNG_COLOR_TYPE_PALETTE,    4 },
    {PNG_COLOR_TYPE_PALETTE,    8 },
    {PNG_COLOR_TYPE_GRAY_ALPHA, 8 },
    {PNG_COLOR_TYPE_GRAY_ALPHA, 16},
    {PNG_COLOR_TYPE_RGB_ALPHA,  8 },
    {PNG_COLOR_TYPE_RGB_ALPHA,  16},
};
enum {
    KIND_COUNT = sizeof kinds / sizeof kinds[0]
};

static struct recipe random_recipe(int32_t kind)
{
    struct recipe recipe = {
        .width = 1 + (int32_t)random_below(17),
        .height = 1 + (int32_t)random_below(17),
        .bits = kinds[kind].bits,
        .color = kinds[kind].color,
        .interlaced = random_below(2),
        .transparent = random_below(2),
        .exif = (enum exif_place)random_below(3),
        .orientation = 1 + (int32_t)random_below(8),
    };
    if (recipe.color & PNG_COLOR_MASK_ALPHA) recipe.transparent = false;
    return recipe;
}

static void every_kind(void)
{
    struct made *const made = malloc(sizeof *made);
    if (!made) abort();
    for (int32_t kind = 0; kind < KIND_COUNT; ++kind)
        for (int round = 0; round < 60; ++round) {
            make(made, random_recipe(kind));
            check_made(made);
            free(made->file.data);
        }
    free(made);
}

/* Interlacing leaves out whole passes in small pictures: every size from 1 to 9. */
static void every_small_interlaced_size(void)
{
    struct made *const made = malloc(sizeof *made);
    if (!made) abort();
    for (int32_t width = 1; width <= 9; ++width)
        for (int32_t height = 1; height <= 9; ++height) {
            struct recipe recipe = random_recipe(width % 2 ? 0 : 6);
            recipe.width = width;
            recipe.height = height;
            recipe.interlaced = true;
            make(made, recipe);
            check_made(made);
            free(made->file.data);
        }
    free(made);
}

/* Open and read; the first code that is not DR_OK. */
static enum dr_code read_all(const uint8_t *data, size_t count, struct dr_error *err)
{
    struct image_reader *reader = NULL;
    struct image_head head;
    /* A copy of the exact size, for the address sanitizer. */
    uint8_t *const copy = malloc(count ? count : 1);
    if (!copy) abort();
    if (count) memcpy(copy, data, count);
    enum dr_code code = image_reader_open_memory(&reader, &head, copy, count, err);
    if (code == DR_OK && (int64_t)head.width * head.height <= 40 * 40) {
        float *const rgb =
            malloc(sizeof *rgb * 3 * (size_t)head.width * (size_t)head.height);
        if (!rgb) abort();
        code = image_reader_pixels(reader, rgb, err);
        free(rgb);
    }
    check((code == DR_OK) == (err->message[0] == '\0'));
    image_reader_close(&reader);
    free(copy);
    return code;
}

/* Whatever is cut off, it is an error, and never half a picture. */
static void every_truncation(void)
{
    struct made *const made = malloc(sizeof *made);
    if (!made) abort();
    for (int32_t kind = 0; kind < KIND_COUNT; ++kind) {
        make(made, random_recipe(kind));
        for (size_t count = 0; count < made->file.count; ++count) {
            struct dr_error err = {.message = ""};
            const enum dr_code code = read_all(made->file.data, count, &err);
            check_int(code, ==, count < 4 && count > 0 ? DR_UNSUPPORTED : DR_CORRUPT);
            if (count >= 8) check_has(err.message, "truncated");
        }
        free(made->file.data);
    }
    free(made);
}

/* Every byte matters: the checksums find a wrong one, or it was in a chunk that is skipped. */
static void random_damage(void)
{
    struct made *const made = malloc(sizeof *made);
    if (!made) abort();
    int refused = 0;
    for (int round = 0; round < 2000; ++round) {
        make(made, random_recipe(round % KIND_COUNT));
        for (uint32_t i = 0; i <= random_below(3); ++i)
            made->file.data[random_below((uint32_t)made->file.count)] ^=
                (uint8_t)(1 + random_below(255));
        struct dr_error err = {.message = ""};
        refused += read_all(made->file.data, made->file.count, &err) != DR_OK;
        free(made->file.data);
    }
    check_int(refused, >, 1000);
    free(made);
}

static uint32_t crc_of(const uint8_t *data, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; ++i) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; ++bit)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

static void put_big32(uint8_t *data, uint32_t value)
{
    for (int i = 0; i < 4; ++i)
        data[i] = (uint8_t)(value >> (24 - 8 * i) & 0xFF);
}

/* A good small file that claims another size, with the right checksum. */
static enum dr_code claim_size(uint32_t width, uint32_t height, struct dr_error *err)
{
    struct made *const made = malloc(sizeof *made);
    if (!made) abort();
    make(made, (struct recipe){4, 4, 8, PNG_COLOR_TYPE_RGB, .exif = EXIF_NONE});
    put_big32(made->file.data + 16, width);
    put_big32(made->file.data + 20, height);
    put_big32(made->file.data + 29, crc_of(made->file.data + 12, 17));
    struct image_reader *reader = NULL;
    struct image_head head = {0};
    const enum dr_code code = image_reader_open_memory(&reader, &head, made->file.data,
                                                       made->file.count, err);
    check((code == DR_OK) == (reader != NULL));
    image_reader_close(&reader);
    free(made->file.data);
    free(made);
    return code;
}

static void bombs_are_refused_by_their_head(void)
{
    struct dr_error err = {.message = ""};
    check_int(claim_size(16384, 16384, &err), ==, DR_OK);
    check_int(claim_size(32768, 8192, &err), ==, DR_OK);
    check_int(claim_size(16384, 16385, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "16384 x 16385");
    check_has(err.message, "268435456");
    check_int(claim_size(32769, 1, &err), ==, DR_BAD_INPUT);
    check_int(claim_size(1, 32769, &err), ==, DR_BAD_INPUT);
    check_int(claim_size(0x7FFFFFFF, 0x7FFFFFFF, &err), ==, DR_BAD_INPUT);
    check_int(claim_size(0xFFFFFFFF, 0xFFFFFFFF, &err), ==, DR_BAD_INPUT);
    check_int(claim_size(0, 5, &err), ==, DR_CORRUPT);
    check_int(claim_size(5, 0, &err), ==, DR_CORRUPT);
}

/* More pixels promised than the data holds: an error, though the head was fine. */
static void too_little_data(void)
{
    struct made *const made = malloc(sizeof *made);
    if (!made) abort();
    make(made, (struct recipe){4, 4, 8, PNG_COLOR_TYPE_RGB, .exif = EXIF_NONE});
    put_big32(made->file.data + 20, 5);
    put_big32(made->file.data + 29, crc_of(made->file.data + 12, 17));
    struct dr_error err = {.message = ""};
    check_int(read_all(made->file.data, made->file.count, &err), ==, DR_CORRUPT);
    check_has(err.message, "damaged PNG");
    free(made->file.data);
    free(made);
}

static void not_a_png_inside(void)
{
    struct dr_error err = {.message = ""};
    const uint8_t no_ihdr[64] = "\x89PNG\r\n\x1a\n\0\0\0\0IEND\xae\x42\x60\x82";
    check_int(read_all(no_ihdr, sizeof no_ihdr, &err), ==, DR_CORRUPT);
    check_has(err.message, "IHDR");
    err.message[0] = '\0';
    struct made *const made = malloc(sizeof *made);
    if (!made) abort();
    make(made, (struct recipe){4, 4, 8, PNG_COLOR_TYPE_RGB, .exif = EXIF_NONE});
    made->file.data[4] = '\n'; /* a transfer in text mode */
    check_int(read_all(made->file.data, made->file.count, &err), ==, DR_CORRUPT);
    free(made->file.data);
    free(made);
}

int main(void)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)random_state);
    check_run(every_kind);
    check_run(every_small_interlaced_size);
    check_run(every_truncation);
    check_run(random_damage);
    check_run(bombs_are_refused_by_their_head);
    check_run(too_little_data);
    check_run(not_a_png_inside);
    return check_done();
}
