#include "service/picture_rows.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>

#include "service/failure.h"

enum {
    MOST_SIDE = 65500,
    CHUNK_BYTES = 1 << 20
};

struct picture_rows {
    FILE *file;
    uint64_t most_pixels;
    uint32_t width, height;
    bool is_jpeg;
    bool is_refused; /* it is not one of those that are read: message says why */
    png_structp png;
    png_infop info;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr jpeg_errors;
    uint8_t *row; /* of the running step */
    char message[JMSG_LENGTH_MAX];
    jmp_buf jump;
};

/* ---- the libraries' errors --------------------------------------------------------------------- */

_Noreturn static void give_up(struct picture_rows *rows, bool is_refused,
                              const char *message)
{
    rows->is_refused = is_refused;
    (void)snprintf(rows->message, sizeof rows->message, "%s", message);
    longjmp(rows->jump, 1);
}

_Noreturn static void on_png_error(png_structp png, png_const_charp message)
{
    give_up(png_get_error_ptr(png), false, message);
}

static void on_png_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

_Noreturn static void on_jpeg_error(j_common_ptr jpeg)
{
    struct picture_rows *const rows = jpeg->client_data;
    char message[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    give_up(rows, false, message);
}

/* A warning is of damaged data, of which the library would make some picture. */
static void on_jpeg_message(j_common_ptr jpeg, int level)
{
    if (level < 0) on_jpeg_error(jpeg);
}

/* Runs a step; false where the library gave up in it. */
static bool run(struct picture_rows *rows, void (*step)(struct picture_rows *))
{
    if (setjmp(rows->jump) != 0) return false;
    step(rows);
    return true;
}

static enum dr_code fail(const struct picture_rows *rows, struct dr_error *err)
{
    if (strstr(rows->message, "memory") || strstr(rows->message, "Memory"))
        return failure_memory(err, "reading a picture");
    if (rows->is_refused)
        return failure(err, DR_UNSUPPORTED, "the picture cannot be shown: %s",
                       rows->message);
    return failure(err, DR_CORRUPT, "the picture is damaged: %s", rows->message);
}

static void check_size(struct picture_rows *rows)
{
    char message[128];
    if (rows->width <= MOST_SIDE && rows->height <= MOST_SIDE &&
        (uint64_t)rows->width * rows->height <= rows->most_pixels)
        return;
    (void)snprintf(message, sizeof message,
                   "it has %u x %u pixels, at most %llu are read", rows->width,
                   rows->height, (unsigned long long)rows->most_pixels);
    give_up(rows, true, message);
}

/* ---- PNG ---------------------------------------------------------------------------------------- */

/* All chunks but those of the pixels are skipped unread, and so are the bombs in them. */
static void open_png(struct picture_rows *rows)
{
    rows->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, rows, on_png_error,
                                       on_png_warning);
    rows->info = rows->png ? png_create_info_struct(rows->png) : NULL;
    if (!rows->info) give_up(rows, false, "out of memory");
    png_structp const png = rows->png;
    png_init_io(png, rows->file);
    png_set_user_limits(png, MOST_SIDE, MOST_SIDE);
    png_set_chunk_malloc_max(png, CHUNK_BYTES);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, rows->info);
    rows->width = png_get_image_width(png, rows->info);
    rows->height = png_get_image_height(png, rows->info);
    check_size(rows);
    if (png_get_interlace_type(png, rows->info) != PNG_INTERLACE_NONE)
        give_up(rows, true, "it is an interlaced PNG");
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_read_update_info(png, rows->info);
    if (png_get_rowbytes(png, rows->info) != (size_t)3 * rows->width)
        give_up(rows, true, "its pixels are of another kind");
}

static void read_png_row(struct picture_rows *rows)
{
    png_read_row(rows->png, rows->row, NULL);
}

/* ---- JPEG --------------------------------------------------------------------------------------- */

static void open_jpeg(struct picture_rows *rows)
{
    struct jpeg_decompress_struct *const jpeg = &rows->jpeg;
    jpeg->err = jpeg_std_error(&rows->jpeg_errors);
    rows->jpeg_errors.error_exit = on_jpeg_error;
    rows->jpeg_errors.emit_message = on_jpeg_message;
    jpeg->client_data = rows;
    jpeg_create_decompress(jpeg);
    jpeg_stdio_src(jpeg, rows->file);
    (void)jpeg_read_header(jpeg, TRUE);
    rows->width = jpeg->image_width;
    rows->height = jpeg->image_height;
    check_size(rows);
    /* Either needs all coefficients before the first row. */
    if (jpeg_has_multiple_scans(jpeg))
        give_up(rows, true, "it is a JPEG of several scans");
    if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
        give_up(rows, true, "it is a JPEG for printing (CMYK)");
    jpeg->out_color_space = JCS_RGB;
    (void)jpeg_start_decompress(jpeg);
}

static void read_jpeg_row(struct picture_rows *rows)
{
    JSAMPROW row = rows->row;
    (void)jpeg_read_scanlines(&rows->jpeg, &row, 1);
}

/* ---- both --------------------------------------------------------------------------------------- */

static FILE *open_again(int file)
{
    const int own = dup(file);
    if (own < 0) return NULL;
    FILE *const stream = lseek(own, 0, SEEK_SET) == 0 ? fdopen(own, "rb") : NULL;
    if (!stream) (void)close(own);
    return stream;
}

enum dr_code picture_rows_open(struct picture_rows **out, int file,
                               uint64_t most_pixels, struct dr_error *err)
{
    struct picture_rows *const rows = calloc(1, sizeof *rows);
    if (!rows) return failure_memory(err, "reading a picture");
    rows->most_pixels = most_pixels;
    rows->file = open_again(file);
    enum dr_code code = DR_OK;
    uint8_t head[8] = {0};
    if (!rows->file || fread(head, 1, sizeof head, rows->file) != sizeof head ||
        fseek(rows->file, 0, SEEK_SET) != 0) {
        code = failure(err, rows->file ? DR_CORRUPT : DR_IO,
                       "the picture's file cannot be read, or is too short");
    } else if (png_sig_cmp(head, 0, sizeof head) == 0) {
        if (!run(rows, open_png)) code = fail(rows, err);
    } else if (head[0] == 0xff && head[1] == 0xd8) {
        rows->is_jpeg = true;
        if (!run(rows, open_jpeg)) code = fail(rows, err);
    } else {
        code = failure(err, DR_UNSUPPORTED,
                       "the picture cannot be shown: it is neither PNG nor JPEG");
    }
    if (code) {
        picture_rows_close(rows);
        return code;
    }
    *out = rows;
    return DR_OK;
}

void picture_rows_close(struct picture_rows *rows)
{
    if (!rows) return;
    if (rows->is_jpeg) jpeg_destroy_decompress(&rows->jpeg);
    if (rows->png) png_destroy_read_struct(&rows->png, &rows->info, NULL);
    if (rows->file) (void)fclose(rows->file);
    free(rows);
}

int32_t picture_rows_width(const struct picture_rows *rows)
{
    return (int32_t)rows->width;
}

int32_t picture_rows_height(const struct picture_rows *rows)
{
    return (int32_t)rows->height;
}

enum dr_code picture_rows_next(struct picture_rows *rows, uint8_t *rgb,
                               struct dr_error *err)
{
    rows->row = rgb;
    return run(rows, rows->is_jpeg ? read_jpeg_row : read_png_row) ? DR_OK
                                                                   : fail(rows, err);
}
