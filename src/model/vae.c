/* Encoder and decoder:
 *
 *     encoder  conv_in, level 0 .. last (blocks, stride 2), mid, norm_out, conv_out, quant_conv
 *     decoder  post_quant_conv, conv_in, mid, level last .. 0 (blocks, upsampling), norm_out,
 *              conv_out
 *
 * Level 0 has the image's full size: decoder.up.0 runs last.
 * The encoder pads only right and bottom before a stride of 2 (vae.py: DownEncoderBlock2D with
 * padding 0); padding on all sides, as in the UNet, would shift the image by half a pixel at each level.
 */
#include "model/vae.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/fault.h"
#include "model/outline.h"
#include "model/resnet.h"

enum {
    VAE_LEVELS = 4,
    VAE_MAX_BLOCKS = 8, /* residual blocks a level */
    IMAGE_CHANNELS = 3,
};
static_assert(1 << (VAE_LEVELS - 1) == LATENT_FACTOR,
              "all levels but one halve a side");

/* Scale factors of the families: diffusers single_file_utils.py. */
#define SCALE_SD1  0.18215F
#define SCALE_SDXL 0.13025F
/* Scales and deviations in use are about 1; with much less or more no picture is left. */
#define SMALLEST_DIVISOR 1e-4F

/* vae.py DiagonalGaussianDistribution */
#define LOGVAR_MIN (-30.0F)
#define LOGVAR_MAX 20.0F

/* Self attention over all cells, one head as wide as the map. */
struct vae_attention {
    struct layer norm, out;
    struct layer qkv; /* rows of q, k, v stacked */
};

struct vae_middle {
    struct resnet first, last;
    struct vae_attention attention;
};

struct vae_level {
    struct resnet blocks[VAE_MAX_BLOCKS];
    int32_t block_count;
    struct layer resample; /* weight NULL: the size stays */
};

/* Encoder or decoder. */
struct vae_half {
    struct layer conv_in, norm_out, conv_out;
    struct vae_level levels[VAE_LEVELS];
    struct vae_middle middle;
};

struct vae_spec {
    struct pool pool;
    struct component_spec component;
    struct vae_info info;
    struct layer quant, post_quant;
    struct vae_half encoder, decoder;
};

const struct component_spec *vae_component(const struct vae_spec *spec)
{
    return &spec->component;
}

struct vae_info vae_info(const struct vae_spec *spec)
{
    return spec->info;
}

/* ---- spec ----------------------------------------------------------------------------- */

static struct vae_attention need_attention(struct component_spec *spec,
                                           int32_t channels, const char *path)
{
    struct vae_attention attention = {0};
    attention.norm = layer_need(spec, LAYER_NORM(channels), "%s.norm", path);
    attention.qkv = layer_need_stack(spec, LAYER_LINEAR(channels, channels),
                                     &(struct layer_stack){
                                         path, {"q", "k", "v"},
                                          false
    });
    attention.out =
        layer_need(spec, LAYER_LINEAR(channels, channels), "%s.proj_out", path);
    return attention;
}

static struct resnet need_resnet(struct component_spec *spec, int32_t channels,
                                 const char *path)
{
    return resnet_need(spec, &resnet_vae_names, &(struct resnet_width){.in = channels},
                       path);
}

/* Returns the channels out. */
static int32_t need_middle(struct component_spec *spec, struct vae_middle *middle,
                           int32_t channels, const char *half)
{
    const struct outline_path first = outline_path("%s.mid.block_1", half);
    const struct outline_path attention = outline_path("%s.mid.attn_1", half);
    const struct outline_path last = outline_path("%s.mid.block_2", half);
    middle->first = need_resnet(spec, channels, first.text);
    middle->attention = need_attention(spec, middle->first.out, attention.text);
    middle->last = need_resnet(spec, middle->first.out, last.text);
    return middle->last.out;
}

/* The blocks of "encoder.down.2" or "decoder.up.2". Returns the channels out. */
static int32_t need_level(struct component_spec *spec, struct vae_level *level,
                          int32_t channels, const char *path)
{
    level->block_count = outline_count(spec->index, "%s.block.", path);
    if (level->block_count == 0) level->block_count = 1; /* named as missing */
    for (int32_t i = 0; i < level->block_count; ++i) {
        const struct outline_path block = outline_path("%s.block.%d", path, i);
        level->blocks[i] = need_resnet(spec, channels, block.text);
        channels = level->blocks[i].out;
    }
    return channels;
}

