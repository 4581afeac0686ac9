#include "service/preview_map.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TERMS = PREVIEW_CHANNELS + 1, /* the channels and the constant */
    FACTOR = 8                    /* pixels of the picture for one of the latents */
};

/* Published coefficients give -1..1: halved and moved to 0..1 here. SD1.5: K. Turner, "Decoding latents to RGB without
 * upscaling" (Hugging Face forum, 2022). SDXL: the same method, as in several programs' previews. */
static const double sd15[PREVIEW_CHANNELS][3] = {
    {0.298,  0.207,  0.208 },
    {0.187,  0.286,  0.173 },
    {-0.158, 0.189,  0.264 },
    {-0.184, -0.271, -0.473}
};
static const double sdxl[PREVIEW_CHANNELS][3] = {
    {0.3651,  0.4232,  0.4341 },
    {-0.2533, -0.0042, 0.1068 },
    {0.1076,  0.1111,  -0.0362},
    {-0.3165, -0.2492, -0.2188}
};
static const double sdxl_offset[3] = {0.1084, -0.0175, -0.0011};

struct preview_map preview_map_of_family(const char *family)
{
    const bool is_sdxl = strcmp(family, "sdxl") == 0;
    struct preview_map map;
    for (int rgb = 0; rgb < 3; ++rgb) {
        for (int c = 0; c < PREVIEW_CHANNELS; ++c)
            map.weight[c][rgb] = (is_sdxl ? sdxl : sd15)[c][rgb] / 2;
        map.offset[rgb] = ((is_sdxl ? sdxl_offset[rgb] : 0) + 1) / 2;
    }
    return map;
}

/* ---- a preview --------------------------------------------------------------------------- */

static png_byte sample(const struct preview_map *map, const float *latents,
                       size_t channel_stride, int rgb)
{
    double value = map->offset[rgb];
    for (size_t c = 0; c < PREVIEW_CHANNELS; ++c)
        value += map->weight[c][rgb] * (double)latents[c * channel_stride];
    /* NaN is black. */
    return (png_byte)(value > 0 ? value < 1 ? value * 255 + 0.5 : 255 : 0);
}

unsigned char *preview_map_png(const struct preview_map *map,
                               const struct dr_preview *preview, size_t *byte_count)
{
    const int32_t longest =
        preview->width > preview->height ? preview->width : preview->height;
    const int32_t stride = (longest + PREVIEW_MOST_SIDE - 1) / PREVIEW_MOST_SIDE;
    const int32_t width = (preview->width + stride - 1) / stride;
    const int32_t height = (preview->height + stride - 1) / stride;
    const size_t plane = (size_t)preview->width * (size_t)preview->height;
    png_byte *const pixels = malloc((size_t)width * (size_t)height * 3);
    if (!pixels) return NULL;
    for (int32_t y = 0; y < height; ++y)
        for (int32_t x = 0; x < width; ++x) {
            const float *const at = preview->latents +
                                    (size_t)(y * stride) * (size_t)preview->width +
                                    (size_t)(x * stride);
            for (int rgb = 0; rgb < 3; ++rgb)
                pixels[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)rgb] =
                    sample(map, at, plane, rgb);
        }
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB,
                       .flags = PNG_IMAGE_FLAG_FAST};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    unsigned char *png = malloc(bytes);
    if (png && !png_image_write_to_memory(&image, png, &bytes, 0, pixels, 0, NULL)) {
        free(png);
        png = NULL;
    }
    free(pixels);
    if (!png) return NULL;
    unsigned char *const smaller = realloc(png, bytes);
    *byte_count = bytes;
    return smaller ? smaller : png;
}

/* ---- the fit ----------------------------------------------------------------------------- */

