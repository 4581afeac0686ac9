#include "checkpoint_layout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 256
};

static void *need(void *memory)
{
    if (memory) return memory;
    fputs("out of memory\n", stderr);
    exit(1);
}

/* Add one tensor: the layout's prefix, then a printf name. dims are filled by the caller. */
__attribute__((format(printf, 3, 0))) static struct layout_tensor *add(
    struct layout *layout, enum fill fill, const char *format, va_list arguments)
{
    if (layout->count == layout->capacity) {
        layout->capacity = layout->capacity ? 2 * layout->capacity : 256;
        layout->tensors = need(
            realloc(layout->tensors, layout->capacity * sizeof layout->tensors[0]));
    }
    char name[NAME_BYTES];
    const size_t prefix_bytes = strlen(layout->prefix);
    memcpy(name, layout->prefix, prefix_bytes);
    (void)vsnprintf(name + prefix_bytes, sizeof name - prefix_bytes, format, arguments);
    struct layout_tensor *tensor = &layout->tensors[layout->count++];
    *tensor = (struct layout_tensor){.name = need(malloc(strlen(name) + 1)),
                                     .prefix_bytes = prefix_bytes,
                                     .fill = fill};
    memcpy(tensor->name, name, strlen(name) + 1);
    return tensor;
}

__attribute__((format(printf, 4, 5))) static void vector(struct layout *layout,
                                                         enum fill fill, int n,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct layout_tensor *tensor = add(layout, fill, format, arguments);
    va_end(arguments);
    tensor->rank = 1;
    tensor->dims[0] = n;
}

__attribute__((format(printf, 5, 6))) static void matrix(struct layout *layout,
                                                         enum fill fill, int rows,
                                                         int columns,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct layout_tensor *tensor = add(layout, fill, format, arguments);
    va_end(arguments);
    tensor->rank = 2;
    tensor->dims[0] = rows;
    tensor->dims[1] = columns;
    tensor->fan_in = columns;
}

static void norm(struct layout *layout, const char *name, int channels)
{
    vector(layout, FILL_NORM, channels, "%s.weight", name);
    vector(layout, FILL_SMALL, channels, "%s.bias", name);
}

static void linear(struct layout *layout, const char *name, int out, int in)
{
    matrix(layout, FILL_WEIGHT, out, in, "%s.weight", name);
    vector(layout, FILL_SMALL, out, "%s.bias", name);
}

static void conv(struct layout *layout, const char *name, int out, int in, int kernel)
{
    matrix(layout, FILL_WEIGHT, out, in, "%s.weight", name);
    struct layout_tensor *weight = &layout->tensors[layout->count - 1];
    weight->rank = 4;
    weight->dims[2] = weight->dims[3] = kernel;
    weight->fan_in = (int64_t)in * kernel * kernel;
    vector(layout, FILL_SMALL, out, "%s.bias", name);
}

/* "block" and "rest" joined into a buffer of the caller. */
static const char *join(char into[NAME_BYTES], const char *block, const char *rest)
{
    (void)snprintf(into, NAME_BYTES, "%.160s.%.80s", block, rest);
    return into;
}

static void set_prefix(struct layout *layout, const char *prefix)
{
    (void)snprintf(layout->prefix, sizeof layout->prefix, "%s", prefix);
}

/* ---- UNet ---- */

static void unet_resnet(struct layout *layout, const char *block, int in, int out,
                        int time)
{
    char name[NAME_BYTES];
    norm(layout, join(name, block, "in_layers.0"), in);
    conv(layout, join(name, block, "in_layers.2"), out, in, 3);
    linear(layout, join(name, block, "emb_layers.1"), out, time);
    norm(layout, join(name, block, "out_layers.0"), out);
    conv(layout, join(name, block, "out_layers.3"), out, out, 3);
    if (in != out) conv(layout, join(name, block, "skip_connection"), out, in, 1);
}

static void unet_attention(struct layout *layout, const char *block, int width,
                           int context)
{
    char name[NAME_BYTES];
    matrix(layout, FILL_WEIGHT, width, width, "%s.to_q.weight", block);
    matrix(layout, FILL_WEIGHT, width, context, "%s.to_k.weight", block);
    matrix(layout, FILL_WEIGHT, width, context, "%s.to_v.weight", block);
    linear(layout, join(name, block, "to_out.0"), width, width);
}

static void unet_projection(struct layout *layout, const char *name, int width,
                            const struct unet_sizes *sizes)
{
    if (sizes->linear_projection)
        linear(layout, name, width, width);
    else
        conv(layout, name, width, width, 1);
}

