#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool is_made = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!is_made) return false;
    }
    return true;
}

/* A relative path in the environment is invalid by the XDG specification. */
void history_open(struct history *history)
{
    const char *const state = getenv("XDG_STATE_HOME"), *const home = getenv("HOME");
    int length = 0;
    history->path[0] = '\0';
    if (state && state[0] == '/')
        length =
            snprintf(history->path, sizeof history->path, "%s/darkroom/history", state);
    else if (home && home[0] == '/')
        length = snprintf(history->path, sizeof history->path,
                          "%s/.local/state/darkroom/history", home);
    if (length <= 0 || (size_t)length >= sizeof history->path ||
        !make_directories(history->path))
        history->path[0] = '\0';
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Where the last HISTORY_MAX_LINES lines begin. */
static size_t last_lines(const char *text, size_t bytes)
{
    size_t at = bytes;
    int count = 0;
    while (at > 0) {
        if (text[at - 1] == '\n' && at < bytes && ++count == HISTORY_MAX_LINES) break;
        --at;
    }
    return at;
}

/* Malloc'ed, with an end; NULL: there is none. */
static char *read_file(const char *path, size_t *bytes)
{
    struct stat status;
    char *text = NULL;
    *bytes = 0;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return NULL;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size < (off_t)64 << 20)
        text = malloc((size_t)status.st_size + 1);
    while (text && *bytes < (size_t)status.st_size) {
        const ssize_t got =
            read(descriptor, text + *bytes, (size_t)status.st_size - *bytes);
        if (got <= 0) break;
        *bytes += (size_t)got;
    }
    (void)close(descriptor);
    if (text) text[*bytes] = '\0';
    return text;
}

static void replace_file(const char *path, const char *text, size_t bytes)
{
    char fresh[HISTORY_PATH_BYTES + 32];
    (void)snprintf(fresh, sizeof fresh, "%s.%ld.new", path, (long)getpid());
    const int descriptor =
        open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) return;
    const bool is_written = write(descriptor, text, bytes) == (ssize_t)bytes;
    if (close(descriptor) != 0 || !is_written || rename(fresh, path) != 0)
        (void)unlink(fresh);
}

void history_read(const struct history *history,
                  void (*take)(void *cookie, const char *line), void *cookie)
{
    size_t bytes;
    char *const text = history->path[0] ? read_file(history->path, &bytes) : NULL;
    if (!text) return;
    const size_t start = last_lines(text, bytes);
    if (start > 0) replace_file(history->path, text + start, bytes - start);
    char *rest = NULL;
    for (char *line = strtok_r(text + start, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        take(cookie, line);
    free(text);
}

/* ---- writing --------------------------------------------------------------------------------- */

bool history_takes(const char *line)
{
    return line[0] != '\0' && line[0] != ' ' && line[0] != '\t' &&
           !strpbrk(line, "\n\r");
}

/* In one write: lines of two shells do not mix. */
void history_add(const struct history *history, const char *line)
{
    const size_t bytes = strlen(line);
    char *const text = history->path[0] ? malloc(bytes + 1) : NULL;
    if (!text) return;
    memcpy(text, line, bytes);
    text[bytes] = '\n';
    const int descriptor =
        open(history->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK,
             0600);
    if (descriptor >= 0) {
        (void)!write(descriptor, text, bytes + 1);
        (void)close(descriptor);
    }
    free(text);
}
