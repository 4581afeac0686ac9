#include "pipeline/pipeline.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "weights/pack_room.h"
/* The components of a file that are text encoders, in their order. */
static const enum component_role text_roles[PIPELINE_TEXTS] = {ROLE_TEXT, ROLE_TEXT2};

/* ---- the list of slots ------------------------------------------------------------------- */

struct slot *pipeline_slot(const struct pipeline *pipeline, enum dr_component_kind kind,
                           int32_t kind_idx)
{
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        if (slot->kind == kind && slot->kind_idx == kind_idx) return slot;
    }
    return NULL;
}

unsigned pipeline_slot_bit(const struct pipeline *pipeline, const struct slot *slot)
{
    return 1U << (slot - pipeline->slots);
}

struct slot *pipeline_add_slot(struct pipeline *pipeline, enum dr_component_kind kind,
                               const char *name)
{
    int32_t kind_idx = 0;
    assert(pipeline->slot_count < PIPELINE_SLOTS);
    while (pipeline_slot(pipeline, kind, kind_idx))
        ++kind_idx;
    struct slot *const slot = &pipeline->slots[pipeline->slot_count++];
    *slot = (struct slot){.kind = kind, .kind_idx = kind_idx, .name = name};
    return slot;
}

/* One slot for each component of the checkpoint's family, also for components that the checkpoint lacks. */
static enum dr_code add_slots(struct pipeline *pipeline, struct dr_error *err)
{
    pipeline->slots = calloc(PIPELINE_SLOTS, sizeof *pipeline->slots);
    if (!pipeline->slots)
        return error_set(err, DR_NOMEM, "no memory to open %.400s", pipeline->path);
    pipeline->text_count = pipeline->checkpoint.family == FAMILY_SDXL ? 2 : 1;
    for (int32_t i = 0; i < pipeline->text_count; ++i)
        (void)pipeline_add_slot(pipeline, DR_COMPONENT_TEXT,
                                component_role_name(text_roles[i]));
    (void)pipeline_add_slot(pipeline, DR_COMPONENT_UNET,
                            component_role_name(ROLE_UNET));
    pipeline->vae_slot =
        pipeline_add_slot(pipeline, DR_COMPONENT_VAE, component_role_name(ROLE_VAE));
    return DR_OK;
}

/* ---- opening ----------------------------------------------------------------------------- */

static void note_problem(struct pipeline *pipeline, const struct dr_error *err)
{
    const size_t used = strlen(pipeline->problems);
    (void)snprintf(pipeline->problems + used, sizeof pipeline->problems - used, "%s%s",
                   used ? "; " : "", err->message);
}

static void set_base(struct pipeline *pipeline, struct slot *slot,
                     const struct component_spec *spec)
{
    struct source *const base = &pipeline->sources[slot - pipeline->slots];
    const bool is_of_base = spec->index->file == &pipeline->base.file;
    *base = (struct source){.name = slot->name,
                            .spec = spec,
                            .path = is_of_base ? pipeline->base_path : pipeline->path};
    component_pack_init(&base->pack, pipeline->packs);
    slot->base = base;
}

static void open_text(struct pipeline *pipeline, struct slot *slot,
                      const struct pipeline_options *options)
{
    struct dr_error problem;
    struct clip_text_spec **const spec = &pipeline->text[slot->kind_idx];
    const struct component_index *const part =
        pipeline_part(pipeline, text_roles[slot->kind_idx]);
    if (!part->count) return;
    enum dr_code code = clip_text_spec_create(spec, part, pipeline->checkpoint.family,
                                              options->dtype, &problem);
    if (code == DR_OK) code = clip_text_spec_store(*spec, options->storage, &problem);
    if (code == DR_OK)
        set_base(pipeline, slot, clip_text_component(*spec));
    else
        note_problem(pipeline, &problem);
}

static enum dr_code open_unet(struct pipeline *pipeline, struct slot *slot,
                              const struct pipeline_options *options,
                              struct dr_error *err)
{
    const struct component_index *const part = pipeline_part(pipeline, ROLE_UNET);
    if (!part->count) return DR_OK;
    enum dr_code code =
        unet_spec_create(&pipeline->unet, part, pipeline->checkpoint.family,
                         options->dtype, err);
    if (code == DR_OK) code = unet_spec_store(pipeline->unet, options->storage, err);
    if (code != DR_OK) {
        error_prefix(err, "%.300s", pipeline->path);
        return code;
    }
    set_base(pipeline, slot, unet_component(pipeline->unet));
    slot->base->unet = pipeline->unet;
    return DR_OK;
}