static void unet_transformer(struct layout *layout, const char *block, int width,
                             int depth, const struct unet_sizes *sizes)
{
    char name[NAME_BYTES], inner[NAME_BYTES];
    norm(layout, join(name, block, "norm"), width);
    unet_projection(layout, join(name, block, "proj_in"), width, sizes);
    for (int i = 0; i < depth; ++i) {
        (void)snprintf(inner, sizeof inner, "%.160s.transformer_blocks.%d", block, i);
        unet_attention(layout, join(name, inner, "attn1"), width, width);
        linear(layout, join(name, inner, "ff.net.0.proj"), 8 * width, width);
        linear(layout, join(name, inner, "ff.net.2"), width, 4 * width);
        unet_attention(layout, join(name, inner, "attn2"), width, sizes->context);
        norm(layout, join(name, inner, "norm1"), width);
        norm(layout, join(name, inner, "norm2"), width);
        norm(layout, join(name, inner, "norm3"), width);
    }
    unet_projection(layout, join(name, block, "proj_out"), width, sizes);
}

/* The way down; channels of each block's result go to skips. Returns the last channels. */
static int unet_down(struct layout *layout, const struct unet_sizes *sizes, int *skips,
                     int *skip_count)
{
    char name[NAME_BYTES];
    const int base = sizes->model_channels;
    int channels = base, block = 0;
    conv(layout, "input_blocks.0.0", base, sizes->in_channels, 3);
    skips[block++] = channels;
    for (int level = 0; level < sizes->levels; ++level) {
        const int out = base * sizes->multiplier[level];
        for (int i = 0; i < sizes->res_blocks; ++i) {
            (void)snprintf(name, sizeof name, "input_blocks.%d.0", block);
            unet_resnet(layout, name, channels, out, 4 * base);
            channels = out;
            (void)snprintf(name, sizeof name, "input_blocks.%d.1", block);
            if (sizes->depth[level])
                unet_transformer(layout, name, channels, sizes->depth[level], sizes);
            skips[block++] = channels;
        }
        if (level + 1 == sizes->levels) break;
        (void)snprintf(name, sizeof name, "input_blocks.%d.0.op", block);
        conv(layout, name, channels, channels, 3);
        skips[block++] = channels;
    }
    *skip_count = block;
    return channels;
}

static void unet_up(struct layout *layout, const struct unet_sizes *sizes,
                    const int *skips, int skip_count, int channels)
{
    char name[NAME_BYTES];
    const int base = sizes->model_channels;
    int block = 0;
    for (int level = sizes->levels - 1; level >= 0; --level) {
        const int out = base * sizes->multiplier[level];
        for (int i = 0; i <= sizes->res_blocks; ++i, ++block) {
            (void)snprintf(name, sizeof name, "output_blocks.%d.0", block);
            unet_resnet(layout, name, channels + skips[--skip_count], out, 4 * base);
            channels = out;
            (void)snprintf(name, sizeof name, "output_blocks.%d.1", block);
            if (sizes->depth[level])
                unet_transformer(layout, name, channels, sizes->depth[level], sizes);
            (void)snprintf(name, sizeof name, "output_blocks.%d.%d.conv", block,
                           sizes->depth[level] ? 2 : 1);
            if (level && i == sizes->res_blocks)
                conv(layout, name, channels, channels, 3);
        }
    }
}

void layout_unet(struct layout *layout, const char *prefix,
                 const struct unet_sizes *sizes)
{
    const int base = sizes->model_channels, time = 4 * base;
    int skips[LAYOUT_LEVELS * 16], skip_count;
    set_prefix(layout, prefix);
    linear(layout, "time_embed.0", time, base);
    linear(layout, "time_embed.2", time, time);
    if (sizes->vector) {
        linear(layout, "label_emb.0.0", time, sizes->vector);
        linear(layout, "label_emb.0.2", time, time);
    }
    const int channels = unet_down(layout, sizes, skips, &skip_count);
    unet_resnet(layout, "middle_block.0", channels, channels, time);
    unet_transformer(layout, "middle_block.1", channels, sizes->middle_depth, sizes);
    unet_resnet(layout, "middle_block.2", channels, channels, time);
    unet_up(layout, sizes, skips, skip_count, channels);
    norm(layout, "out.0", base);
    conv(layout, "out.2", 4, base, 3);
}

/* ---- VAE ---- */

