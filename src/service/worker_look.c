/* What only looks: progress, preview, what is loaded, receipts, the engine for who reads it (worker.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/member.h"
#include "front/receipt_json.h"
#include "service/failure.h"
#include "service/model_choice.h"
#include "service/worker_state.h"

/* ---- told by the worker ------------------------------------------------------------------ */

void worker_hide(struct worker *worker, char *text)
{
    model_folders_hide(worker->options.models, text);
    extra_networks_hide(worker->options.networks, text);
}

/* what: static. */
void worker_note_receipt(struct worker *worker, const char *what, const char *job,
                         const struct dr_receipt *receipt)
{
    struct dr_receipt shown = *receipt;
    worker_hide(worker, shown.reason);
    pthread_mutex_lock(&worker->lock);
    memmove(worker->receipts + 1, worker->receipts,
            (WORKER_RECEIPTS - 1) * sizeof *worker->receipts);
    worker->receipts[0] = (struct worker_receipt){.what = what,
                                                  .time_s = store_now_s(),
                                                  .receipt = shown};
    snprintf(worker->receipts[0].job, sizeof worker->receipts[0].job, "%s", job);
    pthread_mutex_unlock(&worker->lock);
    memory_look_drop(&worker->look);
}

void worker_tell_state(struct worker *worker, const char *id, const char *user,
                       enum job_phase phase)
{
    json_t *const data = json_object();
    member_set_text(data, "id", id);
    member_set_text(data, "state", job_phase_name(phase));
    event_log_add(worker->options.events, "state", id, user, data);
}

