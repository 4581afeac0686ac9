#define _GNU_SOURCE /* dup3 */

#include "service/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "service/failure.h"

struct access_log {
    char *path; /* NULL: standard error */
    int file;
};

static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

enum dr_code access_log_open(struct access_log **out, const char *path,
                             struct dr_error *err)
{
    struct access_log *const log = calloc(1, sizeof *log);
    const bool is_file = strcmp(path, "-") != 0;
    *out = NULL;
    if (log) log->file = STDERR_FILENO;
    if (log && is_file) log->path = strdup(path);
    if (!log || (is_file && !log->path)) {
        free(log);
        return failure_memory(err, "the access log");
    }
    if (is_file) log->file = open_path(path);
    if (log->file < 0) {
        const enum dr_code code =
            failure(err, DR_IO, "cannot write the access log %.200s: %s", path,
                    strerror(errno));
        free(log->path);
        free(log);
        return code;
    }
    *out = log;
    return DR_OK;
}

bool access_log_reopen(struct access_log *log)
{
    if (!log || !log->path) return false;
    const int file = open_path(log->path);
    if (file < 0) return true;
    /* In one step, so that a thread that writes meanwhile has one of the two. */
    (void)dup3(file, log->file, O_CLOEXEC);
    (void)close(file);
    return true;
}

void access_log_close(struct access_log *log)
{
    if (!log) return;
    if (log->path) (void)close(log->file);
    free(log->path);
    free(log);
}

static const char *method_name(enum http_method method)
{
    switch (method) {
    case HTTP_GET: return "GET";
    case HTTP_HEAD: return "HEAD";
    case HTTP_POST: return "POST";
    case HTTP_PUT: return "PUT";
    case HTTP_DELETE: return "DELETE";
    case HTTP_OPTIONS: return "OPTIONS";
    case HTTP_OTHER: break;
    }
    return "-";
}

void access_log_add(struct access_log *log, const struct access_entry *entry)
{
    char line[320], when[32] = "";
    struct tm parts;
    const time_t now = time(NULL);
    if (!log) return;
    if (gmtime_r(&now, &parts)) (void)strftime(when, sizeof when, "%FT%TZ", &parts);
    const int length =
        snprintf(line, sizeof line, "%s %s %s %s %d %llu %.3f\n", when, entry->peer,
                 method_name(entry->method), entry->route ? entry->route : "-",
                 entry->status, (unsigned long long)entry->bytes, entry->seconds);
    if (length > 0 && (size_t)length < sizeof line)
        (void)!write(log->file, line, (size_t)length);
}
