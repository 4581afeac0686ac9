#include "engine/job_handle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

const char *dr_job_state_name(enum dr_job_state state)
{
    switch (state) {
    case DR_JOB_CREATED: return "created";
    case DR_JOB_RUNNING: return "running";
    case DR_JOB_DONE: return "done";
    case DR_JOB_FAILED: return "failed";
    case DR_JOB_CANCELLED: return "cancelled";
    }
    return "";
}

/* ---- making one -------------------------------------------------------------------------- */

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for a job");
}

static struct dr_job *new_handle(struct dr_engine *engine)
{
    struct dr_job *const job = calloc(1, sizeof *job);
    if (!job) return NULL;
    if (pthread_mutex_init(&job->lock, NULL) != 0) {
        free(job);
        return NULL;
    }
    job->engine = engine;
    return job;
}

/* Make the string the handle's own. NULL stays. */
static bool keep(struct dr_job *job, const char **string)
{
    if (!*string) return true;
    assert(job->string_count < JOB_HANDLE_STRINGS);
    char *const copy = strdup(*string);
    if (!copy) return false;
    job->strings[job->string_count++] = copy;
    *string = copy;
    return true;
}

/* The names of all files. */
static bool keep_outputs(struct dr_job *job)
{
    const size_t count = (size_t)job->generate.batch;
    job->outputs = calloc(count, sizeof *job->outputs);
    if (!job->outputs) return false;
    for (size_t i = 0; i < count; ++i) {
        job->outputs[i] = strdup(job->generate.outputs[i]);
        if (!job->outputs[i]) return false;
        ++job->output_count;
    }
    job->generate.outputs = (const char *const *)job->outputs;
    return true;
}

/* More are refused when the job begins. */
static bool keep_loras(struct dr_job *job)
{
    const int32_t count = job->generate.lora_count;
    if (count <= 0 || count > DR_MAX_LORAS) return true;
    struct dr_lora *const loras = calloc((size_t)count, sizeof *loras);
    if (!loras) return false;
    job->loras = loras;
    for (int32_t i = 0; i < count; ++i) {
        loras[i] = job->generate.loras[i];
        loras[i].path = strdup(loras[i].path ? loras[i].path : "");
        if (!loras[i].path) return false;
        ++job->lora_count;
    }
    job->generate.loras = loras;
    return true;
}

enum dr_code job_handle_create_generate(struct dr_engine *engine,
                                        const struct dr_generate_options *options,
                                        struct dr_job **out, struct dr_error *err)
{
    struct dr_job *job = new_handle(engine);
    *out = NULL;
    if (!job) return no_memory(err);
    job->generate = *options;
    struct dr_generate_options *const own = &job->generate;
    const char **const strings[] = {
        &own->prompt,  &own->negative,       &own->output,
        &own->sampler, &own->scheduler,      &own->vae,
        &own->init,    &own->lora_directory, &own->embedding_directory};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; ++i) {
        if (keep(job, strings[i])) continue;
        dr_job_destroy(&job);
        return no_memory(err);
    }
    if (!keep_loras(job) || (own->outputs && own->batch > 0 && !keep_outputs(job))) {
        dr_job_destroy(&job);
        return no_memory(err);
    }
    *out = job;
    return DR_OK;
}

enum dr_code job_handle_create_codec(struct dr_engine *engine,
                                     enum codec_direction direction,
                                     const struct dr_codec_options *options,
                                     struct dr_job **out, struct dr_error *err)
{
    struct dr_job *job = new_handle(engine);
    *out = NULL;
    if (!job) return no_memory(err);
    job->is_codec = true;
    job->direction = direction;
    job->codec = *options;
    if (!keep(job, &job->codec.input) || !keep(job, &job->codec.output) ||
        !keep(job, &job->codec.vae)) {
        dr_job_destroy(&job);
        return no_memory(err);
    }
    *out = job;
    return DR_OK;
}

enum dr_code dr_job_create_generate(struct dr_engine *engine,
                                    const struct dr_generate_options *options,
                                    struct dr_job **out, struct dr_error *err)
{
    *out = NULL;
    const enum dr_code code = request_check_generate(options, err);
    return code == DR_OK ? job_handle_create_generate(engine, options, out, err) : code;
}

static enum dr_code create_codec(struct dr_engine *engine,
                                 enum codec_direction direction,
                                 const struct dr_codec_options *options,
                                 struct dr_job **out, struct dr_error *err)
{
    *out = NULL;
    const enum dr_code code = request_check_codec(options, direction, err);
    return code == DR_OK ? job_handle_create_codec(engine, direction, options, out, err)
                         : code;
}

enum dr_code dr_job_create_encode(struct dr_engine *engine,
                                  const struct dr_codec_options *options,
                                  struct dr_job **out, struct dr_error *err)
{
    return create_codec(engine, CODEC_ENCODE, options, out, err);
}

