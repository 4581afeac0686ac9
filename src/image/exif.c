#include "image/exif.h"

#include <stdbool.h>
#include <string.h>

#include "image/parameters_text.h"

enum {
    TAG_ORIENTATION = 0x0112,
    TAG_EXIF_DIRECTORY = 0x8769,
    TAG_USER_COMMENT = 0x9286,
    TYPE_BYTE = 1,
    TYPE_ASCII = 2,
    TYPE_SHORT = 3,
    TYPE_LONG = 4,
    TYPE_UNDEFINED = 7,
    ENTRY_BYTES = 12,
    CODE_BYTES = 8, /* the character code before a comment */
};

struct tiff {
    const uint8_t *data;
    size_t bytes;
    enum byte_order order;
};

struct entry {
    uint32_t type, count;
    size_t value; /* where its value field is; in bounds for four bytes */
};

static uint32_t read16(const struct tiff *tiff, size_t at)
{
    const uint8_t *const p = tiff->data + at;
    return tiff->order == BIG_ENDIAN_UNITS ? (uint32_t)(p[0] << 8 | p[1])
                                           : (uint32_t)(p[1] << 8 | p[0]);
}

static uint32_t read32(const struct tiff *tiff, size_t at)
{
    const uint32_t first = read16(tiff, at), second = read16(tiff, at + 2);
    return tiff->order == BIG_ENDIAN_UNITS ? first << 16 | second
                                           : second << 16 | first;
}

static bool open_tiff(struct tiff *tiff, const uint8_t *data, size_t bytes)
{
    if (bytes < 8) return false;
    if (memcmp(data, "II", 2) != 0 && memcmp(data, "MM", 2) != 0) return false;
    *tiff = (struct tiff){
        .data = data,
        .bytes = bytes,
        .order = data[0] == 'M' ? BIG_ENDIAN_UNITS : LITTLE_ENDIAN_UNITS,
    };
    return read16(tiff, 2) == 42;
}

/* Find a tag in the directory at a place. Entries that do not fit are not looked at. */
static bool find_tag(const struct tiff *tiff, size_t directory, uint32_t tag,
                     struct entry *entry)
{
    if (directory > tiff->bytes || tiff->bytes - directory < 2) return false;
    const size_t told = read16(tiff, directory);
    const size_t fitting = (tiff->bytes - directory - 2) / ENTRY_BYTES;
    const size_t count = told < fitting ? told : fitting;
    for (size_t i = 0; i < count; ++i) {
        const size_t at = directory + 2 + i * ENTRY_BYTES;
        if (read16(tiff, at) != tag) continue;
        *entry = (struct entry){
            .type = read16(tiff, at + 2),
            .count = read32(tiff, at + 4),
            .value = at + 8,
        };
        return true;
    }
    return false;
}

int32_t exif_orientation(const uint8_t *data, size_t bytes)
{
    struct tiff tiff;
    struct entry entry;
    if (!open_tiff(&tiff, data, bytes)) return 1;
    if (!find_tag(&tiff, read32(&tiff, 4), TAG_ORIENTATION, &entry)) return 1;
    if (entry.count != 1) return 1;
    if (entry.type != TYPE_SHORT && entry.type != TYPE_LONG) return 1;
    const uint32_t value = entry.type == TYPE_SHORT ? read16(&tiff, entry.value)
                                                    : read32(&tiff, entry.value);
    return value >= 1 && value <= 8 ? (int32_t)value : 1;
}

/* Readers differ on whose byte order "UNICODE" text has: piexif says big-endian, others the
 * structure's own. Most text has mostly characters below 256, whose high byte is 0, and that
 * tells; where it does not, the structure's order. */
static enum byte_order guess_order(const uint8_t *text, size_t bytes,
                                   enum byte_order own)
{
    size_t even_zeros = 0, odd_zeros = 0;
    for (size_t i = 0; i + 1 < bytes; i += 2) {
        even_zeros += text[i] == 0;
        odd_zeros += text[i + 1] == 0;
    }
    if (even_zeros == odd_zeros) return own;
    return even_zeros > odd_zeros ? BIG_ENDIAN_UNITS : LITTLE_ENDIAN_UNITS;
}

