#include "service/job_store.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/store_sql.h"

enum {
    MOST_LISTED = 1000
};

static const char *const phase_names[] = {"queued", "running", "done", "failed",
                                          "cancelled"};

const char *job_phase_name(enum job_phase phase)
{
    return phase_names[phase];
}

static enum job_phase phase_of(const char *name)
{
    for (int phase = JOB_QUEUED; phase < JOB_CANCELLED; ++phase)
        if (strcmp(phase_names[phase], name) == 0) return (enum job_phase)phase;
    return JOB_CANCELLED;
}

/* The database has names, which stay when a code is added. */
static enum dr_code code_of(const char *name)
{
#define X(NAME, text, http, exit_code) \
    if (strcmp(name, text) == 0) return DR_##NAME;
    DR_CODES(X)
#undef X
    return DR_FAILED;
}

void job_record_finish(struct job_record *record)
{
    picture_request_finish(&record->request);
    free(record->error);
    free(record->answer);
    *record = (struct job_record){0};
}

/* ---- rows -------------------------------------------------------------------------------------- */

#define COLUMNS                                                                       \
    "number, id, user, phase, survives, key, digest, created_s, started_s, ended_s, " \
    "request, code, error, answer"

static enum dr_code read_request(sqlite3_stmt *row, struct job_record *record,
                                 struct dr_error *err)
{
    json_error_t problem;
    const char *const text = (const char *)sqlite3_column_text(row, 10);
    json_t *const value = text ? json_loads(text, 0, &problem) : NULL;
    if (!value)
        return failure(err, DR_CORRUPT, "the request of job %s cannot be read: %s",
                       record->id, text ? problem.text : "there is no memory");
    const enum dr_code code = picture_request_from_json(&record->request, value, err);
    json_decref(value);
    return code;
}

/* What becomes of a job whose request cannot be read. */
enum unreadable {
    UNREADABLE_FAILS,
    UNREADABLE_IS_LISTED /* with an empty request: it must not hide the others */
};

static enum dr_code read_row(sqlite3_stmt *row, enum unreadable unreadable,
                             struct job_record *record, struct dr_error *err)
{
    char name[32];
    store_column_text(row, 3, name, sizeof name);
    *record = (struct job_record){
        .number = sqlite3_column_int64(row, 0),
        .phase = phase_of(name),
        .survives = sqlite3_column_int(row, 4) != 0,
        .created_s = sqlite3_column_double(row, 7),
        .started_s = sqlite3_column_double(row, 8),
        .ended_s = sqlite3_column_double(row, 9),
    };
    store_column_text(row, 1, record->id, sizeof record->id);
    store_column_text(row, 2, record->user, sizeof record->user);
    store_column_text(row, 5, record->key, sizeof record->key);
    if (sqlite3_column_bytes(row, 6) == (int)sizeof record->body_digest)
        memcpy(record->body_digest, sqlite3_column_blob(row, 6),
               sizeof record->body_digest);
    store_column_text(row, 11, name, sizeof name);
    record->code = name[0] ? code_of(name) : DR_OK;
    enum dr_code code = read_request(row, record, err);
    if (code == DR_CORRUPT && unreadable == UNREADABLE_IS_LISTED) {
        record->request = picture_request_default();
        code = DR_OK;
    }
    if (code) {
        *record = (struct job_record){0};
        return code;
    }
    const bool has_error = sqlite3_column_type(row, 12) != SQLITE_NULL;
    const bool has_answer = sqlite3_column_type(row, 13) != SQLITE_NULL;
    if (has_error) record->error = store_column_copy(row, 12);
    if (has_answer) record->answer = store_column_copy(row, 13);
    if ((!has_error || record->error) && (!has_answer || record->answer)) return DR_OK;
    job_record_finish(record);
    return failure_memory(err, "a job");
}

/* ---- adding and changing ------------------------------------------------------------------------ */

static enum dr_code check_queue(struct store *store, int32_t most_queued,
                                struct dr_error *err)
{
    int64_t queued = 0;
    const enum dr_code code =
        store_look_up(store, "SELECT count(*) FROM job WHERE phase = 'queued'", NULL, 0,
                      &queued, err);
    if (code || queued < most_queued) return code;
    return failure(err, DR_BUSY,
                   "the queue is full: %lld jobs wait, and at most %d may; try again "
                   "later",
                   (long long)queued, most_queued);
}

