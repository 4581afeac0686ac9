/* Words first, then each word by itself.
 *
 * A word is cut at the places of CLIP's pattern, in one pass over the prompt's code points.
 * Its bytes become symbols in a linked list, and the list's neighbours merge, the lowest rank
 * first, leftmost first among equals. Candidates wait in a binary heap of (rank, position), so
 * that a word of n bytes takes O(n log n); one that its neighbours' merges have made stale is
 * recognised when it is taken out. The reference does it so, and merges that are listed in
 * another order than they were learned in come out the same only this way.
 */
#include "model/tokenizer.h"

#include "base/utf8.h"
#include "model/code_point.h"
#include "model/prompt_text.h"
#include "model/tokenizer_file.h"
#include "model/vocabulary.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

struct tokenizer {
    struct vocabulary vocabulary;
    struct tokenizer_stamp stamp; /* of the files, before they were read */
    struct pool pool;             /* holds this struct itself */
};

enum dr_code tokenizer_open(struct tokenizer **out, const char *folder,
                            struct dr_error *err)
{
    struct pool pool = {0};
    struct tokenizer *const tokenizer = pool_alloc(&pool, sizeof *tokenizer);
    if (!tokenizer)
        return error_set(err, DR_NOMEM, "no memory for the tokenizer in %s", folder);
    tokenizer_stamp_take(&tokenizer->stamp, folder);
    const enum dr_code code = vocabulary_open(&tokenizer->vocabulary, folder, err);
    if (code != DR_OK) {
        pool_finish(&pool);
        return code;
    }
    tokenizer->pool = pool;
    *out = tokenizer;
    return DR_OK;
}

void tokenizer_close(struct tokenizer **tokenizer)
{
    if (!*tokenizer) return;
    vocabulary_close(&(*tokenizer)->vocabulary);
    struct pool pool = (*tokenizer)->pool;
    pool_finish(&pool);
    *tokenizer = NULL;
}

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.count;
}

int32_t tokenizer_pad(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.pad;
}

const char *tokenizer_added_text(const struct tokenizer *tokenizer, int32_t id)
{
    const struct added_tokens *const added = &tokenizer->vocabulary.added;
    for (int32_t i = 0; i < added->count; ++i)
        if (added->items[i].id == id) return added->items[i].text;
    return NULL;
}

bool tokenizer_is_current(const struct tokenizer *tokenizer, const char *folder)
{
    return tokenizer_stamp_is(&tokenizer->stamp, folder);
}

/* ---- words ---- */

/* A stretch of the prompt's points: letters, one number, a contraction, other signs, or one added
 * token. */
struct word {
    size_t first, end;
};

struct splitter {
    const struct prompt_text *text;
    size_t next;
    size_t
        literal_end; /* words may not run over it: the end of a literal that is plain text */
};

static bool starts_with(const struct splitter *splitter, size_t at, const char *ascii)
{
    const struct prompt_text *const text = splitter->text;
    for (; *ascii; ++ascii, ++at)
        if (at >= text->count || text->points[at] != *ascii) return false;
    return true;
}

