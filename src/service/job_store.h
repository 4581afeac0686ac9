/* job_store — jobs as rows of the database: accepted before they are answered, and ended exactly once.
 *
 *     queued -> running -> done | failed | cancelled
 *        ^         |
 *        +---------+  the service stopped or died, and the job survives that
 *
 * A job's pictures are entered as they are made (gallery.h), and all of them before its end: a job that is done has its
 * entries, and one that runs again after the process died replaces those that it had. Errors of all calls: store.h.
 * Threads: any.
 */
#ifndef SERVICE_JOB_STORE_H
#define SERVICE_JOB_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/picture_request.h"
#include "service/store.h"

enum job_phase {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_DONE,
    JOB_FAILED,
    JOB_CANCELLED
};
/* "queued", "running", "done", "failed", "cancelled" */
const char *job_phase_name(enum job_phase phase);

enum {
    JOB_STORE_KEY_BYTES = 128,
    JOB_STORE_ENDED = 10000, /* ended jobs that are kept; older ones are forgotten */
    JOB_STORE_STARTS =
        10 /* a job during which the process died so often is not run again */
};

/* A job as it is stored. */
struct job_record {
    char id[STORE_ID_BYTES];
    int64_t number; /* of arrival: ascending */
    char user[64];  /* "" where nobody has to log in */
    enum job_phase phase;
    bool
        survives; /* it runs again after a restart: from /jobs, keep_on_disconnect, or with an Idempotency-Key */
    char key[JOB_STORE_KEY_BYTES];        /* Idempotency-Key; "": none */
    unsigned char body_digest[32];        /* of the request's body, for retries */
    double created_s, started_s, ended_s; /* Unix time; 0: not yet */
    struct picture_request request;
    enum dr_code code; /* of a job that failed */
    char *error;       /* its message; NULL: none */
    char *
        answer; /* JSON of what the job made (front/job_json.h), without its pictures' bytes; NULL: none yet */
};
void job_record_finish(struct job_record *record);

/* Adds a queued job under record->id; it is on disk when this returns (one that `survives` also after a loss of power).
 * number and created_s are set. Errors also: DR_BUSY where `most_queued` jobs wait. */
enum dr_code job_store_add(struct store *store, struct job_record *record,
                           int32_t most_queued, struct dr_error *err) DR_MUST_CHECK;
/* A queued job runs. DR_NOT_FOUND where no such job is queued. */
enum dr_code job_store_start(struct store *store, const char *id,
                             struct dr_error *err) DR_MUST_CHECK;
/* A running job goes back into the queue, at its place: the service stops. DR_NOT_FOUND where no such job runs. */
enum dr_code job_store_requeue(struct store *store, const char *id,
                               struct dr_error *err) DR_MUST_CHECK;

/* How a job ended. All is borrowed. */
struct job_ending {
    enum job_phase phase;         /* one of the three ends */
    const struct dr_error *error; /* NULL: none */
    const char *answer;           /* NULL: none */
};
/* Ends a job that is queued or runs; then its input is removed. DR_NOT_FOUND where there is no such job or it has ended:
 * then nothing is changed. */
enum dr_code job_store_end(struct store *store, const char *id,
                           const struct job_ending *ending,
                           struct dr_error *err) DR_MUST_CHECK;
/* Forget a job that has ended; its pictures stay. DR_NOT_FOUND, DR_BUSY where it has not ended. */
enum dr_code job_store_forget(struct store *store, const char *id,
                              struct dr_error *err) DR_MUST_CHECK;

/* One job. user: only that user's; NULL: anybody's. DR_NOT_FOUND. */
enum dr_code job_store_get(struct store *store, const char *id, const char *user,
                           struct job_record *record,
                           struct dr_error *err) DR_MUST_CHECK;
/* The newest job of the user with this Idempotency-Key (key not ""), or, with key "", with this digest that has not
 * ended or ended after since_s. DR_NOT_FOUND. Who adds a job where none matches holds a lock of its own over both calls. */
enum dr_code job_store_match(struct store *store, const char *user, const char *key,
                             const unsigned char body_digest[32], double since_s,
                             char id[STORE_ID_BYTES],
                             struct dr_error *err) DR_MUST_CHECK;
/* Newest first, those before number `before` (0: from the newest), at most limit; *count of them in records, which the
 * caller finishes and frees. */
enum dr_code job_store_list(struct store *store, const char *user, int64_t before,
                            int32_t limit, struct job_record **records, int32_t *count,
                            struct dr_error *err) DR_MUST_CHECK;

/* When the service starts. Running jobs that survive are queued again (those that were started JOB_STORE_STARTS times
 * fail); other jobs that had not ended are cancelled, and what they left without an entry goes with gallery_sweep. Inputs
 * that no job waits for are removed. Then job_store_waiting gives the queued ones in order. */
enum dr_code job_store_recover(struct store *store, int32_t *queued, int32_t *cancelled,
                               struct dr_error *err) DR_MUST_CHECK;

/* A queued job in a few words, for the order in which they run. */
struct job_waiting {
    char id[STORE_ID_BYTES];
    int64_t number;
    char user[64];
};
/* How many jobs are queued. Counted again only where rows have changed since: it is asked with every look at the progress,
 * and nobody else writes into the database. */
enum dr_code job_store_count_waiting(struct store *store, int32_t *count,
                                     struct dr_error *err) DR_MUST_CHECK;
/* All queued jobs by arrival: malloc'ed, NULL where none wait. */
enum dr_code job_store_waiting(struct store *store, struct job_waiting **jobs,
                               int32_t *count, struct dr_error *err) DR_MUST_CHECK;

#endif
