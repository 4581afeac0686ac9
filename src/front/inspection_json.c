#include "front/inspection_json.h"

#include <stdio.h>

#include "front/component_json.h"
#include "front/member.h"

static json_t *digests_of(const struct dr_inspection *inspection)
{
    json_t *const object = json_object();
    const struct dr_model_info *const model = &inspection->model;
    for (int32_t i = 0; i < model->component_count; ++i)
        if (model->components[i].digest[0])
            member_set_text(object, model->components[i].name,
                            model->components[i].digest);
    return object;
}

static json_t *metadata_of(const struct dr_inspection *inspection)
{
    json_t *const object = json_object();
    for (size_t i = 0; i < inspection->metadata_count; ++i) {
        json_t *const key = member_text(inspection->metadata[i].key);
        if (key)
            member_set_text(object, json_string_value(key),
                            inspection->metadata[i].text);
        json_decref(key);
    }
    return object;
}

static json_t *texts(char *const *list, size_t count)
{
    json_t *const array = json_array();
    for (size_t i = 0; i < count; ++i)
        (void)json_array_append_new(array, member_text(list[i]));
    return array;
}

/* What the UNet predicts and by which schedule it was trained, and who says so. */
static void add_meaning(json_t *answer, const struct dr_inspection *inspection)
{
    if (inspection->unsupported[0])
        member_set_text(answer, "unsupported", inspection->unsupported);
    if (inspection->prediction[0]) {
        json_t *const prediction = json_object(), *const schedule = json_object();
        member_set_text(prediction, "type", inspection->prediction);
        member_set_text(prediction, "source", inspection->prediction_source);
        member_set_text(schedule, "betas",
                        "scaled_linear, 0.00085 to 0.012, 1000 steps");
        member_set_flag(schedule, "zero_terminal_snr", inspection->zero_terminal_snr);
        member_set_text(schedule, "source", inspection->schedule_source);
        member_set(answer, "prediction", prediction);
        member_set(answer, "schedule", schedule);
    }
    if (inspection->refused_count > 0)
        member_set(answer, "refused",
                   texts(inspection->refused, inspection->refused_count));
    if (inspection->warning_count > 0)
        member_set(answer, "warnings",
                   texts(inspection->warnings, inspection->warning_count));
}

/* The options that a job has where it gives none. */
static json_t *defaults_of(const struct dr_defaults *defaults)
{
    char size[32];
    json_t *const object = json_object();
    (void)snprintf(size, sizeof size, "%dx%d", (int)defaults->width,
                   (int)defaults->height);
    member_set_text(object, "size", size);
    member_set_integer(object, "steps", defaults->steps);
    member_set_real(object, "cfg", defaults->cfg);
    member_set_text(object, "sampler", defaults->sampler);
    member_set_text(object, "scheduler", defaults->scheduler);
    return object;
}

static void add_vae_neighbours(json_t *answer, const struct dr_inspection *inspection)
{
    json_t *const automatic = json_object();
    member_set_text(automatic, "active",
                    inspection->automatic[0] ? "override" : "base");
    member_set_text(automatic, "path", inspection->automatic);
    member_set_text(automatic, "reason", inspection->automatic_reason);
    member_set(answer, "vae_neighbours",
               texts(inspection->vae_neighbours, inspection->vae_neighbour_count));
    member_set(answer, "automatic", automatic);
}

static void add_latents(json_t *answer, const struct dr_inspection *inspection)
{
    member_set_text(answer, "family", "latents");
    member_set_text(answer, "format", inspection->format);
    member_set_bytes(answer, "file_bytes", inspection->file_bytes);
    member_set_integer(answer, "latent_count", inspection->latent_count);
    member_set_integer(answer, "width", inspection->latent_width);
    member_set_integer(answer, "height", inspection->latent_height);
}

void inspection_json_add(json_t *answer, const struct dr_inspection *inspection)
{
    const struct dr_model_info *const model = &inspection->model;
    member_set_text(answer, "path", model->path);
    if (inspection->latent_count > 0) {
        add_latents(answer, inspection);
        return;
    }
    member_set_text(answer, "family", model->family);
    member_set_text(answer, "format", inspection->format);
    member_set_bytes(answer, "file_bytes", inspection->file_bytes);
    member_set_integer(answer, "tensor_count", (int64_t)inspection->tensor_count);
    member_set(answer, "components",
               component_json_list(model->components, model->component_count));
    if (inspection->ignored_count) {
        json_t *const ignored = json_object();
        member_set_integer(ignored, "tensor_count", (int64_t)inspection->ignored_count);
        member_set_bytes(ignored, "bytes", inspection->ignored_bytes);
        member_set(answer, "ignored", ignored);
    }
    if (model->base[0]) member_set_text(answer, "base", model->base);
    if (model->lacks[0]) member_set_text(answer, "lacks", model->lacks);
    add_meaning(answer, inspection);
    if (inspection->defaults.width)
        member_set(answer, "defaults", defaults_of(&inspection->defaults));
    json_t *const digests = digests_of(inspection);
    if (inspection->sha256[0]) member_set_text(answer, "sha256", inspection->sha256);
    if (json_object_size(digests) > 0)
        (void)json_object_set(answer, "digests", digests);
    json_decref(digests);
    member_set(answer, "metadata", metadata_of(inspection));
    if (inspection->automatic_reason[0]) add_vae_neighbours(answer, inspection);
}

void inspection_json_add_picture(json_t *answer, const char *path, const char *format,
                                 const char *parameters)
{
    member_set_text(answer, "path", path);
    member_set_text(answer, "format", format);
    member_set(answer, "parameters",
               parameters ? member_text(parameters) : json_null());
}
