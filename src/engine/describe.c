/* What files and slots hold, in the words of darkroom.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/path.h"
#include "engine/engine.h"
#include "switch/vae_choice.h"

const char *dr_component_kind_name(enum dr_component_kind kind)
{
    switch (kind) {
    case DR_COMPONENT_TEXT: return "text";
    case DR_COMPONENT_UNET: return "unet";
    case DR_COMPONENT_VAE: return "vae";
    case DR_COMPONENT_ADAPTER: return "adapter";
    }
    return "";
}

void engine_describe_component(const struct component_index *index,
                               struct dr_component_info *info)
{
    static const enum dr_component_kind kinds[ROLE_COUNT] = {
        [ROLE_TEXT] = DR_COMPONENT_TEXT,
        [ROLE_TEXT2] = DR_COMPONENT_TEXT,
        [ROLE_UNET] = DR_COMPONENT_UNET,
        [ROLE_VAE] = DR_COMPONENT_VAE,
    };
    bool seen[DTYPE_COUNT] = {false};
    *info = (struct dr_component_info){.kind = kinds[index->role],
                                       .tensor_count = index->count,
                                       .stored_bytes = index->bytes};
    (void)snprintf(info->name, sizeof info->name, "%s",
                   component_role_name(index->role));
    for (size_t i = 0; i < index->count; ++i) {
        const struct tensor *const tensor = index->tensors[i].tensor;
        info->parameter_count += (uint64_t)tensor_element_count(tensor);
        if (!seen[tensor->dtype]) {
            const size_t used = strlen(info->stored_types);
            (void)snprintf(info->stored_types + used, sizeof info->stored_types - used,
                           "%s%s", used ? " " : "", dtype_name(tensor->dtype));
        }
        seen[tensor->dtype] = true;
    }
}

enum dr_code engine_model_info_create(struct dr_model_info *info, struct dr_error *err)
{
    *info = (struct dr_model_info){0};
    info->components = calloc(ROLE_COUNT, sizeof *info->components);
    return info->components
               ? DR_OK
               : error_set(err, DR_NOMEM, "no memory for the list of components");
}

void dr_model_info_free(struct dr_model_info *model)
{
    if (!model) return;
    free(model->components);
    *model = (struct dr_model_info){0};
}

void engine_describe_model(const struct checkpoint *checkpoint, const char *path,
                           struct dr_model_info *info)
{
    (void)snprintf(info->path, sizeof info->path, "%s", path);
    (void)snprintf(info->family, sizeof info->family, "%s",
                   family_name(checkpoint->family));
    for (int role = 0; role < ROLE_COUNT; ++role)
        if (checkpoint->components[role].count)
            engine_describe_component(&checkpoint->components[role],
                                      &info->components[info->component_count++]);
}

void engine_describe_base(const struct checkpoint *checkpoint,
                          const struct checkpoint *base, struct dr_model_info *info)
{
    for (int role = 0; role < ROLE_COUNT; ++role) {
        const bool is_other_family = role == ROLE_TEXT2 && base->family != FAMILY_SDXL;
        if (checkpoint->components[role].count > 0 || is_other_family ||
            base->components[role].count == 0)
            continue;
        struct dr_component_info *const part =
            &info->components[info->component_count++];
        engine_describe_component(&base->components[role], part);
        part->of_base = 1;
        (void)snprintf(info->base, sizeof info->base, "%s", base->file.path);
    }
}

void engine_describe_pipeline(const struct pipeline *pipeline,
                              struct dr_model_info *info)
{
    engine_describe_model(&pipeline->checkpoint, pipeline->path, info);
    engine_describe_base(&pipeline->checkpoint, &pipeline->base, info);
    pipeline_lacks(pipeline, info->lacks, sizeof info->lacks);
    for (int32_t i = 0; i < info->component_count; ++i)
        for (int32_t k = 0; k < pipeline->slot_count; ++k)
            if (strcmp(info->components[i].name, pipeline->slots[k].name) == 0)
                info->components[i].weights_bytes =
                    source_memory_bytes(pipeline->slots[k].base);
}

static void describe_said(const struct vae_said *said, const char *reason,
                          struct dr_vae_info *info)
{
    (void)snprintf(info->choice, sizeof info->choice, "%s", said->choice);
    (void)snprintf(info->source, sizeof info->source, "%s",
                   vae_source_name(said->source));
    (void)snprintf(info->reason, sizeof info->reason, "%s", reason);
}

/* What the latent probe said, or why it said nothing; "" for the checkpoint's own. */
static void describe_probe(const struct dr_engine *engine, struct vae_file *file,
                           struct dr_vae_info *info)
{
    struct latent_pair pair;
    struct latent_probe_result result = {LATENT_UNKNOWN, 0.0, 0.0};
    if (!file) return;
    if (!vae_choice_pair(engine->model.pipeline, file, &pair)) {
        (void)snprintf(info->probe, sizeof info->probe, "latent probe: %s",
                       file->forced
                           ? "skipped because of --force"
                           : "undecided, the checkpoint has no VAE of its own");
        return;
    }
    (void)latent_probe_look(&engine->model.probes, &pair, &result);
    latent_probe_describe(&result, info->probe, sizeof info->probe);
}

void engine_describe_vae(const struct dr_engine *engine, const struct vae_said *said,
                         const struct vae_resolution *resolution, struct vae_file *file,
                         struct dr_vae_info *info)
{
    const struct pipeline *const pipeline = engine->model.pipeline;
    const struct slot *const slot = pipeline->vae_slot;
    const struct source *const active = file ? &file->source : slot->base;
    const struct vae_spec *const spec = file ? file->spec : pipeline->vae;
    *info = (struct dr_vae_info){.override_active = file != NULL};
    describe_said(said, resolution->reason, info);
    describe_probe(engine, file, info);
    if (!active) return;
    (void)snprintf(info->path, sizeof info->path, "%s", active->path);
    (void)snprintf(info->name, sizeof info->name, "%s",
                   file ? path_name(active->path) : "built-in");
    if (active->digest_known) digest_hex(active->digest, info->digest);
    info->resident = slot->resident == active;
    info->verified = info->resident && active->digest_known;
    info->scale_factor = vae_info(spec).scale_factor;
}

void engine_describe_setting(const struct dr_engine *engine, struct dr_vae_info *info)
{
    const struct pipeline *const pipeline = engine->model.pipeline;
    if (pipeline) {
        engine_describe_vae(engine, &pipeline->said, &pipeline->resolution,
                            pipeline->override, info);
        return;
    }
    struct vae_said said;
    *info = (struct dr_vae_info){0};
    vae_choice_setting(&engine->model, "", &said);
    describe_said(&said, "a setting, checked when a model is loaded", info);
}
