/* picture_file_fixture — PNG and JPEG files of known pixels, by the libraries, and headers that lie. */
#ifndef SERVICE_PICTURE_FILE_FIXTURE_H
#define SERVICE_PICTURE_FILE_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "scratch_folder.h"

/* RGB of a pixel: smooth across the picture, so that JPEG keeps it. */
static inline void picture_file_pixel(int32_t x, int32_t y, uint8_t rgb[3])
{
    rgb[0] = (uint8_t)(40 + x % 180);
    rgb[1] = (uint8_t)(200 - y % 160);
    rgb[2] = (uint8_t)(90 + (x + y) / 8 % 100);
}

struct picture_file {
    int32_t width, height;
    int colour; /* PNG_COLOR_TYPE_... */
    int bits;   /* 8 or 16 */
    bool is_interlaced;
};

static inline uint8_t *picture_file_row(const struct picture_file *file, int32_t y)
{
    const int channels = (file->colour & PNG_COLOR_MASK_COLOR ? 3 : 1) +
                         (file->colour & PNG_COLOR_MASK_ALPHA ? 1 : 0);
    const size_t sample = file->bits == 16 ? 2 : 1;
    uint8_t *const row = calloc((size_t)file->width * 4 * 2, 1);
    for (int32_t x = 0; x < file->width; ++x) {
        uint8_t rgb[3];
        picture_file_pixel(x, y, rgb);
        for (int c = 0; c < channels; ++c) {
            uint8_t *const to =
                row + ((size_t)x * (size_t)channels + (size_t)c) * sample;
            to[0] = channels >= 3 && c < 3 ? rgb[c] : c == 0 ? rgb[0] : 77;
            if (sample == 2) to[1] = to[0];
        }
    }
    return row;
}

static inline void picture_file_write_png(const char *path,
                                          const struct picture_file *file)
{
    FILE *const stream = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, stream);
    png_set_IHDR(png, info, (png_uint_32)file->width, (png_uint_32)file->height,
                 file->bits, file->colour,
                 file->is_interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    const int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; ++pass)
        for (int32_t y = 0; y < file->height; ++y) {
            uint8_t *const row = picture_file_row(file, y);
            png_write_row(png, row);
            free(row);
        }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    (void)fclose(stream);
}

static inline void picture_file_write_jpeg(const char *path,
                                           const struct picture_file *file,
                                           bool is_progressive)
{
    FILE *const stream = fopen(path, "wb");
    struct jpeg_compress_struct jpeg = {0};
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, stream);
    jpeg.image_width = (JDIMENSION)file->width;
    jpeg.image_height = (JDIMENSION)file->height;
    jpeg.input_components = file->colour == PNG_COLOR_TYPE_GRAY ? 1 : 3;
    jpeg.in_color_space = file->colour == PNG_COLOR_TYPE_GRAY ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 98, TRUE);
    if (is_progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int32_t y = 0; y < file->height; ++y) {
        uint8_t *row = picture_file_row(file, y);
        (void)jpeg_write_scanlines(&jpeg, &row, 1);
        free(row);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    (void)fclose(stream);
}

/* The bytes of a file, malloc'ed. */
static inline uint8_t *picture_file_read(const char *path, size_t *bytes)
{
    FILE *const stream = fopen(path, "rb");
    if (!stream || fseek(stream, 0, SEEK_END) != 0) exit(1);
    *bytes = (size_t)ftell(stream);
    rewind(stream);
    uint8_t *const data = malloc(*bytes + 1);
    if (!data || fread(data, 1, *bytes, stream) != *bytes) exit(1);
    (void)fclose(stream);
    return data;
}

/* Changes the size that a PNG or JPEG says it has. */
static inline void picture_file_claim(const char *path, uint32_t width, uint32_t height)
{
    size_t bytes;
    uint8_t *const data = picture_file_read(path, &bytes);
    if (data[0] == 0x89) {
        const uint8_t size[8] = {(uint8_t)(width >> 24),  (uint8_t)(width >> 16),
                                 (uint8_t)(width >> 8),   (uint8_t)width,
                                 (uint8_t)(height >> 24), (uint8_t)(height >> 16),
                                 (uint8_t)(height >> 8),  (uint8_t)height};
        memcpy(data + 16, size, 8);
        uint32_t crc = 0xffffffff;
        for (size_t i = 12; i < 29; ++i) {
            crc ^= data[i];
            for (int bit = 0; bit < 8; ++bit)
                crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
        }
        crc = ~crc;
        for (int i = 0; i < 4; ++i)
            data[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    } else {
        size_t at = 2;
        while (at + 9 < bytes && data[at + 1] != 0xc0 && data[at + 1] != 0xc2)
            at += 2 + ((size_t)data[at + 2] << 8 | data[at + 3]);
        data[at + 5] = (uint8_t)(height >> 8);
        data[at + 6] = (uint8_t)height;
        data[at + 7] = (uint8_t)(width >> 8);
        data[at + 8] = (uint8_t)width;
    }
    scratch_write(path, data, bytes);
    free(data);
}

#endif
