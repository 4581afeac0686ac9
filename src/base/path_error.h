/* path_error — error messages for paths that cannot be used.
 *
 *     if (descriptor < 0) return path_error_set(err, errno, "cannot open", path);
 *
 * Only ENOENT means that a file is missing; every other errno keeps its own text. The message
 * also names what the path alone does not show: a broken symbolic link and its target, a path
 * component that is not a directory, or a directory that may not be searched.
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

/* Does the name exist, whatever it refers to? Broken links count, and so do names that cannot be
 * checked: opening them later reports why they cannot be used. False: ENOENT, ENOTDIR, and a name
 * that is too long to exist. */
bool path_is_taken(const char *path);

/* A name that exists but that stat cannot resolve: a broken link, or a directory that
 * may not be searched. */
bool path_is_broken(const char *path);

#endif
