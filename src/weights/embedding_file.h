/* embedding_file — an embedding (textual inversion): vectors that stand in a prompt for its name.
 *
 *     what writes it     tensors
 *     A1111              string_to_param {"*": [n, w]} in a pickle; emb_params [n, w] in .safetensors
 *     diffusers          {TOKEN: [w]} or {TOKEN: [n, w]}
 *     for SDXL           clip_l [n, w1] and clip_g [n, w2]: for the first and the second text encoder
 *
 * So it is a file with one tensor of one or two dimensions, or with these two. All numbers are read once when it
 * is opened, so that one that is not finite is refused before a job begins, and a changed file is noticed.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/textual_inversion/textual_inversion.py, version 1.10.
 *
 * Threads: one at a time per file.
 */
#ifndef WEIGHTS_EMBEDDING_FILE_H
#define WEIGHTS_EMBEDDING_FILE_H

#include "base/cancel.h"
#include "base/digest.h"
#include "weights/family.h"
#include "weights/tensor_file.h"

enum {
    EMBEDDING_TEXTS = 2,         /* text encoders at most */
    EMBEDDING_MOST_VECTORS = 75, /* a chunk of a prompt has no room for more */
    EMBEDDING_LEAST_WIDTH = 2,   /* one number is no vector */
    EMBEDDING_MOST_WIDTH = 16384,
    EMBEDDING_HASH_DIGITS = 12,
    EMBEDDING_HASH_BYTES = EMBEDDING_HASH_DIGITS + 1
};

struct embedding_file {
    struct tensor_file file;
    const struct tensor *vectors[EMBEDDING_TEXTS]; /* [1] NULL: for one encoder */
    int32_t widths[EMBEDDING_TEXTS];               /* 0: it has none for it */
    int32_t vector_count;                          /* for each encoder */
    enum family family;           /* by its widths; FAMILY_UNKNOWN: of no family's */
    const char *base_model;       /* what the file says it was trained with, or NULL */
    const char *base_hash;        /* of that checkpoint, or NULL */
    const char *step;             /* of its training, a number, or NULL */
    uint64_t bytes;               /* of its vectors, as they are stored */
    uint8_t digest[DIGEST_BYTES]; /* SHA-256 of the complete file */
};

/* cancel may be NULL. Errors: tensor_file_open's; DR_UNSUPPORTED (not an embedding), DR_NOT_FINITE, DR_CANCELLED.
 * On error *embedding is zero. */
enum dr_code embedding_file_open(struct embedding_file *embedding, const char *path,
                                 const struct cancel *cancel,
                                 struct dr_error *err) DR_MUST_CHECK;
void embedding_file_close(struct embedding_file *embedding); /* zeroed is fine */

/* The "TI hash" of other programs: the first digits of the digest. Returns out. */
char *embedding_file_hash(const struct embedding_file *embedding,
                          char out[static EMBEDDING_HASH_BYTES]);

/* The vectors for an encoder that it has some for: [vector_count, width] f32, caller's memory. Errors: DR_CHANGED (it is
 * not the file that was opened), DR_NOT_FINITE, DR_IO. */
enum dr_code embedding_file_read(const struct embedding_file *embedding,
                                 int32_t text_idx, float *target,
                                 struct dr_error *err) DR_MUST_CHECK;

#endif
