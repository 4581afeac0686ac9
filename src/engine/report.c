/* Looking: what memory holds, what a job would need, what a file is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk_rate.h"
#include "base/error.h"
#include "base/path.h"
#include "base/size.h"
#include "compute/compute.h"
#include "engine/engine.h"
#include "image/image.h"
#include "job/network_plans.h"
#include "job/ram_need.h"
#include "job/request.h"
#include "switch/vae_choice.h"
#include "switch/vae_switch.h"

/* ---- memory ------------------------------------------------------------------------------ */

const char *dr_slot_state_name(enum dr_slot_state state)
{
    switch (state) {
    case DR_SLOT_ABSENT: return "absent";
    case DR_SLOT_RELEASED: return "released";
    case DR_SLOT_RESIDENT: return "resident";
    }
    return "";
}

/* In the middle of a switch what is resident may be about to go: that is what has the bytes. */
static const struct source *shown_source(const struct slot *slot)
{
    return slot->resident ? slot->resident : slot_active(slot);
}

static enum dr_code report_components(const struct pipeline *pipeline,
                                      struct dr_memory *memory, struct dr_error *err)
{
    memory->components =
        calloc((size_t)pipeline->slot_count, sizeof *memory->components);
    if (!memory->components)
        return error_set(err, DR_NOMEM, "no memory for the list of components");
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        const struct source *const shown = shown_source(slot);
        if (!shown && slot->kind != DR_COMPONENT_VAE) continue;
        struct dr_component_memory *const part =
            &memory->components[memory->component_count++];
        *part =
            (struct dr_component_memory){.kind = slot->kind,
                                         .state = !shown           ? DR_SLOT_ABSENT
                                                  : slot->resident ? DR_SLOT_RESIDENT
                                                                   : DR_SLOT_RELEASED,
                                         .private_bytes =
                                             region_private_bytes(&slot->weights)};
        part->mapped_bytes = slot->weights.bytes - part->private_bytes;
        (void)snprintf(part->slot, sizeof part->slot, "%s", slot->name);
        (void)snprintf(part->name, sizeof part->name, "%s",
                       shown ? shown->name : slot->name);
        (void)snprintf(part->path, sizeof part->path, "%s", shown ? shown->path : "");
    }
    return DR_OK;
}

static enum dr_code report_regions(const struct ledger *ledger,
                                   struct dr_memory *memory, struct dr_error *err)
{
    memory->regions = calloc(ledger->count + 1, sizeof *memory->regions);
    if (!memory->regions)
        return error_set(err, DR_NOMEM, "no memory for the list of regions");
    for (const struct region *r = ledger->first; r; r = r->next) {
        struct dr_region_info *const info = &memory->regions[memory->region_count++];
        *info = (struct dr_region_info){.start = (uint64_t)(uintptr_t)r->data,
                                        .bytes = r->bytes,
                                        .tag = region_tag_name(r->tag),
                                        .kind = region_kind_name(r->kind)};
        (void)snprintf(info->component, sizeof info->component, "%s", r->component);
    }
    return DR_OK;
}

static enum dr_code read_memory(struct dr_engine *engine, struct dr_memory *memory,
                                struct dr_error *err)
{
    struct kernel_view view;
    memory->pid = (int32_t)getpid();
    const struct pipeline *const pipeline = engine->model.pipeline;
    enum dr_code code = pipeline ? report_components(pipeline, memory, err) : DR_OK;
    if (code == DR_OK) code = report_regions(&engine->resources.ledger, memory, err);
    if (code != DR_OK) return code;
    kernel_view_read(&view, &engine->resources.ledger);
    memory->ledger.private_bytes = engine->resources.ledger.private_bytes;
    memory->ledger.mapped_bytes = engine->resources.ledger.mapped_bytes;
    memory->ledger.peak_private_bytes = engine->resources.ledger.peak_private_bytes;
    memory->kernel.private_bytes = view.totals.private_bytes;
    memory->kernel.mapped_resident_bytes = view.totals.mapped_resident_bytes;
    memory->kernel.rss_bytes = view.totals.rss_bytes;
    memory->kernel.pss_bytes = view.totals.pss_bytes;
    memory->residual.total_bytes = view.residual.total_bytes;
    memory->residual.image_bytes = view.residual.image_bytes;
    memory->residual.heap_bytes = view.residual.heap_bytes;
    memory->residual.heap_used_bytes = view.residual.heap_used_bytes;
    memory->residual.heap_retained_bytes = view.residual.heap_retained_bytes;
    memory->residual.stack_bytes = view.residual.stack_bytes;
    memory->residual.jit_bytes = view.residual.jit_bytes;
    memory->residual.shmem_bytes = view.residual.shmem_bytes;
    memory->residual.other_bytes = view.residual.other_bytes;
    memory->residual.baseline_bytes =
        engine->baseline_known ? engine->baseline_bytes : DR_UNKNOWN_BYTES;
    memory->regions_agree = view.regions_known ? view.regions_agree : -1;
    (void)snprintf(memory->disagreement, sizeof memory->disagreement, "%s",
                   view.first_disagreement);
    memory->budget_bytes = engine->budget_bytes;
    (void)snprintf(memory->budget_reason, sizeof memory->budget_reason, "%s",
                   engine->budget_reason);
    return DR_OK;
}

