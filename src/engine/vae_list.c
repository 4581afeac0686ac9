/* Which VAEs are there for the loaded model, and which choice means which: dr_engine_list_vaes.
 *
 * Rows are made first (the checkpoint's own, files beside it, those of the VAE folder, and the
 * active one where it is none of these), each opened as a choice would open it. What a choice
 * means is asked of vae_resolution, and whether its file can be used is looked up in the rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/path.h"
#include "engine/engine.h"
#include "switch/latent_probe.h"
#include "switch/vae_choice.h"
#include "switch/vae_resolution.h"

enum {
    MOST_FILES = 1000
};

struct vae_listing {
    struct dr_engine *engine;
    struct dr_vae_list *list;
    struct folder_listing folder; /* read once: each choice is asked of it */
    const char *found;            /* where the walk is */
    const struct cancel *cancel;
    bool has_memory;
};

/* ---- rows -------------------------------------------------------------------------------- */

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the list of VAEs");
}

static bool is_listed(const struct dr_vae_list *list, const char *path)
{
    for (size_t i = 1; i < list->vae_count; ++i)
        if (path_is_same(list->vaes[i].path, path)) return true;
    return false;
}

/* name: what might be said for it; "" where only the path will do. */
static void add_named(void *cookie, const char *path, const char *name)
{
    struct vae_listing *const listing = cookie;
    struct dr_vae_list *const list = listing->list;
    if (!listing->has_memory || is_listed(list, path)) return;
    if (list->vae_count > MOST_FILES) {
        ++list->left_out_count;
        return;
    }
    struct dr_listed_vae *const grown =
        realloc(list->vaes, (list->vae_count + 1) * sizeof *grown);
    char *const path_copy = strdup(path), *const name_copy = strdup(name);
    if (grown) list->vaes = grown;
    listing->has_memory = grown && path_copy && name_copy;
    if (!listing->has_memory) {
        free(path_copy);
        free(name_copy);
        return;
    }
    struct dr_listed_vae *const vae = &grown[list->vae_count++];
    *vae =
        (struct dr_listed_vae){.choice = name_copy, .path = path_copy, .same_as = -1};
    (void)snprintf(vae->found, sizeof vae->found, "%s", listing->found);
}

static void add_vae(void *cookie, const char *path)
{
    add_named(cookie, path, "");
}

static enum dr_code find_vaes(struct vae_listing *listing, struct dr_error *err)
{
    const struct dr_engine *const engine = listing->engine;
    const struct pipeline *const pipeline = engine->model.pipeline;
    const struct folder_listing *const folder = &listing->folder;
    const struct vae_resolution_request request = {.checkpoint = pipeline->path};
    enum dr_code code = vae_folder_read(&listing->folder, engine->model.vae.folder,
                                        listing->cancel, err);
    if (code != DR_OK) return code;
    listing->found = "checkpoint";
    add_named(listing, pipeline->path, "none");
    listing->found = "beside the checkpoint";
    code = vae_neighbours(&request, add_vae, listing, err);
    listing->found = "VAE folder";
    for (size_t i = 0; i < folder->count; ++i) {
        const struct folder_entry *const entry = &folder->entries[i];
        char stem[DR_PATH_BYTES];
        path_stem(entry->name, stem, sizeof stem);
        add_named(listing, entry->path, entry->is_folder ? entry->name : stem);
    }
    listing->found = "path";
    if (pipeline->override) add_vae(listing, pipeline->override->path);
    if (*vae_folder_left_out(folder, listing->list->left_out))
        resources_log(&engine->resources, DR_LOG_WARNING, "%s: %s",
                      engine->model.vae.folder, listing->list->left_out);
    return code;
}

/* ---- what a row's file is ---------------------------------------------------------------- */

/* SD1.x and SDXL VAEs have the same names, so a file of its own must say it: by the scale factor
 * (which a diffusers folder's config.json has too), or by what its trainer wrote. */
static const char *family_of(const struct checkpoint *checkpoint)
{
    const char *const written =
        tensor_file_metadata(&checkpoint->file, "modelspec.architecture");
    float scale;
    if (checkpoint->family != FAMILY_VAE) return family_name(checkpoint->family);
    if (checkpoint_metadata_float(&checkpoint->file, "darkroom.vae.scale_factor",
                                  &scale)) {
        if (fabsf(scale - 0.18215F) < 1e-4F) return family_name(FAMILY_SD15);
        if (fabsf(scale - 0.13025F) < 1e-4F) return family_name(FAMILY_SDXL);
    }
    if (written && strncmp(written, "stable-diffusion-v1", 19) == 0)
        return family_name(FAMILY_SD15);
    if (written && strncmp(written, "stable-diffusion-xl", 19) == 0)
        return family_name(FAMILY_SDXL);
    return "sd15 or sdxl";
}

