/* prompt_contexts — everything that a job's prompts give the UNet, as chunks of tokens (prompt_chunks.h).
 *
 *     part        one of the prompt's parts between ANDs, with a weight; the negative prompt is a part too
 *     context     what a part is until a step: one of its schedule's texts, for each text encoder
 *
 * All contexts of a part have the same number of chunks: shorter ones are filled with chunks of the empty prompt. So a job
 * has two lengths: that of the longest of its parts, and that of its negative prompt. A shorter part's last vector is repeated
 * until it is as long. With `pads` both lengths are made equal, by the empty prompt's context.
 *
 * Emphasis. ORIGINAL: after the weights the mean of the encoder's result is restored: the result is multiplied by its mean
 * without weights over its mean with them. The reference encodes the same chunk of all of a part's texts at once, so the means are
 * over all of these. NO_NORM: only the weights. IGNORE: no weights.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/prompt_parser.py, sd_hijack_clip.py, sd_emphasis.py,
 * sd_samplers_cfg_denoiser.py (pad_cond_uncond), version 1.10.
 *
 * Memory: malloc and a pool: 652 bytes a chunk and encoder. make/finish. One thread.
 */
#ifndef PIPELINE_PROMPT_CONTEXTS_H
#define PIPELINE_PROMPT_CONTEXTS_H

#include "model/prompt_parts.h"
#include "pipeline/tokenizers.h"

struct prompt_context {
    int32_t end_step, repeat; /* prompt_parts.h */
    int32_t
        same_as; /* an earlier context of the part, whose chunks these are; -1: its own */
    struct prompt_chunks
        chunks[PROMPT_CACHE_TEXTS]; /* all of the same length; empty: not tokenized */
};

struct prompt_context_part {
    float weight;
    struct prompt_context *contexts;
    int32_t count;
    int32_t chunk_count; /* of each context */
    /* By which the mean is restored, for each encoder and chunk; NaN: not computed yet. */
    float *scales[PROMPT_CACHE_TEXTS];
};

struct prompt_contexts {
    struct prompt_context_part *parts;
    int32_t part_count; /* 0: a job without prompts */
    struct prompt_context_part negative;
    struct prompt_chunks empty
        [PROMPT_CACHE_TEXTS]; /* the empty prompt, where something is padded with it */
    enum dr_emphasis emphasis;
    struct pool pool; /* private */
};

struct prompt_contexts_options {
    const struct tokenizers
        *tokenizers; /* NULL: nothing is tokenized; every context counts as one chunk */
    int32_t text_count;                                 /* encoders */
    int32_t rows[PROMPT_CACHE_TEXTS];                   /* of their token embeddings */
    const struct chunk_word *names[PROMPT_CACHE_TEXTS]; /* embeddings */
    int32_t name_count;
    enum dr_emphasis emphasis;
    bool pads;
    bool
        has_zero_negative; /* zeros in place of the negative prompt, as long as the prompt */
};

/* Errors: tokenizers_add's. *contexts is then to be finished, too. */
enum dr_code prompt_contexts_make(struct prompt_contexts *contexts,
                                  const struct prompt_contexts_options *options,
                                  const struct prompt_parts *prompt,
                                  const struct prompt_parts *negative,
                                  struct dr_error *err) DR_MUST_CHECK;
void prompt_contexts_finish(struct prompt_contexts *contexts); /* zeroed is fine */

/* Chunks of the longest part without padding: what is beyond a part's own is its last vector. */
int32_t prompt_contexts_part_chunks(const struct prompt_contexts *contexts);

/* A part's context at an evaluation, counted from 0. */
const struct prompt_context *prompt_contexts_at(const struct prompt_context_part *part,
                                                int32_t evaluation);
/* The chunks of a context, or of the one that it is the same as. */
const struct prompt_chunks *prompt_contexts_chunks(
    const struct prompt_context_part *part, const struct prompt_context *context,
    int32_t text_idx);

/* Chunks of all contexts together for one encoder, equal ones counted each: at most so many rows of the
 * prompt cache are needed. */
int32_t prompt_contexts_row_count(const struct prompt_contexts *contexts,
                                  bool with_negative);

#endif
