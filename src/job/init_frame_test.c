#include "job/init_frame.h"

#include <string.h>

#include "check.h"

enum {
    MOST = 40
};

static float pixels[3 * MOST * MOST];

static struct init_frame frame_of(int32_t source_width, int32_t source_height,
                                  int32_t width, int32_t height, enum dr_fit fit)
{
    const struct init_frame_sizes sizes = {.source_width = source_width,
                                           .source_height = source_height,
                                           .width = (width + 7) / 8 * 8,
                                           .height = (height + 7) / 8 * 8,
                                           .cut_width = width,
                                           .cut_height = height};
    return init_frame_make(&sizes, fit);
}

static void check_frame(struct init_frame frame, int32_t left, int32_t top,
                        int32_t width, int32_t height)
{
    check_int(frame.left, ==, left);
    check_int(frame.top, ==, top);
    check_int(frame.width, ==, width);
    check_int(frame.height, ==, height);
}

static void frames_have_the_new_proportions(void)
{
    check_frame(frame_of(300, 200, 64, 64, DR_FIT_STRETCH), 0, 0, 300, 200);
    check_frame(frame_of(300, 200, 64, 64, DR_FIT_CROP), 50, 0, 200, 200);
    check_frame(frame_of(200, 300, 64, 64, DR_FIT_CROP), 0, 50, 200, 200);
    check_frame(frame_of(300, 200, 64, 64, DR_FIT_PAD), 0, -50, 300, 300);
    check_frame(frame_of(200, 300, 64, 64, DR_FIT_PAD), -50, 0, 300, 300);
    for (enum dr_fit fit = DR_FIT_STRETCH; fit <= DR_FIT_PAD; ++fit)
        check_frame(frame_of(128, 128, 64, 64, fit), 0, 0, 128, 128);
    check_frame(frame_of(1, 8192, 64, 64, DR_FIT_CROP), 0, 4095, 1, 1);
}

/* What is cut off lies beyond the picture: the kept part has all of it. */
static void a_cut_picture_has_all_of_the_source(void)
{
    check_frame(frame_of(70, 65, 70, 65, DR_FIT_STRETCH), 0, 0, 72, 72);
    check_frame(frame_of(140, 130, 70, 65, DR_FIT_STRETCH), 0, 0, 144, 144);
}

static void fill(int32_t width, int32_t height)
{
    for (int32_t y = 0; y < height; ++y)
        for (int32_t x = 0; x < width; ++x)
            for (int c = 0; c < 3; ++c)
                pixels[(y * width + x) * 3 + c] = (float)(10000 * c + 100 * y + x);
}

static int32_t clamp(int32_t value, int32_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

/* Each pixel of every small frame, by the plain rule. */
static void each_pixel_is_the_nearest_of_the_source(void)
{
    for (int32_t i = 0; i < 4000; ++i) {
        const int32_t width = 1 + i % 9, height = 1 + i / 9 % 7;
        struct init_frame frame = {.left = i / 63 % 11 - 5, .top = i / 31 % 9 - 4};
        if (frame.left >= width) frame.left = width - 1;
        if (frame.top >= height) frame.top = height - 1;
        const int32_t least_width = frame.left < 0 ? 1 - frame.left : 1;
        const int32_t least_height = frame.top < 0 ? 1 - frame.top : 1;
        frame.width = least_width + i % 13;
        frame.height = least_height + i % 10;
        check(init_frame_room(&frame, width, height) <= MOST * MOST);
        fill(width, height);
        init_frame_apply(&frame, width, height, pixels);
        int wrong = 0;
        for (int32_t y = 0; y < frame.height; ++y)
            for (int32_t x = 0; x < frame.width; ++x)
                for (int c = 0; c < 3; ++c)
                    wrong +=
                        pixels[(y * frame.width + x) * 3 + c] !=
                        (float)(10000 * c + 100 * clamp(frame.top + y, height - 1) +
                                clamp(frame.left + x, width - 1));
        check_int(wrong, ==, 0);
    }
}

int main(void)
{
    check_run(frames_have_the_new_proportions);
    check_run(a_cut_picture_has_all_of_the_source);
    check_run(each_pixel_is_the_nearest_of_the_source);
    return check_done();
}
