/* outline — what a network's names say about its shape: how many blocks, which kinds.
 *
 * A network of this family is described by nothing but the names and shapes of its tensors.
 * These questions are asked by the walks of clip_text.c, unet.c and vae.c before they name
 * each tensor that they need. All read the sorted index: a binary search each.
 */
#ifndef MODEL_OUTLINE_H
#define MODEL_OUTLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "weights/checkpoint.h"

enum {
    OUTLINE_MAX_BLOCKS = 128,    /* of one kind beside each other; bounds every count */
    OUTLINE_MAX_NAME_BYTES = 192 /* of the names that model code builds */
};

/* A name, or the beginning of names, in a value. Asserts that it fits. */
struct outline_path {
    char text[OUTLINE_MAX_NAME_BYTES];
};
struct outline_path outline_path(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Does any tensor's name begin with this text? */
bool outline_has(const struct component_index *index, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One more than the highest number i such that a name begins with "<prefix>i."; 0: none.
 * A gap below the highest is counted: what is missing there is then named by the walk. */
int32_t outline_count(const struct component_index *index, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Dimension `axis` of a tensor, -1 where it is absent, of lower rank, or above COMPONENT_MAX_DIM. */
int32_t outline_dim(const struct component_index *index, int32_t axis,
                    const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