/* The mean of the picture's pixels that belong to one of the latents. */
static void mean_rgb(const float *rgb, int32_t width, int32_t y, int32_t x,
                     double mean[3])
{
    const size_t row = (size_t)width * FACTOR * 3;
    const float *const first = rgb + (size_t)y * FACTOR * row + (size_t)x * FACTOR * 3;
    mean[0] = mean[1] = mean[2] = 0;
    for (size_t i = 0; i < FACTOR; ++i)
        for (size_t j = 0; j < FACTOR; ++j)
            for (size_t c = 0; c < 3; ++c)
                mean[c] += (double)first[i * row + j * 3 + c] / (FACTOR * FACTOR);
}

/* Solves by elimination with pivots; false where the matrix is as good as singular. Each row: TERMS terms, then the
 * three right sides. */
static bool solve(double rows[TERMS][TERMS + 3])
{
    for (int i = 0; i < TERMS; ++i) {
        int pivot = i;
        for (int j = i + 1; j < TERMS; ++j)
            if (fabs(rows[j][i]) > fabs(rows[pivot][i])) pivot = j;
        if (!(fabs(rows[pivot][i]) > 1e-6)) return false;
        for (int k = 0; k < TERMS + 3; ++k) {
            const double value = rows[i][k];
            rows[i][k] = rows[pivot][k];
            rows[pivot][k] = value;
        }
        for (int j = 0; j < TERMS; ++j) {
            if (j == i) continue;
            const double factor = rows[j][i] / rows[i][i];
            for (int k = i; k < TERMS + 3; ++k)
                rows[j][k] -= factor * rows[i][k];
        }
    }
    return true;
}

bool preview_map_fit(struct preview_map *map, const float *latents, const float *rgb,
                     int32_t height, int32_t width)
{
    const size_t plane = (size_t)height * (size_t)width;
    double rows[TERMS][TERMS + 3] = {{0}};
    if (plane < (size_t)TERMS * TERMS) return false;
    for (int32_t y = 0; y < height; ++y)
        for (int32_t x = 0; x < width; ++x) {
            double terms[TERMS] = {[PREVIEW_CHANNELS] = 1}, mean[3];
            for (size_t c = 0; c < PREVIEW_CHANNELS; ++c)
                terms[c] =
                    (double)latents[c * plane + (size_t)y * (size_t)width + (size_t)x];
            mean_rgb(rgb, width, y, x, mean);
            for (int i = 0; i < TERMS; ++i) {
                for (int j = 0; j < TERMS; ++j)
                    rows[i][j] += terms[i] * terms[j] / (double)plane;
                for (int c = 0; c < 3; ++c)
                    rows[i][TERMS + c] += terms[i] * mean[c] / (double)plane;
            }
        }
    if (!solve(rows)) return false;
    for (int c = 0; c < 3; ++c) {
        for (int i = 0; i < PREVIEW_CHANNELS; ++i)
            map->weight[i][c] = rows[i][TERMS + c] / rows[i][i];
        map->offset[c] = rows[PREVIEW_CHANNELS][TERMS + c] /
                         rows[PREVIEW_CHANNELS][PREVIEW_CHANNELS];
    }
    return true;
}

/* ---- as text ----------------------------------------------------------------------------- */

void preview_map_print(const struct preview_map *map, char *text, size_t bytes)
{
    size_t used = 0;
    for (int i = 0; i < TERMS; ++i)
        for (int c = 0; c < 3; ++c) {
            const double value =
                i < PREVIEW_CHANNELS ? map->weight[i][c] : map->offset[c];
            const int length =
                snprintf(text + used, bytes - used, used ? " %.6g" : "%.6g", value);
            if (length < 0 || (size_t)length >= bytes - used) return;
            used += (size_t)length;
        }
}

bool preview_map_read(struct preview_map *map, const char *text)
{
    struct preview_map read;
    for (int i = 0; i < TERMS; ++i)
        for (int c = 0; c < 3; ++c) {
            char *end;
            const double value = strtod(text, &end);
            if (end == text || !isfinite(value)) return false;
            *(i < PREVIEW_CHANNELS ? &read.weight[i][c] : &read.offset[c]) = value;
            text = end;
        }
    *map = read;
    return true;
}
