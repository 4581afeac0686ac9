#include "image/exif.h"

#include <stdbool.h>

#include "check.h"

/* A writer of TIFF in both byte orders, apart from the one under test. */
struct maker {
    uint8_t data[512];
    size_t bytes;
    bool little;
};

static void put(struct maker *maker, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; ++i) {
        const size_t shift = 8 * (maker->little ? i : bytes - 1 - i);
        maker->data[maker->bytes++] = (uint8_t)(value >> shift & 0xFF);
    }
}

static void put_entry(struct maker *maker, uint32_t tag, uint32_t type, uint32_t count,
                      uint32_t value)
{
    put(maker, tag, 2);
    put(maker, type, 2);
    put(maker, count, 4);
    if (type == 3) { /* SHORT stands left in its field */
        put(maker, value, 2);
        put(maker, 0, 2);
    } else {
        put(maker, value, 4);
    }
}

static void begin(struct maker *maker, bool little)
{
    *maker = (struct maker){.little = little};
    memcpy(maker->data, little ? "II" : "MM", 2);
    maker->bytes = 2;
    put(maker, 42, 2);
    put(maker, 8, 4);
}

static void orientations(void)
{
    for (int little = 0; little <= 1; ++little)
        for (uint32_t type = 3; type <= 4; ++type)
            for (uint32_t o = 0; o <= 9; ++o) {
                struct maker maker;
                begin(&maker, little);
                put(&maker, 2, 2);
                put_entry(&maker, 0x010F, 2, 4, 0);
                put_entry(&maker, 0x0112, type, 1, o);
                put(&maker, 0, 4);
                const int32_t wanted = o >= 1 && o <= 8 ? (int32_t)o : 1;
                check_int(exif_orientation(maker.data, maker.bytes), ==, wanted);
                /* Cut anywhere it is at worst not found. */
                for (size_t bytes = 0; bytes < maker.bytes; ++bytes) {
                    const int32_t found = exif_orientation(maker.data, bytes);
                    check(found == 1 || found == wanted);
                }
            }
}

static void odd_orientations_are_one(void)
{
    struct maker maker;
    begin(&maker, false);
    put(&maker, 1, 2);
    put_entry(&maker, 0x0112, 3, 2, 6); /* two values */
    check_int(exif_orientation(maker.data, maker.bytes), ==, 1);
    begin(&maker, false);
    put(&maker, 1, 2);
    put_entry(&maker, 0x0112, 5, 1, 6); /* a fraction */
    check_int(exif_orientation(maker.data, maker.bytes), ==, 1);
    check_int(exif_orientation((const uint8_t *)"MM\0*\xff\xff\xff\xff", 8), ==, 1);
    check_int(exif_orientation((const uint8_t *)"MM\0*\0\0\0\7", 8), ==, 1);
    check_int(exif_orientation((const uint8_t *)"MX\0*\0\0\0\10", 8), ==, 1);
    check_int(exif_orientation((const uint8_t *)"MM\0+\0\0\0\10", 8), ==, 1);
    check_int(exif_orientation(NULL, 0), ==, 1);
}

/* Read a UserComment of given bytes in a structure of a given order. */
static char *comment_of(bool little, const char *comment, size_t bytes)
{
    struct maker maker;
    begin(&maker, little);
    put(&maker, 1, 2);
    put_entry(&maker, 0x8769, 4, 1, 26);
    put(&maker, 0, 4);
    put(&maker, 1, 2);
    put_entry(&maker, 0x9286, 7, (uint32_t)bytes, 44);
    put(&maker, 0, 4);
    memcpy(maker.data + maker.bytes, comment, bytes);
    maker.bytes += bytes;
    char *text = NULL;
    for (size_t cut = 0; cut < maker.bytes; ++cut) {
        check_int(exif_comment(maker.data, cut, &text, NULL), ==, DR_OK);
        check(text == NULL);
    }
    check_int(exif_comment(maker.data, maker.bytes, &text, NULL), ==, DR_OK);
    return text;
}

