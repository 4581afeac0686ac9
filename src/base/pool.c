/* Blocks in a list, the newest first; a record is cut from the head while it fits. A record
 * too large for a fresh block of the usual size gets a block of its own, put behind the
 * head, so that the head's room is not lost.
 */
#include "base/pool.h"

#include "base/size.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_ALIGN  16
#define FIRST_BLOCK   ((size_t)4096)
#define LARGEST_BLOCK ((size_t)64 * 1024)

struct pool_block {
    struct pool_block *next;
    size_t used; /* of capacity, both without this head */
    size_t capacity;
    size_t unused; /* keeps the head a multiple of RECORD_ALIGN */
};

_Static_assert(sizeof(struct pool_block) % RECORD_ALIGN == 0, "records stay aligned");

static unsigned char *block_cut(struct pool_block *block, size_t bytes)
{
    unsigned char *const record = (unsigned char *)(block + 1) + block->used;
    block->used += bytes;
    return record;
}

static struct pool_block *block_create(size_t capacity)
{
    size_t bytes;
    if (!size_add(capacity, sizeof(struct pool_block), &bytes)) return NULL;
    struct pool_block *const block = calloc(1, bytes);
    if (block) block->capacity = capacity;
    return block;
}

void *pool_alloc(struct pool *pool, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) return NULL;
    const size_t room = size_align(bytes > 0 ? bytes : 1, RECORD_ALIGN);
    struct pool_block *const head = pool->head;

    if (head && head->capacity - head->used >= room) {
        pool->bytes += bytes;
        return block_cut(head, room);
    }
    size_t usual = head ? 2 * head->capacity : FIRST_BLOCK;
    if (usual > LARGEST_BLOCK) usual = LARGEST_BLOCK;
    const bool alone = room > usual;
    struct pool_block *const block = block_create(alone ? room : usual);
    if (!block) return NULL;
    if (alone && head) {
        block->next = head->next;
        head->next = block;
    } else {
        block->next = head;
        pool->head = block;
    }
    pool->bytes += bytes;
    return block_cut(block, room);
}

char *pool_string(struct pool *pool, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *const copy = pool_alloc(pool, bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

void *pool_grow(struct pool *pool, const void *old, size_t count, size_t capacity,
                size_t element_bytes)
{
    size_t bytes;
    if (count > capacity || !size_mul(capacity, element_bytes, &bytes)) return NULL;
    void *const grown = pool_alloc(pool, bytes);
    if (grown && old && count > 0) memcpy(grown, old, count * element_bytes);
    return grown;
}

void pool_finish(struct pool *pool)
{
    struct pool_block *block = pool->head;
    *pool = (struct pool){0}; /* now: it may lie in one of the blocks */
    while (block) {
        struct pool_block *const next = block->next;
        free(block);
        block = next;
    }
}
