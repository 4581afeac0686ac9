#include "image/pixel_row.h"

#include <math.h>

#include "check.h"

static void rounds_half_to_even(void)
{
    /* v * 255 is exact for these, and halfway. */
    const float values[] = {0.5f,  2.5f / 255.0f, 0.0f,         1.0f,
                            -3.0f, 7.0f,          1.0f / 510.0f};
    uint8_t row[7];
    check(pixel_row_write(values, 7, 8, row));
    check_int(row[0], ==, 128); /* 127.5: 128 is even */
    check_int(row[1], ==, (int)rintf(2.5f / 255.0f * 255.0f));
    check_int(row[2], ==, 0);
    check_int(row[3], ==, 255);
    check_int(row[4], ==, 0);
    check_int(row[5], ==, 255);
    check_int(row[6], ==, 0); /* 0.5 */
    int halves = 0;
    for (int v = 0; v < 255; ++v) {
        const float half = ((float)v + 0.5f) / 255.0f;
        if (half * 255.0f - (float)v != 0.5f) continue; /* the division was not exact */
        ++halves;
        check(pixel_row_write(&half, 1, 8, row));
        check_int(row[0], ==, v + (v & 1));
    }
    check_int(halves, >, 100);
}

static void every_value_returns(void)
{
    for (int32_t bits = 8; bits <= 16; bits += 8) {
        const int most = (1 << bits) - 1;
        for (int v = 0; v <= most; ++v) {
            const uint8_t in[2] = {(uint8_t)(bits == 8 ? v : v >> 8),
                                   (uint8_t)(v & 0xFF)};
            float rgb[3] = {-1, -1, -1};
            uint8_t out[6] = {0};
            const struct pixel_layout layout = {PIXEL_GREY, bits};
            pixel_row_read(in, layout, 1, rgb, 3);
            if (rgb[0] != (float)v / (float)most || rgb[1] != rgb[0] ||
                rgb[2] != rgb[0])
                check_fail_at("%d of %d bits read as %g %g %g", v, bits, (double)rgb[0],
                              (double)rgb[1], (double)rgb[2]);
            check(pixel_row_write(rgb, 3, bits, out));
            if (memcmp(in, out, (size_t)bits / 8) != 0)
                check_fail_at("%d of %d bits does not return", v, bits);
        }
    }
}

static void refuses_what_is_not_finite(void)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    uint8_t row[64];
    for (size_t i = 0; i < 3; ++i)
        for (size_t at = 0; at < 17; ++at) {
            float values[17] = {0};
            check(pixel_row_write(values, 17, 8, row));
            values[at] = bad[i];
            check(!pixel_row_write(values, 17, 8, row));
            check(!pixel_row_write(values, 17, 16, row));
        }
}

static void flattens_on_white(void)
{
    const uint8_t row[] = {10, 20, 30, 255, 10, 20, 30, 0, 255, 0, 51, 51};
    float rgb[9];
    pixel_row_read(row, (struct pixel_layout){PIXEL_RGB_ALPHA, 8}, 3, rgb, 3);
    check(rgb[0] == 10.0f / 255.0f); /* opaque: exactly the sample */
    check(rgb[2] == 30.0f / 255.0f);
    check(rgb[3] == 1.0f && rgb[4] == 1.0f && rgb[5] == 1.0f);
    check_real(fabsf(rgb[6] - 1.0f), <, 1e-6);
    check_real(fabsf(rgb[7] - 0.8f), <, 1e-6);
    check_real(fabsf(rgb[8] - 0.84f), <, 1e-6);
    const uint8_t grey[] = {0, 128, 0, 0};
    pixel_row_read(grey, (struct pixel_layout){PIXEL_GREY_ALPHA, 8}, 2, rgb, 3);
    check_real(fabsf(rgb[0] - (1.0f - 128.0f / 255.0f)), <, 1e-6);
    check(rgb[3] == 1.0f);
    const uint8_t deep[] = {0x12, 0x34, 0xFF, 0xFF};
    pixel_row_read(deep, (struct pixel_layout){PIXEL_GREY_ALPHA, 16}, 1, rgb, 3);
    check(rgb[0] == (float)0x1234 / 65535.0f);
}

static void converts_inverted_cmyk(void)
{
    const uint8_t row[] = {255, 255, 255, 255, 255, 0, 0, 255,
                           200, 100, 50,  128, 1,   2, 3, 0};
    float rgb[12];
    pixel_row_read(row, (struct pixel_layout){PIXEL_INVERTED_CMYK, 8}, 4, rgb, 3);
    check(rgb[0] == 1.0f && rgb[1] == 1.0f && rgb[2] == 1.0f); /* no ink */
    check(rgb[3] == 1.0f && rgb[4] == 0.0f && rgb[5] == 0.0f);
    check_real(fabsf(rgb[6] - 200.0f / 255.0f * (128.0f / 255.0f)), <, 1e-6);
    check(rgb[9] == 0.0f && rgb[10] == 0.0f && rgb[11] == 0.0f); /* all black ink */
}

static void steps_backwards_and_wide(void)
{
    const uint8_t row[] = {1, 2, 3};
    float rgb[5 * 3 * 2];
    for (size_t i = 0; i < 30; ++i)
        rgb[i] = -1.0f;
    pixel_row_read(row, (struct pixel_layout){PIXEL_GREY, 8}, 3, rgb + 24, -12);
    check(rgb[24] == 1.0f / 255.0f && rgb[12] == 2.0f / 255.0f &&
          rgb[0] == 3.0f / 255.0f);
    check(rgb[3] == -1.0f && rgb[15] == -1.0f && rgb[27] == -1.0f);
}

/* Where the stored corner pixels are seen, for each orientation, from EXIF's own words: which
 * side of the shown picture the first row and the first column are. */
static void places_follow_exif(void)
{
    const int32_t w = 3, h = 2;
    static const struct {
        bool row_is_bottom, column_is_right, swapped;
    } words[9] = {
        [1] = {false, false, false}, /* row top, column left */
        [2] = {false, true,  false}, /* top, right */
        [3] = {true,  true,  false}, /* bottom, right */
        [4] = {true,  false, false}, /* bottom, left */
        [5] = {false, false, true }, /* row left, column top */
        [6] = {true,  false, true }, /* row right, column top */
        [7] = {true,  true,  true }, /* row right, column bottom */
        [8] = {false, true,  true }, /* row left, column bottom */
    };
    for (int32_t o = 1; o <= 8; ++o) {
        const struct pixel_place place = pixel_place_oriented(w, h, o);
        unsigned seen = 0;
        for (int32_t y = 0; y < h; ++y)
            for (int32_t x = 0; x < w; ++x) {
                const int32_t along_row = words[o].column_is_right ? w - 1 - x : x;
                const int32_t along_column = words[o].row_is_bottom ? h - 1 - y : y;
                const int32_t shown_width = words[o].swapped ? h : w;
                const int32_t shown_x = words[o].swapped ? along_column : along_row;
                const int32_t shown_y = words[o].swapped ? along_row : along_column;
                const ptrdiff_t at = place.origin + x * place.step_x + y * place.step_y;
                check_int(at, ==, shown_y * shown_width + shown_x);
                seen |= 1u << at;
            }
        check_int(seen, ==, (1 << (w * h)) - 1);
    }
}

int main(void)
{
    check_run(rounds_half_to_even);
    check_run(every_value_returns);
    check_run(refuses_what_is_not_finite);
    check_run(flattens_on_white);
    check_run(converts_inverted_cmyk);
    check_run(steps_backwards_and_wide);
    check_run(places_follow_exif);
    return check_done();
}
