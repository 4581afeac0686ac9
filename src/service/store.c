#include "service/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/clean_end.h"
#include "service/store_schema.h"
#include "service/store_sql.h"

enum {
    PAGE_BYTES = 4096, /* of the database: SQLite's default */
    BUSY_MS = 2000,    /* another process may hold the database for so long */
    WAL_BYTES = 4 * 1024 * 1024
};

/* ---- ids ------------------------------------------------------------------------------------- */

void store_new_id(char id[STORE_ID_BYTES])
{
    unsigned char bytes[(STORE_ID_BYTES - 1) / 2];
    /* So few bytes come whole, and cannot fail once the system has started. */
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) abort();
    for (size_t i = 0; i < sizeof bytes; ++i)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

int store_is_id(const char *id)
{
    return strlen(id) == STORE_ID_BYTES - 1 &&
           strspn(id, "0123456789abcdef") == STORE_ID_BYTES - 1;
}

/* ---- the directory --------------------------------------------------------------------------- */

const char *store_image_folder(const struct store *store)
{
    return store->image_path;
}

const char *store_input_folder(const struct store *store)
{
    return store->input_path;
}

static char *join(const char *folder, const char *name)
{
    const size_t bytes = strlen(folder) + strlen(name) + 2;
    char *const path = malloc(bytes);
    if (path) (void)snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}

/* The folder and those above it. */
static enum dr_code make_folders(char *path, struct dr_error *err)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash) *slash = '\0';
        const bool is_made = mkdir(path, 0700) == 0 || errno == EEXIST;
        const enum dr_code code =
            is_made ? DR_OK
                    : failure(err, DR_IO,
                              "cannot make the data directory %s: %s; choose another "
                              "one with --data",
                              path, strerror(errno));
        if (slash) *slash = '/';
        if (code || !slash) return code;
    }
}

static enum dr_code open_folder(struct store *store, const char *name, int *folder,
                                struct dr_error *err)
{
    char *const path = join(store->folder, name);
    if (!path) return failure_memory(err, "a path");
    enum dr_code code = DR_OK;
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        *folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*folder < 0)
        code = failure(err, DR_IO,
                       "cannot use the directory %s: %s; check its permissions, or "
                       "choose another data directory with --data",
                       path, strerror(errno));
    free(path);
    return code;
}

