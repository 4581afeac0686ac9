#include "service/a1111_info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "front/member.h"
#include "service/infotext.h"
#include "service/model_names.h"
#include "service/sampler_names.h"

/* What the answer is made of: the record's own JSON, and what the first picture says of itself. */
struct source {
    const struct a1111_made *made;
    const struct picture_request *request;
    json_t *answer; /* job_json.h; NULL: none */
    struct dr_parameters first;
    bool has_first;
};

static struct source source_open(const struct a1111_made *made)
{
    struct source source = {.made = made, .request = &made->record->request};
    if (made->record->answer) source.answer = json_loads(made->record->answer, 0, NULL);
    const char *const text = made->count > 0 ? made->pictures[0].parameters : NULL;
    source.has_first = text && dr_parse_parameters(text, &source.first, NULL) == DR_OK;
    return source;
}

static void source_close(struct source *source)
{
    if (source->has_first) dr_parameters_free(&source->first);
    json_decref(source->answer);
}

/* ---- parts of info ----------------------------------------------------------------------- */

/* The same text for each picture. */
static json_t *repeat_text(const char *text, int32_t count)
{
    json_t *const list = json_array();
    for (int32_t i = 0; i < count; ++i)
        (void)json_array_append_new(list, member_text(text));
    return list;
}

/* A whole number, or text where JSON's readers have none so large. */
static json_t *seed_json(uint64_t seed)
{
    return seed <= INT64_MAX ? json_integer((json_int_t)seed) : picture_seed_json(seed);
}

static void add_prompts(json_t *info, const struct source *source)
{
    const struct picture_request *const request = source->request;
    member_set_text(info, "prompt", request->prompt);
    json_t *const prompts = json_array(); /* wildcards make them differ */
    for (int32_t i = 0; i < source->made->count; ++i)
        (void)json_array_append_new(prompts,
                                    member_text(source->made->pictures[i].prompt));
    member_set(info, "all_prompts", prompts);
    member_set_text(info, "negative_prompt", request->negative);
    member_set(info, "all_negative_prompts",
               repeat_text(request->negative, source->made->count));
}

/* Without a variation A1111 shows its seed all the same. */
static void add_seeds(json_t *info, const struct source *source)
{
    const struct a1111_made *const made = source->made;
    const struct dr_sampling *const sampling = &source->request->sampling;
    const bool is_resized = sampling->seed_resize_width > 0;
    json_t *const seeds = json_array(), *const subseeds = json_array();
    for (int32_t i = 0; i < made->count; ++i) {
        (void)json_array_append_new(seeds, seed_json(made->pictures[i].seed));
        (void)json_array_append_new(subseeds,
                                    seed_json(sampling->variation_seed + (uint64_t)i));
    }
    member_set(info, "seed", seed_json(source->request->seed));
    member_set(info, "all_seeds", seeds);
    member_set(info, "subseed", seed_json(sampling->variation_seed));
    member_set(info, "all_subseeds", subseeds);
    member_set_real(info, "subseed_strength", sampling->variation_strength);
    member_set_integer(info, "seed_resize_from_w",
                       is_resized ? sampling->seed_resize_width : -1);
    member_set_integer(info, "seed_resize_from_h",
                       is_resized ? sampling->seed_resize_height : -1);
}

static const char *sampler_label(const struct source *source)
{
    const struct sampler_entry *const sampler = sampler_names_of(
        source->has_first ? source->first.sampler : source->request->sampler);
    return sampler ? sampler->label : "";
}

static const char *schedule_label(const struct source *source)
{
    const struct schedule_entry *const schedule = schedule_names_of(
        source->has_first ? source->first.scheduler : source->request->scheduler);
    return schedule ? schedule->label : "";
}

/* As in the picture's text: what is usual is not said. */
static void add_noise(json_t *extra, const struct dr_sampling *sampling)
{
    const struct dr_sampling_field *field;
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        double value;
        memcpy(&value, (const char *)sampling + field->offset, sizeof value);
        if (value != field->usual) member_set_real(extra, field->label, value);
    }
    if (sampling->eta_seed_delta != 0)
        member_set_integer(extra, "ENSD", sampling->eta_seed_delta);
}

