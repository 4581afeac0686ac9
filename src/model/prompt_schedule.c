/* First each bracket gets its partner, then each pair, from the inside out, its meaning; what has none is text.
 * At a step the text is what a walk over it writes that jumps over what is not chosen. */
#include "model/prompt_schedule.h"

#include "model/word_scan.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum meaning_of_pair {
    PAIR_TEXT, /* the brackets are text */
    PAIR_WEIGHT,
    PAIR_CHANGE, /* [from:to:when] */
    PAIR_TURNS   /* [a|b] */
};

/* A pair of brackets. Positions are bytes of the text. */
struct pair {
    int32_t open, close;
    int32_t colons[2], colon_count;
    int32_t first_bar, last_bar, bar_count; /* bars are a list: grammar.next */
    bool holds_text; /* an inner pair means nothing, so this one does not either */
    enum meaning_of_pair meaning;
    int32_t when; /* of a change: the last step of `from` */
};

struct grammar {
    const char *text;
    int32_t bytes, steps;
    struct pair *pairs;
    int32_t pair_count;
    int32_t *pair_at; /* [bytes] of the opening bracket: its pair, or -1 */
    int32_t *next;    /* [bytes] closing bracket: its pair, or -1; bar: the next one */
    int32_t *stack;   /* [bytes] open pairs */
    struct pool pool;
};

static bool is_bracket(char c)
{
    return c == '(' || c == ')' || c == '[' || c == ']';
}

/* Bytes of the element at a position: one, or two where a backslash takes the next. 0: a backslash that
 * takes none. */
static int32_t element_bytes(const struct grammar *grammar, int32_t at)
{
    if (grammar->text[at] != '\\') return 1;
    const bool takes = at + 1 < grammar->bytes && grammar->text[at + 1] != '\n';
    return takes ? 2 : 0;
}

/* ---- pairs ---- */

/* A closing bracket of the other kind leaves all open ones without partner. False where the text has no schedule. */
static bool pair_up(struct grammar *grammar)
{
    int32_t open_count = 0;
    for (int32_t at = 0, n; at < grammar->bytes; at += n) {
        const char c = grammar->text[at];
        n = element_bytes(grammar, at);
        if (n == 0) return false;
        grammar->pair_at[at] = grammar->next[at] = -1;
        if (n == 2 || !is_bracket(c)) continue;
        if (c == '(' || c == '[') {
            grammar->stack[open_count++] = at;
            continue;
        }
        const int32_t open = open_count ? grammar->stack[open_count - 1] : -1;
        if (open < 0 || grammar->text[open] != (c == ')' ? '(' : '[')) {
            open_count = 0;
            continue;
        }
        --open_count;
        grammar->pair_at[open] = grammar->next[at] = grammar->pair_count;
        grammar->pairs[grammar->pair_count++] =
            (struct pair){.open = open, .close = at, .first_bar = -1, .last_bar = -1};
    }
    return true;
}

/* "0.25", " 3 ", "1e1" before a closing bracket: the step, at most all of them. */
static bool read_when(const struct grammar *grammar, int32_t first, int32_t end,
                      int32_t *when)
{
    const char *const text = grammar->text;
    const size_t skipped = word_scan_space(text + first, (size_t)(end - first));
    const char *const number = text + first + skipped;
    const char *at = number;
    if (*at == '+' || *at == '-') ++at;
    const size_t whole = strspn(at, "0123456789");
    at += whole;
    const bool has_point = *at == '.';
    const size_t part = has_point ? strspn(at + 1, "0123456789") : 0;
    if (has_point) at += 1 + part;
    if (whole + part == 0) return false;
    if (*at == 'e' || *at == 'E') {
        const char *const sign = at[1] == '+' || at[1] == '-' ? at + 2 : at + 1;
        const size_t digits = strspn(sign, "0123456789");
        if (digits == 0) return false;
        at = sign + digits;
    }
    const int32_t left = end - (int32_t)(at - text);
    if (left < 0 || word_scan_space(at, (size_t)left) != (size_t)left) return false;
    const double value = strtod(number, NULL) * (has_point ? grammar->steps : 1);
    *when = value >= grammar->steps ? grammar->steps
            : value <= -1.0         ? -1
                                    : (int32_t)value;
    return true;
}

static enum meaning_of_pair meaning_of(const struct grammar *grammar, struct pair *pair)
{
    const bool is_round = grammar->text[pair->open] == '(';
    if (pair->holds_text) return PAIR_TEXT;
    if (is_round)
        return pair->bar_count == 0 && pair->colon_count <= 1 ? PAIR_WEIGHT : PAIR_TEXT;
    if (pair->colon_count == 0) return pair->bar_count > 0 ? PAIR_TURNS : PAIR_WEIGHT;
    if (pair->bar_count > 0 || pair->colon_count > 2) return PAIR_TEXT;
    const int32_t number = pair->colons[pair->colon_count - 1] + 1;
    return read_when(grammar, number, pair->close, &pair->when) ? PAIR_CHANGE
                                                                : PAIR_TEXT;
}

