#include "pipeline/pipeline.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
static const char *const slot_names[ROLE_COUNT] = {[ROLE_TEXT] = "text",
                                                   [ROLE_TEXT2] = "text2",
                                                   [ROLE_UNET] = "unet",
                                                   [ROLE_VAE] = "vae"};

static void note_problem(struct pipeline *pipeline, const struct dr_error *err)
{
    const size_t used = strlen(pipeline->problems);
    (void)snprintf(pipeline->problems + used, sizeof pipeline->problems - used, "%s%s",
                   used ? "; " : "", err->message);
}

static void set_base(struct pipeline *pipeline, enum component_role role,
                     const struct component_spec *spec)
{
    pipeline->sources[role] =
        (struct source){.name = slot_names[role], .spec = spec, .path = pipeline->path};
    component_pack_init(&pipeline->sources[role].pack, pipeline->packs);
    pipeline->slots[role].base = &pipeline->sources[role];
}

static_assert(ROLE_TEXT == 0 && ROLE_TEXT2 == 1, "a text encoder's place is its role");

static void open_text(struct pipeline *pipeline, enum component_role role,
                      enum dtype dtype)
{
    struct dr_error problem;
    struct clip_text_spec **const spec = &pipeline->text[role];
    const struct component_index *const part = &pipeline->checkpoint.components[role];
    if (!part->count) return;
    if (clip_text_spec_create(spec, part, pipeline->checkpoint.family, dtype,
                              &problem) == DR_OK)
        set_base(pipeline, role, clip_text_component(*spec));
    else
        note_problem(pipeline, &problem);
}

/* A text encoder or VAE that is broken is as one that is missing: the rest is usable. An
 * unusable UNet is the checkpoint's failure. */
static enum dr_code open_specs(struct pipeline *pipeline, enum dtype dtype,
                               struct dr_error *err)
{
    const struct component_index *const parts = pipeline->checkpoint.components;
    const enum family family = pipeline->checkpoint.family;
    struct dr_error problem;
    if (parts[ROLE_UNET].count) {
        const enum dr_code code =
            unet_spec_create(&pipeline->unet, &parts[ROLE_UNET], family, dtype, err);
        if (code != DR_OK) {
            error_prefix(err, "%.300s", pipeline->path);
            return code;
        }
        set_base(pipeline, ROLE_UNET, unet_component(pipeline->unet));
    }
    for (int32_t i = 0; i < pipeline->text_count; ++i)
        open_text(pipeline, (enum component_role)i, dtype);
    if (parts[ROLE_VAE].count) {
        if (vae_spec_create(&pipeline->vae, &parts[ROLE_VAE], family, dtype,
                            &problem) == DR_OK)
            set_base(pipeline, ROLE_VAE, vae_component(pipeline->vae));
        else
            note_problem(pipeline, &problem);
    }
    return DR_OK;
}

static enum dr_code check_family(const struct pipeline *pipeline, struct dr_error *err)
{
    const enum family family = pipeline->checkpoint.family;
    const char *const what = family_unsupported(&pipeline->checkpoint);
    if (what)
        return error_set(err, DR_UNSUPPORTED,
                         "%.600s is %s; not supported yet: this version runs SD1.x and "
                         "SDXL",
                         pipeline->path, what);
    if (family == FAMILY_SD15 || family == FAMILY_SDXL) return DR_OK;
    if (family == FAMILY_VAE)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s is a VAE, not a checkpoint; choose it with --vae",
                         pipeline->path);
    return error_set(err, DR_UNSUPPORTED,
                     "%.600s is of the family %s, which is not "
                     "supported",
                     pipeline->path, family_name(family));
}

/* Tensors of a network that its walk did not ask for. */
static enum dr_code check_unused(struct pipeline *pipeline, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int role = 0; role < ROLE_COUNT && code == DR_OK; ++role) {
        const struct source *const base = pipeline->slots[role].base;
        if (base) code = component_note_unused(base->spec, &pipeline->checkpoint, err);
    }
    return code;
}