static void open_vae(struct pipeline *pipeline, struct slot *slot,
                     const struct pipeline_options *options)
{
    struct dr_error problem;
    const struct component_index *const part = pipeline_part(pipeline, ROLE_VAE);
    if (!part->count) return;
    enum dr_code code =
        vae_spec_create(&pipeline->vae, part, pipeline->checkpoint.family,
                        options->dtype, &problem);
    if (code == DR_OK) code = vae_spec_store(pipeline->vae, options->storage, &problem);
    if (code == DR_OK)
        set_base(pipeline, slot, vae_component(pipeline->vae));
    else
        note_problem(pipeline, &problem);
}

/* A broken text encoder or VAE counts as missing, and the rest can be used. If the UNet is broken, the
 * checkpoint is refused. */
static enum dr_code open_specs(struct pipeline *pipeline,
                               const struct pipeline_options *options,
                               struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; i < pipeline->slot_count && code == DR_OK; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        switch (slot->kind) {
        case DR_COMPONENT_TEXT: open_text(pipeline, slot, options); break;
        case DR_COMPONENT_UNET: code = open_unet(pipeline, slot, options, err); break;
        case DR_COMPONENT_VAE: open_vae(pipeline, slot, options); break;
        case DR_COMPONENT_ADAPTER: break; /* of a job: adapter_set.h */
        }
    }
    return code;
}

const struct component_index *pipeline_part(const struct pipeline *pipeline,
                                            enum component_role role)
{
    const struct component_index *const own = &pipeline->checkpoint.components[role];
    const struct component_index *const other = &pipeline->base.components[role];
    return own->count > 0 ? own : other;
}

bool pipeline_is_current(const struct pipeline *pipeline)
{
    const struct checkpoint *const files[] = {&pipeline->checkpoint, &pipeline->base};
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i)
        if (files[i]->file.path && (tensor_file_check(&files[i]->file, NULL) != DR_OK ||
                                    !meaning_is_current(files[i])))
            return false;
    return true;
}

static bool needs_base(const struct checkpoint *checkpoint)
{
    const struct component_index *const parts = checkpoint->components;
    const bool is_sdxl = checkpoint->family == FAMILY_SDXL;
    return parts[ROLE_UNET].count > 0 &&
           (parts[ROLE_TEXT].count == 0 || parts[ROLE_VAE].count == 0 ||
            (is_sdxl && parts[ROLE_TEXT2].count == 0));
}

static enum dr_code open_base(struct pipeline *pipeline, const char *path,
                              struct dr_error *err)
{
    struct checkpoint *const base = &pipeline->base;
    if (!path || !*path) return DR_OK;
    if (strlen(path) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "the base's path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    (void)snprintf(pipeline->base_path, sizeof pipeline->base_path, "%s", path);
    if (!needs_base(&pipeline->checkpoint)) return DR_OK;
    const enum dr_code code = checkpoint_open(base, path, err);
    if (code != DR_OK) {
        error_prefix(err, "the base of %.300s", pipeline->path);
        return code;
    }
    const char *const what = family_unsupported(base);
    if (base->family == pipeline->checkpoint.family && !what) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "%.500s is %s%s, and so cannot be the base of %.500s, which is of "
                     "the family %s; name a complete model of that family",
                     path, what ? "" : "of the family ",
                     what ? what : family_name(base->family), pipeline->path,
                     family_name(pipeline->checkpoint.family));
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

/* The file that a source of the list is in. */
static struct checkpoint *file_of(struct pipeline *pipeline,
                                  const struct source *source)
{
    return source->spec->index->file == &pipeline->base.file ? &pipeline->base
                                                             : &pipeline->checkpoint;
}

/* Tensors of a network's component that the network does not use. */
static enum dr_code check_unused(struct pipeline *pipeline, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; i < pipeline->slot_count && code == DR_OK; ++i) {
        const struct source *const base = pipeline->slots[i].base;
        if (base)
            code = component_note_unused(base->spec, file_of(pipeline, base), err);
    }
    return code;
}

static enum dr_code check_meaning(struct pipeline *pipeline, bool force,
                                  struct dr_error *err)
{
    unsigned roles =
        1U << ROLE_COUNT; /* how the whole is run, and what is usable of it */
    unsigned base_roles = 0;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct source *const base = pipeline->slots[i].base;
        if (!base) continue;
        const unsigned role = 1U << base->spec->index->role;
        if (file_of(pipeline, base) == &pipeline->base)
            base_roles |= role;
        else
            roles |= role;
    }
    enum dr_code code = check_unused(pipeline, err);
    if (code == DR_OK)
        code = meaning_check(&pipeline->checkpoint, roles, force, pipeline->warnings,
                             sizeof pipeline->warnings, err);
    const size_t used = strlen(pipeline->warnings);
    if (code == DR_OK && base_roles && used + 2 < sizeof pipeline->warnings) {
        char *const rest = pipeline->warnings + used + (used ? 2 : 0);
        code = meaning_check(&pipeline->base, base_roles, force, rest,
                             sizeof pipeline->warnings -
                                 (size_t)(rest - pipeline->warnings),
                             err);
        if (used && *rest) memcpy(pipeline->warnings + used, "; ", 2);
    }
    return code;
}

