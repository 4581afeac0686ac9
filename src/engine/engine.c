#include "engine/engine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "compute/compute.h"
#include "job/job.h"
#include "mem/headroom.h"
#include "switch/vae_folder.h"

/* ---- small things ------------------------------------------------------------------------ */

const char *dr_version(void)
{
    return DARKROOM_VERSION;
}

const char *dr_description(void)
{
    return compute_description();
}

double dr_clock_ms(void)
{
    return clock_ms();
}

struct dr_engine_options dr_engine_options_default(void)
{
    return (struct dr_engine_options){.precision = DR_PRECISION_UNSET,
                                      .weights = DR_WEIGHTS_UNSET};
}

void engine_lock(struct dr_engine *engine)
{
    ledger_lock(&engine->resources.ledger);
}

void engine_unlock(struct dr_engine *engine)
{
    ledger_unlock(&engine->resources.ledger);
}

static void set_call(struct dr_engine *engine, const char *call)
{
    engine_lock(engine);
    engine->call = call;
    engine_unlock(engine);
}

enum dr_code engine_enter(struct dr_engine *engine, const char *call,
                          struct dr_error *err)
{
    if (atomic_flag_test_and_set(&engine->busy))
        return error_set(err, DR_BUSY,
                         "the engine is busy with another call; try again");
    cancel_withdraw(&engine->cancel);
    set_call(engine, call);
    return DR_OK;
}

void engine_leave(struct dr_engine *engine)
{
    pipeline_unsettle(engine->model.pipeline);
    set_call(engine, NULL);
    cancel_withdraw(&engine->cancel);
    atomic_flag_clear(&engine->busy);
}

void dr_engine_cancel(struct dr_engine *engine)
{
    if (!engine) return;
    cancel_request(&engine->cancel);
    cancel_request(&engine->list_cancel);
}

/* ---- receipts ---------------------------------------------------------------------------- */

static struct dr_memory_point memory_point(const struct dr_engine *engine)
{
    return (struct dr_memory_point){.ledger_private_bytes =
                                        engine->resources.ledger.private_bytes,
                                    .ledger_mapped_bytes =
                                        engine->resources.ledger.mapped_bytes,
                                    .kernel_private_bytes = kernel_private_read()};
}

struct receipt_start receipt_begin(struct dr_engine *engine)
{
    engine->resources.cache = (struct cache_drop){.is_wanted = engine->drop_cache};
    return (struct receipt_start){.before = memory_point(engine),
                                  .opened_count = engine->resources.ledger.opened_count,
                                  .started_ms = clock_ms()};
}

void receipt_end(const struct dr_engine *engine, const struct receipt_start *start,
                 const char *reason, struct dr_receipt *receipt)
{
    char dropped[200];
    compute_trim();
    if (!receipt) return;
    const double ended_ms = clock_ms();
    *receipt =
        (struct dr_receipt){.before = start->before, .after = memory_point(engine)};
    /* Regions are numbered as they are opened: those above the mark are new. */
    for (const struct region *r = engine->resources.ledger.first; r; r = r->next)
        if (r->serial > start->opened_count) receipt->acquired_bytes += r->bytes;
    const uint64_t held_before =
        start->before.ledger_private_bytes + start->before.ledger_mapped_bytes;
    const uint64_t held_after =
        receipt->after.ledger_private_bytes + receipt->after.ledger_mapped_bytes;
    receipt->released_bytes = held_before + receipt->acquired_bytes - held_after;
    receipt->ms = ended_ms - start->started_ms;
    receipt->dropped_cache_bytes = cache_drop_bytes(&engine->resources.cache);
    cache_drop_describe(&engine->resources.cache, dropped, sizeof dropped);
    (void)snprintf(receipt->reason, sizeof receipt->reason, "%.*s%s",
                   (int)(sizeof receipt->reason - sizeof dropped), reason, dropped);
}

/* ---- open and close ---------------------------------------------------------------------- */

static void say_of_packs(void *cookie, const char *line)
{
    const struct dr_engine *const engine = cookie;
    resources_log(&engine->resources, DR_LOG_WARNING, "%s", line);
}

static void note_of_packs(void *cookie, const char *line)
{
    const struct dr_engine *const engine = cookie;
    resources_log(&engine->resources, DR_LOG_NOTICE, "%s", line);
}