static void describe_file(const struct checkpoint *checkpoint,
                          struct dr_listed_vae *vae)
{
    (void)snprintf(vae->format, sizeof vae->format, "%s", checkpoint->file.format);
    (void)snprintf(vae->family, sizeof vae->family, "%s", family_of(checkpoint));
    if (checkpoint->components[ROLE_VAE].count == 0) return;
    struct dr_component_info info;
    engine_describe_component(&checkpoint->components[ROLE_VAE], &info);
    vae->stored_bytes = info.stored_bytes;
    memcpy(vae->stored_types, info.stored_types, sizeof vae->stored_types);
}

/* How it fits, in words. */
static void judge(struct dr_listed_vae *vae, enum dr_code code,
                  const struct dr_error *why)
{
    vae->code = code;
    if (code == DR_OK)
        (void)snprintf(vae->fit, sizeof vae->fit, "whole");
    else
        (void)snprintf(vae->fit, sizeof vae->fit, "%s: %.480s",
                       code == DR_INCOMPLETE    ? "incomplete"
                       : code == DR_UNSUPPORTED ? "unsupported"
                       : code == DR_FOREIGN     ? "foreign"
                                                : "unreadable",
                       why->message);
}

/* The digest of a VAE that can be used, where it is known or asked for. What has no room or is
 * cancelled ends the listing; a file that cannot be read is that row's matter. */
static enum dr_code take_digest(struct dr_engine *engine, struct source *source,
                                unsigned flags, struct dr_listed_vae *vae,
                                struct dr_error *err)
{
    struct dr_error why = {0};
    enum dr_code code = DR_OK;
    const struct component_progress stop = {.cancel = engine->resources.cancel};
    if (flags & DR_LIST_DIGESTS)
        code = source_save(source, &engine->resources.ledger, &stop, &why);
    if (code == DR_OVER_BUDGET || code == DR_NOMEM || code == DR_CANCELLED) {
        if (err) *err = why;
        return code;
    }
    if (code != DR_OK) judge(vae, code, &why);
    if (source->digest_known) digest_hex(source->digest, vae->digest);
    return DR_OK;
}

/* What the latent probe found when the VAE was chosen before; a list runs none. */
static void judge_latents(const struct dr_engine *engine, struct vae_file *file,
                          struct dr_listed_vae *vae)
{
    struct latent_pair pair;
    struct latent_probe_result result;
    struct dr_error why = {0};
    char words[DR_TEXT_BYTES];
    if (!vae_choice_pair(engine->model.pipeline, file, &pair) ||
        !latent_probe_look(&engine->model.probes, &pair, &result))
        return;
    judge(vae, latent_probe_refuse(&pair, &result, &why), &why);
    vae->tried = 1;
    if (vae->code != DR_OK) return;
    latent_probe_describe(&result, words, sizeof words);
    (void)snprintf(vae->fit, sizeof vae->fit, "whole; %.480s", words);
}

static enum dr_code look_at_base(struct dr_engine *engine, unsigned flags,
                                 struct dr_listed_vae *vae, struct dr_error *err)
{
    struct pipeline *const pipeline = engine->model.pipeline;
    const struct checkpoint *const checkpoint = &pipeline->checkpoint;
    struct source *const base = pipeline->vae_slot->base;
    struct dr_error why = {0};
    describe_file(checkpoint, vae);
    vae->tried = 1;
    if (base) {
        judge(vae, DR_OK, &why);
        return take_digest(engine, base, flags, vae, err);
    }
    struct vae_spec *spec = NULL;
    enum dr_code code = DR_NOT_FOUND;
    if (checkpoint->components[ROLE_VAE].count)
        code = vae_spec_create(&spec, &checkpoint->components[ROLE_VAE],
                               checkpoint->family, engine->resources.dtype, &why);
    vae_spec_destroy(&spec);
    judge(vae, code, &why);
    if (code == DR_NOT_FOUND)
        (void)snprintf(vae->fit, sizeof vae->fit,
                       "absent: the checkpoint has no VAE of its own");
    return DR_OK;
}

