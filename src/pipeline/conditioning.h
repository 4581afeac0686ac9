/* conditioning — what the UNet is told beside the latents: contexts, and SDXL's vector.
 *
 * An encoded prompt is one row of the prompt cache (prompt_cache.h), in float32:
 *
 *     77 x [ first encoder | second encoder ]     the context, a token's numbers together
 *     [ pooled ]                                  of the second encoder; SDXL only
 *
 * Each encoder writes its columns when it is its turn; in between it may be released. For the
 * UNet, a row's context goes into its context input, and its vector is
 *
 *     [ pooled | original height, width | crop top, left | target height, width ]
 *
 * with each of the six sizes as a sinusoid of 256 numbers. A negative prompt that was never
 * given is zeros in place of a row (the sizes stay): diffusers' force_zeros_for_empty_prompt.
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

/* Do text encoders and UNet go together? Both are there. Errors: DR_INCOMPLETE, with numbers. */
enum dr_code conditioning_check(const struct pipeline *pipeline,
                                struct dr_error *err) DR_MUST_CHECK;

/* Of one row; the pipeline has all its text encoders. */
size_t conditioning_row_bytes(const struct pipeline *pipeline);

/* The result of text encoder `text_idx` to its columns of the row. */
void conditioning_store(const struct pipeline *pipeline, int32_t text_idx,
                        const struct clip_text_plan *plan, int32_t eos_idx, float *row);

/* One image's inputs of the bound plan. row NULL: zeros. */
void conditioning_apply(const struct pipeline *pipeline, const struct unet_plan *unet,
                        int32_t n_idx, const float *row,
                        const struct size_conditioning *sizes);

#endif
