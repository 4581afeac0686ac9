/* job_store_recover: what a process that died has left. */
#include "service/job_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/gallery.h"
#include "service/store_sql.h"

/* Pictures that a job wrote before it was cut off have files but no rows. */
static enum dr_code doom_pictures(struct store *store, struct dr_error *err)
{
    sqlite3_stmt *statement;
    bool has_row = false;
    enum dr_code code =
        store_prepare(store, &statement,
                      "SELECT id, max(1, coalesce(request ->> '$.batch_size', 1)"
                      "           * coalesce(request ->> '$.n_iter', 1)) FROM job"
                      " WHERE phase = 'running' AND (NOT survives OR starts >= ?1)",
                      (struct store_value[]){store_integer(JOB_STORE_STARTS)}, 1, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    while (code == DR_OK && has_row) {
        char id[STORE_ID_BYTES];
        const int64_t count = sqlite3_column_int64(statement, 1);
        store_column_text(statement, 0, id, sizeof id);
        code = gallery_doom(store, id, count < 4096 ? (int32_t)count : 4096, err);
        if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    }
    sqlite3_finalize(statement);
    return code;
}

static enum dr_code change(struct store *store, const char *sql,
                           const struct store_value *values, size_t count,
                           int32_t *changed, struct dr_error *err)
{
    const enum dr_code code = store_execute(store, sql, values, count, err);
    *changed = code ? 0 : sqlite3_changes(store->database);
    return code;
}

static enum dr_code change_phases(struct store *store, int32_t *queued,
                                  int32_t *cancelled, struct dr_error *err)
{
    int32_t failed = 0;
    char words[160];
    (void)snprintf(
        words, sizeof words,
        "the service died %d times while this job ran; it is not tried again",
        JOB_STORE_STARTS);
    const struct store_value values[] = {store_real(store_now_s()),
                                         store_integer(JOB_STORE_STARTS),
                                         store_text(words)};
    enum dr_code code = change(
        store,
        "UPDATE job SET phase = 'failed', ended_s = ?1, code = 'failed', error = ?3"
        " WHERE phase = 'running' AND survives AND starts >= ?2",
        values, 3, &failed, err);
    if (code == DR_OK)
        code = change(
            store,
            "UPDATE job SET phase = 'cancelled', ended_s = ?1, code = 'cancelled',"
            " error = 'the service stopped before the job had ended'"
            " WHERE phase IN ('queued', 'running') AND NOT survives",
            values, 1, cancelled, err);
    if (code == DR_OK)
        code = change(store,
                      "UPDATE job SET phase = 'queued', started_s = 0"
                      " WHERE phase = 'running'",
                      NULL, 0, queued, err);
    return code;
}

static enum dr_code is_input_needed(struct store *store, const char *name, bool *needed,
                                    struct dr_error *err)
{
    int64_t found = 0;
    const struct store_value values[] = {store_text(name)};
    const enum dr_code code =
        store_look_up(store,
                      "SELECT 1 FROM job WHERE phase IN ('queued', 'running')"
                      " AND request ->> '$.init' = ?1 LIMIT 1",
                      values, 1, &found, err);
    *needed = code != DR_NOT_FOUND;
    return code == DR_NOT_FOUND ? DR_OK : code;
}

/* Inputs belong to jobs that have not ended; each is written before its job is accepted. */
static enum dr_code remove_inputs(struct store *store, struct dr_error *err)
{
    const int folder =
        openat(store->input_folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const entries = folder >= 0 ? fdopendir(folder) : NULL;
    if (!entries) {
        if (folder >= 0) (void)close(folder);
        return failure(err, DR_IO, "cannot read the directory %s", store->input_path);
    }
    enum dr_code code = DR_OK;
    for (const struct dirent *entry; code == DR_OK && (entry = readdir(entries));) {
        bool is_needed = true;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        code = is_input_needed(store, entry->d_name, &is_needed, err);
        if (!is_needed) (void)unlinkat(store->input_folder, entry->d_name, 0);
    }
    (void)closedir(entries);
    return code;
}

enum dr_code job_store_recover(struct store *store, int32_t *queued, int32_t *cancelled,
                               struct dr_error *err)
{
    int32_t again = 0, stopped = 0;
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    code = doom_pictures(store, err);
    if (code == DR_OK) code = change_phases(store, &again, &stopped, err);
    code = store_commit(store, code, err);
    if (code) return code;
    store_lock(store);
    code = remove_inputs(store, err);
    store_unlock(store);
    if (code) return code;
    *queued = again;
    *cancelled = stopped;
    return DR_OK;
}
