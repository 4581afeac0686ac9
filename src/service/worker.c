#include "service/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/event_json.h"
#include "service/failure.h"
#include "service/wait_clock.h"
#include "service/worker_state.h"

enum {
    LONGEST_WAIT_MS = 60000,
    RETRY_MS = 1000 /* after the disk did not take something */
};

void worker_wait_on(struct worker *worker, pthread_cond_t *condition, double ms)
{
    const struct timespec until =
        wait_clock_after(ms < LONGEST_WAIT_MS ? ms : LONGEST_WAIT_MS);
    (void)pthread_cond_timedwait(condition, &worker->lock, &until);
}

/* ---- the thread -------------------------------------------------------------------------- */

static void tell_memory(void *cookie, const struct dr_memory_event *region)
{
    struct worker *const worker = cookie;
    memory_look_drop(&worker->look);
    event_log_add(worker->options.events, "memory", "", "", event_json_memory(region));
}

/* By memory_look, with the engine held. */
static enum dr_code ask_engine(void *cookie, struct dr_memory *memory,
                               struct dr_error *err)
{
    const struct worker *const worker = cookie;
    return dr_engine_memory(worker->engine, memory, err);
}

static void open_engine(struct worker *worker)
{
    struct dr_engine *engine = NULL;
    struct dr_error err = {0};
    const enum dr_code code = dr_engine_open(&engine, &worker->options.engine, &err);
    pthread_mutex_lock(&worker->lock);
    worker->engine = engine;
    worker->start_code = code;
    worker->start_error = err;
    pthread_mutex_unlock(&worker->lock);
    if (code == DR_OK) worker_begin(worker);
    pthread_mutex_lock(&worker->lock);
    worker->idle_since_ms = dr_clock_ms();
    worker->is_started = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

static void close_engine(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct dr_engine *engine = worker->engine;
    worker->engine = NULL;
    while (worker->held > 0)
        pthread_cond_wait(&worker->changed, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
    dr_engine_close(&engine);
}

/* lock is held, and is again when this returns. */
static void run_action(struct worker *worker)
{
    struct worker_action *const action = worker->actions;
    worker->actions = action->next;
    if (!worker->actions) worker->last_action = &worker->actions;
    const bool is_refused = worker->is_stopping;
    worker->is_at_work = true;
    pthread_mutex_unlock(&worker->lock);
    struct dr_error err = {0};
    const enum dr_code code = is_refused
                                  ? failure(&err, DR_BUSY, "the service is stopping")
                                  : action->act(worker, action, &err);
    memory_look_drop(&worker->look);
    worker_hide(worker, err.message);
    if (action->receipt) worker_hide(worker, action->receipt->reason);
    pthread_mutex_lock(&worker->lock);
    action->code = code;
    action->error = err;
    action->is_done = true;
    worker->is_at_work = false;
    worker->idle_since_ms = dr_clock_ms();
    pthread_cond_broadcast(&worker->changed);
}

/* The next queued job by turns; id "": none waits. */
static enum dr_code pick_job(struct worker *worker, char id[STORE_ID_BYTES])
{
    struct job_waiting *waiting = NULL;
    int32_t count = 0;
    id[0] = '\0';
    const enum dr_code code =
        job_store_waiting(worker->options.store, &waiting, &count, NULL);
    if (code != DR_OK) return code;
    pthread_mutex_lock(&worker->lock);
    const int32_t next = job_turns_next(&worker->turns, waiting, count);
    if (next >= 0) {
        memcpy(id, waiting[next].id, STORE_ID_BYTES);
        job_turns_serve(&worker->turns, waiting[next].user);
    }
    pthread_mutex_unlock(&worker->lock);
    free(waiting);
    return DR_OK;
}

/* lock is held, and is again when this returns. */
static void run_next_job(struct worker *worker)
{
    char id[STORE_ID_BYTES] = "";
    worker->has_news = false;
    worker->is_at_work = true;
    pthread_mutex_unlock(&worker->lock);
    worker_sweep(worker);
    bool is_done = worker_write_end(worker) && pick_job(worker, id) == DR_OK;
    if (is_done && id[0]) is_done = worker_run_job(worker, id);
    pthread_mutex_lock(&worker->lock);
    worker->is_at_work = false;
    if (!is_done) worker->retry_ms = dr_clock_ms() + RETRY_MS;
    if (is_done && !id[0]) return;
    worker->has_news = true; /* there may be more */
    worker->idle_since_ms = dr_clock_ms();
    worker->idle_is_told = false;
}

static bool is_job_due(const struct worker *worker)
{
    return worker->has_news && worker->retry_ms <= dr_clock_ms();
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* Does what is due while nothing runs, and says how long nothing else is. lock is held. */
static double do_what_is_due(struct worker *worker)
{
    const double now = dr_clock_ms();
    pthread_mutex_unlock(&worker->lock);
    worker_sweep(worker);
    pthread_mutex_lock(&worker->lock);
    double wait_ms = worker->has_news ? worker->retry_ms - now : LONGEST_WAIT_MS;
    if (worker->expires_ms > 0 && worker->expires_ms <= now) {
        pthread_mutex_unlock(&worker->lock);
        (void)!worker_release(worker, "keep_alive", DR_UNLOAD_MODEL, NULL, NULL);
        pthread_mutex_lock(&worker->lock);
    }
    if (worker->expires_ms > 0) wait_ms = least(wait_ms, worker->expires_ms - now);
    if (worker->options.exit_idle_s > 0 && !worker->idle_is_told) {
        const double due_ms =
            worker->idle_since_ms + 1e3 * worker->options.exit_idle_s - now;
        if (due_ms <= 0) {
            worker->idle_is_told = true;
            if (worker->options.idle) worker->options.idle(worker->options.idle_cookie);
        } else {
            wait_ms = least(wait_ms, due_ms);
        }
    }
    return wait_ms > 0 ? wait_ms : 0;
}

static void *run_worker(void *cookie)
{
    struct worker *const worker = cookie;
    open_engine(worker);
    pthread_mutex_lock(&worker->lock);
    while (worker->engine && (!worker->is_stopping || worker->actions)) {
        if (worker->actions)
            run_action(worker);
        else if (is_job_due(worker))
            run_next_job(worker);
        else {
            const double wait_ms = do_what_is_due(worker);
            if (!worker->actions && !is_job_due(worker) && !worker->is_stopping)
                worker_wait_on(worker, &worker->wake, wait_ms);
        }
    }
    pthread_mutex_unlock(&worker->lock);
    (void)!worker_write_end(worker);
    pthread_mutex_lock(&worker->lock);
    worker->has_ended = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    close_engine(worker);
    return NULL;
}

/* ---- start and stop ---------------------------------------------------------------------- */

static struct worker *create(const struct worker_options *options)
{
    struct worker *const worker = calloc(1, sizeof *worker);
    if (!worker) return NULL;
    worker->options = *options;
    worker->options.engine.memory = tell_memory;
    worker->options.engine.memory_cookie = worker;
    worker->last_action = &worker->actions;
    worker->has_news = true;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_mutex_init(&worker->submit_lock, NULL);
    memory_look_init(&worker->look, ask_engine, worker, dr_clock_ms);
    wait_clock_init(&worker->wake);
    wait_clock_init(&worker->changed);
    return worker;
}

void worker_destroy(struct worker *worker)
{
    if (!worker) return;
    free(worker->preview);
    pthread_cond_destroy(&worker->wake);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    pthread_mutex_destroy(&worker->submit_lock);
    memory_look_finish(&worker->look);
    free(worker);
}

enum dr_code worker_start(struct worker **out, const struct worker_options *options,
                          struct dr_error *err)
{
    int32_t queued = 0, cancelled = 0;
    enum dr_code code = job_store_recover(options->store, &queued, &cancelled, err);
    if (code != DR_OK) return code;
    struct worker *const worker = create(options);
    if (!worker) return failure_memory(err, "the worker");
    if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0) {
        worker_destroy(worker);
        return failure(err, DR_NOMEM, "the worker's thread cannot be started");
    }
    pthread_mutex_lock(&worker->lock);
    while (!worker->is_started)
        pthread_cond_wait(&worker->changed, &worker->lock);
    code = worker->start_code;
    if (code != DR_OK && err) *err = worker->start_error;
    pthread_mutex_unlock(&worker->lock);
    if (code == DR_OK) {
        *out = worker;
        return DR_OK;
    }
    pthread_join(worker->thread, NULL);
    worker_destroy(worker);
    return code;
}

/* The running job goes back into the queue. lock is held. */
static void put_back(struct worker *worker)
{
    worker->running.is_requeued = true;
    if (worker->running.handle) dr_job_cancel_now(worker->running.handle);
}

void worker_hurry(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->is_stopping = true;
    if (*worker->running.id) put_back(worker);
    pthread_cond_broadcast(&worker->wake);
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

void worker_stop(struct worker *worker, double grace_s)
{
    if (!worker) return;
    const double until_ms = dr_clock_ms() + 1e3 * grace_s;
    pthread_mutex_lock(&worker->lock);
    worker->is_stopping = true;
    pthread_cond_broadcast(&worker->wake);
    pthread_cond_broadcast(&worker->changed);
    while (!worker->has_ended && !worker->running.is_requeued) {
        const double left_ms = until_ms - dr_clock_ms();
        if (left_ms > 0)
            worker_wait_on(worker, &worker->changed, left_ms);
        else if (*worker->running.id)
            put_back(worker);
        else
            break;
    }
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
}
