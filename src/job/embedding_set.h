/* embedding_set — the embeddings that a job's prompts name: their files, and which rows their vectors are.
 *
 *     embedding_set_open    the directory is listed; the names that are found in the prompts are opened
 *     words                 what the chunker is given: so the ids of their tokens are -1 - row
 *     tables                what the text encoders' plans are given: a table of these rows, in a region of the job's
 *     embedding_set_read    the rows are read into that region, before a text encoder runs
 *
 * A name is found as in the reference: by its tokens, so without regard to case, the longest first. An embedding of
 * another family is left out, and its name stays text, as there; here a warning says so. What else cannot be used is an
 * error, since the prompt asks for it. A name of one token is a word of its own: a warning says that the word is taken for
 * it.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/textual_inversion/textual_inversion.py
 * (find_embedding_at_position), version 1.10.
 *
 * Memory: a pool, and the files stay open: embedding_set_close. The vectors lie in the job's region alone. One thread at
 * a time.
 */
#ifndef JOB_EMBEDDING_SET_H
#define JOB_EMBEDDING_SET_H

#include "compute/weight.h"
#include "model/prompt_parts.h"
#include "pipeline/adapter_set.h"
#include "pipeline/tokenizers.h"
#include "weights/embedding_file.h"

enum {
    EMBEDDING_SET_MOST = 64, /* of one job */
    /* The place of a text encoder's table in the list that its plan is bound to: behind those of the adapters. */
    EMBEDDING_SET_REGION = ADAPTER_SET_REGIONS,
    EMBEDDING_SET_REGIONS
};

struct embedding {
    const char *name; /* as prompts have it */
    struct embedding_file file;
    int32_t first_vector; /* its first row */
};

struct embedding_set {
    struct embedding *items;
    int32_t count, vector_count; /* rows of each table */
    struct chunk_word *words[PROMPT_CACHE_TEXTS];
    struct weight tables[PROMPT_CACHE_TEXTS];
    char warning[DR_TEXT_BYTES]; /* "" or sentences */
    struct pool pool;            /* private */
};

/* What the prompts are for. */
struct embedding_set_options {
    const char *directory; /* as embedding_folder_find takes it */
    const struct tokenizers *tokenizers;
    int32_t text_count; /* encoders */
    int32_t widths
        [PROMPT_CACHE_TEXTS]; /* of theirs; 0: there is no model, and any will do */
    enum family family;
    const char *model; /* for messages */
    const struct cancel *cancel;
    const struct prompt_parts *prompts[2]; /* NULL: one prompt alone */
};

/* Errors: DR_BAD_INPUT (a width that is not the model's, a name of two files, too many); embedding_file_open's;
 * tokenizers_add's. On error *set is empty. */
enum dr_code embedding_set_open(struct embedding_set *set,
                                const struct embedding_set_options *options,
                                struct dr_error *err) DR_MUST_CHECK;
void embedding_set_close(struct embedding_set *set); /* zeroed is fine */

/* The table for an encoder's plan; NULL: there are no embeddings. */
const struct weight *embedding_set_table(const struct embedding_set *set,
                                         int32_t text_idx);

/* All rows of an encoder's table to target: as many bytes as the table. Errors: embedding_file_read's. */
enum dr_code embedding_set_read(const struct embedding_set *set, int32_t text_idx,
                                float *target, struct dr_error *err) DR_MUST_CHECK;

#endif
