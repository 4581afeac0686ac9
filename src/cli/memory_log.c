#include "memory_log.h"

#include <errno.h>
#include <string.h>

#include "front/answer.h"
#include "front/event_json.h"

enum dr_code memory_log_open(struct memory_log *log, const char *path,
                             struct dr_error *err)
{
    *log = (struct memory_log){.path = path};
    if (!path) return DR_OK;
    log->file = fopen(path, "w");
    if (log->file) return DR_OK;
    err->code = DR_IO;
    (void)snprintf(err->message, sizeof err->message,
                   "cannot write the memory log %.600s: %s", path, strerror(errno));
    return DR_IO;
}

void memory_log_close(struct memory_log *log)
{
    if (log->file && fclose(log->file) != 0)
        fprintf(stderr, "darkroom: the memory log %s is incomplete: %s\n", log->path,
                strerror(errno));
    *log = (struct memory_log){0};
}

static void write_line(struct memory_log *log, json_t *line_take)
{
    const bool is_written = answer_print(line_take, log->file);
    answer_free(line_take);
    if (is_written) return;
    fprintf(stderr, "darkroom: cannot write to the memory log %s; it ends here\n",
            log->path);
    (void)fclose(log->file);
    log->file = NULL;
}

void memory_log_event(void *cookie, const struct dr_memory_event *event)
{
    struct memory_log *const log = cookie;
    if (log->file) write_line(log, event_json_memory(event));
}

void memory_log_begin(struct memory_log *log, const char *command)
{
    if (log->file) write_line(log, event_json_begin(command, dr_clock_ms()));
}

void memory_log_end(struct memory_log *log, const char *command, bool ok)
{
    if (log->file) write_line(log, event_json_end(command, dr_clock_ms(), ok));
}