static size_t text_end(const uint8_t *text, size_t bytes)
{
    const uint8_t *const end = memchr(text, 0, bytes);
    return end ? (size_t)(end - text) : bytes;
}

static bool find_comment(const struct tiff *tiff, const uint8_t **comment,
                         size_t *bytes)
{
    struct entry entry;
    if (!find_tag(tiff, read32(tiff, 4), TAG_EXIF_DIRECTORY, &entry)) return false;
    if (entry.type != TYPE_LONG || entry.count != 1) return false;
    const size_t directory = read32(tiff, entry.value);
    if (!find_tag(tiff, directory, TAG_USER_COMMENT, &entry)) return false;
    /* UNDEFINED is the standard's type; Pillow writes BYTE. */
    if (entry.type != TYPE_UNDEFINED && entry.type != TYPE_BYTE &&
        entry.type != TYPE_ASCII)
        return false;
    if (entry.count < CODE_BYTES) return false;
    const size_t place = read32(tiff, entry.value);
    if (place > tiff->bytes || entry.count > tiff->bytes - place) return false;
    *comment = tiff->data + place;
    *bytes = entry.count;
    return true;
}

enum dr_code exif_comment(const uint8_t *data, size_t bytes, char **text,
                          struct dr_error *err)
{
    *text = NULL;
    struct tiff tiff;
    const uint8_t *comment = NULL;
    size_t comment_bytes = 0;
    if (!open_tiff(&tiff, data, bytes)) return DR_OK;
    if (!find_comment(&tiff, &comment, &comment_bytes)) return DR_OK;
    const uint8_t *const body = comment + CODE_BYTES;
    const size_t body_bytes = comment_bytes - CODE_BYTES;
    if (memcmp(comment, "UNICODE\0", CODE_BYTES) == 0)
        *text = parameters_text_from_utf16(body, body_bytes,
                                           guess_order(body, body_bytes, tiff.order));
    else if (memcmp(comment, "ASCII\0\0\0", CODE_BYTES) == 0 ||
             memcmp(comment, "\0\0\0\0\0\0\0\0", CODE_BYTES) == 0)
        *text = parameters_text_clean((const char *)body, text_end(body, body_bytes));
    else
        return DR_OK; /* JIS: no writer of parameters uses it */
    return *text ? DR_OK : error_set(err, DR_NOMEM, "no memory for a comment");
}

/* The written structure:
 *
 *      0  "MM" 42, first directory at 8
 *      8  1 entry: EXIF directory at 26; no next directory
 *     26  1 entry: UserComment, count bytes at 44; no next directory
 *     44  "UNICODE\0", text
 */
enum {
    WRITTEN_FIRST = 8,
    WRITTEN_EXIF = 26,
    WRITTEN_COMMENT = 44
};

size_t exif_comment_bytes(const char *text)
{
    return WRITTEN_COMMENT + CODE_BYTES + parameters_text_utf16_bytes(text);
}

static uint8_t *put16(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 8 & 0xFF);
    out[1] = (uint8_t)(value & 0xFF);
    return out + 2;
}

static uint8_t *put32(uint8_t *out, uint32_t value)
{
    return put16(put16(out, value >> 16), value & 0xFFFF);
}

/* A directory of one entry and no successor. */
static uint8_t *put_directory(uint8_t *out, uint32_t tag, struct entry entry)
{
    out = put16(out, 1);
    out = put16(out, tag);
    out = put16(out, entry.type);
    out = put32(out, entry.count);
    out = put32(out, (uint32_t)entry.value);
    return put32(out, 0);
}

void exif_comment_into(const char *text, uint8_t *data)
{
    const uint32_t count = (uint32_t)(CODE_BYTES + parameters_text_utf16_bytes(text));
    uint8_t *out = data;
    memcpy(out, "MM\0*", 4);
    out = put32(out + 4, WRITTEN_FIRST);
    out = put_directory(out, TAG_EXIF_DIRECTORY,
                        (struct entry){TYPE_LONG, 1, WRITTEN_EXIF});
    out = put_directory(out, TAG_USER_COMMENT,
                        (struct entry){TYPE_UNDEFINED, count, WRITTEN_COMMENT});
    memcpy(out, "UNICODE\0", CODE_BYTES);
    parameters_text_to_utf16_into(text, out + CODE_BYTES);
}
