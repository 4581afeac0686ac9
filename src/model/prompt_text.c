/* One buffer. Its size is that of the decomposed prompt, counted by the walk that fills it
 * (decompose with points NULL counts). Composition shrinks what is in it. Lower case makes two
 * points of each U+0130, but such a point was composed from two. So the composed prompt is
 * moved to the buffer's end and lower-cased to its start: the writer never passes the reader.
 */
#include "model/prompt_text.h"

#include "base/utf8.h"
#include "model/added_tokens.h"
#include "model/code_point.h"

#include <string.h>
#include <utf8proc.h>

/* The character at the front of text, which ends with a zero byte and is not empty. */
static size_t decode(const char *text, int32_t *point)
{
    uint32_t decoded;
    const size_t bytes = utf8_decode(text, strnlen(text, 4), &decoded);
    *point = (int32_t)decoded;
    return bytes;
}

/* ---- decomposition ---- */

/* The bytes of the longest token, as written, that begins here; 0: none does. */
static size_t token_bytes(const char *text, const struct added_tokens *tokens,
                          int32_t *token)
{
    struct token_search search = token_search_raw(tokens);
    size_t at = 0, length = 0;
    while (search.first < search.end && text[at]) {
        int32_t point;
        at += decode(text + at, &point);
        if (!token_search_step(&search, tokens, point)) break;
        if (search.found_points == search.depth) length = at;
    }
    *token = search.found;
    return length;
}

/* Decode and decompose the whole text, with tokens as one point. Counts where points is NULL, else
 * writes; the same walk, so both agree. */
static size_t decompose(const char *text, const struct added_tokens *tokens,
                        int32_t *points)
{
    size_t count = 0;
    while (*text) {
        int32_t *const out = points ? points + count : NULL;
        int32_t token, point;
        const size_t bytes = token_bytes(text, tokens, &token);
        if (bytes > 0) {
            if (out) *out = PROMPT_TEXT_TOKEN + token;
            text += bytes;
            ++count;
            continue;
        }
        text += decode(text, &point);
        count += (size_t)code_point_decompose(point, out);
    }
    return count;
}

static bool is_token(int32_t point)
{
    return point >= PROMPT_TEXT_TOKEN;
}

static int combining(int32_t point)
{
    return is_token(point) ? 0 : code_point_combining(point);
}

static void sort_short(int32_t *marks, size_t count)
{
    for (size_t i = 1; i < count; ++i) {
        const int32_t mark = marks[i];
        const int class = combining(mark);
        size_t to = i;
        for (; to > 0 && combining(marks[to - 1]) > class; --to)
            marks[to] = marks[to - 1];
        marks[to] = mark;
    }
}

enum {
    SHORT_RUN = 16,
    COMBINING_CLASSES = 256
};

static bool sort_long(int32_t *marks, size_t count)
{
    struct pool pool = {0};
    int32_t *const sorted = pool_grow(&pool, NULL, 0, count, sizeof *sorted);
    if (!sorted) return false;
    size_t start[COMBINING_CLASSES + 1] = {0};
    for (size_t i = 0; i < count; ++i)
        ++start[combining(marks[i]) + 1];
    for (int class = 0; class < COMBINING_CLASSES; ++class)
        start[class + 1] += start[class];
    for (size_t i = 0; i < count; ++i)
        sorted[start[combining(marks[i])]++] = marks[i];
    memcpy(marks, sorted, count * sizeof *marks);
    pool_finish(&pool);
    return true;
}

/* Unicode's canonical ordering: each run of marks by combining class, stable. */
static bool order_marks(int32_t *points, size_t count)
{
    size_t i = 0;
    while (i < count) {
        if (combining(points[i]) == 0) {
            ++i;
            continue;
        }
        const size_t first = i;
        while (i < count && combining(points[i]) != 0)
            ++i;
        if (i - first <= SHORT_RUN)
            sort_short(points + first, i - first);
        else if (!sort_long(points + first, i - first))
            return false;
    }
    return true;
}

/* ---- composition ---- */

static bool parts(int32_t point)
{
    return is_token(point) || code_point_is_late(point);
}

