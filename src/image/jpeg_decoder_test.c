/* JPEGs of many kinds are made here with libjpeg, and read back. What they should give is
 * taken from libjpeg itself, used in the plainest way.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "check.h"

#include <jpeglib.h>

#include "image/image.h"

static uint64_t random_state = 11;

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
    unsigned long count;
};

struct recipe {
    int32_t width, height;
    J_COLOR_SPACE in, stored;
    int32_t quality, luma_h, luma_v, restart;
    bool progressive, arithmetic;
    int32_t orientation; /* 0: no EXIF */
    bool little_endian, other_app1;
    const jpeg_scan_info *scans;
    int32_t scan_count;
};

static int32_t channels_of(J_COLOR_SPACE space)
{
    return space == JCS_GRAYSCALE ? 1 : space == JCS_CMYK ? 4 : 3;
}

static void put_exif(struct jpeg_compress_struct *jpeg, const struct recipe *recipe)
{
    unsigned char big[] =
        "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    unsigned char little[] =
        "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0";
    big[25] = little[24] = (unsigned char)recipe->orientation;
    if (recipe->other_app1) /* XMP uses APP1 too */
        jpeg_write_marker(jpeg, JPEG_APP0 + 1,
                          (const JOCTET *)"http://ns.adobe.com/xap/1.0/\0<x/>", 33);
    if (recipe->orientation)
        jpeg_write_marker(jpeg, JPEG_APP0 + 1, recipe->little_endian ? little : big,
                          sizeof big - 1);
}

/* A smooth picture, so that lossy compression keeps near it. */
static void fill_row(const struct recipe *recipe, int32_t y, uint8_t *row)
{
    const int32_t channels = channels_of(recipe->in);
    for (int32_t x = 0; x < recipe->width; ++x)
        for (int32_t c = 0; c < channels; ++c)
            row[x * channels + c] = (uint8_t)(128 + (x * 3 - y * 2) * (c + 1) % 100);
}

static struct bytes make(const struct recipe *recipe)
{
    struct bytes file = {0};
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &file.data, &file.count);
    jpeg.image_width = (JDIMENSION)recipe->width;
    jpeg.image_height = (JDIMENSION)recipe->height;
    jpeg.input_components = channels_of(recipe->in);
    jpeg.in_color_space = recipe->in;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, recipe->stored);
    jpeg_set_quality(&jpeg, recipe->quality, TRUE);
    jpeg.comp_info[0].h_samp_factor = recipe->luma_h;
    jpeg.comp_info[0].v_samp_factor = recipe->luma_v;
    jpeg.restart_interval = (unsigned)recipe->restart;
    jpeg.arith_code = recipe->arithmetic;
    if (recipe->progressive) jpeg_simple_progression(&jpeg);
    if (recipe->scans) {
        jpeg.scan_info = recipe->scans;
        jpeg.num_scans = recipe->scan_count;
    }
    jpeg_start_compress(&jpeg, TRUE);
    put_exif(&jpeg, recipe);
    for (int32_t y = 0; y < recipe->height; ++y) {
        uint8_t row[4 * 64];
        fill_row(recipe, y, row);
        JSAMPROW rows[1] = {row};
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return file;
}

/* The samples as libjpeg decodes them, 1, 3 or 4 channels. */
static void decode_plainly(const struct bytes *file, J_COLOR_SPACE out,
                           uint8_t *samples)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, file->data, file->count);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = out;
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW rows[1] = {samples + jpeg.output_scanline * jpeg.output_width *
                                          (JDIMENSION)jpeg.output_components};
        jpeg_read_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
}

/* Shown position of a stored pixel, by EXIF's words. */
static int32_t shown_at(const struct recipe *recipe, int32_t x, int32_t y)
{
    const int32_t o = recipe->orientation ? recipe->orientation : 1;
    const bool right = o == 2 || o == 3 || o == 7 || o == 8;
    const bool bottom = o == 3 || o == 4 || o == 6 || o == 7;
    const int32_t u = right ? recipe->width - 1 - x : x;
    const int32_t v = bottom ? recipe->height - 1 - y : y;
    return o < 5 ? v * recipe->width + u : u * recipe->height + v;
}

