/* prompt_chunks — what a text encoder reads for one prompt: a list of chunks.
 *
 * CLIP's text encoders read 77 tokens at a time: begin of text, 75 tokens, end of text. A longer
 * prompt is several such chunks, which are encoded one by one; their results, one after the other,
 * are the UNet's context:
 *
 *     chunks   [ 77 ids, 77 weights ] [ 77 ids, 77 weights ] ...
 *     context  [ 77 tokens          | 77 tokens            | ... ]
 *
 * Weights: each token's vector in the encoder's result is multiplied by its weight, which is
 * AUTOMATIC1111's emphasis "No norm". Its default, "Original", then also scales the whole result so that
 * its mean is what it was before. The pooled vector has no weights, and is the first chunk's.
 *
 * Padding: all prompts of one job have the same number of chunks. The shorter ones are padded with
 * chunks of the empty prompt, as AUTOMATIC1111's pad_cond_uncond does with the empty prompt's context.
 * Its default is not to pad, and to run prompts of different lengths one after the other.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/sd_hijack_clip.py (PromptChunk, forward),
 * sd_emphasis.py, sd_samplers_cfg_denoiser.py (pad_cond_uncond), version 1.10.
 *
 * Memory: the list owns its chunks, 620 bytes each. A zeroed list is empty.
 */
#ifndef MODEL_PROMPT_CHUNKS_H
#define MODEL_PROMPT_CHUNKS_H

#include "base/pool.h"
#include "model/tokenizer.h"

/* Without padding bytes: two chunks are equal where their bytes are. */
struct prompt_chunk {
    int32_t ids[TOKENIZER_POSITIONS];
    float weights[TOKENIZER_POSITIONS];
    int32_t eos_idx; /* position of the first EOS */
};

struct prompt_chunks {
    struct prompt_chunk *chunks; /* [count] */
    int32_t count;
    int32_t cut_count; /* tokens of the prompt that are in no chunk */
    /* private below */
    int32_t capacity;
    struct pool pool;
};

/* A chunk of these tokens, each with weight 1. */
struct prompt_chunk prompt_chunk_of(const struct token_list *tokens);

/* Append a copy of a chunk, which is not in the list. Errors: DR_NOMEM; the list is then as it was. */
enum dr_code prompt_chunks_add(struct prompt_chunks *list,
                               const struct prompt_chunk *chunk,
                               struct dr_error *err) DR_MUST_CHECK;

/* Multiply the vector of each token by its weight; bytes stay as they are where the weight is 1.
 * context: [77, width] f32, one encoder's result for this chunk */
void prompt_chunk_weigh(const struct prompt_chunk *chunk, float *context, size_t width);

void prompt_chunks_finish(struct prompt_chunks *list); /* a zeroed list is fine */

#endif