/* What else the first picture says of how its prompts were read, in A1111's words. */
static void add_prompt_words(json_t *extra, const struct source *source)
{
    static const char *const names[] = {"Lora hashes", "TI hashes", "Emphasis",
                                        "Pad conds"};
    const struct a1111_made *const made = source->made;
    const char *const text = made->count > 0 ? made->pictures[0].parameters : NULL;
    json_t *const said = text ? infotext_json(text) : NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        json_t *const value = json_object_get(said, names[i]);
        if (value) (void)json_object_set(extra, names[i], value);
    }
    json_decref(said);
}

static void add_sampling(json_t *info, const struct source *source)
{
    const struct picture_request *const request = source->request;
    const struct dr_parameters *const first = source->has_first ? &source->first : NULL;
    const bool is_img2img = request->kind == PICTURE_IMG2IMG;
    json_t *const extra = json_object();
    if (*schedule_label(source))
        member_set_text(extra, "Schedule type", schedule_label(source));
    add_noise(extra, &request->sampling);
    add_prompt_words(extra, source);
    member_set_integer(info, "width",
                       source->made->count ? source->made->pictures[0].width
                                           : request->width);
    member_set_integer(info, "height",
                       source->made->count ? source->made->pictures[0].height
                                           : request->height);
    member_set_text(info, "sampler_name", sampler_label(source));
    member_set_real(info, "cfg_scale", first ? first->cfg : request->cfg);
    member_set_integer(info, "steps", first ? first->steps : request->steps);
    member_set_integer(info, "batch_size", request->batch_size);
    member_set_integer(info, "clip_skip", request->clip_skip);
    member_set(info, "denoising_strength",
               is_img2img ? json_real(request->strength) : json_null());
    member_set(info, "extra_generation_params", extra);
    member_set_flag(info, "restore_faces", 0);
    member_set(info, "face_restoration_model", json_null());
    member_set_flag(info, "is_using_inpainting_conditioning", 0);
}

static void add_model(json_t *info, const struct source *source)
{
    char sha256[DR_DIGEST_CHARS];
    const struct dr_parameters *const first = source->has_first ? &source->first : NULL;
    model_folders_sha256(source->made->models, source->request->model, sha256);
    member_set_text(info, "sd_model_name",
                    first ? first->model : model_names_file(source->request->model));
    if (first && first->model_hash[0])
        member_set_text(info, "sd_model_hash", first->model_hash);
    else if (*sha256)
        member_set(info, "sd_model_hash", json_stringn(sha256, MODEL_HASH_CHARS - 1));
    else
        member_set(info, "sd_model_hash", json_null());
}

/* Which VAE decoded the pictures: "None" for the checkpoint's own. */
static void add_vae(json_t *info, const struct source *source)
{
    char name[MODEL_TITLE_BYTES];
    const json_t *const vae = json_object_get(source->answer, "vae");
    const char *const active = json_string_value(json_object_get(vae, "active"));
    const char *const path = json_string_value(json_object_get(vae, "path"));
    const char *const digest = json_string_value(json_object_get(vae, "digest"));
    const bool is_own = !active || strcmp(active, "base") == 0;
    model_folders_vae_name(source->made->models, is_own || !path ? "none" : path, name);
    member_set_text(info, "sd_vae_name", name);
    if (digest && strlen(digest) >= 10)
        member_set(info, "sd_vae_hash", json_stringn(digest, 10));
    else
        member_set(info, "sd_vae_hash", json_null());
}

static void add_time(json_t *info, const struct source *source)
{
    char text[32] = "";
    struct tm parts;
    const time_t seconds = (time_t)source->made->record->started_s;
    if (localtime_r(&seconds, &parts))
        (void)strftime(text, sizeof text, "%Y%m%d%H%M%S", &parts);
    member_set_text(info, "job_timestamp", text);
}

static void add_texts(json_t *info, const struct source *source)
{
    json_t *const texts = json_array();
    for (int32_t i = 0; i < source->made->count; ++i) {
        const char *const text = source->made->pictures[i].parameters;
        (void)json_array_append_new(texts, member_text(text ? text : ""));
    }
    member_set(info, "infotexts", texts);
    member_set_integer(info, "index_of_first_image", 0);
    member_set(info, "styles", picture_styles_json(source->request));
}