static int count_wrong(const struct recipe *recipe, const uint8_t *samples,
                       const float *rgb)
{
    const int32_t channels = channels_of(recipe->in);
    int wrong = 0;
    for (int32_t y = 0; y < recipe->height; ++y)
        for (int32_t x = 0; x < recipe->width; ++x) {
            const uint8_t *const s = samples + (y * recipe->width + x) * channels;
            const float *const pixel = rgb + 3 * shown_at(recipe, x, y);
            for (int32_t c = 0; c < 3; ++c) {
                float wanted = (float)s[channels == 1 ? 0 : c] / 255.0f;
                if (channels == 4) wanted *= (float)s[3] / 255.0f;
                wrong += pixel[c] != wanted;
            }
        }
    return wrong;
}

static void check_recipe(const struct recipe *recipe)
{
    struct bytes file = make(recipe);
    struct image_reader *reader = NULL;
    struct image_head head = {0};
    struct dr_error err = {.message = ""};
    check_int(image_reader_open_memory(&reader, &head, file.data, file.count, &err), ==,
              DR_OK);
    check_str(err.message, "");
    const size_t pixels = (size_t)recipe->width * (size_t)recipe->height;
    float *const rgb = malloc(3 * pixels * sizeof *rgb);
    uint8_t *const samples = malloc(4 * pixels);
    if (!rgb || !samples) abort();
    for (size_t i = 0; i < 3 * pixels; ++i)
        rgb[i] = -1.0f;
    if (reader) {
        const bool swapped = recipe->orientation >= 5;
        check_int(head.format, ==, IMAGE_JPEG);
        check_int(head.bits, ==, 8);
        check_int(head.width, ==, swapped ? recipe->height : recipe->width);
        check_int(head.height, ==, swapped ? recipe->width : recipe->height);
        check_int(image_reader_pixels(reader, rgb, &err), ==, DR_OK);
        check_str(err.message, "");
    }
    decode_plainly(&file, recipe->in, samples);
    const int wrong = count_wrong(recipe, samples, rgb);
    if (wrong)
        check_fail_at("%d wrong values of %d x %d, in %d stored %d, orientation %d",
                      wrong, recipe->width, recipe->height, (int)recipe->in,
                      (int)recipe->stored, recipe->orientation);
    image_reader_close(&reader);
    free(samples);
    free(rgb);
    free(file.data);
}

static const struct {
    J_COLOR_SPACE in, stored;
} kinds[] = {
    {JCS_GRAYSCALE, JCS_GRAYSCALE},
    {JCS_RGB,       JCS_YCbCr    },
    {JCS_RGB,       JCS_RGB      },
    {JCS_CMYK,      JCS_CMYK     },
    {JCS_CMYK,      JCS_YCCK     },
};
enum {
    KIND_COUNT = sizeof kinds / sizeof kinds[0]
};

static struct recipe random_recipe(int kind)
{
    const bool subsample = kinds[kind].stored == JCS_YCbCr;
    return (struct recipe){
        .width = 1 + (int32_t)random_below(40),
        .height = 1 + (int32_t)random_below(40),
        .in = kinds[kind].in,
        .stored = kinds[kind].stored,
        .quality = 50 + (int32_t)random_below(51),
        .luma_h = subsample ? 1 + (int32_t)random_below(2) : 1,
        .luma_v = subsample ? 1 + (int32_t)random_below(2) : 1,
        .restart = (int32_t)random_below(3),
        .progressive = random_below(2),
        .arithmetic = random_below(4) == 0,
        .orientation = (int32_t)random_below(9),
        .little_endian = random_below(2),
        .other_app1 = random_below(2),
    };
}

static void every_kind(void)
{
    for (int kind = 0; kind < KIND_COUNT; ++kind)
        for (int round = 0; round < 80; ++round) {
            const struct recipe recipe = random_recipe(kind);
            check_recipe(&recipe);
        }
}

