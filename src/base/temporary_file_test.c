/* For mkdtemp (in POSIX) and mount (Linux), which glibc shows by default. */
#define _DEFAULT_SOURCE 1

#include "base/temporary_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"

/* Every case works in a new folder of its own, which it leaves empty. */
static char folder[64];

static void folder_make(void)
{
    strcpy(folder, "/tmp/darkroom-temporary-file-XXXXXX");
    if (!mkdtemp(folder)) abort();
}

static int folder_count(void)
{
    DIR *const stream = opendir(folder);
    if (!stream) return -1;
    int count = 0;
    const struct dirent *entry = NULL;
    while ((entry = readdir(stream)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(stream);
    return count;
}

static const char *in_folder(const char *name)
{
    static char paths[4][PATH_MAX];
    static int next;
    char *const path = paths[next++ % 4];
    (void)snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

static void folder_remove(void)
{
    check_int(rmdir(folder), ==, 0);
}

static void put(const char *path, const char *text)
{
    FILE *const stream = fopen(path, "wb");
    if (!stream) abort();
    fputs(text, stream);
    fclose(stream);
}

/* The text of a small file, or "(none)". */
static const char *get(const char *path)
{
    static char text[256];
    FILE *const stream = fopen(path, "rb");
    if (!stream) return "(none)";
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    fclose(stream);
    return text;
}

static enum dr_code write_whole(const char *path, const void *data, size_t bytes,
                                struct dr_error *err)
{
    struct temporary_file file = TEMPORARY_FILE_INIT;
    enum dr_code code = temporary_file_open(&file, path, err);
    if (code == DR_OK) code = temporary_file_write(&file, data, bytes, err);
    if (code == DR_OK) code = temporary_file_commit(&file, err);
    if (code != DR_OK) {
        check(file.descriptor == -1);
        check(file.path == NULL);
    }
    temporary_file_discard(&file);
    temporary_file_discard(&file);
    return code;
}

static void writes_new_and_replaces(void)
{
    folder_make();
    struct dr_error err = {.code = DR_OK};
    const char *const path = in_folder("a.txt");
    check_int(write_whole(path, "one", 3, &err), ==, DR_OK);
    check_str(get(path), "one");
    check_int(chmod(path, 0640), ==, 0);
    check_int(write_whole(path, "second", 6, &err), ==, DR_OK);
    check_str(get(path), "second");
    struct stat status;
    check_int(stat(path, &status), ==, 0);
    check_int(status.st_mode & 0777, ==, 0640);
    check_int(folder_count(), ==, 1);
    check_int(err.code, ==, DR_OK);
    unlink(path);
    folder_remove();
}

static void target_is_untouched_until_commit(void)
{
    folder_make();
    const char *const path = in_folder("a.txt");
    put(path, "old");
    struct temporary_file file = TEMPORARY_FILE_INIT;
    check_int(temporary_file_open(&file, path, NULL), ==, DR_OK);
    check_int(temporary_file_write(&file, "new", 3, NULL), ==, DR_OK);
    check_str(get(path), "old");
    check_int(folder_count(), ==, 2);
    temporary_file_discard(&file);
    check_str(get(path), "old");
    check_int(folder_count(), ==, 1);
    struct dr_error err;
    check_int(temporary_file_write(&file, "x", 1, &err), ==, DR_IO);
    check_int(temporary_file_commit(&file, &err), ==, DR_IO);
    struct temporary_file zeroed = {0};
    temporary_file_discard(&zeroed);
    check(fcntl(0, F_GETFD) != -1 ||
          errno == EBADF); /* discard closed no descriptor 0 */
    temporary_file_discard(NULL);
    unlink(path);
    folder_remove();
}

static void relative_name_and_umask(void)
{
    folder_make();
    char before[PATH_MAX];
    check(getcwd(before, sizeof before) != NULL);
    check_int(chdir(folder), ==, 0);
    const mode_t mask = umask(027);
    check_int(write_whole("plain", "x", 1, NULL), ==, DR_OK);
    umask(mask);
    struct stat status;
    check_int(stat("plain", &status), ==, 0);
    check_int(status.st_mode & 0777, ==, 0640);
    check_int(folder_count(), ==, 1);
    unlink("plain");
    check_int(chdir(before), ==, 0);
    folder_remove();
}

static void odd_names(void)
{
    static const char *const names[] = {
        " leading space",
        "-dash",
        "new\nline",
        "tab\there",
        "quote\"'`$(x)",
        "back\\slash",
        "%s%n%d.png",
        "ünïcode ☃ \xf0\x9f\x8c\x85.png",
        "\xff\xfe no utf-8",
        "..hidden",
        ".dot",
        "a.1-2.darkroom-part",
        "*?[x]",
        "semi;colon|pipe&",
        "trailing ",
        "\x01\x7f",
    };
    folder_make();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct dr_error err = {.message = ""};
        check_int(write_whole(in_folder(names[i]), "odd", 3, &err), ==, DR_OK);
        check_str(err.message, "");
        check_str(get(in_folder(names[i])), "odd");
        check_int(folder_count(), ==, 1);
        unlink(in_folder(names[i]));
    }
    folder_remove();
}

static void long_names(void)
{
    folder_make();
    for (int bytes = 200; bytes <= NAME_MAX; ++bytes) {
        char name[NAME_MAX + 1];
        memset(name, 'n', sizeof name);
        for (int i = bytes % 3; i + 3 <= bytes; i += 3)
            memcpy(name + i, "☃", 3); /* three bytes each, cut at every phase */
        name[bytes] = '\0';
        check_int(write_whole(in_folder(name), "long", 4, NULL), ==, DR_OK);
        check_str(get(in_folder(name)), "long");
        check_int(unlink(in_folder(name)), ==, 0);
    }
    char name[NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[NAME_MAX + 1] = '\0';
    struct dr_error err;
    check_int(write_whole(in_folder(name), "x", 1, &err), ==, DR_IO);
    check_has(err.message, "too long");
    check_int(folder_count(), ==, 0);
    folder_remove();
}

/* A path so long that the target itself just fits PATH_MAX, and its part would not. */
static void long_path(void)
{
    folder_make();
    char before[PATH_MAX], path[PATH_MAX + 300];
    check(getcwd(before, sizeof before) != NULL);
    check_int(chdir(folder), ==, 0);
    strcpy(path, folder);
    int depth = 0;
    char name[201];
    memset(name, 'd', 200);
    name[200] = '\0';
    while (strlen(path) + 201 + 60 < PATH_MAX) {
        check_int(mkdir(name, 0777), ==, 0);
        check_int(chdir(name), ==, 0);
        strcat(strcat(path, "/"), name);
        ++depth;
    }
    const size_t left = PATH_MAX - 1 - strlen(path) - 1;
    strcat(path, "/");
    memset(path + strlen(path) + left, 0, 1);
    memset(path + strlen(path), 'f', left);
    check_int(strlen(path), ==, PATH_MAX - 1);
    check_int(write_whole(path, "deep", 4, NULL), ==, DR_OK);
    check_str(get(path), "deep");
    unlink(path);
    for (; depth > 0; --depth) {
        check_int(chdir(".."), ==, 0);
        check_int(rmdir(name), ==, 0);
    }
    check_int(chdir(before), ==, 0);
    folder_remove();
}

static void wrong_targets(void)
{
    folder_make();
    struct dr_error err;
    check_int(write_whole(folder, "x", 1, &err), ==, DR_IO);
    check_has(err.message, "Is a directory");
    check_int(write_whole(in_folder(""), "x", 1, &err), ==, DR_IO);
    check_int(write_whole("", "x", 1, &err), ==, DR_IO);
    check_int(write_whole("/dev/null", "x", 1, &err), ==, DR_IO);
    check_has(err.message, "not a regular file");
    struct stat status;
    check_int(stat("/dev/null", &status), ==, 0);
    check(S_ISCHR(status.st_mode));
    check_int(write_whole(in_folder("no/such"), "x", 1, &err), ==, DR_IO);
    check_has(err.message, "No such file");
    check_int(write_whole(in_folder("gone/"), "x", 1, &err), ==, DR_IO);
    put(in_folder("file"), "f");
    check_int(write_whole(in_folder("file/x"), "x", 1, &err), ==, DR_IO);
    check_has(err.message, "Not a directory");
    check_int(mkfifo(in_folder("fifo"), 0600), ==, 0);
    check_int(write_whole(in_folder("fifo"), "x", 1, &err), ==, DR_IO);
    check_int(folder_count(), ==, 2);
    unlink(in_folder("fifo"));
    unlink(in_folder("file"));
    folder_remove();
}

/* The target turns into a folder while the part is written: the rename fails. */
static void rename_fails(void)
{
    folder_make();
    struct dr_error err;
    struct temporary_file file = TEMPORARY_FILE_INIT;
    check_int(temporary_file_open(&file, in_folder("t"), &err), ==, DR_OK);
    check_int(temporary_file_write(&file, "x", 1, &err), ==, DR_OK);
    check_int(mkdir(in_folder("t"), 0777), ==, 0);
    check_int(temporary_file_commit(&file, &err), ==, DR_IO);
    check_has(err.message, "Is a directory");
    check_int(folder_count(), ==, 1);
    check_int(rmdir(in_folder("t")), ==, 0);
    folder_remove();
}

static void symbolic_link_stays(void)
{
    folder_make();
    put(in_folder("real"), "old");
    check_int(symlink("real", in_folder("link")), ==, 0);
    check_int(write_whole(in_folder("link"), "new", 3, NULL), ==, DR_OK);
    check_str(get(in_folder("real")), "new");
    struct stat status;
    check_int(lstat(in_folder("link"), &status), ==, 0);
    check(S_ISLNK(status.st_mode));
    check_int(folder_count(), ==, 2);
    unlink(in_folder("real"));
    unlink(in_folder("link"));
    folder_remove();
}

/* A link to nothing says where the file belongs. */
static void link_to_nothing_is_followed(void)
{
    folder_make();
    check_int(mkdir(in_folder("below"), 0700), ==, 0);
    check_int(symlink("below/second", in_folder("first")), ==, 0);
    check_int(symlink("real", in_folder("below/second")), ==, 0);
    check_int(write_whole(in_folder("first"), "new", 3, NULL), ==, DR_OK);
    check_str(get(in_folder("below/real")), "new");
    struct stat status;
    check_int(lstat(in_folder("first"), &status), ==, 0);
    check(S_ISLNK(status.st_mode));
    check_int(folder_count(), ==, 2);
    check_int(unlink(in_folder("below/real")), ==, 0);
    check_int(unlink(in_folder("below/second")), ==, 0);
    check_int(unlink(in_folder("first")), ==, 0);
    check_int(symlink("none/real", in_folder("first")), ==, 0);
    struct dr_error err;
    check_int(write_whole(in_folder("first"), "new", 3, &err), ==, DR_IO);
    check_has(err.message, "none/real");
    check_has(err.message, "No such file");
    check_int(unlink(in_folder("first")), ==, 0);
    check_int(rmdir(in_folder("below")), ==, 0);
    folder_remove();
}

/* Run in a child, for what would spoil this process; its failed checks come back. */
static void in_child(void (*function)(void))
{
    const pid_t child = fork();
    if (child == 0) {
        check_failed_count = 0;
        function();
        _exit(check_failed_count > 0);
    }
    int status = 0;
    check_int(waitpid(child, &status, 0), ==, child);
    check(WIFEXITED(status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED)
        check_skip_case("the superuser cannot become another user here");
    else
        check_int(WIFEXITED(status) ? WEXITSTATUS(status) : -1, ==, 0);
}

static void no_permission_child(void)
{
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(CHECK_SKIPPED);
    struct dr_error err;
    check_int(write_whole(in_folder("new"), "x", 1, &err), ==, DR_IO);
    check_has(err.message, "Permission denied");
    check_has(err.message, folder);
    check_int(write_whole(in_folder("old"), "x", 1, &err), ==, DR_IO);
    check_has(err.message, "Permission denied");
    check_str(get(in_folder("old")), "old");
}

static void no_permission(void)
{
    folder_make();
    put(in_folder("old"), "old");
    check_int(chmod(in_folder("old"), 0444), ==, 0);
    check_int(chmod(folder, 0555), ==, 0);
    in_child(no_permission_child);
    check_int(chmod(folder, 0777), ==, 0);
    check_int(folder_count(), ==, 1);
    unlink(in_folder("old"));
    folder_remove();
}

/* A folder that allows everything does not make a read-only file writable. */
static void read_only_child(void)
{
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(CHECK_SKIPPED);
    struct dr_error err;
    check_int(write_whole(in_folder("old"), "x", 1, &err), ==, DR_IO);
    check_has(err.message, "Permission denied");
    check_str(get(in_folder("old")), "old");
    check_int(folder_count(), ==, 1);
}

static void read_only_target(void)
{
    folder_make();
    put(in_folder("old"), "old");
    check_int(chmod(in_folder("old"), 0444), ==, 0);
    check_int(chmod(folder, 0777), ==, 0);
    in_child(read_only_child);
    unlink(in_folder("old"));
    folder_remove();
}

static char block[1 << 16];

static void full_by_limit_child(void)
{
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {.rlim_cur = 100000, .rlim_max = 100000};
    check_int(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    struct temporary_file file = TEMPORARY_FILE_INIT;
    struct dr_error err;
    check_int(temporary_file_open(&file, in_folder("old"), &err), ==, DR_OK);
    check_int(temporary_file_write(&file, block, sizeof block, &err), ==, DR_OK);
    check_int(temporary_file_write(&file, block, sizeof block, &err), ==, DR_IO);
    check_has(err.message, "File too large");
    check_int(folder_count(), ==, 1);
    check_int(temporary_file_commit(&file, &err), ==, DR_IO);
    check_str(get(in_folder("old")), "old");
}

static void full_by_limit(void)
{
    folder_make();
    put(in_folder("old"), "old");
    in_child(full_by_limit_child);
    unlink(in_folder("old"));
    folder_remove();
}

/* A disk that is really full, where this process may mount one. */
static void full_disk(void)
{
    folder_make();
    if (mount("darkroom-test", folder, "tmpfs", 0, "size=64k") != 0) {
        check_skip_case(
            "no file system can be mounted here; full_by_limit stands for it");
        folder_remove();
        return;
    }
    put(in_folder("old"), "old");
    struct dr_error err;
    check_int(write_whole(in_folder("old"), block, sizeof block, &err), ==, DR_IO);
    check_has(err.message, "No space left on device");
    check_has(err.message, in_folder("old"));
    check_str(get(in_folder("old")), "old");
    check_int(folder_count(), ==, 1);
    check_int(umount(folder), ==, 0);
    folder_remove();
}

static void every_fault(void)
{
    folder_make();
    const char *const path = in_folder("old");
    for (int mode = FAULT_ONCE; mode <= FAULT_FROM_THEN_ON; ++mode) {
        int64_t nth = 1;
        for (;; ++nth) {
            put(path, "old");
            struct dr_error err = {.message = ""};
            fault_arm(1u << FAULT_WRITE, nth, (enum fault_mode)mode);
            const enum dr_code code = write_whole(path, "new", 3, &err);
            const bool struck = fault_has_struck();
            fault_disarm();
            check_int(folder_count(), ==, 1);
            check_str(get(path), struck ? "old" : "new");
            check_int(code, ==, struck ? DR_IO : DR_OK);
            check_int(err.message[0] != '\0', ==, struck);
            if (!struck) break;
        }
        check_int(nth, ==, 4); /* open, write, commit, and then none */
    }
    unlink(path);
    folder_remove();
}

/* A child that was killed between write and commit leaves its part. While it lives, even
 * stopped, no sweep takes it. */
static void sweep_takes_the_dead_only(void)
{
    folder_make();
    int pipes[2];
    check_int(pipe(pipes), ==, 0);
    const pid_t child = fork();
    if (child == 0) {
        struct temporary_file file = TEMPORARY_FILE_INIT;
        if (temporary_file_open(&file, in_folder("picture.png"), NULL) != DR_OK ||
            temporary_file_write(&file, "half", 4, NULL) != DR_OK ||
            write(pipes[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char ready = 0;
    check_int(read(pipes[0], &ready, 1), ==, 1);
    check_int(folder_count(), ==, 1);
    check_int(temporary_file_sweep(folder), ==, 0);
    check_int(folder_count(), ==, 1);
    check_int(kill(child, SIGKILL), ==, 0);
    check_int(waitpid(child, NULL, 0), ==, child);
    check_int(temporary_file_sweep(folder), ==, 1);
    check_int(folder_count(), ==, 0);
    check_int(temporary_file_sweep(folder), ==, 0);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    folder_remove();
    check_int(temporary_file_sweep(folder), ==, 0); /* no such folder */
}

/* A PID that no process has: one of a child that is gone. */
static pid_t dead_pid(void)
{
    const pid_t child = fork();
    if (child == 0) _exit(0);
    check_int(waitpid(child, NULL, 0), ==, child);
    return child;
}

static void sweep_leaves_other_files(void)
{
    static const char *const kept[] = {
        "a.%ld-0.darkroom-part",
        ".a.%ld-0.darkroom-part.png",
        ".a.%ld.darkroom-part",
        ".a.%ld-.darkroom-part",
        ".a.-0.darkroom-part",
        ".a%ld-0.darkroom-part",
        ".a.-%ld-0.darkroom-part",
        ".a.x%ld-0.darkroom-part",
        ".darkroom-part",
        ".a.99999999999999999999-0.darkroom-part",
        ".a.%ld-99999999999.darkroom-part",
        ".a.0-0.darkroom-part",
    };
    folder_make();
    const pid_t dead = dead_pid();
    char name[NAME_MAX];
    const int count = (int)(sizeof kept / sizeof kept[0]);
    for (int i = 0; i < count; ++i) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the table above */
        (void)snprintf(name, sizeof name, kept[i], (long)dead);
#pragma GCC diagnostic pop
        put(in_folder(name), "keep");
    }
    check_int(folder_count(), ==, count);
    check_int(temporary_file_sweep(folder), ==, 0);
    check_int(folder_count(), ==, count);
    /* A folder and a link of a part's name, and a part that another process holds. */
    (void)snprintf(name, sizeof name, ".d.%ld-0.darkroom-part", (long)dead);
    check_int(mkdir(in_folder(name), 0777), ==, 0);
    check_int(temporary_file_sweep(folder), ==, 0);
    check_int(rmdir(in_folder(name)), ==, 0);
    check_int(symlink("/dev/null", in_folder(name)), ==, 0);
    check_int(temporary_file_sweep(folder), ==, 0);
    check_int(unlink(in_folder(name)), ==, 0);
    put(in_folder(name), "held");
    const int holder = open(in_folder(name), O_RDONLY | O_CLOEXEC);
    check_int(flock(holder, LOCK_EX), ==, 0);
    check_int(temporary_file_sweep(folder), ==, 0);
    (void)close(holder);
    check_int(temporary_file_sweep(folder), ==, 1);
    check_int(folder_count(), ==, count);
    for (int i = 0; i < count; ++i) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the table above */
        (void)snprintf(name, sizeof name, kept[i], (long)dead);
#pragma GCC diagnostic pop
        check_int(unlink(in_folder(name)), ==, 0);
    }
    folder_remove();
}

/* Parts that a dead process of the same PID left are stepped over. */
static void old_part_of_own_pid(void)
{
    folder_make();
    char name[64];
    (void)snprintf(name, sizeof name, ".t.%ld-0.darkroom-part", (long)getpid());
    put(in_folder(name), "left");
    check_int(write_whole(in_folder("t"), "new", 3, NULL), ==, DR_OK);
    check_str(get(in_folder("t")), "new");
    check_str(get(in_folder(name)), "left");
    unlink(in_folder(name));
    unlink(in_folder("t"));
    folder_remove();
}

enum {
    WRITER_ROUNDS = 50,
    WRITER_BYTES = 10000
};

static int writer_run(char letter)
{
    char text[WRITER_BYTES];
    memset(text, letter, sizeof text);
    int failed = 0;
    for (int round = 0; round < WRITER_ROUNDS; ++round)
        failed += write_whole(in_folder("shared"), text, sizeof text, NULL) != DR_OK;
    return failed;
}

/* What is there is always one writer's whole file. */
static bool shared_is_whole(void)
{
    static char text[WRITER_BYTES + 1];
    FILE *const stream = fopen(in_folder("shared"), "rb");
    if (!stream) return true; /* not yet */
    const size_t bytes = fread(text, 1, sizeof text, stream);
    fclose(stream);
    for (size_t i = 0; i < bytes; ++i)
        if (text[i] != text[0]) return false;
    return bytes == WRITER_BYTES;
}

static void two_writers(void)
{
    folder_make();
    const pid_t child = fork();
    if (child == 0) _exit(writer_run('b') ? 1 : 0);
    for (int round = 0; round < WRITER_ROUNDS; ++round) {
        char text[WRITER_BYTES];
        memset(text, 'a', sizeof text);
        check_int(write_whole(in_folder("shared"), text, sizeof text, NULL), ==, DR_OK);
        check(shared_is_whole());
    }
    int status = -1;
    check_int(waitpid(child, &status, 0), ==, child);
    check_int(status, ==, 0);
    check(shared_is_whole());
    check_int(folder_count(), ==, 1);

    struct temporary_file one = TEMPORARY_FILE_INIT, two = TEMPORARY_FILE_INIT;
    check_int(temporary_file_open(&one, in_folder("shared"), NULL), ==, DR_OK);
    check_int(temporary_file_open(&two, in_folder("shared"), NULL), ==, DR_OK);
    check(strcmp(one.path, two.path) != 0);
    check_int(temporary_file_write(&one, "one", 3, NULL), ==, DR_OK);
    check_int(temporary_file_write(&two, "two", 3, NULL), ==, DR_OK);
    check_int(temporary_file_commit(&two, NULL), ==, DR_OK);
    check_int(temporary_file_commit(&one, NULL), ==, DR_OK);
    check_str(get(in_folder("shared")), "one");
    check_int(folder_count(), ==, 1);
    unlink(in_folder("shared"));
    folder_remove();
}

int main(void)
{
    check_run(writes_new_and_replaces);
    check_run(target_is_untouched_until_commit);
    check_run(relative_name_and_umask);
    check_run(odd_names);
    check_run(long_names);
    check_run(long_path);
    check_run(wrong_targets);
    check_run(rename_fails);
    check_run(symbolic_link_stays);
    check_run(link_to_nothing_is_followed);
    check_run(no_permission);
    check_run(read_only_target);
    check_run(full_by_limit);
    check_run(full_disk);
    check_run_with_faults(every_fault);
    check_run(sweep_takes_the_dead_only);
    check_run(sweep_leaves_other_files);
    check_run(old_part_of_own_pid);
    check_run(two_writers);
    return check_done();
}
