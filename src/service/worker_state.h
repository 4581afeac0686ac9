/* worker_state — what the files of the worker share: worker.c (the thread), worker_submit.c, worker_run.c,
 * worker_control.c, worker_look.c. Nobody else includes it.
 *
 * lock guards all that is marked so. It is not held while the engine computes or the database writes. A thread that has
 * it may take submit_lock never; submit_lock is taken first.
 */
#ifndef SERVICE_WORKER_STATE_H
#define SERVICE_WORKER_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/job_pace.h"
#include "service/job_turns.h"
#include "service/memory_look.h"
#include "service/preview_fit.h"
#include "service/worker.h"

enum {
    WORKER_RECEIPTS = 32
};

/* What an operation did to memory. */
struct worker_receipt {
    const char *what;         /* static; NULL: this entry is free */
    char job[STORE_ID_BYTES]; /* "": none */
    double time_s;
    struct dr_receipt receipt;
};

/* What another thread wants done between jobs. It lies on that thread's stack until is_done. */
struct worker_action {
    enum dr_code (*act)(struct worker *worker, struct worker_action *action,
                        struct dr_error *err);
    const void *input;
    void *output;
    struct dr_receipt *receipt; /* may be NULL */
    size_t count;
    const uint64_t *budget; /* of worker_apply; NULL: stays */
    unsigned flags;
    enum dr_code code;
    struct dr_error error;
    bool is_done;
    struct worker_action *next;
};

struct running_job {
    char id[STORE_ID_BYTES]; /* "": none */
    char user[64];
    enum picture_kind kind;
    double created_s;
    struct dr_job *handle; /* NULL: not made yet, or gone */
    bool is_cancelled, is_requeued;
    int32_t step, step_count, image, image_count;
    int32_t part, part_count; /* the engine's jobs that it is; 0 until the first */
};

/* How a job ended, until that is on disk. answer: malloc'ed. */
struct unended_job {
    char id[STORE_ID_BYTES]; /* "": none */
    char user[64];
    enum job_phase phase;
    struct dr_error error; /* of one that failed */
    char *answer;
    bool is_told; /* the log has it that the disk did not take it */
};

struct worker {
    struct worker_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;         /* for the worker's thread */
    pthread_cond_t changed;      /* for those that wait: a job or an action ended */
    pthread_mutex_t submit_lock; /* a job is looked up and added */
    struct memory_look look;     /* dropped by whatever changes the engine */

    /* By the worker's thread alone. */
    char vae[DR_PATH_BYTES]; /* the engine's setting; "": that of the settings file */
    double progress_ms, preview_ms; /* of the last event */
    struct unended_job unended;     /* no other job runs before it is on disk */
    double sweep_ms;                /* when the gallery is swept next */
    struct preview_map map;
    char map_of
        [2 *
         DR_PATH_BYTES]; /* model and VAE that the map was learned of; "": it is the family's */

    /* Under lock. */
    struct dr_engine *engine; /* NULL: not open */
    int32_t held;             /* by worker_engine_hold */
    bool is_started, is_stopping, has_ended, has_news;
    double
        retry_ms; /* news are not looked at before: the disk did not take something */
    enum dr_code start_code;
    struct dr_error start_error;
    struct worker_action *actions, **last_action;
    struct worker_hold *holds; /* who waits for a job, or wants it */
    uint64_t ended_count;
    struct running_job running;
    struct job_turns turns;
    struct job_pace pace;
    bool is_at_work;   /* a job or an action is under way */
    bool is_resident;  /* weights may be in memory */
    double expires_ms; /* dr_clock_ms; 0: never */
    double idle_since_ms;
    bool idle_is_told;
    struct worker_receipt receipts[WORKER_RECEIPTS]; /* newest first */
    struct dr_job_progress
        last_progress;      /* of the running job, when its engine's work was over */
    unsigned char *preview; /* a PNG of the running job; NULL: none */
    size_t preview_bytes;
};

/* Waits for a condition at most ms. lock is held. */
void worker_wait_on(struct worker *worker, pthread_cond_t *condition, double ms);

/* What the engine says of the part that runs becomes what is true of the whole job. lock is held. */
void worker_progress_of_all(const struct running_job *running,
                            struct dr_progress *progress);

/* ---- by the worker's thread ---- */

/* Opens a model's file, if another one is open, or its file has changed. No weights are read. */
enum dr_code worker_open_model(struct worker *worker, const char *path,
                               struct dr_error *err) DR_MUST_CHECK;
/* A request as the engine takes it, without files and callbacks. Borrows the request's texts. */
struct dr_generate_options worker_options_of(const struct worker *worker,
                                             const struct picture_request *request);
/* Runs a queued job to its end. False: its begin or end cannot be written to the disk, to be tried again later. */
bool worker_run_job(struct worker *worker, const char *id);
/* Notes how a job ended; worker_write_end brings it to the disk. */
void worker_note_end(struct worker *worker, const struct job_record *record,
                     const struct job_ending *ending, char *answer_take);
/* False: the disk (full, or the database is locked) did not take it; the log says why, once. */
bool worker_write_end(struct worker *worker);
/* Lets a second pass for the disk. False: the service stops. */
bool worker_pause(struct worker *worker);
/* Once a minute: pictures that are not kept go. */
void worker_sweep(struct worker *worker);
/* The model stays for so long from now on: seconds, or KEEP_ALIVE_...; 0 unloads it now. */
void worker_keep_alive(struct worker *worker, int32_t keep_alive_s);
/* Releases all weights. */
enum dr_code worker_release(struct worker *worker, const char *what, unsigned which,
                            struct dr_receipt *receipt,
                            struct dr_error *err) DR_MUST_CHECK;
/* Puts the options' model and VAE into effect when the worker starts. A model that is missing is no error. */
void worker_begin(struct worker *worker);

/* ---- by any thread ---- */

/* In a text of the engine, in place: no path of this machine (model_folders_hide, extra_networks_hide). Not under worker's lock:
 * it may read directories. */
void worker_hide(struct worker *worker, char *text);
void worker_note_receipt(struct worker *worker, const char *what, const char *job,
                         const struct dr_receipt *receipt);
/* A `state` event. */
void worker_tell_state(struct worker *worker, const char *id, const char *user,
                       enum job_phase phase);
/* Wakes who waits for jobs. */
void worker_tell_ended(struct worker *worker);

#endif
