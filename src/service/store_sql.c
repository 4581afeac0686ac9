#include "service/store_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double store_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- failures ------------------------------------------------------------------------------- */

/* What a person can do about it; NULL: SQLite's words have to do. */
static const char *advice(int result)
{
    switch (result & 0xff) {
    case SQLITE_FULL: return "the disk is full; make room on it and try again";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another process keeps it locked; close that process and try again";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "it may not be written; check the permissions of the file and its directory";
    case SQLITE_CANTOPEN:
        return "it cannot be opened; check the permissions of the directory";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "the file is damaged; stop the service, move darkroom.db* away (jobs and the list of pictures are lost, "
               "the files under images/ stay) or restore them from a backup, and start it again";
    case SQLITE_IOERR:
        return "it cannot be read or written; check the disk and try again";
    default: return NULL;
    }
}

static enum dr_code fail_result(struct store *store, int result, struct dr_error *err)
{
    const char *const path = store->database_path;
    const int kind = result & 0xff;
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB || kind == SQLITE_IOERR)
        store->is_doubtful = true;
    const char *const words =
        store->database ? sqlite3_errmsg(store->database) : sqlite3_errstr(result);
    const int system = store->database ? sqlite3_system_errno(store->database) : 0;
    if (kind == SQLITE_NOMEM)
        return failure(err, DR_NOMEM,
                       "%s: there is no memory for it (the database may take %d MiB)",
                       path, STORE_HEAP_BYTES >> 20);
    if (kind == SQLITE_TOOBIG)
        return failure(err, DR_BAD_INPUT,
                       "a text is longer than the %d bytes that the database takes",
                       STORE_TEXT_BYTES);
    const char *const what = advice(result);
    if (!what)
        return failure(err, DR_FAILED, "%s: SQLite says \"%s\" (%d)", path, words,
                       result);
    const bool has_reason =
        system != 0 && (kind == SQLITE_CANTOPEN || kind == SQLITE_IOERR);
    return failure(err, DR_IO, "%s: %s (SQLite: %s%s%s)", path, what, words,
                   has_reason ? ": " : "", has_reason ? strerror(system) : "");
}

enum dr_code store_fail_sql(struct store *store, struct dr_error *err)
{
    return fail_result(store, sqlite3_extended_errcode(store->database), err);
}

/* ---- values --------------------------------------------------------------------------------- */

struct store_value store_integer(int64_t integer)
{
    return (struct store_value){.type = STORE_INTEGER, .integer = integer};
}

struct store_value store_real(double real)
{
    return (struct store_value){.type = STORE_REAL, .real = real};
}

struct store_value store_text(const char *text)
{
    return (struct store_value){.type = text ? STORE_TEXT : STORE_NULL, .bytes = text};
}

struct store_value store_blob(const void *bytes, int byte_count)
{
    return (struct store_value){.type = STORE_BLOB,
                                .bytes = bytes,
                                .byte_count = byte_count};
}

static int bind(sqlite3_stmt *statement, int place, const struct store_value *value)
{
    switch (value->type) {
    case STORE_NULL: return sqlite3_bind_null(statement, place);
    case STORE_INTEGER: return sqlite3_bind_int64(statement, place, value->integer);
    case STORE_REAL: return sqlite3_bind_double(statement, place, value->real);
    case STORE_TEXT:
        return sqlite3_bind_text(statement, place, value->bytes, -1, SQLITE_STATIC);
    case STORE_BLOB:
        return sqlite3_bind_blob(statement, place, value->bytes, value->byte_count,
                                 SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

char *store_column_copy(sqlite3_stmt *statement, int column)
{
    const char *const text = (const char *)sqlite3_column_text(statement, column);
    return strdup(text ? text : "");
}

void store_column_text(sqlite3_stmt *statement, int column, char *text, size_t bytes)
{
    const char *const value = (const char *)sqlite3_column_text(statement, column);
    (void)snprintf(text, bytes, "%s", value ? value : "");
}

/* ---- statements ----------------------------------------------------------------------------- */

enum dr_code store_prepare(struct store *store, sqlite3_stmt **statement,
                           const char *sql, const struct store_value *values,
                           size_t count, struct dr_error *err)
{
    *statement = NULL;
    if (sqlite3_prepare_v2(store->database, sql, -1, statement, NULL) != SQLITE_OK)
        return store_fail_sql(store, err);
    for (size_t i = 0; i < count; ++i) {
        if (bind(*statement, (int)i + 1, &values[i]) == SQLITE_OK) continue;
        const enum dr_code code = store_fail_sql(store, err);
        sqlite3_finalize(*statement);
        *statement = NULL;
        return code;
    }
    return DR_OK;
}

enum dr_code store_step(struct store *store, sqlite3_stmt *statement, bool *has_row,
                        struct dr_error *err)
{
    const int result = sqlite3_step(statement);
    *has_row = result == SQLITE_ROW;
    return result == SQLITE_ROW || result == SQLITE_DONE ? DR_OK
                                                         : store_fail_sql(store, err);
}

enum dr_code store_execute(struct store *store, const char *sql,
                           const struct store_value *values, size_t count,
                           struct dr_error *err)
{
    sqlite3_stmt *statement;
    bool has_row = true;
    enum dr_code code = store_prepare(store, &statement, sql, values, count, err);
    while (code == DR_OK && has_row)
        code = store_step(store, statement, &has_row, err);
    sqlite3_finalize(statement);
    return code;
}

enum dr_code store_look_up(struct store *store, const char *sql,
                           const struct store_value *values, size_t count,
                           int64_t *integer, struct dr_error *err)
{
    sqlite3_stmt *statement;
    bool has_row = false;
    enum dr_code code = store_prepare(store, &statement, sql, values, count, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    if (code == DR_OK && has_row) *integer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == DR_OK && !has_row ? DR_NOT_FOUND : code;
}

/* ---- the lock and transactions ---------------------------------------------------------------- */

void store_lock(struct store *store)
{
    pthread_mutex_lock(&store->lock);
}

void store_unlock(struct store *store)
{
    pthread_mutex_unlock(&store->lock);
}

/* SQLite may have rolled back by itself (full disk, no memory). */
static void roll_back(struct store *store)
{
    if (sqlite3_get_autocommit(store->database)) return;
    (void)sqlite3_step(store->rollback);
    (void)sqlite3_reset(store->rollback);
}

/* The transaction is over: the next one is an ordinary one. */
static void give_back(struct store *store)
{
    if (store->is_durable)
        (void)!store_execute(store, "PRAGMA synchronous = NORMAL", NULL, 0, NULL);
    store->is_durable = false;
    store_unlock(store);
}

static enum dr_code begin(struct store *store, struct dr_error *err)
{
    const enum dr_code code = store_execute(store, "BEGIN IMMEDIATE", NULL, 0, err);
    if (!code) return DR_OK;
    roll_back(store);
    give_back(store);
    return code;
}

enum dr_code store_begin(struct store *store, struct dr_error *err)
{
    store_lock(store);
    return begin(store, err);
}

enum dr_code store_begin_durable(struct store *store, struct dr_error *err)
{
    store_lock(store);
    store->is_durable = true;
    const enum dr_code code =
        store_execute(store, "PRAGMA synchronous = FULL", NULL, 0, err);
    if (code == DR_OK) return begin(store, err);
    give_back(store);
    return code;
}

enum dr_code store_commit(struct store *store, enum dr_code code, struct dr_error *err)
{
    if (code == DR_OK) code = store_execute(store, "COMMIT", NULL, 0, err);
    if (code) roll_back(store);
    give_back(store);
    return code;
}