/* The length of "'s", "'re", ... at a position, or 0. */
static size_t contraction_at(const struct splitter *splitter, size_t at)
{
    static const char *const contractions[] = {"'s", "'t",  "'re", "'ve",
                                               "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof contractions / sizeof contractions[0]; ++i)
        if (starts_with(splitter, at, contractions[i])) return strlen(contractions[i]);
    return 0;
}

static bool is_token(int32_t point)
{
    return point >= PROMPT_TEXT_TOKEN;
}

/* The end of the run of points of one class that starts at a position. */
static size_t run_end(const struct splitter *splitter, size_t at,
                      enum code_point_class class)
{
    const struct prompt_text *const text = splitter->text;
    const size_t limit =
        at < splitter->literal_end ? splitter->literal_end : text->count;
    while (at < limit && !is_token(text->points[at]) &&
           code_point_class(text->points[at]) == class)
        ++at;
    return at;
}

static size_t word_end(struct splitter *splitter, size_t first)
{
    const int32_t point = splitter->text->points[first];
    if (is_token(point)) return first + 1;
    const size_t contraction = point == '\'' ? contraction_at(splitter, first) : 0;
    if (contraction > 0) return first + contraction;
    /* A literal that was upper case before: the pattern takes it whole, and the reference's
     * byte level then parts it again, into three words. */
    if (point == '<' && starts_with(splitter, first, EOS_SYMBOL))
        splitter->literal_end = first + strlen(EOS_SYMBOL);
    if (point == '<' && starts_with(splitter, first, BOS_SYMBOL))
        splitter->literal_end = first + strlen(BOS_SYMBOL);
    const enum code_point_class class = code_point_class(point);
    return class == CODE_POINT_NUMBER ? first + 1 : run_end(splitter, first, class);
}

static bool splitter_next(struct splitter *splitter, struct word *word)
{
    const struct prompt_text *const text = splitter->text;
    while (splitter->next < text->count && !is_token(text->points[splitter->next]) &&
           code_point_class(text->points[splitter->next]) == CODE_POINT_SPACE)
        ++splitter->next;
    if (splitter->next >= text->count) return false;
    word->first = splitter->next;
    word->end = word_end(splitter, word->first);
    splitter->next = word->end;
    return true;
}

/* ---- merging one word ---- */

struct symbol {
    int32_t id;             /* -1: merged into the one before */
    int32_t previous, next; /* positions; -1 at the ends */
};

/* Room for the longest word so far. A word of n bytes starts with at most n - 1 candidates,
 * and each of its merges takes one out and puts at most two in: never more than 2 n. */
struct workspace {
    struct symbol *symbols;
    uint64_t *heap; /* rank << 32 | position */
    size_t heap_count;
    size_t capacity; /* bytes of a word */
    struct pool pool;
};

static bool workspace_reserve(struct workspace *workspace, size_t bytes)
{
    if (bytes <= workspace->capacity) return true;
    pool_finish(&workspace->pool);
    const size_t capacity = bytes < 128 ? 128 : bytes;
    workspace->symbols =
        pool_grow(&workspace->pool, NULL, 0, capacity, sizeof *workspace->symbols);
    workspace->heap =
        pool_grow(&workspace->pool, NULL, 0, 2 * capacity, sizeof *workspace->heap);
    workspace->capacity = workspace->symbols && workspace->heap ? capacity : 0;
    return workspace->capacity > 0;
}

static void heap_push(struct workspace *workspace, uint64_t key)
{
    uint64_t *const heap = workspace->heap;
    size_t at = workspace->heap_count++;
    assert(at < 2 * workspace->capacity);
    for (; at > 0 && heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = key;
}

static uint64_t heap_pop(struct workspace *workspace)
{
    uint64_t *const heap = workspace->heap;
    const uint64_t top = heap[0], last = heap[--workspace->heap_count];
    const size_t count = workspace->heap_count;
    size_t at = 0;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] < heap[child]) ++child;
        if (heap[child] >= last) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

/* Note the pair that begins at a position, where it can merge. */
static void propose(struct workspace *workspace, const struct vocabulary *vocabulary,
                    int32_t left)
{
    const struct symbol *const symbols = workspace->symbols;
    if (left < 0 || symbols[left].next < 0) return;
    const int32_t rank =
        vocabulary_rank(vocabulary, symbols[left].id, symbols[symbols[left].next].id);
    if (rank >= 0)
        heap_push(workspace, (uint64_t)(uint32_t)rank << 32 | (uint32_t)left);
}

/* Merge the pair at a position, if it is still there to give what was proposed. */
static void merge_at(struct workspace *workspace, const struct vocabulary *vocabulary,
                     int32_t left, int32_t result)
{
    struct symbol *const symbols = workspace->symbols;
    const int32_t right = symbols[left].next;
    if (symbols[left].id < 0 || right < 0) return;
    const int32_t rank =
        vocabulary_rank(vocabulary, symbols[left].id, symbols[right].id);
    if (rank < 0 || vocabulary->merges[rank].result != result) return;

    symbols[left].id = result;
    symbols[left].next = symbols[right].next;
    symbols[right].id = -1;
    if (symbols[left].next >= 0) symbols[symbols[left].next].previous = left;
    propose(workspace, vocabulary, symbols[left].previous);
    propose(workspace, vocabulary, left);
}

static size_t word_bytes(const int32_t *points, size_t point_count)
{
    size_t bytes = 0;
    char unused[4];
    for (size_t i = 0; i < point_count; ++i)
        bytes += utf8_encode((uint32_t)points[i], unused);
    return bytes;
}

/* The word's bytes as symbols; their count. */
static size_t load_word(struct workspace *workspace,
                        const struct vocabulary *vocabulary, const int32_t *points,
                        size_t point_count)
{
    struct symbol *const symbols = workspace->symbols;
    size_t count = 0;
    char bytes[4] = {0};
    for (size_t i = 0; i < point_count; ++i) {
        const size_t length = utf8_encode((uint32_t)points[i], bytes);
        for (size_t k = 0; k < length; ++k, ++count)
            symbols[count] = (struct symbol){vocabulary->byte_ids[(uint8_t)bytes[k]],
                                             (int32_t)count - 1, (int32_t)count + 1};
        if (i + 1 == point_count)
            symbols[count - 1].id =
                vocabulary->byte_end_ids[(uint8_t)bytes[length - 1]];
    }
    symbols[count - 1].next = -1;
    return count;
}

static bool merge_word(struct workspace *workspace, const struct vocabulary *vocabulary,
                       const int32_t *points, size_t point_count)
{
    if (!workspace_reserve(workspace, word_bytes(points, point_count))) return false;
    const size_t count = load_word(workspace, vocabulary, points, point_count);
    workspace->heap_count = 0;
    for (size_t i = 0; i + 1 < count; ++i)
        propose(workspace, vocabulary, (int32_t)i);
    while (workspace->heap_count > 0) {
        const uint64_t key = heap_pop(workspace);
        merge_at(workspace, vocabulary, (int32_t)(uint32_t)key,
                 vocabulary->merges[key >> 32].result);
    }
    return true;
}

/* ---- tokens ---- */

enum {
    MOST_TOKENS = TOKENIZER_POSITIONS - 2
}; /* without BOS and EOS */

/* One pass over a prompt: a word at a time, with its tokens. */
struct pass {
    const struct vocabulary *vocabulary;
    struct prompt_text text;
    struct splitter splitter;
    struct workspace workspace;
    struct word word;
    int32_t ids[TOKENIZER_POSITIONS]; /* the first tokens, from position 1 */
    int32_t total; /* tokens so far, those that do not fit included */
};

static enum dr_code pass_init(struct pass *pass, const struct tokenizer *tokenizer,
                              const char *utf8, struct dr_error *err)
{
    *pass = (struct pass){.vocabulary = &tokenizer->vocabulary};
    const enum dr_code code =
        prompt_text_init(&pass->text, utf8, &tokenizer->vocabulary.added, err);
    pass->splitter = (struct splitter){.text = &pass->text};
    return code;
}

static void pass_finish(struct pass *pass)
{
    prompt_text_finish(&pass->text);
    pool_finish(&pass->workspace.pool);
}

static void take_token(struct pass *pass, int32_t id)
{
    if (pass->total < MOST_TOKENS) pass->ids[1 + pass->total] = id;
    ++pass->total;
}

enum pass_step {
    PASS_WORD,
    PASS_END,
    PASS_NO_MEMORY
};

static enum pass_step pass_next(struct pass *pass)
{
    if (!splitter_next(&pass->splitter, &pass->word)) return PASS_END;
    const struct vocabulary *const vocabulary = pass->vocabulary;
    const int32_t *const points = pass->text.points + pass->word.first;
    if (is_token(*points)) {
        take_token(pass, vocabulary->added.items[*points - PROMPT_TEXT_TOKEN].id);
        return PASS_WORD;
    }
    struct workspace *const workspace = &pass->workspace;
    if (!merge_word(workspace, vocabulary, points, pass->word.end - pass->word.first))
        return PASS_NO_MEMORY;
    for (int32_t i = 0; i >= 0; i = workspace->symbols[i].next)
        take_token(pass, workspace->symbols[i].id);
    return PASS_WORD;
}

static void fill_list(const struct pass *pass, int32_t pad, struct token_list *tokens)
{
    const struct vocabulary *const vocabulary = pass->vocabulary;
    const int32_t kept = pass->total < MOST_TOKENS ? pass->total : MOST_TOKENS;
    tokens->count = kept + 2;
    tokens->cut_count = pass->total - kept;
    memcpy(tokens->ids, pass->ids, sizeof tokens->ids);
    tokens->ids[0] = vocabulary->bos;
    tokens->ids[kept + 1] = vocabulary->eos;
    for (int32_t i = tokens->count; i < TOKENIZER_POSITIONS; ++i)
        tokens->ids[i] = pad < 0 ? vocabulary->eos : pad;
    tokens->eos_idx =
        1; /* a literal EOS in the prompt comes before the one that ends it */
    while (tokens->ids[tokens->eos_idx] != vocabulary->eos)
        ++tokens->eos_idx;
}

enum dr_code tokenizer_encode(const struct tokenizer *tokenizer, const char *text,
                              int32_t pad, struct token_list *tokens,
                              struct dr_error *err)
{
    struct pass pass;
    enum dr_code code = pass_init(&pass, tokenizer, text, err);
    if (code != DR_OK) return code;
    enum pass_step step = PASS_WORD;
    while (step == PASS_WORD)
        step = pass_next(&pass);
    if (step == PASS_END)
        fill_list(&pass, pad, tokens);
    else
        code = error_set(err, DR_NOMEM, "no memory for a prompt of %zu bytes",
                         strlen(text));
    pass_finish(&pass);
    return code;
}

/* ---- all words ---- */

static char *text_of_word(const struct pass *pass, struct pool *pool)
{
    const struct added_tokens *const added = &pass->vocabulary->added;
    const int32_t *const points = pass->text.points + pass->word.first;
    const size_t count = pass->word.end - pass->word.first;
    if (is_token(*points))
        return pool_string(pool, added->items[*points - PROMPT_TEXT_TOKEN].text);
    char *const text = pool_alloc(pool, 4 * count + 1);
    size_t length = 0;
    for (size_t i = 0; text && i < count; ++i) {
        char bytes[4] = {0};
        const size_t n = utf8_encode((uint32_t)points[i], bytes);
        memcpy(text + length, bytes, n);
        length += n;
    }
    return text;
}

/* The tokens of the pass's word. */
static bool ids_of_word(const struct pass *pass, struct pool *pool,
                        struct token_word *word)
{
    const int32_t point = pass->text.points[pass->word.first];
    const struct symbol *const symbols = pass->workspace.symbols;
    word->id_count = is_token(point) ? 1 : 0;
    for (int32_t i = 0; !is_token(point) && i >= 0; i = symbols[i].next)
        ++word->id_count;
    int32_t *const ids = pool_alloc(pool, (size_t)word->id_count * sizeof *ids);
    if (!ids) return false;
    word->ids = ids;
    if (is_token(point))
        *ids = pass->vocabulary->added.items[point - PROMPT_TEXT_TOKEN].id;
    else
        for (int32_t i = 0, n = 0; i >= 0; i = symbols[i].next)
            ids[n++] = symbols[i].id;
    return true;
}

static bool add_word(const struct pass *pass, struct pool *pool,
                     struct token_words *words, int32_t *capacity)
{
    if (words->count == *capacity) {
        const int32_t larger = *capacity ? 2 * *capacity : 16;
        struct token_word *const grown =
            pool_grow(pool, words->words, (size_t)words->count, (size_t)larger,
                      sizeof *grown);
        if (!grown) return false;
        words->words = grown;
        *capacity = larger;
    }
    struct token_word *const word = &words->words[words->count];
    word->text = text_of_word(pass, pool);
    if (!word->text || !ids_of_word(pass, pool, word)) return false;
    words->id_count += word->id_count;
    ++words->count;
    return true;
}

enum dr_code tokenizer_split(const struct tokenizer *tokenizer, const char *text,
                             struct pool *pool, struct token_words *words,
                             struct dr_error *err)
{
    struct pass pass;
    int32_t capacity = 0;
    *words = (struct token_words){0};
    const enum dr_code code = pass_init(&pass, tokenizer, text, err);
    if (code != DR_OK) return code;
    enum pass_step step = PASS_WORD;
    while (step == PASS_WORD) {
        step = pass_next(&pass);
        if (step == PASS_WORD && !add_word(&pass, pool, words, &capacity))
            step = PASS_NO_MEMORY;
    }
    pass_finish(&pass);
    if (step == PASS_END) return DR_OK;
    return error_set(err, DR_NOMEM, "no memory for a prompt of %zu bytes",
                     strlen(text));
}
