/* pool — small records that are freed together.
 *
 * For small data: names, operator lists, primitive handles, whose number does not depend
 * on the image. Never for tensor data. A pool grows in blocks and is only freed as a
 * whole. One thread at a time.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

struct pool {
    struct pool_block *head; /* private; a zeroed pool is empty and valid */
    size_t bytes;            /* requested so far */
};

/* Zeroed memory, aligned to 16, valid until pool_finish; NULL where the system refuses. */
void *pool_alloc(struct pool *pool, size_t bytes);

/* A copy of a string, or NULL. */
char *pool_string(struct pool *pool, const char *text);

/* A grown copy of an array: old (count elements, may be NULL) is copied into a new array of
 * capacity elements; the old one stays until the pool ends. Double the capacity each time. */
void *pool_grow(struct pool *pool, const void *old, size_t count, size_t capacity,
                size_t element_bytes);

/* Frees everything and leaves the pool empty. The pool may itself lie in what it frees. */
void pool_finish(struct pool *pool);

#endif