static bool has_base(const struct pipeline *pipeline)
{
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        if (pipeline->slots[i].base) return true;
    return false;
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
    enum dr_code code = checkpoint_open(&pipeline->checkpoint, path, err);
    if (code == DR_OK) code = check_family(pipeline, err);
    if (code == DR_OK) code = open_base(pipeline, options->base, err);
    if (code == DR_OK) code = add_slots(pipeline, err);
    if (code == DR_OK) code = open_specs(pipeline, options, err);
    if (code == DR_OK) code = check_meaning(pipeline, options->force, err);
    if (code == DR_OK && !has_base(pipeline))
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
    for (int32_t i = 0; i < p->slot_count; ++i)
        source_finish(&p->sources[i]);
    free(p->slots);
    for (int i = 0; i < PIPELINE_TEXTS; ++i)
        clip_text_spec_destroy(&p->text[i]);
    unet_spec_destroy(&p->unet);
    vae_spec_destroy(&p->vae);
    checkpoint_close(&p->checkpoint);
    checkpoint_close(&p->base);
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

static enum dr_code settle_all(struct pipeline *pipeline,
                               const struct pipeline_settle *settle,
                               enum component_pack_manner manner, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; i < pipeline->slot_count && code == DR_OK; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        if (!(settle->slots & 1U << i)) continue;
        code = settle_one(slot, slot->base, settle, &manner, err);
        if (code == DR_OK && slot->override != settle->other)
            code = settle_one(slot, slot->override, settle, &manner, err);
    }
    if (code != DR_OK || !settle->other) return code;
    return settle_one(pipeline->vae_slot, settle->other, settle, &manner, err);
}

static uint64_t draft_bytes(const struct source *source)
{
    return source ? component_pack_draft_bytes(&source->pack) : 0;
}

/* The files that are about to be made. */
static uint64_t all_draft_bytes(const struct pipeline *pipeline,
                                const struct pipeline_settle *settle)
{
    uint64_t bytes = draft_bytes(settle->other);
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        bytes += draft_bytes(slot->base);
        if (slot->override != settle->other) bytes += draft_bytes(slot->override);
    }
    return bytes;
}

/* Packs that a look found, and would make so far. */
struct outlook {
    const struct pack_store *packs;
    uint64_t held_bytes, new_bytes;
};

static void look_at_room(struct outlook *outlook, struct source *source)
{
    size_t data_offset, file_bytes;
    if (!source || !pack_extent(source->spec->weights_bytes, &data_offset, &file_bytes))
        return;
    switch (source->pack.state) {
    case COMPONENT_PACK_READY:
    case COMPONENT_PACK_FOUND: outlook->held_bytes += file_bytes; return;
    case COMPONENT_PACK_WANTED: break;
    case COMPONENT_PACK_UNSETTLED:
    case COMPONENT_PACK_DRAFTED:
    case COMPONENT_PACK_PRIVATE: return;
    }
    outlook->new_bytes += file_bytes;
    if (pack_room_would_take(outlook->packs, outlook->held_bytes, outlook->new_bytes))
        return;
    outlook->new_bytes -= file_bytes;
    component_pack_give_up(&source->pack);
}

/* A forecast counts as private what there would be no room for; in the order in which packs are made. Those that are
 * there are held first. */
static void look_at_rooms(struct pipeline *pipeline,
                          const struct pipeline_settle *settle)
{
    struct outlook outlook = {.packs = pipeline->packs};
    struct source *sources[2 * PIPELINE_SLOTS + 1];
    size_t count = 0;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        if (!(settle->slots & 1U << i)) continue;
        sources[count++] = slot->base;
        if (slot->override != settle->other) sources[count++] = slot->override;
    }
    sources[count++] = settle->other;
    for (int turn = 0; turn < 2; ++turn)
        for (size_t i = 0; i < count; ++i) {
            const bool is_wanted =
                sources[i] && sources[i]->pack.state == COMPONENT_PACK_WANTED;
            if (is_wanted == (turn == 1)) look_at_room(&outlook, sources[i]);
        }
}

