/* family — the kind of model, determined by its tensors.
 *
 * Names, ranks and missing blocks decide; never widths, layer counts or the file's name, so that
 * small variants of a layout load like the large ones. Unsupported models are recognised too, so
 * that they can be refused by name.
 * Sources: diffusers loaders/single_file_utils.py; ComfyUI comfy/model_detection.py; the UNet
 * configs of segmind/SSD-1B, segmind/Segmind-Vega, etri-vilab/koala-700m, nota-ai/bk-sdm-small,
 * nota-ai/bk-sdm-tiny, segmind/tiny-sd.
 */
#ifndef WEIGHTS_FAMILY_H
#define WEIGHTS_FAMILY_H

#include "base/error.h"

struct checkpoint;

enum family {
    FAMILY_UNKNOWN,
    FAMILY_SD15,
    FAMILY_SD2,
    FAMILY_SDXL,
    FAMILY_SDXL_REFINER,
    FAMILY_VAE
};

const char *family_name(enum family family); /* "sd15", "sd2", "sdxl", ... */

/* The family of a UNet and text encoders whose prefixes do not show it, as in a
 * diffusers directory. */
enum family family_of_unet(const struct checkpoint *checkpoint);

/* "an SD2.x checkpoint": what an unsupported checkpoint is; NULL if it is supported. */
const char *family_unsupported(const struct checkpoint *checkpoint);

/* What a file is that contains no component, or a VAE and some other model: "a Flux model",
 * "a LoRA"; NULL if it is not recognised. *name is the tensor that identified it. */
const char *family_other_model(const struct checkpoint *checkpoint, const char **name);

/* The error for a file without a component: what it is, or the names of its tensors. */
enum dr_code family_refuse(const struct checkpoint *checkpoint,
                           struct dr_error *err) DR_MUST_CHECK;

#endif
