/* memory_log — each region of memory as it comes and goes, and the commands between, in a file.
 *
 * A JSON object a line, in the order in which it happened; ms is of one clock that only goes
 * forward:
 *
 *     {"event":"begin","ms":81.2,"command":"vae"}
 *     {"event":"opened","ms":85.0,"component":"vae","tag":"weights","kind":"private",
 *      "start":140213,"bytes":167772160,"private_bytes":2138947584,"mapped_bytes":0}
 *     {"event":"closed", ... the same members; the sums are those after it}
 *     {"event":"end","ms":97.9,"command":"vae","ok":true}
 *
 * Adding up opened less closed gives the ledger at any moment: what a plot of a session is made
 * of. A file that takes no more is said once, and the session goes on without.
 */
#ifndef CLI_MEMORY_LOG_H
#define CLI_MEMORY_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include <darkroom/darkroom.h>

struct memory_log {
    FILE *file; /* NULL: no log is kept */
    const char *path;
};

/* Begin the file anew; path is borrowed until the end, NULL keeps no log. Errors: DR_IO. */
enum dr_code memory_log_open(struct memory_log *log, const char *path,
                             struct dr_error *err) DR_MUST_CHECK;
void memory_log_close(struct memory_log *log);

/* The callback that darkroom.h asks for; cookie is a struct memory_log. */
void memory_log_event(void *cookie, const struct dr_memory_event *event);

void memory_log_begin(struct memory_log *log, const char *command);
void memory_log_end(struct memory_log *log, const char *command, bool ok);

#endif