static enum dr_code insert(struct store *store, struct job_record *record,
                           const char *request, struct dr_error *err)
{
    record->created_s = store_now_s();
    const struct store_value values[] = {
        store_text(record->id),
        store_text(record->user),
        store_integer(record->survives),
        store_text(record->key),
        store_blob(record->body_digest, sizeof record->body_digest),
        store_real(record->created_s),
        store_text(request),
    };
    const enum dr_code code = store_execute(
        store,
        "INSERT INTO job (id, user, phase, survives, key, digest, created_s, started_s, "
        "ended_s, starts, request) VALUES (?1, ?2, 'queued', ?3, ?4, ?5, ?6, 0, 0, 0, ?7)",
        values, sizeof values / sizeof *values, err);
    if (code) return code;
    record->number = sqlite3_last_insert_rowid(store->database);
    const struct store_value old[] = {store_integer(record->number - JOB_STORE_ENDED)};
    return store_execute(store,
                         "DELETE FROM job WHERE number <= ?1"
                         " AND phase NOT IN ('queued', 'running')",
                         old, 1, err);
}

enum dr_code job_store_add(struct store *store, struct job_record *record,
                           int32_t most_queued, struct dr_error *err)
{
    json_t *const value = picture_request_json(&record->request);
    char *const request = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (!request) return failure_memory(err, "the job");
    /* A job whose client waits ends with the process in any case. */
    enum dr_code code =
        record->survives ? store_begin_durable(store, err) : store_begin(store, err);
    if (code == DR_OK) {
        code = check_queue(store, most_queued, err);
        if (code == DR_OK) code = insert(store, record, request, err);
        code = store_commit(store, code, err);
    }
    free(request);
    if (code == DR_OK) record->phase = JOB_QUEUED;
    return code;
}

/* Inside a transaction: a statement that has to change one job. */
static enum dr_code change(struct store *store, const char *sql,
                           const struct store_value *values, size_t count,
                           const char *id, const char *phase, struct dr_error *err)
{
    const enum dr_code code = store_execute(store, sql, values, count, err);
    if (code || sqlite3_changes(store->database) == 1) return code;
    return failure(err, DR_NOT_FOUND, "there is no job %s that %s",
                   store_is_id(id) ? id : "of this id", phase);
}

enum dr_code job_store_start(struct store *store, const char *id, struct dr_error *err)
{
    const struct store_value values[] = {store_text(id), store_real(store_now_s())};
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    code =
        change(store,
               "UPDATE job SET phase = 'running', started_s = ?2, starts = starts + 1"
               " WHERE id = ?1 AND phase = 'queued'",
               values, 2, id, "waits", err);
    return store_commit(store, code, err);
}

enum dr_code job_store_requeue(struct store *store, const char *id,
                               struct dr_error *err)
{
    const struct store_value values[] = {store_text(id)};
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    code = change(store,
                  "UPDATE job SET phase = 'queued', started_s = 0, starts = starts - 1"
                  " WHERE id = ?1 AND phase = 'running'",
                  values, 1, id, "runs", err);
    return store_commit(store, code, err);
}

/* ---- ending ------------------------------------------------------------------------------------- */

static enum dr_code end_row(struct store *store, const char *id,
                            const struct job_ending *ending, struct dr_error *err)
{
    const struct dr_error *const error = ending->error;
    const struct store_value values[] = {
        store_text(id),
        store_text(job_phase_name(ending->phase)),
        store_real(store_now_s()),
        store_text(error ? dr_code_name(error->code) : NULL),
        store_text(error ? error->message : NULL),
        store_text(ending->answer),
    };
    return change(store,
                  "UPDATE job SET phase = ?2, ended_s = ?3, code = ?4, error = ?5,"
                  " answer = ?6 WHERE id = ?1 AND phase IN ('queued', 'running')",
                  values, sizeof values / sizeof *values, id, "waits or runs", err);
}