/* The lock goes with the process, however it ends. */
static enum dr_code take_lock_file(struct store *store, struct dr_error *err)
{
    char *const path = join(store->folder, "lock");
    if (!path) return failure_memory(err, "a path");
    char owner[32] = "";
    enum dr_code code = DR_OK;
    store->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_file < 0) {
        code = failure(err, DR_IO,
                       "cannot write %s: %s; check the permissions of the directory, "
                       "or choose another one with --data",
                       path, strerror(errno));
    } else if (flock(store->lock_file, LOCK_EX | LOCK_NB) != 0) {
        const ssize_t got = pread(store->lock_file, owner, sizeof owner - 1, 0);
        owner[got > 0 ? got : 0] = '\0';
        owner[strcspn(owner, "\n")] = '\0';
        code = failure(err, DR_BUSY,
                       "the data directory %s belongs to a service that runs (process "
                       "%s); stop it, or choose another directory with --data",
                       store->folder, owner[0] ? owner : "unknown");
    } else {
        const int length = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
        if (ftruncate(store->lock_file, 0) != 0 ||
            pwrite(store->lock_file, owner, (size_t)length, 0) != length)
            code = failure(err, DR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    free(path);
    return code;
}

static enum dr_code open_folders(struct store *store, struct dr_error *err)
{
    enum dr_code code = make_folders(store->folder, err);
    if (code == DR_OK) code = take_lock_file(store, err);
    if (code == DR_OK) code = open_folder(store, "images", &store->image_folder, err);
    if (code == DR_OK)
        code = open_folder(store, "thumbnails", &store->thumbnail_folder, err);
    if (code == DR_OK) code = open_folder(store, "inputs", &store->input_folder, err);
    return code;
}

/* ---- the database ---------------------------------------------------------------------------- */

/* With the mode that its WAL and its index take over. */
static enum dr_code make_database_file(struct store *store, struct dr_error *err)
{
    const int file =
        open(store->database_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return failure(err, DR_IO,
                       "cannot write %s: %s; check the permissions, or choose another "
                       "data directory with --data",
                       store->database_path, strerror(errno));
    (void)close(file);
    return DR_OK;
}

static enum dr_code run(struct store *store, const char *sql, struct dr_error *err)
{
    return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK
               ? DR_OK
               : store_fail_sql(store, err);
}

/* The cache of pages is one block of memory that is there from the start: pages in the heap would keep it from being
 * given back. For the whole process, before SQLite is first used. */
static pthread_once_t pages_once = PTHREAD_ONCE_INIT;

static void give_pages(void)
{
    static _Alignas(8) char pages[STORE_PAGE_CACHE_BYTES];
    int header_bytes = 0;
    (void)sqlite3_config(SQLITE_CONFIG_PCACHE_HDRSZ, &header_bytes);
    const int slot_bytes = (PAGE_BYTES + header_bytes + 7) / 8 * 8;
    memset(pages, 0, sizeof pages);
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, pages, slot_bytes,
                         (int)(sizeof pages / (size_t)slot_bytes));
}

static enum dr_code open_database(struct store *store, struct dr_error *err)
{
    enum dr_code code = make_database_file(store, err);
    if (code) return code;
    (void)pthread_once(&pages_once, give_pages);
    (void)sqlite3_hard_heap_limit64(STORE_HEAP_BYTES);
    const int result =
        sqlite3_open_v2(store->database_path, &store->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!store->database) return failure_memory(err, "the database");
    if (result != SQLITE_OK) return store_fail_sql(store, err);
    (void)sqlite3_extended_result_codes(store->database, 1);
    (void)sqlite3_busy_timeout(store->database, BUSY_MS);
    (void)sqlite3_limit(store->database, SQLITE_LIMIT_LENGTH, STORE_TEXT_BYTES);
    (void)sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    char pragmas[512];
    (void)snprintf(pragmas, sizeof pragmas,
                   "PRAGMA mmap_size = 0; PRAGMA cache_size = -512;"
                   "PRAGMA temp_store = MEMORY; PRAGMA journal_mode = WAL;"
                   "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
                   "PRAGMA journal_size_limit = %d;",
                   WAL_BYTES);
    return run(store, pragmas, err);
}

static enum dr_code fail_damaged(const struct store *store, const char *words,
                                 struct dr_error *err)
{
    return failure(err, DR_CORRUPT,
                   "%s is damaged (SQLite: %s); restore it from a backup, or move "
                   "darkroom.db* away and start again: jobs and the list of pictures "
                   "are lost then, the files under %s stay",
                   store->database_path, words, store->image_path);
}

static bool is_damage(const struct store *store)
{
    const int result = sqlite3_errcode(store->database) & 0xff;
    return result == SQLITE_CORRUPT || result == SQLITE_NOTADB;
}

static enum dr_code check_database(struct store *store, struct dr_error *err)
{
    sqlite3_stmt *statement;
    bool has_row = false;
    enum dr_code code =
        store_prepare(store, &statement, "PRAGMA quick_check(1)", NULL, 0, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    char words[256] = "ok";
    if (code == DR_OK && has_row) store_column_text(statement, 0, words, sizeof words);
    sqlite3_finalize(statement);
    if (code == DR_OK) store->read_s = store_now_s();
    return code == DR_OK && strcmp(words, "ok") != 0 ? fail_damaged(store, words, err)
                                                     : code;
}

/* One transaction for all steps: a service that dies meanwhile leaves the old version. */
static enum dr_code migrate(struct store *store, struct dr_error *err)
{
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    int64_t version = 0;
    code = store_look_up(store, "PRAGMA user_version", NULL, 0, &version, err);
    if (code == DR_OK && (version > STORE_SCHEMA_VERSION || version < 0))
        code = failure(err, DR_UNSUPPORTED,
                       "%s is from a newer darkroom: its version is %lld, this program "
                       "knows up to %d; update darkroom, or choose another data "
                       "directory with --data",
                       store->database_path, (long long)version, STORE_SCHEMA_VERSION);
    for (int64_t at = version; code == DR_OK && at < STORE_SCHEMA_VERSION; ++at)
        code = run(store, store_schema_steps[at], err);
    if (code == DR_OK && version != STORE_SCHEMA_VERSION) {
        char pragma[64];
        (void)snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d",
                       STORE_SCHEMA_VERSION);
        code = run(store, pragma, err);
    }
    return store_commit(store, code, err);
}

static enum dr_code prepare_database(struct store *store, struct dr_error *err)
{
    const bool is_clean =
        clean_end_take(store->database_path, store_now_s(), &store->read_s);
    enum dr_code code = open_database(store, err);
    if (code == DR_OK)
        code = store_prepare(store, &store->rollback, "ROLLBACK", NULL, 0, err);
    if (code == DR_OK && !is_clean) code = check_database(store, err);
    if (code == DR_OK) code = migrate(store, err);
    if (code == DR_IO && store->database && is_damage(store))
        code = fail_damaged(store, sqlite3_errmsg(store->database), err);
    store->is_open = code == DR_OK;
    return code;
}

/* ---- open and close --------------------------------------------------------------------------- */

static void close_file(int *file)
{
    if (*file >= 0) (void)close(*file);
    *file = -1;
}

void store_close(struct store *store)
{
    if (!store) return;
    sqlite3_finalize(store->rollback);
    if (sqlite3_close(store->database) == SQLITE_OK && store->is_open &&
        !store->is_doubtful)
        clean_end_note(store->database_path, store->read_s);
    close_file(&store->image_folder);
    close_file(&store->thumbnail_folder);
    close_file(&store->input_folder);
    close_file(&store->lock_file); /* last: now another service may come */
    free(store->folder);
    free(store->database_path);
    free(store->image_path);
    free(store->input_path);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

enum dr_code store_open(struct store **out, const char *folder, struct dr_error *err)
{
    struct store *const store = calloc(1, sizeof *store);
    if (!store) return failure_memory(err, "the database");
    pthread_mutex_init(&store->lock, NULL);
    store->lock_file = store->image_folder = store->thumbnail_folder =
        store->input_folder = -1;
    store->queued_changes = -1;
    store->folder = strdup(folder);
    store->database_path = join(folder, "darkroom.db");
    store->image_path = join(folder, "images");
    store->input_path = join(folder, "inputs");
    enum dr_code code = DR_OK;
    if (!store->folder || !store->database_path || !store->image_path ||
        !store->input_path)
        code = failure_memory(err, "the paths");
    if (code == DR_OK) code = open_folders(store, err);
    if (code == DR_OK) code = prepare_database(store, err);
    if (code) {
        store_close(store);
        return code;
    }
    *out = store;
    return DR_OK;
}