enum dr_code dr_engine_memory(struct dr_engine *engine, struct dr_memory *memory,
                              struct dr_error *err)
{
    *memory = (struct dr_memory){0};
    engine_lock(engine);
    const enum dr_code code = read_memory(engine, memory, err);
    engine_unlock(engine);
    if (code != DR_OK) dr_memory_free(memory);
    return code;
}

void dr_memory_free(struct dr_memory *memory)
{
    if (!memory) return;
    free(memory->components);
    free(memory->regions);
    *memory = (struct dr_memory){0};
}

/* ---- status ------------------------------------------------------------------------------ */

void dr_engine_status(struct dr_engine *engine, struct dr_status *status)
{
    *status = (struct dr_status){.call = ""};
    engine_lock(engine);
    const struct pipeline *const pipeline = engine->model.pipeline;
    if (engine->call) status->call = engine->call;
    status->is_running = engine->call != NULL;
    status->has_job = engine->job != NULL;
    if (engine->job) dr_job_progress(engine->job, &status->job);
    if (pipeline) {
        (void)snprintf(status->model, sizeof status->model, "%s", pipeline->path);
        (void)snprintf(status->family, sizeof status->family, "%s",
                       family_name(pipeline->checkpoint.family));
    }
    status->budget_bytes = engine->budget_bytes;
    engine_unlock(engine);
}

/* ---- forecast ---------------------------------------------------------------------------- */

static void raise_to(uint64_t *most, uint64_t bytes)
{
    if (bytes > *most) *most = bytes;
}

static enum dr_code describe_components(const struct pipeline *pipeline,
                                        struct dr_forecast *forecast,
                                        struct dr_error *err)
{
    forecast->components =
        calloc((size_t)pipeline->slot_count, sizeof *forecast->components);
    if (!forecast->components)
        return error_set(err, DR_NOMEM, "no memory for the list of components");
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        const struct source *const active = slot_active(slot);
        if (!active) continue;
        struct dr_component_info *const info =
            &forecast->components[forecast->component_count++];
        info->kind = slot->kind;
        (void)snprintf(info->name, sizeof info->name, "%s", slot->name);
        info->tensor_count = active->spec->index->count;
        info->stored_bytes = active->spec->index->bytes;
        info->weights_bytes = source_memory_bytes(active);
        raise_to(&forecast->load_scratch_bytes, source_scratch_bytes(active));
    }
    return DR_OK;
}

static void describe_networks(const struct step_list *list,
                              struct dr_forecast *forecast)
{
    for (int32_t i = 0; i < list->network_count; ++i) {
        const struct plan *const plan = network_plan(&list->networks[i]);
        switch (list->networks[i].kind) {
        case NETWORK_TEXT:
            raise_to(&forecast->text_arena_bytes, plan_bytes(plan));
            break;
        case NETWORK_UNET:
            raise_to(&forecast->unet_arena_bytes, plan_bytes(plan));
            break;
        case NETWORK_ENCODER:
            raise_to(&forecast->vae_arena_bytes, plan_bytes(plan));
            break;
        case NETWORK_DECODER:
            raise_to(&forecast->vae_arena_bytes, plan_bytes(plan));
            forecast->vae_flop = plan_flop(plan);
            break;
        }
    }
}

