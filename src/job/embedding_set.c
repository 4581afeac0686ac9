#include "job/embedding_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "switch/embedding_folder.h"

/* A file of the directory, while the prompts are searched for its name. */
struct candidate {
    const char *path;
    struct chunk_word words[PROMPT_CACHE_TEXTS];
    bool is_named, is_foreign;
    struct embedding_file file; /* open where it is named and not foreign */
};

struct search {
    struct embedding_set *set;
    const struct embedding_set_options *options;
    struct candidate *candidates;
    size_t count;
    struct chunk_word *words; /* room for all of them */
    struct dr_error *err;
};

static enum dr_code no_memory(const struct search *search)
{
    return error_set(search->err, DR_NOMEM, "no memory for the names of embeddings");
}

/* ---- names ------------------------------------------------------------------------------- */

static enum dr_code take_ids(const struct search *search, int32_t text_idx,
                             struct chunk_word *word)
{
    struct token_words split;
    struct pool *const pool = &search->set->pool;
    const enum dr_code code =
        tokenizer_split(tokenizers_of(search->options->tokenizers, text_idx),
                        word->name, pool, &split, search->err);
    if (code != DR_OK) return code;
    int32_t *const ids = pool_alloc(pool, (size_t)(split.id_count + 1) * sizeof *ids);
    if (!ids) return no_memory(search);
    for (int32_t i = 0; i < split.count; ++i)
        for (int32_t k = 0; k < split.words[i].id_count; ++k)
            ids[word->id_count++] = split.words[i].ids[k];
    word->ids = ids;
    return DR_OK;
}

static enum dr_code take_names(struct search *search,
                               const struct folder_listing *folder)
{
    char stem[256];
    enum dr_code code = DR_OK;
    search->candidates = calloc(folder->count, sizeof *search->candidates);
    search->words = calloc(folder->count, sizeof *search->words);
    if (!search->candidates || !search->words) return no_memory(search);
    for (size_t i = 0; code == DR_OK && i < folder->count; ++i) {
        struct candidate *const candidate = &search->candidates[search->count++];
        path_stem(folder->entries[i].name, stem, sizeof stem);
        const char *const name = pool_string(&search->set->pool, stem);
        if (!name) return no_memory(search);
        candidate->path = folder->entries[i].path;
        for (int32_t k = 0; code == DR_OK && k < search->options->text_count; ++k) {
            candidate->words[k] = (struct chunk_word){.name = name, .vector_count = 1};
            code = take_ids(search, k, &candidate->words[k]);
        }
    }
    return code;
}

static bool is_same_name(const struct candidate *a, const struct candidate *b)
{
    const struct chunk_word *const one = &a->words[0], *const two = &b->words[0];
    return one->id_count == two->id_count &&
           memcmp(one->ids, two->ids, (size_t)one->id_count * sizeof *one->ids) == 0;
}

/* ---- searching the prompts ------------------------------------------------------------------ */

/* A name was found: all files that it could be are named. */
static void note_name(void *cookie, const struct chunk_place *place)
{
    struct search *const search = cookie;
    const struct candidate *found = NULL;
    if (!place->is_embedding) return;
    for (size_t i = 0; !found && i < search->count; ++i)
        if (search->candidates[i].words[0].name == place->text)
            found = &search->candidates[i];
    for (size_t i = 0; found && i < search->count; ++i)
        if (is_same_name(found, &search->candidates[i]))
            search->candidates[i].is_named = true;
}

static enum dr_code search_text(struct search *search, int32_t text_idx,
                                const struct prompt_entry *entry, int32_t word_count)
{
    struct prompt_chunks chunks = {0};
    const struct tokenizers_text text = {.segments = entry->segments,
                                         .segment_count = entry->segment_count,
                                         .names = search->words,
                                         .name_count = word_count,
                                         .report = note_name,
                                         .cookie = search};
    const enum dr_code code = tokenizers_add(search->options->tokenizers, text_idx,
                                             INT32_MAX, &text, &chunks, search->err);
    prompt_chunks_finish(&chunks);
    return code;
}

static enum dr_code search_prompt(struct search *search, int32_t text_idx,
                                  const struct prompt_parts *prompt, int32_t word_count)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; prompt && i < prompt->part_count; ++i)
        for (int32_t k = 0; code == DR_OK && k < prompt->parts[i].entry_count; ++k)
            code =
                search_text(search, text_idx, &prompt->parts[i].entries[k], word_count);
    return code;
}