static enum dr_code look_at_file(struct dr_engine *engine, unsigned flags,
                                 struct dr_listed_vae *vae, struct dr_error *err)
{
    struct pipeline *const pipeline = engine->model.pipeline;
    struct vae_file *file = NULL;
    struct checkpoint checkpoint;
    struct dr_error why = {0};
    enum dr_code code =
        vae_file_open(&file, vae->path,
                      &(struct vae_file_options){.family = pipeline->checkpoint.family,
                                                 .dtype = engine->resources.dtype,
                                                 .storage = engine->resources.storage,
                                                 .packs = &engine->resources.packs},
                      &why);
    judge(vae, code, &why);
    if (code != DR_OK) {
        /* What can be told of it all the same. */
        if (checkpoint_open(&checkpoint, vae->path, NULL) != DR_OK) return DR_OK;
        describe_file(&checkpoint, vae);
        checkpoint_close(&checkpoint);
        return DR_OK;
    }
    describe_file(&file->checkpoint, vae);
    struct vae_file *const known =
        vae_file_is(pipeline->override, vae->path) ? pipeline->override : file;
    code = take_digest(engine, &known->source, flags, vae, err);
    if (code == DR_OK && vae->code == DR_OK) judge_latents(engine, known, vae);
    vae_file_close(&file);
    return code;
}

static enum dr_code cancelled(const struct dr_vae_list *list, size_t done,
                              struct dr_error *err)
{
    return error_set(err, DR_CANCELLED, "cancelled after %zu of %zu VAEs", done,
                     list->vae_count);
}

/* The row of what runs: by its path, or by its file where only another name is listed. */
static void mark_active(const struct dr_engine *engine, struct dr_vae_list *list)
{
    const struct vae_file *const override = engine->model.pipeline->override;
    size_t active = 0;
    for (size_t i = list->vae_count; override && i-- > 1;)
        if (path_is_same(list->vaes[i].path, override->path)) active = i;
    for (size_t i = list->vae_count; override && !active && i-- > 1;)
        if (path_is_same_file(list->vaes[i].path, override->path)) active = i;
    list->vaes[active].active = override ? active > 0 : 1;
}

static bool is_twin(const struct dr_listed_vae *vae, const struct dr_listed_vae *other)
{
    return vae->digest[0] && other->digest[0]
               ? strcmp(vae->digest, other->digest) == 0
               : path_is_same_file(vae->path, other->path);
}

static enum dr_code find_twins(const struct vae_listing *listing, struct dr_error *err)
{
    struct dr_vae_list *const list = listing->list;
    for (size_t i = 1; i < list->vae_count; ++i) {
        struct dr_listed_vae *const vae = &list->vaes[i];
        if (cancel_requested(listing->cancel)) return cancelled(list, i, err);
        for (size_t k = 0; k < i && vae->same_as < 0; ++k)
            if (is_twin(vae, &list->vaes[k])) vae->same_as = (int32_t)k;
    }
    return DR_OK;
}

/* Of a VAE that is whole, whether it belongs to the model's latent space is known only after the probe. */
static void say_untried(const struct dr_engine *engine, struct dr_vae_list *list)
{
    const struct pipeline *const pipeline = engine->model.pipeline;
    const char *const family = family_name(pipeline->checkpoint.family);
    for (size_t i = 1; i < list->vae_count; ++i) {
        struct dr_listed_vae *const vae = &list->vaes[i];
        const bool is_own = vae->same_as == 0 && list->vaes[0].code == DR_OK;
        if (vae->code == DR_OK && is_own) vae->tried = 1;
        if (vae->code != DR_OK || vae->tried) continue;
        if (!pipeline->vae_slot->base)
            (void)snprintf(vae->fit, sizeof vae->fit,
                           "whole; cannot be tried: the checkpoint has no VAE of its "
                           "own to compare it with");
        else if (strstr(vae->family, family))
            (void)snprintf(vae->fit, sizeof vae->fit,
                           "whole; not tried yet: choosing it runs the latent probe");
        else
            (void)snprintf(vae->fit, sizeof vae->fit,
                           "whole; not tried yet, but it is of %s and the model of %s",
                           vae->family, family);
    }
}

struct listing_progress {
    void (*report)(void *cookie, const struct dr_progress *progress);
    void *cookie;
};

