/* key_layout — which tensor names belong to a network in the original key layout.
 *
 * A checkpoint contains more than networks: EMA copies, schedule buffers, training leftovers.
 * Only the patterns of this module decide by its name whether a tensor is part of a component;
 * all others are unknown and not part of the component and its digest. Excluded on purpose:
 * CLIP's embeddings.position_ids (a buffer that some files lack) and OpenCLIP's logit_scale (not
 * used by a text encoder). Source: diffusers loaders/single_file_utils.py.
 */
#ifndef WEIGHTS_KEY_LAYOUT_H
#define WEIGHTS_KEY_LAYOUT_H

#include <stdbool.h>

enum key_layout {
    KEYS_UNET,
    KEYS_VAE,
    KEYS_CLIP,
    KEYS_OPEN_CLIP
};

/* Is the name, without its component's prefix, one of that layout's? */
bool key_layout_has(enum key_layout layout, const char *name);

#endif
