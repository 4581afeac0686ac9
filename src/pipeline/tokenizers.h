/* tokenizers — the tokenizer of each text encoder.
 *
 * A directory given by the caller (option, DARKROOM_TOKENIZER) is used for all encoders. Else tokenizer/ in a
 * diffusers directory, else tokenizer/ beside the model, else the one in the data directory. If there is
 * tokenizer_2/ beside the one that was found with the model, SDXL's second encoder uses it. Files that changed
 * since they were opened are opened again.
 *
 * The first encoder pads with the end of text token and the second with id 0, unless the directory's files
 * define a pad_token.
 *
 * Memory: 1.1 MB each. init: a zeroed struct; close. One thread at a time.
 */
#ifndef PIPELINE_TOKENIZERS_H
#define PIPELINE_TOKENIZERS_H

#include "darkroom/darkroom.h"
#include "model/prompt_chunker.h"
#include "pipeline/prompt_cache.h"

struct tokenizers {
    struct {
        struct tokenizer *
            open; /* NULL: not opened yet; of the second encoder: it uses the first's */
        char path[DR_PATH_BYTES]; /* the folder that it was opened from */
    } list[PROMPT_CACHE_TEXTS];
};

struct tokenizer_places {
    const char *said;  /* the option, or "" */
    const char *model; /* the model's path */
    const char *data;  /* the data folder's tokenizer/, or "" */
};

/* Open the tokenizers that the model needs. Errors: DR_NOT_FOUND lists the searched directories, else as
 * tokenizer_open. */
enum dr_code tokenizers_open(struct tokenizers *tokenizers,
                             const struct tokenizer_places *places,
                             struct dr_error *err) DR_MUST_CHECK;
void tokenizers_close(struct tokenizers *tokenizers);

/* Of the encoder with this index. Borrowed. */
const struct tokenizer *tokenizers_of(const struct tokenizers *tokenizers, int32_t idx);
const char *tokenizers_path(const struct tokenizers *tokenizers, int32_t idx);

/* A text with weights, and the embeddings that it may name (prompt_chunker.h). */
struct tokenizers_text {
    const struct prompt_segment *segments;
    int32_t segment_count;
    const struct chunk_word *names;
    int32_t name_count;
    chunk_report *report; /* or NULL */
    void *cookie;
};

/* Add the chunks of a text for the encoder with this index, whose token embedding has so many rows. Errors:
 * prompt_chunker_add's; DR_BAD_INPUT where the vocabulary has more ids than that, or the text has an
 * added token beyond it: names token, id and rows. */
enum dr_code tokenizers_add(const struct tokenizers *tokenizers, int32_t idx,
                            int32_t rows, const struct tokenizers_text *text,
                            struct prompt_chunks *list,
                            struct dr_error *err) DR_MUST_CHECK;

/* Add chunks of the empty prompt until the list has so many chunks. Errors: as tokenizers_add. */
enum dr_code tokenizers_pad(const struct tokenizers *tokenizers, int32_t idx,
                            int32_t rows, int32_t chunk_count,
                            struct prompt_chunks *list,
                            struct dr_error *err) DR_MUST_CHECK;

#endif
