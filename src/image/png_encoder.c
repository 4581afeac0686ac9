/* PNG out, by libpng: RGB of 8 or 16 bits, row by row, with the parameters text before the
 * pixels. Nothing in the file tells a time or a machine, so the same picture and the same
 * library give the same bytes.
 */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image_codec.h"
#include "image/parameters_text.h"

/* zlib's default, and Pillow's; said, so that it stays. */
enum {
    COMPRESSION_LEVEL = 6
};
/* Of a text: libpng's readers refuse chunks above 8,000,000 bytes. */
enum {
    TEXT_MOST_BYTES = 7999000
};

struct png_state {
    struct image_sink *sink;
    const struct image_write_options *options;
    const struct image_rows *rows;
    png_structp png;
    png_infop info;
    float *values; /* of a row, and what is stored of it */
    uint8_t *row;
    char *text;
    bool text_is_latin1;
    int32_t bad_row; /* the first with a value that is not finite, or -1 */
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
    (void)png;
    (void)message;
}

static void on_write(png_structp png, png_bytep data, size_t bytes)
{
    struct png_state *const state = png_get_io_ptr(png);
    if (!image_sink_put(state->sink, data, bytes)) png_error(png, "cannot be written");
}

static void on_flush(png_structp png)
{
    (void)png; /* the sink is flushed once, at the end */
}

/* Run a step; false when libpng gave up in it. */
static bool png_try(struct png_state *state, void (*step)(struct png_state *))
{
    if (setjmp(state->jump) != 0) return false;
    step(state);
    return true;
}

static void put_text(struct png_state *state)
{
    char key[] = "parameters";
    png_text text = {
        .compression = state->text_is_latin1 ? PNG_TEXT_COMPRESSION_NONE
                                             : PNG_ITXT_COMPRESSION_NONE,
        .key = key,
        .text = state->text,
    };
    png_set_text(state->png, state->info, &text, 1);
}

static void put_rows(struct png_state *state)
{
    const struct image_write_options *const options = state->options;
    const size_t samples = 3 * (size_t)options->width;
    for (int32_t y = 0; y < options->height; ++y) {
        state->rows->get(state->rows->cookie, y, state->values);
        if (!pixel_row_write(state->values, samples, options->bits, state->row)) {
            state->bad_row = y;
            return;
        }
        png_write_row(state->png, state->row);
    }
    png_write_end(state->png, NULL);
}

static void step_write(struct png_state *state)
{
    const struct image_write_options *const options = state->options;
    state->png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, state, on_error, on_warning);
    state->info = state->png ? png_create_info_struct(state->png) : NULL;
    if (!state->info) {
        strcpy(state->message, "out of memory");
        longjmp(state->jump, 1);
    }
    png_set_write_fn(state->png, state, on_write, on_flush);
    png_set_compression_level(state->png, COMPRESSION_LEVEL);
    png_set_IHDR(state->png, state->info, (png_uint_32)options->width,
                 (png_uint_32)options->height, options->bits, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (state->text) put_text(state);
    png_write_info(state->png, state->info);
    put_rows(state);
}

/* The text as it is stored: malloc'ed, or NULL. */
static char *stored_text(const char *text, bool *is_latin1)
{
    char *const latin1 = parameters_text_to_latin1(text, is_latin1);
    return *is_latin1 ? latin1 : parameters_text_clean(text, strlen(text));
}

static bool prepare_text(struct png_state *state)
{
    const char *const text = state->options->parameters;
    if (!text) return true;
    state->text = stored_text(text, &state->text_is_latin1);
    return state->text != NULL;
}

static enum dr_code encoder_check(const char *name,
                                  const struct image_write_options *options,
                                  struct dr_error *err)
{
    bool is_latin1;
    if (!options->parameters) return DR_OK;
    char *const text = stored_text(options->parameters, &is_latin1);
    if (!text) return error_set(err, DR_NOMEM, "%s: no memory for the text", name);
    const size_t bytes = strlen(text);
    free(text);
    if (bytes <= TEXT_MOST_BYTES) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "%s: the parameters text has %zu bytes, PNG readers accept at "
                     "most %d; use a shorter prompt",
                     name, bytes, TEXT_MOST_BYTES);
}

static enum dr_code encoder_write(struct image_sink *sink,
                                  const struct image_write_options *options,
                                  const struct image_rows *rows, struct dr_error *err)
{
    struct png_state *const state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, DR_NOMEM, "%s: no memory for an encoder", sink->name);
    *state = (struct png_state){
        .sink = sink, .options = options, .rows = rows, .bad_row = -1};
    state->values = malloc(3 * sizeof *state->values * (size_t)options->width);
    state->row = malloc(6 * (size_t)options->width);
    enum dr_code code = DR_OK;
    if (!state->values || !state->row || !prepare_text(state))
        code = error_set(err, DR_NOMEM, "%s: no memory for a row", sink->name);
    else if (!png_try(state, step_write))
        /* The options are checked, so what is left to fail is memory; libpng has many words
         * for it. */
        code = sink->code != DR_OK ? sink->code
                                   : error_set(err, DR_NOMEM, "%s: writing the PNG: %s",
                                               sink->name, state->message);
    else if (state->bad_row >= 0)
        code = error_set(
            err, DR_NOT_FINITE,
            "%s: not written: row %d of the picture has a value that is not a "
            "finite number",
            sink->name, (int)state->bad_row);
    png_destroy_write_struct(&state->png, &state->info);
    free(state->values);
    free(state->row);
    free(state->text);
    free(state);
    return code;
}

const struct image_encoder png_encoder = {.check = encoder_check,
                                          .write = encoder_write};
