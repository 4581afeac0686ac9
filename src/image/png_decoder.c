/* PNG in, by libpng.
 *
 * libpng expands palettes, 1-4 bit samples and tRNS; pixel_row does the rest. Interlaced
 * pictures are read pass by pass without libpng's own interlace handling: each pass then is a
 * small picture of its own rows, whose pixels go straight to their places in the caller's
 * memory, so no second copy of the picture is needed.
 *
 * Colour management is left out on purpose (gAMA, cHRM, iCCP): Pillow, and so every peer,
 * takes the samples as they are. These chunks are skipped unread, which also keeps their
 * decompression bombs out.
 *
 * Source: PNG specification, third edition; libpng manual, "png_start_read_image".
 */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/exif.h"
#include "image/image_codec.h"
#include "image/parameters_text.h"

enum {
    SIGNATURE_BYTES = 8,
    HEAD_BYTES = SIGNATURE_BYTES + 8 + 13,
    EXIF_MOST_BYTES = 1 << 20,
    SCAN_MOST_CHUNKS = 1 << 20,
    TEXT_MOST_CHUNKS = 1000,
    CHUNK_MOST_BYTES = 8 << 20,
};

struct png_state {
    struct image_source *source;
    enum image_want want;
    png_structp png;
    png_infop info;
    struct pixel_layout layout;
    uint32_t width, height;
    /* for the pixels step */
    uint8_t *row;
    float *rgb;
    struct pixel_place place;
    char message[128];
    jmp_buf jump;
};

_Noreturn static void on_error(png_structp png, png_const_charp message)
{
    struct png_state *const state = png_get_error_ptr(png);
    (void)snprintf(state->message, sizeof state->message, "%s", message);
    longjmp(state->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png; /* libpng goes on, and so do we */
    (void)message;
}

static void on_read(png_structp png, png_bytep target, size_t bytes)
{
    struct png_state *const state = png_get_io_ptr(png);
    if (!image_source_read(state->source, target, bytes)) png_error(png, "end of data");
}

/* Run a step; false when libpng gave up in it. */
static bool png_try(struct png_state *state, void (*step)(struct png_state *))
{
    if (setjmp(state->jump) != 0) return false;
    step(state);
    return true;
}

static enum dr_code fail(const struct png_state *state, struct dr_error *err)
{
    const char *const name = state->source->name;
    if (state->source->state != IMAGE_SOURCE_GOOD)
        return image_source_fail(state->source, err);
    if (strstr(state->message, "memory"))
        return error_set(err, DR_NOMEM, "%s: reading the PNG: %s", name,
                         state->message);
    return error_set(err, DR_CORRUPT, "%s: damaged PNG: %s", name, state->message);
}

static uint32_t big32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 |
           data[3];
}

/* The size, before libpng sees the file: so a bomb is refused with its numbers. */
static enum dr_code check_head(struct image_source *source, struct dr_error *err)
{
    uint8_t head[HEAD_BYTES];
    if (!image_source_read(source, head, sizeof head))
        return image_source_fail(source, err);
    if (memcmp(head + SIGNATURE_BYTES + 4, "IHDR", 4) != 0)
        return error_set(err, DR_CORRUPT,
                         "%s: damaged PNG: it does not begin with IHDR", source->name);
    return image_check_size(source->name, big32(head + 16), big32(head + 20), err);
}

static enum dr_code read_orientation(struct image_source *source, size_t bytes,
                                     int32_t *orientation, struct dr_error *err)
{
    if (bytes > EXIF_MOST_BYTES) return DR_OK;
    uint8_t *const exif = malloc(bytes + 1);
    if (!exif)
        return error_set(err, DR_NOMEM, "%s: no memory for its EXIF", source->name);
    if (image_source_read(source, exif, bytes))
        *orientation = exif_orientation(exif, bytes);
    free(exif);
    return DR_OK;
}

/* eXIf may stand behind the pixels, where libpng would find it too late; so look for it
 * first. Whatever is damaged here is found again, and said, by the decoding itself. */
static enum dr_code scan_orientation(struct image_source *source, int32_t *orientation,
                                     struct dr_error *err)
{
    *orientation = 1;
    image_source_seek(source, SIGNATURE_BYTES);
    for (int chunk = 0; chunk < SCAN_MOST_CHUNKS; ++chunk) {
        uint8_t head[8];
        if (!image_source_read(source, head, sizeof head)) return DR_OK;
        const uint32_t bytes = big32(head);
        if (memcmp(head + 4, "IEND", 4) == 0) return DR_OK;
        if (memcmp(head + 4, "eXIf", 4) == 0)
            return read_orientation(source, bytes, orientation, err);
        image_source_skip(source, (uint64_t)bytes + 4);
    }
    return DR_OK;
}