/* The packs that are there first: while they are held, no other that is made takes their place. */
enum dr_code pipeline_settle(struct pipeline *pipeline,
                             const struct pipeline_settle *settle, struct dr_error *err)
{
    if (settle->manner == COMPONENT_PACK_LOOK) {
        const enum dr_code looked = settle_all(pipeline, settle, settle->manner, err);
        if (looked == DR_OK) look_at_rooms(pipeline, settle);
        return looked;
    }
    const uint64_t before_bytes = all_draft_bytes(pipeline, settle);
    enum dr_code code = settle_all(pipeline, settle, COMPONENT_PACK_HOLD, err);
    if (code == DR_OK) code = settle_all(pipeline, settle, settle->manner, err);
    const uint64_t bytes = all_draft_bytes(pipeline, settle);
    if (code == DR_OK && bytes > before_bytes)
        pack_room_announce(pipeline->packs, pipeline->name, bytes - before_bytes);
    return code;
}

void pipeline_unsettle(struct pipeline *pipeline)
{
    if (!pipeline) return;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        source_unsettle(pipeline->slots[i].base);
        source_unsettle(pipeline->slots[i].override);
    }
}

bool pipeline_has_text(const struct pipeline *pipeline)
{
    for (int32_t i = 0; i < pipeline->text_count; ++i)
        if (!pipeline->text[i]) return false;
    return true;
}

/* The slot exists, but the checkpoint has no such component. */
static bool lacks(const struct pipeline *pipeline, enum dr_component_kind kind,
                  int32_t kind_idx)
{
    const struct slot *const slot = pipeline_slot(pipeline, kind, kind_idx);
    return slot && !slot->base;
}

void pipeline_lacks(const struct pipeline *pipeline, char *text, size_t text_bytes)
{
    const bool lacks_text = lacks(pipeline, DR_COMPONENT_TEXT, 0);
    const bool lacks_text2 = lacks(pipeline, DR_COMPONENT_TEXT, 1);
    const bool lacks_unet = lacks(pipeline, DR_COMPONENT_UNET, 0);
    const bool lacks_vae = lacks(pipeline, DR_COMPONENT_VAE, 0);
    (void)snprintf(
        text, text_bytes, "%s%s%s%s%s%s%s",
        lacks_text ? "no text encoder: prompts cannot be encoded. " : "",
        lacks_text2 ? "no second text encoder: prompts cannot be encoded. " : "",
        lacks_unet ? "no UNet: it can encode and decode, not generate. " : "",
        lacks_vae ? "no VAE of its own: choose one with --vae. " : "",
        (lacks_text || lacks_text2) && !lacks_unet
            ? "A complete model given with --base can stand in. "
            : "",
        pipeline->problems[0] ? "Unusable: " : "", pipeline->problems);
}

struct vae_file *pipeline_exchange_vae(struct pipeline *pipeline,
                                       struct vae_file *file_take)
{
    struct vae_file *const before = pipeline->override;
    pipeline->override = file_take;
    pipeline->vae_slot->override = file_take ? &file_take->source : NULL;
    return before;
}

struct pipeline_bytes pipeline_measure(const struct pipeline *pipeline)
{
    struct pipeline_bytes bytes = {0};
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        const struct source *const active = slot_active(slot);
        const size_t save = slot->override ? source_save_bytes(slot->base) : 0;
        bytes.resident += region_private_bytes(&slot->weights);
        if (save > bytes.scratch) bytes.scratch = save;
        if (!active || slot->resident == active) continue;
        bytes.missing += source_weights_bytes(active);
        const size_t scratch = source_scratch_bytes(active);
        if (scratch > bytes.scratch) bytes.scratch = scratch;
    }
    return bytes;
}

size_t pipeline_release_weights(struct pipeline *pipeline)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        bytes += slot_release(&pipeline->slots[i]);
    return bytes;
}

size_t pipeline_release(struct pipeline *pipeline)
{
    const size_t bytes = pipeline->prompts.rows.bytes;
    prompt_cache_close(&pipeline->prompts);
    return bytes + pipeline_release_weights(pipeline);
}

unsigned pipeline_resident_slots(const struct pipeline *pipeline)
{
    unsigned slots = 0;
    for (int32_t i = 0; i < pipeline->slot_count; ++i)
        if (pipeline->slots[i].resident) slots |= 1U << i;
    return slots;
}

enum dr_code pipeline_load_again(struct pipeline *pipeline, unsigned slots,
                                 struct ledger *ledger, struct dr_error *err)
{
    const struct slot_load_options options = {.ledger = ledger, .order = SLOT_SWAP};
    enum dr_code worst = DR_OK;
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        struct slot *const slot = &pipeline->slots[i];
        if (!(slots & 1U << i) || !slot_active(slot)) continue;
        const enum dr_code code = slot_load(slot, &options, worst ? NULL : err);
        if (worst == DR_OK) worst = code;
    }
    return worst;
}
