#include "service/picture_header.h"

#include "check.h"

static const unsigned char png[] =
    "\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xE0";
/* A comment of two bytes and a fill byte before a progressive frame of 300 x 200. */
static const unsigned char jpeg[] =
    "\xFF\xD8\xFF\xFE\0\x04hi\xFF\xFF\xC2\0\x11\x08\0\xC8\x01\x2C\x03";

static struct picture_header header;
static struct dr_error problem;

static enum dr_code read_bytes(const void *bytes, size_t count, int64_t most)
{
    header = (struct picture_header){0};
    return picture_header_read(bytes, count, "image", most, &header, &problem);
}

static void sizes_are_read(void)
{
    check_int(read_bytes(png, sizeof png - 1, 640 * 480), ==, DR_OK);
    check(!header.is_jpeg && header.width == 640 && header.height == 480);
    check_int(read_bytes(jpeg, sizeof jpeg - 1, 60000), ==, DR_OK);
    check(header.is_jpeg && header.width == 300 && header.height == 200);
}

static void a_picture_over_the_limit_is_refused(void)
{
    check_int(read_bytes(png, sizeof png - 1, 640 * 480 - 1), ==, DR_BAD_INPUT);
    check_str(problem.message,
              "image has 640x480 pixels; this service takes at most 307199");
    unsigned char large[sizeof png];
    memcpy(large, png, sizeof png);
    memset(large + 16, 0x7F, 8);
    check_int(read_bytes(large, sizeof large - 1, INT64_MAX), ==, DR_OK);
    check_int(read_bytes(large, sizeof large - 1, 1 << 30), ==, DR_BAD_INPUT);
    memset(large + 16, 0xFF, 8);
    check_int(read_bytes(large, sizeof large - 1, INT64_MAX), ==, DR_BAD_INPUT);
    memset(large + 16, 0, 8);
    check_int(read_bytes(large, sizeof large - 1, INT64_MAX), ==, DR_BAD_INPUT);
}

/* Every length, in memory of just that size, so that a sanitizer sees each byte too far. */
static void every_beginning_is_an_error(void)
{
    for (size_t i = 0; i < sizeof png - 1; ++i) {
        unsigned char *const copy = malloc(i ? i : 1);
        memcpy(copy, png, i);
        check_int(read_bytes(copy, i, INT64_MAX), ==, DR_BAD_INPUT);
        free(copy);
    }
    for (size_t i = 0; i < sizeof jpeg - 2; ++i) {
        unsigned char *const copy = malloc(i ? i : 1);
        memcpy(copy, jpeg, i);
        check_int(read_bytes(copy, i, INT64_MAX), ==, DR_BAD_INPUT);
        free(copy);
    }
}

static void other_bytes_are_no_picture(void)
{
    check_int(read_bytes("GIF89a\x10\0\x10\0 and more of it ...", 30, 1 << 20), ==,
              DR_BAD_INPUT);
    check_str(problem.message, "image is not a PNG or JPEG picture");
    check_int(read_bytes("", 0, 1 << 20), ==, DR_BAD_INPUT);
    /* A segment of no length leads nowhere. */
    check_int(read_bytes("\xFF\xD8\xFF\xE0\0\0\0\0\0\0\0\0\0\0", 14, 1 << 20), ==,
              DR_BAD_INPUT);
}

int main(void)
{
    check_run(sizes_are_read);
    check_run(a_picture_over_the_limit_is_refused);
    check_run(every_beginning_is_an_error);
    check_run(other_bytes_are_no_picture);
    return check_done();
}
