/* The JSON library's own hash table resolves the symbols; it and both files' text go when the
 * merges are resolved. The merges' hash table has at most half of its places taken and probes
 * one place after the other.
 */
#include "model/vocabulary.h"

#include "base/utf8.h"
#include "model/tokenizer_file.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SYMBOLS_FILE "vocab.json"
#define MERGES_FILE  "merges.txt"
#define WORD_END     "</w>"

enum {
    MAX_ID = ADDED_TOKEN_MAX_ID,
    MAX_SYMBOL_BYTES = 1024
};

/* What opening needs besides its result. */
struct opening {
    struct vocabulary *vocabulary;
    const char *folder;
    struct pool pool; /* the files' text */
    json_t *symbols;
    struct dr_error *err;
};

static enum dr_code no_memory(struct opening *opening)
{
    return error_set(opening->err, DR_NOMEM, "no memory for the tokenizer in %s",
                     opening->folder);
}

static enum dr_code not_found(struct opening *opening)
{
    return error_set(opening->err, DR_NOT_FOUND,
                     "no tokenizer in %s: it must hold %s and %s; darkroom vocabulary "
                     "fetches CLIP's",
                     opening->folder, SYMBOLS_FILE, MERGES_FILE);
}

/* ---- symbols ---- */

static enum dr_code load_symbols(struct opening *opening)
{
    const enum dr_code code = tokenizer_file_json(&opening->symbols, opening->folder,
                                                  SYMBOLS_FILE, opening->err);
    if (code == DR_NOT_FOUND) return not_found(opening);
    if (code != DR_OK) return code;

    const char *symbol;
    json_t *value;
    json_object_foreach(opening->symbols, symbol, value)
    {
        const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id > MAX_ID)
            return error_set(
                opening->err, DR_CORRUPT,
                "%s/%s: the id of \"%.80s\" is not a whole number from 0 to %d",
                opening->folder, SYMBOLS_FILE, symbol, MAX_ID);
        if (id >= opening->vocabulary->count)
            opening->vocabulary->count = (int32_t)id + 1;
    }
    return DR_OK;
}

/* The id of a symbol, or -1. */
static int32_t symbol_id(const struct opening *opening, const char *symbol)
{
    const json_t *const value = json_object_get(opening->symbols, symbol);
    return value ? (int32_t)json_integer_value(value) : -1;
}

static enum dr_code need_symbol(struct opening *opening, const char *symbol,
                                int32_t *id)
{
    *id = symbol_id(opening, symbol);
    if (*id >= 0) return DR_OK;
    return error_set(opening->err, DR_CORRUPT, "%s/%s does not have the symbol \"%s\"",
                     opening->folder, SYMBOLS_FILE, symbol);
}

/* Bytes that stand for themselves in the files. */
static bool is_plain(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
}

static enum dr_code find_bytes(struct opening *opening)
{
    struct vocabulary *const vocabulary = opening->vocabulary;
    enum dr_code code = DR_OK;
    unsigned spare = 0x100; /* the next character for a byte that is not plain */
    for (int byte = 0; byte < 256 && code == DR_OK; ++byte) {
        const unsigned point = is_plain(byte) ? (unsigned)byte : spare++;
        char symbol[8] = {0};
        (void)utf8_encode(point, symbol);
        code = need_symbol(opening, symbol, &vocabulary->byte_ids[byte]);
        if (code != DR_OK) break;
        memcpy(symbol + strlen(symbol), WORD_END, sizeof WORD_END);
        code = need_symbol(opening, symbol, &vocabulary->byte_end_ids[byte]);
    }
    if (code == DR_OK) code = need_symbol(opening, BOS_SYMBOL, &vocabulary->bos);
    if (code == DR_OK) code = need_symbol(opening, EOS_SYMBOL, &vocabulary->eos);
    return code;
}

/* ---- added tokens ---- */

/* The id of one that the vocabulary has is the vocabulary's. */
static enum dr_code resolve_added(struct opening *opening, struct added_token *token)
{
    const int32_t id = symbol_id(opening, token->text);
    if (id < 0 && token->id < 0)
        return error_set(
            opening->err, DR_CORRUPT,
            "%s: the token \"%.80s\" has no id, neither in %s nor in added_tokens.json",
            opening->folder, token->text, SYMBOLS_FILE);
    if (id >= 0 && token->id >= 0 && id != token->id)
        return error_set(
            opening->err, DR_CORRUPT,
            "%s: the token \"%.80s\" is added with id %d, but %s gives it %d",
            opening->folder, token->text, (int)token->id, SYMBOLS_FILE, (int)id);
    if (id >= 0) token->id = id;
    return DR_OK;
}

static enum dr_code load_added(struct opening *opening)
{
    struct vocabulary *const vocabulary = opening->vocabulary;
    struct added_tokens *const added = &vocabulary->added;
    enum dr_code code = added_tokens_read(added, opening->folder, opening->err);
    for (int32_t i = 0; code == DR_OK && i < added->count; ++i)
        code = resolve_added(opening, &added->items[i]);
    if (code != DR_OK) return code;
    const struct added_token *const pad =
        added->pad ? added_tokens_find(added, added->pad) : NULL;
    vocabulary->pad = pad ? pad->id : -1;
    return added_tokens_build(added, opening->err);
}

/* ---- merges ---- */