static void vae_resnet(struct layout *layout, const char *block, int in, int out)
{
    char name[NAME_BYTES];
    norm(layout, join(name, block, "norm1"), in);
    conv(layout, join(name, block, "conv1"), out, in, 3);
    norm(layout, join(name, block, "norm2"), out);
    conv(layout, join(name, block, "conv2"), out, out, 3);
    if (in != out) conv(layout, join(name, block, "nin_shortcut"), out, in, 1);
}

static void vae_middle(struct layout *layout, const char *side, int channels,
                       const struct vae_sizes *sizes)
{
    static const char *const parts[] = {"q", "k", "v", "proj_out"};
    char middle[NAME_BYTES], attention[NAME_BYTES], name[NAME_BYTES];
    join(middle, side, "mid");
    vae_resnet(layout, join(name, middle, "block_1"), channels, channels);
    join(attention, middle, "attn_1");
    norm(layout, join(name, attention, "norm"), channels);
    for (int i = 0; i < 4; ++i) {
        join(name, attention, parts[i]);
        if (sizes->attention_2d)
            linear(layout, name, channels, channels);
        else
            conv(layout, name, channels, channels, 1);
    }
    vae_resnet(layout, join(name, middle, "block_2"), channels, channels);
}

static void vae_encoder(struct layout *layout, const struct vae_sizes *sizes)
{
    char name[NAME_BYTES];
    int channels = sizes->channels;
    conv(layout, "encoder.conv_in", channels, 3, 3);
    for (int level = 0; level < sizes->levels; ++level) {
        const int out = sizes->channels * sizes->multiplier[level];
        for (int i = 0; i < sizes->res_blocks; ++i) {
            (void)snprintf(name, sizeof name, "encoder.down.%d.block.%d", level, i);
            vae_resnet(layout, name, channels, out);
            channels = out;
        }
        if (level + 1 == sizes->levels) break;
        (void)snprintf(name, sizeof name, "encoder.down.%d.downsample.conv", level);
        conv(layout, name, channels, channels, 3);
    }
    vae_middle(layout, "encoder", channels, sizes);
    norm(layout, "encoder.norm_out", channels);
    conv(layout, "encoder.conv_out", 2 * sizes->latent, channels, 3);
}

static void vae_decoder(struct layout *layout, const struct vae_sizes *sizes)
{
    char name[NAME_BYTES];
    int channels = sizes->channels * sizes->multiplier[sizes->levels - 1];
    conv(layout, "decoder.conv_in", channels, sizes->latent, 3);
    vae_middle(layout, "decoder", channels, sizes);
    for (int level = sizes->levels - 1; level >= 0; --level) {
        const int out = sizes->channels * sizes->multiplier[level];
        for (int i = 0; i <= sizes->res_blocks; ++i) {
            (void)snprintf(name, sizeof name, "decoder.up.%d.block.%d", level, i);
            vae_resnet(layout, name, channels, out);
            channels = out;
        }
        if (level == 0) break;
        (void)snprintf(name, sizeof name, "decoder.up.%d.upsample.conv", level);
        conv(layout, name, channels, channels, 3);
    }
    norm(layout, "decoder.norm_out", channels);
    conv(layout, "decoder.conv_out", 3, channels, 3);
}

void layout_vae(struct layout *layout, const char *prefix,
                const struct vae_sizes *sizes)
{
    set_prefix(layout, prefix);
    vae_encoder(layout, sizes);
    vae_decoder(layout, sizes);
    conv(layout, "quant_conv", 2 * sizes->latent, 2 * sizes->latent, 1);
    conv(layout, "post_quant_conv", sizes->latent, sizes->latent, 1);
}

/* ---- text encoders ---- */

void layout_clip(struct layout *layout, const char *prefix,
                 const struct text_sizes *sizes)
{
    static const char *const projections[] = {"k_proj", "v_proj", "q_proj", "out_proj"};
    char block[NAME_BYTES], name[NAME_BYTES];
    const int width = sizes->width;
    set_prefix(layout, prefix);
    matrix(layout, FILL_POSITIONS, 1, sizes->positions, "embeddings.position_ids");
    matrix(layout, FILL_SMALL, sizes->vocabulary, width,
           "embeddings.token_embedding.weight");
    matrix(layout, FILL_SMALL, sizes->positions, width,
           "embeddings.position_embedding.weight");
    for (int i = 0; i < sizes->layers; ++i) {
        (void)snprintf(block, sizeof block, "encoder.layers.%d.self_attn", i);
        for (int k = 0; k < 4; ++k)
            linear(layout, join(name, block, projections[k]), width, width);
        (void)snprintf(block, sizeof block, "encoder.layers.%d", i);
        norm(layout, join(name, block, "layer_norm1"), width);
        linear(layout, join(name, block, "mlp.fc1"), sizes->mlp, width);
        linear(layout, join(name, block, "mlp.fc2"), width, sizes->mlp);
        norm(layout, join(name, block, "layer_norm2"), width);
    }
    norm(layout, "final_layer_norm", width);
}