static void comments_of_other_writers(void)
{
    static const struct {
        bool little;
        const char *comment;
        size_t bytes;
        const char *text;
    } cases[] = {
        {false, "UNICODE\0\0h\0i",             12, "hi"          },
        {true,  "UNICODE\0\0h\0i",             12,
         "hi"                                                    }, /* big-endian text in a little-endian structure */
        {true,  "UNICODE\0h\0i\0",             12, "hi"          },
        {true,  "UNICODE\0\x03\x26",           10,
         "☃"                                                   }, /* no zero byte tells: the structure's order */
        {false, "UNICODE\0\x26\x03",           10, "☃"         },
        {false, "UNICODE\0",                   8,  ""            },
        {false, "ASCII\0\0\0plain",            13, "plain"       },
        {false, "ASCII\0\0\0pad\0\0\0",        14, "pad"         },
        {false, "\0\0\0\0\0\0\0\0caf\xc3\xa9", 13, "café"       },
        {false, "ASCII\0\0\0\xff",             9,  "\xef\xbf\xbd"},
        {false, "JIS\0\0\0\0\0abc",            11, NULL          },
        {false, "UNICOD",                      6,  NULL          },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char *const text =
            comment_of(cases[i].little, cases[i].comment, cases[i].bytes);
        if (cases[i].text)
            check_str(text, cases[i].text);
        else
            check(text == NULL);
        free(text);
    }
}

/* The written bytes, spelled out: what piexif.dump gives for {"Exif": {UserComment: ...}}. */
static void writes_as_piexif(void)
{
    static const char wanted[] = "MM\0*\0\0\0\x08"
                                 "\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0"
                                 "\0\x01\x92\x86\0\x07\0\0\0\x0e\0\0\0\x2c\0\0\0\0"
                                 "UNICODE\0\0a\0\xe9\x26\x03";
    const char *const text = "aé☃";
    uint8_t data[sizeof wanted - 1];
    check_int(exif_comment_bytes(text), ==, sizeof data);
    exif_comment_into(text, data);
    check_bytes(data, wanted, sizeof data);
}

static void written_comments_return(void)
{
    static const char *const texts[] = {"", "a", "é☃🌅\n\t",
                                        "Steps: 20, Sampler: Euler a"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        const size_t bytes = exif_comment_bytes(texts[i]);
        uint8_t *const data = malloc(bytes);
        if (!data) abort();
        exif_comment_into(texts[i], data);
        char *text = NULL;
        check_int(exif_comment(data, bytes, &text, NULL), ==, DR_OK);
        check_str(text, texts[i]);
        check_int(exif_orientation(data, bytes), ==, 1);
        free(text);
        free(data);
    }
}

/* Damaged structures give anything, within bounds (the sanitizers watch). */
static void random_damage(void)
{
    uint64_t seed = 20240531;
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    uint8_t good[256];
    const size_t bytes = exif_comment_bytes("a☃ comment");
    exif_comment_into("a☃ comment", good);
    for (int round = 0; round < 20000; ++round) {
        uint8_t *const data =
            malloc(bytes); /* of the exact size, for the address sanitizer */
        if (!data) abort();
        memcpy(data, good, bytes);
        for (int i = 0; i < 4; ++i) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            data[(seed >> 33) % bytes] = (uint8_t)(seed >> 56);
        }
        char *text = NULL;
        check_int(exif_comment(data, bytes, &text, NULL), ==, DR_OK);
        const int32_t orientation = exif_orientation(data, bytes);
        check(orientation >= 1 && orientation <= 8);
        free(text);
        free(data);
    }
}

int main(void)
{
    check_run(orientations);
    check_run(odd_orientations_are_one);
    check_run(comments_of_other_writers);
    check_run(writes_as_piexif);
    check_run(written_comments_return);
    check_run(random_damage);
    return check_done();
}
