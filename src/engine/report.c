/* Looking: what memory holds, what a job would need, what a file is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/size.h"
#include "compute/compute.h"
#include "engine/engine.h"
#include "engine/generate.h"
#include "image/image.h"

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

static void report_components(const struct pipeline *pipeline, struct dr_memory *memory)
{
    for (int i = 0; i < ROLE_COUNT; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        const struct source *const active = slot_active(slot);
        if (!active && i != ROLE_VAE) continue;
        struct dr_component_memory *const part =
            &memory->components[memory->component_count++];
        *part =
            (struct dr_component_memory){.role = (enum dr_role)i,
                                         .state = !active          ? DR_SLOT_ABSENT
                                                  : slot->resident ? DR_SLOT_RESIDENT
                                                                   : DR_SLOT_RELEASED,
                                         .private_bytes = slot->weights.bytes};
        (void)snprintf(part->name, sizeof part->name, "%s%s", slot->name,
                       slot->override ? " (override)" : "");
        (void)snprintf(part->path, sizeof part->path, "%s", active ? active->path : "");
    }
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
    if (engine->pipeline) report_components(engine->pipeline, memory);
    enum dr_code code = report_regions(&engine->ledger, memory, err);
    if (code == DR_OK) code = kernel_view_read(&view, &engine->ledger, err);
    if (code != DR_OK) return code;
    memory->ledger.private_bytes = engine->ledger.private_bytes;
    memory->ledger.mapped_bytes = engine->ledger.mapped_bytes;
    memory->ledger.peak_private_bytes = engine->ledger.peak_private_bytes;
    memory->kernel.private_bytes = view.totals.private_bytes;
    memory->kernel.mapped_resident_bytes = view.totals.mapped_resident_bytes;
    memory->kernel.rss_bytes = view.totals.rss_bytes;
    memory->kernel.pss_bytes = view.totals.pss_bytes;
    memory->residual.total_bytes = view.residual.total_bytes;
    memory->residual.image_bytes = view.residual.image_bytes;
    memory->residual.heap_bytes = view.residual.heap_bytes;
    memory->residual.stack_bytes = view.residual.stack_bytes;
    memory->residual.jit_bytes = view.residual.jit_bytes;
    memory->residual.other_bytes = view.residual.other_bytes;
    memory->residual.baseline_bytes = engine->baseline_bytes;
    memory->regions_agree = view.regions_agree;
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
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    code = read_memory(engine, memory, err);
    if (code != DR_OK) dr_memory_free(memory);
    engine_leave(engine);
    return code;
}

void dr_memory_free(struct dr_memory *memory)
{
    if (!memory) return;
    free(memory->regions);
    *memory = (struct dr_memory){0};
}

/* ---- forecast ---------------------------------------------------------------------------- */

static void describe_forecast(const struct dr_engine *engine, struct job *job,
                              struct dr_forecast *forecast)
{
    const struct pipeline *const pipeline = engine->pipeline;
    const struct plan *const unet = job->unet_plan.plan;
    const struct plan *const decode = job->decode_plan.plan;
    const struct plan *const encode = job->encode_plan.plan;
    for (int i = 0; i < ROLE_COUNT; ++i) {
        const struct source *const active = slot_active(&pipeline->slots[i]);
        if (!active) continue;
        struct dr_component_info *const info =
            &forecast->components[forecast->component_count++];
        info->role = (enum dr_role)i;
        info->tensor_count = active->spec->index->count;
        info->stored_bytes = active->spec->index->bytes;
        info->weights_bytes = source_weights_bytes(active);
        if (source_scratch_bytes(active) > forecast->load_scratch_bytes)
            forecast->load_scratch_bytes = source_scratch_bytes(active);
    }
    for (int i = 0; i < PIPELINE_TEXTS; ++i) {
        const struct plan *const text = job->text_plans[i].plan;
        if (text && plan_bytes(text) > forecast->text_arena_bytes)
            forecast->text_arena_bytes = plan_bytes(text);
    }
    forecast->unet_arena_bytes = unet ? plan_bytes(unet) : 0;
    forecast->vae_arena_bytes = decode ? plan_bytes(decode) : 0;
    if (encode && plan_bytes(encode) > forecast->vae_arena_bytes)
        forecast->vae_arena_bytes = plan_bytes(encode);
    forecast->unet_flop = unet ? plan_flop(unet) : 0.0;
    forecast->vae_flop = decode ? plan_flop(decode) : 0.0;
    job_plan(job, JOB_PHASED);
    forecast->phased_peak_bytes = job->planned_bytes;
    job_plan(job, JOB_RESIDENT);
    forecast->resident_peak_bytes = job->planned_bytes;
}

