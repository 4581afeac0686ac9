/* Jobs come in, are waited for, and are cancelled (worker.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/failure.h"
#include "service/model_choice.h"
#include "service/picture_header.h"
#include "service/worker_state.h"

enum {
    ASK_MS = 200, /* how often a waiting thread asks whether its client has gone */
    JUST_ENDED_S = 10 * 60 /* a retry joins a job that ended so long ago */
};

/* ---- submit ------------------------------------------------------------------------------ */

/* What is open of model and VAE is fixed now. */
static enum dr_code fix_choice(const struct worker *worker,
                               struct picture_request *request, const char **field,
                               struct dr_error *err)
{
    char text[DR_PATH_BYTES];
    if (!*request->model) {
        *field = "sd_model_checkpoint";
        const enum dr_code code = model_choice_path(worker->options.options,
                                                    worker->options.models, text, err);
        if (code != DR_OK) return code;
        free(request->model);
        request->model = strdup(text);
    }
    if (!*request->vae) {
        option_list_get(worker->options.options, "sd_vae", text, sizeof text);
        free(request->vae);
        request->vae = strdup(*text ? text : "automatic");
    }
    *field = NULL;
    if (request->model && request->vae) return DR_OK;
    return failure_memory(err, "a request");
}

/* The name under inputs/ of what a job begins with. */
static enum dr_code name_input(const struct worker_submission *submission,
                               const char *id, char **name, struct dr_error *err)
{
    char text[STORE_ID_BYTES + 8];
    const bool png =
        picture_header_is_png(submission->init, submission->init_byte_count);
    if (!png && !picture_header_is_jpeg(submission->init, submission->init_byte_count))
        return failure(err, DR_BAD_INPUT,
                       "the picture to begin with is not a PNG or JPEG file");
    snprintf(text, sizeof text, "%s.%s", id, png ? "png" : "jpg");
    free(*name);
    *name = strdup(text);
    return *name ? DR_OK : failure_memory(err, "a request");
}

static void input_path(const struct worker *worker, const char *name,
                       char path[DR_PATH_BYTES])
{
    snprintf(path, DR_PATH_BYTES, "%s/%s", store_input_folder(worker->options.store),
             name);
}

static enum dr_code write_input(const struct worker *worker, const char *name,
                                const unsigned char *bytes, size_t count,
                                struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    input_path(worker, name, path);
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t done = 0;
    while (file >= 0 && done < count) {
        const ssize_t written = write(file, bytes + done, count - done);
        if (written <= 0) break;
        done += (size_t)written;
    }
    const bool is_written = file >= 0 && done == count && fsync(file) == 0;
    const int problem = errno;
    if (file >= 0) close(file);
    if (is_written) return DR_OK;
    if (file >= 0) (void)unlink(path);
    return failure(err, DR_IO,
                   "the picture to begin with (%zu bytes) cannot be written to the "
                   "data directory: %s",
                   count, strerror(problem));
}

/* Is it of use to who asks for the same again? What was cancelled or failed is not. */
static bool can_be_joined(struct worker *worker, const struct job_record *record)
{
    if (record->phase == JOB_CANCELLED || record->phase == JOB_FAILED) return false;
    pthread_mutex_lock(&worker->lock);
    const bool ends =
        worker->running.is_cancelled && strcmp(worker->running.id, record->id) == 0;
    pthread_mutex_unlock(&worker->lock);
    return !ends;
}

/* A job that this request joins: by its key, or, for a retry, by its body; *is_joined false: none. */
static enum dr_code find_joined(struct worker *worker,
                                const struct worker_submission *submission,
                                char id[STORE_ID_BYTES], bool *is_joined,
                                struct dr_error *err)
{
    static const unsigned char nothing[32];
    const char *const key = submission->key ? submission->key : "";
    const unsigned char *const digest =
        submission->body_digest ? submission->body_digest : nothing;
    struct job_record record = {0};
    *is_joined = false;
    if (!*key && (!submission->joins || !submission->body_digest)) return DR_OK;
    if (job_store_match(worker->options.store, submission->user, key, digest,
                        store_now_s() - JUST_ENDED_S, id, NULL) != DR_OK ||
        job_store_get(worker->options.store, id, NULL, &record, NULL) != DR_OK)
        return DR_OK;
    enum dr_code code = DR_OK;
    *is_joined = can_be_joined(worker, &record);
    if (*is_joined && *key && submission->body_digest &&
        memcmp(record.body_digest, digest, sizeof record.body_digest) != 0)
        code = failure(err, DR_BAD_INPUT,
                       "the Idempotency-Key was used with another request before: "
                       "give each request a key of its own");
    job_record_finish(&record);
    return code;
}

