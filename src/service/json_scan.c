#include "service/json_scan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/encoded_picture.h"
#include "service/failure.h"

enum {
    KEY_BYTES = 24, /* longer than any name that matters here */
    SHOWN = 40      /* of a client's text in a message */
};

/* An open bracket; the first stands for the whole text. */
struct frame {
    bool is_object;
    bool is_key_next;   /* of an object: a string is a name */
    bool takes;         /* a string here is a picture */
    bool is_image_list; /* what follows is inside imageList */
};

struct walk {
    struct json_scan *scan;
    char *at, *end;
    char *line_start; /* never inside a picture: those have no line breaks */
    size_t line;
    size_t capacity, blob_capacity; /* of what scan has */
    size_t value_count, depth;
    struct frame frames[JSON_BODY_DEPTH + 1];
    const char *key; /* as written, for messages; NULL: none yet */
    size_t key_length;
    struct dr_error *err;
};

static enum dr_code fail(const struct walk *walk, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum dr_code fail(const struct walk *walk, const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const int shown = walk->key_length < SHOWN ? (int)walk->key_length : SHOWN;
    char place[SHOWN + 16] = "";
    if (walk->key) snprintf(place, sizeof place, " (after \"%.*s\")", shown, walk->key);
    return failure(walk->err, DR_BAD_INPUT,
                   "cannot read the JSON at line %zu, column %zu%s: %s", walk->line,
                   (size_t)(walk->at - walk->line_start) + 1, place, what);
}

static enum dr_code put(struct walk *walk, const char *bytes, size_t count)
{
    struct json_scan *const scan = walk->scan;
    if (count > JSON_BODY_TEXT_BYTES - scan->byte_count)
        return fail(walk, "besides its pictures the request has more than %d bytes",
                    JSON_BODY_TEXT_BYTES);
    if (scan->byte_count + count > walk->capacity) {
        size_t capacity = walk->capacity ? walk->capacity : 1024;
        while (capacity < scan->byte_count + count)
            capacity *= 2;
        char *const text = realloc(scan->text, capacity);
        if (!text) return failure_memory(walk->err, "the request");
        scan->text = text;
        walk->capacity = capacity;
    }
    memcpy(scan->text + scan->byte_count, bytes, count);
    scan->byte_count += count;
    return DR_OK;
}

static enum dr_code count_value(struct walk *walk)
{
    if (++walk->value_count <= JSON_BODY_VALUES) return DR_OK;
    return fail(walk, "the request has more than %d values", JSON_BODY_VALUES);
}

/* ---- strings ----------------------------------------------------------------------------- */

/* The four digits of \uXXXX, or -1. at: the backslash. */
static int32_t escaped_unit(const char *at, const char *end)
{
    int32_t unit = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return -1;
    for (int i = 2; i < 6; ++i) {
        const char c = at[i];
        const int32_t value = c >= '0' && c <= '9'   ? c - '0'
                              : c >= 'a' && c <= 'f' ? c - 'a' + 10
                              : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                     : -1;
        if (value < 0) return -1;
        unit = unit * 16 + value;
    }
    return unit;
}

/* What a character after a backslash stands for; '\0' where there is no such escape. */
static char plain_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/': return c;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return '\0';
    }
}

static char *bad_string(struct walk *walk, char *at, const char *what)
{
    walk->at = at;
    (void)fail(walk, "%s", what);
    return NULL;
}

/* The closing quote of the string whose first character is at; NULL after an error. */
static char *find_end_of_string(struct walk *walk)
{
    for (char *c = walk->at; c < walk->end; ++c) {
        if (*c == '"') return c;
        if ((unsigned char)*c < ' ')
            return bad_string(walk, c,
                              "a control character in a text; write \\n, or \\u001f");
        if (*c != '\\') continue;
        const bool is_known =
            walk->end - c >= 2 && (c[1] == 'u' ? escaped_unit(c, walk->end) >= 0
                                               : plain_escape(c[1]) != '\0');
        if (!is_known) return bad_string(walk, c, "a backslash that begins no escape");
        ++c;
    }
    return bad_string(walk, walk->at, "a text without an end");
}

/* Copies a string's inside. NUL and surrogates without a partner become U+FFFD, with as many characters. */
static enum dr_code put_string(struct walk *walk, const char *end)
{
    const char *from = walk->at;
    enum dr_code code = put(walk, "\"", 1);
    const char *c = from;
    while (code == DR_OK && (c = memchr(c, '\\', (size_t)(end - c)))) {
        const int32_t unit = escaped_unit(c, end);
        const int32_t next =
            unit >= 0xd800 && unit < 0xdc00 ? escaped_unit(c + 6, end) : -1;
        if (next >= 0xdc00 && next < 0xe000) {
            c += 12;
        } else if (unit == 0 || (unit >= 0xd800 && unit < 0xe000)) {
            code = put(walk, from, (size_t)(c - from));
            if (code == DR_OK) code = put(walk, "\\ufffd", 6);
            c += 6;
            from = c;
        } else {
            c += unit >= 0 ? 6 : 2;
        }
    }
    if (code == DR_OK) code = put(walk, from, (size_t)(end - from));
    return code == DR_OK ? put(walk, "\"", 1) : code;
}