static enum dr_code check_meaning(struct pipeline *pipeline, bool force,
                                  struct dr_error *err)
{
    unsigned roles =
        1U << ROLE_COUNT; /* how the whole is run, and what is usable of it */
    for (int role = 0; role < ROLE_COUNT; ++role)
        if (pipeline->slots[role].base) roles |= 1U << role;
    const enum dr_code code = check_unused(pipeline, err);
    return code == DR_OK
               ? meaning_check(&pipeline->checkpoint, roles, force, pipeline->warnings,
                               sizeof pipeline->warnings, err)
               : code;
}

enum dr_code pipeline_open(struct pipeline **out, const char *path,
                           const struct pipeline_options *options, struct dr_error *err)
{
    if (strlen(path) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "the model's path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) return error_set(err, DR_NOMEM, "no memory to open %.400s", path);
    pipeline->packs = options->packs;
    (void)snprintf(pipeline->path, sizeof pipeline->path, "%s", path);
    path_stem(path, pipeline->name, sizeof pipeline->name);
    for (int role = 0; role < ROLE_COUNT; ++role)
        pipeline->slots[role].name = slot_names[role];
    enum dr_code code = checkpoint_open(&pipeline->checkpoint, path, err);
    if (code == DR_OK) code = check_family(pipeline, err);
    pipeline->text_count = pipeline->checkpoint.family == FAMILY_SDXL ? 2 : 1;
    if (code == DR_OK) code = open_specs(pipeline, options->dtype, err);
    if (code == DR_OK) code = check_meaning(pipeline, options->force, err);
    if (code == DR_OK && !pipeline->slots[ROLE_UNET].base &&
        !pipeline->slots[ROLE_VAE].base && !pipeline->slots[ROLE_TEXT].base &&
        !pipeline->slots[ROLE_TEXT2].base)
        code = error_set(err, DR_INCOMPLETE, "%.300s has no usable component: %.500s",
                         path, pipeline->problems);
    if (code != DR_OK) pipeline_close(&pipeline);
    *out = pipeline;
    return code;
}

void pipeline_close(struct pipeline **pipeline)
{
    if (!pipeline || !*pipeline) return;
    struct pipeline *const p = *pipeline;
    (void)pipeline_release(p);
    vae_file_close(&p->override);
    for (int role = 0; role < ROLE_COUNT; ++role)
        source_finish(&p->sources[role]);
    for (int i = 0; i < PIPELINE_TEXTS; ++i)
        clip_text_spec_destroy(&p->text[i]);
    unet_spec_destroy(&p->unet);
    vae_spec_destroy(&p->vae);
    checkpoint_close(&p->checkpoint);
    free(p);
    *pipeline = NULL;
}

/* One source of pipeline_settle. Whoever holds a draft does not wait for another's. */
static enum dr_code settle_one(struct slot *slot, struct source *source,
                               const struct pipeline_settle *settle,
                               enum component_pack_manner *manner, struct dr_error *err)
{
    if (!source) return DR_OK;
    if (slot && slot->resident == source) {
        /* What is mapped stays mapped, even where its pack was pruned. */
        if (component_pack_is_sound(&source->pack, &slot->weights)) return DR_OK;
        slot_release(slot);
    }
    const enum dr_code code =
        source_settle(source, settle->ledger, *manner, settle->progress, err);
    if (source->pack.state == COMPONENT_PACK_DRAFTED) *manner = COMPONENT_PACK_NO_WAIT;
    return code;
}

enum dr_code pipeline_settle(struct pipeline *pipeline,
                             const struct pipeline_settle *settle, struct dr_error *err)
{
    enum component_pack_manner manner = settle->manner;
    enum dr_code code = DR_OK;
    for (int role = 0; role < ROLE_COUNT && code == DR_OK; ++role) {
        struct slot *const slot = &pipeline->slots[role];
        if (!(settle->roles & 1U << role)) continue;
        code = settle_one(slot, slot->base, settle, &manner, err);
        if (code == DR_OK && slot->override != settle->other)
            code = settle_one(slot, slot->override, settle, &manner, err);
    }
    return code == DR_OK ? settle_one(&pipeline->slots[ROLE_VAE], settle->other, settle,
                                      &manner, err)
                         : code;
}

void pipeline_unsettle(struct pipeline *pipeline)
{
    if (!pipeline) return;
    for (int role = 0; role < ROLE_COUNT; ++role) {
        source_unsettle(pipeline->slots[role].base);
        source_unsettle(pipeline->slots[role].override);
    }
}

bool pipeline_has_text(const struct pipeline *pipeline)
{
    for (int32_t i = 0; i < pipeline->text_count; ++i)
        if (!pipeline->text[i]) return false;
    return true;
}

void pipeline_lacks(const struct pipeline *pipeline, char *text, size_t text_bytes)
{
    const bool has_text = pipeline->slots[ROLE_TEXT].base != NULL;
    const bool has_text2 =
        pipeline->text_count < 2 || pipeline->slots[ROLE_TEXT2].base != NULL;
    const bool has_unet = pipeline->slots[ROLE_UNET].base != NULL;
    const bool has_vae = pipeline->slots[ROLE_VAE].base != NULL;
    (void)snprintf(text, text_bytes, "%s%s%s%s%s%s",
                   has_text ? "" : "no text encoder: prompts cannot be encoded. ",
                   has_text2 ? ""
                             : "no second text encoder: prompts cannot be encoded. ",
                   has_unet ? "" : "no UNet: it can encode and decode, not generate. ",
                   has_vae ? "" : "no VAE of its own: choose one with --vae. ",
                   pipeline->problems[0] ? "Unusable: " : "", pipeline->problems);
}

struct vae_file *pipeline_exchange_vae(struct pipeline *pipeline,
                                       struct vae_file *file_take)
{
    struct vae_file *const before = pipeline->override;
    pipeline->override = file_take;
    pipeline->slots[ROLE_VAE].override = file_take ? &file_take->source : NULL;
    return before;
}

struct pipeline_bytes pipeline_measure(const struct pipeline *pipeline)
{
    struct pipeline_bytes bytes = {0};
    for (int role = 0; role < ROLE_COUNT; ++role) {
        const struct slot *const slot = &pipeline->slots[role];
        const struct source *const active = slot_active(slot);
        bytes.resident += region_private_bytes(&slot->weights);
        if (!active || slot->resident == active) continue;
        bytes.missing += source_weights_bytes(active);
        const size_t scratch = source_scratch_bytes(active);
        if (scratch > bytes.scratch) bytes.scratch = scratch;
    }
    if (pipeline->override) {
        const size_t save = source_save_bytes(pipeline->slots[ROLE_VAE].base);
        if (save > bytes.scratch) bytes.scratch = save;
    }
    return bytes;
}

size_t pipeline_release_weights(struct pipeline *pipeline)
{
    size_t bytes = 0;
    for (int role = 0; role < ROLE_COUNT; ++role)
        bytes += slot_release(&pipeline->slots[role]);
    return bytes;
}

size_t pipeline_release(struct pipeline *pipeline)
{
    const size_t bytes = pipeline->prompts.rows.bytes;
    prompt_cache_close(&pipeline->prompts);
    return bytes + pipeline_release_weights(pipeline);
}

unsigned pipeline_resident_roles(const struct pipeline *pipeline)
{
    unsigned roles = 0;
    for (int role = 0; role < ROLE_COUNT; ++role)
        if (pipeline->slots[role].resident) roles |= 1U << role;
    return roles;
}

enum dr_code pipeline_load_again(struct pipeline *pipeline, unsigned roles,
                                 struct ledger *ledger, struct dr_error *err)
{
    const struct slot_load_options options = {.ledger = ledger, .order = SLOT_SWAP};
    enum dr_code worst = DR_OK;
    for (int role = 0; role < ROLE_COUNT; ++role) {
        struct slot *const slot = &pipeline->slots[role];
        if (!(roles & 1U << role) || !slot_active(slot)) continue;
        const enum dr_code code = slot_load(slot, &options, worst ? NULL : err);
        if (worst == DR_OK) worst = code;
    }
    return worst;
}
