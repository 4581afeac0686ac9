/* prompt_chunks — what a text encoder reads for one prompt: a list of chunks.
 *
 * CLIP's text encoders read 77 tokens at a time: begin of text, 75 tokens, end of text. A longer
 * prompt is several such chunks, which are encoded one by one; their results, one after the other,
 * are the UNet's context:
 *
 *     chunks   [ 77 ids, 77 weights ] [ 77 ids, 77 weights ] ...
 *     context  [ 77 tokens          | 77 tokens            | ... ]
 *
 * A chunk's weights say by how much each token's vector in the encoder's result is multiplied
 * (conditioning.h); the encoder does not see them. The pooled vector is the first chunk's, without weights.
 *
 * A token may stand for a vector of an embedding (textual inversion) in place of a row of the
 * encoder's table: then its id is -1 - v for row v of the job's vectors, and `vectors` is a digest of where
 * the chunk has which.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/sd_hijack_clip.py (PromptChunk), version 1.10.
 *
 * Memory: the list owns its chunks, 652 bytes each. A zeroed list is empty.
 */
#ifndef MODEL_PROMPT_CHUNKS_H
#define MODEL_PROMPT_CHUNKS_H

#include "base/digest.h"
#include "base/pool.h"
#include "model/tokenizer.h"

/* Without padding bytes: two chunks are equal where their bytes are. */
struct prompt_chunk {
    int32_t ids[TOKENIZER_POSITIONS];
    float weights[TOKENIZER_POSITIONS];
    int32_t eos_idx;               /* position of the first EOS */
    uint8_t vectors[DIGEST_BYTES]; /* of its embeddings; zeros: none */
};

struct prompt_chunks {
    struct prompt_chunk *chunks; /* [count] */
    int32_t count;
    /* private below */
    int32_t capacity;
    struct pool pool;
};

/* Append a copy of a chunk, which is not in the list. Errors: DR_NOMEM; the list is then as it was. */
enum dr_code prompt_chunks_add(struct prompt_chunks *list,
                               const struct prompt_chunk *chunk,
                               struct dr_error *err) DR_MUST_CHECK;

/* Do both give the encoder the same? Weights do not count. */
bool prompt_chunk_reads_as(const struct prompt_chunk *a, const struct prompt_chunk *b);

void prompt_chunks_finish(struct prompt_chunks *list); /* a zeroed list is fine */

#endif
