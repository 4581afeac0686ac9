#include "model/prompt_chunker.h"

#include <string.h>

/* The chunk that is being filled: tokens from position 1 on. */
struct filling {
    const struct prompt_chunker *chunker;
    struct prompt_chunks *list;
    struct prompt_chunk chunk;
    struct place {
        const char *text;              /* of the word that the token is of */
        int32_t word;                  /* counted over the text */
        const struct chunk_word *name; /* an embedding begins here */
        bool is_name;                  /* one is here */
    } places[TOKENIZER_POSITIONS];
    int32_t count, last_comma; /* tokens; -1: no comma */
    int32_t begin, end_id, comma, pad;
    struct pool pool; /* of the words */
    int32_t word_count;
    chunk_report *report; /* or NULL */
    void *cookie;
};

static void begin_chunk(struct filling *filling)
{
    filling->chunk = (struct prompt_chunk){0};
    memset(filling->places, 0, sizeof filling->places);
    filling->count = 0;
    filling->last_comma = -1;
}

/* Which embeddings are where; zeros where there are none. */
static void digest_words(struct filling *filling)
{
    struct digest digest;
    bool has_any = false;
    for (int32_t i = 1; i <= filling->count; ++i)
        has_any |= filling->places[i].name != NULL;
    if (!has_any) return;
    digest_init(&digest);
    for (int32_t i = 1; i <= filling->count; ++i) {
        const struct chunk_word *const name = filling->places[i].name;
        if (!name) continue;
        digest_add(&digest, &i, sizeof i);
        digest_add(&digest, name->digest, DIGEST_BYTES);
    }
    digest_end(&digest, filling->chunk.vectors);
}

/* Each word of a chunk that is complete, with its tokens there; an embedding inside a word is one of its own. */
static void report_words(const struct filling *filling)
{
    for (int32_t i = 1, n; filling->report && i <= filling->count; i += n) {
        const struct place *const here = &filling->places[i];
        for (n = 1; i + n <= filling->count; ++n)
            if (here[n].word != here->word || here[n].name ||
                here[n].is_name != here->is_name)
                break;
        const struct chunk_place place = {.text = here->text,
                                          .chunk_idx = filling->list->count,
                                          .position = i,
                                          .tokens = n,
                                          .weight = (double)filling->chunk.weights[i],
                                          .is_embedding = here->is_name};
        filling->report(filling->cookie, &place);
    }
}

static enum dr_code end_chunk(struct filling *filling, struct dr_error *err)
{
    struct prompt_chunk *const chunk = &filling->chunk;
    chunk->ids[0] = filling->begin;
    chunk->eos_idx = filling->count + 1;
    for (int32_t i = filling->count; i >= 1; --i)
        if (chunk->ids[i] == filling->end_id) chunk->eos_idx = i;
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i) {
        if (i > filling->count) chunk->ids[i] = filling->end_id;
        if (i > chunk->eos_idx && filling->pad >= 0) chunk->ids[i] = filling->pad;
        if (i == 0 || i > filling->count) chunk->weights[i] = 1.0F;
    }
    digest_words(filling);
    report_words(filling);
    const enum dr_code code = prompt_chunks_add(filling->list, chunk, err);
    begin_chunk(filling);
    return code;
}

static void put(struct filling *filling, int32_t id, float weight,
                const struct place *place)
{
    ++filling->count;
    filling->chunk.ids[filling->count] = id;
    filling->chunk.weights[filling->count] = weight;
    filling->places[filling->count] = *place;
}

/* What follows the last comma goes to the next chunk. */
static enum dr_code break_at_comma(struct filling *filling, struct dr_error *err)
{
    const struct prompt_chunk chunk = filling->chunk;
    struct place places[TOKENIZER_POSITIONS];
    const int32_t count = filling->count, kept = filling->last_comma + 1;
    memcpy(places, filling->places, sizeof places);
    filling->count = kept;
    const enum dr_code code = end_chunk(filling, err);
    for (int32_t i = kept + 1; i <= count; ++i)
        put(filling, chunk.ids[i], chunk.weights[i], &places[i]);
    return code;
}

/* Before a token: begin a new chunk where this one is full. */
static enum dr_code make_room(struct filling *filling, int32_t token,
                              struct dr_error *err)
{
    enum dr_code code = DR_OK;
    if (token == filling->comma)
        filling->last_comma = filling->count;
    else if (filling->count == CHUNK_TOKENS && filling->last_comma >= 0 &&
             filling->count - filling->last_comma <= CHUNK_COMMA_TOKENS)
        code = break_at_comma(filling, err);
    if (code == DR_OK && filling->count == CHUNK_TOKENS) code = end_chunk(filling, err);
    return code;
}

