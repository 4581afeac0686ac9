#include "front/member.h"

#include <stdlib.h>
#include <string.h>

#include <darkroom/darkroom.h>

enum {
    MOST_CHARACTER_BYTES = 4
};

/* The length of the UTF-8 character at text, 0 where there is none: jansson is asked, which takes no overlong form,
 * no surrogate and nothing above U+10FFFF (RFC 3629). */
static size_t character_bytes(const char *text)
{
    for (size_t bytes = 1; bytes <= MOST_CHARACTER_BYTES && text[bytes - 1]; ++bytes) {
        json_t *const character = json_stringn(text, bytes);
        json_decref(character);
        if (character) return bytes;
    }
    return 0;
}

static char *valid_utf8(const char *text)
{
    static const char replacement[3] = "\xEF\xBF\xBD";
    char *const valid = malloc(3 * strlen(text) + 1);
    if (!valid) return NULL;
    char *to = valid;
    while (*text) {
        const size_t bytes = character_bytes(text);
        memcpy(to, bytes ? text : replacement, bytes ? bytes : sizeof replacement);
        to += bytes ? bytes : sizeof replacement;
        text += bytes ? bytes : 1;
    }
    *to = '\0';
    return valid;
}

json_t *member_text(const char *text)
{
    json_t *const plain = json_string(text);
    if (plain) return plain;
    char *const valid = valid_utf8(text);
    json_t *const mended = valid ? json_string_nocheck(valid) : NULL;
    free(valid);
    return mended;
}

void member_set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

void member_set_text(json_t *object, const char *key, const char *text)
{
    member_set(object, key, member_text(text));
}

void member_set_bytes(json_t *object, const char *key, uint64_t bytes)
{
    member_set(object, key,
               bytes == DR_UNKNOWN_BYTES ? json_null()
                                         : json_integer((json_int_t)bytes));
}

void member_set_integer(json_t *object, const char *key, int64_t value)
{
    member_set(object, key, json_integer(value));
}

void member_set_real(json_t *object, const char *key, double value)
{
    member_set(object, key, json_real(value));
}

void member_set_flag(json_t *object, const char *key, int value)
{
    member_set(object, key, json_boolean(value));
}

void member_set_seed(json_t *object, uint64_t seed)
{
    member_set(object, "seed", json_integer((json_int_t)seed));
}

uint64_t member_seed(const json_t *value)
{
    return (uint64_t)json_integer_value(value);
}