/* Which of the candidates that are not foreign the prompts name. */
static enum dr_code search_prompts(struct search *search)
{
    const struct embedding_set_options *const options = search->options;
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < search->count; ++i)
        if (!search->candidates[i].is_foreign) search->candidates[i].is_named = false;
    for (int32_t k = 0; code == DR_OK && k < options->text_count; ++k) {
        int32_t count = 0;
        if (k > 0 && tokenizers_of(options->tokenizers, k) ==
                         tokenizers_of(options->tokenizers, 0))
            break;
        for (size_t i = 0; i < search->count; ++i)
            if (!search->candidates[i].is_foreign)
                search->words[count++] = search->candidates[i].words[k];
        for (size_t i = 0; code == DR_OK && i < 2; ++i)
            code = search_prompt(search, k, options->prompts[i], count);
    }
    return code;
}

/* ---- opening those that are named -------------------------------------------------------------- */

static bool fits(const struct embedding_set_options *options,
                 const struct embedding_file *file)
{
    if (options->widths[0] == 0) return true;
    for (int32_t k = 0; k < EMBEDDING_TEXTS; ++k)
        if (file->widths[k] != (k < options->text_count ? options->widths[k] : 0))
            return false;
    return true;
}

/* "768", "768 and 1280" */
static const char *widths_text(const int32_t *widths, int32_t count, char out[32])
{
    if (count > 1 && widths[1] > 0)
        (void)snprintf(out, 32, "%d and %d", (int)widths[0], (int)widths[1]);
    else
        (void)snprintf(out, 32, "%d", (int)widths[0]);
    return out;
}

static enum dr_code open_named(struct search *search, struct candidate *candidate)
{
    const struct embedding_set_options *const options = search->options;
    struct embedding_file *const file = &candidate->file;
    char has[32], takes[32];
    if (file->vector_count > 0) return DR_OK; /* open already */
    const enum dr_code code =
        embedding_file_open(file, candidate->path, options->cancel, search->err);
    if (code != DR_OK)
        error_prefix(search->err, "the embedding \"%.100s\" in the prompt",
                     candidate->words[0].name);
    if (code != DR_OK || fits(options, file)) return code;
    if (file->family != FAMILY_UNKNOWN && file->family != options->family) {
        candidate->is_foreign = true;
        return DR_OK;
    }
    return error_set(
        search->err, DR_BAD_INPUT,
        "the embedding \"%.100s\" in the prompt has vectors of %s values, and %.200s takes "
        "%s: it belongs to another model; take its name out of the prompt, or the file "
        "%.200s out of the directory",
        candidate->words[0].name, widths_text(file->widths, EMBEDDING_TEXTS, has),
        options->model, widths_text(options->widths, options->text_count, takes),
        candidate->path);
}

/* Where one is foreign, a shorter name or another file may take its place: search again. */
static enum dr_code find_all(struct search *search)
{
    bool is_done = false;
    enum dr_code code = DR_OK;
    while (code == DR_OK && !is_done) {
        is_done = true;
        code = search_prompts(search);
        for (size_t i = 0; code == DR_OK && i < search->count; ++i) {
            struct candidate *const candidate = &search->candidates[i];
            if (!candidate->is_named || candidate->is_foreign) continue;
            code = open_named(search, candidate);
            if (candidate->is_foreign) is_done = false;
        }
    }
    return code;
}

/* ---- the set ----------------------------------------------------------------------------------- */

static void warn(struct embedding_set *set, const char *sentence)
{
    const size_t used = strlen(set->warning);
    (void)snprintf(set->warning + used, sizeof set->warning - used, "%s%s",
                   used ? " " : "", sentence);
}

static void warn_of_foreign(const struct search *search,
                            const struct candidate *candidate)
{
    char text[DR_TEXT_BYTES], has[32], takes[32];
    for (size_t i = 0; i < search->count; ++i) {
        const struct candidate *const other = &search->candidates[i];
        if (other->is_named && !other->is_foreign && is_same_name(candidate, other))
            return;
    }
    (void)snprintf(
        text, sizeof text,
        "The embedding \"%.100s\" is for %s, with vectors of %s values; this model takes "
        "%s: its name is encoded as text.",
        candidate->words[0].name, family_name(candidate->file.family),
        widths_text(candidate->file.widths, EMBEDDING_TEXTS, has),
        widths_text(search->options->widths, search->options->text_count, takes));
    warn(search->set, text);
}

static enum dr_code check_alone(const struct search *search,
                                const struct candidate *candidate)
{
    for (const struct candidate *other = search->candidates; other < candidate; ++other)
        if (other->is_named && !other->is_foreign && is_same_name(candidate, other))
            return error_set(
                search->err, DR_BAD_INPUT,
                "the embedding \"%.100s\" in the prompt could be %.300s or %.300s; "
                "rename one of them",
                candidate->words[0].name, other->path, candidate->path);
    return DR_OK;
}