static enum dr_code look_at_all(struct vae_listing *listing, unsigned flags,
                                const struct listing_progress *progress,
                                struct dr_error *err)
{
    struct dr_engine *const engine = listing->engine;
    struct dr_vae_list *const list = listing->list;
    const bool is_told = progress->report && (flags & DR_LIST_DIGESTS);
    for (size_t i = 0; i < list->vae_count; ++i) {
        struct dr_listed_vae *const vae = &list->vaes[i];
        if (cancel_requested(listing->cancel)) return cancelled(list, i, err);
        if (is_told)
            progress->report(progress->cookie,
                             &(struct dr_progress){.stage = DR_STAGE_LOAD,
                                                   .image_count = 1,
                                                   .share = (double)i /
                                                            (double)list->vae_count});
        const enum dr_code code = i == 0 ? look_at_base(engine, flags, vae, err)
                                         : look_at_file(engine, flags, vae, err);
        if (code != DR_OK) return code;
    }
    mark_active(engine, list);
    const enum dr_code code = find_twins(listing, err);
    if (code == DR_OK) say_untried(engine, list);
    return code;
}

/* ---- choices ----------------------------------------------------------------------------- */

static enum dr_code resolve(const struct vae_listing *listing, const char *said,
                            struct vae_resolution *resolution, struct dr_error *err)
{
    const struct dr_engine *const engine = listing->engine;
    const struct vae_resolution_request request = {.choice = said,
                                                   .checkpoint =
                                                       engine->model.pipeline->path,
                                                   .vae_folder =
                                                       engine->model.vae.folder,
                                                   .folder = &listing->folder};
    return vae_resolve(resolution, &request, err);
}

static bool means(const struct vae_listing *listing, const char *said, const char *path)
{
    struct vae_resolution resolution;
    return resolve(listing, said, &resolution, NULL) == DR_OK &&
           strcmp(resolution.path, path) == 0;
}

static const struct dr_listed_vae *row_of(const struct dr_vae_list *list,
                                          const struct vae_resolution *resolution)
{
    if (resolution->is_base) return &list->vaes[0];
    for (size_t i = 1; i < list->vae_count; ++i)
        if (path_is_same(list->vaes[i].path, resolution->path)) return &list->vaes[i];
    return NULL;
}

static struct dr_listed_choice *new_choice(struct dr_vae_list *list, const char *said)
{
    struct dr_listed_choice *const grown =
        realloc(list->choices, (list->choice_count + 1) * sizeof *grown);
    if (!grown) return NULL;
    list->choices = grown;
    struct dr_listed_choice *const choice = &grown[list->choice_count];
    *choice = (struct dr_listed_choice){.choice = strdup(said)};
    if (!choice->choice) return NULL;
    ++list->choice_count;
    return choice;
}

/* What a request for `said` would come to. */
static bool add_choice(const struct vae_listing *listing, const char *said)
{
    struct dr_vae_list *const list = listing->list;
    struct vae_resolution resolution;
    struct dr_error why = {0};
    struct dr_listed_choice *const choice = new_choice(list, said);
    if (!choice) return false;
    choice->code = resolve(listing, said, &resolution, &why);
    const char *path = "";
    if (choice->code != DR_OK) {
        (void)snprintf(choice->reason, sizeof choice->reason, "%s", why.message);
    } else {
        const struct dr_listed_vae *const vae = row_of(list, &resolution);
        const bool is_usable = !vae || vae->code == DR_OK;
        const bool falls_back =
            !is_usable && !resolution.is_explicit && !resolution.is_base;
        if (!is_usable && !falls_back) choice->code = vae->code;
        if (is_usable)
            (void)snprintf(choice->reason, sizeof choice->reason, "%.1900s%s",
                           resolution.reason,
                           vae && !vae->tried ? " (not tried yet)" : "");
        else
            (void)snprintf(choice->reason, sizeof choice->reason, "%.1200s; %s%.500s",
                           resolution.reason,
                           falls_back ? "so the checkpoint's own, since it is "
                                      : "it cannot be used: ",
                           vae->fit);
        if (is_usable) path = resolution.path;
    }
    choice->path = strdup(path);
    return choice->path != NULL;
}

static bool add_current(const struct dr_engine *engine, struct dr_vae_list *list)
{
    const struct pipeline *const pipeline = engine->model.pipeline;
    struct dr_listed_choice *const choice = new_choice(list, pipeline->said.choice);
    if (!choice) return false;
    (void)snprintf(choice->source, sizeof choice->source, "%s",
                   vae_source_name(pipeline->said.source));
    (void)snprintf(choice->reason, sizeof choice->reason, "%s",
                   pipeline->resolution.reason);
    choice->path = strdup(pipeline->override ? pipeline->override->path : "");
    return choice->path != NULL;
}

