#include "image/pixel_row.h"

#include <assert.h>
#include <math.h>

struct pixel_place pixel_place_oriented(int32_t stored_width, int32_t stored_height,
                                        int32_t orientation)
{
    const ptrdiff_t w = stored_width, h = stored_height;
    /* 5..8 swap the axes: the picture as shown is h pixels wide. */
    switch (orientation) {
    case 2: return (struct pixel_place){w - 1, -1, w};
    case 3: return (struct pixel_place){w * h - 1, -1, -w};
    case 4: return (struct pixel_place){w * (h - 1), 1, -w};
    case 5: return (struct pixel_place){0, h, 1};
    case 6: return (struct pixel_place){h - 1, h, -1};
    case 7: return (struct pixel_place){w * h - 1, -h, -1};
    case 8: return (struct pixel_place){h * (w - 1), -h, 1};
    default: return (struct pixel_place){0, 1, w};
    }
}

static float sample(const uint8_t *row, size_t idx, int32_t bits)
{
    if (bits == 8) return (float)row[idx] / 255.0f;
    return (float)((row[2 * idx] << 8) | row[2 * idx + 1]) / 65535.0f;
}

/* The loops below are leaves: bits is a constant in each inlined copy. */

static inline void read_grey(const uint8_t *row, int32_t bits, size_t count, float *out,
                             ptrdiff_t step)
{
    for (size_t i = 0; i < count; ++i, out += step)
        out[0] = out[1] = out[2] = sample(row, i, bits);
}

static inline void read_rgb(const uint8_t *row, int32_t bits, size_t count, float *out,
                            ptrdiff_t step)
{
    for (size_t i = 0; i < count; ++i, out += step)
        for (size_t c = 0; c < 3; ++c)
            out[c] = sample(row, 3 * i + c, bits);
}

static inline void read_grey_alpha(const uint8_t *row, int32_t bits, size_t count,
                                   float *out, ptrdiff_t step)
{
    for (size_t i = 0; i < count; ++i, out += step) {
        const float alpha = sample(row, 2 * i + 1, bits);
        out[0] = out[1] = out[2] = sample(row, 2 * i, bits) * alpha + (1.0f - alpha);
    }
}

static inline void read_rgb_alpha(const uint8_t *row, int32_t bits, size_t count,
                                  float *out, ptrdiff_t step)
{
    for (size_t i = 0; i < count; ++i, out += step) {
        const float alpha = sample(row, 4 * i + 3, bits);
        for (size_t c = 0; c < 3; ++c)
            out[c] = sample(row, 4 * i + c, bits) * alpha + (1.0f - alpha);
    }
}

static void read_inverted_cmyk(const uint8_t *row, size_t count, float *out,
                               ptrdiff_t step)
{
    for (size_t i = 0; i < count; ++i, out += step) {
        const float light = sample(row, 4 * i + 3, 8);
        for (size_t c = 0; c < 3; ++c)
            out[c] = sample(row, 4 * i + c, 8) * light;
    }
}

void pixel_row_read(const uint8_t *row, struct pixel_layout layout, int32_t count,
                    float *first, ptrdiff_t step)
{
    assert(layout.bits == 8 || layout.bits == 16);
    const bool deep = layout.bits == 16;
    const size_t n = (size_t)count;
    switch (layout.kind) {
    case PIXEL_GREY:
        deep ? read_grey(row, 16, n, first, step) : read_grey(row, 8, n, first, step);
        break;
    case PIXEL_GREY_ALPHA:
        deep ? read_grey_alpha(row, 16, n, first, step)
             : read_grey_alpha(row, 8, n, first, step);
        break;
    case PIXEL_RGB:
        deep ? read_rgb(row, 16, n, first, step) : read_rgb(row, 8, n, first, step);
        break;
    case PIXEL_RGB_ALPHA:
        deep ? read_rgb_alpha(row, 16, n, first, step)
             : read_rgb_alpha(row, 8, n, first, step);
        break;
    case PIXEL_INVERTED_CMYK:
        assert(!deep);
        read_inverted_cmyk(row, n, first, step);
        break;
    }
}

/* The current rounding mode is the default, half to even, everywhere in this program. */
static float scaled(float value, float scale)
{
    const float clamped = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
    return rintf(clamped * scale);
}

bool pixel_row_write(const float *values, size_t count, int32_t bits, uint8_t *row)
{
    assert(bits == 8 || bits == 16);
    int bad = 0;
    for (size_t i = 0; i < count; ++i)
        bad |= !isfinite(values[i]);
    if (bad) return false;
    if (bits == 8) {
        for (size_t i = 0; i < count; ++i)
            row[i] = (uint8_t)scaled(values[i], 255.0f);
        return true;
    }
    for (size_t i = 0; i < count; ++i) {
        const uint32_t v = (uint32_t)scaled(values[i], 65535.0f);
        row[2 * i] = (uint8_t)(v >> 8);
        row[2 * i + 1] = (uint8_t)(v & 0xFF);
    }
    return true;
}
