/* What the worker brings to the disk when a job has ended, also where the disk does not take it at once: it is full, or
 * another process keeps the database locked (worker_state.h). */
#include <stdlib.h>
#include <string.h>

#include "service/gallery.h"
#include "service/worker_state.h"

enum {
    PAUSE_MS = 1000,
    SWEEP_MS = 60 * 1000
};

void worker_note_end(struct worker *worker, const struct job_record *record,
                     const struct job_ending *ending, char *answer_take)
{
    worker->unended =
        (struct unended_job){.phase = ending->phase, .answer = answer_take};
    memcpy(worker->unended.id, record->id, sizeof worker->unended.id);
    memcpy(worker->unended.user, record->user, sizeof worker->unended.user);
    if (ending->error) worker->unended.error = *ending->error;
}

static void log_problem(const struct worker *worker, const struct dr_error *err)
{
    if (worker->options.engine.log)
        worker->options.engine.log(worker->options.engine.log_cookie, DR_LOG_ERROR,
                                   err->message);
}

bool worker_write_end(struct worker *worker)
{
    struct unended_job *const job = &worker->unended;
    if (!job->id[0]) return true;
    struct dr_error err = {0};
    const struct job_ending ending = {.phase = job->phase,
                                      .error = job->error.code ? &job->error : NULL,
                                      .answer = job->answer};
    const enum dr_code code =
        job_store_end(worker->options.store, job->id, &ending, &err);
    if (code == DR_IO || code == DR_NOMEM) {
        if (!job->is_told) log_problem(worker, &err);
        job->is_told = true;
        return false;
    }
    if (code != DR_OK) log_problem(worker, &err);
    worker_tell_state(worker, job->id, job->user, job->phase);
    worker_tell_ended(worker);
    free(job->answer);
    *job = (struct unended_job){0};
    return true;
}

bool worker_pause(struct worker *worker)
{
    const double end_ms = dr_clock_ms() + PAUSE_MS;
    pthread_mutex_lock(&worker->lock);
    for (double now = dr_clock_ms(); !worker->is_stopping && now < end_ms;
         now = dr_clock_ms())
        worker_wait_on(worker, &worker->changed, end_ms - now);
    const bool goes_on = !worker->is_stopping;
    pthread_mutex_unlock(&worker->lock);
    return goes_on;
}

void worker_sweep(struct worker *worker)
{
    const double now = dr_clock_ms();
    if (now < worker->sweep_ms) return;
    worker->sweep_ms = now + SWEEP_MS;
    (void)!gallery_sweep(worker->options.store, store_now_s() - GALLERY_UNKEPT_S, NULL);
}
