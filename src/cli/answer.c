#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- text -------------------------------------------------------------------------------- */

/* The length of the UTF-8 character at text, 0 where there is none: jansson knows which are. */
static size_t character_bytes(const char *text)
{
    for (size_t bytes = 1; bytes <= strnlen(text, 4); ++bytes) {
        json_t *const character = json_stringn(text, bytes);
        json_decref(character);
        if (character) return bytes;
    }
    return 0;
}

static char *valid_utf8(const char *text)
{
    static const char replacement[3] = "\xEF\xBF\xBD";
    char *const valid = malloc(3 * strlen(text) + 1);
    if (!valid) return NULL;
    char *to = valid;
    while (*text) {
        const size_t bytes = character_bytes(text);
        memcpy(to, bytes ? text : replacement, bytes ? bytes : sizeof replacement);
        to += bytes ? bytes : sizeof replacement;
        text += bytes ? bytes : 1;
    }
    *to = '\0';
    return valid;
}

json_t *answer_text(const char *text)
{
    json_t *const plain = json_string(text);
    if (plain) return plain;
    char *const valid = valid_utf8(text);
    json_t *const mended = valid ? json_string_nocheck(valid) : NULL;
    free(valid);
    return mended;
}

void answer_set_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, answer_text(text));
}

void answer_set_bytes(json_t *object, const char *key, uint64_t bytes)
{
    (void)json_object_set_new(object, key,
                              bytes == DR_UNKNOWN_BYTES
                                  ? json_null()
                                  : json_integer((json_int_t)bytes));
}

void answer_set_seed(json_t *object, uint64_t seed)
{
    (void)json_object_set_new(object, "seed", json_integer((json_int_t)seed));
}

uint64_t answer_seed(const json_t *value)
{
    return (uint64_t)json_integer_value(value);
}

static void set_real(json_t *object, const char *key, double value)
{
    (void)json_object_set_new(object, key, json_real(value));
}

static void set_flag(json_t *object, const char *key, int value)
{
    (void)json_object_set_new(object, key, json_boolean(value));
}

/* ---- structs ----------------------------------------------------------------------------- */

json_t *answer_error(const struct dr_error *err)
{
    json_t *const object = json_object();
    answer_set_text(object, "code", dr_code_name(err->code));
    answer_set_text(object, "message", err->message);
    return object;
}

static json_t *memory_point(const struct dr_memory_point *point)
{
    json_t *const object = json_object();
    answer_set_bytes(object, "private_bytes", point->ledger_private_bytes);
    answer_set_bytes(object, "mapped_bytes", point->ledger_mapped_bytes);
    answer_set_bytes(object, "kernel_private_bytes", point->kernel_private_bytes);
    return object;
}

json_t *answer_receipt(const struct dr_receipt *receipt)
{
    json_t *const object = json_object();
    answer_set_bytes(object, "released_bytes", receipt->released_bytes);
    answer_set_bytes(object, "acquired_bytes", receipt->acquired_bytes);
    answer_set_bytes(object, "dropped_cache_bytes", receipt->dropped_cache_bytes);
    (void)json_object_set_new(object, "before", memory_point(&receipt->before));
    (void)json_object_set_new(object, "after", memory_point(&receipt->after));
    set_real(object, "ms", receipt->ms);
    answer_set_text(object, "reason", receipt->reason);
    return object;
}

static json_t *component(const struct dr_component_info *info, const char *digest)
{
    json_t *const object = json_object();
    answer_set_text(object, "role", dr_role_name(info->role));
    answer_set_bytes(object, "tensor_count", info->tensor_count);
    if (info->parameter_count)
        answer_set_bytes(object, "parameter_count", info->parameter_count);
    if (info->stored_types[0])
        answer_set_text(object, "stored_types", info->stored_types);
    answer_set_bytes(object, "stored_bytes", info->stored_bytes);
    if (info->weights_bytes)
        answer_set_bytes(object, "weights_bytes", info->weights_bytes);
    if (digest && *digest) answer_set_text(object, "digest", digest);
    return object;
}

static json_t *components(const struct dr_component_info *list, int32_t count,
                          const char digests[][DR_DIGEST_CHARS])
{
    json_t *const array = json_array();
    for (int32_t i = 0; i < count; ++i)
        (void)json_array_append_new(
            array, component(&list[i], digests ? digests[list[i].role] : NULL));
    return array;
}