static void note_bar(struct grammar *grammar, struct pair *pair, int32_t at)
{
    if (pair->bar_count++ == 0)
        pair->first_bar = at;
    else
        grammar->next[pair->last_bar] = at;
    pair->last_bar = at;
    grammar->next[at] = -1;
}

static void note_colon(struct pair *pair, int32_t at)
{
    if (pair->colon_count < 2) pair->colons[pair->colon_count] = at;
    ++pair->colon_count;
}

/* A bracket without partner, or a pair that means nothing, makes text of the pair around it. False where a bar is
 * outside of [a|b]: the text has no schedule. */
static bool find_meanings(struct grammar *grammar)
{
    int32_t open_count = 0;
    for (int32_t at = 0, n; at < grammar->bytes; at += n) {
        const char c = grammar->text[at];
        n = element_bytes(grammar, at);
        if (n == 2) continue;
        struct pair *const around =
            open_count ? &grammar->pairs[grammar->stack[open_count - 1]] : NULL;
        if (c == '|' && !around) return false;
        if (c == '|') note_bar(grammar, around, at);
        if (c == ':' && around) note_colon(around, at);
        if ((c == '(' || c == '[') && grammar->pair_at[at] >= 0)
            grammar->stack[open_count++] = grammar->pair_at[at];
        if ((c != ')' && c != ']') || grammar->next[at] < 0) continue;
        assert(around && around->close == at);
        around->meaning = meaning_of(grammar, around);
        if (around->meaning == PAIR_TEXT && around->bar_count > 0) return false;
        --open_count;
        if (around->meaning == PAIR_TEXT && open_count > 0)
            grammar->pairs[grammar->stack[open_count - 1]].holds_text = true;
    }
    return true;
}

/* ---- the text of a step ---- */

/* What a pair stands for at a step. */
static void choose(const struct grammar *grammar, const struct pair *pair, int32_t step,
                   int32_t *first, int32_t *end)
{
    *first = pair->open + 1;
    *end = pair->close;
    if (pair->meaning == PAIR_CHANGE) {
        const int32_t middle = pair->colons[0];
        const bool has_from = pair->colon_count == 2;
        const int32_t to = has_from ? pair->colons[1] : middle;
        if (step > pair->when) {
            *first = has_from ? middle + 1 : pair->open + 1;
            *end = to;
        } else {
            *end = has_from ? middle : *first;
        }
        return;
    }
    const int32_t turn = (step - 1) % (pair->bar_count + 1);
    int32_t bar = pair->first_bar;
    for (int32_t i = 0; i < turn; ++i) {
        *first = bar + 1;
        bar = grammar->next[bar];
    }
    if (bar >= 0) *end = bar;
}

/* Writes the text of a step, at most as long as the whole; returns its length. The stack holds pairs that are
 * being walked through, and where the walk leaves each. */
static size_t write_step(const struct grammar *grammar, int32_t step, int32_t *ends,
                         char *out)
{
    size_t length = 0;
    int32_t depth = 0, at = 0, end = grammar->bytes;
    for (;;) {
        while (at == end && depth > 0) {
            --depth;
            at = grammar->pairs[grammar->stack[depth]].close + 1;
            end = ends[depth];
        }
        if (at == end) return length;
        const int32_t n = element_bytes(grammar, at);
        const int32_t idx =
            n == 1 && (grammar->text[at] == '(' || grammar->text[at] == '[')
                ? grammar->pair_at[at]
                : -1;
        const struct pair *const pair = idx >= 0 ? &grammar->pairs[idx] : NULL;
        if (pair && (pair->meaning == PAIR_CHANGE || pair->meaning == PAIR_TURNS)) {
            grammar->stack[depth] = idx;
            ends[depth++] = end;
            choose(grammar, pair, step, &at, &end);
            continue;
        }
        memcpy(out + length, grammar->text + at, (size_t)n);
        length += (size_t)n;
        at += n;
    }
}

/* ---- entries ---- */

struct entries {
    struct prompt_schedule_entry *list;
    uint64_t *hashes; /* of their texts */
    int32_t count;
    size_t bytes;
};

/* FNV-1a */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325U;
    for (; *text; ++text)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3U;
    return hash;
}

/* An earlier entry with this text, or NULL. */
static const char *find_text(const struct entries *entries, const char *text,
                             uint64_t hash)
{
    for (int32_t i = entries->count; i-- > 0;)
        if (entries->hashes[i] == hash && strcmp(entries->list[i].text, text) == 0)
            return entries->list[i].text;
    return NULL;
}