static uint32_t place_of(const struct vocabulary *vocabulary, int32_t left,
                         int32_t right)
{
    const uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    /* Fibonacci hashing: 2^64 over the golden ratio, the high bits taken. */
    return (uint32_t)(pair * 0x9E3779B97F4A7C15u >> 32) & vocabulary->rank_mask;
}

/* The place of the pair, or the free place where it belongs. */
static int32_t *find_place(const struct vocabulary *vocabulary, int32_t left,
                           int32_t right)
{
    uint32_t place = place_of(vocabulary, left, right);
    for (;; place = (place + 1) & vocabulary->rank_mask) {
        int32_t *const rank = &vocabulary->ranks[place];
        if (*rank < 0) return rank;
        const struct merge *const merge = &vocabulary->merges[*rank];
        if (merge->left == left && merge->right == right) return rank;
    }
}

int32_t vocabulary_rank(const struct vocabulary *vocabulary, int32_t left,
                        int32_t right)
{
    return *find_place(vocabulary, left, right);
}

static bool reserve_merges(struct vocabulary *vocabulary, size_t most)
{
    size_t places = 16;
    while (places < 2 * most)
        places *= 2;
    vocabulary->merges =
        pool_grow(&vocabulary->pool, NULL, 0, most, sizeof *vocabulary->merges);
    vocabulary->ranks =
        pool_grow(&vocabulary->pool, NULL, 0, places, sizeof *vocabulary->ranks);
    if (!vocabulary->merges || !vocabulary->ranks) return false;
    for (size_t i = 0; i < places; ++i)
        vocabulary->ranks[i] = -1;
    vocabulary->rank_mask = (uint32_t)places - 1;
    return true;
}

/* One line, "left right"; its text is cut in two in place. */
static enum dr_code add_merge(struct opening *opening, char *line, int line_number)
{
    char *const right = strchr(line, ' ');
    const size_t length = strlen(line);
    struct merge merge = {-1, -1, -1};
    if (right && length < MAX_SYMBOL_BYTES) {
        char whole[MAX_SYMBOL_BYTES];
        const size_t left_length = (size_t)(right - line);
        memcpy(whole, line, left_length);
        memcpy(whole + left_length, right + 1, length - left_length); /* with its end */
        *right = '\0';
        merge = (struct merge){symbol_id(opening, line), symbol_id(opening, right + 1),
                               symbol_id(opening, whole)};
        *right = ' ';
    }
    if (merge.left < 0 || merge.right < 0 || merge.result < 0)
        return error_set(
            opening->err, DR_CORRUPT,
            "%s/%s, line %d: \"%.80s\" does not merge two symbols of %s into one",
            opening->folder, MERGES_FILE, line_number, line, SYMBOLS_FILE);

    struct vocabulary *const vocabulary = opening->vocabulary;
    int32_t *const place = find_place(vocabulary, merge.left, merge.right);
    vocabulary->merges[vocabulary->merge_count] = merge;
    *place =
        vocabulary->merge_count++; /* of a pair that comes twice, the later counts */
    return DR_OK;
}

/* A line that ends as on Windows. */
static void cut_return(char *line)
{
    const size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r') line[length - 1] = '\0';
}

static enum dr_code load_merges(struct opening *opening)
{
    struct tokenizer_file text = {0};
    enum dr_code code = tokenizer_file_read(&text, &opening->pool, opening->folder,
                                            MERGES_FILE, opening->err);
    if (code == DR_NOT_FOUND) return not_found(opening);
    if (code != DR_OK) return code;
    if (strlen(text.bytes) != text.count)
        return error_set(opening->err, DR_CORRUPT, "%s/%s has a zero byte at %zu",
                         opening->folder, MERGES_FILE, strlen(text.bytes));
    size_t lines = 1;
    for (size_t i = 0; i < text.count; ++i)
        lines += text.bytes[i] == '\n';
    if (!reserve_merges(opening->vocabulary, lines)) return no_memory(opening);

    char *line = text.bytes;
    for (int number = 1; line && code == DR_OK; ++number) {
        char *const end = strchr(line, '\n');
        if (end) *end = '\0';
        cut_return(line);
        const bool is_title = number == 1 && strncmp(line, "#version", 8) == 0;
        if (*line && !is_title) code = add_merge(opening, line, number);
        line = end ? end + 1 : NULL;
    }
    return code;
}

enum dr_code vocabulary_open(struct vocabulary *vocabulary, const char *folder,
                             struct dr_error *err)
{
    *vocabulary = (struct vocabulary){0};
    struct opening opening = {.vocabulary = vocabulary, .folder = folder, .err = err};
    enum dr_code code = load_symbols(&opening);
    if (code == DR_OK) code = find_bytes(&opening);
    if (code == DR_OK) code = load_added(&opening);
    if (code == DR_OK) code = load_merges(&opening);
    json_decref(opening.symbols);
    pool_finish(&opening.pool);
    if (code != DR_OK) vocabulary_close(vocabulary);
    /* glibc would keep the 6 MB of small blocks that CLIP's symbols were while they were JSON. */
    (void)malloc_trim(0);
    return code;
}

void vocabulary_close(struct vocabulary *vocabulary)
{
    added_tokens_finish(&vocabulary->added);
    pool_finish(&vocabulary->pool);
    (void)malloc_trim(0);
    *vocabulary = (struct vocabulary){0};
}