json_t *answer_model(const struct dr_model_info *model)
{
    json_t *const object = json_object();
    answer_set_text(object, "path", model->path);
    answer_set_text(object, "family", model->family);
    (void)json_object_set_new(object, "components",
                              components(model->components, model->component_count,
                                         NULL));
    if (model->lacks[0]) answer_set_text(object, "lacks", model->lacks);
    return object;
}

json_t *answer_vae(const struct dr_vae_info *vae)
{
    json_t *const object = json_object();
    answer_set_text(object, "choice", vae->choice);
    answer_set_text(object, "source", vae->source);
    answer_set_text(object, "reason", vae->reason);
    answer_set_text(object, "active", vae->override_active ? "override" : "base");
    answer_set_text(object, "name", vae->name);
    answer_set_text(object, "path", vae->path);
    answer_set_text(object, "digest", vae->digest);
    set_flag(object, "verified", vae->verified);
    set_flag(object, "resident", vae->resident);
    set_real(object, "scale_factor", (double)vae->scale_factor);
    answer_set_text(object, "probe", vae->probe);
    return object;
}

json_t *answer_images(const struct dr_image_info *images, int32_t count)
{
    json_t *const array = json_array();
    for (int32_t i = 0; i < count; ++i) {
        json_t *const image = json_object();
        answer_set_text(image, "path", images[i].path);
        answer_set_seed(image, images[i].seed);
        (void)json_array_append_new(array, image);
    }
    return array;
}

json_t *answer_timings(const struct dr_generate_result *result)
{
    json_t *const object = json_object();
    set_real(object, "text", result->text_ms);
    set_real(object, "unet_per_step", result->unet_per_step_ms);
    set_real(object, "vae", result->vae_ms);
    return object;
}

json_t *answer_budget(uint64_t bytes, const char *reason)
{
    json_t *const object = json_object();
    answer_set_bytes(object, "bytes", bytes);
    answer_set_text(object, "reason", reason);
    return object;
}

static json_t *forecast_levels(const struct dr_forecast *forecast)
{
    json_t *const levels = json_array();
    for (int32_t i = 0; i < forecast->level_count; ++i) {
        const struct dr_forecast_level *const level = &forecast->levels[i];
        json_t *const object = json_object();
        answer_set_text(object, "manner", level->manner);
        answer_set_bytes(object, "budget_bytes", level->budget_bytes);
        answer_set_bytes(object, "peak_bytes", level->peak_bytes);
        set_real(object, "work", level->work);
        (void)json_array_append_new(levels, object);
    }
    return levels;
}

json_t *answer_forecast(const struct dr_forecast *forecast)
{
    json_t *const object = json_object();
    (void)json_object_set_new(object, "width", json_integer(forecast->width));
    (void)json_object_set_new(object, "height", json_integer(forecast->height));
    (void)json_object_set_new(object, "components",
                              components(forecast->components,
                                         forecast->component_count, NULL));
    answer_set_bytes(object, "text_arena_bytes", forecast->text_arena_bytes);
    answer_set_bytes(object, "unet_arena_bytes", forecast->unet_arena_bytes);
    answer_set_bytes(object, "vae_arena_bytes", forecast->vae_arena_bytes);
    answer_set_bytes(object, "load_scratch_bytes", forecast->load_scratch_bytes);
    answer_set_bytes(object, "resident_peak_bytes", forecast->resident_peak_bytes);
    answer_set_bytes(object, "phased_peak_bytes", forecast->phased_peak_bytes);
    (void)json_object_set_new(object, "levels", forecast_levels(forecast));
    set_real(object, "unet_flop", forecast->unet_flop);
    set_real(object, "vae_flop", forecast->vae_flop);
    set_flag(object, "fits", forecast->fits);
    answer_set_text(object, "verdict", forecast->verdict);
    return object;
}

/* ---- memory ------------------------------------------------------------------------------ */

static json_t *component_memory(const struct dr_component_memory *part)
{
    json_t *const object = json_object();
    answer_set_text(object, "name", part->name);
    answer_set_text(object, "role", dr_role_name(part->role));
    answer_set_text(object, "state", dr_slot_state_name(part->state));
    answer_set_text(object, "path", part->path);
    answer_set_bytes(object, "private_bytes", part->private_bytes);
    answer_set_bytes(object, "mapped_bytes", part->mapped_bytes);
    return object;
}

