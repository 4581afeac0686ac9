#include "service/picture_header.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "service/failure.h"

enum {
    PNG_HEAD_BYTES = 24, /* signature, length and name of IHDR, its width and height */
    SEGMENT_BYTES = 9    /* of a JPEG frame header, up to its width */
};

static uint32_t big_endian(const unsigned char *bytes, int count)
{
    uint32_t value = 0;
    for (int i = 0; i < count; ++i)
        value = value << 8 | bytes[i];
    return value;
}

bool picture_header_is_png(const unsigned char *bytes, size_t count)
{
    return count >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0;
}

bool picture_header_is_jpeg(const unsigned char *bytes, size_t count)
{
    return count >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0;
}

static bool read_png(const unsigned char *bytes, size_t count, uint32_t size[2])
{
    if (count < PNG_HEAD_BYTES || memcmp(bytes + 12, "IHDR", 4) != 0) return false;
    size[0] = big_endian(bytes + 16, 4);
    size[1] = big_endian(bytes + 20, 4);
    return true;
}

/* SOF0 to SOF15, without the tables that have numbers between them (ITU T.81, table B.1). */
static bool is_frame(unsigned char marker)
{
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 &&
           marker != 0xCC;
}

/* From segment to segment up to the frame header. */
static bool read_jpeg(const unsigned char *bytes, size_t count, uint32_t size[2])
{
    size_t at = 2;
    while (at + SEGMENT_BYTES <= count && bytes[at] == 0xFF) {
        const unsigned char marker = bytes[at + 1];
        if (marker == 0xFF) { /* fill */
            ++at;
            continue;
        }
        if (is_frame(marker)) {
            size[1] = big_endian(bytes + at + 5, 2);
            size[0] = big_endian(bytes + at + 7, 2);
            return true;
        }
        at += 2 + (size_t)big_endian(bytes + at + 2, 2);
    }
    return false;
}

enum dr_code picture_header_read(const unsigned char *bytes, size_t byte_count,
                                 const char *what, int64_t most_pixels,
                                 struct picture_header *header, struct dr_error *err)
{
    uint32_t size[2];
    const bool png = picture_header_is_png(bytes, byte_count),
               jpeg = picture_header_is_jpeg(bytes, byte_count);
    if (!png && !jpeg)
        return failure(err, DR_BAD_INPUT, "%s is not a PNG or JPEG picture", what);
    if (!(png ? read_png(bytes, byte_count, size) : read_jpeg(bytes, byte_count, size)))
        return failure(err, DR_BAD_INPUT, "%s is a %s picture that is cut short", what,
                       png ? "PNG" : "JPEG");
    if (size[0] < 1 || size[1] < 1 || size[0] > INT32_MAX || size[1] > INT32_MAX)
        return failure(err, DR_BAD_INPUT,
                       "%s says that it has %" PRIu32 "x%" PRIu32 " pixels", what,
                       size[0], size[1]);
    if ((uint64_t)size[0] * size[1] > (uint64_t)most_pixels)
        return failure(err, DR_BAD_INPUT,
                       "%s has %" PRIu32 "x%" PRIu32
                       " pixels; this service takes at most %" PRId64,
                       what, size[0], size[1], most_pixels);
    *header = (struct picture_header){.is_jpeg = jpeg,
                                      .width = (int32_t)size[0],
                                      .height = (int32_t)size[1]};
    return DR_OK;
}