static enum dr_code describe_forecast(struct job *job, struct dr_forecast *forecast,
                                      struct dr_error *err)
{
    enum dr_code code = describe_components(job->context.pipeline, forecast, err);
    if (code != DR_OK) return code;
    describe_networks(&job->list, forecast);
    forecast->unet_flop = network_plans_evaluation_flop(job);
    code = job_plan(job, JOB_PHASED, err);
    forecast->phased_peak_bytes = job->planned_bytes;
    if (code == DR_OK) code = network_plans_keep_contexts(job, true, err);
    if (code == DR_OK) code = job_plan(job, JOB_RESIDENT, err);
    forecast->resident_peak_bytes = job->planned_bytes;
    return code == DR_OK ? network_plans_keep_contexts(job, false, err) : code;
}

/* Every way in which the job could be done that takes less than those before it. */
static enum dr_code describe_levels(const struct dr_engine *engine, struct job *job,
                                    struct dr_forecast *forecast, struct dr_error *err)
{
    const size_t beside = engine_named_beside_bytes(engine);
    const double whole = network_plans_flop(job);
    uint64_t least = UINT64_MAX;
    for (bool smaller = true; smaller;) {
        double flop = 0; /* asked for where it is told */
        for (int i = 0; i < JOB_RESIDENCY_COUNT; ++i) {
            enum dr_code code = job_plan(job, (enum job_residency)i, err);
            if (code != DR_OK) return code;
            const uint64_t peak = job->planned_bytes + job->decoder_bytes;
            if (peak >= least) continue;
            if (flop == 0) {
                code = network_plans_flop_at_best(job, &flop, err);
                if (code == DR_OK) code = job_plan(job, (enum job_residency)i, err);
                if (code != DR_OK) return code;
            }
            if (forecast->level_count == DR_FORECAST_LEVELS) --forecast->level_count;
            struct dr_forecast_level *const level =
                &forecast->levels[forecast->level_count++];
            level->peak_bytes = least = peak;
            level->budget_bytes = peak + beside;
            level->work = whole > 0 ? flop / whole : 1.0;
            job_manner(job, level->manner);
        }
        const enum dr_code code = network_plans_shrink(job, &smaller, err);
        if (code != DR_OK) return code;
    }
    return network_plans_make_whole(job, err);
}

static enum dr_code judge(const struct dr_engine *engine, struct job *job,
                          struct dr_forecast *forecast, struct dr_error *err)
{
    struct dr_error why;
    char manner[JOB_MANNER_BYTES];
    forecast->budget_bytes = engine->budget_bytes;
    (void)snprintf(forecast->budget_reason, sizeof forecast->budget_reason, "%s",
                   engine->budget_reason);
    const enum dr_code code = job_admit(job, &why);
    if (code != DR_OK && code != DR_OVER_BUDGET) {
        if (err) *err = why;
        return code;
    }
    forecast->fits = code == DR_OK;
    job_manner(job, manner);
    (void)snprintf(forecast->verdict, sizeof forecast->verdict, "%s%.*s",
                   forecast->fits ? "fits with " : "",
                   (int)sizeof forecast->verdict - 16,
                   forecast->fits ? manner : why.message);
    return DR_OK;
}

const char *dr_ram_fit_name(enum dr_ram_fit fit)
{
    switch (fit) {
    case DR_RAM_FITS: return "fits";
    case DR_RAM_REREADS: return "rereads";
    case DR_RAM_TOO_SMALL: return "does_not_fit";
    }
    return "";
}

/* How fast the UNet's weights come from the disk: their pack, or, where it is not there yet, the checkpoint. */
static void measure_disk(const struct pipeline *pipeline, struct dr_ram_forecast *ram)
{
    const struct tensor_file *const file = &pipeline->checkpoint.file;
    const struct slot *const unet = pipeline_slot(pipeline, DR_COMPONENT_UNET, 0);
    const struct source *const source = slot_active(unet);
    char path[PACK_PATH_BYTES];
    const bool is_pack = source && source->digest_known &&
                         component_pack_path(&source->pack, source->digest, path);
    const char *const measured = is_pack                 ? path
                                 : file->shard_count > 0 ? file->shards[0].path
                                                         : "";
    ram->disk_is_measured = disk_rate_measure(measured, &ram->disk_bytes_per_s);
    if (!ram->disk_is_measured) ram->disk_bytes_per_s = DISK_RATE_ASSUMED;
    ram->reread_s = (double)ram->reread_bytes / ram->disk_bytes_per_s;
}