static json_t *region(const struct dr_region_info *info)
{
    json_t *const object = json_object();
    answer_set_bytes(object, "start", info->start);
    answer_set_bytes(object, "bytes", info->bytes);
    answer_set_text(object, "tag", info->tag);
    answer_set_text(object, "component", info->component);
    answer_set_text(object, "kind", info->kind);
    return object;
}

static void add_totals(json_t *answer, const struct dr_memory *memory)
{
    json_t *const ledger = json_object(), *const kernel = json_object();
    answer_set_bytes(ledger, "private_bytes", memory->ledger.private_bytes);
    answer_set_bytes(ledger, "mapped_bytes", memory->ledger.mapped_bytes);
    answer_set_bytes(ledger, "peak_private_bytes", memory->ledger.peak_private_bytes);
    answer_set_bytes(kernel, "private_bytes", memory->kernel.private_bytes);
    answer_set_bytes(kernel, "mapped_resident_bytes",
                     memory->kernel.mapped_resident_bytes);
    answer_set_bytes(kernel, "rss_bytes", memory->kernel.rss_bytes);
    answer_set_bytes(kernel, "pss_bytes", memory->kernel.pss_bytes);
    (void)json_object_set_new(answer, "ledger", ledger);
    (void)json_object_set_new(answer, "kernel", kernel);
}

static void add_residual(json_t *answer, const struct dr_memory *memory)
{
    json_t *const residual = json_object();
    answer_set_bytes(residual, "total_bytes", memory->residual.total_bytes);
    answer_set_bytes(residual, "image_bytes", memory->residual.image_bytes);
    answer_set_bytes(residual, "heap_bytes", memory->residual.heap_bytes);
    answer_set_bytes(residual, "heap_used_bytes", memory->residual.heap_used_bytes);
    answer_set_bytes(residual, "heap_retained_bytes",
                     memory->residual.heap_retained_bytes);
    answer_set_bytes(residual, "stack_bytes", memory->residual.stack_bytes);
    answer_set_bytes(residual, "jit_bytes", memory->residual.jit_bytes);
    answer_set_bytes(residual, "shmem_bytes", memory->residual.shmem_bytes);
    answer_set_bytes(residual, "other_bytes", memory->residual.other_bytes);
    answer_set_bytes(residual, "baseline_bytes", memory->residual.baseline_bytes);
    (void)json_object_set_new(answer, "residual", residual);
}

void answer_add_memory(json_t *answer, const struct dr_memory *memory)
{
    json_t *const parts = json_array(), *const regions = json_array();
    for (int32_t i = 0; i < memory->component_count; ++i)
        (void)json_array_append_new(parts, component_memory(&memory->components[i]));
    for (size_t i = 0; i < memory->region_count; ++i)
        (void)json_array_append_new(regions, region(&memory->regions[i]));
    (void)json_object_set_new(answer, "pid", json_integer(memory->pid));
    (void)json_object_set_new(answer, "components", parts);
    (void)json_object_set_new(answer, "regions", regions);
    add_totals(answer, memory);
    add_residual(answer, memory);
    if (memory->regions_agree < 0)
        (void)json_object_set_new(answer, "regions_agree", json_null());
    else
        set_flag(answer, "regions_agree", memory->regions_agree);
    if (memory->disagreement[0])
        answer_set_text(answer, "disagreement", memory->disagreement);
    (void)json_object_set_new(
        answer, "budget", answer_budget(memory->budget_bytes, memory->budget_reason));
}

/* ---- inspection -------------------------------------------------------------------------- */

static json_t *digests(const struct dr_inspection *inspection)
{
    json_t *const object = json_object();
    for (int role = 0; role < DR_ROLE_COUNT; ++role)
        if (inspection->digests[role][0])
            answer_set_text(object, dr_role_name((enum dr_role)role),
                            inspection->digests[role]);
    return object;
}

static json_t *metadata(const struct dr_inspection *inspection)
{
    json_t *const object = json_object();
    for (size_t i = 0; i < inspection->metadata_count; ++i) {
        char *const key = valid_utf8(inspection->metadata[i].key);
        if (key) answer_set_text(object, key, inspection->metadata[i].text);
        free(key);
    }
    return object;
}