static void need_encoder(struct vae_spec *vae)
{
    struct component_spec *const spec = &vae->component;
    struct vae_half *const half = &vae->encoder;
    half->conv_in = layer_need(spec, LAYER_CONV(IMAGE_CHANNELS, -1), "encoder.conv_in");
    int32_t channels = layer_out(&half->conv_in);
    for (int32_t i = 0; i < VAE_LEVELS; ++i) {
        const struct outline_path path = outline_path("encoder.down.%d", i);
        struct vae_level *const level = &half->levels[i];
        channels = need_level(spec, level, channels, path.text);
        if (i + 1 < VAE_LEVELS)
            level->resample = layer_need(spec, LAYER_CONV(channels, channels),
                                         "%s.downsample.conv", path.text);
    }
    channels = need_middle(spec, &half->middle, channels, "encoder");
    half->norm_out = layer_need(spec, LAYER_NORM(channels), "encoder.norm_out");
    half->conv_out =
        layer_need(spec, LAYER_CONV(channels, 2 * LATENT_CHANNELS), "encoder.conv_out");
    vae->quant = layer_need(spec,
                            &(struct layer_shape){WEIGHT_LINEAR, 2 * LATENT_CHANNELS,
                                                  2 * LATENT_CHANNELS, true},
                            "quant_conv");
}

static void need_decoder(struct vae_spec *vae)
{
    struct component_spec *const spec = &vae->component;
    struct vae_half *const half = &vae->decoder;
    vae->post_quant = layer_need(spec,
                                 &(struct layer_shape){WEIGHT_LINEAR, LATENT_CHANNELS,
                                                       LATENT_CHANNELS, true},
                                 "post_quant_conv");
    half->conv_in =
        layer_need(spec, &(struct layer_shape){WEIGHT_CONV, LATENT_CHANNELS, -1, true},
                   "decoder.conv_in");
    int32_t channels =
        need_middle(spec, &half->middle, layer_out(&half->conv_in), "decoder");
    for (int32_t i = VAE_LEVELS - 1; i >= 0; --i) {
        const struct outline_path path = outline_path("decoder.up.%d", i);
        struct vae_level *const level = &half->levels[i];
        channels = need_level(spec, level, channels, path.text);
        if (i > 0)
            level->resample = layer_need(spec, LAYER_CONV(channels, channels),
                                         "%s.upsample.conv", path.text);
    }
    half->norm_out = layer_need(spec, LAYER_NORM(channels), "decoder.norm_out");
    half->conv_out =
        layer_need(spec, LAYER_CONV(channels, IMAGE_CHANNELS), "decoder.conv_out");
}

/* The first of these tensors that is there tells how many latent channels the VAE has. */
static int32_t latent_channels_of(const struct component_index *index)
{
    const int32_t channels = outline_dim(index, 1, "decoder.conv_in.weight");
    return channels > 0 ? channels : outline_dim(index, 0, "post_quant_conv.weight");
}

static enum dr_code check_outline(const struct component_index *index,
                                  struct dr_error *err)
{
    const int32_t latent_channels = latent_channels_of(index);
    if (latent_channels > 0 && latent_channels != LATENT_CHANNELS)
        return error_set(
            err, DR_UNSUPPORTED,
            "vae: %d latent channels; Stable Diffusion 1.x and SDXL have 4%s",
            latent_channels,
            latent_channels == 16 ? " (16 is a VAE of SD3 or Flux)" : "");
    const int32_t decoder_levels = outline_count(index, "decoder.up.");
    const int32_t encoder_levels = outline_count(index, "encoder.down.");
    const int32_t levels =
        decoder_levels > encoder_levels ? decoder_levels : encoder_levels;
    if (levels > 0 && levels != VAE_LEVELS) /* 0: all are named as missing */
        return error_set(err, DR_UNSUPPORTED,
                         "vae: %d level%s, or %g pixel%s per latent cell; Stable "
                         "Diffusion 1.x and SDXL have %d levels, %d pixels",
                         levels, levels == 1 ? "" : "s", ldexp(1.0, levels - 1),
                         levels == 1 ? "" : "s", VAE_LEVELS, LATENT_FACTOR);

    for (int32_t i = 0; i < VAE_LEVELS; ++i) {
        if (outline_count(index, "decoder.up.%d.block.", i) > VAE_MAX_BLOCKS ||
            outline_count(index, "encoder.down.%d.block.", i) > VAE_MAX_BLOCKS)
            return error_set(err, DR_UNSUPPORTED,
                             "vae: level %d has more than %d residual blocks", i,
                             VAE_MAX_BLOCKS);
        if (outline_has(index, "decoder.up.%d.attn.", i) ||
            outline_has(index, "encoder.down.%d.attn.", i))
            return error_set(err, DR_UNSUPPORTED,
                             "vae: level %d has attention; only the middle block may "
                             "have it",
                             i);
    }
    return DR_OK;
}

