#include "service/encoded_picture.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "service/base64.h"

enum {
    SCHEME_CHARACTERS = 16 /* a longer one is none */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_scheme_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '+' || c == '-' || c == '.';
}

/* The length of "scheme" in "scheme:rest"; 0 where there is none. Base64 has no colon. */
static size_t scheme_length(const char *text, size_t byte_count)
{
    size_t length = 0;
    while (length < byte_count && length < SCHEME_CHARACTERS &&
           is_scheme_character(text[length]))
        ++length;
    return length < byte_count && text[length] == ':' ? length : 0;
}

static bool begins_with(const char *text, size_t byte_count, const char *beginning)
{
    const size_t length = strlen(beginning);
    return byte_count >= length && strncasecmp(text, beginning, length) == 0;
}

/* What is wrong with "image/png;base64"; NULL: nothing. */
static const char *media_problem(const char *media, size_t length)
{
    static const char suffix[] = ";base64";
    static const size_t suffix_length = sizeof suffix - 1;
    if (!begins_with(media, length, "image/") ||
        begins_with(media, length, "image/svg"))
        return "is a data: URL of another type than a PNG or JPEG picture";
    if (length < suffix_length ||
        strncasecmp(media + length - suffix_length, suffix, suffix_length) != 0)
        return "is a data: URL without base64";
    return NULL;
}

const char *encoded_picture_decode(char *text, size_t byte_count,
                                   const unsigned char **bytes, size_t *decoded_count)
{
    while (byte_count > 0 && is_blank(*text)) {
        ++text;
        --byte_count;
    }
    const size_t scheme = scheme_length(text, byte_count);
    if (scheme == 4 && begins_with(text, byte_count, "data")) {
        const char *const media = text + scheme + 1;
        char *const comma = memchr(media, ',', byte_count - scheme - 1);
        if (!comma) return "is a data: URL without a comma";
        const char *const problem = media_problem(media, (size_t)(comma - media));
        if (problem) return problem;
        byte_count -= (size_t)(comma + 1 - text);
        text = comma + 1;
    } else if (scheme > 0) {
        return "is a URL, and nothing is fetched: send the picture's bytes as base64";
    }
    if (!base64_decode_in_place(text, &byte_count)) return "is not base64";
    if (byte_count == 0) return "is an empty picture";
    *bytes = (const unsigned char *)text;
    *decoded_count = byte_count;
    return NULL;
}
