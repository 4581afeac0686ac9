/* parameters — the text that says how a picture was made, as A1111 writes it into pictures.
 *
 *     a lighthouse at dusk
 *     Negative prompt: fog
 *     Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 7, Size: 512x512,
 *     Model hash: 0123456789, Model: sd15, VAE hash: abcdef0123, VAE: my-vae.safetensors, ...,
 *     Unet digest: 89abcdef01, ...
 *
 * The VAE is the one that was used. "Model hash" is A1111's: the first ten digits of the SHA-256 of the
 * complete file. "Lora hashes" and "TI hashes" are A1111's too: adapter_file.h, embedding_file.h. "VAE hash" and "Unet digest" are the first ten digits of the component's digest: of tensor bytes,
 * so equal for the same weights in whatever file.
 *
 * What changes the picture and has no name of A1111's is said where it is not the usual: "Weights: q8" (they were rounded to
 * be stored), "Exact convolutions: True", and for a UNet alone "Base model: sd15, Base hash: 0123456789". A1111 skips
 * names that it does not know.
 */
#ifndef JOB_PARAMETERS_H
#define JOB_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>

#include "darkroom/darkroom.h"
#include "pipeline/conditioning.h"
#include "sampling/sampler.h"

/* A LoRA or an embedding that was used. */
struct parameters_hash {
    const char *name;
    const char *hash; /* twelve hexadecimal digits; "": not known */
};

/* A LoRA that was given beside the prompt: the text has it in the prompt, as if it had been written there. */
struct parameters_lora {
    char name[256];
    double unet, text; /* weights */
};

struct parameters {
    const char *prompt, *negative; /* negative may be "" */
    bool has_empty_negative;       /* "" is not the same as none: SDXL encodes it */
    int32_t steps, width, height, clip_skip;
    enum sampler_kind sampler;
    enum schedule_kind schedule;
    double cfg;
    uint64_t seed;
    const struct dr_sampling *sampling; /* NULL: the usual */
    const char *model_name,
        *model_hash; /* hexadecimal; "": the model is more than one file */
    const char *unet_digest;
    const char *vae_name, *vae_digest;
    enum prediction_kind prediction;
    enum dr_rng rng;
    enum dr_prompt_syntax prompt_syntax;
    enum dr_emphasis emphasis;
    bool pads; /* the prompts */
    int32_t image_to_image;
    double strength;
    const struct size_conditioning
        *sizes;            /* SDXL size conditioning; NULL: the defaults */
    const char *precision; /* "bf16" */
    const struct parameters_lora *given_loras;
    int32_t given_lora_count;
    const struct parameters_hash *loras, *embeddings; /* all of them */
    int32_t lora_count, embedding_count;
    const char *weights; /* "q8": what they were rounded to; NULL: the file's numbers */
    bool exact_convolutions; /* no Winograd */
    /* Of a UNet alone: the model with its other parts; NULL: none. The digest is its text encoder's, the first of two;
     * "": the prompts were not encoded by one of its. */
    const char *base_name, *base_digest;
};

/* Writes at most text_bytes with the end; returns the bytes that the whole text takes without
 * the end (as snprintf does). */
size_t parameters_format(const struct parameters *parameters, char *text,
                         size_t text_bytes);

/* A1111's names for them. */
const char *parameters_emphasis_label(enum dr_emphasis emphasis);
const char *parameters_sampler_label(enum sampler_kind kind);
const char *parameters_schedule_label(enum schedule_kind kind);

/* Read such a text, also one of another program. The line that begins with "Steps: " comes last; the prompt and the
 * negative prompt before it may have several lines. Fields that darkroom does not support, and samplers and schedules that it does not have, are listed in `unknown`. Errors:
 * DR_BAD_INPUT names what is wrong; DR_NOMEM. On error nothing is left to free. */
enum dr_code parameters_parse(struct dr_parameters *parameters, const char *text,
                              struct dr_error *err) DR_MUST_CHECK;

#endif
