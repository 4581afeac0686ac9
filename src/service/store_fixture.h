/* store_fixture — a data directory for a test, pictures in it, and the statements that calls make. */
#ifndef SERVICE_STORE_FIXTURE_H
#define SERVICE_STORE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "scratch_folder.h"
#include "service/gallery.h"
#include "service/job_store.h"
#include "service/store.h"
#include "service/store_sql.h"

/* Opens folder NAME of the scratch folder; the test ends where that fails. */
static inline struct store *fixture_open(const char *name)
{
    struct dr_error err = {0};
    struct store *store = NULL;
    if (store_open(&store, scratch_path(name), &err) != DR_OK) {
        fprintf(stderr, "cannot open the store %s: %s\n", name, err.message);
        exit(1);
    }
    return store;
}

/* A statement by hand. */
static inline void fixture_sql(struct store *store, const char *sql)
{
    char *words = NULL;
    if (sqlite3_exec(store->database, sql, NULL, NULL, &words) != SQLITE_OK)
        check_fail_at("%s: %s", sql, words);
    sqlite3_free(words);
}

static inline int64_t fixture_number(struct store *store, const char *sql)
{
    int64_t number = -1;
    store_lock(store);
    const enum dr_code code = store_look_up(store, sql, NULL, 0, &number, NULL);
    store_unlock(store);
    check_int(code, ==, DR_OK);
    return number;
}

/* A queued job of a user, by a short prompt. */
static inline enum dr_code fixture_add_job(struct store *store, const char *user,
                                           bool survives, char id[STORE_ID_BYTES],
                                           struct dr_error *err)
{
    struct job_record record = {.survives = survives};
    store_new_id(record.id);
    memcpy(id, record.id, STORE_ID_BYTES);
    (void)snprintf(record.user, sizeof record.user, "%s", user);
    memcpy(record.body_digest, record.id, sizeof record.body_digest);
    record.request = picture_request_default();
    const enum dr_code code = job_store_add(store, &record, 1 << 30, err);
    job_record_finish(&record);
    return code;
}

/* An entry that has not been added yet. prompt: borrowed, so gallery_picture_finish is not for it. */
static inline struct gallery_picture fixture_picture(const char *job, int32_t index,
                                                     const char *user, char *prompt)
{
    struct gallery_picture picture = {
        .index = index,
        .is_kept = true,
        .width = 8,
        .height = 16,
        .seed = UINT64_MAX - 1,
        .prompt = prompt,
    };
    (void)snprintf(picture.job, sizeof picture.job, "%s", job);
    (void)snprintf(picture.user, sizeof picture.user, "%s", user);
    return picture;
}

static inline const char *fixture_path(const struct store *store, const char *job,
                                       int32_t index, bool is_jpeg)
{
    static char path[512];
    char id[STORE_ID_BYTES];
    gallery_id(job, index, id);
    gallery_path(store, id, is_jpeg, path, sizeof path);
    return path;
}

/* The picture's file. Its bytes say what it is. */
static inline void fixture_write(const struct store *store,
                                 const struct gallery_picture *picture)
{
    char text[128];
    const int bytes = snprintf(text, sizeof text, "picture %d of job %s\n",
                               picture->index, picture->job);
    scratch_write(fixture_path(store, picture->job, picture->index, picture->is_jpeg),
                  text, (size_t)bytes);
}

/* ---- plans of queries ---------------------------------------------------------------------------- */

/* Statements that ran, each once. */
struct fixture_trace {
    char *statements[256];
    int count;
};

static inline int fixture_note(unsigned type, void *cookie, void *statement, void *text)
{
    struct fixture_trace *const trace = cookie;
    const char *const sql = sqlite3_sql(statement);
    (void)type;
    if (strncmp(text, "--", 2) == 0) return 0; /* of a trigger */
    for (int i = 0; i < trace->count; ++i)
        if (strcmp(trace->statements[i], sql) == 0) return 0;
    if (trace->count < 256) trace->statements[trace->count++] = strdup(sql);
    return 0;
}

static inline void fixture_trace(struct store *store, struct fixture_trace *trace)
{
    (void)sqlite3_trace_v2(store->database, SQLITE_TRACE_STMT, fixture_note, trace);
}

/* Steps of the plans of all that ran which read a whole table or sort, but for those that `allowed` names, and indexes of
 * `needed` that no step uses; both are parts of a plan's line, NULL-terminated. Frees the trace. */
static inline int fixture_slow_steps(struct store *store, struct fixture_trace *trace,
                                     const char *const *allowed,
                                     const char *const *needed)
{
    int slow = 0;
    bool is_used[16] = {false};
    (void)sqlite3_trace_v2(store->database, 0, NULL, NULL);
    for (int i = 0; i < trace->count; ++i) {
        char sql[2048];
        sqlite3_stmt *plan = NULL;
        (void)snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", trace->statements[i]);
        if (sqlite3_prepare_v2(store->database, sql, -1, &plan, NULL) == SQLITE_OK)
            while (sqlite3_step(plan) == SQLITE_ROW) {
                const char *const step = (const char *)sqlite3_column_text(plan, 3);
                bool is_slow = strncmp(step, "SCAN", 4) == 0 || strstr(step, "TEMP");
                for (const char *const *name = allowed; *name; ++name)
                    is_slow = is_slow && !strstr(step, *name);
                for (int n = 0; needed[n]; ++n)
                    is_used[n] = is_used[n] || strstr(step, needed[n]);
                if (is_slow)
                    fprintf(stderr, "slow: %s\n  %s\n", step, trace->statements[i]);
                slow += is_slow;
            }
        sqlite3_finalize(plan);
        free(trace->statements[i]);
    }
    trace->count = 0;
    for (int n = 0; needed[n]; ++n) {
        if (is_used[n]) continue;
        fprintf(stderr, "not used: %s\n", needed[n]);
        ++slow;
    }
    return slow;
}

#endif