/* ---- what is ours ------------------------------------------------------------------------ */

static void copy_member(json_t *object, const json_t *from, const char *name)
{
    json_t *const value = json_object_get(from, name);
    if (value) (void)json_object_set(object, name, value);
}

/* The reason for a VAE, with the name of its file in the place of the path. */
static json_t *reason_json(const json_t *vae)
{
    const char *const reason = json_string_value(json_object_get(vae, "reason"));
    const char *const path = json_string_value(json_object_get(vae, "path"));
    const char *const at = reason && path && *path ? strstr(reason, path) : NULL;
    if (!reason) return NULL;
    return at ? json_sprintf("%.*s%s%s", (int)(at - reason), reason,
                             model_names_file(path), at + strlen(path))
              : json_string(reason);
}

static json_t *own_vae(const struct source *source)
{
    static const char *const names[] = {"source", "active", "name", "digest", "probe"};
    const json_t *const vae = json_object_get(source->answer, "vae");
    json_t *const object = json_object();
    member_set(object, "reason", reason_json(vae));
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        copy_member(object, vae, names[i]);
    return object;
}

static void add_own(json_t *info, const struct source *source)
{
    const struct job_record *const record = source->made->record;
    json_t *const own = json_object();
    member_set_text(own, "job", record->id);
    member_set_text(own, "state", job_phase_name(record->phase));
    member_set_real(own, "seconds",
                    record->ended_s > record->started_s
                        ? record->ended_s - record->started_s
                        : 0);
    copy_member(own, source->answer, "peak_private_bytes");
    copy_member(own, source->answer, "planned_private_bytes");
    copy_member(own, source->answer, "timings_ms");
    member_set(own, "vae", own_vae(source));
    member_set(info, "darkroom", own);
    json_t *const warnings = json_object_get(source->answer, "warnings");
    member_set(info, "warnings", warnings ? json_incref(warnings) : json_array());
    char version[64];
    (void)snprintf(version, sizeof version, "darkroom %s", dr_version());
    member_set_text(info, "version", version);
}

json_t *a1111_info_json(const struct a1111_made *made)
{
    struct source source = source_open(made);
    json_t *const info = json_object();
    add_prompts(info, &source);
    add_seeds(info, &source);
    add_sampling(info, &source);
    add_model(info, &source);
    add_vae(info, &source);
    add_time(info, &source);
    add_texts(info, &source);
    add_own(info, &source);
    source_close(&source);
    return info;
}

/* The request as it was carried out. The pictures that came with it are not repeated. */
json_t *a1111_info_parameters(const struct a1111_made *made)
{
    struct source source = source_open(made);
    const struct picture_request *const request = source.request;
    json_t *const value = json_object();
    const struct schedule_entry *const schedule = schedule_names_of(
        source.has_first ? source.first.scheduler : request->scheduler);
    member_set_text(value, "prompt", request->prompt);
    member_set_text(value, "negative_prompt", request->negative);
    member_set(value, "seed", seed_json(request->seed));
    member_set_text(value, "sampler_name", sampler_label(&source));
    member_set_text(value, "sampler_index", sampler_label(&source));
    member_set_text(value, "scheduler", schedule ? schedule->key : "");
    member_set_integer(value, "batch_size", request->batch_size);
    member_set_integer(value, "n_iter", request->batch_count);
    member_set_integer(value, "steps",
                       source.has_first ? source.first.steps : request->steps);
    member_set_real(value, "cfg_scale",
                    source.has_first ? source.first.cfg : request->cfg);
    member_set_integer(value, "width",
                       made->count ? made->pictures[0].width : request->width);
    member_set_integer(value, "height",
                       made->count ? made->pictures[0].height : request->height);
    member_set(value, "denoising_strength",
               request->kind == PICTURE_IMG2IMG ? json_real(request->strength)
                                                : json_null());
    member_set_flag(value, "save_images", request->keeps);
    member_set_flag(value, "send_images", made->sends_images);
    member_set_flag(value, "enable_hr", 0);
    member_set(value, "styles", picture_styles_json(request));
    member_set(value, "init_images", json_null());
    member_set(value, "mask", json_null());
    source_close(&source);
    return value;
}
