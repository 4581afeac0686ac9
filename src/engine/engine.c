#include "engine/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "compute/compute.h"

/* ---- small things ------------------------------------------------------------------------ */

const char *dr_version(void)
{
    return DARKROOM_VERSION;
}

const char *dr_description(void)
{
    return compute_description();
}

const char *dr_role_name(enum dr_role role)
{
    return component_role_name((enum component_role)role);
}

struct dr_engine_options dr_engine_options_default(void)
{
    return (struct dr_engine_options){.precision = DR_PRECISION_AUTO};
}

void engine_log(const struct dr_engine *engine, enum dr_log_level level,
                const char *format, ...)
{
    if (!engine->log) return;
    char line[DR_PATH_BYTES + DR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    engine->log(engine->log_cookie, level, line);
}

enum dr_code engine_enter(struct dr_engine *engine, struct dr_error *err)
{
    if (atomic_flag_test_and_set(&engine->busy))
        return error_set(err, DR_BUSY,
                         "the engine is busy with another call; try again");
    atomic_store(&engine->cancel, false);
    return DR_OK;
}

void engine_leave(struct dr_engine *engine)
{
    atomic_store(&engine->cancel, false);
    atomic_flag_clear(&engine->busy);
}

void dr_engine_cancel(struct dr_engine *engine)
{
    if (engine) atomic_store(&engine->cancel, true);
}

/* ---- receipts ---------------------------------------------------------------------------- */

static struct dr_memory_point memory_point(const struct dr_engine *engine)
{
    struct kernel_totals totals = {0};
    (void)!kernel_totals_read(&totals, NULL);
    return (struct dr_memory_point){.ledger_private_bytes =
                                        engine->ledger.private_bytes,
                                    .ledger_mapped_bytes = engine->ledger.mapped_bytes,
                                    .kernel_private_bytes = totals.private_bytes};
}

struct receipt_start receipt_begin(const struct dr_engine *engine)
{
    return (struct receipt_start){.before = memory_point(engine),
                                  .opened_count = engine->ledger.opened_count,
                                  .started_ms = clock_ms()};
}

void receipt_end(const struct dr_engine *engine, const struct receipt_start *start,
                 const char *reason, struct dr_receipt *receipt)
{
    compute_trim();
    if (!receipt) return;
    const double ended_ms = clock_ms();
    *receipt =
        (struct dr_receipt){.before = start->before, .after = memory_point(engine)};
    /* Regions are numbered as they are opened: those above the mark are new. */
    for (const struct region *r = engine->ledger.first; r; r = r->next)
        if (r->serial > start->opened_count) receipt->acquired_bytes += r->bytes;
    const uint64_t held_before =
        start->before.ledger_private_bytes + start->before.ledger_mapped_bytes;
    const uint64_t held_after =
        receipt->after.ledger_private_bytes + receipt->after.ledger_mapped_bytes;
    receipt->released_bytes = held_before + receipt->acquired_bytes - held_after;
    receipt->ms = ended_ms - start->started_ms;
    (void)snprintf(receipt->reason, sizeof receipt->reason, "%s", reason);
}

/* ---- open and close ---------------------------------------------------------------------- */

/* "$XDG_DATA_HOME/darkroom/<name>", "~/.local/share/darkroom/<name>", or "". */
static void data_folder(const char *name, char *folder, size_t folder_bytes)
{
    const char *const data = getenv("XDG_DATA_HOME");
    const char *const home = getenv("HOME");
    folder[0] = '\0';
    if (data && data[0] == '/')
        (void)snprintf(folder, folder_bytes, "%s/darkroom/%s", data, name);
    else if (home && *home)
        (void)snprintf(folder, folder_bytes, "%s/.local/share/darkroom/%s", home, name);
}

void engine_find_vae_folder(const char *option, char *folder, size_t folder_bytes)
{
    const char *const said = option ? option : getenv("DARKROOM_VAE_DIR");
    if (said && *said)
        (void)snprintf(folder, folder_bytes, "%s", said);
    else
        data_folder("vae", folder, folder_bytes);
}

static enum dr_code set_limit(struct dr_engine *engine, uint64_t bytes,
                              struct dr_error *err)
{
    size_t budget = (size_t)bytes;
    char reason[DR_TEXT_BYTES];
    if (bytes == 0) {
        const size_t least = engine->machine.bytes;
        budget = least - least / 10;
        (void)snprintf(reason, sizeof reason, "%.160s, less a tenth",
                       engine->machine.reason);
    } else {
        (void)snprintf(reason, sizeof reason, "as given");
    }
    const size_t beside = engine->baseline_bytes + ENGINE_RESIDUAL_BYTES;
    if (budget <= beside)
        return error_set(
            err, DR_OVER_BUDGET,
            "a budget of %zu bytes leaves nothing for pictures: the process itself "
            "needs %zu bytes (%zu at start, up to %zu for primitives and heap)",
            budget, beside, engine->baseline_bytes, ENGINE_RESIDUAL_BYTES);
    const size_t limit = budget - beside;
    if (engine->ledger.private_bytes > limit && engine->pipeline)
        (void)pipeline_release(engine->pipeline);
    engine->ledger.limit_bytes = limit;
    engine->budget_bytes = budget;
    (void)snprintf(engine->budget_reason, sizeof engine->budget_reason, "%s", reason);
    return DR_OK;
}

static enum dr_code choose_dtype(enum dr_precision precision, enum dtype *dtype,
                                 struct dr_error *err)
{
    const bool has_bf16 = compute_has_bf16();
    if (precision == DR_PRECISION_BF16 && !has_bf16)
        return error_set(
            err, DR_UNSUPPORTED,
            "this processor does not multiply bfloat16 (it has no AVX512-BF16); use "
            "--precision f32 or auto");
    *dtype = precision != DR_PRECISION_F32 && has_bf16 ? DTYPE_BF16 : DTYPE_F32;
    return DR_OK;
}

enum dr_code dr_engine_open(struct dr_engine **out,
                            const struct dr_engine_options *options,
                            struct dr_error *err)
{
    *out = NULL;
    if (options->thread_count < 0 || options->thread_count > 1024)
        return error_set(err, DR_BAD_INPUT, "%d threads: give 0 (all cores) to 1024",
                         (int)options->thread_count);
    struct dr_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return error_set(err, DR_NOMEM, "no memory for an engine");
    atomic_init(&engine->cancel, false);
    atomic_flag_clear(&engine->busy);
    engine->log = options->log;
    engine->log_cookie = options->log_cookie;
    if (options->tokenizer_folder)
        (void)snprintf(engine->tokenizer_folder, sizeof engine->tokenizer_folder, "%s",
                       options->tokenizer_folder);
    engine_find_vae_folder(options->vae_folder, engine->vae_folder,
                           sizeof engine->vae_folder);
    struct kernel_totals totals = {0};
    enum dr_code code = compute_init(options->thread_count, err);
    if (code == DR_OK) code = choose_dtype(options->precision, &engine->dtype, err);
    if (code == DR_OK) code = kernel_totals_read(&totals, err);
    if (code == DR_OK) code = memory_limit_read(&engine->machine, err);
    engine->baseline_bytes = totals.private_bytes;
    if (code == DR_OK) code = set_limit(engine, options->budget_bytes, err);
    if (code != DR_OK) dr_engine_close(&engine);
    *out = engine;
    return code;
}

void dr_engine_close(struct dr_engine **engine)
{
    if (!engine || !*engine) return;
    pipeline_close(&(*engine)->pipeline);
    tokenizer_close(&(*engine)->tokenizer);
    free(*engine);
    *engine = NULL;
    compute_trim();
}

enum dr_code dr_engine_set_budget(struct dr_engine *engine, uint64_t bytes,
                                  struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    code = set_limit(engine, bytes, err);
    engine_leave(engine);
    return code;
}

/* ---- tokenizer --------------------------------------------------------------------------- */

static bool has_vocabulary(const char *folder)
{
    char path[DR_PATH_BYTES];
    const int length = snprintf(path, sizeof path, "%s/vocab.json", folder);
    return length > 0 && (size_t)length < sizeof path && access(path, R_OK) == 0;
}

static bool find_tokenizer(const struct dr_engine *engine, char *folder,
                           size_t folder_bytes)
{
    const char *const environment = getenv("DARKROOM_TOKENIZER");
    const char *const model = engine->pipeline->path;
    const char *const said =
        engine->tokenizer_folder[0] ? engine->tokenizer_folder : environment;
    if (said && *said) {
        /* What was said is what is meant: its absence is an error, not a reason to look on. */
        (void)snprintf(folder, folder_bytes, "%s", said);
        return true;
    }
    const int model_folder = (int)(path_name(model) - model);
    (void)snprintf(folder, folder_bytes, "%.*stokenizer", model_folder, model);
    if (has_vocabulary(folder)) return true;
    data_folder("tokenizer", folder, folder_bytes);
    return folder[0] && has_vocabulary(folder);
}

enum dr_code engine_tokenizer(struct dr_engine *engine, struct dr_error *err)
{
    char folder[DR_PATH_BYTES];
    if (!find_tokenizer(engine, folder, sizeof folder))
        return error_set(
            err, DR_NOT_FOUND,
            "no CLIP vocabulary (vocab.json, merges.txt): looked in tokenizer/ beside %.300s and "
            "in %.300s; give --tokenizer DIR, or run script/clip-vocabulary once",
            engine->pipeline->path, folder[0] ? folder : "(no data folder)");
    if (engine->tokenizer && strcmp(folder, engine->tokenizer_path) == 0) return DR_OK;
    struct tokenizer *fresh = NULL;
    const enum dr_code code = tokenizer_open(&fresh, folder, err);
    if (code != DR_OK) return code;
    tokenizer_close(&engine->tokenizer);
    engine->tokenizer = fresh;
    (void)snprintf(engine->tokenizer_path, sizeof engine->tokenizer_path, "%s", folder);
    return DR_OK;
}

/* ---- describing -------------------------------------------------------------------------- */

static void describe_component(const struct component_index *index,
                               struct dr_component_info *info)
{
    bool seen[DTYPE_BOOL + 1] = {false};
    *info = (struct dr_component_info){.role = (enum dr_role)index->role,
                                       .tensor_count = index->count,
                                       .stored_bytes = index->bytes};
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

void engine_describe_model(const struct checkpoint *checkpoint, const char *path,
                           struct dr_model_info *info)
{
    *info = (struct dr_model_info){0};
    (void)snprintf(info->path, sizeof info->path, "%s", path);
    (void)snprintf(info->family, sizeof info->family, "%s",
                   family_name(checkpoint->family));
    for (int role = 0; role < ROLE_COUNT; ++role)
        if (checkpoint->components[role].count)
            describe_component(&checkpoint->components[role],
                               &info->components[info->component_count++]);
}

static void describe_pipeline(const struct pipeline *pipeline,
                              struct dr_model_info *info)
{
    engine_describe_model(&pipeline->checkpoint, pipeline->path, info);
    pipeline_lacks(pipeline, info->lacks, sizeof info->lacks);
    for (int i = 0; i < info->component_count; ++i) {
        const struct source *const base =
            pipeline->slots[info->components[i].role].base;
        info->components[i].weights_bytes = source_weights_bytes(base);
    }
}

void engine_describe_vae(const struct dr_engine *engine, const char *choice,
                         const char *source, const struct vae_resolution *resolution,
                         const struct vae_file *file, struct dr_vae_info *info)
{
    const struct pipeline *const pipeline = engine->pipeline;
    const struct slot *const slot = &pipeline->slots[ROLE_VAE];
    const struct source *const active = file ? &file->source : slot->base;
    const struct vae_spec *const spec = file ? file->spec : pipeline->vae;
    *info = (struct dr_vae_info){.override_active = file != NULL};
    (void)snprintf(info->choice, sizeof info->choice, "%s", choice);
    (void)snprintf(info->source, sizeof info->source, "%s", source);
    (void)snprintf(info->reason, sizeof info->reason, "%s", resolution->reason);
    if (!active) return;
    (void)snprintf(info->path, sizeof info->path, "%s", active->path);
    (void)snprintf(info->name, sizeof info->name, "%s",
                   file ? path_name(active->path) : "built-in");
    if (active->digest_known) digest_hex(active->digest, info->digest);
    info->resident = slot->resident == active;
    info->verified = info->resident && active->digest_known;
    info->scale_factor = vae_info(spec).scale_factor;
}

static const char *setting_choice(const struct dr_engine *engine)
{
    return engine->vae_choice[0] ? engine->vae_choice : "automatic";
}

void engine_describe_setting(const struct dr_engine *engine, struct dr_vae_info *info)
{
    engine_describe_vae(engine, setting_choice(engine),
                        engine->vae_choice[0] ? "setting" : "default",
                        &engine->pipeline->resolution, engine->pipeline->override,
                        info);
}

/* ---- the VAE setting --------------------------------------------------------------------- */

static enum dr_code resolve_for(const struct dr_engine *engine,
                                const struct pipeline *pipeline, const char *choice,
                                struct vae_resolution *resolution, struct dr_error *err)
{
    const struct vae_resolution_request request = {.choice = choice,
                                                   .checkpoint = pipeline->path,
                                                   .vae_folder = engine->vae_folder};
    return vae_resolve(resolution, &request, err);
}

enum dr_code engine_resolve_vae(const struct dr_engine *engine, const char *choice,
                                struct vae_resolution *resolution, struct dr_error *err)
{
    return resolve_for(engine, engine->pipeline, choice, resolution, err);
}

/* Fall back to the checkpoint's own VAE: `why` becomes the resolution's reason. */
static void fall_back(const struct dr_engine *engine, struct vae_resolution *resolution,
                      const struct dr_error *why)
{
    *resolution = (struct vae_resolution){.is_base = true};
    (void)snprintf(resolution->reason, sizeof resolution->reason,
                   "the checkpoint's own VAE, since the choice does not fit: %.380s",
                   why->message);
    engine_log(engine, DR_LOG_WARNING, "%s", resolution->reason);
}

/* Apply the setting to a pipeline that was just opened: nothing is loaded yet. What does not
 * fit falls back to base. */
static void apply_setting(const struct dr_engine *engine, struct pipeline *pipeline)
{
    struct dr_error why = {0};
    struct vae_file *file = NULL;
    struct vae_resolution *const resolution = &pipeline->resolution;
    if (resolve_for(engine, pipeline, setting_choice(engine), resolution, &why) !=
        DR_OK) {
        fall_back(engine, resolution, &why);
        return;
    }
    if (resolution->is_base) return;
    if (vae_file_open(&file, resolution->path, pipeline->checkpoint.family,
                      engine->dtype, &why) != DR_OK) {
        fall_back(engine, resolution, &why);
        return;
    }
    (void)pipeline_exchange_vae(pipeline, file);
}

/* Does switching to `bytes` more (weights and scratch) fit beside what is held? */
static bool fits_beside(const struct dr_engine *engine, size_t bytes)
{
    const size_t limit = engine->ledger.limit_bytes;
    return !limit || (bytes <= limit && engine->ledger.private_bytes <= limit - bytes);
}

/* Bring the slot in line with the choice. A VAE that has no room beside the components that are
 * loaded is left to the job that needs it, which can release those. */
static enum dr_code load_vae(struct dr_engine *engine, struct dr_error *err)
{
    struct slot *const slot = &engine->pipeline->slots[ROLE_VAE];
    const struct source *const active = slot_active(slot);
    if (active && slot->resident == active) return DR_OK;
    const size_t bytes = source_weights_bytes(active) + source_scratch_bytes(active);
    const bool is_wanted = active && (engine->eager || slot->resident);
    const size_t limit = engine->ledger.limit_bytes;
    const size_t others = engine->ledger.private_bytes - slot->weights.bytes;
    if (!is_wanted || (limit && (bytes > limit || others > limit - bytes))) {
        slot_release(slot);
        return DR_OK;
    }
    const struct slot_load_options options = {
        .ledger = &engine->ledger,
        .order = fits_beside(engine, bytes) ? SLOT_SWAP : SLOT_RELEASE_FIRST,
        .progress = &(struct component_progress){.cancel = &engine->cancel},
    };
    return slot_load(slot, &options, err);
}

/* Make `file` (taken, NULL: base) the override, saving the original first and putting back what
 * was there if anything fails. */
static enum dr_code switch_vae(struct dr_engine *engine, struct vae_file *file_take,
                               struct dr_error *err)
{
    struct pipeline *const pipeline = engine->pipeline;
    struct slot *const slot = &pipeline->slots[ROLE_VAE];
    enum dr_code code = DR_OK;
    if (file_take) {
        if (!fits_beside(engine, source_save_bytes(slot->base)))
            (void)pipeline_release(pipeline);
        code = source_save(slot->base, &engine->ledger, err);
    }
    struct vae_file *const before = pipeline_exchange_vae(pipeline, file_take);
    if (code == DR_OK) code = load_vae(engine, err);
    struct vae_file *unwanted = before;
    if (code != DR_OK) unwanted = pipeline_exchange_vae(pipeline, before);
    if (unwanted && slot->resident == &unwanted->source) slot_release(slot);
    vae_file_close(&unwanted);
    return code;
}

static enum dr_code choose_vae(struct dr_engine *engine, const char *choice, char *note,
                               size_t note_bytes, struct dr_error *err)
{
    struct pipeline *const pipeline = engine->pipeline;
    struct vae_resolution resolution;
    struct vae_file *file = NULL;
    enum dr_code code = engine_resolve_vae(engine, choice, &resolution, err);
    if (code != DR_OK) return code;
    if (!resolution.is_base && vae_file_is(pipeline->override, resolution.path)) {
        code = load_vae(engine, err);
        if (code != DR_OK) return code;
        pipeline->resolution = resolution;
        (void)snprintf(note, note_bytes, "%.400s; it is the active VAE already",
                       resolution.reason);
        return DR_OK;
    }
    if (!resolution.is_base) {
        struct dr_error why;
        code = vae_file_open(&file, resolution.path, pipeline->checkpoint.family,
                             engine->dtype, &why);
        if (code != DR_OK && resolution.is_explicit) {
            if (err) *err = why;
            return code;
        }
        if (code != DR_OK) fall_back(engine, &resolution, &why);
    }
    code = switch_vae(engine, file, err);
    if (code != DR_OK) return code;
    pipeline->resolution = resolution;
    (void)snprintf(note, note_bytes, "%s", resolution.reason);
    return DR_OK;
}

enum dr_code dr_engine_choose_vae(struct dr_engine *engine, const char *choice,
                                  unsigned flags, struct dr_vae_info *info,
                                  struct dr_receipt *receipt, struct dr_error *err)
{
    (void)
        flags; /* DR_VAE_FORCE allows what the latent probe refuses; nothing is refused yet */
    char note[DR_TEXT_BYTES] = "a setting, looked at when a model is loaded";
    if (!choice || !*choice || strlen(choice) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE choice is %s; give automatic, none, a name or a path",
                         choice && *choice ? "longer than any path" : "empty");
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    if (engine->pipeline) code = choose_vae(engine, choice, note, sizeof note, err);
    if (code == DR_OK) {
        (void)snprintf(engine->vae_choice, sizeof engine->vae_choice, "%s", choice);
        if (info && engine->pipeline) {
            engine_describe_setting(engine, info);
        } else if (info) {
            *info = (struct dr_vae_info){0};
            (void)snprintf(info->choice, sizeof info->choice, "%s", choice);
            (void)snprintf(info->source, sizeof info->source, "setting");
            (void)snprintf(info->reason, sizeof info->reason, "%s", note);
        }
    }
    receipt_end(engine, &start, note, code == DR_OK ? receipt : NULL);
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_vae(struct dr_engine *engine, struct dr_vae_info *info,
                           struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    if (engine->pipeline)
        engine_describe_setting(engine, info);
    else
        code = error_set(err, DR_NOT_FOUND, "no model is loaded");
    engine_leave(engine);
    return code;
}

/* ---- models ------------------------------------------------------------------------------ */

/* Which roles: a bit each. cancel may be NULL. */
static enum dr_code load_slots(struct dr_engine *engine, struct pipeline *pipeline,
                               unsigned roles, const atomic_bool *cancel,
                               struct dr_error *err)
{
    const struct component_progress progress = {.cancel = cancel};
    const struct slot_load_options options = {.ledger = &engine->ledger,
                                              .order = SLOT_SWAP,
                                              .progress = &progress};
    for (int role = 0; role < ROLE_COUNT; ++role) {
        struct slot *const slot = &pipeline->slots[role];
        if (!(roles & 1U << role) || !slot_active(slot)) continue;
        const enum dr_code code = slot_load(slot, &options, err);
        if (code != DR_OK) return code;
    }
    return DR_OK;
}

enum {
    ALL_ROLES = (1 << ROLE_COUNT) - 1
};

/* Load a pipeline's weights; an override that came from the setting and cannot be read falls
 * back to base, as any setting that does not fit. */
static enum dr_code load_or_fall_back(struct dr_engine *engine,
                                      struct pipeline *pipeline, struct dr_error *err)
{
    struct slot *const vae = &pipeline->slots[ROLE_VAE];
    const unsigned others = ALL_ROLES & ~(1U << ROLE_VAE);
    struct dr_error why = {0};
    enum dr_code code = DR_OK;
    if (pipeline->override) code = source_save(vae->base, &engine->ledger, err);
    if (code == DR_OK)
        code = load_slots(engine, pipeline, others, &engine->cancel, err);
    if (code != DR_OK) return code;
    code = load_slots(engine, pipeline, 1U << ROLE_VAE, &engine->cancel, &why);
    if (code != DR_OK && code != DR_CANCELLED && pipeline->override) {
        struct vae_file *unusable = pipeline_exchange_vae(pipeline, NULL);
        if (vae->resident == &unusable->source) slot_release(vae);
        vae_file_close(&unusable);
        fall_back(engine, &pipeline->resolution, &why);
        return load_slots(engine, pipeline, 1U << ROLE_VAE, &engine->cancel, err);
    }
    if (code != DR_OK && err) *err = why;
    return code;
}

static unsigned resident_roles(const struct pipeline *pipeline)
{
    unsigned roles = 0;
    for (int role = 0; pipeline && role < ROLE_COUNT; ++role)
        if (pipeline->slots[role].resident) roles |= 1U << role;
    return roles;
}

static bool fits_whole(const struct dr_engine *engine, const struct pipeline *pipeline)
{
    const struct pipeline_bytes bytes = pipeline_measure(pipeline);
    return fits_beside(engine, bytes.missing + bytes.scratch);
}

/* The weights of the new pipeline, beside the old one's where both fit, else after them. On
 * error what the old one had loaded is read again, as far as that goes; a cancel that stopped
 * the way there does not stop the way back. */
static enum dr_code load_beside_or_after(struct dr_engine *engine,
                                         struct pipeline *fresh, char *note,
                                         size_t note_bytes, struct dr_error *err)
{
    struct pipeline *const old = engine->pipeline;
    unsigned released = 0;
    if (!fits_whole(engine, fresh) && old) {
        released = resident_roles(old);
        (void)pipeline_release(old);
    }
    if (!fits_whole(engine, fresh)) {
        (void)snprintf(
            note, note_bytes,
            "its components do not fit the budget all at once, each is read when a "
            "job needs it; ");
        return DR_OK;
    }
    const enum dr_code code = load_or_fall_back(engine, fresh, err);
    if (code != DR_OK && released) {
        (void)pipeline_release(fresh);
        (void)!load_slots(engine, old, released, NULL, NULL);
    }
    return code;
}

/* What the model lacks in memory; on error it is as it was. */
static enum dr_code load_rest(struct dr_engine *engine, struct dr_error *err)
{
    struct pipeline *const pipeline = engine->pipeline;
    const unsigned before = resident_roles(pipeline);
    if (!fits_whole(engine, pipeline)) return DR_OK;
    const enum dr_code code = load_or_fall_back(engine, pipeline, err);
    for (int role = 0; code != DR_OK && role < ROLE_COUNT; ++role)
        if (!(before & 1U << role)) (void)slot_release(&pipeline->slots[role]);
    return code;
}

static bool is_loaded_already(const struct dr_engine *engine, const char *path)
{
    return engine->pipeline && strcmp(engine->pipeline->path, path) == 0 &&
           tensor_file_check(&engine->pipeline->checkpoint.file, NULL) == DR_OK;
}

static enum dr_code load_model(struct dr_engine *engine, const char *path, char *note,
                               size_t note_bytes, struct dr_error *err)
{
    if (is_loaded_already(engine, path)) {
        (void)snprintf(note, note_bytes, "this model is loaded already; ");
        return engine->eager ? load_rest(engine, err) : DR_OK;
    }
    struct pipeline *fresh = NULL;
    enum dr_code code = pipeline_open(&fresh, path, engine->dtype, err);
    if (code != DR_OK) return code;
    apply_setting(engine, fresh);
    if (engine->eager)
        code = load_beside_or_after(engine, fresh, note, note_bytes, err);
    if (code != DR_OK) {
        pipeline_close(&fresh);
        return code;
    }
    pipeline_close(&engine->pipeline);
    engine->pipeline = fresh;
    return DR_OK;
}

enum dr_code dr_engine_load(struct dr_engine *engine, const char *path,
                            enum dr_load_mode mode, struct dr_load_result *result,
                            struct dr_error *err)
{
    char note[DR_TEXT_BYTES] = "", reason[DR_TEXT_BYTES];
    if (!path || !*path) return error_set(err, DR_BAD_INPUT, "no model path was given");
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    const bool was_eager = engine->eager;
    engine->eager = mode == DR_LOAD_EAGER;
    code = load_model(engine, path, note, sizeof note, err);
    if (code != DR_OK) engine->eager = was_eager;
    if (code == DR_OK) {
        (void)snprintf(reason, sizeof reason, "%.130sVAE: %.370s", note,
                       engine->pipeline->resolution.reason);
        engine_log(engine, DR_LOG_INFO, "model %s", path);
    }
    if (code == DR_OK && result) describe_pipeline(engine->pipeline, &result->model);
    receipt_end(engine, &start, code == DR_OK ? reason : "",
                code == DR_OK && result ? &result->receipt : NULL);
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_model(struct dr_engine *engine, struct dr_model_info *model,
                             struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    if (engine->pipeline)
        describe_pipeline(engine->pipeline, model);
    else
        code = error_set(err, DR_NOT_FOUND, "no model is loaded");
    engine_leave(engine);
    return code;
}

enum dr_code dr_engine_unload(struct dr_engine *engine, enum dr_unload_what what,
                              struct dr_receipt *receipt, struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    const struct receipt_start start = receipt_begin(engine);
    size_t bytes = 0;
    if (engine->pipeline && what == DR_UNLOAD_VAE)
        bytes = slot_release(&engine->pipeline->slots[ROLE_VAE]);
    if (engine->pipeline && what == DR_UNLOAD_MODEL)
        bytes = pipeline_release(engine->pipeline);
    if (what == DR_UNLOAD_MODEL) tokenizer_close(&engine->tokenizer);
    receipt_end(engine, &start,
                bytes ? "released; what a job needs is read again"
                      : "nothing was loaded",
                receipt);
    engine_leave(engine);
    return code;
}