void layout_open_clip(struct layout *layout, const char *prefix,
                      const struct text_sizes *sizes)
{
    char block[NAME_BYTES], name[NAME_BYTES];
    const int width = sizes->width;
    set_prefix(layout, prefix);
    matrix(layout, FILL_SMALL, sizes->positions, width, "positional_embedding");
    matrix(layout, FILL_WEIGHT, width, width, "text_projection");
    vector(layout, FILL_CONSTANT, 1, "logit_scale");
    layout->tensors[layout->count - 1].rank = 0;
    layout->tensors[layout->count - 1].constant = 4.605170185988092; /* ln 100 */
    matrix(layout, FILL_SMALL, sizes->vocabulary, width, "token_embedding.weight");
    for (int i = 0; i < sizes->layers; ++i) {
        (void)snprintf(block, sizeof block, "transformer.resblocks.%d", i);
        matrix(layout, FILL_WEIGHT, 3 * width, width, "%s.attn.in_proj_weight", block);
        vector(layout, FILL_SMALL, 3 * width, "%s.attn.in_proj_bias", block);
        linear(layout, join(name, block, "attn.out_proj"), width, width);
        norm(layout, join(name, block, "ln_1"), width);
        norm(layout, join(name, block, "ln_2"), width);
        linear(layout, join(name, block, "mlp.c_fc"), sizes->mlp, width);
        linear(layout, join(name, block, "mlp.c_proj"), width, sizes->mlp);
    }
    norm(layout, "ln_final", width);
}

/* ---- what else lies in a checkpoint ---- */

void layout_schedule(struct layout *layout)
{
    static const struct {
        const char *name;
        enum fill fill;
    } buffers[] = {
        {"betas",                         FILL_BETA            },
        {"alphas_cumprod",                FILL_ALPHA_BAR       },
        {"alphas_cumprod_prev",           FILL_ALPHA_BAR_BEFORE},
        {"sqrt_alphas_cumprod",           FILL_SQRT_ALPHA_BAR  },
        {"sqrt_one_minus_alphas_cumprod", FILL_SQRT_BETA_BAR   },
    };
    set_prefix(layout, "");
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; ++i)
        vector(layout, buffers[i].fill, 1000, "%s", buffers[i].name);
}

void layout_marks(struct layout *layout, bool v_prediction, bool zero_snr)
{
    set_prefix(layout, "");
    if (v_prediction) vector(layout, FILL_CONSTANT, 1, "v_pred");
    if (zero_snr) vector(layout, FILL_CONSTANT, 1, "ztsnr");
}

void layout_ema(struct layout *layout, const char *unet_prefix)
{
    set_prefix(layout, "model_ema.");
    vector(layout, FILL_CONSTANT, 1, "decay");
    layout->tensors[layout->count - 1].rank = 0;
    layout->tensors[layout->count - 1].constant = 0.9999;
    const size_t count = layout->count, prefix_bytes = strlen(unet_prefix);
    for (size_t i = 0; i < count; ++i) {
        if (strncmp(layout->tensors[i].name, unet_prefix, prefix_bytes) != 0) continue;
        char flat[NAME_BYTES];
        size_t used = 0;
        for (const char *c = layout->tensors[i].name + prefix_bytes; *c; ++c)
            if (*c != '.') flat[used++] = *c;
        flat[used] = '\0';
        const struct layout_tensor source = layout->tensors[i];
        vector(layout, source.fill, 1, "diffusion_model%s", flat);
        struct layout_tensor *copy = &layout->tensors[layout->count - 1];
        copy->rank = source.rank;
        copy->fan_in = source.fan_in;
        memcpy(copy->dims, source.dims, sizeof copy->dims);
    }
}

int64_t layout_elements(const struct layout_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; ++i)
        count *= tensor->dims[i];
    return count;
}

void layout_finish(struct layout *layout)
{
    for (size_t i = 0; i < layout->count; ++i)
        free(layout->tensors[i].name);
    free(layout->tensors);
    *layout = (struct layout){0};
}
