/* access_log — a line for each request that was answered:
 *
 *     2026-11-30T15:04:05Z 127.0.0.1 POST /sdapi/v1/txt2img 200 183404 12.417
 *     time, peer, method, route, status, bytes of the body, seconds
 *
 * The route is that of the table, never the path that was sent: no query, id, prompt, credentials or header gets into
 * the log. A request that was refused has "-" there. Each line is one write, so lines of several threads stay whole and
 * the file may be renamed and sent SIGHUP for (logrotate). Threads: any.
 */
#ifndef SERVICE_ACCESS_LOG_H
#define SERVICE_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <darkroom/error.h>

#include "service/http_request.h"

struct access_log; /* opaque */

struct access_entry {
    const char *peer;
    enum http_method method;
    const char *route; /* of the table; NULL: none */
    int status;
    uint64_t bytes;
    double seconds;
};

/* path: appended to, made with mode 0600; "-": standard error. Errors: DR_IO. */
enum dr_code access_log_open(struct access_log **out, const char *path,
                             struct dr_error *err) DR_MUST_CHECK;
/* Opens the path again: the file was moved away. The old one goes on if that fails. False: there is no file. */
bool access_log_reopen(struct access_log *log);
void access_log_close(struct access_log *log);

/* log may be NULL. */
void access_log_add(struct access_log *log, const struct access_entry *entry);

#endif
