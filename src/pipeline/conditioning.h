/* conditioning — the UNet's inputs other than the latents: the text context, and SDXL's added vector.
 *
 * A prompt is a list of chunks (prompt_chunks.h). The result of one text encoder for one chunk is a row of
 * the prompt cache (prompt_cache.h), in float32, as the encoder gave it:
 *
 *     77 x [ width ]    the context, token after token
 *     [ pooled ]        of SDXL's second encoder only
 *
 * The UNet's context has 77 tokens for each chunk; for each token the results of both encoders are
 * concatenated. The added vector (SDXL) begins with the pooled result of the first chunk:
 *
 *     context   77 x chunks x [ first encoder | second encoder ]
 *     vector    [ pooled | original height, width | crop top, left | target height, width ]
 *
 * On its way to the context each token's vector is multiplied by its weight, and all of a row by the row's scale,
 * which restores the mean (prompt_contexts.h). The pooled vector has no weights.
 *
 * Each of the six sizes is a sinusoidal embedding of 256 numbers. If no negative prompt was given, its
 * rows are zeros, and the sizes stay (diffusers' force_zeros_for_empty_prompt).
 *
 * Pure functions over the caller's memory; none allocates.
 * Reference: diffusers pipelines/stable_diffusion_xl/pipeline_stable_diffusion_xl.py; 2307.01952.
 */
#ifndef PIPELINE_CONDITIONING_H
#define PIPELINE_CONDITIONING_H

#include "pipeline/pipeline.h"

enum {
    CONDITIONING_SIZES = 6,
    CONDITIONING_SIZE_WIDTH = 256 /* of one size's sinusoid */
};

/* In the network's order. */
struct size_conditioning {
    int32_t original_height, original_width;
    int32_t crop_top, crop_left;
    int32_t target_height, target_width;
};

/* Check that the UNet's context is as wide as the text encoders' results. Both exist. Errors: DR_INCOMPLETE
 * with both widths. */
enum dr_code conditioning_check(const struct pipeline *pipeline,
                                struct dr_error *err) DR_MUST_CHECK;

/* Of a prompt cache with at least so many rows; the pipeline has all its text encoders. */
struct prompt_cache_shape conditioning_cache_shape(const struct pipeline *pipeline,
                                                   int32_t row_least);

/* The result of a text encoder's run, for a chunk whose first EOS is there, to its row; info: of that
 * encoder. */
void conditioning_store(const struct clip_text_plan *plan,
                        const struct clip_text_info *info, int32_t eos_idx, float *row);

/* The sum of each token's vector in a row. */
void conditioning_sums(const float *row, size_t width,
                       double sums[static TOKENIZER_POSITIONS]);

/* Where one row goes among the inputs of the UNet's bound plan. */
struct conditioning_place {
    int32_t image_idx, chunk_idx, text_idx;
};

/* What goes there. */
struct conditioning_row {
    const float *values;  /* NULL: zeros */
    const float *weights; /* [77]; NULL: all 1 */
    float scale;
    bool repeats_last; /* the last token's vector, 77 times, and no pooled part */
};

/* A row to its place in the context, and in the vector where it has a pooled part and is of the first chunk. */
void conditioning_apply(const struct pipeline *pipeline, const struct unet_plan *unet,
                        struct conditioning_place place,
                        const struct conditioning_row *row);

/* The sizes to the vector of one image; nothing where the UNet has no vector. */
void conditioning_apply_sizes(const struct pipeline *pipeline,
                              const struct unet_plan *unet, int32_t image_idx,
                              const struct size_conditioning *sizes);

#endif