/* Against the picture itself, so that both sides are not wrong together. */
static void is_near_the_original(void)
{
    const struct recipe recipe = {.width = 40,
                                  .height = 30,
                                  .in = JCS_RGB,
                                  .stored = JCS_RGB,
                                  .quality = 100,
                                  .luma_h = 1,
                                  .luma_v = 1};
    struct bytes file = make(&recipe);
    struct image_reader *reader = NULL;
    struct image_head head;
    float rgb[3 * 40 * 30];
    check_int(image_reader_open_memory(&reader, &head, file.data, file.count, NULL), ==,
              DR_OK);
    check_int(image_reader_pixels(reader, rgb, NULL), ==, DR_OK);
    for (int32_t y = 0; y < 30; ++y) {
        uint8_t row[3 * 40];
        fill_row(&recipe, y, row);
        for (int32_t i = 0; i < 120; ++i)
            check_real(fabsf(rgb[y * 120 + i] - (float)row[i] / 255.0f), <,
                       3.0 / 255.0);
    }
    image_reader_close(&reader);
    free(file.data);
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
    if (code == DR_OK && (int64_t)head.width * head.height <= 64 * 64) {
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

/* Whatever is cut off, be it the end marker only, it is an error. */
static void every_truncation(void)
{
    for (int kind = 0; kind < KIND_COUNT; ++kind)
        for (int round = 0; round < 4; ++round) {
            struct recipe recipe = random_recipe(kind);
            recipe.progressive = round & 1;
            recipe.arithmetic = round & 2;
            struct bytes file = make(&recipe);
            for (size_t count = 0; count < file.count; ++count) {
                struct dr_error err = {.message = ""};
                const enum dr_code code = read_all(file.data, count, &err);
                check_int(code, ==, count == 1 ? DR_UNSUPPORTED : DR_CORRUPT);
                if (count >= 2) check_has(err.message, "truncated");
            }
            free(file.data);
        }
}

/* A file that was cut and given an end marker: libjpeg would fill it up with grey. */
static void cut_and_ended(void)
{
    for (int round = 0; round < 60; ++round) {
        struct recipe recipe = random_recipe(round % KIND_COUNT);
        recipe.width = recipe.height = 40;
        recipe.progressive = false;
        recipe.arithmetic = false;
        struct bytes file = make(&recipe);
        const size_t cut = file.count - 40;
        file.data[cut] = 0xFF;
        file.data[cut + 1] = 0xD9;
        struct dr_error err = {.message = ""};
        check_int(read_all(file.data, cut + 2, &err), ==, DR_CORRUPT);
        check_has(err.message, "damaged JPEG");
        free(file.data);
    }
}

/* Nothing is promised but bounds and an answer. */
static void random_damage(void)
{
    int refused = 0;
    for (int round = 0; round < 1500; ++round) {
        const struct recipe recipe = random_recipe(round % KIND_COUNT);
        struct bytes file = make(&recipe);
        for (uint32_t i = 0; i <= random_below(4); ++i)
            file.data[random_below((uint32_t)file.count)] ^=
                (uint8_t)(1 + random_below(255));
        struct dr_error err = {.message = ""};
        refused += read_all(file.data, file.count, &err) != DR_OK;
        free(file.data);
    }
    check_int(refused, >, 200);
}

/* The place of a marker 0xFF code in a file. */
static size_t find_marker(const struct bytes *file, uint8_t code)
{
    for (size_t i = 2; i + 1 < file->count; ++i)
        if (file->data[i] == 0xFF && file->data[i + 1] == code) return i;
    check_fail_at("no marker %02x", code);
    return 0;
}

static enum dr_code claim(bool progressive, uint32_t width, uint32_t height, int bits,
                          struct dr_error *err)
{
    struct recipe recipe = random_recipe(1);
    recipe.progressive = progressive;
    recipe.arithmetic = false;
    recipe.orientation = 0;
    recipe.luma_h = recipe.luma_v = 1;
    struct bytes file = make(&recipe);
    const size_t frame = find_marker(&file, progressive ? 0xC2 : 0xC0);
    file.data[frame + 4] = (uint8_t)bits;
    file.data[frame + 5] = (uint8_t)(height >> 8);
    file.data[frame + 6] = (uint8_t)(height & 0xFF);
    file.data[frame + 7] = (uint8_t)(width >> 8);
    file.data[frame + 8] = (uint8_t)(width & 0xFF);
    struct image_reader *reader = NULL;
    struct image_head head;
    const enum dr_code code =
        image_reader_open_memory(&reader, &head, file.data, file.count, err);
    image_reader_close(&reader);
    free(file.data);
    return code;
}

static void bombs_are_refused_by_their_head(void)
{
    struct dr_error err = {.message = ""};
    check_int(claim(false, 16384, 16384, 8, &err), ==, DR_OK);
    check_int(claim(false, 32769, 10, 8, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "32769 x 10");
    check_int(claim(false, 16384, 16385, 8, &err), ==, DR_BAD_INPUT);
    check_int(claim(false, 65535, 65535, 8, &err), ==, DR_BAD_INPUT);
    check_int(claim(false, 0, 10, 8, &err), ==, DR_CORRUPT);
    check_int(claim(false, 10, 10, 12, &err), ==, DR_UNSUPPORTED);
    check_has(err.message, "12");
    /* 4:4:4 has 6 bytes of coefficients a pixel. */
    check_int(claim(true, 6600, 6600, 8, &err), ==, DR_OK);
    check_int(claim(true, 6700, 6700, 8, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "progressive");
    check_has(err.message, "268435456");
}

/* One scan a component, not interleaved. */
static const jpeg_scan_info three_scans[] = {
    {1, {0}, 0, 63, 0, 0},
    {1, {1}, 0, 63, 0, 0},
    {1, {2}, 0, 63, 0, 0},
};

static struct bytes make_three_scans(void)
{
    const struct recipe recipe = {.width = 33,
                                  .height = 31,
                                  .in = JCS_RGB,
                                  .stored = JCS_YCbCr,
                                  .quality = 90,
                                  .luma_h = 1,
                                  .luma_v = 1,
                                  .scans = three_scans,
                                  .scan_count = 3};
    check_recipe(&recipe);
    return make(&recipe);
}

static void a_missing_component(void)
{
    struct bytes file = make_three_scans();
    /* End the file where the last scan begins (its tables come before it, and may stay). */
    size_t last = 0;
    for (size_t i = 2; i + 1 < file.count; ++i)
        if (file.data[i] == 0xFF && file.data[i + 1] == 0xDA) last = i;
    file.data[last] = 0xFF;
    file.data[last + 1] = 0xD9;
    struct dr_error err = {.message = ""};
    check_int(read_all(file.data, last + 2, &err), ==, DR_CORRUPT);
    check_has(err.message, "component is missing");
    free(file.data);
}

/* Each scan is some hundred bytes to store and a whole picture to decode. */
static void too_many_scans(void)
{
    struct bytes file = make_three_scans();
    const size_t first = find_marker(&file, 0xDA);
    size_t end = first + 2;
    while (file.data[end] != 0xFF || file.data[end + 1] == 0)
        ++end;
    const size_t scan = end - first;
    for (int times = 1; times <= 200; times += 199) {
        const size_t count = file.count + (size_t)times * scan;
        uint8_t *const data = malloc(count);
        if (!data) abort();
        memcpy(data, file.data, end);
        for (int i = 0; i < times; ++i)
            memcpy(data + end + (size_t)i * scan, file.data + first, scan);
        memcpy(data + end + (size_t)times * scan, file.data + end, file.count - end);
        struct dr_error err = {.message = ""};
        check_int(read_all(data, count, &err), ==, times == 1 ? DR_OK : DR_BAD_INPUT);
        if (times > 1) check_has(err.message, "scans");
        free(data);
    }
    free(file.data);
}

/* Bytes between the picture and the end marker are untidy, not damage: cameras leave them. */
static void padding_before_the_end_is_fine(void)
{
    struct recipe recipe = random_recipe(1);
    recipe.progressive = recipe.arithmetic = false;
    struct bytes file = make(&recipe);
    uint8_t *const data = malloc(file.count + 5);
    if (!data) abort();
    memcpy(data, file.data, file.count - 2);
    memset(data + file.count - 2, 0, 5);
    memcpy(data + file.count + 3, "\xFF\xD9", 2);
    struct dr_error err = {.message = ""};
    check_int(read_all(data, file.count + 5, &err), ==, DR_OK);
    free(data);
    free(file.data);
}

/* A big EXIF block, then another user's, larger than the read buffer. */
static void odd_app1_blocks(void)
{
    const struct recipe recipe = random_recipe(1);
    struct bytes file = make(&recipe);
    static uint8_t data[400000];
    for (size_t length = 2; length < 70000;
         length = length < 16 ? length + 1 : length * 7) {
        if (length > 65535) length = 65535;
        size_t count = 0;
        memcpy(data, file.data, 2);
        count = 2;
        for (int i = 0; i < 3; ++i) {
            data[count++] = 0xFF;
            data[count++] = 0xE1;
            data[count++] = (uint8_t)(length >> 8);
            data[count++] = (uint8_t)(length & 0xFF);
            memset(data + count, 'x', length - 2);
            if (i && length >= 8) memcpy(data + count, "Exif\0\0", 6);
            count += length - 2;
        }
        memcpy(data + count, file.data + 2, file.count - 2);
        count += file.count - 2;
        struct dr_error err = {.message = ""};
        check_int(read_all(data, count, &err), ==, DR_OK);
        if (length == 65535) break;
    }
    free(file.data);
}

int main(void)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)random_state);
    check_run(every_kind);
    check_run(is_near_the_original);
    check_run(every_truncation);
    check_run(cut_and_ended);
    check_run(random_damage);
    check_run(bombs_are_refused_by_their_head);
    check_run(a_missing_component);
    check_run(too_many_scans);
    check_run(padding_before_the_end_is_fine);
    check_run(odd_app1_blocks);
    return check_done();
}