/* Compose each stretch between points that part; returns the new count. */
static size_t compose(int32_t *points, size_t count)
{
    const utf8proc_option_t options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
    size_t composed = 0, i = 0;
    while (i < count) {
        const size_t first = i;
        while (i < count && !parts(points[i]))
            ++i;
        /* Cannot fail: every point is one of Unicode's, and nothing is allocated. */
        const size_t length =
            (size_t)utf8proc_normalize_utf32(points + first,
                                             (utf8proc_ssize_t)(i - first), options);
        memmove(points + composed, points + first, length * sizeof *points);
        composed += length;
        if (i < count) points[composed++] = points[i++];
    }
    return composed;
}

/* ---- lower case, and the normalised tokens ---- */

static size_t lower(const int32_t *source, size_t count, int32_t *target)
{
    size_t written = 0;
    for (size_t i = 0; i < count; ++i) {
        const int32_t point = source[i];
        target[written++] = is_token(point) ? point : code_point_lower(point);
        if (point == CODE_POINT_I_DOT) target[written++] = CODE_POINT_DOT_ABOVE;
    }
    return written;
}

/* The end of a run of white space, or of the one point. */
static size_t run_end(const int32_t *points, size_t count, size_t at, bool is_space)
{
    do
        ++at;
    while (is_space && at < count && !is_token(points[at]) &&
           code_point_class(points[at]) == CODE_POINT_SPACE);
    return at;
}

/* The points of the longest normalised token that begins here; 0: none does. */
static size_t token_points(const int32_t *points, size_t count,
                           const struct added_tokens *tokens, int32_t *token)
{
    struct token_search search = token_search_normalized(tokens);
    size_t at = 0, length = 0;
    while (search.first < search.end && at < count && !is_token(points[at])) {
        const bool is_space = code_point_class(points[at]) == CODE_POINT_SPACE;
        if (!token_search_step(&search, tokens, is_space ? ' ' : points[at])) break;
        at = run_end(points, count, at, is_space);
        if (search.found_points == search.depth) length = at;
    }
    *token = search.found;
    return length;
}

static size_t take_tokens(int32_t *points, size_t count,
                          const struct added_tokens *tokens)
{
    size_t written = 0;
    for (size_t i = 0; i < count; ++written) {
        int32_t token;
        const size_t length = token_points(points + i, count - i, tokens, &token);
        points[written] = length > 0 ? PROMPT_TEXT_TOKEN + token : points[i];
        i += length > 0 ? length : 1;
    }
    return written;
}

static enum dr_code check_length(const char *utf8, struct dr_error *err)
{
    const size_t bytes = strlen(utf8);
    if (bytes <= PROMPT_TEXT_MAX_BYTES) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the prompt has %zu bytes; at most %d are supported: shorten it",
                     bytes, PROMPT_TEXT_MAX_BYTES);
}

static enum dr_code no_memory(const char *utf8, struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for a prompt of %zu bytes",
                     strlen(utf8));
}

enum dr_code prompt_text_decode(struct prompt_text *text, const char *utf8,
                                struct dr_error *err)
{
    *text = (struct prompt_text){0};
    const enum dr_code code = check_length(utf8, err);
    if (code) return code;
    text->points = pool_grow(&text->pool, NULL, 0, strlen(utf8) + 1, sizeof(int32_t));
    if (!text->points) return no_memory(utf8, err);
    while (*utf8)
        utf8 += decode(utf8, &text->points[text->count++]);
    return DR_OK;
}

enum dr_code prompt_text_init(struct prompt_text *text, const char *utf8,
                              const struct added_tokens *tokens, struct dr_error *err)
{
    *text = (struct prompt_text){0};
    const enum dr_code code = check_length(utf8, err);
    if (code) return code;
    const size_t capacity = decompose(utf8, tokens, NULL);
    int32_t *const points = pool_grow(&text->pool, NULL, 0, capacity, sizeof *points);
    if (points) (void)decompose(utf8, tokens, points);
    if (!points || !order_marks(points, capacity)) {
        prompt_text_finish(text);
        return no_memory(utf8, err);
    }
    const size_t composed = compose(points, capacity);
    int32_t *const tail = points + (capacity - composed);
    memmove(tail, points, composed * sizeof *points);
    text->points = points;
    text->count = take_tokens(points, lower(tail, composed, points), tokens);
    return DR_OK;
}

void prompt_text_finish(struct prompt_text *text)
{
    pool_finish(&text->pool);
    *text = (struct prompt_text){0};
}