/* "0.1,0.2,0.3,0.4" of a key; what is there stays where the file has none. */
static enum dr_code read_channels(const struct tensor_file *file, const char *key,
                                  float out[static LATENT_CHANNELS],
                                  struct dr_error *err)
{
    const char *const text = tensor_file_metadata(file, key);
    int count = 0;
    for (const char *at = text; at && count <= LATENT_CHANNELS;) {
        char *end;
        const float number = strtof(at, &end);
        if (end == at || !isfinite(number) || (*end && *end != ',')) break;
        if (count < LATENT_CHANNELS) out[count] = number;
        ++count;
        at = *end ? end + 1 : NULL;
        if (!at && count == LATENT_CHANNELS) return DR_OK;
    }
    if (!text) return DR_OK;
    return error_set(err, DR_UNSUPPORTED, "vae: %s is \"%.80s\", not %d numbers", key,
                     text, LATENT_CHANNELS);
}

/* What latents are divided by, on one way or the other. */
static enum dr_code check_divisor(const char *key, float number, struct dr_error *err)
{
    if (number >= SMALLEST_DIVISOR && number <= 1 / SMALLEST_DIVISOR) return DR_OK;
    return error_set(err, DR_UNSUPPORTED, "vae: %s is %g; %g to %g are supported", key,
                     (double)number, (double)SMALLEST_DIVISOR,
                     1 / (double)SMALLEST_DIVISOR);
}

static enum dr_code read_scale(struct vae_info *info, const struct tensor_file *file,
                               enum family family, struct dr_error *err)
{
    for (int i = 0; i < LATENT_CHANNELS; ++i)
        info->latents_std[i] = 1.0F;
    info->scale_factor =
        family == FAMILY_SDXL || family == FAMILY_SDXL_REFINER ? SCALE_SDXL : SCALE_SD1;
    info->shift_factor = 0.0F;
    float number = 0.0F;
    if (checkpoint_metadata_float(file, "darkroom.vae.scale_factor", &number))
        info->scale_factor = number;
    if (checkpoint_metadata_float(file, "darkroom.vae.shift_factor", &number))
        info->shift_factor = number;
    enum dr_code code =
        read_channels(file, "darkroom.vae.latents_mean", info->latents_mean, err);
    if (!code)
        code = read_channels(file, "darkroom.vae.latents_std", info->latents_std, err);
    for (int i = 0; !code && i < LATENT_CHANNELS; ++i)
        code = check_divisor("latents_std", info->latents_std[i], err);
    return code ? code : check_divisor("scale_factor", info->scale_factor, err);
}

static enum dr_code check_resnet(const struct resnet *resnet, struct dr_error *err)
{
    if (resnet->out % LAYER_GROUPS == 0) return DR_OK;
    return error_set(err, DR_UNSUPPORTED,
                     "vae: a block of %d channels; group norm needs a multiple of %d",
                     resnet->out, LAYER_GROUPS);
}

static enum dr_code check_half(const struct vae_half *half, struct dr_error *err)
{
    if (layer_out(&half->conv_in) % LAYER_GROUPS != 0)
        return error_set(
            err, DR_UNSUPPORTED,
            "vae: conv_in has %d channels; group norm needs a multiple of %d",
            layer_out(&half->conv_in), LAYER_GROUPS);
    enum dr_code code = check_resnet(&half->middle.first, err);
    if (!code) code = check_resnet(&half->middle.last, err);
    for (int32_t i = 0; i < VAE_LEVELS && !code; ++i)
        for (int32_t j = 0; j < half->levels[i].block_count && !code; ++j)
            code = check_resnet(&half->levels[i].blocks[j], err);
    return code;
}

enum dr_code vae_spec_create(struct vae_spec **out, const struct component_index *index,
                             enum family family, enum dtype dtype, struct dr_error *err)
{
    struct pool pool = {0};
    struct vae_spec *vae = pool_alloc(&pool, sizeof *vae);
    if (!vae) return error_set(err, DR_NOMEM, "vae: no memory");
    vae->pool = pool;

