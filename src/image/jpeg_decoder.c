/* JPEG in, by libjpeg-turbo.
 *
 * The library mends what it can: it warns of missing data and paints the rest grey. Half a
 * picture called success is what this program must not give, so those warnings are errors
 * here, and so is the end of the file where data should be.
 *
 * Memory: a baseline picture is decoded in strips. A progressive one needs all coefficients
 * at once, in the library's own memory: two bytes each. So its size is known from the head,
 * and refused there above COEFFICIENTS_MOST_BYTES. Its scans are counted, since a small file
 * can ask for thousands.
 *
 * Colour: grey, YCbCr and RGB. CMYK and YCCK are taken as Adobe writes them (255 is no ink)
 * and converted plainly, c * k, as Pillow does; profiles are not looked at.
 *
 * Source: ITU-T T.81; libjpeg-turbo's libjpeg.txt.
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
    COEFFICIENTS_MOST_BYTES = 256 << 20,
    SCANS_MOST = 100
};

struct jpeg_state {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr reading;
    struct jpeg_progress_mgr progress;
    struct image_source *source;
    size_t handed; /* bytes of the source that the library has, used or not */
    uint32_t components_seen; /* one bit a component that had a scan */
    bool several_scans, too_many_scans;
    uint8_t *exif; /* the first EXIF block, without its prefix */
    size_t exif_bytes;
    /* for the pixels step */
    struct pixel_layout layout;
    uint8_t *row;
    float *rgb;
    struct pixel_place place;
    jmp_buf jump;
};

_Noreturn static void on_error(j_common_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    longjmp(state->jump, 1);
}

static bool means_damage(int message_code)
{
    return message_code == JWRN_HIT_MARKER || message_code == JWRN_MUST_RESYNC ||
           message_code == JWRN_HUFF_BAD_CODE || message_code == JWRN_ARITH_BAD_CODE ||
           message_code == JWRN_BOGUS_PROGRESSION || message_code == JWRN_JPEG_EOF;
}

static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0 && means_damage(jpeg->err->msg_code)) on_error(jpeg);
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg; /* a library does not print */
}

