/* worker — the thread that owns the engine: it runs jobs in turn, and between them what changes the engine (options, unload).
 *
 *     handlers: worker_submit, worker_wait, worker_cancel, worker_do      the worker's thread
 *       a row in the database, a wake-up  ------------------------->      takes the next job by share of each user
 *       wait on the job's end (or go away)                                runs it: load, generate, gallery, end
 *
 * The engine is opened when the worker starts, so that a wrong budget or damaged settings are said then; a model's weights
 * are read at the first job, or at once (--preload). After a job the model stays for keep_alive; then it is unloaded by
 * this thread. Threads: all calls from any thread.
 *
 * The engine's VAE setting is what the options say. A job whose VAE is another one has it as its own: for this job, and
 * released after it. Nothing is loaded again where model and VAE stay the same.
 */
#ifndef SERVICE_WORKER_H
#define SERVICE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <darkroom/darkroom.h>
#include <jansson.h>

#include "service/event_log.h"
#include "service/extra_networks.h"
#include "service/job_store.h"
#include "service/model_folders.h"
#include "service/option_list.h"
#include "service/store.h"

struct worker; /* opaque */

struct worker_options {
    struct dr_engine_options engine;
    struct store *store;
    struct event_log *events;
    struct option_list *options;
    struct model_folders *models;
    struct extra_networks *networks;
    struct metrics *metrics; /* counts jobs; NULL: nobody does */
    int32_t most_queued;     /* --queue */
    int32_t keep_alive_s;    /* --keep-alive; KEEP_ALIVE_ALWAYS */
    int32_t exit_idle_s;     /* --exit-idle; 0: off */
    bool preloads;
    int32_t preview_interval_ms; /* 0: no previews */
    struct picture_limits limits;
    void (*idle)(void *cookie); /* exit_idle_s have passed without a job */
    void *idle_cookie;
};

/* Recovers the jobs of the last run and starts the thread. */
enum dr_code worker_start(struct worker **out, const struct worker_options *options,
                          struct dr_error *err) DR_MUST_CHECK;
/* Stops taking jobs; the running one may take grace_s to end, else it is cancelled and queued again (or cancelled where
 * it does not survive). Then the thread ends and the engine is closed; all calls go on to answer, with DR_BUSY where they
 * need the thread. worker_hurry, from another thread meanwhile: at once. NULL is fine. */
void worker_stop(struct worker *worker, double grace_s);
/* When nobody can call any more. NULL is fine. */
void worker_destroy(struct worker *worker);
void worker_hurry(struct worker *worker);

/* ---- jobs ---- */

struct worker_submission {
    struct picture_request request; /* taken: emptied when it is accepted */
    const unsigned char *
        init; /* bytes of a PNG or JPEG to begin with, kept under inputs/ until the job has ended; NULL: none */
    size_t init_byte_count;
    const char *user; /* "" */
    bool survives;
    const char *key;                  /* Idempotency-Key; NULL: none */
    const unsigned char *body_digest; /* [32]; NULL: none */
    bool
        joins; /* a retry: the same key, or the same body still running or just ended, joins that job */
};
/* Accepts a job: model, VAE and seed are fixed now, the limits are checked, it is on disk when this returns. id: of the
 * job, or of the one that it joined. Errors: DR_BAD_INPUT, DR_NOT_FOUND (the model), DR_BUSY (the queue is full: how
 * many wait), DR_IO. *field: which one is wrong, or NULL. */
enum dr_code worker_submit(struct worker *worker, struct worker_submission *submission,
                           char id[STORE_ID_BYTES], const char **field,
                           struct dr_error *err) DR_MUST_CHECK;

/* Waits until a job has ended, or until is_gone says that the client has left (asked several times a second). Then the
 * job, unless it survives or others wait for it, is cancelled, and DR_CANCELLED is returned. record: the job as it ended.
 * The pictures are in the gallery (gallery_of_job). */
enum dr_code worker_wait(struct worker *worker, const char *id,
                         bool (*is_gone)(void *cookie), void *cookie,
                         struct job_record *record, struct dr_error *err) DR_MUST_CHECK;

/* Somebody wants a job, without waiting in worker_wait: a stream of its events. While it is held, nobody else who leaves
 * cancels it. hold lies with the caller, who gives it back with worker_leave and keeps id until then. */
struct worker_hold {
    const char *id;
    struct worker_hold *next;
};
void worker_hold(struct worker *worker, struct worker_hold *hold, const char *id);
/* Gives it back. The job, unless it has ended, survives or is wanted by others, is cancelled. */
void worker_leave(struct worker *worker, struct worker_hold *hold);

