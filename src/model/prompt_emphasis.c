/* One pass over the text makes pieces: slices of it, each with a weight. A closing bracket multiplies the
 * weights of all pieces since its partner. */
#include "model/prompt_emphasis.h"

#include "model/word_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double round_factor = 1.1;
static const double square_factor = 1 / 1.1;

struct piece {
    const char *text;
    size_t bytes;
    double weight;
};

/* Open brackets of one kind: the number of pieces before each. */
struct brackets {
    int32_t *pieces;
    int32_t count, capacity;
};

struct emphasis {
    struct pool pool; /* of the pieces and brackets */
    struct piece *pieces;
    int32_t count, capacity;
    struct brackets round, square;
    int64_t work;
    bool has_no_memory;
};

static void *room_for(struct emphasis *emphasis, void *array, int32_t count,
                      int32_t *capacity, size_t bytes)
{
    if (count < *capacity) return array;
    const int32_t larger = *capacity ? 2 * *capacity : 64;
    void *const grown =
        pool_grow(&emphasis->pool, array, (size_t)count, (size_t)larger, bytes);
    if (grown)
        *capacity = larger;
    else
        emphasis->has_no_memory = true;
    return grown ? grown : array;
}

static void add_piece(struct emphasis *emphasis, const char *text, size_t bytes,
                      double weight)
{
    emphasis->pieces = room_for(emphasis, emphasis->pieces, emphasis->count,
                                &emphasis->capacity, sizeof *emphasis->pieces);
    if (emphasis->count < emphasis->capacity)
        emphasis->pieces[emphasis->count++] = (struct piece){text, bytes, weight};
}

static void open_bracket(struct emphasis *emphasis, struct brackets *brackets)
{
    brackets->pieces = room_for(emphasis, brackets->pieces, brackets->count,
                                &brackets->capacity, sizeof *brackets->pieces);
    if (brackets->count < brackets->capacity)
        brackets->pieces[brackets->count++] = emphasis->count;
}

static void multiply(struct emphasis *emphasis, int32_t first, double factor)
{
    emphasis->work += emphasis->count - first;
    if (emphasis->work > PROMPT_EMPHASIS_WORK) return;
    for (int32_t i = first; i < emphasis->count; ++i)
        emphasis->pieces[i].weight *= factor;
}

static void close_bracket(struct emphasis *emphasis, struct brackets *brackets,
                          double factor)
{
    multiply(emphasis, brackets->pieces[--brackets->count], factor);
}

/* Text between BREAKs, which count as words of this text alone. */
static void add_text(struct emphasis *emphasis, const char *text, size_t bytes)
{
    static const char word[] = "BREAK";
    size_t first = 0, at;
    while ((at = word_scan_find(text, bytes, first, word)) < bytes) {
        add_piece(emphasis, text + first, word_scan_trimmed(text + first, at - first),
                  1.0);
        add_piece(emphasis, word, sizeof word - 1, -1.0);
        first = at + sizeof word - 1;
        first += word_scan_space(text + first, bytes - first);
    }
    add_piece(emphasis, text + first, bytes - first, 1.0);
}

/* ":1.3)" with white space anywhere between: its length, or 0; *number is where the digits begin. */
static size_t weight_bytes(const char *text, size_t bytes, size_t *number)
{
    size_t at = 1;
    at += word_scan_space(text + at, bytes - at);
    *number = at;
    if (at < bytes && (text[at] == '+' || text[at] == '-')) ++at;
    const size_t digits = strspn(text + at, ".0123456789");
    at += digits;
    at += word_scan_space(text + at, bytes - at);
    return digits > 0 && at < bytes && text[at] == ')' ? at + 1 : 0;
}

static enum dr_code read_weight(const char *text, double *weight, struct dr_error *err)
{
    char *end;
    *weight = strtod(text, &end);
    const size_t bytes = strspn(text, "+-.0123456789");
    if (end == text + bytes) return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "\"%.*s\" in the prompt is not a weight: give a number, as in (word:1.2), "
        "or \\( and \\) for brackets that are text",
        (int)(bytes < 40 ? bytes : 40), text);
}

/* A colon: alone, or with the weight that closes a bracket. */
static enum dr_code take_colon(struct emphasis *emphasis, const char *text,
                               size_t bytes, size_t *taken, struct dr_error *err)
{
    size_t number;
    const size_t length = weight_bytes(text, bytes, &number);
    *taken = length ? length : 1;
    if (!length || emphasis->round.count == 0) {
        add_text(emphasis, text, *taken);
        return DR_OK;
    }
    double weight;
    const enum dr_code code = read_weight(text + number, &weight, err);
    if (code == DR_OK) close_bracket(emphasis, &emphasis->round, weight);
    return code;
}

static size_t take_backslash(struct emphasis *emphasis, const char *text)
{
    const bool escapes = text[1] && strchr("()[]\\", text[1]);
    add_piece(emphasis, text + 1, escapes ? 1 : 0, 1.0);
    return escapes ? 2 : 1;
}