static enum dr_code add(struct worker *worker, struct worker_submission *submission,
                        const char *id, struct dr_error *err)
{
    struct job_record record = {.request = submission->request,
                                .survives = submission->survives};
    memcpy(record.id, id, STORE_ID_BYTES);
    snprintf(record.user, sizeof record.user, "%s", submission->user);
    if (submission->key) snprintf(record.key, sizeof record.key, "%s", submission->key);
    if (submission->body_digest)
        memcpy(record.body_digest, submission->body_digest, sizeof record.body_digest);
    enum dr_code code = DR_OK;
    const char *const input = submission->init ? record.request.init : NULL;
    if (input)
        code = write_input(worker, input, submission->init, submission->init_byte_count,
                           err);
    if (code != DR_OK) return code;
    code =
        job_store_add(worker->options.store, &record, worker->options.most_queued, err);
    if (code != DR_OK && input) {
        char path[DR_PATH_BYTES];
        input_path(worker, input, path);
        (void)unlink(path);
    }
    return code;
}

/* As the first picture will have them. */
static enum dr_code check_prompts(const struct worker *worker,
                                  const struct picture_request *request,
                                  struct dr_error *err)
{
    struct extra_networks *const networks = worker->options.networks;
    struct dr_expanded text;
    enum dr_code code =
        extra_networks_expand(networks, request->prompt, request->negative,
                              request->seed, &text, err);
    if (code != DR_OK) return code;
    code = extra_networks_check(networks, text.prompt, text.negative, err);
    dr_expanded_free(&text);
    return code;
}

static enum dr_code check(const struct worker *worker,
                          struct worker_submission *submission, const char *id,
                          const char **field, struct dr_error *err)
{
    struct picture_request *const request = &submission->request;
    if (submission->key && strlen(submission->key) >= JOB_STORE_KEY_BYTES)
        return failure(err, DR_BAD_INPUT,
                       "the Idempotency-Key has %zu bytes: give at most %d",
                       strlen(submission->key), JOB_STORE_KEY_BYTES - 1);
    if (request->kind == PICTURE_UPSCALE)
        return failure(err, DR_UNSUPPORTED, "upscaling is not built yet");
    if (submission->init) {
        *field = "init_images";
        const enum dr_code code = name_input(submission, id, &request->init, err);
        if (code != DR_OK) return code;
    }
    *field = NULL;
    enum dr_code code =
        picture_request_check(request, &worker->options.limits, field, err);
    if (code == DR_OK) {
        *field = "prompt";
        code = check_prompts(worker, request, err);
    }
    return code == DR_OK ? fix_choice(worker, request, field, err) : code;
}

static bool is_stopping(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    const bool stops = worker->is_stopping;
    pthread_mutex_unlock(&worker->lock);
    return stops;
}

enum dr_code worker_submit(struct worker *worker, struct worker_submission *submission,
                           char id[STORE_ID_BYTES], const char **field,
                           struct dr_error *err)
{
    const char *wrong = NULL;
    if (field) *field = NULL;
    if (is_stopping(worker)) return failure(err, DR_BUSY, "the service is stopping");
    pthread_mutex_lock(&worker->submit_lock);
    bool is_joined;
    enum dr_code code = find_joined(worker, submission, id, &is_joined, err);
    if (code == DR_OK && !is_joined) {
        store_new_id(id);
        code = check(worker, submission, id, &wrong, err);
        if (code == DR_OK) code = add(worker, submission, id, err);
    }
    pthread_mutex_unlock(&worker->submit_lock);
    if (field) *field = wrong;
    if (code != DR_OK) return code;
    picture_request_finish(&submission->request);
    if (is_joined) return DR_OK;
    worker_tell_state(worker, id, submission->user, JOB_QUEUED);
    pthread_mutex_lock(&worker->lock);
    worker->has_news = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    return DR_OK;
}

/* ---- wait -------------------------------------------------------------------------------- */

void worker_hold(struct worker *worker, struct worker_hold *hold, const char *id)
{
    pthread_mutex_lock(&worker->lock);
    hold->id = id;
    hold->next = worker->holds;
    worker->holds = hold;
    pthread_mutex_unlock(&worker->lock);
}

/* Returns whether others want the job. */
static bool drop_hold(struct worker *worker, const struct worker_hold *hold)
{
    bool is_wanted = false;
    pthread_mutex_lock(&worker->lock);
    struct worker_hold **at = &worker->holds;
    while (*at != hold)
        at = &(*at)->next;
    *at = hold->next;
    for (const struct worker_hold *other = worker->holds; other; other = other->next)
        is_wanted |= strcmp(other->id, hold->id) == 0;
    pthread_mutex_unlock(&worker->lock);
    return is_wanted;
}

