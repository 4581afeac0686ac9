/* checkpoint_layout — the tensors of a checkpoint in the original key layout, from sizes alone.
 *
 * A statement of the layout that is independent of the loader: tests make files from it and the
 * loader must find in them exactly what it expects. One walk for each network; it emits
 * names and shapes in the order of execution. Reference for names and sizes: diffusers
 * loaders/single_file_utils.py, models/unets/unet_2d_condition.py, models/autoencoders/vae.py;
 * transformers CLIPTextModel; OpenCLIP's text transformer.
 *
 * Memory: names and table are malloc'd, freed by layout_finish. Running out of it ends the
 * program: this belongs to a tool.
 */
#ifndef TOOLS_CHECKPOINT_LAYOUT_H
#define TOOLS_CHECKPOINT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a tensor is filled with. */
enum fill {
    FILL_WEIGHT,    /* normal, 0.7 / sqrt(fan in) */
    FILL_NORM,      /* normal, 1 +- 0.05 */
    FILL_SMALL,     /* normal, 0.02: biases, embeddings */
    FILL_CONSTANT,  /* .constant, float32 */
    FILL_POSITIONS, /* 0, 1, 2, ... as I64 */
    FILL_BETA,      /* the noise schedule's buffers, float32 */
    FILL_ALPHA_BAR,
    FILL_ALPHA_BAR_BEFORE,
    FILL_SQRT_ALPHA_BAR,
    FILL_SQRT_BETA_BAR,
};

struct layout_tensor {
    char *name;
    size_t prefix_bytes; /* the component's prefix in the name */
    enum fill fill;
    int rank;
    int64_t dims[4];
    int64_t fan_in;
    double constant;
    bool autoencodes; /* checkpoint_autoencoder.h has its values */
};

struct layout {
    struct layout_tensor *tensors;
    size_t count, capacity;
    char prefix[96]; /* of the tensors that are added next */
};

enum {
    LAYOUT_LEVELS = 4,
    LAYOUT_VAE_LEVELS = 9 /* more than any VAE has: for what is refused */
};

struct unet_sizes {
    int model_channels, in_channels, levels, res_blocks, context,
        vector; /* vector 0: none */
    int multiplier[LAYOUT_LEVELS], depth[LAYOUT_LEVELS], middle_depth;
    bool linear_projection;
};
struct vae_sizes {
    int channels, levels, res_blocks, latent;
    int multiplier[LAYOUT_VAE_LEVELS];
    bool attention_2d;
};
struct text_sizes {
    int width, layers, mlp, positions, vocabulary;
};

void layout_unet(struct layout *layout, const char *prefix,
                 const struct unet_sizes *sizes);
void layout_vae(struct layout *layout, const char *prefix,
                const struct vae_sizes *sizes);
void layout_clip(struct layout *layout, const char *prefix,
                 const struct text_sizes *sizes);
void layout_open_clip(struct layout *layout, const char *prefix,
                      const struct text_sizes *sizes);
/* The training schedule's buffers that SD1.x checkpoints carry. */
void layout_schedule(struct layout *layout);
/* Keys that are there for their names alone: "v_pred" and "ztsnr". */
void layout_marks(struct layout *layout, bool v_prediction, bool zero_snr);
/* The "model_ema." copies of all UNet tensors that are there: flattened names, as LitEma's. */
void layout_ema(struct layout *layout, const char *unet_prefix);

int64_t layout_elements(const struct layout_tensor *tensor);
void layout_finish(struct layout *layout);

#endif
