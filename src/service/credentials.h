/* credentials — who may use the service: a file of users and keys.
 *
 *     user:password      HTTP Basic
 *     key:TOKEN          Bearer (any user name in Basic too: the token is the password)
 *
 * A line each; "#" begins a comment. Kept as SHA-256 digests, compared in constant time. Threads: any.
 */
#ifndef SERVICE_CREDENTIALS_H
#define SERVICE_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include <darkroom/error.h>

enum {
    CREDENTIALS_NAME_BYTES = 64
};

struct credentials; /* opaque */

/* Errors: DR_IO, DR_NOT_FOUND, DR_BAD_INPUT (line, and what is wrong; never the line's text; a file that others can
 * read is refused), DR_NOMEM. */
enum dr_code credentials_read(const char *path, struct credentials **out,
                              struct dr_error *err) DR_MUST_CHECK;
void credentials_destroy(struct credentials *credentials);

/* Does the Authorization header name somebody? name gets who ("key 2" for the second key). After several failures from
 * one peer within a short time the answer is no, for a while. authorization may be NULL. */
bool credentials_admit(const struct credentials *credentials, const char *authorization,
                       const char *peer, double now_ms,
                       char name[CREDENTIALS_NAME_BYTES]);
/* Users and keys in all: with two or more, each sees only their own jobs and pictures. */
size_t credentials_count(const struct credentials *credentials);

#endif
