/* size — arithmetic on sizes that come from files or users, without overflow.
 *
 * Each returns false, and leaves *out alone, if the result does not fit.
 */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* bytes rounded up to a multiple of align, a power of two. Asserted not to overflow:
 * callers have bounded bytes before. */
static inline size_t size_align(size_t bytes, size_t align)
{
    return (bytes + align - 1) & ~(align - 1);
}

/* Division rounded up. Neither argument is negative; callers have bounded them before. */
static inline int64_t divide_up(int64_t count, int64_t by)
{
    return (count + by - 1) / by;
}

/* "512M", "1.5G", "4096": powers of 1024, suffix K, M, G or T in any case, optional "iB" or
 * "B". False on anything else, negative, or above SIZE_MAX. */
bool size_parse(const char *text, size_t *out);

/* "167.3 MiB": three to four digits and a unit, into out (always terminated). Returns out. */
char *size_format(size_t bytes, char out[static 16]);

#endif
