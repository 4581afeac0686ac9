/* diffusers_names — the names that diffusers gives to tensors, in the original key layout.
 *
 * diffusers' networks hold the same tensors as the original ones under other names; all but the
 * numbers of blocks translate by fixed pieces. diffusers counts blocks by level and within it,
 * the original UNet counts all in one row, and the original VAE numbers its decoder's levels from
 * the other end. So the names of a network are noted first, all of them, and then translated.
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

void diffusers_shape_note(struct diffusers_shape *shape, enum key_layout layout,
                          const char *name);

/* The original name into out; false where the name is none of diffusers'. Layouts other than
 * KEYS_UNET and KEYS_VAE have none. A network whose up blocks were not noted has no names. */
bool diffusers_name(const struct diffusers_shape *shape, enum key_layout layout,
                    const char *name, char out[static DIFFUSERS_NAME_BYTES]);

#endif
