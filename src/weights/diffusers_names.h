/* diffusers_names — the names that diffusers gives to tensors, in the original key layout.
 *
 * diffusers' networks hold the same tensors as the original ones under other names; all but the
 * numbers of blocks translate by fixed pieces. diffusers counts blocks by level and within it,
 * the original UNet counts all in one row, and the original VAE numbers its decoder's levels from
 * the other end. So the names of a network are noted first, all of them, and then translated.
 *
 * SDXL's second text encoder is OpenCLIP's: what diffusers stores as three projections is one
 * matrix there, and its last projection is stored transposed. The translation says so.
 *
 * What is translated need not be a name of the network: key_layout_has tells.
 * Source: diffusers loaders/single_file_utils.py.
 */
#ifndef WEIGHTS_DIFFUSERS_NAMES_H
#define WEIGHTS_DIFFUSERS_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "weights/key_layout.h"

enum {
    DIFFUSERS_NAME_BYTES = 160, /* of a translated name, its end included */
    DIFFUSERS_LEVELS = 16,
};

/* What the names say of a network. Zeroed, nothing was noted. */
struct diffusers_shape {
    int32_t up_count;       /* blocks from the latent up: levels of the network */
    int32_t down_resnets;   /* in each block on the way down; one more on the way up */
    uint32_t up_attentions; /* bit i: up block i has attention */
};

/* Where a tensor stands in the original layout. */
struct diffusers_place {
    char name[DIFFUSERS_NAME_BYTES];
    int32_t part; /* which of part_count tensors whose rows, one below the other, */
    int32_t part_count; /* are the original one; 1: it is that tensor itself */
    bool is_turned;     /* the original is the transposed matrix */
};

void diffusers_shape_note(struct diffusers_shape *shape, enum key_layout layout,
                          const char *name);

/* False where the name is none of diffusers'. KEYS_CLIP has none: those are diffusers' own. A UNet
 * or VAE whose up blocks were not noted has no names. */
bool diffusers_place(const struct diffusers_shape *shape, enum key_layout layout,
                     const char *name, struct diffusers_place *out);

#endif