void worker_tell_ended(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    ++worker->ended_count;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

/* ---- asked by others --------------------------------------------------------------------- */

void worker_progress_of_all(const struct running_job *running,
                            struct dr_progress *progress)
{
    if (running->part_count <= 1) return;
    const double left = 1 - progress->total_share;
    const int32_t later = running->part_count - running->part - 1;
    if (progress->left_ms >= 0 && left > 0) progress->left_ms *= 1 + later / left;
    progress->total_share =
        (running->part + progress->total_share) / running->part_count;
    progress->image += running->part;
}

void worker_progress(struct worker *worker, struct worker_progress *progress)
{
    *progress = (struct worker_progress){.eta_s = -1};
    if (job_store_count_waiting(worker->options.store, &progress->queued, NULL) !=
        DR_OK)
        progress->queued = 0;
    pthread_mutex_lock(&worker->lock);
    const struct running_job *const running = &worker->running;
    progress->is_running = *running->id != '\0';
    memcpy(progress->job, running->id, sizeof progress->job);
    memcpy(progress->user, running->user, sizeof progress->user);
    progress->kind = running->kind;
    progress->created_s = running->created_s;
    progress->is_interrupted = running->is_cancelled;
    progress->step = running->step;
    progress->step_count = running->step_count;
    progress->image = running->image;
    progress->image_count = running->image_count;
    if (running->handle)
        dr_job_progress(running->handle, &progress->job_progress);
    else if (progress->is_running)
        progress->job_progress = worker->last_progress;
    worker_progress_of_all(running, &progress->job_progress.last);
    if (running->part_count > 1)
        progress->job_progress.share =
            (running->part + progress->job_progress.share) / running->part_count;
    if (progress->job_progress.last.left_ms > 0)
        progress->eta_s = progress->job_progress.last.left_ms / 1e3;
    pthread_mutex_unlock(&worker->lock);
}

static void read_queue(struct worker *worker, struct worker_queue *queue)
{
    queue->is_read = true;
    if (job_store_waiting(worker->options.store, &queue->waiting, &queue->count,
                          NULL) != DR_OK)
        return;
    pthread_mutex_lock(&worker->lock);
    job_turns_order(&worker->turns, queue->waiting, queue->count);
    pthread_mutex_unlock(&worker->lock);
}

int32_t worker_position(struct worker *worker, struct worker_queue *queue,
                        const char *id)
{
    if (!queue->is_read) read_queue(worker, queue);
    for (int32_t i = 0; i < queue->count; ++i)
        if (strcmp(queue->waiting[i].id, id) == 0) return i + 1;
    return 0;
}

void worker_queue_finish(struct worker_queue *queue)
{
    free(queue->waiting);
    *queue = (struct worker_queue){0};
}

unsigned char *worker_preview(struct worker *worker, size_t *byte_count)
{
    unsigned char *copy = NULL;
    pthread_mutex_lock(&worker->lock);
    *byte_count = worker->preview ? worker->preview_bytes : 0;
    if (*byte_count) copy = malloc(*byte_count);
    if (copy) memcpy(copy, worker->preview, *byte_count);
    pthread_mutex_unlock(&worker->lock);
    return copy;
}

struct dr_engine *worker_engine_hold(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct dr_engine *const engine = worker->engine;
    worker->held += engine != NULL;
    pthread_mutex_unlock(&worker->lock);
    return engine;
}

void worker_engine_drop(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    /* Who closes it waits; those that wait for jobs have nothing to do with it. */
    if (--worker->held == 0 && !worker->engine)
        pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

enum dr_code worker_memory(struct worker *worker, struct dr_memory *memory,
                           struct dr_error *err)
{
    if (!worker_engine_hold(worker))
        return failure(err, DR_BUSY, "the service is stopping");
    const enum dr_code code = memory_look(&worker->look, memory, err);
    worker_engine_drop(worker);
    return code;
}

/* The clock of the engine as Unix time. */
static double unix_s(double clock_ms)
{
    return store_now_s() + (clock_ms - dr_clock_ms()) / 1e3;
}

void worker_model(struct worker *worker, struct worker_model *model)
{
    *model = (struct worker_model){0};
    struct dr_engine *const engine = worker_engine_hold(worker);
    if (!engine) return;
    struct dr_status status;
    dr_engine_status(engine, &status);
    pthread_mutex_lock(&worker->lock);
    if (worker->is_resident || *worker->running.id)
        memcpy(model->path, status.model, sizeof model->path);
    if (worker->expires_ms > 0) model->expires_s = unix_s(worker->expires_ms);
    pthread_mutex_unlock(&worker->lock);
    worker_engine_drop(worker);
}

static json_t *noted_json(const struct worker_receipt *noted)
{
    json_t *const value = json_object();
    member_set_text(value, "what", noted->what);
    if (*noted->job) member_set_text(value, "job", noted->job);
    member_set_real(value, "time", noted->time_s);
    member_set(value, "receipt", receipt_json(&noted->receipt));
    return value;
}

json_t *worker_receipts(struct worker *worker)
{
    json_t *const list = json_array();
    pthread_mutex_lock(&worker->lock);
    for (int32_t i = 0; i < WORKER_RECEIPTS && worker->receipts[i].what; ++i)
        (void)json_array_append_new(list, noted_json(&worker->receipts[i]));
    pthread_mutex_unlock(&worker->lock);
    return list;
}

double worker_seconds(struct worker *worker, const struct picture_request *request,
                      const struct dr_forecast *forecast)
{
    enum {
        FAMILY_STEPS = 20
    };
    const int32_t steps = request->steps > 0 ? request->steps : FAMILY_STEPS;
    char model[DR_PATH_BYTES];
    if (*request->model)
        snprintf(model, sizeof model, "%s", request->model);
    else if (model_choice_path(worker->options.options, worker->options.models, model,
                               NULL) != DR_OK)
        return -1;
    pthread_mutex_lock(&worker->lock);
    const double seconds =
        job_pace_seconds(&worker->pace, model,
                         (int64_t)forecast->width * forecast->height, steps,
                         request->batch_size * request->batch_count);
    pthread_mutex_unlock(&worker->lock);
    return seconds;
}