static void on_start(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static boolean on_fill(j_decompress_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    image_source_skip(state->source, state->handed);
    state->reading.next_input_byte = image_source_peek(state->source, &state->handed);
    state->reading.bytes_in_buffer = state->handed;
    if (state->handed == 0) ERREXIT(jpeg, JERR_INPUT_EOF);
    return TRUE;
}

static void on_skip(j_decompress_ptr jpeg, long bytes)
{
    struct jpeg_state *const state = jpeg->client_data;
    if (bytes <= 0) return;
    const size_t here = state->reading.bytes_in_buffer;
    if ((size_t)bytes <= here) {
        state->reading.next_input_byte += bytes;
        state->reading.bytes_in_buffer -= (size_t)bytes;
        return;
    }
    image_source_skip(state->source, state->handed + ((uint64_t)bytes - here));
    state->handed = 0;
    state->reading.bytes_in_buffer = 0;
}

static uint8_t next_byte(j_decompress_ptr jpeg)
{
    struct jpeg_source_mgr *const reading = jpeg->src;
    if (reading->bytes_in_buffer == 0) (void)on_fill(jpeg);
    --reading->bytes_in_buffer;
    return *reading->next_input_byte++;
}

/* Keep the first EXIF block; other blocks and other users of APP1 are skipped. libjpeg could
 * keep markers itself, but as many as a file has. */
static boolean on_app1(j_decompress_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    const size_t told = (size_t)next_byte(jpeg) << 8;
    const size_t length = told | next_byte(jpeg);
    if (length < 2) ERREXIT(jpeg, JERR_BAD_LENGTH);
    size_t left = length - 2;
    uint8_t prefix[EXIF_PREFIX_BYTES] = {0};
    if (left >= sizeof prefix && !state->exif) {
        for (size_t i = 0; i < sizeof prefix; ++i)
            prefix[i] = next_byte(jpeg);
        left -= sizeof prefix;
    }
    if (memcmp(prefix, EXIF_PREFIX, sizeof prefix) != 0) {
        on_skip(jpeg, (long)left);
        return TRUE;
    }
    state->exif = malloc(left + 1);
    if (!state->exif) ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    for (size_t i = 0; i < left; ++i)
        state->exif[i] = next_byte(jpeg);
    state->exif_bytes = left;
    return TRUE;
}

/* Called some times in each scan. */
static void on_progress(j_common_ptr jpeg)
{
    struct jpeg_state *const state = jpeg->client_data;
    const struct jpeg_decompress_struct *const in = &state->jpeg;
    if (in->input_scan_number > SCANS_MOST) {
        state->too_many_scans = true;
        on_error(jpeg);
    }
    for (int i = 0; i < in->comps_in_scan; ++i)
        state->components_seen |= 1u << in->cur_comp_info[i]->component_index;
}

/* Run a step; false when libjpeg gave up in it. Only steps may call functions of libjpeg that
 * can fail: outside of them there is nowhere to jump to. */
static bool jpeg_try(struct jpeg_state *state, void (*step)(struct jpeg_state *))
{
    if (setjmp(state->jump) != 0) return false;
    step(state);
    return true;
}

static enum dr_code code_of(int message_code)
{
    switch (message_code) {
    case JERR_OUT_OF_MEMORY: return DR_NOMEM;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL: return DR_UNSUPPORTED;
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW:
    case JERR_NO_BACKING_STORE: return DR_BAD_INPUT;
    default: return DR_CORRUPT;
    }
}

static enum dr_code fail(struct jpeg_state *state, struct dr_error *err)
{
    const char *const name = state->source->name;
    if (state->source->state != IMAGE_SOURCE_GOOD)
        return image_source_fail(state->source, err);
    if (state->too_many_scans)
        return error_set(
            err, DR_BAD_INPUT,
            "%s: a progressive JPEG of more than %d scans; save it as a baseline "
            "JPEG or a PNG",
            name, SCANS_MOST);
    char text[JMSG_LENGTH_MAX];
    state->errors.format_message((j_common_ptr)&state->jpeg, text);
    const enum dr_code code = code_of(state->errors.msg_code);
    return error_set(err, code, "%s: %s JPEG: %s", name,
                     code == DR_CORRUPT ? "damaged" : "cannot read this", text);
}

static void step_head(struct jpeg_state *state)
{
    j_decompress_ptr const jpeg = &state->jpeg;
    jpeg->err = jpeg_std_error(&state->errors);
    jpeg->client_data = state; /* kept by jpeg_create_decompress */
    state->errors.error_exit = on_error;
    state->errors.emit_message = on_message;
    state->errors.output_message = on_output;
    jpeg_create_decompress(jpeg);
    jpeg->mem->max_memory_to_use =
        COEFFICIENTS_MOST_BYTES + COEFFICIENTS_MOST_BYTES / 4;
    state->reading = (struct jpeg_source_mgr){
        .init_source = on_start,
        .fill_input_buffer = on_fill,
        .skip_input_data = on_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = on_start,
    };
    jpeg->src = &state->reading;
    state->progress.progress_monitor = on_progress;
    jpeg->progress = &state->progress;
    jpeg_set_marker_processor(jpeg, JPEG_APP0 + 1, on_app1);
    (void)jpeg_read_header(jpeg, TRUE);
    state->several_scans = jpeg_has_multiple_scans(jpeg);
}

/* What the decoder will hold for a picture of several scans. */
static enum dr_code check_coefficients(const struct jpeg_state *state,
                                       size_t *decoder_bytes, struct dr_error *err)
{
    const struct jpeg_decompress_struct *const jpeg = &state->jpeg;
    if (!state->several_scans) return DR_OK;
    uint64_t bytes = 0;
    for (int i = 0; i < jpeg->num_components; ++i) {
        const jpeg_component_info *const component = &jpeg->comp_info[i];
        bytes += (uint64_t)component->width_in_blocks * component->height_in_blocks *
                 DCTSIZE2 * sizeof(JCOEF);
    }
    *decoder_bytes = (size_t)bytes;
    if (bytes <= COEFFICIENTS_MOST_BYTES) return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "%s: a progressive JPEG of %u x %u needs %llu bytes to decode, at most %d "
        "are allowed; save it as a baseline JPEG or a PNG",
        state->source->name, jpeg->image_width, jpeg->image_height,
        (unsigned long long)bytes, COEFFICIENTS_MOST_BYTES);
}

