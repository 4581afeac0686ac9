/* path_error — why a path cannot be used, in words that are true.
 *
 *     if (descriptor < 0) return path_error_set(err, errno, "cannot open", path);
 *
 * Only ENOENT means that something is not there; every other errno keeps its own text. The
 * message also names what the path alone does not tell: the symbolic link that points to
 * nothing and its target, the part of the path that is not a directory, the directory that may
 * not be searched.
 *
 * Any thread. Looks at the path again with lstat and readlink; memory: on the stack.
 */
#ifndef BASE_PATH_ERROR_H
#define BASE_PATH_ERROR_H

#include <stdbool.h>

#include "base/error.h"

/* "ACTION PATH: WHY". Returns DR_NOT_FOUND for ENOENT, DR_NOMEM for ENOMEM, else DR_IO. */
enum dr_code path_error_set(struct dr_error *err, int errno_value, const char *action,
                            const char *path);

/* Is there a name like this, whatever it leads to? A link to nothing counts, and so does what may
 * not be looked at: whoever opens it then says why it cannot be used. False: ENOENT, ENOTDIR, and a
 * name that is too long to be there. */
bool path_is_taken(const char *path);

/* A name that leads nowhere, or that may not be looked at: taken, and stat refuses. */
bool path_is_broken(const char *path);

#endif
