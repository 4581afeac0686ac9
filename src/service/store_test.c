/* The data directory and its faults. A full disk and a read-only one are file systems of this test's own, in a user
 * namespace. */
#define _GNU_SOURCE

#include "service/store.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/option_store.h"
#include "service/store_fixture.h"
#include "service/store_schema.h"

static unsigned mode_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (unsigned)status.st_mode & 07777 : 0;
}

static void is_private(void)
{
    (void)umask(0);
    store_close(fixture_open("a/b/data"));
    check_int(mode_of(scratch_path("a")), ==, 0700);
    check_int(mode_of(scratch_path("a/b/data")), ==, 0700);
    check_int(mode_of(scratch_path("a/b/data/images")), ==, 0700);
    check_int(mode_of(scratch_path("a/b/data/thumbnails")), ==, 0700);
    check_int(mode_of(scratch_path("a/b/data/inputs")), ==, 0700);
    check_int(mode_of(scratch_path("a/b/data/darkroom.db")), ==, 0600);
    check_int(mode_of(scratch_path("a/b/data/lock")), ==, 0600);
    struct store *const store = fixture_open("a/b/data");
    check_int(option_store_write(store, "a", "b", NULL), ==, DR_OK);
    check_int(mode_of(scratch_path("a/b/data/darkroom.db-wal")), ==, 0600);
    store_close(store);
    (void)umask(022);
}

/* 2 (FULL) or 1 (NORMAL). The lock is held. */
static int64_t synchronous(struct store *store)
{
    int64_t value = -1;
    check_int(store_look_up(store, "PRAGMA synchronous", NULL, 0, &value, NULL), ==,
              DR_OK);
    return value;
}

static void a_durable_transaction_waits_for_the_disk(void)
{
    struct store *const store = fixture_open("durable");
    check_int(store_begin_durable(store, NULL), ==, DR_OK);
    check_int(synchronous(store), ==, 2);
    check_int(store_commit(store, DR_FAILED, NULL), ==, DR_FAILED);
    check_int(store_begin(store, NULL), ==, DR_OK);
    check_int(synchronous(store), ==, 1);
    check_int(store_commit(store, DR_OK, NULL), ==, DR_OK);
    store_close(store);
}

static void pragmas_are_set(void)
{
    struct store *const store = fixture_open("pragmas");
    check_int(fixture_number(store, "SELECT journal_mode = 'wal' FROM "
                                    "pragma_journal_mode"),
              ==, 1);
    check_int(fixture_number(store, "PRAGMA synchronous"), ==, 1);
    check_int(fixture_number(store, "PRAGMA foreign_keys"), ==, 1);
    check_int(fixture_number(store, "PRAGMA mmap_size"), ==, 0);
    check_int(fixture_number(store, "PRAGMA cache_size"), ==, -512);
    check_int(fixture_number(store, "PRAGMA user_version"), ==, STORE_SCHEMA_VERSION);
    check_int(sqlite3_hard_heap_limit64(-1), ==, STORE_HEAP_BYTES);
    check_int(fixture_number(
                  store, "SELECT count(*) FROM pragma_table_list WHERE schema = "
                         "'main' AND NOT strict AND type = 'table' AND name NOT LIKE "
                         "'sqlite%'"),
              ==, 0);
    store_close(store);
}

static void ids_are_random_and_checked(void)
{
    char one[STORE_ID_BYTES], other[STORE_ID_BYTES];
    store_new_id(one);
    store_new_id(other);
    check(strcmp(one, other) != 0);
    check(store_is_id(one) && store_is_id(other));
    one[3] = 'A';
    check(!store_is_id(one));
    check(!store_is_id(""));
    check(!store_is_id("../../../../../../../../etc/pwd0"));
    check(!store_is_id("0123456789abcdef0123456789abcdef0"));
    check(!store_is_id("0123456789abcdef0123456789abcde"));
}

/* ---- one owner ------------------------------------------------------------------------------ */

static void a_second_service_is_refused(void)
{
    struct store *const first = fixture_open("owned"), *second = NULL;
    struct dr_error err = {0};
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %ld)", (long)getpid());
    check_int(store_open(&second, scratch_path("owned"), &err), ==, DR_BUSY);
    check(!second);
    check_has(err.message, pid);
    check_has(err.message, "--data");
    store_close(first);
    store_close(fixture_open("owned"));
}