static void judge(const struct dr_engine *engine, struct job *job,
                  struct dr_forecast *forecast)
{
    static const char *const verdicts[] = {
        [JOB_RESIDENT] = "fits with all components resident",
        [JOB_LEAN] = "fits when what it does not need is released first",
        [JOB_PHASED] = "fits with one component loaded at a time",
    };
    struct dr_error why;
    forecast->budget_bytes = engine->budget_bytes;
    (void)snprintf(forecast->budget_reason, sizeof forecast->budget_reason, "%s",
                   engine->budget_reason);
    forecast->fits = job_admit(job, &why) == DR_OK;
    (void)snprintf(forecast->verdict, sizeof forecast->verdict, "%.*s",
                   (int)sizeof forecast->verdict - 1,
                   forecast->fits ? verdicts[job->residency] : why.message);
}

static enum dr_code make_forecast(struct dr_engine *engine,
                                  const struct dr_generate_options *options,
                                  struct dr_forecast *forecast, struct dr_error *err)
{
    struct job job = {
        .context = {.pipeline = engine->pipeline,
                    .ledger = &engine->ledger,
                    .cancel = &engine->cancel,
                    .dtype = engine->dtype}
    };
    struct job_vae vae = {0};
    enum dr_code code = forecast_request(engine, options, &job.request, err);
    if (code != DR_OK) return code;
    code = job_vae_open(engine, options->vae, &vae, err);
    if (code != DR_OK) return code;
    job.vae = vae.file;
    job.vae_to_base = vae.to_base;
    code = job_prepare(&job, err);
    if (code == DR_OK) {
        forecast->width = job.request.width;
        forecast->height = job.request.height;
        describe_forecast(engine, &job, forecast);
        judge(engine, &job, forecast);
    }
    job_finish(&job);
    vae_file_close(&vae.file);
    return code;
}

enum dr_code dr_engine_forecast(struct dr_engine *engine,
                                const struct dr_generate_options *options,
                                struct dr_forecast *forecast, struct dr_error *err)
{
    *forecast = (struct dr_forecast){0};
    enum dr_code code = engine_enter(engine, err);
    if (code != DR_OK) return code;
    code = make_forecast(engine, options, forecast, err);
    engine_leave(engine);
    return code;
}

/* ---- inspection -------------------------------------------------------------------------- */

static enum dr_code copy_metadata(const struct tensor_file *file,
                                  struct dr_inspection *out, struct dr_error *err)
{
    out->metadata = calloc(file->metadata_count + 1, sizeof *out->metadata);
    if (!out->metadata)
        return error_set(err, DR_NOMEM, "no memory for the file's metadata");
    for (size_t i = 0; i < file->metadata_count; ++i) {
        out->metadata[i].key = strdup(file->metadata[i].key);
        out->metadata[i].text = strdup(file->metadata[i].text);
        out->metadata_count = i + 1;
        if (!out->metadata[i].key || !out->metadata[i].text)
            return error_set(err, DR_NOMEM, "no memory for the file's metadata");
    }
    return DR_OK;
}

static void add_neighbour(void *cookie, const char *path)
{
    struct dr_inspection *const out = cookie;
    char **const grown = realloc(out->vae_neighbours, (out->vae_neighbour_count + 1) *
                                                          sizeof *out->vae_neighbours);
    if (!grown) return;
    out->vae_neighbours = grown;
    grown[out->vae_neighbour_count] = strdup(path);
    if (grown[out->vae_neighbour_count]) ++out->vae_neighbour_count;
}

static enum dr_code read_digests(const struct checkpoint *checkpoint,
                                 struct dr_inspection *out, struct dr_error *err)
{
    enum {
        BUFFER_BYTES = 1 << 20
    };
    struct ledger ledger = {0};
    struct region buffer = {0};
    const struct region_options options = {.bytes = BUFFER_BYTES,
                                           .tag = REGION_SCRATCH,
                                           .component = "digest"};
    enum dr_code code = region_open(&buffer, &ledger, &options, err);
    for (int i = 0; code == DR_OK && i < ROLE_COUNT; ++i) {
        uint8_t digest[DIGEST_BYTES];
        if (!checkpoint->components[i].count) continue;
        code = component_digest_read(&checkpoint->components[i], buffer.data,
                                     buffer.bytes, digest, err);
        if (code == DR_OK) digest_hex(digest, out->digests[i]);
    }
    region_close(&buffer);
    return code;
}