/* The embedding with the longest name that begins here, or NULL. */
static const struct chunk_word *name_at(const struct prompt_chunker *chunker,
                                        const int32_t *ids, int32_t count)
{
    const struct chunk_word *found = NULL;
    for (int32_t i = 0; i < chunker->word_count; ++i) {
        const struct chunk_word *const word = &chunker->words[i];
        if (word->id_count > 0 && word->id_count <= count &&
            (!found || word->id_count > found->id_count) &&
            memcmp(ids, word->ids, (size_t)word->id_count * sizeof *ids) == 0)
            found = word;
    }
    return found;
}

static enum dr_code put_name(struct filling *filling, const struct chunk_word *name,
                             float weight, struct place place, struct dr_error *err)
{
    if (name->vector_count > CHUNK_TOKENS)
        return error_set(
            err, DR_BAD_INPUT,
            "an embedding in the prompt has %d vectors; a chunk of a prompt "
            "has room for %d: leave it out",
            (int)name->vector_count, CHUNK_TOKENS);
    if (filling->count + name->vector_count > CHUNK_TOKENS) {
        const enum dr_code code = end_chunk(filling, err);
        if (code != DR_OK) return code;
    }
    place.is_name = true;
    place.name = name;
    for (int32_t i = 0; i < name->vector_count; ++i, place.name = NULL)
        put(filling, -1 - (name->first_vector + i), weight, &place);
    return DR_OK;
}

/* The tokens of a segment, and of which word each is. */
struct segment_tokens {
    struct token_words words;
    int32_t *ids, *word_of;
};

static enum dr_code split(struct filling *filling, const char *text,
                          struct segment_tokens *tokens, struct dr_error *err)
{
    const enum dr_code code = tokenizer_split(filling->chunker->tokenizer, text,
                                              &filling->pool, &tokens->words, err);
    if (code != DR_OK) return code;
    const size_t bytes = (size_t)tokens->words.id_count * sizeof *tokens->ids;
    tokens->ids = pool_alloc(&filling->pool, bytes);
    tokens->word_of = pool_alloc(&filling->pool, bytes);
    if (!tokens->ids || !tokens->word_of)
        return error_set(err, DR_NOMEM, "no memory for the tokens of a prompt");
    int32_t used = 0;
    for (int32_t i = 0; i < tokens->words.count; ++i)
        for (int32_t k = 0; k < tokens->words.words[i].id_count; ++k) {
            tokens->word_of[used] = i;
            tokens->ids[used++] = tokens->words.words[i].ids[k];
        }
    return DR_OK;
}

static enum dr_code fill_segment(struct filling *filling,
                                 const struct prompt_segment *segment,
                                 const struct segment_tokens *tokens,
                                 struct dr_error *err)
{
    const int32_t total = tokens->words.id_count;
    const float weight = (float)segment->weight;
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < total;) {
        code = make_room(filling, tokens->ids[i], err);
        if (code != DR_OK) break;
        const struct chunk_word *const name =
            name_at(filling->chunker, tokens->ids + i, total - i);
        const struct place place = {
            .text = name ? name->name : tokens->words.words[tokens->word_of[i]].text,
            .word = filling->word_count + tokens->word_of[i]};
        if (name)
            code = put_name(filling, name, weight, place, err);
        else
            put(filling, tokens->ids[i], weight, &place);
        i += name ? name->id_count : 1;
    }
    filling->word_count += total;
    return code;
}

/* The ids of BOS, a comma and EOS. */
static enum dr_code filling_init(struct filling *filling,
                                 const struct prompt_chunker *chunker,
                                 struct prompt_chunks *list, struct dr_error *err)
{
    struct token_list comma;
    const enum dr_code code =
        tokenizer_encode(chunker->tokenizer, ",", -1, &comma, err);
    *filling = (struct filling){.chunker = chunker, .list = list, .pad = chunker->pad};
    if (code != DR_OK) return code;
    filling->begin = comma.ids[0];
    filling->comma = comma.count == 3 ? comma.ids[1] : -1;
    filling->end_id = comma.ids[comma.count - 1];
    begin_chunk(filling);
    return DR_OK;
}

enum dr_code prompt_chunker_add(const struct prompt_chunker *chunker,
                                const struct prompt_segment *segments, int32_t count,
                                struct prompt_chunks *list, chunk_report *report,
                                void *cookie, struct dr_error *err)
{
    const int32_t before = list->count;
    struct filling filling;
    enum dr_code code = filling_init(&filling, chunker, list, err);
    filling.report = report;
    filling.cookie = cookie;
    for (int32_t i = 0; code == DR_OK && i < count; ++i) {
        struct segment_tokens tokens = {0};
        if (segments[i].is_break) {
            code = end_chunk(&filling, err);
            continue;
        }
        code = split(&filling, segments[i].text, &tokens, err);
        if (code == DR_OK) code = fill_segment(&filling, &segments[i], &tokens, err);
    }
    if (code == DR_OK && (filling.count > 0 || list->count == before))
        code = end_chunk(&filling, err);
    pool_finish(&filling.pool);
    return code;
}