/* One element of the text: a bracket, a backslash, a colon, or a run of other characters. */
static enum dr_code take(struct emphasis *emphasis, const char *text, size_t bytes,
                         size_t *taken, struct dr_error *err)
{
    *taken = 1;
    switch (*text) {
    case '\\': *taken = take_backslash(emphasis, text); return DR_OK;
    case '(': open_bracket(emphasis, &emphasis->round); return DR_OK;
    case '[': open_bracket(emphasis, &emphasis->square); return DR_OK;
    case ':': return take_colon(emphasis, text, bytes, taken, err);
    case ')':
        if (emphasis->round.count == 0) break;
        close_bracket(emphasis, &emphasis->round, round_factor);
        return DR_OK;
    case ']':
        if (emphasis->square.count == 0) break;
        close_bracket(emphasis, &emphasis->square, square_factor);
        return DR_OK;
    default: *taken = strcspn(text, "\\()[]:"); break;
    }
    add_text(emphasis, text, *taken);
    return DR_OK;
}

static enum dr_code take_all(struct emphasis *emphasis, const char *text,
                             struct dr_error *err)
{
    const size_t bytes = strlen(text);
    for (size_t at = 0, taken; at < bytes; at += taken) {
        const enum dr_code code = take(emphasis, text + at, bytes - at, &taken, err);
        if (code != DR_OK) return code;
        if (emphasis->has_no_memory)
            return error_set(err, DR_NOMEM, "no memory for the weights of a prompt");
    }
    for (int32_t i = 0; i < emphasis->round.count; ++i)
        multiply(emphasis, emphasis->round.pieces[i], round_factor);
    for (int32_t i = 0; i < emphasis->square.count; ++i)
        multiply(emphasis, emphasis->square.pieces[i], square_factor);
    if (emphasis->count == 0) add_piece(emphasis, text, 0, 1.0);
    if (emphasis->has_no_memory)
        return error_set(err, DR_NOMEM, "no memory for the weights of a prompt");
    if (emphasis->work <= PROMPT_EMPHASIS_WORK) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the prompt's brackets are nested too deeply (%zu bytes of text): "
                     "use fewer of them, or --prompt-syntax plain",
                     bytes);
}

/* ---- segments ---- */

/* Pieces from first on that have one weight; their bytes together. */
static int32_t run_of(const struct emphasis *emphasis, int32_t first, size_t *bytes)
{
    int32_t end = first;
    *bytes = 0;
    while (end < emphasis->count &&
           emphasis->pieces[end].weight == emphasis->pieces[first].weight)
        *bytes += emphasis->pieces[end++].bytes;
    return end > first ? end - first : 1;
}

static enum dr_code make_segment(const struct emphasis *emphasis, int32_t first,
                                 int32_t count, size_t bytes, struct pool *pool,
                                 struct prompt_segment *segment, struct dr_error *err)
{
    char *const text = pool_alloc(pool, bytes + 1);
    if (!text) return error_set(err, DR_NOMEM, "no memory for the weights of a prompt");
    size_t used = 0;
    for (int32_t i = first; i < first + count; ++i) {
        memcpy(text + used, emphasis->pieces[i].text, emphasis->pieces[i].bytes);
        used += emphasis->pieces[i].bytes;
    }
    const double weight = emphasis->pieces[first].weight;
    *segment =
        (struct prompt_segment){text, weight, weight == -1.0 && !strcmp(text, "BREAK")};
    if (isfinite((float)weight)) return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "the weight of \"%.40s\" in the prompt is %g, which is not finite: "
        "use fewer brackets or a smaller number",
        text, weight);
}

static enum dr_code make_segments(const struct emphasis *emphasis, struct pool *pool,
                                  struct prompt_segment **segments, int32_t *count,
                                  struct dr_error *err)
{
    int32_t total = 0;
    size_t bytes;
    for (int32_t i = 0; i < emphasis->count; i += run_of(emphasis, i, &bytes))
        ++total;
    struct prompt_segment *const made = pool_alloc(pool, (size_t)total * sizeof *made);
    if (!made) return error_set(err, DR_NOMEM, "no memory for the weights of a prompt");
    enum dr_code code = DR_OK;
    int32_t used = 0;
    for (int32_t i = 0, n; code == DR_OK && i < emphasis->count; i += n) {
        n = run_of(emphasis, i, &bytes);
        if (isnan(emphasis->pieces[i].weight)) bytes = emphasis->pieces[i].bytes;
        code = make_segment(emphasis, i, n, bytes, pool, &made[used++], err);
    }
    *segments = made;
    *count = used;
    return code;
}

enum dr_code prompt_emphasis_parse(const char *text, struct pool *pool,
                                   struct prompt_segment **segments, int32_t *count,
                                   struct dr_error *err)
{
    struct emphasis emphasis = {0};
    enum dr_code code = take_all(&emphasis, text, err);
    if (code == DR_OK) code = make_segments(&emphasis, pool, segments, count, err);
    pool_finish(&emphasis.pool);
    return code;
}
