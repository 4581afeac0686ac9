/* diffusers_names — the names that diffusers gives to tensors, in the original key layout.
 *
 * diffusers' networks have the same tensors as the original ones under other names. Everything
 * except block numbers is translated by fixed rules. diffusers numbers blocks by level and within
 * a level, the original UNet numbers them consecutively, and the original VAE numbers its
 * decoder's levels from the other end. So all names of a network are recorded first, and then
 * translated.
 *
 * SDXL's second text encoder is OpenCLIP's: what diffusers stores as three projections is one
 * matrix there, and its last projection is stored transposed. The translation includes this.
 *
 * A translated name need not belong to the network: key_layout_has checks that.
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

/* What the recorded names tell about a network. Zeroed: nothing was recorded. */
struct diffusers_shape {
    int32_t up_count;       /* blocks from the latent up: levels of the network */
    int32_t down_resnets;   /* in each block on the way down; one more on the way up */
    uint32_t up_attentions; /* bit i: up block i has attention */
};

/* The position of a tensor in the original layout. */
struct diffusers_place {
    char name[DIFFUSERS_NAME_BYTES];
    int32_t part; /* which of part_count tensors whose rows, one below the other, */
    int32_t part_count; /* are the original one; 1: it is that tensor itself */
    bool is_turned;     /* the original is the transposed matrix */
};

void diffusers_shape_note(struct diffusers_shape *shape, enum key_layout layout,
                          const char *name);

/* False if the name is not one of diffusers'. KEYS_CLIP has no translation: its names are the
 * same. A UNet or VAE whose up blocks were not recorded cannot be translated. */
bool diffusers_place(const struct diffusers_shape *shape, enum key_layout layout,
                     const char *name, struct diffusers_place *out);

#endif
