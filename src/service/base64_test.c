#include "service/base64.h"

#include <stdint.h>

#include "check.h"

/* The vectors of RFC 4648, section 10. */
static const struct {
    const char *bytes, *text;
} vectors[] = {
    {"",       ""        },
    {"f",      "Zg=="    },
    {"fo",     "Zm8="    },
    {"foo",    "Zm9v"    },
    {"foob",   "Zm9vYg=="},
    {"fooba",  "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"}
};

/* Into a block of exactly the text's size, for the sanitizers. */
static char *decode(const char *text, size_t *byte_count)
{
    *byte_count = strlen(text);
    char *const copy = malloc(*byte_count ? *byte_count : 1);
    if (!copy) abort();
    memcpy(copy, text, *byte_count);
    if (base64_decode_in_place(copy, byte_count)) return copy;
    free(copy);
    return NULL;
}

static void vectors_of_the_rfc(void)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; ++i) {
        size_t count = 0;
        char *const bytes = decode(vectors[i].text, &count);
        check(bytes && count == strlen(vectors[i].bytes) &&
              memcmp(bytes, vectors[i].bytes, count) == 0);
        free(bytes);
        char text[16] = "";
        base64_encode_into(vectors[i].bytes, strlen(vectors[i].bytes), text);
        check_str(text, vectors[i].text);
        check_int(base64_length(strlen(vectors[i].bytes)), ==, strlen(vectors[i].text));
    }
}

static void blanks_and_missing_padding_are_read(void)
{
    static const char *const texts[] = {"Zm9v\nYmE=", " Zm 9v\r\n\tYmE = \n",
                                        "Zm9vYmE"};
    for (size_t i = 0; i < 3; ++i) {
        size_t count = 0;
        char *const bytes = decode(texts[i], &count);
        check(bytes && count == 5 && memcmp(bytes, "fooba", 5) == 0);
        free(bytes);
    }
}

static void what_is_not_base64_is_refused(void)
{
    static const char *const texts[] = {"Z",     "Zm9vY",   "Zg=",      "Zg==Zg==",
                                        "Zm9v=", "=Zm9v",   "Zm9v====", "Zm-_",
                                        "a.b",   "Zm9v\x80"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        size_t count = 0;
        char *const bytes = decode(texts[i], &count);
        if (bytes) check_fail_at("'%s' was decoded", texts[i]);
        free(bytes);
    }
}

static void all_bytes_come_back(void)
{
    unsigned char bytes[256 + 2];
    for (size_t i = 0; i < sizeof bytes; ++i)
        bytes[i] = (unsigned char)i;
    for (size_t count = 254; count <= sizeof bytes; ++count) {
        json_t *const value = base64_json(bytes, count);
        size_t decoded = 0;
        char *const back = decode(json_string_value(value), &decoded);
        check(back && decoded == count && memcmp(back, bytes, count) == 0);
        free(back);
        json_decref(value);
    }
    check(base64_length(SIZE_MAX - 1) == SIZE_MAX);
}

int main(void)
{
    check_run(vectors_of_the_rfc);
    check_run(blanks_and_missing_padding_are_read);
    check_run(what_is_not_base64_is_refused);
    check_run(all_bytes_come_back);
    return check_done();
}