static void open_packs(struct dr_engine *engine, const char *option)
{
    char folder[DR_PATH_BYTES];
    engine_find_pack_folder(option, folder, sizeof folder);
    pack_store_open(&engine->resources.packs, folder);
    engine->resources.packs.limit_bytes = engine->model.vae.settings.packs_limit_bytes;
    engine->resources.packs.say = say_of_packs;
    if (engine->resources.log) engine->resources.packs.note = note_of_packs;
    engine->resources.packs.say_cookie = engine;
    if (!folder[0] || pack_store_is_on(&engine->resources.packs)) return;
    const char *const said = getenv("DARKROOM_PACKS");
    const bool is_said = option || (said && *said);
    resources_log(&engine->resources, is_said ? DR_LOG_WARNING : DR_LOG_INFO,
                  "no packs, so all weights will be private memory: %s",
                  engine->resources.packs.off_reason);
}

/* The ledger's observer: what changed, in darkroom.h's words. */
static void tell_memory(void *cookie, enum ledger_change change,
                        const struct region *region)
{
    const struct dr_engine *const engine = cookie;
    struct dr_memory_event event = {
        .opened = change == LEDGER_OPENED,
        .ms = clock_ms(),
        .tag = region_tag_name(region->tag),
        .kind = region_kind_name(region->kind),
        .start = (uintptr_t)region->data,
        .bytes = region->bytes,
        .ledger_private_bytes = engine->resources.ledger.private_bytes,
        .ledger_mapped_bytes = engine->resources.ledger.mapped_bytes,
    };
    (void)snprintf(event.component, sizeof event.component, "%s", region->component);
    engine->memory(engine->memory_cookie, &event);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t engine_beside_bytes(const struct dr_engine *engine)
{
    return larger(engine->baseline_bytes, ENGINE_PROCESS_BYTES) +
           ENGINE_RESIDUAL_BYTES + engine->set_aside_bytes;
}

size_t engine_named_beside_bytes(const struct dr_engine *engine)
{
    return larger(engine->baseline_bytes + ENGINE_PROCESS_SLACK_BYTES,
                  ENGINE_PROCESS_BYTES) +
           ENGINE_RESIDUAL_BYTES + engine->set_aside_bytes;
}

struct job_context engine_job_context(struct dr_engine *engine)
{
    return (struct job_context){.pipeline = engine->model.pipeline,
                                .ledger = &engine->resources.ledger,
                                .cancel = engine->resources.cancel,
                                .probes = &engine->model.probes,
                                .dtype = engine->resources.dtype,
                                .exact_convolutions = engine->exact_convolutions,
                                .beside_bytes = engine_named_beside_bytes(engine)};
}

/* What a budget leaves for regions. At least a byte, since a limit of 0 is none. */
static size_t regions_bytes(const struct dr_engine *engine, size_t budget_bytes)
{
    const size_t beside = engine_beside_bytes(engine);
    return budget_bytes > beside ? budget_bytes - beside : 1;
}

/* A process that runs cannot hold less than it does. */
static enum dr_code refuse_budget(const struct dr_engine *engine, size_t budget_bytes,
                                  struct dr_error *err)
{
    const size_t beside = engine_beside_bytes(engine);
    char all[16], start[16], growth[16], aside[16], words[64] = "";
    if (engine->set_aside_bytes)
        (void)snprintf(words, sizeof words, ", and %s for the program around it",
                       size_format(engine->set_aside_bytes, aside));
    return error_set(
        err, DR_OVER_BUDGET,
        "a budget of %zu bytes leaves nothing for pictures: the process itself "
        "takes %zu bytes, or %s (%s at the start, and up to %s for primitives and heap%s); "
        "darkroom memory shows what a picture needs in all",
        budget_bytes, beside, size_format(beside, all),
        size_format(beside - ENGINE_RESIDUAL_BYTES - engine->set_aside_bytes, start),
        size_format(ENGINE_RESIDUAL_BYTES, growth), words);
}

/* given_bytes 0: the settings', else the default. An engine that opens takes any that has room for what its program
 * sets aside: it refuses each job, with the budget that is sufficient for that. */
static enum dr_code set_limit(struct dr_engine *engine, uint64_t given_bytes,
                              struct dr_error *err)
{
    const uint64_t bytes =
        given_bytes ? given_bytes : engine->model.vae.settings.budget_bytes;
    size_t budget = (size_t)bytes;
    char reason[DR_TEXT_BYTES], given[16], there[16];
    if (bytes == 0) {
        const size_t least = engine->machine.bytes;
        budget = least - least / 10;
        (void)snprintf(reason, sizeof reason, "90 %% of %.160s",
                       engine->machine.reason);
    } else {
        (void)snprintf(reason, sizeof reason, "%s",
                       given_bytes ? "as given" : "as the settings have it");
        if (budget > engine->machine.bytes)
            resources_log(
                &engine->resources, DR_LOG_WARNING,
                "the budget of %s is larger than the available memory: %s (%.150s); "
                "beyond that the kernel may kill the process",
                size_format(budget, given), size_format(engine->machine.bytes, there),
                engine->machine.reason);
    }
    const bool is_open = engine->budget_bytes > 0;
    if ((is_open || engine->set_aside_bytes) && budget <= engine_beside_bytes(engine))
        return refuse_budget(engine, budget, err);
    const size_t limit = regions_bytes(engine, budget);
    engine_lock(engine);
    if (engine->resources.ledger.private_bytes > limit && engine->model.pipeline)
        (void)pipeline_release(engine->model.pipeline);
    engine->resources.ledger.limit_bytes = limit;
    engine->budget_bytes = budget;
    (void)snprintf(engine->budget_reason, sizeof engine->budget_reason, "%s", reason);
    engine_unlock(engine);
    return DR_OK;
}

/* Asked for, bfloat16 is emulated where the processor has none of it; by itself nobody would want
 * the time that takes. */
static enum dr_code choose_dtype(struct dr_engine *engine, enum dr_precision given,
                                 struct dr_error *err)
{
    const enum dr_precision precision =
        given == DR_PRECISION_UNSET ? engine->model.vae.settings.precision : given;
    const bool has_bf16 = compute_has_bf16();
    const bool emulates = precision == DR_PRECISION_BF16 && !has_bf16;
    if (emulates && !compute_can_bf16())
        return error_set(
            err, DR_UNSUPPORTED,
            "this processor does not support bfloat16 (it has neither AVX512-BF16 "
            "nor AVX512 to emulate it); use --precision f32 or auto");
    if (emulates)
        resources_log(
            &engine->resources, DR_LOG_WARNING,
            "this processor does not support bfloat16 (it has no AVX512-BF16), so it "
            "is emulated, which is several times as slow as float32");
    const bool is_bf16 = emulates || (precision != DR_PRECISION_F32 && has_bf16);
    engine->resources.dtype = is_bf16 ? DTYPE_BF16 : DTYPE_F32;
    return DR_OK;
}

static enum dr_code choose_storage(struct dr_engine *engine, enum dr_weights given,
                                   struct dr_error *err)
{
    enum component_storage *const storage = &engine->resources.storage;
    const enum dr_weights weights =
        given == DR_WEIGHTS_UNSET ? engine->model.vae.settings.weights : given;
    switch (weights) {
    case DR_WEIGHTS_UNSET:
    case DR_WEIGHTS_AUTO: *storage = STORAGE_FILE; return DR_OK;
    case DR_WEIGHTS_F32: *storage = STORAGE_COMPUTED; return DR_OK;
    case DR_WEIGHTS_F16: *storage = STORAGE_F16; return DR_OK;
    case DR_WEIGHTS_Q8: *storage = STORAGE_Q8; return DR_OK;
    case DR_WEIGHTS_Q4: *storage = STORAGE_Q4; return DR_OK;
    }
    return error_set(err, DR_BAD_INPUT, "%d is not a type of weights", (int)weights);
}

/* The settings, and the VAE folder that depends on them. */
static enum dr_code read_settings(struct dr_engine *engine,
                                  const struct dr_engine_options *options,
                                  struct dr_error *err)
{
    const enum dr_code code =
        dr_settings_read(options->settings_path, &engine->model.vae.settings, err);
    if (code != DR_OK) return code;
    if (engine->model.vae.settings.warnings[0])
        resources_log(&engine->resources, DR_LOG_WARNING, "%s: %s",
                      engine->model.vae.settings.path,
                      engine->model.vae.settings.warnings);
    vae_folder_find(options->vae_folder, engine->model.vae.settings.vae_folder,
                    engine->model.vae.folder, sizeof engine->model.vae.folder);
    return engine_begin_base(engine, options->base, err);
}

static void warn_of_threads(const struct dr_engine *engine)
{
    char limit[HEADROOM_TEXT_BYTES];
    const int count = compute_thread_count(), refused = compute_refused_threads();
    if (refused == 0) return;
    const bool is_limited = headroom_describe(limit); /* each has a stack */
    resources_log(
        &engine->resources, DR_LOG_WARNING,
        "%d of %d threads are used, because the system creates no more: see the "
        "limits on threads (ulimit -u, a container's pids)%s%s",
        count, count + refused, is_limited ? "; " : "", is_limited ? limit : "");
}

static void find_baseline(struct dr_engine *engine)
{
    char size[16];
    const size_t private_bytes = kernel_private_read();
    engine->baseline_known = private_bytes != KERNEL_UNKNOWN;
    engine->baseline_bytes = private_bytes;
    if (engine->baseline_known) return;
    const size_t resident = kernel_resident_read();
    engine->baseline_bytes =
        resident != KERNEL_UNKNOWN ? resident : ENGINE_BASELINE_BYTES;
    resources_log(
        &engine->resources, DR_LOG_WARNING,
        "the kernel does not report the private memory of this process here (neither "
        "pagemap nor smaps in /proc/self): its figures are unknown, and %s of the "
        "budget %s",
        size_format(engine->baseline_bytes, size),
        resident != KERNEL_UNKNOWN
            ? "are set aside for what it held at its start, including mapped files"
            : "are set aside for what it held at its start");
}

/* Recursive: a change of several things, of which some are regions, is one for who looks. */
static enum dr_code make_lock(pthread_mutex_t *lock, struct dr_error *err)
{
    pthread_mutexattr_t recursive;
    int refused = pthread_mutexattr_init(&recursive);
    if (refused)
        return error_set_errno(err, DR_NOMEM, refused, "no lock for an engine");
    refused = pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    if (!refused) refused = pthread_mutex_init(lock, &recursive);
    (void)pthread_mutexattr_destroy(&recursive);
    return refused ? error_set_errno(err, DR_NOMEM, refused, "no lock for an engine")
                   : DR_OK;
}

enum dr_code dr_engine_open(struct dr_engine **out,
                            const struct dr_engine_options *options,
                            struct dr_error *err)
{
    *out = NULL;
    if (options->thread_count < 0 || options->thread_count > 1024)
        return error_set(err, DR_BAD_INPUT,
                         "%d threads are out of range: give 1 to 1024, or 0 for "
                         "all cores",
                         (int)options->thread_count);
    if (options->set_aside_bytes > SIZE_MAX / 4)
        return error_set(err, DR_BAD_INPUT,
                         "%" PRIu64 " bytes cannot be set aside of a budget",
                         options->set_aside_bytes);
    struct dr_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return error_set(err, DR_NOMEM, "no memory for an engine");
    engine->resources.cancel = &engine->cancel;
    enum dr_code code = make_lock(&engine->lock, err);
    if (code != DR_OK) {
        free(engine);
        return code;
    }
    engine->resources.ledger.lock = &engine->lock;
    atomic_flag_clear(&engine->busy);
    engine->model.resources = &engine->resources;
    engine->model.probes.ledger = &engine->resources.ledger;
    engine->resources.log = options->log;
    engine->resources.log_cookie = options->log_cookie;
    engine->resources.load_progress = options->load_progress;
    engine->resources.load_cookie = options->load_cookie;
    engine->drop_cache = options->drop_cache != 0;
    engine->exact_convolutions = options->exact_convolutions != 0;
    engine->set_aside_bytes = (size_t)options->set_aside_bytes;
    engine->memory = options->memory;
    engine->memory_cookie = options->memory_cookie;
    if (options->memory)
        engine->resources.ledger.observer =
            (struct ledger_observer){.changed = tell_memory, .cookie = engine};
    if (options->tokenizer_folder)
        (void)snprintf(engine->model.tokenizer_folder,
                       sizeof engine->model.tokenizer_folder, "%s",
                       options->tokenizer_folder);
    code = read_settings(engine, options, err);
    if (code == DR_OK) open_packs(engine, options->pack_folder);
    if (code == DR_OK) code = compute_init(options->thread_count, err);
    if (code == DR_OK) code = choose_dtype(engine, options->precision, err);
    if (code == DR_OK) code = choose_storage(engine, options->weights, err);
    if (code == DR_OK) warn_of_threads(engine);
    if (code == DR_OK) find_baseline(engine);
    if (code == DR_OK) code = memory_limit_read(&engine->machine, err);
    if (code == DR_OK) code = set_limit(engine, options->budget_bytes, err);
    if (code != DR_OK) dr_engine_close(&engine);
    *out = engine;
    return code;
}

void dr_engine_close(struct dr_engine **engine)
{
    if (!engine || !*engine) return;
    current_model_close(&(*engine)->model);
    (void)pthread_mutex_destroy(&(*engine)->lock);
    free(*engine);
    *engine = NULL;
    compute_trim();
}

enum dr_code dr_engine_set_budget(struct dr_engine *engine, uint64_t bytes,
                                  struct dr_error *err)
{
    enum dr_code code = engine_enter(engine, "budget", err);
    if (code != DR_OK) return code;
    code = set_limit(engine, bytes, err);
    engine_leave(engine);
    return code;
}