static bool is_chosen_already(const struct dr_vae_list *list, const char *said)
{
    for (size_t i = 1; i < list->choice_count; ++i)
        if (strcmp(list->choices[i].choice, said) == 0) return true;
    return false;
}

static bool add_once(const struct vae_listing *listing, const char *said)
{
    return is_chosen_already(listing->list, said) || add_choice(listing, said);
}

/* What to say for a row: the shortest that means it. Its name is a choice in any case, also
 * where it means two. */
static bool name_vae(const struct vae_listing *listing, struct dr_listed_vae *vae)
{
    const char *choice = vae->path;
    if (*vae->choice) {
        if (!add_once(listing, vae->choice)) return false;
        if (means(listing, vae->choice, vae->path)) return true;
        if (means(listing, path_name(vae->path), vae->path))
            choice = path_name(vae->path);
    }
    char *const copy = strdup(choice);
    if (!copy) return false;
    free(vae->choice);
    vae->choice = copy;
    return choice == vae->path || add_once(listing, copy);
}

static enum dr_code add_choices(const struct vae_listing *listing, struct dr_error *err)
{
    const struct dr_engine *const engine = listing->engine;
    struct dr_vae_list *const list = listing->list;
    if (!add_current(engine, list) || !add_choice(listing, "none") ||
        !add_choice(listing, "automatic"))
        return no_memory(err);
    for (size_t i = 1; i < list->vae_count; ++i) {
        if (cancel_requested(listing->cancel)) return cancelled(list, i, err);
        if (!name_vae(listing, &list->vaes[i])) return no_memory(err);
    }
    return DR_OK;
}

/* ---- the call ---------------------------------------------------------------------------- */

static enum dr_code list_vaes(struct dr_engine *engine, unsigned flags,
                              const struct listing_progress *progress,
                              struct dr_vae_list *list, struct dr_error *err)
{
    struct vae_listing listing = {.engine = engine,
                                  .list = list,
                                  .cancel = flags & DR_LIST_DIGESTS
                                                ? engine->resources.cancel
                                                : &engine->list_cancel,
                                  .has_memory = true};
    if (!engine->model.pipeline)
        return error_set(err, DR_NOT_FOUND,
                         "no model is loaded: the list of VAEs depends on the model");
    (void)snprintf(list->model, sizeof list->model, "%s", engine->model.pipeline->path);
    (void)snprintf(list->vae_folder, sizeof list->vae_folder, "%s",
                   engine->model.vae.folder);
    enum dr_code code = find_vaes(&listing, err);
    if (code == DR_OK && !listing.has_memory) code = no_memory(err);
    if (code == DR_OK) code = look_at_all(&listing, flags, progress, err);
    if (code == DR_OK) code = add_choices(&listing, err);
    folder_listing_free(&listing.folder);
    return code;
}

/* Digests are read, so that this is a call as others are; without them it only looks. */
static enum dr_code list_with_digests(struct dr_engine *engine, unsigned flags,
                                      const struct listing_progress *progress,
                                      struct dr_vae_list *list, struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, "vaes", NULL);
    if (code != DR_OK)
        return error_set(err, code,
                         "the engine is busy with another call, and digests have to be "
                         "read; try again, or list without digests");
    code = list_vaes(engine, flags, progress, list, err);
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_list_vaes(struct dr_engine *engine, unsigned flags,
                                 void (*progress)(void *cookie,
                                                  const struct dr_progress *progress),
                                 void *cookie, struct dr_vae_list *list,
                                 struct dr_error *err)
{
    const struct listing_progress told = {progress, cookie};
    *list = (struct dr_vae_list){0};
    enum dr_code code;
    if (flags & DR_LIST_DIGESTS) {
        code = list_with_digests(engine, flags, &told, list, err);
    } else {
        engine_lock(engine);
        cancel_withdraw(&engine->list_cancel);
        code = list_vaes(engine, flags, &told, list, err);
        engine_unlock(engine);
    }
    if (code != DR_OK) dr_vae_list_free(list);
    return code;
}

void dr_vae_list_free(struct dr_vae_list *list)
{
    if (!list) return;
    for (size_t i = 0; i < list->vae_count; ++i) {
        free(list->vaes[i].choice);
        free(list->vaes[i].path);
    }
    for (size_t i = 0; i < list->choice_count; ++i) {
        free(list->choices[i].choice);
        free(list->choices[i].path);
    }
    free(list->vaes);
    free(list->choices);
    *list = (struct dr_vae_list){0};
}