/* Opens the store in a process of its own, which then waits. */
static pid_t start_owner(const char *name)
{
    int ready[2];
    char byte;
    if (pipe(ready) != 0) exit(1);
    const pid_t child = fork();
    if (child == 0) {
        (void)fixture_open(name);
        (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    check_int(read(ready[0], &byte, 1), ==, 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return child;
}

static void an_owner_that_was_killed_owns_nothing(void)
{
    struct store *store = NULL;
    const pid_t owner = start_owner("killed");
    check_int(store_open(&store, scratch_path("killed"), NULL), ==, DR_BUSY);
    check_int(kill(owner, SIGKILL), ==, 0);
    check_int(waitpid(owner, NULL, 0), ==, owner);
    store_close(fixture_open("killed"));
}

/* ---- versions --------------------------------------------------------------------------------- */

static sqlite3 *by_hand(const char *folder)
{
    char name[128];
    sqlite3 *database = NULL;
    (void)snprintf(name, sizeof name, "%s/darkroom.db", folder);
    if (sqlite3_open(scratch_path(name), &database) != SQLITE_OK) exit(1);
    return database;
}

static void run_by_hand(const char *folder, const char *sql)
{
    sqlite3 *const database = by_hand(folder);
    char *words = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &words) != SQLITE_OK) {
        fprintf(stderr, "%s\n", words);
        exit(1);
    }
    sqlite3_close(database);
}

static int64_t number_by_hand(const char *folder, const char *sql)
{
    sqlite3 *const database = by_hand(folder);
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return number;
}

/* A database as the first version wrote it: tests/data/store/version1.sql. */
static void make_version_1(const char *folder)
{
    char path[512];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/data/store/version1.sql",
                   source ? source : ".");
    FILE *const file = fopen(path, "rb");
    static char sql[16384];
    if (!file) {
        perror(path);
        exit(1);
    }
    sql[fread(sql, 1, sizeof sql - 1, file)] = '\0';
    (void)fclose(file);
    (void)mkdir(scratch_path(folder), 0700);
    run_by_hand(folder, sql);
}

static void brings_version_1_forward(void)
{
    make_version_1("old");
    check_int(number_by_hand("old", "PRAGMA user_version"), ==, 1);
    struct store *store = fixture_open("old");
    check_int(fixture_number(store, "PRAGMA user_version"), ==, STORE_SCHEMA_VERSION);
    struct job_record job;
    check_int(job_store_get(store, "00000000000000000000000000000001", NULL, &job,
                            NULL),
              ==, DR_OK);
    check_str(job.request.prompt, "a lighthouse at dusk");
    check_int(job.phase, ==, JOB_QUEUED);
    job_record_finish(&job);
    struct gallery_picture *pictures;
    int32_t count;
    check_int(gallery_list(store, NULL, 0, 10, "LIGHT dusk", &pictures, &count, NULL),
              ==, DR_OK);
    check_int(count, ==, 1);
    if (count == 1) check_str(pictures[0].prompt, "a lighthouse at dusk");
    for (int32_t i = 0; i < count; ++i)
        gallery_picture_finish(&pictures[i]);
    free(pictures);
    store_close(store);
    store_close(fixture_open("old")); /* and once more: nothing is left to do */
}

/* The second step fails at its first statement, and the whole with it. */
static void a_step_that_fails_leaves_the_old_version(void)
{
    struct store *store = NULL;
    struct dr_error err = {0};
    make_version_1("stuck");
    run_by_hand("stuck", "CREATE TABLE word_data (x)");
    check_int(store_open(&store, scratch_path("stuck"), &err), !=, DR_OK);
    check_has(err.message, "darkroom.db");
    check_int(number_by_hand("stuck", "PRAGMA user_version"), ==, 1);
    check_int(number_by_hand("stuck",
                             "SELECT count(*) FROM sqlite_schema WHERE name = 'word'"),
              ==, 0);
    run_by_hand("stuck", "DROP TABLE word_data");
    store_close(fixture_open("stuck"));
}