static enum dr_code add_entry(struct entries *entries, struct pool *pool, int32_t step,
                              const char *text, size_t bytes, struct dr_error *err)
{
    const uint64_t hash = hash_of(text);
    const char *kept = find_text(entries, text, hash);
    struct prompt_schedule_entry *const last =
        entries->count ? &entries->list[entries->count - 1] : NULL;
    if (kept && last->text == kept) {
        last->end_step = step;
        ++last->repeat;
        return DR_OK;
    }
    if (!kept) {
        entries->bytes += bytes + 1;
        if (entries->bytes > PROMPT_SCHEDULE_BYTES)
            return error_set(err, DR_BAD_INPUT,
                             "the prompt has too many long texts, one after the other "
                             "(more than %d MiB by step %d): use fewer of [a|b] and "
                             "[from:to:when]",
                             PROMPT_SCHEDULE_BYTES / 1024 / 1024, (int)step);
        kept = pool_string(pool, text);
    }
    if (!kept) return error_set(err, DR_NOMEM, "no memory for the texts of a prompt");
    entries->hashes[entries->count] = hash;
    entries->list[entries->count++] = (struct prompt_schedule_entry){step, 1, kept};
    return DR_OK;
}

static bool has_turns(const struct grammar *grammar)
{
    for (int32_t i = 0; i < grammar->pair_count; ++i)
        if (grammar->pairs[i].meaning == PAIR_TURNS) return true;
    return false;
}

/* Does an entry end at this step? */
static void mark_ends(const struct grammar *grammar, bool *ends)
{
    ends[grammar->steps] = true;
    for (int32_t i = 0; i < grammar->pair_count; ++i)
        if (grammar->pairs[i].meaning == PAIR_CHANGE && grammar->pairs[i].when >= 1)
            ends[grammar->pairs[i].when] = true;
    if (has_turns(grammar)) memset(ends + 1, true, (size_t)grammar->steps);
}

static enum dr_code make_entries(struct grammar *grammar, struct pool *pool,
                                 struct entries *entries, struct dr_error *err)
{
    const size_t bytes = (size_t)grammar->bytes;
    bool *const is_end = pool_alloc(&grammar->pool, (size_t)grammar->steps + 1);
    char *const text = pool_alloc(&grammar->pool, bytes + 1);
    int32_t *const ends = pool_alloc(&grammar->pool, (bytes + 1) * sizeof *ends);
    if (!is_end || !text || !ends)
        return error_set(err, DR_NOMEM, "no memory for the texts of a prompt");
    mark_ends(grammar, is_end);
    enum dr_code code = DR_OK;
    for (int32_t step = 1; code == DR_OK && step <= grammar->steps; ++step) {
        if (!is_end[step]) continue;
        const size_t length = write_step(grammar, step, ends, text);
        text[length] = '\0';
        code = add_entry(entries, pool, step, text, length, err);
    }
    return code;
}

static bool grammar_init(struct grammar *grammar, const char *text, int32_t steps)
{
    const size_t bytes = strlen(text);
    *grammar = (struct grammar){.text = text, .bytes = (int32_t)bytes, .steps = steps};
    struct pool *const pool = &grammar->pool;
    grammar->pairs = pool_alloc(pool, (bytes / 2 + 1) * sizeof *grammar->pairs);
    grammar->pair_at = pool_alloc(pool, (bytes + 1) * sizeof *grammar->pair_at);
    grammar->next = pool_alloc(pool, (bytes + 1) * sizeof *grammar->next);
    grammar->stack = pool_alloc(pool, (bytes + 1) * sizeof *grammar->stack);
    return grammar->pairs && grammar->pair_at && grammar->next && grammar->stack;
}

static enum dr_code parse(const char *text, int32_t steps, struct pool *pool,
                          struct entries *entries, struct dr_error *err)
{
    struct grammar grammar = {0};
    enum dr_code code = DR_OK;
    const bool may_change = strpbrk(text, "[|\\") != NULL;
    if (!may_change || strlen(text) > INT32_MAX / 2)
        return add_entry(entries, pool, steps, text, strlen(text), err);
    if (!grammar_init(&grammar, text, steps))
        code = error_set(err, DR_NOMEM, "no memory for the texts of a prompt");
    else if (pair_up(&grammar) && find_meanings(&grammar))
        code = make_entries(&grammar, pool, entries, err);
    else
        code = add_entry(entries, pool, steps, text, strlen(text), err);
    pool_finish(&grammar.pool);
    return code;
}

enum dr_code prompt_schedule_parse(const char *text, int32_t steps, struct pool *pool,
                                   struct prompt_schedule_entry **list, int32_t *count,
                                   struct dr_error *err)
{
    assert(steps > 0);
    struct entries entries = {0};
    entries.list = pool_alloc(pool, (size_t)steps * sizeof *entries.list);
    entries.hashes = pool_alloc(pool, (size_t)steps * sizeof *entries.hashes);
    if (!entries.list || !entries.hashes)
        return error_set(err, DR_NOMEM, "no memory for the texts of a prompt");
    const enum dr_code code = parse(text, steps, pool, &entries, err);
    *list = entries.list;
    *count = entries.count;
    return code;
}
