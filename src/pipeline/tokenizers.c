#include "pipeline/tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "weights/hub_cache.h"

/* A file without read permission counts as present; opening it gives the error. */
static bool has_vocabulary(const char *folder)
{
    char path[DR_PATH_BYTES];
    const int length = snprintf(path, sizeof path, "%s/vocab.json", folder);
    return length > 0 && (size_t)length < sizeof path && path_is_taken(path);
}

/* tokenizer/ in the model's folder, or beside its file. */
static bool find_with_model(const char *model, char folder[static DR_PATH_BYTES])
{
    char real[DR_PATH_BYTES];
    if (hub_cache_resolve(model, real, sizeof real, NULL) != DR_OK) return false;
    const int length = snprintf(folder, DR_PATH_BYTES, "%s/tokenizer", real);
    if (length > 0 && length < DR_PATH_BYTES && has_vocabulary(folder)) return true;
    const int model_folder = (int)(path_name(model) - model);
    (void)snprintf(folder, DR_PATH_BYTES, "%.*stokenizer", model_folder, model);
    return has_vocabulary(folder);
}

/* The folders of both encoders; the second is "" where it is the first. */
static bool find(const struct tokenizer_places *places,
                 char first[static DR_PATH_BYTES], char second[static DR_PATH_BYTES])
{
    const char *const said =
        *places->said ? places->said : getenv("DARKROOM_TOKENIZER");
    *second = '\0';
    if (said && *said) {
        /* If the caller named a directory and it does not exist, that is an error; no other directory
         * is searched. */
        (void)snprintf(first, DR_PATH_BYTES, "%s", said);
        return true;
    }
    if (find_with_model(places->model, first)) {
        const int length = snprintf(second, DR_PATH_BYTES, "%s_2", first);
        if (length >= DR_PATH_BYTES || !has_vocabulary(second)) *second = '\0';
        return true;
    }
    (void)snprintf(first, DR_PATH_BYTES, "%s", places->data);
    return *first && has_vocabulary(first);
}

static void close_one(struct tokenizers *tokenizers, int32_t idx)
{
    tokenizer_close(&tokenizers->list[idx].open);
    tokenizers->list[idx].path[0] = '\0';
}

static enum dr_code open_one(struct tokenizers *tokenizers, int32_t idx,
                             const char *folder, struct dr_error *err)
{
    const struct tokenizer *const old = tokenizers->list[idx].open;
    if (old && strcmp(folder, tokenizers->list[idx].path) == 0 &&
        tokenizer_is_current(old, folder))
        return DR_OK;
    struct tokenizer *fresh = NULL;
    const enum dr_code code = tokenizer_open(&fresh, folder, err);
    if (code != DR_OK) return code;
    close_one(tokenizers, idx);
    tokenizers->list[idx].open = fresh;
    (void)snprintf(tokenizers->list[idx].path, DR_PATH_BYTES, "%s", folder);
    return DR_OK;
}

enum dr_code tokenizers_open(struct tokenizers *tokenizers,
                             const struct tokenizer_places *places,
                             struct dr_error *err)
{
    char first[DR_PATH_BYTES], second[DR_PATH_BYTES];
    if (!find(places, first, second))
        return error_set(
            err, DR_NOT_FOUND,
            "no CLIP vocabulary (vocab.json, merges.txt) in %s%.300s%s%.300s; give "
            "--tokenizer DIR, or run darkroom vocabulary once",
            places->model[0] ? "tokenizer/ beside " : "", places->model,
            places->model[0] ? " or in " : "",
            first[0] ? first : "(no data directory)");
    const enum dr_code code = open_one(tokenizers, 0, first, err);
    if (code != DR_OK) return code;
    if (*second) return open_one(tokenizers, 1, second, err);
    close_one(tokenizers, 1);
    return DR_OK;
}

void tokenizers_close(struct tokenizers *tokenizers)
{
    for (int32_t i = 0; i < PROMPT_CACHE_TEXTS; ++i)
        close_one(tokenizers, i);
}

/* The index of the one that is meant. */
static int32_t meant(const struct tokenizers *tokenizers, int32_t idx)
{
    return tokenizers->list[idx].open ? idx : 0;
}

const struct tokenizer *tokenizers_of(const struct tokenizers *tokenizers, int32_t idx)
{
    return tokenizers->list[meant(tokenizers, idx)].open;
}

const char *tokenizers_path(const struct tokenizers *tokenizers, int32_t idx)
{
    return tokenizers->list[meant(tokenizers, idx)].path;
}

static int32_t pad_of(const struct tokenizers *tokenizers, int32_t idx)
{
    const struct tokenizer *const own = tokenizers->list[idx].open;
    const int32_t pad = own ? tokenizer_pad(own) : -1;
    if (pad >= 0) return pad;
    return idx == 0 ? -1 : 0;
}

static enum dr_code check_rows(const struct tokenizers *tokenizers, int32_t idx,
                               int32_t rows, const struct prompt_chunk *chunk,
                               struct dr_error *err)
{
    const struct tokenizer *const tokenizer = tokenizers_of(tokenizers, idx);
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i) {
        const int32_t id = chunk->ids[i];
        if (id < rows) continue;
        const char *const text = tokenizer_added_text(tokenizer, id);
        return error_set(
            err, DR_BAD_INPUT,
            "the token \"%.80s\" has id %d in %.400s, but the token embedding of the "
            "text encoder has %d rows: use the model that was saved with this "
            "tokenizer, or omit the token",
            text ? text : "", (int)id, tokenizers_path(tokenizers, idx), (int)rows);
    }
    return DR_OK;
}

enum dr_code tokenizers_add(const struct tokenizers *tokenizers, int32_t idx,
                            int32_t rows, const struct tokenizers_text *text,
                            struct prompt_chunks *list, struct dr_error *err)
{
    const struct tokenizer *const tokenizer = tokenizers_of(tokenizers, idx);
    const int32_t count = tokenizer_vocabulary(tokenizer), before = list->count;
    if (count > rows)
        return error_set(
            err, DR_BAD_INPUT,
            "the vocabulary in %.400s has %d tokens, but the text encoder has %d: it "
            "belongs to another model; give --tokenizer",
            tokenizers_path(tokenizers, idx), (int)count, (int)rows);
    const struct prompt_chunker chunker = {.tokenizer = tokenizer,
                                           .pad = pad_of(tokenizers, idx),
                                           .words = text->names,
                                           .word_count = text->name_count};
    enum dr_code code =
        prompt_chunker_add(&chunker, text->segments, text->segment_count, list,
                           text->report, text->cookie, err);
    for (int32_t i = before; code == DR_OK && i < list->count; ++i)
        code = check_rows(tokenizers, idx, rows, &list->chunks[i], err);
    return code;
}

enum dr_code tokenizers_pad(const struct tokenizers *tokenizers, int32_t idx,
                            int32_t rows, int32_t chunk_count,
                            struct prompt_chunks *list, struct dr_error *err)
{
    const struct prompt_segment segment = {"", 1.0, false};
    const struct tokenizers_text empty = {.segments = &segment, .segment_count = 1};
    enum dr_code code = DR_OK;
    while (code == DR_OK && list->count < chunk_count)
        code = tokenizers_add(tokenizers, idx, rows, &empty, list, err);
    return code;
}