/* The machine alone is judged: a job that the budget refuses would fit. */
static void describe_ram(struct dr_ram_forecast *ram, const char *fits)
{
    char need[16], have[16];
    switch (ram->fit) {
    case DR_RAM_FITS:
        (void)snprintf(ram->verdict, sizeof ram->verdict, "%s", fits);
        break;
    case DR_RAM_REREADS:
        (void)snprintf(ram->verdict, sizeof ram->verdict,
                       "%s, but weights will be re-read from disk every step: about "
                       "%.*f s (%s at %.0f MB/s, %s)",
                       fits, ram->reread_s < 10.0 ? 1 : 0, ram->reread_s,
                       size_format((size_t)ram->reread_bytes, need),
                       ram->disk_bytes_per_s / 1e6,
                       ram->disk_is_measured ? "measured" : "assumed");
        break;
    case DR_RAM_TOO_SMALL:
        (void)snprintf(ram->verdict, sizeof ram->verdict,
                       "does not fit: it needs at least %s of private memory, %s are "
                       "available (%.200s); choose a smaller picture",
                       size_format((size_t)ram->private_bytes, need),
                       size_format((size_t)ram->available_bytes, have), ram->reason);
        break;
    }
}

/* The job as it is planned now, against the machine. A job that the budget refuses is planned with the least
 * memory; the budget that nobody named leaves a tenth to others. */
static void forecast_ram(const struct dr_engine *engine, const struct job *job,
                         struct dr_forecast *forecast)
{
    const size_t available = engine->machine.bytes;
    const struct ram_need need = ram_need_of(job, engine_named_beside_bytes(engine));
    struct dr_ram_forecast *const ram = &forecast->ram;
    const enum ram_state state =
        ram_need_judge(&need, forecast->fits ? available : available / 10 * 9,
                       available);
    *ram = (struct dr_ram_forecast){.private_bytes = need.private_bytes,
                                    .mapped_bytes = need.mapped_bytes,
                                    .step_bytes = need.step_bytes,
                                    .machine_bytes = engine->machine.total_bytes,
                                    .available_bytes = available,
                                    .fit = state == RAM_FITS      ? DR_RAM_FITS
                                           : state == RAM_REREADS ? DR_RAM_REREADS
                                                                  : DR_RAM_TOO_SMALL,
                                    .reread_bytes =
                                        state == RAM_REREADS ? need.reread_bytes : 0};
    (void)snprintf(ram->reason, sizeof ram->reason, "%s", engine->machine.reason);
    if (state == RAM_REREADS) measure_disk(job->context.pipeline, ram);
    describe_ram(ram, forecast->fits ? "fits" : "would fit with a larger budget");
}

static enum dr_code make_forecast(struct dr_engine *engine,
                                  const struct job_context *context,
                                  struct current_model *model,
                                  const struct dr_generate_options *options,
                                  struct dr_forecast *forecast, struct dr_error *err)
{
    struct job job = {.context = *context};
    job.context.only_looks = true;
    struct vae_choice vae;
    enum dr_code code = forecast_request(model, options, &job.request, err);
    const struct vae_choice_words words = {.said = options->vae,
                                           .kind = VAE_REQUEST,
                                           .force = options->vae_flags & DR_VAE_FORCE};
    if (code == DR_OK)
        code = vae_choice_open(&vae, model, model->pipeline, &words, err);
    if (code != DR_OK) {
        job_request_finish(&job.request);
        return code;
    }
    job.vae = vae.file;
    job.vae_forced = words.force;
    job.vae_to_base = vae_choice_leaves_override(&vae, model->pipeline);
    struct adapter_set adapters = {0};
    code = engine_open_adapters(model->pipeline, context->ledger, options, &job.request,
                                &adapters, err);
    job.adapters = &adapters;
    if (code != DR_OK) {
        vae_choice_close(&vae);
        return code;
    }
    code = job_prepare(&job, err);
    if (code == DR_OK) {
        forecast->width = job.request.width;
        forecast->height = job.request.height;
        code = describe_forecast(&job, forecast, err);
    }
    if (code == DR_OK) code = describe_levels(engine, &job, forecast, err);
    if (code == DR_OK) code = judge(engine, &job, forecast, err);
    if (code == DR_OK) forecast_ram(engine, &job, forecast);
    job_finish(&job);
    adapter_set_close(&adapters);
    job_request_finish(&job.request);
    vae_choice_close(&vae);
    return code;
}