static void step_head(struct png_state *state)
{
    state->png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, state, on_error, on_warning);
    state->info = state->png ? png_create_info_struct(state->png) : NULL;
    if (!state->info) {
        strcpy(state->message, "out of memory");
        longjmp(state->jump, 1);
    }
    png_structp const png = state->png;
    png_set_read_fn(png, state, on_read);
    png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_set_chunk_cache_max(png, TEXT_MOST_CHUNKS);
    png_set_chunk_malloc_max(png, CHUNK_MOST_BYTES);
    /* A negative count: all but IHDR, PLTE, tRNS, IDAT and IEND. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    if (state->want == IMAGE_WANT_TEXT)
        png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT,
                                    (png_const_bytep) "tEXt\0zTXt\0iTXt", 3);
    png_read_info(png, state->info);
    png_set_expand(png);
    png_read_update_info(png, state->info);
    state->width = png_get_image_width(png, state->info);
    state->height = png_get_image_height(png, state->info);
}

static enum dr_code read_layout(struct png_state *state, struct dr_error *err)
{
    static const enum pixel_kind kinds[] = {PIXEL_GREY, PIXEL_GREY_ALPHA, PIXEL_RGB,
                                            PIXEL_RGB_ALPHA};
    const int32_t channels = png_get_channels(state->png, state->info);
    const int32_t bits = png_get_bit_depth(state->png, state->info);
    if (channels < 1 || channels > 4 || (bits != 8 && bits != 16))
        return error_set(err, DR_UNSUPPORTED, "%s: a PNG of %d channels of %d bits",
                         state->source->name, (int)channels, (int)bits);
    state->layout = (struct pixel_layout){kinds[channels - 1], bits};
    return DR_OK;
}

static void decoder_close(void *opaque)
{
    struct png_state *const state = opaque;
    if (!state) return;
    png_destroy_read_struct(&state->png, &state->info, NULL);
    free(state->row);
    free(state);
}

static enum dr_code decoder_open(void **opaque, struct image_source *source,
                                 enum image_want want, struct image_head *head,
                                 struct dr_error *err)
{
    *opaque = NULL;
    enum dr_code code = check_head(source, err);
    if (code != DR_OK) return code;
    struct png_state *const state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, DR_NOMEM, "%s: no memory for a decoder", source->name);
    *opaque = state;
    state->source = source;
    state->want = want;
    int32_t orientation = 1;
    if (want == IMAGE_WANT_PIXELS) code = scan_orientation(source, &orientation, err);
    if (code != DR_OK) return code;
    image_source_seek(source, 0);
    if (!png_try(state, step_head)) return fail(state, err);
    code = read_layout(state, err);
    if (code != DR_OK) return code;
    *head = (struct image_head){
        .format = IMAGE_PNG,
        .width = (int32_t)state->width,
        .height = (int32_t)state->height,
        .bits = state->layout.bits,
        .orientation = orientation,
    };
    return DR_OK;
}

/* Which pixels of the picture a pass has: x0 + i * dx of rows y0 + j * dy. */
struct pass {
    uint32_t x0, y0, dx, dy;
};

static const struct pass whole = {0, 0, 1, 1};
static const struct pass adam7[PNG_INTERLACE_ADAM7_PASSES] = {
    {0, 0, 8, 8},
    {4, 0, 8, 8},
    {0, 4, 4, 8},
    {2, 0, 4, 4},
    {0, 2, 2, 4},
    {1, 0, 2, 2},
    {0, 1, 1, 2},
};

/* A pass without pixels is not in the file, and libpng steps over it. */
static void read_pass(struct png_state *state, const struct pass *pass)
{
    const struct pixel_place *const place = &state->place;
    if (pass->x0 >= state->width) return;
    const uint32_t columns = (state->width - pass->x0 + pass->dx - 1) / pass->dx;
    for (uint32_t y = pass->y0; y < state->height; y += pass->dy) {
        png_read_row(state->png, state->row, NULL);
        const ptrdiff_t first =
            place->origin + pass->x0 * place->step_x + (ptrdiff_t)y * place->step_y;
        pixel_row_read(state->row, state->layout, (int32_t)columns,
                       state->rgb + 3 * first, 3 * (ptrdiff_t)pass->dx * place->step_x);
    }
}

static void step_pixels(struct png_state *state)
{
    if (png_get_interlace_type(state->png, state->info) == PNG_INTERLACE_NONE)
        read_pass(state, &whole);
    else
        for (int i = 0; i < PNG_INTERLACE_ADAM7_PASSES; ++i)
            read_pass(state, &adam7[i]);
    png_read_end(state->png, NULL);
}

static enum dr_code decoder_pixels(void *opaque, const struct pixel_place *place,
                                   float *rgb, struct dr_error *err)
{
    struct png_state *const state = opaque;
    state->row = malloc(png_get_rowbytes(state->png, state->info));
    if (!state->row)
        return error_set(err, DR_NOMEM, "%s: no memory for a row", state->source->name);
    state->rgb = rgb;
    state->place = *place;
    return png_try(state, step_pixels) ? DR_OK : fail(state, err);
}

static enum dr_code decoder_text(void *opaque, char **text, struct dr_error *err)
{
    struct png_state *const state = opaque;
    *text = NULL;
    png_textp texts = NULL;
    const int count = png_get_text(state->png, state->info, &texts, NULL);
    for (int i = 0; i < count; ++i) {
        const png_text *const found = &texts[i];
        if (strcmp(found->key, "parameters") != 0) continue;
        const bool utf8 = found->compression >= PNG_ITXT_COMPRESSION_NONE;
        const char *const body = found->text ? found->text : "";
        *text = utf8 ? parameters_text_clean(body, strlen(body))
                     : parameters_text_from_latin1(body, strlen(body));
        if (!*text)
            return error_set(err, DR_NOMEM, "%s: no memory", state->source->name);
        break;
    }
    return DR_OK;
}

const struct image_decoder png_decoder = {
    .open = decoder_open,
    .pixels = decoder_pixels,
    .text = decoder_text,
    .close = decoder_close,
};