static void inspect_neighbours(const char *path, const char *vae_folder,
                               struct dr_inspection *out)
{
    char folder[DR_PATH_BYTES];
    struct vae_resolution resolution;
    engine_find_vae_folder(vae_folder, folder, sizeof folder);
    const struct vae_resolution_request request = {.choice = "automatic",
                                                   .checkpoint = path,
                                                   .vae_folder = folder};
    vae_neighbours(&request, add_neighbour, out);
    if (vae_resolve(&resolution, &request, NULL) != DR_OK) return;
    (void)snprintf(out->automatic, sizeof out->automatic, "%s", resolution.path);
    (void)snprintf(out->automatic_reason, sizeof out->automatic_reason, "%s",
                   resolution.reason);
}

/* Which parts of a whole checkpoint the file has not. */
static void describe_lacks(const struct checkpoint *checkpoint,
                           struct dr_model_info *model)
{
    const struct component_index *const parts = checkpoint->components;
    if (checkpoint->family == FAMILY_VAE) return;
    const bool lacks_text2 =
        checkpoint->family == FAMILY_SDXL && !parts[ROLE_TEXT2].count;
    (void)snprintf(model->lacks, sizeof model->lacks, "%s%s%s%s",
                   parts[ROLE_TEXT].count ? "" : "no text encoder. ",
                   lacks_text2 ? "no second text encoder. " : "",
                   parts[ROLE_UNET].count ? "" : "no UNet. ",
                   parts[ROLE_VAE].count ? "" : "no VAE of its own. ");
}

enum dr_code dr_inspect(const char *path, const char *vae_folder, unsigned flags,
                        struct dr_inspection *inspection, struct dr_error *err)
{
    struct checkpoint checkpoint = {0};
    *inspection = (struct dr_inspection){0};
    if (!path || !*path) return error_set(err, DR_BAD_INPUT, "no file was given");
    if (strlen(path) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "the path is longer than %d bytes",
                         DR_PATH_BYTES - 1);
    enum dr_code code = checkpoint_open(&checkpoint, path, err);
    if (code != DR_OK) return code;
    engine_describe_model(&checkpoint, path, &inspection->model);
    describe_lacks(&checkpoint, &inspection->model);
    (void)snprintf(inspection->format, sizeof inspection->format, "%s",
                   checkpoint.file.format);
    for (size_t i = 0; i < checkpoint.file.shard_count; ++i)
        inspection->file_bytes += checkpoint.file.shards[i].identity.bytes;
    inspection->tensor_count = checkpoint.file.tensor_count;
    inspection->ignored_count = checkpoint.ignored_count;
    inspection->ignored_bytes = checkpoint.ignored_bytes;
    code = copy_metadata(&checkpoint.file, inspection, err);
    if (code == DR_OK && (flags & DR_INSPECT_DIGESTS))
        code = read_digests(&checkpoint, inspection, err);
    if (code == DR_OK && checkpoint.family != FAMILY_VAE)
        inspect_neighbours(path, vae_folder, inspection);
    checkpoint_close(&checkpoint);
    if (code != DR_OK) dr_inspection_free(inspection);
    return code;
}

void dr_inspection_free(struct dr_inspection *inspection)
{
    if (!inspection) return;
    for (size_t i = 0; i < inspection->metadata_count; ++i) {
        free(inspection->metadata[i].key);
        free(inspection->metadata[i].text);
    }
    for (size_t i = 0; i < inspection->vae_neighbour_count; ++i)
        free(inspection->vae_neighbours[i]);
    free(inspection->metadata);
    free(inspection->vae_neighbours);
    *inspection = (struct dr_inspection){0};
}

/* ---- small services ---------------------------------------------------------------------- */

enum dr_code dr_read_parameters(const char *path, char **text, struct dr_error *err)
{
    return image_read_parameters(path, text, err);
}

enum dr_code dr_parse_bytes(const char *text, uint64_t *bytes, struct dr_error *err)
{
    size_t size;
    if (!size_parse(text, &size))
        return error_set(
            err, DR_BAD_INPUT,
            "\"%.80s\" is no size; give bytes, or a number with K, M or G, such as "
            "512M",
            text);
    *bytes = size;
    return DR_OK;
}

char *dr_format_bytes(uint64_t bytes, char out[16])
{
    return size_format((size_t)bytes, out);
}