enum dr_code dr_engine_forecast(struct dr_engine *engine,
                                const struct dr_generate_options *options,
                                struct dr_forecast *forecast, struct dr_error *err)
{
    *forecast = (struct dr_forecast){0};
    enum dr_code code = engine_enter(engine, "forecast", err);
    if (code != DR_OK) return code;
    const struct job_context context = engine_job_context(engine);
    code = make_forecast(engine, &context, &engine->model, options, forecast, err);
    if (code != DR_OK) dr_forecast_free(forecast);
    engine_leave(engine);
    return code;
}

/* The model is opened beside the loaded one, which a switch would release first: so nothing is in use. */
static enum dr_code forecast_switched(struct dr_engine *engine, const char *path,
                                      const struct dr_generate_options *options,
                                      struct dr_forecast *forecast,
                                      struct dr_error *err)
{
    struct current_model other = engine->model;
    struct ledger emptied = {.limit_bytes = engine->resources.ledger.limit_bytes};
    struct job_context context = engine_job_context(engine);
    other.pipeline = NULL;
    other.tokenizers = (struct tokenizers){0}; /* the loaded model's stay open */
    const struct pipeline_options how = {.dtype = engine->resources.dtype,
                                         .storage = engine->resources.storage,
                                         .packs = &engine->resources.packs,
                                         .base = engine->model.base};
    enum dr_code code = pipeline_open(&other.pipeline, path, &how, err);
    if (code == DR_OK) code = vae_switch_apply_setting(&other, other.pipeline, err);
    context.pipeline = other.pipeline;
    context.ledger = &emptied;
    if (code == DR_OK)
        code = make_forecast(engine, &context, &other, options, forecast, err);
    tokenizers_close(&other.tokenizers);
    pipeline_close(&other.pipeline);
    return code;
}

enum dr_code dr_engine_forecast_model(struct dr_engine *engine, const char *path,
                                      const struct dr_generate_options *options,
                                      struct dr_forecast *forecast,
                                      struct dr_error *err)
{
    *forecast = (struct dr_forecast){0};
    if (!path || !*path) return error_set(err, DR_BAD_INPUT, "no model path was given");
    enum dr_code code = engine_enter(engine, "forecast", err);
    if (code != DR_OK) return code;
    const struct pipeline *const loaded = engine->model.pipeline;
    if (loaded && path_is_same(loaded->path, path)) {
        const struct job_context context = engine_job_context(engine);
        code = make_forecast(engine, &context, &engine->model, options, forecast, err);
    } else {
        code = forecast_switched(engine, path, options, forecast, err);
    }
    if (code != DR_OK) dr_forecast_free(forecast);
    engine_leave(engine);
    return code;
}

void dr_forecast_free(struct dr_forecast *forecast)
{
    if (!forecast) return;
    free(forecast->components);
    *forecast = (struct dr_forecast){0};
}

/* ---- small services ---------------------------------------------------------------------- */

/* Digits that are too large a number, before what may follow a number. */
static bool is_size_but_for_its_number(const char *text)
{
    char small[8];
    size_t size;
    const size_t digits = strspn(text, "0123456789");
    const int length = snprintf(small, sizeof small, "1%s", text + digits);
    return digits > 0 && length > 0 && (size_t)length < sizeof small &&
           size_parse(small, &size);
}

enum dr_code dr_parse_bytes(const char *text, uint64_t *bytes, struct dr_error *err)
{
    size_t size;
    const bool is_size = size_parse(text, &size);
    if (!is_size && is_size_but_for_its_number(text))
        return error_set(err, DR_BAD_INPUT,
                         "\"%.80s\" is out of range; the maximum is %zu bytes", text,
                         SIZE_MAX);
    if (!is_size)
        return error_set(
            err, DR_BAD_INPUT,
            "\"%.80s\" is not a size; give bytes, or a number with K, M or G, such "
            "as 512M",
            text);
    *bytes = size;
    return DR_OK;
}

char *dr_format_bytes(uint64_t bytes, char out[16])
{
    if (bytes != DR_UNKNOWN_BYTES) return size_format((size_t)bytes, out);
    (void)strcpy(out, "unknown");
    return out;
}
