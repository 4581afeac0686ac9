#include "memory_log.h"

#include <errno.h>
#include <string.h>

#include "answer.h"

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
        fprintf(stderr, "darkroom: the memory log %s is not whole: %s\n", log->path,
                strerror(errno));
    *log = (struct memory_log){0};
}

static void write_line(struct memory_log *log, json_t *line)
{
    const bool is_written = answer_print(line, log->file);
    json_decref(line);
    if (is_written) return;
    fprintf(stderr, "darkroom: the memory log %s takes no more, and ends here\n",
            log->path);
    (void)fclose(log->file);
    log->file = NULL;
}

static json_t *make_line(const char *event, double ms)
{
    json_t *const line = json_object();
    answer_set_text(line, "event", event);
    (void)json_object_set_new(line, "ms", json_real(ms));
    return line;
}

void memory_log_event(void *cookie, const struct dr_memory_event *event)
{
    struct memory_log *const log = cookie;
    if (!log->file) return;
    json_t *const line = make_line(event->opened ? "opened" : "closed", event->ms);
    answer_set_text(line, "component", event->component);
    answer_set_text(line, "tag", event->tag);
    answer_set_text(line, "kind", event->kind);
    answer_set_bytes(line, "start", event->start);
    answer_set_bytes(line, "bytes", event->bytes);
    answer_set_bytes(line, "private_bytes", event->ledger_private_bytes);
    answer_set_bytes(line, "mapped_bytes", event->ledger_mapped_bytes);
    write_line(log, line);
}

void memory_log_begin(struct memory_log *log, const char *command)
{
    if (!log->file) return;
    json_t *const line = make_line("begin", dr_clock_ms());
    answer_set_text(line, "command", command);
    write_line(log, line);
}

void memory_log_end(struct memory_log *log, const char *command, bool ok)
{
    if (!log->file) return;
    json_t *const line = make_line("end", dr_clock_ms());
    answer_set_text(line, "command", command);
    (void)json_object_set_new(line, "ok", json_boolean(ok));
    write_line(log, line);
}
