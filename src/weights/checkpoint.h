/* checkpoint — the family and the components of a file of tensors.
 *
 * Family and components are determined by the tensors' names and ranks, never by the file's name or
 * size, nor by widths or layer counts; so small variants of a layout load like the large ones.
 *
 *   prefix                                         component
 *   model.diffusion_model. | bare input_blocks.... UNET
 *   first_stage_model. | vae. | bare encoder./...  VAE
 *   cond_stage_model.transformer.[text_model.]     TEXT   (SD1.x)
 *   conditioner.embedders.0.transformer.[...]      TEXT   (SDXL)
 *   conditioner.embedders.1.model.                 TEXT2  (SDXL)
 *   cond_stage_model.1.transformer.                TEXT2  (SDXL, by stable-diffusion.cpp)
 *   unet/ | vae/ | text_encoder/ | text_encoder_2/ of a diffusers folder, in its names
 *
 * A component is the list of its tensors under canonical names: prefix removed (for TEXT also
 * "text_model."), diffusers' names translated, and tensors that it stores in parts composed. The
 * scales of 8-bit weights are included (tensor_scale.h); EMA copies and unknown tensors are
 * excluded. Settings of the file are in `meaning` (meaning.h). Segments that wrappers add to names
 * (module., _orig_mod.) are removed first.
 * Reference: CLI.md "File metadata", diffusers loaders/single_file_utils.py for the key names.
 */
#ifndef WEIGHTS_CHECKPOINT_H
#define WEIGHTS_CHECKPOINT_H

#include "base/cancel.h"
#include "weights/composed_tensor.h"
#include "weights/family.h"
#include "weights/meaning.h"
#include "weights/tensor_file.h"

enum component_role {
    ROLE_TEXT,
    ROLE_TEXT2,
    ROLE_UNET,
    ROLE_VAE,
    ROLE_COUNT
};

/* One tensor of a component, under its canonical name. */
struct component_tensor {
    const char *name; /* "input_blocks.0.0.weight", "decoder.conv_in.weight", ... */
    const struct tensor *tensor;
    /* Of a weight with scales: one of each part of it (NULL: that part has none), tensors of this
     * component too. scale_count 0: the values are as stored. */
    const struct tensor *scales[COMPOSED_MAX_PARTS];
    int32_t scale_count;
    bool is_scale; /* this tensor is one */
};

/* The tensors of one component, sorted by canonical name. count 0: the file has none. */
struct component_index {
    enum component_role role;
    const struct tensor_file *file; /* borrowed */
    struct component_tensor *tensors;
    size_t count;
    uint64_t bytes; /* as stored */
    /* The settings that change this network's results, in a fixed spelling; "" or NULL for none.
     * Included in the digest. */
    const char *meaning;
};

/* How a tensor of the file is used. */
enum tensor_use {
    TENSOR_UNKNOWN,    /* of no component: struct meaning says more */
    TENSOR_INCOMPLETE, /* a part of a weight whose other parts are not there */
    TENSOR_TAKEN
};

struct checkpoint {
    struct tensor_file file;
    enum family family;
    struct component_index components[ROLE_COUNT];
    size_t
        ignored_count; /* tensors of no component: ema copies, optimizer state, ... */
    uint64_t ignored_bytes;
    struct meaning meaning;
    /* private below */
    struct pool pool;
    enum tensor_use *uses;          /* of each tensor of the file */
    const char *prefix[ROLE_COUNT]; /* under which a component was found; NULL: none */
};

/* Open a checkpoint or a stand-alone VAE. A file without known tensors is DR_UNSUPPORTED,
 * with a few of its names. Unsupported families (SD2, refiner) can be opened, so that inspect
 * can show them; loading them is refused by the layers above. */
enum dr_code checkpoint_open(struct checkpoint *checkpoint, const char *path,
                             struct dr_error *err) DR_MUST_CHECK;
void checkpoint_close(struct checkpoint *checkpoint); /* zeroed is fine */

/* "text", "text2", "unet", "vae"; "adapter" of ROLE_COUNT, which is no network's. */
const char *component_role_name(enum component_role role);

/* A tensor's name without the prefix of its component, or NULL if it has no component's prefix.
 * is_inside: it belongs to that network, because the prefix is the component's own, or because
 * other tensors of its outermost module belong to it. */
const char *checkpoint_tensor_place(const struct checkpoint *checkpoint,
                                    const char *name, enum component_role *role,
                                    bool *is_inside);

/* Binary search by canonical name; NULL where there is none. */
const struct tensor *component_find(const struct component_index *component,
                                    const char *name);

/* Decode "darkroom.*" metadata: a positive integer or float; false where absent or no number. */
bool checkpoint_metadata_int(const struct tensor_file *file, const char *key,
                             int32_t *out);
bool checkpoint_metadata_float(const struct tensor_file *file, const char *key,
                               float *out);

/* ---- digest ---- */

/* A component's digest is a SHA-256 over its tensors sorted by canonical name: for each
 *     name '\0' dtype-name '\0' dims, each as decimal and ',' '\0' SHA-256 of the stored bytes
 * and, where it is not empty, the component's `meaning` and '\0'. 1x1 kernels [o,i,1,1] count as
 * [o,i]. Because it is computed from the tensors' own digests, these may be computed in any
 * order, while the tensors are read for loading. */
void component_digest_end(const struct component_index *component,
                          const uint8_t (*tensor_digests)[DIGEST_BYTES],
                          uint8_t out[DIGEST_BYTES]);
/* Of any reading of a component: how far it is, and whether to go on. */
struct component_progress {
    void (*report)(void *cookie,
                   double share_done); /* on the calling thread; or NULL */
    void *cookie;
    const struct cancel *cancel; /* looked at before each piece; may be NULL */
};

/* The whole of it by reading, with a buffer given by the caller (any size >= 4096).
 * progress may be NULL. Errors: tensor_file_read's, DR_CHANGED, DR_CANCELLED. */
enum dr_code component_digest_read(const struct component_index *component,
                                   void *buffer, size_t buffer_bytes,
                                   const struct component_progress *progress,
                                   uint8_t out[DIGEST_BYTES],
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
