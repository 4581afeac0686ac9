/* hub_cache — a model in the layout of Hugging Face's download cache.
 *
 *     models--org--name/
 *         blobs/                   the files, named by their digests
 *         refs/main                the name of a snapshot
 *         snapshots/HASH/          a diffusers directory of links into blobs/
 *
 * The top directory is resolved to one snapshot: the one in refs/main if that exists, else the
 * only one. A snapshot itself is an ordinary directory.
 *
 * Threads: any. Memory: on the stack.
 */
#ifndef WEIGHTS_HUB_CACHE_H
#define WEIGHTS_HUB_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Is it the top directory of one model? */
bool hub_cache_is_top(const char *path);

/* The snapshot of a top directory, into out; for any other path the path itself. Errors:
 * DR_NOT_FOUND (no snapshot), DR_IO, DR_BAD_INPUT (several, and refs/main names none of them: lists
 * them; a path that is too long). */
enum dr_code hub_cache_resolve(const char *path, char *out, size_t out_bytes,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
