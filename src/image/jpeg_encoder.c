/* JPEG out, by libjpeg-turbo: baseline, full colour resolution (4:4:4), row by row, with the
 * parameters text as EXIF UserComment.
 *
 * The standard Huffman tables are kept: better ones (optimize_coding) would need the whole
 * picture's coefficients in the library's own memory.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "image/exif.h"
#include "image/image_codec.h"

enum {
    DEFAULT_QUALITY = 95,
    MARKER_MOST_BYTES = 65533,
    WRITE_BUFFER_BYTES = 8192
};

struct jpeg_state {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr writing;
    struct image_sink *sink;
    const struct image_write_options *options;
    const struct image_rows *rows;
    uint8_t *exif; /* with its prefix */
    size_t exif_bytes;
    float *values; /* of a row, and what is stored of it */
    uint8_t *row;
    int32_t bad_row; /* the first with a value that is not finite, or -1 */
    jmp_buf jump;
    uint8_t buffer[WRITE_BUFFER_BYTES];
};

_Noreturn static void on_error(j_common_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    longjmp(state->jump, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    (void)jpeg; /* nothing that is written here is worth a warning */
    (void)level;
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void on_start(j_compress_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    state->writing.next_output_byte = state->buffer;
    state->writing.free_in_buffer = sizeof state->buffer;
}

/* The library's rule: all of the buffer is full then, whatever free_in_buffer says. */
static boolean on_full(j_compress_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    if (!image_sink_put(state->sink, state->buffer, sizeof state->buffer))
        ERREXIT(jpeg, JERR_FILE_WRITE);
    on_start(jpeg);
    return TRUE;
}

static void on_end(j_compress_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    const size_t used = sizeof state->buffer - state->writing.free_in_buffer;
    if (!image_sink_put(state->sink, state->buffer, used))
        ERREXIT(jpeg, JERR_FILE_WRITE);
}

/* Run a step; false when libjpeg gave up in it. */
static bool jpeg_try(struct jpeg_state *state, void (*step)(struct jpeg_state *))
{
    if (setjmp(state->jump) != 0) return false;
    step(state);
    return true;
}

static void create(struct jpeg_state *state)
{
    j_compress_ptr const jpeg = &state->jpeg;
    jpeg->err = jpeg_std_error(&state->errors);
    jpeg->client_data = state; /* kept by jpeg_create_compress */
    state->errors.error_exit = on_error;
    state->errors.emit_message = on_message;
    state->errors.output_message = on_output;
    jpeg_create_compress(jpeg);
    state->writing = (struct jpeg_destination_mgr){
        .init_destination = on_start,
        .empty_output_buffer = on_full,
        .term_destination = on_end,
    };
    jpeg->dest = &state->writing;
}

static void configure(struct jpeg_state *state)
{
    j_compress_ptr const jpeg = &state->jpeg;
    const struct image_write_options *const options = state->options;
    jpeg->image_width = (JDIMENSION)options->width;
    jpeg->image_height = (JDIMENSION)options->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, options->quality ? options->quality : DEFAULT_QUALITY, TRUE);
    jpeg->dct_method = JDCT_ISLOW;
    for (int i = 0; i < jpeg->num_components; ++i)
        jpeg->comp_info[i].h_samp_factor = jpeg->comp_info[i].v_samp_factor = 1;
}

static void step_write(struct jpeg_state *state)
{
    j_compress_ptr const jpeg = &state->jpeg;
    create(state);
    configure(state);
    jpeg_start_compress(jpeg, TRUE);
    if (state->exif)
        jpeg_write_marker(jpeg, JPEG_APP0 + 1, state->exif,
                          (unsigned)state->exif_bytes);
    const size_t samples = 3 * (size_t)state->options->width;
    while (jpeg->next_scanline < jpeg->image_height) {
        state->rows->get(state->rows->cookie, (int32_t)jpeg->next_scanline,
                         state->values);
        if (!pixel_row_write(state->values, samples, 8, state->row)) {
            state->bad_row = (int32_t)jpeg->next_scanline;
            return;
        }
        JSAMPROW rows[1] = {state->row};
        (void)jpeg_write_scanlines(jpeg, rows, 1);
    }
    jpeg_finish_compress(jpeg);
}

static enum dr_code encoder_check(const char *name,
                                  const struct image_write_options *options,
                                  struct dr_error *err)
{
    if (!options->parameters) return DR_OK;
    const size_t bytes = EXIF_PREFIX_BYTES + exif_comment_bytes(options->parameters);
    if (bytes <= MARKER_MOST_BYTES) return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "%s: the parameters text needs %zu bytes, a JPEG holds at most %d; write a "
        "PNG, or use a shorter prompt",
        name, bytes, MARKER_MOST_BYTES);
}

static enum dr_code prepare_exif(struct jpeg_state *state, struct dr_error *err)
{
    const char *const text = state->options->parameters;
    if (!text) return DR_OK;
    state->exif_bytes = EXIF_PREFIX_BYTES + exif_comment_bytes(text);
    state->exif = malloc(state->exif_bytes);
    if (!state->exif)
        return error_set(err, DR_NOMEM, "%s: no memory for the text",
                         state->sink->name);
    memcpy(state->exif, EXIF_PREFIX, EXIF_PREFIX_BYTES);
    exif_comment_into(text, state->exif + EXIF_PREFIX_BYTES);
    return DR_OK;
}

static enum dr_code write_picture(struct jpeg_state *state, struct dr_error *err)
{
    const char *const name = state->sink->name;
    const size_t samples = 3 * (size_t)state->options->width;
    state->values = malloc(samples * sizeof *state->values);
    state->row = malloc(samples);
    if (!state->values || !state->row)
        return error_set(err, DR_NOMEM, "%s: no memory for a row", name);
    if (!jpeg_try(state, step_write)) {
        if (state->sink->code != DR_OK) return state->sink->code;
        char text[JMSG_LENGTH_MAX];
        state->errors.format_message((j_common_ptr)&state->jpeg, text);
        const bool memory = state->errors.msg_code == JERR_OUT_OF_MEMORY;
        return error_set(err, memory ? DR_NOMEM : DR_FAILED, "%s: writing the JPEG: %s",
                         name, text);
    }
    if (state->bad_row < 0) return DR_OK;
    return error_set(
        err, DR_NOT_FINITE,
        "%s: not written: row %d of the picture has a value that is not a finite "
        "number",
        name, (int)state->bad_row);
}

static enum dr_code encoder_write(struct image_sink *sink,
                                  const struct image_write_options *options,
                                  const struct image_rows *rows, struct dr_error *err)
{
    struct jpeg_state *const state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, DR_NOMEM, "%s: no memory for an encoder", sink->name);
    state->sink = sink;
    state->options = options;
    state->rows = rows;
    state->bad_row = -1;
    enum dr_code code = prepare_exif(state, err);
    if (code == DR_OK) code = write_picture(state, err);
    jpeg_destroy_compress(&state->jpeg); /* a zeroed or half-created one is fine */
    free(state->exif);
    free(state->values);
    free(state->row);
    free(state);
    return code;
}

const struct image_encoder jpeg_encoder = {.check = encoder_check,
                                           .write = encoder_write};