    enum dr_code code = check_outline(index, err);
    if (code) goto out;
    component_spec_begin(&vae->component, index, dtype, &vae->pool);
    need_encoder(vae);
    need_decoder(vae);
    code = component_spec_end(&vae->component, err);
    if (!code) code = check_half(&vae->encoder, err);
    if (!code) code = check_half(&vae->decoder, err);
    vae->info.has_encoder = true;
    if (!code) code = read_scale(&vae->info, index->file, family, err);
out:
    if (code)
        vae_spec_destroy(&vae);
    else
        *out = vae;
    return code;
}

enum dr_code vae_spec_store(struct vae_spec *spec, enum component_storage storage,
                            struct dr_error *err)
{
    return component_spec_store(&spec->component, storage, err);
}

void vae_spec_destroy(struct vae_spec **spec)
{
    if (!spec || !*spec) return;
    pool_finish(&(*spec)->pool); /* the spec itself is allocated in it */
    *spec = NULL;
}

/* ---- plan ----------------------------------------------------------------------------- */

static struct value plan_resnet(struct plan *plan, const struct resnet *resnet,
                                struct value x)
{
    return resnet_plan(plan, resnet, &(struct resnet_values){.x = x});
}

static struct value plan_cell_attention(struct plan *plan,
                                        const struct vae_attention *attention,
                                        struct value x)
{
    struct value h = layer_group_norm(plan, x, &attention->norm, RESNET_VAE_EPSILON,
                                      ACTIVATION_NONE);
    h = layer_linear(plan, h, &attention->qkv, VALUE_NONE);
    h = layer_self_attention(plan, h, 1, LAYER_SEES_ALL);
    return layer_linear(plan, h, &attention->out, x);
}

static struct value plan_middle(struct plan *plan, const struct vae_middle *middle,
                                struct value h)
{
    h = plan_resnet(plan, &middle->first, h);
    h = plan_cell_attention(plan, &middle->attention, h);
    return plan_resnet(plan, &middle->last, h);
}

static struct value plan_level(struct plan *plan, const struct vae_level *level,
                               struct value h)
{
    for (int32_t i = 0; i < level->block_count; ++i)
        h = plan_resnet(plan, &level->blocks[i], h);
    return h;
}

static struct value plan_head(struct plan *plan, const struct vae_half *half,
                              struct value h)
{
    h = layer_group_norm(plan, h, &half->norm_out, RESNET_VAE_EPSILON, ACTIVATION_SILU);
    return layer_conv_f32(plan, h, &half->conv_out);
}

/* The few channels at the latent's end stay in float32. */
static struct value plan_decoder(struct plan *plan, const struct vae_spec *vae,
                                 struct value latent)
{
    const struct vae_half *const half = &vae->decoder;
    struct value h = layer_linear_f32(plan, latent, &vae->post_quant, ACTIVATION_NONE);
    h = layer_conv_f32(plan, h, &half->conv_in);
    h = plan_middle(plan, &half->middle, layer_convert(plan, h, vae->component.dtype));
    for (int32_t i = VAE_LEVELS - 1; i >= 0; --i) {
        const struct vae_level *const level = &half->levels[i];
        h = plan_level(plan, level, h);
        if (!level->resample.weight) continue;
        const struct shape shape = plan_shape(plan, h);
        h = layer_upsample(plan, h, &level->resample, 2 * shape.h, 2 * shape.w);
    }
    return plan_head(plan, half, h);
}

static struct value plan_downsample(struct plan *plan, const struct layer *layer,
                                    struct value x)
{
    const struct conv_options options = {
        .weight = layer->weight,
        .bias = layer->bias,
        .stride = 2,
        .pad_bottom = 1,
        .pad_right = 1,
    };
    return plan_conv(plan, x, &options);
}

static struct value plan_encoder(struct plan *plan, const struct vae_spec *vae,
                                 struct value image)
{
    const struct vae_half *const half = &vae->encoder;
    struct value h = layer_conv(plan, layer_convert(plan, image, vae->component.dtype),
                                &half->conv_in, VALUE_NONE);
    for (int32_t i = 0; i < VAE_LEVELS; ++i) {
        const struct vae_level *const level = &half->levels[i];
        h = plan_level(plan, level, h);
        if (level->resample.weight) h = plan_downsample(plan, &level->resample, h);
    }
    h = plan_head(plan, half, plan_middle(plan, &half->middle, h));
    return layer_linear_f32(plan, h, &vae->quant, ACTIVATION_NONE);
}

