/* Rows of pictures against the pixels that were written, and files that are damaged or lie about their size.
 *
 * DARKROOM_SEED and DARKROOM_CASES (damaged files) choose others. */
#include "service/picture_rows.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "service/picture_file_fixture.h"

/* Reads all of a file; the largest difference from the pixels that were written, over all samples. */
static enum dr_code read_file(const char *path, bool is_grey, int *difference,
                              struct dr_error *err)
{
    struct picture_rows *rows = NULL;
    const int file = open(path, O_RDONLY);
    enum dr_code code = picture_rows_open(&rows, file, 1 << 24, err);
    *difference = 0;
    if (code == DR_OK) {
        const int32_t width = picture_rows_width(rows),
                      height = picture_rows_height(rows);
        uint8_t *const row = malloc(3 * (size_t)width);
        for (int32_t y = 0; code == DR_OK && y < height; ++y) {
            code = picture_rows_next(rows, row, err);
            for (int32_t x = 0; code == DR_OK && x < width; ++x) {
                uint8_t rgb[3];
                picture_file_pixel(x, y, rgb);
                for (int c = 0; c < 3; ++c) {
                    const int off = abs(row[3 * x + c] - rgb[is_grey ? 0 : c]);
                    if (off > *difference) *difference = off;
                }
            }
        }
        free(row);
        picture_rows_close(rows);
    }
    (void)close(file);
    return code;
}

static void png_of_all_kinds(void)
{
    static const int colours[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                  PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    const char *const path = scratch_path("a.png");
    for (int i = 0; i < 8; ++i) {
        const struct picture_file file = {.width = 61,
                                          .height = 43,
                                          .colour = colours[i / 2],
                                          .bits = i % 2 ? 16 : 8};
        int difference;
        picture_file_write_png(path, &file);
        check_int(read_file(path, i < 4, &difference, NULL), ==, DR_OK);
        check_int(difference, ==, 0);
    }
}

static void jpeg_of_both_kinds(void)
{
    const char *const path = scratch_path("a.jpg");
    for (int i = 0; i < 2; ++i) {
        const struct picture_file file = {.width = 61,
                                          .height = 43,
                                          .colour = i ? PNG_COLOR_TYPE_RGB
                                                      : PNG_COLOR_TYPE_GRAY};
        int difference;
        picture_file_write_jpeg(path, &file, false);
        check_int(read_file(path, i == 0, &difference, NULL), ==, DR_OK);
        check_int(difference, <=, 24);
    }
}

static void others_are_refused_by_name(void)
{
    const struct picture_file file = {.width = 61,
                                      .height = 43,
                                      .colour = PNG_COLOR_TYPE_RGB,
                                      .bits = 8,
                                      .is_interlaced = true};
    struct dr_error err = {0};
    int difference;
    picture_file_write_png(scratch_path("i.png"), &file);
    check_int(read_file(scratch_path("i.png"), false, &difference, &err), ==,
              DR_UNSUPPORTED);
    check_has(err.message, "interlaced");
    picture_file_write_jpeg(scratch_path("p.jpg"), &file, true);
    check_int(read_file(scratch_path("p.jpg"), false, &difference, &err), ==,
              DR_UNSUPPORTED);
    check_has(err.message, "several scans");
    scratch_write(scratch_path("x.svg"), "<svg onload=alert(1)>", 21);
    check_int(read_file(scratch_path("x.svg"), false, &difference, &err), ==,
              DR_UNSUPPORTED);
    check_has(err.message, "neither PNG nor JPEG");
    scratch_write(scratch_path("short.png"), "\x89PNG", 4);
    check_int(read_file(scratch_path("short.png"), false, &difference, &err), ==,
              DR_CORRUPT);
}

static long peak_kib(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* R22: the size is refused before anything is reserved for it. */
static void R22_sizes_are_refused_before_memory_is_taken(void)
{
    const struct picture_file file = {
        .width = 8, .height = 8, .colour = PNG_COLOR_TYPE_RGB, .bits = 8};
    struct dr_error err = {0};
    int difference;
    const long before = peak_kib();
    picture_file_write_png(scratch_path("b.png"), &file);
    picture_file_claim(scratch_path("b.png"), 30000, 30000);
    check_int(read_file(scratch_path("b.png"), false, &difference, &err), ==,
              DR_UNSUPPORTED);
    check_has(err.message, "30000 x 30000");
    picture_file_claim(scratch_path("b.png"), 0x7fffffff, 1);
    check_int(read_file(scratch_path("b.png"), false, &difference, &err), !=, DR_OK);
    picture_file_claim(scratch_path("b.png"), 0, 8);
    check_int(read_file(scratch_path("b.png"), false, &difference, &err), !=, DR_OK);
    picture_file_write_jpeg(scratch_path("b.jpg"), &file, false);
    picture_file_claim(scratch_path("b.jpg"), 65500, 65500);
    check_int(read_file(scratch_path("b.jpg"), false, &difference, &err), ==,
              DR_UNSUPPORTED);
    check_has(err.message, "65500 x 65500");
    /* More rows than there are, within the limit. */
    picture_file_claim(scratch_path("b.jpg"), 1000, 1000);
    check_int(read_file(scratch_path("b.jpg"), false, &difference, &err), ==,
              DR_CORRUPT);
    check_int(peak_kib() - before, <, 32 * 1024);
}

/* Any error is right, a crash is not. Seen by the sanitizers. */
static void damaged_files_are_errors(void)
{
    const char *const seed = getenv("DARKROOM_SEED"), *const cases =
                                                          getenv("DARKROOM_CASES");
    uint64_t state = seed ? strtoull(seed, NULL, 10) : 1;
    const int rounds = cases ? atoi(cases) : 400;
    const struct picture_file file = {
        .width = 40, .height = 30, .colour = PNG_COLOR_TYPE_RGB, .bits = 8};
    fprintf(stderr, "seed %llu\n", (unsigned long long)state);
    picture_file_write_png(scratch_path("d.png"), &file);
    picture_file_write_jpeg(scratch_path("d.jpg"), &file, false);
    int refused = 0;
    for (int i = 0; i < rounds; ++i) {
        size_t bytes;
        uint8_t *const data =
            picture_file_read(scratch_path(i % 2 ? "d.png" : "d.jpg"), &bytes);
        for (int change = 0; change < 3; ++change) {
            state = state * UINT64_C(6364136223846793005) + 1;
            data[(state >> 33) % bytes] = (uint8_t)(state >> 24);
        }
        state = state * UINT64_C(6364136223846793005) + 1;
        scratch_write(scratch_path("damaged"), data,
                      i % 3 ? bytes : (state >> 33) % bytes);
        free(data);
        int difference;
        refused +=
            read_file(scratch_path("damaged"), false, &difference, NULL) != DR_OK;
    }
    check_int(refused, >, rounds / 3);
}

int main(void)
{
    check_run(png_of_all_kinds);
    check_run(jpeg_of_both_kinds);
    check_run(others_are_refused_by_name);
    check_run(R22_sizes_are_refused_before_memory_is_taken);
    check_run(damaged_files_are_errors);
    return check_done();
}
