/* hub_cache — a model as Hugging Face's download cache keeps it.
 *
 *     models--org--name/
 *         blobs/                   the files, named by their digests
 *         refs/main                the name of a snapshot
 *         snapshots/HASH/          a diffusers folder of links into blobs/
 *
 * The top directory stands for one snapshot: that of refs/main, where it is there, else the only
 * one. A snapshot itself is a directory like any other.
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

/* The snapshot that a top directory stands for, into out; of all else the path itself. Errors:
 * DR_NOT_FOUND (no snapshot), DR_IO, DR_BAD_INPUT (several, and refs/main names none of them: lists
 * them; a path that is too long). */
enum dr_code hub_cache_resolve(const char *path, char *out, size_t out_bytes,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
