/* store_sql — statements of the stores: values, transactions, and SQLite's failures as sentences.
 *
 *     enum dr_code code = store_begin(store, err);            takes the lock
 *     if (code) return code;
 *     code = store_execute(store, "UPDATE job SET user = ?1 WHERE number = ?2",
 *                          (struct store_value[]){store_text(user), store_integer(5)}, 2, err);
 *     return store_commit(store, code, err);                  COMMIT or ROLLBACK, and gives the lock back
 *
 * For store.c, job_store.c, gallery.c, option_store.c and their tests. Threads: who holds the lock.
 */
#ifndef SERVICE_STORE_SQL_H
#define SERVICE_STORE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <sqlite3.h>

#include "service/failure.h"
#include "service/store.h"

struct store {
    pthread_mutex_t lock;
    sqlite3 *database;
    sqlite3_stmt *rollback;    /* prepared: it has to work where memory has run out */
    bool is_durable;           /* the transaction that is open */
    bool is_open, is_doubtful; /* SQLite spoke of damage, or the disk failed */
    double read_s;             /* when the whole database was last read, Unix time */
    int64_t queued_count;   /* job_store_count_waiting's, as of so many changed rows; */
    int64_t queued_changes; /* -1: not counted yet */
    char *folder, *database_path, *image_path, *input_path;
    int lock_file, image_folder, thumbnail_folder, input_folder; /* -1: not open */
};

/* A value for a placeholder: borrowed until the statement is finalized. */
struct store_value {
    enum {
        STORE_NULL,
        STORE_INTEGER,
        STORE_REAL,
        STORE_TEXT,
        STORE_BLOB
    } type;
    int64_t integer;
    double real;
    const void *bytes;
    int byte_count; /* of a blob */
};
struct store_value store_integer(int64_t integer);
struct store_value store_real(double real);
struct store_value store_text(const char *text); /* NULL is NULL */
struct store_value store_blob(const void *bytes, int byte_count);

/* Takes the lock, for reading. */
void store_lock(struct store *store);
void store_unlock(struct store *store);
/* Takes the lock and begins to write. On error the lock is not held. What is committed survives the end of the process at
 * any moment. A loss of power may take the last transactions with it, but never one alone from the middle; what was
 * begun by store_begin_durable, and all before it, survives that too. It waits for the disk once. */
enum dr_code store_begin(struct store *store, struct dr_error *err) DR_MUST_CHECK;
enum dr_code store_begin_durable(struct store *store,
                                 struct dr_error *err) DR_MUST_CHECK;
/* Ends what store_begin began: commits where code is DR_OK, else nothing has happened. Gives the lock back. Returns
 * code, or why it cannot be committed. */
enum dr_code store_commit(struct store *store, enum dr_code code,
                          struct dr_error *err) DR_MUST_CHECK;

/* A statement with its values bound, to be finalized with sqlite3_finalize. */
enum dr_code store_prepare(struct store *store, sqlite3_stmt **statement,
                           const char *sql, const struct store_value *values,
                           size_t count, struct dr_error *err) DR_MUST_CHECK;
/* *has_row: is there a row to be read? */
enum dr_code store_step(struct store *store, sqlite3_stmt *statement, bool *has_row,
                        struct dr_error *err) DR_MUST_CHECK;
/* A statement without rows, or whose rows nobody reads. */
enum dr_code store_execute(struct store *store, const char *sql,
                           const struct store_value *values, size_t count,
                           struct dr_error *err) DR_MUST_CHECK;
/* The first column of the first row. DR_NOT_FOUND (without a message) where there is none. */
enum dr_code store_look_up(struct store *store, const char *sql,
                           const struct store_value *values, size_t count,
                           int64_t *integer, struct dr_error *err) DR_MUST_CHECK;

/* Columns of a row. A copy is malloc'ed, "" for NULL; NULL where memory runs out. Text for a buffer is cut. */
char *store_column_copy(sqlite3_stmt *statement, int column);
void store_column_text(sqlite3_stmt *statement, int column, char *text, size_t bytes);

/* The database's last failure, as a sentence with what to do. */
enum dr_code store_fail_sql(struct store *store, struct dr_error *err);

#endif