/* Has it ended? Then record has it. DR_BUSY: not yet. */
static enum dr_code look(struct worker *worker, const char *id,
                         struct job_record *record, struct dr_error *err)
{
    struct job_record read = {0};
    const enum dr_code code =
        job_store_get(worker->options.store, id, NULL, &read, err);
    if (code != DR_OK) return code;
    if (read.phase == JOB_QUEUED || read.phase == JOB_RUNNING) {
        job_record_finish(&read);
        return DR_BUSY;
    }
    *record = read;
    return DR_OK;
}

/* The client has gone: its job is cancelled, unless it survives that. */
static void abandon(struct worker *worker, const char *id)
{
    struct job_record record = {0};
    const bool survives =
        job_store_get(worker->options.store, id, NULL, &record, NULL) == DR_OK &&
        record.survives;
    job_record_finish(&record);
    if (!survives) (void)!worker_cancel(worker, id, NULL, NULL);
}

void worker_leave(struct worker *worker, struct worker_hold *hold)
{
    if (!drop_hold(worker, hold)) abandon(worker, hold->id);
}

enum dr_code worker_wait(struct worker *worker, const char *id,
                         bool (*is_gone)(void *cookie), void *cookie,
                         struct job_record *record, struct dr_error *err)
{
    struct worker_hold hold;
    bool has_gone = false, stops = false;
    worker_hold(worker, &hold, id);
    enum dr_code code;
    for (;;) {
        pthread_mutex_lock(&worker->lock);
        const uint64_t seen = worker->ended_count;
        pthread_mutex_unlock(&worker->lock);
        code = look(worker, id, record, err);
        if (code != DR_BUSY || has_gone || stops) break;
        pthread_mutex_lock(&worker->lock);
        while (!has_gone && !stops && worker->ended_count == seen) {
            worker_wait_on(worker, &worker->changed, ASK_MS);
            stops = worker->has_ended;
            pthread_mutex_unlock(&worker->lock);
            has_gone = is_gone && is_gone(cookie);
            pthread_mutex_lock(&worker->lock);
        }
        pthread_mutex_unlock(&worker->lock);
    }
    const bool is_wanted = drop_hold(worker, &hold);
    if (code != DR_BUSY) return code;
    if (!has_gone) return failure(err, DR_BUSY, "the service is stopping");
    if (!is_wanted) abandon(worker, id);
    return failure(err, DR_CANCELLED, "the client has closed its connection");
}

/* ---- cancel ------------------------------------------------------------------------------ */

/* lock is held. */
static void cancel_running(struct worker *worker)
{
    worker->running.is_cancelled = true;
    if (worker->running.handle) dr_job_cancel(worker->running.handle);
}

/* A job that waits ends here; submit_lock keeps it from being started meanwhile. */
static enum dr_code cancel_queued(struct worker *worker,
                                  const struct job_record *record, struct dr_error *err)
{
    const struct job_ending ending = {.phase = JOB_CANCELLED};
    struct dr_error why = {0};
    const enum dr_code code =
        job_store_end(worker->options.store, record->id, &ending, &why);
    if (code == DR_NOT_FOUND) return DR_OK; /* it has ended meanwhile */
    if (code != DR_OK) {
        if (err) *err = why;
        return code;
    }
    worker_tell_state(worker, record->id, record->user, JOB_CANCELLED);
    worker_tell_ended(worker);
    return DR_OK;
}

enum dr_code worker_cancel(struct worker *worker, const char *id, const char *user,
                           struct dr_error *err)
{
    struct job_record record = {0};
    enum dr_code code = job_store_get(worker->options.store, id, user, &record, err);
    if (code != DR_OK) return code;
    pthread_mutex_lock(&worker->submit_lock);
    pthread_mutex_lock(&worker->lock);
    const bool runs = strcmp(worker->running.id, id) == 0;
    if (runs) cancel_running(worker);
    pthread_mutex_unlock(&worker->lock);
    if (!runs && record.phase == JOB_QUEUED) code = cancel_queued(worker, &record, err);
    pthread_mutex_unlock(&worker->submit_lock);
    job_record_finish(&record);
    return code;
}

bool worker_interrupt(struct worker *worker, const char *user)
{
    pthread_mutex_lock(&worker->lock);
    const bool runs =
        *worker->running.id && (!user || strcmp(worker->running.user, user) == 0);
    if (runs) cancel_running(worker);
    pthread_mutex_unlock(&worker->lock);
    return runs;
}
