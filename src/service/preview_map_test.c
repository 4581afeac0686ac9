#include "service/preview_map.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "service/preview_fit.h"

enum {
    HEIGHT = 9,
    WIDTH = 12,
    PLANE = HEIGHT * WIDTH,
    MOST = 300
};

static float latents[4 * MOST * MOST], rgb[3 * 8 * HEIGHT * 8 * WIDTH];

static double next_random(void)
{
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1.0;
}

static void fill_latents(size_t count)
{
    for (size_t i = 0; i < count; ++i)
        latents[i] = (float)next_random();
}

static double mapped(const struct preview_map *map, size_t pixel, int c)
{
    double value = map->offset[c];
    for (size_t k = 0; k < 4; ++k)
        value += map->weight[k][c] * (double)latents[k * PLANE + pixel];
    return value;
}

/* A picture that is the map of the latents, with a pattern in each 8x8 pixels that means nothing on the whole. */
static void paint(const struct preview_map *map)
{
    for (size_t y = 0; y < 8 * HEIGHT; ++y)
        for (size_t x = 0; x < 8 * WIDTH; ++x)
            for (int c = 0; c < 3; ++c) {
                const double pattern = (x + y) % 2 ? 0.1 : -0.1;
                rgb[(y * 8 * WIDTH + x) * 3 + (size_t)c] =
                    (float)(mapped(map, y / 8 * WIDTH + x / 8, c) + pattern);
            }
}

static void a_linear_picture_gives_its_map_back(void)
{
    const struct preview_map truth = {
        .weight = {{0.1, 0.2, 0.3},
                   {-0.2, 0.1, 0.05},
                   {0.3, -0.1, 0.2},
                   {0, 0.4, -0.3}},
        .offset = {0.5,               0.4,             0.6}
    };
    struct preview_map map = {0};
    fill_latents(4 * PLANE);
    paint(&truth);
    check(preview_map_fit(&map, latents, rgb, HEIGHT, WIDTH));
    for (int c = 0; c < 3; ++c) {
        for (int k = 0; k < 4; ++k)
            check_real(fabs(map.weight[k][c] - truth.weight[k][c]), <, 1e-5);
        check_real(fabs(map.offset[c] - truth.offset[c]), <, 1e-5);
    }
}

static void latents_that_do_not_determine_a_map_change_nothing(void)
{
    struct preview_map map = preview_map_of_family("sd15");
    const struct preview_map before = map;
    memset(latents, 0, sizeof latents);
    check(!preview_map_fit(&map, latents, rgb, HEIGHT, WIDTH));
    /* Two channels are the same. */
    fill_latents(4 * PLANE);
    memcpy(latents + PLANE, latents, PLANE * sizeof *latents);
    check(!preview_map_fit(&map, latents, rgb, HEIGHT, WIDTH));
    fill_latents(4 * PLANE);
    latents[7] = NAN;
    check(!preview_map_fit(&map, latents, rgb, HEIGHT, WIDTH));
    check(!preview_map_fit(&map, latents, rgb, 2, 2));
    check_bytes(&map, &before, sizeof map);
}

static void a_map_goes_through_text(void)
{
    struct preview_map map = preview_map_of_family("sdxl"), read;
    char text[512];
    preview_map_print(&map, text, sizeof text);
    check(preview_map_read(&read, text));
    for (int c = 0; c < 3; ++c)
        for (int k = 0; k < 4; ++k)
            check_real(fabs(map.weight[k][c] - read.weight[k][c]), <, 1e-6);
    check(!preview_map_read(&read, "0.1 0.2"));
    check(!preview_map_read(&read,
                            "nan nan nan nan nan nan nan nan nan nan nan nan nan "
                            "nan nan"));
}

/* The pixels of a preview. */
static png_image decode(int32_t width, int32_t height, png_byte *pixels)
{
    const struct preview_map map = preview_map_of_family("sd15");
    const struct dr_preview preview = {.width = width,
                                       .height = height,
                                       .latents = latents};
    size_t bytes = 0;
    png_image image = {.version = PNG_IMAGE_VERSION};
    unsigned char *const png = preview_map_png(&map, &preview, &bytes);
    check(png_image_begin_read_from_memory(&image, png, bytes));
    image.format = PNG_FORMAT_RGB;
    check(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    free(png);
    return image;
}

static void a_preview_is_a_small_png(void)
{
    static png_byte pixels[3 * MOST * MOST];
    memset(latents, 0, sizeof latents);
    png_image image = decode(WIDTH, HEIGHT, pixels);
    check_int(image.width, ==, WIDTH);
    check_int(image.height, ==, HEIGHT);
    check_int(pixels[0], ==, 128); /* SD1.5: zero is grey */
    latents[0] = 100;
    latents[1] = NAN;
    (void)decode(WIDTH, HEIGHT, pixels);
    check_int(pixels[0], ==, 255);
    check_int(pixels[3], ==, 0);
    image = decode(MOST, 20, pixels);
    check_int(image.width, ==, MOST / 2);
    check_int(image.height, ==, 10);
}

static void a_fit_takes_the_last_step_of_a_whole_picture(void)
{
    const struct preview_map truth = preview_map_of_family("sdxl");
    struct preview_fit fit = {0};
    struct dr_preview preview = {.image = 1,
                                 .step = 1,
                                 .step_count = 2,
                                 .height = HEIGHT,
                                 .width = WIDTH,
                                 .latents = latents};
    fill_latents(4 * PLANE);
    paint(&truth);
    preview_fit_take_latents(&fit, &preview);
    check(!fit.latents);
    preview.step = 2;
    preview_fit_take_latents(&fit, &preview);
    preview_fit_take_image(&fit, 0, rgb, 8 * WIDTH, 8 * HEIGHT);
    check(!fit.is_fitted); /* another picture of the batch */
    preview_fit_take_image(&fit, 1, rgb, 8 * WIDTH - 2, 8 * HEIGHT);
    check(!fit.is_fitted); /* it was cut */
    preview_fit_take_image(&fit, 1, rgb, 8 * WIDTH, 8 * HEIGHT);
    check(fit.is_fitted);
    check_real(fabs(fit.map.weight[0][0] - truth.weight[0][0]), <, 1e-5);
    preview_fit_finish(&fit);
}

int main(void)
{
    check_run(a_linear_picture_gives_its_map_back);
    check_run(latents_that_do_not_determine_a_map_change_nothing);
    check_run(a_map_goes_through_text);
    check_run(a_preview_is_a_small_png);
    check_run(a_fit_takes_the_last_step_of_a_whole_picture);
    return check_done();
}