static void add_item(struct embedding_set *set,
                     const struct embedding_set_options *options,
                     struct candidate *candidate)
{
    char text[DR_TEXT_BYTES];
    struct embedding *const item = &set->items[set->count];
    *item = (struct embedding){.name = candidate->words[0].name,
                               .file = candidate->file,
                               .first_vector = set->vector_count};
    candidate->file = (struct embedding_file){0};
    for (int32_t k = 0; k < options->text_count; ++k) {
        struct chunk_word *const word = &set->words[k][set->count];
        *word = candidate->words[k];
        word->vector_count = item->file.vector_count;
        word->first_vector = item->first_vector;
        memcpy(word->digest, item->file.digest, DIGEST_BYTES);
    }
    set->vector_count += item->file.vector_count;
    ++set->count;
    if (candidate->words[0].id_count > 1) return;
    (void)snprintf(text, sizeof text,
                   "The word \"%.100s\" in the prompt is taken for the embedding "
                   "%.200s; rename the file if that is not meant.",
                   item->name, candidate->path);
    warn(set, text);
}

static enum dr_code make_tables(const struct search *search)
{
    const struct embedding_set_options *const options = search->options;
    struct embedding_set *const set = search->set;
    enum dr_code code = DR_OK;
    for (int32_t k = 0; code == DR_OK && k < options->text_count; ++k) {
        const struct weight_shape shape = {.kind = WEIGHT_TABLE,
                                           .dtype = DTYPE_F32,
                                           .out = set->vector_count,
                                           .in = options->widths[k]};
        if (options->widths[k] == 0) continue;
        code = weight_init(&set->tables[k], &shape, &set->pool, search->err);
        set->tables[k].region = EMBEDDING_SET_REGION;
    }
    return code;
}

static enum dr_code fill(struct search *search)
{
    struct embedding_set *const set = search->set;
    size_t named = 0;
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < search->count; ++i) {
        const struct candidate *const candidate = &search->candidates[i];
        if (candidate->is_foreign) warn_of_foreign(search, candidate);
        named += candidate->is_named && !candidate->is_foreign;
    }
    if (named == 0) return DR_OK;
    if (named > EMBEDDING_SET_MOST)
        return error_set(search->err, DR_BAD_INPUT,
                         "the prompts name %zu embeddings; at most %d are possible",
                         named, EMBEDDING_SET_MOST);
    set->items = pool_alloc(&set->pool, named * sizeof *set->items);
    if (!set->items) return no_memory(search);
    for (int32_t k = 0; k < search->options->text_count; ++k) {
        set->words[k] = pool_alloc(&set->pool, named * sizeof *set->words[k]);
        if (!set->words[k]) return no_memory(search);
    }
    for (size_t i = 0; code == DR_OK && i < search->count; ++i) {
        struct candidate *const candidate = &search->candidates[i];
        if (!candidate->is_named || candidate->is_foreign) continue;
        code = check_alone(search, candidate);
        if (code == DR_OK) add_item(set, search->options, candidate);
    }
    return code == DR_OK ? make_tables(search) : code;
}

enum dr_code embedding_set_open(struct embedding_set *set,
                                const struct embedding_set_options *options,
                                struct dr_error *err)
{
    char directory[DR_PATH_BYTES];
    struct folder_listing folder;
    struct search search = {.set = set, .options = options, .err = err};
    *set = (struct embedding_set){0};
    embedding_folder_find(options->directory, directory);
    enum dr_code code = embedding_folder_read(&folder, directory, err);
    if (code != DR_OK) return code;
    if (folder.count > 0) {
        code = take_names(&search, &folder);
        if (code == DR_OK) code = find_all(&search);
        if (code == DR_OK) code = fill(&search);
    }
    for (size_t i = 0; i < search.count; ++i)
        embedding_file_close(&search.candidates[i].file);
    free(search.candidates);
    free(search.words);
    folder_listing_free(&folder);
    if (code != DR_OK) embedding_set_close(set);
    return code;
}

void embedding_set_close(struct embedding_set *set)
{
    for (int32_t i = 0; i < set->count; ++i)
        embedding_file_close(&set->items[i].file);
    pool_finish(&set->pool);
    *set = (struct embedding_set){0};
}

const struct weight *embedding_set_table(const struct embedding_set *set,
                                         int32_t text_idx)
{
    return set->vector_count > 0 ? &set->tables[text_idx] : NULL;
}

enum dr_code embedding_set_read(const struct embedding_set *set, int32_t text_idx,
                                float *target, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < set->count; ++i) {
        const struct embedding *const item = &set->items[i];
        const size_t first =
            (size_t)item->first_vector * (size_t)item->file.widths[text_idx];
        code = embedding_file_read(&item->file, text_idx, target + first, err);
        if (code != DR_OK)
            error_prefix(err, "the embedding \"%.100s\" in the prompt", item->name);
    }
    return code;
}