static json_t *texts(char *const *list, size_t count)
{
    json_t *const array = json_array();
    for (size_t i = 0; i < count; ++i)
        (void)json_array_append_new(array, answer_text(list[i]));
    return array;
}

/* What the UNet predicts and by which schedule it was trained, and who says so. */
static void add_meaning(json_t *answer, const struct dr_inspection *inspection)
{
    if (inspection->unsupported[0])
        answer_set_text(answer, "unsupported", inspection->unsupported);
    if (inspection->prediction[0]) {
        json_t *const prediction = json_object(), *const schedule = json_object();
        answer_set_text(prediction, "type", inspection->prediction);
        answer_set_text(prediction, "source", inspection->prediction_source);
        answer_set_text(schedule, "betas",
                        "scaled_linear, 0.00085 to 0.012, 1000 steps");
        set_flag(schedule, "zero_terminal_snr", inspection->zero_terminal_snr);
        answer_set_text(schedule, "source", inspection->schedule_source);
        (void)json_object_set_new(answer, "prediction", prediction);
        (void)json_object_set_new(answer, "schedule", schedule);
    }
    if (inspection->refused_count > 0)
        (void)json_object_set_new(
            answer, "refused", texts(inspection->refused, inspection->refused_count));
    if (inspection->warning_count > 0)
        (void)json_object_set_new(
            answer, "warnings", texts(inspection->warnings, inspection->warning_count));
}

static void add_vae_neighbours(json_t *answer, const struct dr_inspection *inspection)
{
    json_t *const automatic = json_object();
    json_t *const neighbours =
        texts(inspection->vae_neighbours, inspection->vae_neighbour_count);
    answer_set_text(automatic, "active",
                    inspection->automatic[0] ? "override" : "base");
    answer_set_text(automatic, "path", inspection->automatic);
    answer_set_text(automatic, "reason", inspection->automatic_reason);
    (void)json_object_set_new(answer, "vae_neighbours", neighbours);
    (void)json_object_set_new(answer, "automatic", automatic);
}

void answer_add_inspection(json_t *answer, const struct dr_inspection *inspection)
{
    const struct dr_model_info *const model = &inspection->model;
    answer_set_text(answer, "path", model->path);
    answer_set_text(answer, "family", model->family);
    answer_set_text(answer, "format", inspection->format);
    answer_set_bytes(answer, "file_bytes", inspection->file_bytes);
    answer_set_bytes(answer, "tensor_count", inspection->tensor_count);
    (void)json_object_set_new(answer, "components",
                              components(model->components, model->component_count,
                                         inspection->digests));
    if (inspection->ignored_count) {
        json_t *const ignored = json_object();
        answer_set_bytes(ignored, "tensor_count", inspection->ignored_count);
        answer_set_bytes(ignored, "bytes", inspection->ignored_bytes);
        (void)json_object_set_new(answer, "ignored", ignored);
    }
    if (model->lacks[0]) answer_set_text(answer, "lacks", model->lacks);
    add_meaning(answer, inspection);
    json_t *const all_digests = digests(inspection);
    if (json_object_size(all_digests) > 0)
        (void)json_object_set(answer, "digests", all_digests);
    json_decref(all_digests);
    (void)json_object_set_new(answer, "metadata", metadata(inspection));
    if (inspection->automatic_reason[0]) add_vae_neighbours(answer, inspection);
}

/* ---- VAEs and settings ------------------------------------------------------------------- */

static json_t *listed_vae(const struct dr_vae_list *list,
                          const struct dr_listed_vae *vae)
{
    json_t *const object = json_object();
    answer_set_text(object, "choice", vae->choice);
    set_flag(object, "active", vae->active);
    set_flag(object, "usable", vae->code == DR_OK);
    answer_set_text(object, "family", vae->family);
    answer_set_text(object, "stored_types", vae->stored_types);
    answer_set_bytes(object, "stored_bytes", vae->stored_bytes);
    answer_set_text(object, "format", vae->format);
    answer_set_text(object, "found", vae->found);
    answer_set_text(object, "path", vae->path);
    answer_set_text(object, "same_as",
                    vae->same_as < 0 ? "" : list->vaes[vae->same_as].choice);
    answer_set_text(object, "digest", vae->digest);
    answer_set_text(object, "fit", vae->fit);
    return object;
}