static void a_newer_version_is_refused_and_left_alone(void)
{
    char newer[32];
    struct store *store = NULL;
    struct dr_error err = {0};
    (void)snprintf(newer, sizeof newer, "PRAGMA user_version = 99");
    store_close(fixture_open("newer"));
    run_by_hand("newer", newer);
    check_int(store_open(&store, scratch_path("newer"), &err), ==, DR_UNSUPPORTED);
    check_has(err.message, "version is 99");
    check_has(err.message, "knows up to 2");
    check_has(err.message, "update darkroom");
    check_int(number_by_hand("newer", "PRAGMA user_version"), ==, 99);
}

/* ---- damage ----------------------------------------------------------------------------------- */

static void overwrite(const char *path, long offset, size_t bytes)
{
    FILE *const file = fopen(path, "r+b");
    if (!file || fseek(file, offset, SEEK_SET) != 0) exit(1);
    for (size_t i = 0; i < bytes; ++i)
        (void)fputc(0x5a, file);
    (void)fclose(file);
}

static void check_refused_as_damaged(const char *folder)
{
    struct store *store = NULL;
    struct dr_error err = {0};
    char picture[128];
    (void)snprintf(picture, sizeof picture, "%s/images/a.png", folder);
    scratch_write(scratch_path(picture), "x", 1);
    check_int(store_open(&store, scratch_path(folder), &err), ==, DR_CORRUPT);
    check_has(err.message, "darkroom.db is damaged (SQLite: ");
    check_has(err.message, "move darkroom.db* away");
    check_int(access(scratch_path(picture), F_OK), ==, 0);
}

static void damage_is_reported_with_what_to_do(void)
{
    store_close(fixture_open("head"));
    overwrite(scratch_path("head/darkroom.db"), 0, 64);
    check_refused_as_damaged("head");

    struct store *store = fixture_open("middle");
    char id[STORE_ID_BYTES];
    for (int i = 0; i < 40; ++i)
        check_int(fixture_add_job(store, "u", true, id, NULL), ==, DR_OK);
    store_close(store);
    overwrite(scratch_path("middle/darkroom.db"), 4096, 4096);
    check_refused_as_damaged("middle");

    store_close(fixture_open("short"));
    check_int(truncate(scratch_path("short/darkroom.db"), 9000), ==, 0);
    check_refused_as_damaged("short");
    /* What the message says helps, and the picture is still there. */
    check_int(unlink(scratch_path("short/darkroom.db")), ==, 0);
    store = fixture_open("short");
    check_int(gallery_sweep(store, 1e12, NULL), ==, DR_OK);
    check_int(access(scratch_path("short/images/a.png"), F_OK), ==, 0);
    store_close(store);
}

