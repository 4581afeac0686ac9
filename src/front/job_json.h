/* job_json — what a job made, with what, and what it took.
 *
 *     generate  "images":[{"path":"...", "seed":7}, ...], "latents":"...", "width":512, "height":512, "vae":{...},
 *               "timings_ms":{"text":..., "unet_per_step":..., "vae":...}, "planned_private_bytes":...,
 *               "peak_private_bytes":..., "warnings":["..."], "receipt":{...}
 *     encode    "latents":"...", "width":..., "height":..., "vae":{...}, "timings_ms":{"vae":...},
 *               "planned_private_bytes":..., "peak_private_bytes":..., "receipt":{...}
 *     decode    the same with "images":[{"path":"..."}, ...] in the place of latents
 *
 * An image (or encode's answer) has "replaced":true where there was a file of its name before. With several prompts
 * each image has its `prompt` too.
 * A job that failed or was cancelled has its error, and `images` that were written before, if there are any.
 * vae: vae_json.h; receipt: receipt_json.h. timings_ms: encoding the prompts, the mean of one (guided) UNet
 * evaluation, one image through the VAE. Where generate writes latents, latents is their file, and the path of each
 * image. A profile is added by profile_json.h.
 */
#ifndef FRONT_JOB_JSON_H
#define FRONT_JOB_JSON_H

#include <stdbool.h>

#include <darkroom/darkroom.h>
#include <jansson.h>

void job_json_add_generated(json_t *answer, const struct dr_generate_result *result);
/* `images` alone, of those that a job wrote before it failed; nothing where there are none. */
void job_json_add_generated_part(json_t *answer,
                                 const struct dr_generate_result *result);
void job_json_add_decoded_part(json_t *answer, const struct dr_codec_result *result);
/* One more sentence for the `warnings` of what was generated. */
void job_json_add_warning(json_t *answer, const char *sentence);

/* Several jobs in one answer: `images` and `warnings` are those of all, vae is the last one's, and where each is listed
 * `jobs` has the answer of each. */
void job_json_begin_jobs(json_t *answer, bool lists_each);
void job_json_add_job(json_t *answer, const char *prompt, json_t *job_take);

void job_json_add_encoded(json_t *answer, const struct dr_codec_result *result);
void job_json_add_decoded(json_t *answer, const struct dr_codec_result *result);

#endif