/* Resolves escapes in place; a character beyond ASCII becomes 0x80, which base64 has not. Returns the new length. */
static size_t unescape(char *text, size_t byte_count)
{
    const char *const end = text + byte_count;
    size_t from = 0, to = 0;
    while (from < byte_count) {
        if (text[from] != '\\') {
            text[to++] = text[from++];
            continue;
        }
        const int32_t unit = escaped_unit(text + from, end);
        text[to++] = unit < 0     ? plain_escape(text[from + 1])
                     : unit < 128 ? (char)unit
                                  : (char)0x80;
        from += unit < 0 ? 2 : 6;
    }
    return to;
}

static enum dr_code make_room_for_blob(struct walk *walk)
{
    struct json_scan *const scan = walk->scan;
    if (scan->blob_count == JSON_BODY_PICTURES)
        return fail(walk, "the request has more than %d pictures", JSON_BODY_PICTURES);
    if (scan->blob_count == walk->blob_capacity) {
        const size_t capacity = walk->blob_capacity ? 2 * walk->blob_capacity : 4;
        struct json_body_blob *const blobs =
            realloc(scan->blobs, capacity * sizeof *blobs);
        if (!blobs) return failure_memory(walk->err, "the request");
        scan->blobs = blobs;
        walk->blob_capacity = capacity;
    }
    return DR_OK;
}

static enum dr_code take_picture(struct walk *walk, const char *end)
{
    struct json_scan *const scan = walk->scan;
    const size_t length = (size_t)(end - walk->at);
    char name[16];
    const enum dr_code code = make_room_for_blob(walk);
    if (code != DR_OK) return code;
    const size_t idx = scan->blob_count++;
    struct json_body_blob *const blob = &scan->blobs[idx];
    *blob = (struct json_body_blob){.bytes = (const unsigned char *)""};
    blob->problem = encoded_picture_decode(walk->at, unescape(walk->at, length),
                                           &blob->bytes, &blob->byte_count);
    const size_t name_length = (size_t)snprintf(name, sizeof name, "\"#%zu\"", idx);
    scan->cuts[idx].at = scan->byte_count;
    /* A text may be shorter than its name. Then what follows seems to stand a few columns later. */
    scan->cuts[idx].shorter = length + 2 > name_length ? length + 2 - name_length : 0;
    return put(walk, name, name_length);
}

static bool is_key(const char *key, const char *const *names)
{
    for (; *names; ++names)
        if (strcmp(key, *names) == 0) return true;
    return false;
}

/* What the value of a member is, by the member's name. */
static void enter_member(struct walk *walk, const char *end)
{
    static const char *const pictures[] = {"init_images", "init_image", "mask",
                                           "mask_image",  "image",      "input_image",
                                           NULL};
    static const char *const lists[] = {"imageList", NULL};
    static const char *const listed[] = {"data", NULL};
    struct frame *const frame = &walk->frames[walk->depth];
    const struct frame *const above = frame - 1;
    char key[6 * KEY_BYTES] = "";
    const size_t length = (size_t)(end - walk->at);
    walk->key = walk->at;
    walk->key_length = length;
    if (length < sizeof key) { /* a name may be written in escapes */
        memcpy(key, walk->at, length);
        key[unescape(key, length)] = '\0';
    }
    frame->is_key_next = false;
    frame->is_image_list = above->is_image_list || is_key(key, lists);
    frame->takes =
        is_key(key, pictures) || (above->is_image_list && is_key(key, listed));
}

static enum dr_code scan_string(struct walk *walk)
{
    const struct frame *const frame = &walk->frames[walk->depth];
    ++walk->at;
    enum dr_code code = count_value(walk);
    if (code != DR_OK) return code;
    const char *const end = find_end_of_string(walk);
    if (!end) return DR_BAD_INPUT;
    if (frame->is_object && frame->is_key_next) {
        enter_member(walk, end);
        code = put_string(walk, end);
    } else if (frame->takes && end > walk->at) {
        code = take_picture(walk, end);
    } else {
        code = put_string(walk, end);
    }
    walk->at += end + 1 - walk->at;
    return code;
}

/* ---- words: numbers, true, false, null ---------------------------------------------------- */

static bool is_word_end(char c)
{
    return (unsigned char)c <= ' ' || strchr(",:[]{}\"", c);
}