static enum dr_code create_plan(struct plan **plan, const char *name,
                                const struct vae_spec *spec,
                                const struct vae_plan_options *options,
                                struct dr_error *err)
{
    const struct plan_options plan_options = {
        .name = name,
        .dtype = spec->component.dtype,
        .profile = options->profile,
        .exact_convolutions = options->exact_convolutions,
        .by_lines = true,
        .whole_bytes = options->whole_bytes,
        .most_bytes = options->most_bytes,
    };
    return plan_create(plan, &plan_options, err);
}

enum dr_code vae_decode_plan_create(struct vae_decode_plan *out,
                                    const struct vae_spec *spec,
                                    const struct vae_plan_options *options,
                                    struct dr_error *err)
{
    struct vae_decode_plan decode = {0};
    enum dr_code code = create_plan(&decode.plan, "vae decoder", spec, options, err);
    if (code) return code;

    const struct shape shape = {options->n, options->latent_height,
                                options->latent_width, LATENT_CHANNELS};
    decode.latent = plan_input(decode.plan, shape, DTYPE_F32);
    const struct value image = plan_decoder(decode.plan, spec, decode.latent);
    decode.image = plan_output(decode.plan, image, DTYPE_F32);
    code = plan_seal(decode.plan, err);
    if (code)
        plan_destroy(&decode.plan);
    else
        *out = decode;
    return code;
}

void vae_decode_plan_destroy(struct vae_decode_plan *plan)
{
    if (!plan) return;
    plan_destroy(&plan->plan);
    *plan = (struct vae_decode_plan){0};
}

enum dr_code vae_encode_plan_create(struct vae_encode_plan *out,
                                    const struct vae_spec *spec,
                                    const struct vae_plan_options *options,
                                    struct dr_error *err)
{
    struct vae_encode_plan encode = {0};
    enum dr_code code = create_plan(&encode.plan, "vae encoder", spec, options, err);
    if (code) return code;

    const int32_t height = options->latent_height, width = options->latent_width;
    if (height > INT32_MAX / LATENT_FACTOR || width > INT32_MAX / LATENT_FACTOR)
        plan_fail(encode.plan, DR_BAD_INPUT,
                  "a picture of %d x %d latent cells is too large", width, height);
    else
        encode.image = plan_input(encode.plan,
                                  (struct shape){options->n, height * LATENT_FACTOR,
                                                 width * LATENT_FACTOR, IMAGE_CHANNELS},
                                  DTYPE_F32);
    const struct value moments = plan_encoder(encode.plan, spec, encode.image);
    encode.moments = plan_output(encode.plan, moments, DTYPE_F32);
    code = plan_seal(encode.plan, err);
    if (code)
        plan_destroy(&encode.plan);
    else
        *out = encode;
    return code;
}

void vae_encode_plan_destroy(struct vae_encode_plan *plan)
{
    if (!plan) return;
    plan_destroy(&plan->plan);
    *plan = (struct vae_encode_plan){0};
}

/* ---- scaling and sampling ------------------------------------------------------------- */

/* That of the VAE; for fault.h's sabotage the one that was asked for first. */
static float scale_factor(const struct vae_info *info)
{
    static float stale;
    if (!fault_is_sabotaged(SABOTAGE_STALE_SCALE)) return info->scale_factor;
    if (stale == 0.0F) stale = info->scale_factor;
    return stale;
}

void vae_unscale(const struct vae_info *info, float *latent, size_t count)
{
    const float scale = scale_factor(info);
    for (size_t i = 0; i < count; ++i) {
        const size_t c = i % LATENT_CHANNELS;
        latent[i] = latent[i] * info->latents_std[c] / scale +
                    (info->latents_mean[c] + info->shift_factor);
    }
}

void vae_scale(const struct vae_info *info, float *latent, size_t count)
{
    const float scale = scale_factor(info);
    for (size_t i = 0; i < count; ++i) {
        const size_t c = i % LATENT_CHANNELS;
        latent[i] = (latent[i] - (info->latents_mean[c] + info->shift_factor)) * scale /
                    info->latents_std[c];
    }
}

void vae_sample(int64_t cells, const float *moments, const float *noise, float *latent)
{
    for (int64_t i = 0; i < cells; ++i) {
        const float *const mean = moments + 2 * LATENT_CHANNELS * i;
        const float *const logvar = mean + LATENT_CHANNELS;
        for (int64_t j = 0; j < LATENT_CHANNELS; ++j) {
            const float bounded = fminf(fmaxf(logvar[j], LOGVAR_MIN), LOGVAR_MAX);
            const float offset =
                noise ? expf(0.5F * bounded) * noise[LATENT_CHANNELS * i + j] : 0.0F;
            latent[LATENT_CHANNELS * i + j] = mean[j] + offset;
        }
    }
}