static enum dr_code choose_layout(struct jpeg_state *state, struct dr_error *err)
{
    j_decompress_ptr const jpeg = &state->jpeg;
    state->layout.bits = 8;
    if (jpeg->jpeg_color_space == JCS_GRAYSCALE) {
        jpeg->out_color_space = JCS_GRAYSCALE;
        state->layout.kind = PIXEL_GREY;
    } else if (jpeg->jpeg_color_space == JCS_YCbCr ||
               jpeg->jpeg_color_space == JCS_RGB) {
        jpeg->out_color_space = JCS_RGB;
        state->layout.kind = PIXEL_RGB;
    } else if (jpeg->jpeg_color_space == JCS_CMYK ||
               jpeg->jpeg_color_space == JCS_YCCK) {
        jpeg->out_color_space = JCS_CMYK;
        state->layout.kind = PIXEL_INVERTED_CMYK;
    } else {
        return error_set(err, DR_UNSUPPORTED,
                         "%s: a JPEG of %d components in an unknown colour space",
                         state->source->name, jpeg->num_components);
    }
    jpeg->dct_method = JDCT_ISLOW;
    return DR_OK;
}

static void decoder_close(void *opaque)
{
    struct jpeg_state *const state = opaque;
    if (!state) return;
    jpeg_destroy_decompress(&state->jpeg); /* a zeroed or half-created one is fine */
    free(state->exif);
    free(state->row);
    free(state);
}

static enum dr_code decoder_open(void **opaque, struct image_source *source,
                                 enum image_want want, struct image_head *head,
                                 struct dr_error *err)
{
    (void)want; /* EXIF is needed for both */
    struct jpeg_state *const state = calloc(1, sizeof *state);
    *opaque = state;
    if (!state)
        return error_set(err, DR_NOMEM, "%s: no memory for a decoder", source->name);
    state->source = source;
    if (!jpeg_try(state, step_head)) return fail(state, err);
    const struct jpeg_decompress_struct *const jpeg = &state->jpeg;
    enum dr_code code =
        image_check_size(source->name, jpeg->image_width, jpeg->image_height, err);
    size_t decoder_bytes = 0;
    if (code == DR_OK) code = check_coefficients(state, &decoder_bytes, err);
    if (code == DR_OK) code = choose_layout(state, err);
    if (code != DR_OK) return code;
    *head = (struct image_head){
        .format = IMAGE_JPEG,
        .width = (int32_t)jpeg->image_width,
        .height = (int32_t)jpeg->image_height,
        .bits = 8,
        .decoder_bytes = decoder_bytes,
        .orientation =
            state->exif ? exif_orientation(state->exif, state->exif_bytes) : 1,
    };
    return DR_OK;
}

static void step_pixels(struct jpeg_state *state)
{
    j_decompress_ptr const jpeg = &state->jpeg;
    const struct pixel_place *const place = &state->place;
    (void)jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        const ptrdiff_t first =
            place->origin + (ptrdiff_t)jpeg->output_scanline * place->step_y;
        JSAMPROW rows[1] = {state->row};
        (void)jpeg_read_scanlines(jpeg, rows, 1);
        pixel_row_read(state->row, state->layout, (int32_t)jpeg->output_width,
                       state->rgb + 3 * first, 3 * place->step_x);
    }
    (void)jpeg_finish_decompress(jpeg);
}

static enum dr_code decoder_pixels(void *opaque, const struct pixel_place *place,
                                   float *rgb, struct dr_error *err)
{
    struct jpeg_state *const state = opaque;
    state->row = malloc((size_t)state->jpeg.image_width * 4);
    if (!state->row)
        return error_set(err, DR_NOMEM, "%s: no memory for a row", state->source->name);
    state->rgb = rgb;
    state->place = *place;
    if (!jpeg_try(state, step_pixels)) return fail(state, err);
    const uint32_t all = (1u << state->jpeg.num_components) - 1;
    if (state->several_scans && state->components_seen != all)
        return error_set(err, DR_CORRUPT,
                         "%s: damaged JPEG: a colour component is missing",
                         state->source->name);
    return DR_OK;
}

static enum dr_code decoder_text(void *opaque, char **text, struct dr_error *err)
{
    const struct jpeg_state *const state = opaque;
    *text = NULL;
    return state->exif ? exif_comment(state->exif, state->exif_bytes, text, err)
                       : DR_OK;
}

const struct image_decoder jpeg_decoder = {
    .open = decoder_open,
    .pixels = decoder_pixels,
    .text = decoder_text,
    .close = decoder_close,
};