/* Cancel a job, queued or running; what it has sampled is finished (see dr_job_cancel). user: only that user's; NULL:
 * anybody's. DR_NOT_FOUND; one that has ended is no error. */
enum dr_code worker_cancel(struct worker *worker, const char *id, const char *user,
                           struct dr_error *err) DR_MUST_CHECK;
/* Cancel the running job of this user (NULL: whoever's it is); nothing where none runs. True where one was. */
bool worker_interrupt(struct worker *worker, const char *user);

struct worker_progress {
    bool is_running;          /* a job */
    char job[STORE_ID_BYTES]; /* the running one's; "" */
    char user[64];
    enum picture_kind kind;
    int32_t queued;   /* jobs that wait */
    double created_s; /* of the running one, Unix time */
    bool is_interrupted;
    struct dr_job_progress job_progress;
    int32_t step, step_count; /* sampler steps of the picture that is being made */
    int32_t image, image_count;
    double eta_s; /* of the whole job; negative: not known */
};
void worker_progress(struct worker *worker, struct worker_progress *progress);
/* The jobs that wait, in the order in which they run. Zeroed: not read yet. */
struct worker_queue {
    bool is_read;
    int32_t count;
    struct job_waiting *waiting;
};
/* The place of a queued job: 1 runs next; 0: it is not queued. The queue is read with the first question and then kept,
 * for all jobs of one answer. */
int32_t worker_position(struct worker *worker, struct worker_queue *queue,
                        const char *id);
void worker_queue_finish(struct worker_queue *queue);
/* The newest preview of the running job as a PNG, malloc'ed; NULL: none. */
unsigned char *worker_preview(struct worker *worker, size_t *byte_count);

/* ---- what changes the engine ---- */

/* Applies what options say of model and VAE to the engine, after the running job and before the next; nothing where
 * nothing changed. budget: the maximum private bytes from now on (dr_engine_set_budget), or NULL where it stays. loads:
 * read weights now (POST options); else the next job does. Errors: the engine's (DR_OVER_BUDGET: the budget is too small);
 * then options, model, VAE and budget are as before. receipt may be NULL. */
enum dr_code worker_apply(struct worker *worker, const struct option_change *changes,
                          size_t count, const uint64_t *budget, bool loads,
                          struct dr_receipt *receipt,
                          struct dr_error *err) DR_MUST_CHECK;
/* what: of enum dr_unload_what. The memory is given back when this returns. */
enum dr_code worker_unload(struct worker *worker, unsigned what,
                           struct dr_receipt *receipt,
                           struct dr_error *err) DR_MUST_CHECK;
/* Read the model that the options name, if it is not loaded. */
enum dr_code worker_load(struct worker *worker, struct dr_receipt *receipt,
                         struct dr_error *err) DR_MUST_CHECK;
enum worker_patience {
    WORKER_WAITS,        /* for the running job */
    WORKER_DOES_NOT_WAIT /* DR_BUSY where a job runs */
};
/* What a job would take; the loaded model stays. */
enum dr_code worker_forecast(struct worker *worker,
                             const struct picture_request *request,
                             enum worker_patience patience,
                             struct dr_forecast *forecast,
                             struct dr_error *err) DR_MUST_CHECK;
/* How long it would take, at the pace of the last jobs with this model; negative: there were none. */
double worker_seconds(struct worker *worker, const struct picture_request *request,
                      const struct dr_forecast *forecast);
/* How long a model stays where a job does not say it, from the next job on. */
void worker_set_keep_alive(struct worker *worker, int32_t keep_alive_s);
int32_t worker_get_keep_alive(struct worker *worker);

/* ---- what only looks ---- */

/* The engine; NULL before it is opened. For dr_engine_status, dr_engine_vae and other calls that may be made at any time:
 * between worker_engine_hold and worker_engine_drop, so that it is not closed meanwhile. */
struct dr_engine *worker_engine_hold(struct worker *worker);
void worker_engine_drop(struct worker *worker);

/* dr_engine_memory, shared by all who ask (memory_look.h): never from before the end of a job, a switch or an unload that
 * has been answered. memory is dr_memory_free's. Errors also: DR_BUSY, the engine is not open. */
enum dr_code worker_memory(struct worker *worker, struct dr_memory *memory,
                           struct dr_error *err) DR_MUST_CHECK;

struct worker_model {
    char path[DR_PATH_BYTES]; /* that is loaded; "" */
    double
        expires_s; /* Unix time when it is unloaded if no job comes; 0: never, or nothing is loaded */
};
void worker_model(struct worker *worker, struct worker_model *model);
/* The last receipts (switches, unloads, jobs), newest first, as JSON: a new array. */
json_t *worker_receipts(struct worker *worker);

#endif
