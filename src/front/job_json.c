#include "front/job_json.h"

#include "front/member.h"
#include "front/receipt_json.h"
#include "front/vae_json.h"

/* ---- generate ---------------------------------------------------------------------------- */

enum seeds {
    WITHOUT_SEEDS, /* decode draws no noise */
    WITH_SEEDS
};

static json_t *images_of(const struct dr_image_info *images, int32_t count,
                         enum seeds seeds)
{
    json_t *const array = json_array();
    for (int32_t i = 0; i < count; ++i) {
        json_t *const image = json_object();
        member_set_text(image, "path", images[i].path);
        if (seeds == WITH_SEEDS) member_set_seed(image, images[i].seed);
        if (images[i].replaced) member_set_flag(image, "replaced", 1);
        (void)json_array_append_new(array, image);
    }
    return array;
}

/* The file of latents that all images are in, or NULL where they are pictures. */
static const char *latents_of(const struct dr_generate_result *result)
{
    const char *const path = result->image_count > 0 ? result->images[0].path : "";
    return dr_output_is_latent(path) ? path : NULL;
}

static json_t *generate_timings(const struct dr_generate_result *result)
{
    json_t *const object = json_object();
    member_set_real(object, "text", result->text_ms);
    member_set_real(object, "unet_per_step", result->unet_per_step_ms);
    member_set_real(object, "vae", result->vae_ms);
    return object;
}

void job_json_add_generated(json_t *answer, const struct dr_generate_result *result)
{
    const char *const latents = latents_of(result);
    member_set(answer, "images",
               images_of(result->images, result->image_count, WITH_SEEDS));
    if (latents) member_set_text(answer, "latents", latents);
    member_set_integer(answer, "width", result->width);
    member_set_integer(answer, "height", result->height);
    member_set(answer, "vae", vae_json(&result->vae));
    member_set(answer, "timings_ms", generate_timings(result));
    member_set_bytes(answer, "planned_private_bytes", result->planned_private_bytes);
    member_set_bytes(answer, "peak_private_bytes", result->peak_private_bytes);
    member_set(answer, "warnings", json_array());
    if (result->warnings[0]) job_json_add_warning(answer, result->warnings);
    member_set(answer, "receipt", receipt_json(&result->receipt));
}

void job_json_add_generated_part(json_t *answer,
                                 const struct dr_generate_result *result)
{
    if (result->image_count > 0)
        member_set(answer, "images",
                   images_of(result->images, result->image_count, WITH_SEEDS));
}

void job_json_add_decoded_part(json_t *answer, const struct dr_codec_result *result)
{
    if (result->image_count > 0)
        member_set(answer, "images",
                   images_of(result->images, result->image_count, WITHOUT_SEEDS));
}

void job_json_add_warning(json_t *answer, const char *sentence)
{
    (void)json_array_append_new(json_object_get(answer, "warnings"),
                                member_text(sentence));
}

void job_json_begin_jobs(json_t *answer, bool lists_each)
{
    member_set(answer, "images", json_array());
    member_set(answer, "warnings", json_array());
    if (lists_each) member_set(answer, "jobs", json_array());
}

void job_json_add_job(json_t *answer, const char *prompt, json_t *job_take)
{
    json_t *const images = json_object_get(job_take, "images");
    json_t *const vae = json_object_get(job_take, "vae");
    for (size_t i = 0; i < json_array_size(images); ++i)
        member_set_text(json_array_get(images, i), "prompt", prompt);
    member_set_text(job_take, "prompt", prompt);
    (void)json_array_extend(json_object_get(answer, "images"), images);
    (void)json_array_extend(json_object_get(answer, "warnings"),
                            json_object_get(job_take, "warnings"));
    if (vae) (void)json_object_set(answer, "vae", vae);
    /* Taken, also where there is no such list. */
    (void)json_array_append_new(json_object_get(answer, "jobs"), job_take);
}

/* ---- encode and decode ------------------------------------------------------------------- */

/* All but what was made. */
static void add_codec(json_t *answer, const struct dr_codec_result *result)
{
    json_t *const timings = json_object();
    member_set_real(timings, "vae", result->vae_ms);
    member_set_integer(answer, "width", result->width);
    member_set_integer(answer, "height", result->height);
    member_set(answer, "vae", vae_json(&result->vae));
    member_set(answer, "timings_ms", timings);
    member_set_bytes(answer, "planned_private_bytes", result->planned_private_bytes);
    member_set_bytes(answer, "peak_private_bytes", result->peak_private_bytes);
    member_set(answer, "receipt", receipt_json(&result->receipt));
}

void job_json_add_encoded(json_t *answer, const struct dr_codec_result *result)
{
    if (result->image_count > 0)
        member_set_text(answer, "latents", result->images[0].path);
    if (result->image_count > 0 && result->images[0].replaced)
        member_set_flag(answer, "replaced", 1);
    add_codec(answer, result);
}

void job_json_add_decoded(json_t *answer, const struct dr_codec_result *result)
{
    member_set(answer, "images",
               images_of(result->images, result->image_count, WITHOUT_SEEDS));
    add_codec(answer, result);
}