/* A page is overwritten, and the file keeps its time, as when a disk forgets. */
static void rot(const char *path)
{
    struct stat status;
    check_int(stat(path, &status), ==, 0);
    overwrite(path, 4096, 4096);
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    check_int(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static void make_full(const char *folder)
{
    char id[STORE_ID_BYTES];
    struct store *const store = fixture_open(folder);
    for (int i = 0; i < 40; ++i)
        check_int(fixture_add_job(store, "u", true, id, NULL), ==, DR_OK);
    store_close(store);
}

/* It is not read whole again, which is seen by what is overlooked then; and after any other end it is. */
static void what_was_closed_well_is_not_read_whole(void)
{
    make_full("closed");
    rot(scratch_path("closed/darkroom.db"));
    store_close(fixture_open("closed"));
    check_int(unlink(scratch_path("closed/darkroom.db.clean")), ==, 0);
    check_refused_as_damaged("closed");
    check_refused_as_damaged("closed"); /* and stays so */

    make_full("killed");
    const pid_t child = fork();
    if (child == 0) {
        char id[STORE_ID_BYTES];
        struct store *const store = fixture_open("killed");
        _exit(fixture_add_job(store, "u", true, id, NULL) == DR_OK ? 0 : 1);
    }
    int status = -1;
    check_int(waitpid(child, &status, 0), ==, child);
    check_int(status, ==, 0);
    rot(scratch_path("killed/darkroom.db"));
    check_refused_as_damaged("killed");
}

/* Damage that comes while the service runs is an error of the call. */
static void damage_while_it_runs_is_an_error(void)
{
    struct store *const store = fixture_open("later");
    char id[STORE_ID_BYTES];
    struct dr_error err = {0};
    for (int i = 0; i < 400; ++i)
        check_int(fixture_add_job(store, "u", true, id, NULL), ==, DR_OK);
    fixture_sql(store, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory");
    struct stat status;
    check_int(stat(scratch_path("later/darkroom.db"), &status), ==, 0);
    overwrite(scratch_path("later/darkroom.db"), 4096, (size_t)status.st_size - 4096);
    struct job_record *jobs = NULL;
    int32_t count = 0;
    check_int(job_store_list(store, NULL, 0, 1000, &jobs, &count, &err), ==, DR_IO);
    check_has(err.message, "damaged");
    store_close(store);
    check_refused_as_damaged(
        "later"); /* whoever has met it does not say that all was well */
}

/* ---- other processes, and disks ---------------------------------------------------------------- */

static void a_database_that_another_keeps_locked_is_an_error(void)
{
    struct store *const store = fixture_open("locked");
    struct dr_error err = {0};
    (void)sqlite3_busy_timeout(store->database, 20);
    sqlite3 *const other = by_hand("locked");
    check_int(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), ==, SQLITE_OK);
    check_int(option_store_write(store, "a", "b", &err), ==, DR_IO);
    check_has(err.message, "another process keeps it locked");
    check_int(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), ==, SQLITE_OK);
    check_int(option_store_write(store, "a", "b", &err), ==, DR_OK);
    sqlite3_close(other);
    store_close(store);
}

static bool write_map(const char *path, unsigned outside)
{
    FILE *const file = fopen(path, "w");
    if (!file) return false;
    const bool is_written = fprintf(file, "0 %u 1", outside) > 0;
    return fclose(file) == 0 && is_written;
}

/* A file system of 1 MiB at `folder`, for this process alone. */
static int mount_small(const char *folder)
{
    const unsigned user = getuid(), group = getgid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return -1;
    FILE *const groups = fopen("/proc/self/setgroups", "w");
    if (!groups || fputs("deny", groups) < 0 || fclose(groups) != 0) return -1;
    if (!write_map("/proc/self/uid_map", user) ||
        !write_map("/proc/self/gid_map", group))
        return -1;
    return mount("none", folder, "tmpfs", 0, "size=1m");
}

enum {
    NO_MOUNT = 90
};

/* In a child: fills a small disk with jobs until that fails, then makes room. */
static int fill_a_disk(const char *folder)
{
    struct store *store = NULL;
    struct dr_error err = {0};
    char ids[4096][STORE_ID_BYTES];
    int count = 0;
    enum dr_code code = DR_OK;
    if (mount_small(folder) != 0) return NO_MOUNT;
    if (store_open(&store, folder, &err) != DR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    char ballast[512];
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", folder);
    static const char block[256 * 1024];
    scratch_write(ballast, block, sizeof block);
    while (count < 4096 && code == DR_OK) {
        code = fixture_add_job(store, "u", true, ids[count], &err);
        count += code == DR_OK;
    }
    check_int(code, ==, DR_IO);
    check_has(err.message, "the disk is full");
    check_has(err.message, folder);
    check_int(count, >, 20);
    check_int(unlink(ballast), ==, 0);
    char id[STORE_ID_BYTES];
    check_int(fixture_add_job(store, "u", true, id, &err), ==, DR_OK);
    store_close(store);
    check_int(store_open(&store, folder, &err), ==, DR_OK);
    for (int i = 0; i < count; ++i) {
        struct job_record job;
        check_int(job_store_get(store, ids[i], "u", &job, &err), ==, DR_OK);
        job_record_finish(&job);
    }
    check_int(fixture_number(store, "SELECT count(*) FROM job"), ==, count + 1);
    store_close(store);
    return check_failed_count ? 1 : 0;
}

static int open_a_read_only_disk(const char *folder)
{
    struct store *store = NULL;
    struct dr_error err = {0};
    if (mount_small(folder) != 0) return NO_MOUNT;
    if (mount("none", folder, NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0) return NO_MOUNT;
    check_int(store_open(&store, folder, &err), ==, DR_IO);
    check_has(err.message, "Read-only file system");
    check_has(err.message, "--data");
    return check_failed_count ? 1 : 0;
}

/* A disk that was full already when the service starts. */
static int open_a_full_disk(const char *folder)
{
    struct store *store = NULL;
    struct dr_error err = {0};
    if (mount_small(folder) != 0) return NO_MOUNT;
    char ballast[512];
    static const char block[4096];
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", folder);
    FILE *const file = fopen(ballast, "wb");
    while (file && fwrite(block, 1, sizeof block, file) == sizeof block &&
           fflush(file) == 0) {}
    check_int(store_open(&store, folder, &err), ==, DR_IO);
    check_has(err.message, folder);
    check_has(err.message, "No space left on device");
    return check_failed_count ? 1 : 0;
}

static void in_child(int (*run)(const char *folder), const char *name)
{
    int status = 0;
    const char *const folder = scratch_path(name);
    (void)mkdir(folder, 0700);
    const pid_t child = fork();
    if (child == 0) {
        check_failed_count = 0;
        _exit(run(folder));
    }
    check_int(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_MOUNT)
        check_skip_case("no file system can be mounted here");
    else
        check_int(status, ==, 0);
}

static void a_full_disk_is_an_error_and_loses_nothing(void)
{
    in_child(fill_a_disk, "full");
}

static void a_read_only_disk_is_an_error(void)
{
    in_child(open_a_read_only_disk, "read-only");
}

static void a_disk_that_is_full_at_the_start_is_an_error(void)
{
    in_child(open_a_full_disk, "full-at-start");
}

static void a_directory_that_cannot_be_is_an_error(void)
{
    struct store *store = NULL;
    struct dr_error err = {0};
    scratch_write(scratch_path("file"), "x", 1);
    check_int(store_open(&store, scratch_path("file/data"), &err), ==, DR_IO);
    check_has(err.message, "--data");
    /* A link in the place of images/ would lead files elsewhere. */
    (void)mkdir(scratch_path("linked"), 0700);
    check_int(symlink("/tmp", scratch_path("linked/images")), ==, 0);
    check_int(store_open(&store, scratch_path("linked"), &err), ==, DR_IO);
    check_has(err.message, "linked/images");
}

static void a_directory_below_a_link_is_a_directory(void)
{
    struct store *store = NULL;
    struct dr_error err = {0};
    (void)mkdir(scratch_path("real"), 0700);
    check_int(symlink("real", scratch_path("link")), ==, 0);
    store_close(fixture_open("link/data"));
    store_close(fixture_open("real/data"));
    store_close(fixture_open("link"));
    /* The database itself is not followed. */
    check_int(rename(scratch_path("real/darkroom.db"), scratch_path("real/other.db")),
              ==, 0);
    check_int(symlink("other.db", scratch_path("real/darkroom.db")), ==, 0);
    check_int(store_open(&store, scratch_path("real"), &err), ==, DR_IO);
    check_has(err.message, "real/darkroom.db");
}

int main(void)
{
    check_run(is_private);
    check_run(pragmas_are_set);
    check_run(a_durable_transaction_waits_for_the_disk);
    check_run(ids_are_random_and_checked);
    check_run(a_second_service_is_refused);
    check_run(an_owner_that_was_killed_owns_nothing);
    check_run(brings_version_1_forward);
    check_run(a_step_that_fails_leaves_the_old_version);
    check_run(a_newer_version_is_refused_and_left_alone);
    check_run(damage_is_reported_with_what_to_do);
    check_run(what_was_closed_well_is_not_read_whole);
    check_run(damage_while_it_runs_is_an_error);
    check_run(a_database_that_another_keeps_locked_is_an_error);
    check_run(a_full_disk_is_an_error_and_loses_nothing);
    check_run(a_read_only_disk_is_an_error);
    check_run(a_disk_that_is_full_at_the_start_is_an_error);
    check_run(a_directory_that_cannot_be_is_an_error);
    check_run(a_directory_below_a_link_is_a_directory);
    return check_done();
}