static json_t *listed_choice(const struct dr_listed_choice *choice)
{
    json_t *const object = json_object();
    const char *const active = choice->path[0] ? "override" : "base";
    answer_set_text(object, "choice", choice->choice);
    answer_set_text(object, "source", choice->source);
    answer_set_text(object, "active",
                    choice->code == DR_OK ? active : dr_code_name(choice->code));
    answer_set_text(object, "path", choice->path);
    answer_set_text(object, "reason", choice->reason);
    return object;
}

/* "2026-11-25 09:30" */
static json_t *time_text(int64_t seconds)
{
    char text[32] = "";
    const time_t when = (time_t)seconds;
    struct tm local;
    if (localtime_r(&when, &local))
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
    return json_string(text);
}

void answer_add_pack_list(json_t *answer, const struct dr_pack_list *list)
{
    json_t *const packs = json_array();
    for (size_t i = 0; i < list->count; ++i) {
        const struct dr_pack_info *const pack = &list->packs[i];
        json_t *const object = json_object();
        answer_set_text(object, "source", pack->source);
        answer_set_text(object, "state", dr_pack_state_name(pack->state));
        answer_set_bytes(object, "bytes", pack->bytes);
        (void)json_object_set_new(object, "used", time_text(pack->used_s));
        answer_set_text(object, "path", pack->path);
        if (pack->problem[0]) answer_set_text(object, "problem", pack->problem);
        (void)json_array_append_new(packs, object);
    }
    answer_set_text(answer, "folder", list->folder);
    answer_set_bytes(answer, "bytes", list->bytes);
    (void)json_object_set_new(answer, "packs", packs);
}

void answer_add_vae_list(json_t *answer, const struct dr_vae_list *list)
{
    json_t *const vaes = json_array(), *const choices = json_array();
    for (size_t i = 0; i < list->vae_count; ++i)
        (void)json_array_append_new(vaes, listed_vae(list, &list->vaes[i]));
    for (size_t i = 0; i < list->choice_count; ++i)
        (void)json_array_append_new(choices, listed_choice(&list->choices[i]));
    answer_set_text(answer, "checkpoint", list->model);
    answer_set_text(answer, "vae_dir", list->vae_folder);
    (void)json_object_set_new(answer, "vaes", vaes);
    (void)json_object_set_new(answer, "choices", choices);
    if (list->left_out_count)
        answer_set_bytes(answer, "left_out_count", list->left_out_count);
    if (list->left_out[0]) answer_set_text(answer, "left_out", list->left_out);
}

void answer_add_settings(json_t *answer, const struct dr_settings *settings)
{
    json_t *const models = json_array();
    for (size_t i = 0; i < settings->model_count; ++i) {
        json_t *const entry = json_object();
        answer_set_text(entry, "model", settings->models[i].model);
        answer_set_text(entry, "vae", settings->models[i].vae);
        (void)json_array_append_new(models, entry);
    }
    answer_set_text(answer, "path", settings->path);
    set_flag(answer, "exists", settings->exists);
    if (settings->vae[0]) answer_set_text(answer, "vae", settings->vae);
    (void)json_object_set_new(answer, "vae_by_model", models);
    if (settings->vae_folder[0])
        answer_set_text(answer, "vae_dir", settings->vae_folder);
    if (settings->warnings[0]) answer_set_text(answer, "warnings", settings->warnings);
}

/* ---- printing ---------------------------------------------------------------------------- */

/* A line of JSON, with seeds as they were meant. Nothing else can look like one: in a text the
 * quotes would stand behind backslashes, and no text begins with a minus. */
static void print_line(const char *line, FILE *stream)
{
    static const char key[] = "\"seed\":", minus[] = "\"seed\":-";
    const char *at;
    while ((at = strstr(line, minus)) != NULL) {
        char *end;
        const long long value = strtoll(at + strlen(key), &end, 10);
        fprintf(stream, "%.*s%s%llu", (int)(at - line), line, key,
                (unsigned long long)value);
        line = end;
    }
    fputs(line, stream);
}

bool answer_print(const json_t *answer, FILE *stream)
{
    char *const line =
        answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(7)) : NULL;
    print_line(
        line
            ? line
            : "{\"ok\":false,\"error\":{\"code\":\"no_memory\",\"message\":\"no memory for the "
              "answer\"}}",
        stream);
    free(line);
    fputc('\n', stream);
    return fflush(stream) == 0 && !ferror(stream);
}