enum dr_code dr_job_create_decode(struct dr_engine *engine,
                                  const struct dr_codec_options *options,
                                  struct dr_job **out, struct dr_error *err)
{
    return create_codec(engine, CODEC_DECODE, options, out, err);
}

void dr_job_destroy(struct dr_job **job)
{
    if (!job || !*job) return;
    struct dr_job *const it = *job;
    assert(it->progress.state != DR_JOB_RUNNING);
    for (int32_t i = 0; i < it->string_count; ++i)
        free(it->strings[i]);
    for (size_t i = 0; i < it->output_count; ++i)
        free(it->outputs[i]);
    free(it->outputs);
    for (int32_t i = 0; i < it->lora_count; ++i)
        free((void *)(uintptr_t)it->loras[i].path);
    free(it->loras);
    (void)pthread_mutex_destroy(&it->lock);
    free(it);
    *job = NULL;
}

/* ---- cancelling -------------------------------------------------------------------------- */

void dr_job_cancel(struct dr_job *job)
{
    if (job) cancel_request(&job->cancel);
}

void dr_job_cancel_now(struct dr_job *job)
{
    if (job) cancel_insist(&job->cancel);
}

/* ---- progress ---------------------------------------------------------------------------- */

static void lock(struct dr_job *job)
{
    const int refused = pthread_mutex_lock(&job->lock);
    assert(!refused);
    (void)refused;
}

static void unlock(struct dr_job *job)
{
    const int refused = pthread_mutex_unlock(&job->lock);
    assert(!refused);
    (void)refused;
}

enum dr_code job_handle_begin(struct dr_job *job, struct dr_error *err)
{
    lock(job);
    const bool is_new = job->progress.state == DR_JOB_CREATED;
    if (is_new) {
        job->progress.state = DR_JOB_RUNNING;
        job->cancel.above = &job->engine->cancel;
        job->started_ms = clock_ms();
    }
    unlock(job);
    return is_new ? DR_OK
                  : error_set(err, DR_BAD_INPUT,
                              "a job runs once, and this one did; make another");
}

void job_handle_set_planned(struct dr_job *job, uint64_t private_bytes)
{
    lock(job);
    job->progress.planned_private_bytes = private_bytes;
    unlock(job);
}

void job_handle_end(struct dr_job *job, enum dr_code code)
{
    engine_lock(job->engine);
    const uint64_t private_bytes = job->engine->resources.ledger.private_bytes;
    engine_unlock(job->engine);
    lock(job);
    struct dr_job_progress *const progress = &job->progress;
    progress->state = code == DR_OK          ? DR_JOB_DONE
                      : code == DR_CANCELLED ? DR_JOB_CANCELLED
                                             : DR_JOB_FAILED;
    progress->private_bytes = private_bytes;
    progress->elapsed_ms = clock_ms() - job->started_ms;
    if (code == DR_OK) progress->share = 1.0;
    unlock(job);
}

/* Evaluations that ended since the last report, and the time they took. */
static void count_steps(struct dr_job *job, const struct dr_progress *now,
                        double now_ms)
{
    const struct dr_progress *const before = &job->progress.last;
    if (now->stage == DR_STAGE_UNET && before->stage == DR_STAGE_UNET &&
        now->image == before->image && now->step > before->step) {
        job->step_sum_ms += now_ms - job->reported_ms;
        job->step_sum_count += now->step - before->step;
        job->progress.step_ms = job->step_sum_ms / job->step_sum_count;
    }
    job->reported_ms = now_ms;
}

void job_handle_report(void *cookie, const struct dr_progress *progress)
{
    struct dr_job *const job = cookie;
    const double now_ms = clock_ms();
    lock(job);
    count_steps(job, progress, now_ms);
    job->progress.last = *progress;
    if (progress->total_share > job->progress.share)
        job->progress.share = progress->total_share;
    job->progress.private_bytes = job->engine->resources.ledger.private_bytes;
    unlock(job);
    if (job->is_codec && job->codec.progress)
        job->codec.progress(job->codec.progress_cookie, progress);
    if (!job->is_codec && job->generate.progress)
        job->generate.progress(job->generate.progress_cookie, progress);
}

void job_handle_written(void *cookie, int32_t index, const struct dr_image_info *image)
{
    struct dr_job *const job = cookie;
    lock(job);
    job->progress.written_count = index + 1;
    unlock(job);
    if (!job->is_codec && job->generate.written)
        job->generate.written(job->generate.written_cookie, index, image);
}

void dr_job_progress(struct dr_job *job, struct dr_job_progress *progress)
{
    lock(job);
    *progress = job->progress;
    if (progress->state == DR_JOB_RUNNING)
        progress->elapsed_ms = clock_ms() - job->started_ms;
    if (progress->state == DR_JOB_CREATED && cancel_requested(&job->cancel))
        progress->state = DR_JOB_CANCELLED;
    unlock(job);
}
