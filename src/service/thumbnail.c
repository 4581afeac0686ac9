#include "service/thumbnail.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "service/failure.h"
#include "service/picture_rows.h"

/* ---- the mean of areas -------------------------------------------------------------------------- */

/* A pixel of the picture is `small` wide and one of the thumbnail `large`: in these units all edges are whole numbers. A
 * pixel of the picture lies in one or two of the thumbnail. */
struct share {
    int32_t at;           /* of the thumbnail */
    uint32_t here, after; /* how much of it lies in `at` and in the next */
};

static struct share share_of(int32_t place, int32_t large, int32_t small)
{
    const int64_t begin = (int64_t)place * small, at = begin / large,
                  edge = (at + 1) * large;
    const int64_t here = begin + small < edge ? small : edge - begin;
    return (struct share){(int32_t)at, (uint32_t)here, (uint32_t)(small - here)};
}

void thumbnail_size(int32_t width, int32_t height, int32_t *small_width,
                    int32_t *small_height)
{
    const int32_t side = width > height ? width : height;
    const int64_t most = side > THUMBNAIL_SIDE ? THUMBNAIL_SIDE : side;
    *small_width = (int32_t)((width * most + side / 2) / side);
    *small_height = (int32_t)((height * most + side / 2) / side);
    if (*small_width < 1) *small_width = 1;
    if (*small_height < 1) *small_height = 1;
}

struct shrink {
    int32_t width, height, small_width, small_height;
    uint8_t *row;                         /* of the picture */
    uint32_t across[3 * THUMBNAIL_SIDE];  /* a row of it, shrunk: times width */
    uint64_t sums[2][3 * THUMBNAIL_SIDE]; /* this row of the thumbnail, and the next */
    uint8_t small[3 * THUMBNAIL_SIDE];
};

/* At most 255 * 65500: fits 32 bits. */
static void shrink_across(struct shrink *shrink)
{
    memset(shrink->across, 0, sizeof shrink->across);
    for (int32_t x = 0; x < shrink->width; ++x) {
        const struct share share = share_of(x, shrink->width, shrink->small_width);
        const uint8_t *const from = shrink->row + 3 * (size_t)x;
        uint32_t *const to = shrink->across + 3 * (size_t)share.at;
        for (int c = 0; c < 3; ++c) {
            to[c] += share.here * from[c];
            if (share.after > 0) to[3 + c] += share.after * from[c];
        }
    }
}

/* Adds row y. Is a row of the thumbnail complete? It is in `small` then. */
static bool shrink_down(struct shrink *shrink, int32_t y)
{
    const struct share share = share_of(y, shrink->height, shrink->small_height);
    const uint64_t area = (uint64_t)shrink->width * (uint64_t)shrink->height;
    const size_t count = 3 * (size_t)shrink->small_width;
    for (size_t i = 0; i < count; ++i) {
        shrink->sums[0][i] += (uint64_t)share.here * shrink->across[i];
        shrink->sums[1][i] += (uint64_t)share.after * shrink->across[i];
    }
    const int64_t end = (int64_t)(y + 1) * shrink->small_height;
    if (end < (int64_t)(share.at + 1) * shrink->height) return false;
    for (size_t i = 0; i < count; ++i)
        shrink->small[i] = (uint8_t)((shrink->sums[0][i] + area / 2) / area);
    memcpy(shrink->sums[0], shrink->sums[1], sizeof shrink->sums[0]);
    memset(shrink->sums[1], 0, sizeof shrink->sums[1]);
    return true;
}

/* ---- JPEG --------------------------------------------------------------------------------------- */

struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    const struct shrink *shrink;
    unsigned char *bytes;
    unsigned long byte_count;
    jmp_buf jump;
};

/* The only errors are of memory. */
_Noreturn static void on_error(j_common_ptr jpeg)
{
    struct writer *const writer = jpeg->client_data;
    longjmp(writer->jump, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    (void)jpeg;
    (void)level;
}

static bool run(struct writer *writer, void (*step)(struct writer *))
{
    if (setjmp(writer->jump) != 0) return false;
    step(writer);
    return true;
}

static void begin(struct writer *writer)
{
    struct jpeg_compress_struct *const jpeg = &writer->jpeg;
    jpeg->err = jpeg_std_error(&writer->errors);
    writer->errors.error_exit = on_error;
    writer->errors.emit_message = on_message;
    jpeg->client_data = writer;
    jpeg_create_compress(jpeg);
    jpeg_mem_dest(jpeg, &writer->bytes, &writer->byte_count);
    jpeg->image_width = (JDIMENSION)writer->shrink->small_width;
    jpeg->image_height = (JDIMENSION)writer->shrink->small_height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, THUMBNAIL_QUALITY, TRUE);
    jpeg_start_compress(jpeg, TRUE);
}

static void write_row(struct writer *writer)
{
    uint8_t row[3 * THUMBNAIL_SIDE];
    JSAMPROW rows = row;
    memcpy(row, writer->shrink->small, sizeof row);
    (void)jpeg_write_scanlines(&writer->jpeg, &rows, 1);
}

static void end(struct writer *writer)
{
    jpeg_finish_compress(&writer->jpeg);
}

/* ---- both --------------------------------------------------------------------------------------- */

static enum dr_code write_all(struct shrink *shrink, struct picture_rows *rows,
                              struct writer *writer, struct dr_error *err)
{
    bool is_good = run(writer, begin);
    for (int32_t y = 0; is_good && y < shrink->height; ++y) {
        const enum dr_code code = picture_rows_next(rows, shrink->row, err);
        if (code) return code;
        shrink_across(shrink);
        if (shrink_down(shrink, y)) is_good = run(writer, write_row);
    }
    if (is_good) is_good = run(writer, end);
    return is_good ? DR_OK : failure_memory(err, "a thumbnail");
}

static enum dr_code make(struct picture_rows *rows, struct shrink *shrink,
                         unsigned char **bytes, size_t *byte_count,
                         struct dr_error *err)
{
    struct writer writer = {.shrink = shrink};
    const enum dr_code code = write_all(shrink, rows, &writer, err);
    jpeg_destroy_compress(&writer.jpeg);
    if (code) {
        free(writer.bytes);
        return code;
    }
    *bytes = writer.bytes;
    *byte_count = writer.byte_count;
    return DR_OK;
}

enum dr_code thumbnail_make(int file, unsigned char **bytes, size_t *byte_count,
                            struct dr_error *err)
{
    struct picture_rows *rows = NULL;
    enum dr_code code = picture_rows_open(&rows, file, THUMBNAIL_MOST_PIXELS, err);
    if (code) return code;
    struct shrink *const shrink = calloc(1, sizeof *shrink);
    if (shrink) {
        shrink->width = picture_rows_width(rows);
        shrink->height = picture_rows_height(rows);
        thumbnail_size(shrink->width, shrink->height, &shrink->small_width,
                       &shrink->small_height);
        shrink->row = malloc(3 * (size_t)shrink->width);
    }
    code = shrink && shrink->row ? make(rows, shrink, bytes, byte_count, err)
                                 : failure_memory(err, "a thumbnail");
    picture_rows_close(rows);
    if (shrink) free(shrink->row);
    free(shrink);
    return code;
}