/* The name of the picture that a job starts from, "" for none. */
static enum dr_code find_input(struct store *store, const char *id, char *name,
                               size_t bytes, struct dr_error *err)
{
    sqlite3_stmt *statement;
    bool has_row = false;
    const struct store_value values[] = {store_text(id)};
    enum dr_code code =
        store_prepare(store, &statement,
                      "SELECT request ->> '$.init' FROM job WHERE id = ?1", values, 1,
                      err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    name[0] = '\0';
    if (code == DR_OK && has_row) store_column_text(statement, 0, name, bytes);
    sqlite3_finalize(statement);
    return code;
}

static void remove_input(struct store *store, const char *name)
{
    if (name[0] && !strchr(name, '/')) (void)unlinkat(store->input_folder, name, 0);
}

enum dr_code job_store_end(struct store *store, const char *id,
                           const struct job_ending *ending, struct dr_error *err)
{
    char input[NAME_MAX + 1] = "";
    /* With the entries of its pictures, which came before. */
    enum dr_code code = store_begin_durable(store, err);
    if (code) return code;
    code = end_row(store, id, ending, err);
    if (code == DR_OK) code = find_input(store, id, input, sizeof input, err);
    code = store_commit(store, code, err);
    if (code == DR_OK) remove_input(store, input);
    return code;
}

enum dr_code job_store_forget(struct store *store, const char *id, struct dr_error *err)
{
    const struct store_value values[] = {store_text(id)};
    int64_t has_ended = 0;
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    code = store_look_up(
        store, "SELECT phase NOT IN ('queued', 'running') FROM job WHERE id = ?1",
        values, 1, &has_ended, err);
    if (code == DR_NOT_FOUND)
        failure(err, code, "there is no such job");
    else if (code == DR_OK && !has_ended)
        code = failure(err, DR_BUSY, "job %s has not ended; cancel it first", id);
    if (code == DR_OK)
        code = store_execute(store, "DELETE FROM job WHERE id = ?1", values, 1, err);
    return store_commit(store, code, err);
}

/* ---- looking ------------------------------------------------------------------------------------ */

static void finish_all(struct job_record *records, int32_t count)
{
    for (int32_t i = 0; records && i < count; ++i)
        job_record_finish(&records[i]);
    free(records);
}

static enum dr_code read_rows(struct store *store, const char *sql,
                              const struct store_value *values, size_t value_count,
                              int32_t most, enum unreadable unreadable,
                              struct job_record **records, int32_t *count,
                              struct dr_error *err)
{
    sqlite3_stmt *statement = NULL;
    struct job_record *const list = calloc((size_t)most + 1, sizeof *list);
    int32_t at = 0;
    bool has_row = false;
    enum dr_code code = list ? DR_OK : failure_memory(err, "the list");
    if (code == DR_OK)
        code = store_prepare(store, &statement, sql, values, value_count, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    while (code == DR_OK && has_row && at < most) {
        code = read_row(statement, unreadable, &list[at], err);
        if (code == DR_OK) ++at;
        if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    }
    sqlite3_finalize(statement);
    if (code) {
        finish_all(list, at);
        return code;
    }
    *records = list;
    *count = at;
    return DR_OK;
}

enum dr_code job_store_get(struct store *store, const char *id, const char *user,
                           struct job_record *record, struct dr_error *err)
{
    struct job_record *found = NULL;
    int32_t count = 0;
    const struct store_value values[] = {store_text(id)};
    if (!store_is_id(id)) return failure(err, DR_NOT_FOUND, "there is no such job");
    store_lock(store);
    const enum dr_code code =
        read_rows(store, "SELECT " COLUMNS " FROM job WHERE id = ?1", values, 1, 1,
                  UNREADABLE_FAILS, &found, &count, err);
    store_unlock(store);
    if (code) return code;
    if (count == 0 || (user && strcmp(found->user, user) != 0)) {
        finish_all(found, count);
        return failure(err, DR_NOT_FOUND, "there is no job %s", id);
    }
    *record = *found;
    free(found);
    return DR_OK;
}

enum dr_code job_store_match(struct store *store, const char *user, const char *key,
                             const unsigned char body_digest[32], double since_s,
                             char id[STORE_ID_BYTES], struct dr_error *err)
{
    sqlite3_stmt *statement;
    bool has_row = false;
    const bool has_key = key[0] != '\0';
    const struct store_value values[] = {
        store_text(user),
        has_key ? store_text(key) : store_blob(body_digest, 32),
        store_real(since_s),
    };
    store_lock(store);
    enum dr_code code = store_prepare(
        store, &statement,
        has_key ? "SELECT id FROM job WHERE key = ?2 AND key <> '' AND user = ?1"
                  " ORDER BY number DESC LIMIT 1"
                : "SELECT id FROM job WHERE digest = ?2 AND user = ?1"
                  " AND (phase IN ('queued', 'running') OR ended_s > ?3)"
                  " ORDER BY number DESC LIMIT 1",
        values, has_key ? 2 : 3, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    if (code == DR_OK && has_row) store_column_text(statement, 0, id, STORE_ID_BYTES);
    if (code == DR_OK && !has_row)
        code = failure(err, DR_NOT_FOUND, "there is no such job");
    sqlite3_finalize(statement);
    store_unlock(store);
    return code;
}

enum dr_code job_store_list(struct store *store, const char *user, int64_t before,
                            int32_t limit, struct job_record **records, int32_t *count,
                            struct dr_error *err)
{
    if (limit < 0) limit = 0;
    if (limit > MOST_LISTED) limit = MOST_LISTED;
    const struct store_value values[] = {store_integer(before > 0 ? before : INT64_MAX),
                                         store_integer(limit), store_text(user)};
    store_lock(store);
    const enum dr_code code =
        read_rows(store,
                  user ? "SELECT " COLUMNS " FROM job WHERE number < ?1 AND user = ?3"
                         " ORDER BY number DESC LIMIT ?2"
                       : "SELECT " COLUMNS " FROM job WHERE number < ?1"
                         " ORDER BY number DESC LIMIT ?2",
                  values, user ? 3 : 2, limit, UNREADABLE_IS_LISTED, records, count,
                  err);
    store_unlock(store);
    return code;
}

/* lock is held. */
static enum dr_code look_up_waiting(struct store *store, int64_t *count,
                                    struct dr_error *err)
{
    return store_look_up(store, "SELECT count(*) FROM job WHERE phase = 'queued'", NULL,
                         0, count, err);
}

enum dr_code job_store_count_waiting(struct store *store, int32_t *count,
                                     struct dr_error *err)
{
    enum dr_code code = DR_OK;
    store_lock(store);
    const int64_t changes = sqlite3_total_changes64(store->database);
    if (store->queued_changes != changes) {
        store->queued_changes = -1;
        code = look_up_waiting(store, &store->queued_count, err);
        if (code == DR_OK) store->queued_changes = changes;
    }
    if (code == DR_OK) *count = (int32_t)store->queued_count;
    store_unlock(store);
    return code;
}

enum dr_code job_store_waiting(struct store *store, struct job_waiting **jobs,
                               int32_t *count, struct dr_error *err)
{
    sqlite3_stmt *statement = NULL;
    struct job_waiting *list = NULL;
    int64_t queued = 0;
    int32_t at = 0;
    bool has_row = false;
    store_lock(store);
    enum dr_code code = look_up_waiting(store, &queued, err);
    if (code == DR_OK && queued > 0) {
        list = calloc((size_t)queued, sizeof *list);
        if (!list) code = failure_memory(err, "the queue");
    }
    if (code == DR_OK)
        code = store_prepare(store, &statement,
                             "SELECT id, number, user FROM job WHERE phase = 'queued'"
                             " ORDER BY number",
                             NULL, 0, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    for (; code == DR_OK && has_row && at < queued; ++at) {
        store_column_text(statement, 0, list[at].id, sizeof list[at].id);
        list[at].number = sqlite3_column_int64(statement, 1);
        store_column_text(statement, 2, list[at].user, sizeof list[at].user);
        code = store_step(store, statement, &has_row, err);
    }
    sqlite3_finalize(statement);
    store_unlock(store);
    if (code) {
        free(list);
        return code;
    }
    *jobs = list;
    *count = at;
    return DR_OK;
}
