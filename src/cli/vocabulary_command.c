#include "vocabulary_command.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/member.h"

extern char **environ;

/* Where the script is, seen from the program's own directory: in a build directory, and where it is installed
 * with the usual directories. The last is the directory that was configured. */
static const char *const places[] = {"../script/clip-vocabulary",
                                     "../libexec/darkroom/clip-vocabulary",
                                     DARKROOM_LIBEXEC "/clip-vocabulary"};

/* Writes the directory of the running program to `directory`, with a "/" at the end. */
static bool own_directory(char *directory, size_t bytes)
{
    const ssize_t length = readlink("/proc/self/exe", directory, bytes);
    if (length < 0 || (size_t)length >= bytes) return false;
    directory[length] = '\0';
    char *const slash = strrchr(directory, '/');
    if (!slash) return false;
    slash[1] = '\0';
    return true;
}

static bool find_script(char *path, size_t bytes)
{
    char own[DR_PATH_BYTES];
    const bool has_own = own_directory(own, sizeof own);
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        const bool is_relative = places[i][0] != '/';
        if (is_relative && !has_own) continue;
        const int length =
            snprintf(path, bytes, "%s%s", is_relative ? own : "", places[i]);
        if (length > 0 && (size_t)length < bytes && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* Standard output is for the answer: the script's own goes to standard error. */
static int start(const char *script, char *const words[], pid_t *child)
{
    posix_spawn_file_actions_t actions;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed) return failed;
    failed = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (!failed) failed = posix_spawn(child, script, &actions, NULL, words, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static enum dr_code judge(int status, struct dr_error *err)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 0) return DR_OK;
    if (code == dr_code_exit(DR_CANCELLED) ||
        (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT))
        return command_fail(err, DR_CANCELLED, "cancelled; nothing was written");
    return command_fail(err, code == dr_code_exit(DR_BAD_INPUT) ? DR_BAD_INPUT : DR_IO,
                        "there is no vocabulary yet: the reason is above");
}

enum dr_code run_vocabulary(struct session *session, const struct options *options,
                            json_t *fields, struct dr_error *err)
{
    (void)session;
    char script[2 * DR_PATH_BYTES];
    if (!find_script(script, sizeof script))
        return command_fail(
            err, DR_IO,
            "the script clip-vocabulary is not installed: it should be in %s",
            DARKROOM_LIBEXEC);
    char to[DR_PATH_BYTES + 8], wheel[DR_PATH_BYTES + 8];
    char *words[4] = {script};
    int count = 1;
    if (options->to) {
        (void)snprintf(to, sizeof to, "--to=%s", options->to);
        words[count++] = to;
    }
    if (options->wheel) {
        (void)snprintf(wheel, sizeof wheel, "--wheel=%s", options->wheel);
        words[count++] = wheel;
    }
    pid_t child;
    int status;
    const int failed = start(script, words, &child);
    if (failed)
        return command_fail(err, DR_IO, "cannot run %.1000s: %s", script,
                            strerror(failed));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return command_fail(err, DR_IO, "cannot wait for %.1000s: %s", script,
                                strerror(errno));
    const enum dr_code code = judge(status, err);
    if (code == DR_OK && options->to) member_set_text(fields, "path", options->to);
    return code;
}
