/* prompt_chunker — puts the segments of a prompt into chunks of 75 tokens.
 *
 * Each segment (prompt_emphasis.h) is tokenized by itself. A chunk is full with 75 tokens. Where a chunk is full and the
 * last 20 tokens had a comma, what follows the last comma goes to the next chunk. BREAK ends a chunk, also an empty one. The last
 * chunk is filled with EOS, or with what the encoder pads with after its first EOS.
 *
 * An embedding whose name is found takes the place of the name's tokens: as many tokens as it has vectors, which stay in one
 * chunk. Of several names that begin at a token the longest counts.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/sd_hijack_clip.py (tokenize_line), version 1.10. There
 * an embedding that the comma moves to the next chunk loses its vectors; here it keeps them.
 *
 * Memory: the list; what else is needed is given back. Any thread.
 */
#ifndef MODEL_PROMPT_CHUNKER_H
#define MODEL_PROMPT_CHUNKER_H

#include "model/prompt_chunks.h"
#include "model/prompt_emphasis.h"

enum {
    CHUNK_TOKENS = TOKENIZER_POSITIONS - 2,
    CHUNK_COMMA_TOKENS = 20
};

/* An embedding as the chunker sees it. */
struct chunk_word {
    const char *name;
    const int32_t *ids; /* of its name */
    int32_t id_count;
    int32_t vector_count, first_vector; /* rows of the job's vectors */
    uint8_t digest[DIGEST_BYTES];       /* of its file */
};

struct prompt_chunker {
    const struct tokenizer *tokenizer;
    int32_t pad;                    /* as tokenizer_encode's */
    const struct chunk_word *words; /* embeddings */
    int32_t word_count;
};

/* One word of a prompt, for who looks. */
struct chunk_place {
    const char *text;                    /* borrowed for the call */
    int32_t chunk_idx, position, tokens; /* where it begins; how many it has there */
    double weight;
    bool is_embedding;
};
typedef void chunk_report(void *cookie, const struct chunk_place *place);

/* Append the chunks of a text, at least one. report: NULL, or called for each word. Errors: the tokenizer's; DR_BAD_INPUT (an
 * embedding of more than 75 vectors); DR_NOMEM. The list is then to be finished. */
enum dr_code prompt_chunker_add(const struct prompt_chunker *chunker,
                                const struct prompt_segment *segments, int32_t count,
                                struct prompt_chunks *list, chunk_report *report,
                                void *cookie, struct dr_error *err) DR_MUST_CHECK;

#endif
