#include "service/thumbnail.h"

#include <fcntl.h>
#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "service/picture_file_fixture.h"
#include "service/picture_rows.h"

static void sizes_keep_proportions(void)
{
    static const int32_t cases[][4] = {
        {512,   512, 256, 256},
        {1024,  512, 256, 128},
        {512,   768, 171, 256},
        {100,   50,  100, 50 },
        {256,   256, 256, 256},
        {257,   1,   256, 1  },
        {60000, 8,   256, 1  },
        {1,     1,   1,   1  },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        int32_t width, height;
        thumbnail_size(cases[i][0], cases[i][1], &width, &height);
        check_int(width, ==, cases[i][2]);
        check_int(height, ==, cases[i][3]);
    }
}

/* The mean over the area of a pixel of the thumbnail, by adding shares of pixels in floating point. */
static double mean_of(const struct picture_file *file, int32_t x, int32_t y,
                      int32_t width, int32_t height, int channel)
{
    const double left = (double)x * file->width / width,
                 right = (double)(x + 1) * file->width / width,
                 top = (double)y * file->height / height,
                 bottom = (double)(y + 1) * file->height / height;
    double sum = 0, area = 0;
    for (int32_t v = (int32_t)top; v < file->height && v < bottom; ++v)
        for (int32_t u = (int32_t)left; u < file->width && u < right; ++u) {
            const double share = (fmin(u + 1, right) - fmax(u, left)) *
                                 (fmin(v + 1, bottom) - fmax(v, top));
            uint8_t rgb[3];
            picture_file_pixel(u, v, rgb);
            sum += share * rgb[channel];
            area += share;
        }
    return sum / area;
}

/* The mean difference of all samples from that mean. */
static double difference_of(const char *path, const struct picture_file *file,
                            int32_t *width, int32_t *height)
{
    unsigned char *bytes = NULL;
    size_t byte_count = 0;
    struct dr_error err = {0};
    int descriptor = open(path, O_RDONLY);
    if (thumbnail_make(descriptor, &bytes, &byte_count, &err) != DR_OK) {
        check_fail_at("%s: %s", path, err.message);
        return 1e9;
    }
    (void)close(descriptor);
    scratch_write(scratch_path("small.jpg"), bytes, byte_count);
    free(bytes);
    struct picture_rows *rows = NULL;
    descriptor = open(scratch_path("small.jpg"), O_RDONLY);
    check_int(picture_rows_open(&rows, descriptor, 1 << 20, &err), ==, DR_OK);
    *width = picture_rows_width(rows);
    *height = picture_rows_height(rows);
    uint8_t *const row = malloc(3 * (size_t)*width);
    double sum = 0;
    for (int32_t y = 0; y < *height; ++y) {
        check_int(picture_rows_next(rows, row, &err), ==, DR_OK);
        for (int32_t x = 0; x < 3 * *width; ++x)
            sum += fabs(row[x] - mean_of(file, x / 3, y, *width, *height, x % 3));
    }
    free(row);
    picture_rows_close(rows);
    (void)close(descriptor);
    return sum / (3.0 * *width * *height);
}

static void pixels_are_means_of_areas(void)
{
    static const int32_t sizes[][2] = {
        {512, 512},
        {300, 200},
        {701, 333},
        {50,  40 },
        {1,   600}
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        const struct picture_file file = {.width = sizes[i][0],
                                          .height = sizes[i][1],
                                          .colour = PNG_COLOR_TYPE_RGB,
                                          .bits = 8};
        int32_t width, height, right_width, right_height;
        picture_file_write_png(scratch_path("a.png"), &file);
        thumbnail_size(file.width, file.height, &right_width, &right_height);
        check_real(difference_of(scratch_path("a.png"), &file, &width, &height), <,
                   3.0);
        check_int(width, ==, right_width);
        check_int(height, ==, right_height);
        picture_file_write_jpeg(scratch_path("a.jpg"), &file, false);
        check_real(difference_of(scratch_path("a.jpg"), &file, &width, &height), <,
                   4.0);
    }
}

static void a_large_picture_takes_little_memory(void)
{
    const struct picture_file file = {
        .width = 4096, .height = 4096, .colour = PNG_COLOR_TYPE_RGB, .bits = 8};
    struct rusage before, after;
    unsigned char *bytes = NULL;
    size_t byte_count = 0;
    picture_file_write_png(scratch_path("large.png"), &file);
    const int descriptor = open(scratch_path("large.png"), O_RDONLY);
    (void)getrusage(RUSAGE_SELF, &before);
    check_int(thumbnail_make(descriptor, &bytes, &byte_count, NULL), ==, DR_OK);
    (void)getrusage(RUSAGE_SELF, &after);
    check_int(byte_count, >, 1000);
    check_int(after.ru_maxrss - before.ru_maxrss, <,
              4 * 1024); /* of 48 MiB of pixels */
    free(bytes);
    (void)close(descriptor);
}

static void a_damaged_picture_has_none(void)
{
    const struct picture_file file = {
        .width = 64, .height = 64, .colour = PNG_COLOR_TYPE_RGB, .bits = 8};
    unsigned char *bytes = NULL;
    size_t byte_count = 0;
    struct dr_error err = {0};
    picture_file_write_png(scratch_path("cut.png"), &file);
    check_int(truncate(scratch_path("cut.png"), 200), ==, 0);
    const int descriptor = open(scratch_path("cut.png"), O_RDONLY);
    check_int(thumbnail_make(descriptor, &bytes, &byte_count, &err), ==, DR_CORRUPT);
    check(!bytes);
    (void)close(descriptor);
}

int main(void)
{
    check_run(sizes_keep_proportions);
    check_run(pixels_are_means_of_areas);
    check_run(a_large_picture_takes_little_memory);
    check_run(a_damaged_picture_has_none);
    return check_done();
}
