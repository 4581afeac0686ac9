/* service_client — asks a running service (darkroom serve): one request over one connection, plain HTTP.
 *
 *     DARKROOM_HOST       HOST:PORT, http://HOST:PORT or unix:PATH; the default is 127.0.0.1:7860
 *     DARKROOM_AUTH       user:password, or key:TOKEN
 *     DARKROOM_AUTH_FILE  a file whose first line is that (blank lines and comments are passed over)
 */
#ifndef CLI_SERVICE_CLIENT_H
#define CLI_SERVICE_CLIENT_H

#include <stddef.h>

#include <darkroom/error.h>

enum {
    SERVICE_CLIENT_BYTES = 16 << 20 /* of an answer, at most */
};

struct service_request {
    const char *method, *path;
    const char *body; /* JSON; NULL: none */
};
struct service_reply {
    int status;
    char *text; /* the whole answer, the client's; malloc'ed */
    const char *body;
    size_t byte_count; /* of the body */
};

/* Waits for the answer. Errors: DR_BAD_INPUT (the environment: which variable), DR_IO (no service there, or an answer that
 * breaks off), DR_NOT_FOUND (the file of DARKROOM_AUTH_FILE), DR_CORRUPT (no HTTP), DR_NOMEM. */
enum dr_code service_client_ask(const struct service_request *request,
                                struct service_reply *reply,
                                struct dr_error *err) DR_MUST_CHECK;
void service_reply_finish(struct service_reply *reply);

#endif