/* A whole number that JSON's reader cannot hold: text where 64 bits without a sign do. */
static enum dr_code put_large(struct walk *walk, const char *digits, size_t length)
{
    char copy[32];
    if (length >= sizeof copy) return fail(walk, "a number of %zu digits", length);
    memcpy(copy, digits, length);
    copy[length] = '\0';
    errno = 0;
    (void)strtoll(copy, NULL, 10);
    if (errno != ERANGE) return put(walk, digits, length);
    errno = 0;
    (void)strtoull(copy, NULL, 10);
    if (errno == ERANGE || copy[0] == '-') return fail(walk, "%s is too large", copy);
    enum dr_code code = put(walk, "\"", 1);
    if (code == DR_OK) code = put(walk, digits, length);
    return code == DR_OK ? put(walk, "\"", 1) : code;
}

static enum dr_code scan_word(struct walk *walk)
{
    static const char *const words[] = {"true", "false", "null"};
    const char *const word = walk->at;
    size_t length = 0;
    while (word + length < walk->end && !is_word_end(word[length]))
        ++length;
    enum dr_code code = count_value(walk);
    if (code != DR_OK) return code;
    if (*word == '-' || (*word >= '0' && *word <= '9')) {
        const size_t sign = *word == '-';
        bool is_whole = true;
        for (size_t i = sign; i < length; ++i)
            is_whole = is_whole && word[i] >= '0' && word[i] <= '9';
        if (length > JSON_BODY_NUMBER_CHARACTERS)
            return fail(walk, "a number of %zu characters", length);
        const bool is_large = is_whole && length > 18 && word[sign] != '0';
        code = is_large ? put_large(walk, word, length) : put(walk, word, length);
        walk->at += length;
        return code;
    }
    for (size_t i = 0; i < 3; ++i)
        if (length == strlen(words[i]) && memcmp(word, words[i], length) == 0) {
            walk->at += length;
            return put(walk, word, length);
        }
    return fail(walk, "'%.*s' is not a value", length < SHOWN ? (int)length : SHOWN,
                word);
}

/* ---- brackets ---------------------------------------------------------------------------- */

static enum dr_code open_bracket(struct walk *walk)
{
    if (walk->depth == JSON_BODY_DEPTH)
        return fail(walk, "brackets are nested deeper than %d", JSON_BODY_DEPTH);
    const struct frame *const above = &walk->frames[walk->depth];
    const bool is_object = *walk->at == '{';
    walk->frames[++walk->depth] = (struct frame){.is_object = is_object,
                                                 .is_key_next = is_object,
                                                 .takes = above->takes && !is_object,
                                                 .is_image_list = above->is_image_list};
    return count_value(walk);
}

static enum dr_code scan_mark(struct walk *walk)
{
    struct frame *const frame = &walk->frames[walk->depth];
    enum dr_code code = DR_OK;
    switch (*walk->at) {
    case '{':
    case '[': code = open_bracket(walk); break;
    case '}':
    case ']':
        if (walk->depth == 0) return fail(walk, "a bracket closes that was not opened");
        --walk->depth;
        break;
    case ',':
        if (frame->is_object) {
            frame->is_key_next = true;
            frame->takes = false;
        }
        break;
    default: break;
    }
    if (code == DR_OK) code = put(walk, walk->at, 1);
    const bool is_line_end = *walk->at == '\n';
    ++walk->at;
    if (is_line_end) {
        walk->line_start = walk->at;
        ++walk->line;
    }
    return code;
}

/* ------------------------------------------------------------------------------------------ */

enum dr_code json_scan_run(struct json_scan *scan, char *text, size_t byte_count,
                           struct dr_error *err)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of byte order */
    struct walk walk = {.scan = scan,
                        .at = text,
                        .end = text + byte_count,
                        .line_start = text,
                        .line = 1,
                        .err = err};
    enum dr_code code = DR_OK;
    scan->text = NULL;
    scan->blobs = NULL;
    scan->byte_count = scan->blob_count = 0;
    if (byte_count >= 3 && memcmp(text, mark, 3) == 0) {
        walk.at += 3;
        walk.line_start = walk.at;
    }
    while (code == DR_OK && walk.at < walk.end) {
        const char c = *walk.at;
        if (c == '"')
            code = scan_string(&walk);
        else if (c != '\0' && strchr(" \t\r\n{}[],:", c))
            code = scan_mark(&walk);
        else
            code = scan_word(&walk);
    }
    if (code != DR_OK) json_scan_finish(scan);
    return code;
}

void json_scan_finish(struct json_scan *scan)
{
    free(scan->text);
    free(scan->blobs);
    scan->text = NULL;
    scan->blobs = NULL;
    scan->byte_count = scan->blob_count = 0;
}

size_t json_scan_column(const struct json_scan *scan, size_t at)
{
    size_t line_start = at;
    while (line_start > 0 && scan->text[line_start - 1] != '\n')
        --line_start;
    size_t column = at - line_start + 1;
    for (size_t i = 0; i < scan->blob_count; ++i)
        if (scan->cuts[i].at >= line_start && scan->cuts[i].at < at)
            column += scan->cuts[i].shorter;
    return column;
}
