#include "job/init_frame.h"

#include <stdbool.h>
#include <string.h>

enum {
    CHANNELS = 3
};

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* side * to / from, to the nearest. */
static int32_t scaled(int32_t side, int32_t to, int32_t from)
{
    const int64_t result = ((int64_t)side * to + from / 2) / from;
    return result < 1 ? 1 : result > INT32_MAX ? INT32_MAX : (int32_t)result;
}

struct init_frame init_frame_make(const struct init_frame_sizes *sizes, enum dr_fit fit)
{
    const int32_t width = sizes->source_width, height = sizes->source_height;
    struct init_frame frame = {.width = width, .height = height};
    const bool is_wide =
        (int64_t)width * sizes->cut_height > (int64_t)height * sizes->cut_width;
    if (fit == DR_FIT_STRETCH)
        ;
    else if (is_wide == (fit == DR_FIT_CROP))
        frame.width = scaled(height, sizes->cut_width, sizes->cut_height);
    else
        frame.height = scaled(width, sizes->cut_height, sizes->cut_width);
    frame.left = (width - frame.width) / 2;
    frame.top = (height - frame.height) / 2;
    frame.width = scaled(frame.width, sizes->width, sizes->cut_width);
    frame.height = scaled(frame.height, sizes->height, sizes->cut_height);
    return frame;
}

size_t init_frame_room(const struct init_frame *frame, int32_t source_width,
                       int32_t source_height)
{
    const size_t source = (size_t)source_width * (size_t)source_height;
    const size_t made = (size_t)frame->width * (size_t)frame->height;
    return source > made ? source : made;
}

/* What of the source is in the frame, moved to the beginning. */
static void crop(const struct init_frame *inner, int32_t source_width, float *pixels)
{
    const size_t row = CHANNELS * (size_t)inner->width;
    for (int32_t y = 0; y < inner->height; ++y) {
        const size_t first =
            (size_t)(inner->top + y) * (size_t)source_width + (size_t)inner->left;
        memmove(pixels + (size_t)y * row, pixels + CHANNELS * first,
                row * sizeof *pixels);
    }
}

static void repeat(float *to, const float *pixel, int32_t count)
{
    for (int32_t i = 0; i < count; ++i)
        memcpy(to + CHANNELS * (size_t)i, pixel, CHANNELS * sizeof *to);
}

/* From width x height to the frame, with so many pixels before it. From the last row to the first: a row is never written
 * where one lies that is still to be read. */
static void pad(const struct init_frame *frame, int32_t left, int32_t top,
                int32_t width, int32_t height, float *pixels)
{
    for (int32_t y = frame->height; y-- > 0;) {
        const int32_t from = larger(0, smaller(y - top, height - 1));
        float *const row = pixels + CHANNELS * (size_t)y * (size_t)frame->width;
        float *const inner = row + CHANNELS * (size_t)left;
        float *const end = inner + CHANNELS * (size_t)width;
        memmove(inner, pixels + CHANNELS * (size_t)from * (size_t)width,
                CHANNELS * (size_t)width * sizeof *pixels);
        repeat(row, inner, left);
        repeat(end, end - CHANNELS, frame->width - left - width);
    }
}

void init_frame_apply(const struct init_frame *frame, int32_t source_width,
                      int32_t source_height, float *pixels)
{
    struct init_frame inner = {.left = larger(0, frame->left),
                               .top = larger(0, frame->top)};
    inner.width =
        smaller(source_width - inner.left, frame->left + frame->width - inner.left);
    inner.height =
        smaller(source_height - inner.top, frame->top + frame->height - inner.top);
    if (inner.width != source_width || inner.height != source_height)
        crop(&inner, source_width, pixels);
    if (inner.width != frame->width || inner.height != frame->height)
        pad(frame, inner.left - frame->left, inner.top - frame->top, inner.width,
            inner.height, pixels);
}
