/* arena_plan — computes the offsets of all buffers of a run before it runs.
 *
 * The live range of an item is from step `first` to step `last` (both included). Items whose
 * live ranges share a step do not overlap in memory; others may. The same offsets are used
 * for the forecast and for the run: there is no second computation that could differ.
 *
 * Method: one item after another, each at the lowest offset that is free over its whole live
 * range (as the offset calculation of Pisarchyk and Lee, arXiv 2001.03288), in three orders:
 * largest first, largest times longest first, longest first. The smallest arena wins. Ties
 * are broken by index, so the layout is the same on every machine.
 */
#ifndef MEM_ARENA_PLAN_H
#define MEM_ARENA_PLAN_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

#define ARENA_ALIGN 64 /* bytes; one cache line, one AVX-512 register */

struct arena_item {
    size_t bytes;  /* 0 is allowed: takes no memory */
    int32_t first; /* step of the first use */
    int32_t last;  /* step of last use, >= first */
    size_t offset; /* result, a multiple of ARENA_ALIGN */
};

/* Place all items; *total_bytes is the size of the arena, a multiple of ARENA_ALIGN.
 * scratch holds count indices (caller's). Errors: DR_OVER_BUDGET where the sum overflows. */
enum dr_code arena_plan_place(struct arena_item *items, size_t count, size_t *scratch,
                              size_t *total_bytes, struct dr_error *err) DR_MUST_CHECK;

/* Asserts that no two items whose live ranges share a step overlap, and that all are
 * within total_bytes. */
void arena_plan_check(const struct arena_item *items, size_t count, size_t total_bytes);

#endif
