/* need_* below requests the tensors in the order of execution, and plan_*
 * adds the operators in the same order. The ends of levels and the places of transformers are
 * read from the tensor names of the encoder (input_blocks.i.0.op ends a level); the decoder mirrors
 * the encoder's levels, since each of its blocks uses one skip connection.
 *
 *     input 0       conv_in                              skip 0
 *     input i       resnet [transformer] | downsample    skip i
 *     middle        resnet transformer resnet
 *     output i      resnet(h, skip count-1-i) [transformer] [upsample to the next skip's size]
 */
#include "model/unet.h"

#include <math.h>

#include "model/latent_space.h"
#include "model/outline.h"
#include "model/resnet.h"
#include "model/transformer.h"

enum {
    UNET_MAX_BLOCKS = 64,
    UNET_MAX_LEVELS = 8,
    SD1_HEADS = 8, /* diffusers single_file_utils.py: v1-inference.yaml num_heads */
    SDXL_HEAD_DIM = 64,   /* sd_xl_base.yaml num_head_channels */
    INPAINT_CHANNELS = 9, /* latents 4, mask 1, masked picture's latents 4 */
    EDIT_CHANNELS = 8,    /* latents 4, the source picture's latents 4 */
};

struct unet_block {
    struct resnet resnet;           /* not in a downsampling block */
    struct transformer transformer; /* depth 0: none */
    struct layer resample; /* input: stride 2, alone; output: upsampling, last */
    int32_t level;         /* 0 is the latent's own size */
    int32_t channels;      /* out of the block; -1 where not known */
};

struct unet_spec {
    struct pool pool;
    struct component_spec component;
    struct unet_info info;
    struct layer time_in, time_out;
    struct layer label_in, label_out; /* SDXL's vector */
    struct layer conv_in, norm_out, conv_out;
    struct unet_block input[UNET_MAX_BLOCKS]; /* [0] stands for conv_in */
    struct unet_block output[UNET_MAX_BLOCKS];
    struct unet_block middle, middle_last; /* the second one is a resnet alone */
    int32_t block_count;                   /* of input, and of output */
};

const struct component_spec *unet_component(const struct unet_spec *spec)
{
    return &spec->component;
}

struct unet_info unet_info(const struct unet_spec *spec)
{
    return spec->info;
}

/* ---- spec ----------------------------------------------------------------------------- */

static void need_resnet(struct unet_spec *spec, struct unet_block *block,
                        const struct resnet_width *width, const char *path)
{
    block->resnet = resnet_need(&spec->component, &resnet_unet_names, width, path);
    block->channels = block->resnet.out;
}

static void need_transformer(struct unet_spec *spec, struct unet_block *block,
                             const char *path)
{
    const struct transformer_width width = {
        .channels = block->channels,
        .context = spec->info.context_width,
    };
    block->transformer = transformer_need(&spec->component, &width, path);
}

/* A transformer is told by its blocks, or by what stands around them. */
static bool has_transformer(const struct unet_spec *spec, const char *path)
{
    const struct component_index *const index = spec->component.index;
    return outline_has(index, "%s.transformer_blocks.", path) ||
           outline_has(index, "%s.proj_in.", path);
}

static void need_time(struct unet_spec *spec)
{
    struct component_spec *const component = &spec->component;
    spec->time_in =
        layer_need(component,
                   &(struct layer_shape){WEIGHT_LINEAR, spec->info.model_channels, -1,
                                         true},
                   "time_embed.0");
    const int32_t width = layer_out(&spec->time_in);
    spec->time_out =
        layer_need(component, &(struct layer_shape){WEIGHT_LINEAR, width, -1, true},
                   "time_embed.2");
    spec->info.time_width = layer_out(&spec->time_out);
    if (!outline_has(component->index, "label_emb.")) return;

    spec->label_in =
        layer_need(component, &(struct layer_shape){WEIGHT_LINEAR, -1, -1, true},
                   "label_emb.0.0");
    spec->label_out =
        layer_need(component,
                   &(struct layer_shape){WEIGHT_LINEAR, layer_out(&spec->label_in),
                                         spec->info.time_width, true},
                   "label_emb.0.2");
    spec->info.vector_width = layer_in(&spec->label_in);
}

static void need_input_block(struct unet_spec *spec, int32_t block_idx)
{
    const struct unet_block *const before = &spec->input[block_idx - 1];
    struct unet_block *const block = &spec->input[block_idx];
    const struct outline_path first = outline_path("input_blocks.%d.0", block_idx);
    const struct outline_path second = outline_path("input_blocks.%d.1", block_idx);

    block->level = before->level;
    if (outline_has(spec->component.index, "%s.op.", first.text)) {
        ++block->level;
        block->resample =
            layer_need(&spec->component, LAYER_CONV(before->channels, before->channels),
                       "%s.op", first.text);
        block->channels = before->channels;
        return;
    }
    const struct resnet_width width = {
        .in = before->channels,
        .time = spec->info.time_width,
    };
    need_resnet(spec, block, &width, first.text);
    if (has_transformer(spec, second.text)) need_transformer(spec, block, second.text);
}

static void need_middle(struct unet_spec *spec)
{
    const struct resnet_width width = {
        .in = spec->input[spec->block_count - 1].channels,
        .time = spec->info.time_width,
    };
    need_resnet(spec, &spec->middle, &width, "middle_block.0");
    need_transformer(spec, &spec->middle, "middle_block.1");
    const struct resnet_width last = {
        .in = spec->middle.channels,
        .time = spec->info.time_width,
    };
    need_resnet(spec, &spec->middle_last, &last, "middle_block.2");
}

static void need_output_block(struct unet_spec *spec, int32_t block_idx)
{
    const int32_t skip_idx = spec->block_count - 1 - block_idx;
    const struct unet_block *const before =
        block_idx > 0 ? &spec->output[block_idx - 1] : &spec->middle_last;
    struct unet_block *const block = &spec->output[block_idx];
    const struct resnet_width width = {
        .in = before->channels,
        .second = spec->input[skip_idx].channels,
        .time = spec->info.time_width,
    };
    const struct outline_path first = outline_path("output_blocks.%d.0", block_idx);
    struct outline_path next = outline_path("output_blocks.%d.1", block_idx);

    need_resnet(spec, block, &width, first.text);
    if (has_transformer(spec, next.text)) {
        need_transformer(spec, block, next.text);
        next = outline_path("output_blocks.%d.2", block_idx);
    }
    block->level = spec->input[skip_idx].level;
    if (skip_idx > 0 && spec->input[skip_idx - 1].level != block->level)
        block->resample =
            layer_need(&spec->component, LAYER_CONV(block->channels, block->channels),
                       "%s.conv", next.text);
}

static void need_network(struct unet_spec *spec)
{
    struct component_spec *const component = &spec->component;
    struct unet_info *const info = &spec->info;

    spec->conv_in = layer_need(component,
                               &(struct layer_shape){WEIGHT_CONV, info->in_channels,
                                                     info->model_channels, true},
                               "input_blocks.0.0");
    need_time(spec);
    spec->input[0].channels = info->model_channels;
    for (int32_t i = 1; i < spec->block_count; ++i)
        need_input_block(spec, i);
    need_middle(spec);
    for (int32_t i = 0; i < spec->block_count; ++i)
        need_output_block(spec, i);

    const int32_t channels = spec->output[spec->block_count - 1].channels;
    spec->norm_out = layer_need(component, LAYER_NORM(channels), "out.0");
    spec->conv_out = layer_need(component, LAYER_CONV(channels, -1), "out.2");

    info->levels = spec->input[spec->block_count - 1].level + 1;
    info->out_channels = layer_out(&spec->conv_out);
}

/* Read the structure from the tensor names, before tensors are requested. */
static enum dr_code read_outline(struct unet_spec *spec,
                                 const struct component_index *index,
                                 struct dr_error *err)
{
    struct unet_info *const info = &spec->info;
    info->model_channels = outline_dim(index, 0, "input_blocks.0.0.weight");
    info->in_channels = outline_dim(index, 1, "input_blocks.0.0.weight");
    if (info->in_channels == INPAINT_CHANNELS)
        return error_set(
            err, DR_UNSUPPORTED,
            "unet: this is an inpainting UNet (9 input channels), which is not "
            "supported yet; use the checkpoint that it is based on");
    if (info->in_channels == EDIT_CHANNELS)
        return error_set(err, DR_UNSUPPORTED,
                         "unet: this is an instruct-pix2pix UNet (8 input channels), "
                         "which is not supported");
    if (info->in_channels >= 0 && info->in_channels != LATENT_CHANNELS)
        return error_set(err, DR_UNSUPPORTED,
                         "unet: %d input channels; only 4 are supported",
                         info->in_channels);

    spec->block_count = outline_count(index, "input_blocks.");
    const int32_t output_count = outline_count(index, "output_blocks.");
    if (spec->block_count > UNET_MAX_BLOCKS || output_count > spec->block_count)
        return error_set(
            err, DR_UNSUPPORTED,
            "unet: %d input blocks and %d output blocks; the numbers must be equal "
            "and at most %d",
            spec->block_count, output_count, UNET_MAX_BLOCKS);
    if (spec->block_count == 0) spec->block_count = 1; /* named as missing */

    static const char key[] = "1.transformer_blocks.0.attn2.to_k.weight";
    info->context_width = outline_dim(index, 1, "middle_block.%s", key);
    for (int32_t i = 1; i < spec->block_count && info->context_width < 0; ++i)
        info->context_width = outline_dim(index, 1, "input_blocks.%d.%s", i, key);
    return DR_OK;
}

/* The rule for heads, one of the two set. */
struct head_rule {
    int32_t heads, head_dim;
};

static struct head_rule head_rule_of(const struct component_index *index,
                                     enum family family)
{
    struct head_rule rule = {0};
    if (checkpoint_metadata_int(index->file, "darkroom.unet.heads", &rule.heads))
        return rule;
    if (checkpoint_metadata_int(index->file, "darkroom.unet.head_dim", &rule.head_dim))
        return rule;
    if (family == FAMILY_SD15) return (struct head_rule){.heads = SD1_HEADS};
    return (struct head_rule){.head_dim = SDXL_HEAD_DIM};
}

static enum dr_code settle_block(struct unet_block *block, struct head_rule rule,
                                 struct dr_error *err)
{
    if (block->channels % LAYER_GROUPS != 0)
        return error_set(
            err, DR_UNSUPPORTED,
            "unet: a block of %d channels; group norm needs a multiple of %d",
            block->channels, LAYER_GROUPS);
    struct transformer *const transformer = &block->transformer;
    if (transformer->depth == 0) return DR_OK;
    if (!transformer->blocks) return error_set(err, DR_NOMEM, "unet: no memory");

    const int32_t channels = transformer->channels;
    const int32_t divisor = rule.heads > 0 ? rule.heads : rule.head_dim;
    if (channels % divisor != 0)
        return error_set(
            err, DR_UNSUPPORTED,
            "unet: %d channels cannot be split into attention heads: %s %d (set it "
            "with the metadata darkroom.unet.heads or darkroom.unet.head_dim)",
            channels, rule.heads > 0 ? "heads" : "head dimension", divisor);
    transformer->heads = rule.heads > 0 ? rule.heads : channels / rule.head_dim;
    transformer->head_dim = channels / transformer->heads;
    for (int32_t i = 0; i < transformer->depth; ++i) {
        const int32_t wide = layer_out(&transformer->blocks[i].expand);
        if (wide % 2 != 0)
            return error_set(
                err, DR_UNSUPPORTED,
                "unet: a feed-forward layer %d wide; GEGLU needs two halves", wide);
    }
    return DR_OK;
}

/* Set what the shapes do not determine, after all tensors were found. */
static enum dr_code settle(struct unet_spec *spec, enum family family,
                           struct dr_error *err)
{
    const struct head_rule rule = head_rule_of(spec->component.index, family);
    struct unet_info *const info = &spec->info;
    if (info->out_channels != info->in_channels)
        return error_set(
            err, DR_UNSUPPORTED,
            "unet: %d output channels; only %d, the number of input channels, are "
            "supported",
            info->out_channels, info->in_channels);
    if (info->levels > UNET_MAX_LEVELS)
        return error_set(err, DR_UNSUPPORTED,
                         "unet: %d levels; at most %d are supported", info->levels,
                         UNET_MAX_LEVELS);
    info->factor = 1 << (info->levels - 1);
    enum dr_code code = settle_block(&spec->middle, rule, err);
    for (int32_t i = 0; i < spec->block_count && !code; ++i) {
        code = settle_block(&spec->input[i], rule, err);
        if (!code) code = settle_block(&spec->output[i], rule, err);
    }
    return code ? code : settle_block(&spec->middle_last, rule, err);
}

enum dr_code unet_spec_create(struct unet_spec **out,
                              const struct component_index *index, enum family family,
                              enum dtype dtype, struct dr_error *err)
{
    struct pool pool = {0};
    struct unet_spec *spec = pool_alloc(&pool, sizeof *spec);
    if (!spec) return error_set(err, DR_NOMEM, "unet: no memory");
    spec->pool = pool;

    enum dr_code code = read_outline(spec, index, err);
    if (code) goto out;
    component_spec_begin(&spec->component, index, dtype, &spec->pool);
    need_network(spec);
    code = component_spec_end(&spec->component, err);
    if (!code) code = settle(spec, family, err);
out:
    if (code)
        unet_spec_destroy(&spec);
    else
        *out = spec;
    return code;
}

enum dr_code unet_spec_store(struct unet_spec *spec, enum component_storage storage,
                             struct dr_error *err)
{
    return component_spec_store(&spec->component, storage, err);
}

void unet_spec_destroy(struct unet_spec **spec)
{
    if (!spec || !*spec) return;
    pool_finish(&(*spec)->pool); /* the spec itself is allocated in it */
    *spec = NULL;
}

/* ---- plan ----------------------------------------------------------------------------- */

/* What every block sees. */
struct context {
    struct plan *plan;
    struct value time;   /* SiLU of the time embedding, in the plan's type */
    struct value prompt; /* the context, in the plan's type */
};

/* The time embedding stays in float32 until all blocks share its SiLU. */
static struct value plan_time(const struct unet_spec *spec, struct unet_plan *unet,
                              enum dtype dtype)
{
    struct plan *const plan = unet->plan;
    struct value time =
        layer_linear_f32(plan, unet->time, &spec->time_in, ACTIVATION_SILU);
    time = layer_linear_f32(plan, time, &spec->time_out, ACTIVATION_NONE);
    if (spec->info.vector_width > 0) {
        struct value label =
            layer_linear_f32(plan, unet->vector, &spec->label_in, ACTIVATION_SILU);
        label = layer_linear_f32(plan, label, &spec->label_out, ACTIVATION_NONE);
        time = plan_add(plan, label, time);
    }
    return plan_activate(plan, time, ACTIVATION_SILU, dtype);
}

static struct value plan_block(const struct context *context,
                               const struct unet_block *block, struct value x,
                               struct value skip)
{
    const struct resnet_values values = {.x = x, .second = skip, .time = context->time};
    const struct value h = resnet_plan(context->plan, &block->resnet, &values);
    if (block->transformer.depth == 0) return h;
    return transformer_plan(context->plan, &block->transformer, h, context->prompt);
}

/* Padded on all sides, unlike the VAE's (diffusers resnet.py: Downsample2D, padding 1). */
static struct value plan_downsample(struct plan *plan, const struct layer *layer,
                                    struct value x)
{
    const struct conv_options options = {
        .weight = layer->weight,
        .bias = layer->bias,
        .stride = 2,
        .pad_top = 1,
        .pad_left = 1,
        .pad_bottom = 1,
        .pad_right = 1,
    };
    return plan_conv(plan, x, &options);
}

static struct value plan_encoder(const struct unet_spec *spec,
                                 const struct context *context, struct value latent,
                                 struct value *skips)
{
    struct plan *const plan = context->plan;
    struct value h = latent;
    for (int32_t i = 1; i < spec->block_count; ++i) {
        const struct unet_block *const block = &spec->input[i];
        skips[i - 1] = h;
        h = block->resample.weight ? plan_downsample(plan, &block->resample, h)
                                   : plan_block(context, block, h, VALUE_NONE);
    }
    skips[spec->block_count - 1] = h;
    return h;
}

static struct value plan_decoder(const struct unet_spec *spec,
                                 const struct context *context, struct value h,
                                 const struct value *skips)
{
    for (int32_t i = 0; i < spec->block_count; ++i) {
        const struct unet_block *const block = &spec->output[i];
        const int32_t skip_idx = spec->block_count - 1 - i;
        h = plan_block(context, block, h, skips[skip_idx]);
        if (!block->resample.weight) continue;
        /* To the next skip's size, which is not twice ours where its side is odd. */
        const struct shape next = plan_shape(context->plan, skips[skip_idx - 1]);
        h = layer_upsample(context->plan, h, &block->resample, next.h, next.w);
    }
    return h;
}

static void plan_network(const struct unet_spec *spec, struct unet_plan *unet,
                         enum dtype dtype)
{
    struct plan *const plan = unet->plan;
    const struct context context = {
        .plan = plan,
        .time = plan_time(spec, unet, dtype),
        .prompt = layer_convert(plan, unet->context, dtype),
    };
    struct value skips[UNET_MAX_BLOCKS];
    struct value h = layer_conv_f32(plan, unet->latent, &spec->conv_in);
    h = plan_encoder(spec, &context, layer_convert(plan, h, dtype), skips);
    h = plan_block(&context, &spec->middle, h, VALUE_NONE);
    h = plan_block(&context, &spec->middle_last, h, VALUE_NONE);
    h = plan_decoder(spec, &context, h, skips);
    h = layer_group_norm(plan, h, &spec->norm_out, RESNET_UNET_EPSILON,
                         ACTIVATION_SILU);
    h = layer_conv_f32(plan, h, &spec->conv_out);
    unet->result = plan_output(plan, h, DTYPE_F32);
}

enum dr_code unet_plan_create(struct unet_plan *out, const struct unet_spec *spec,
                              const struct unet_shape *shape, bool profile,
                              struct dr_error *err)
{
    const enum dtype dtype = spec->component.dtype;
    const struct unet_info *const info = &spec->info;
    const struct plan_options options = {.name = "unet",
                                         .dtype = dtype,
                                         .profile = profile,
                                         .deltas = shape->deltas,
                                         .exact_convolutions =
                                             shape->exact_convolutions};
    struct unet_plan unet = {0};
    enum dr_code code = plan_create(&unet.plan, &options, err);
    if (code) return code;

    unet.latent = plan_input(unet.plan,
                             (struct shape){shape->n, shape->height, shape->width,
                                            info->in_channels},
                             DTYPE_F32);
    const int32_t time_rows = info->vector_width > 0 ? shape->n : 1;
    unet.time =
        plan_input(unet.plan, (struct shape){time_rows, 1, 1, info->model_channels},
                   DTYPE_F32);
    unet.context = plan_steady_input(
        unet.plan, (struct shape){shape->n, 1, shape->tokens, info->context_width},
        DTYPE_F32);
    if (info->vector_width > 0)
        unet.vector = plan_steady_input(
            unet.plan, (struct shape){shape->n, 1, 1, info->vector_width}, DTYPE_F32);
    plan_network(spec, &unet, dtype);

    code = plan_seal(unet.plan, err);
    if (code)
        plan_destroy(&unet.plan);
    else
        *out = unet;
    return code;
}

void unet_plan_destroy(struct unet_plan *plan)
{
    if (!plan) return;
    plan_destroy(&plan->plan);
    *plan = (struct unet_plan){0};
}

/* Waves [first, first + count) of half. embeddings.py, shift 0. */
static void time_waves(float time, int32_t half, int32_t first, int32_t count,
                       float *cosines, float *sines)
{
    for (int32_t i = 0; i < count; ++i) {
        const float frequency =
            expf(-logf(10000.0F) * (float)(first + i) / (float)half);
        cosines[i] = cosf(time * frequency);
        sines[i] = sinf(time * frequency);
    }
}

void unet_plan_set_time(const struct unet_plan *plan, float time)
{
    enum {
        MOST = 256 /* waves at once: the width is the file's */
    };
    float cosines[MOST], sines[MOST];
    const struct shape shape = plan_shape(plan->plan, plan->time);
    const int32_t half = shape.c / 2;
    for (int32_t first = 0, count; first < half; first += count) {
        count = half - first < MOST ? half - first : MOST;
        time_waves(time, half, first, count, cosines, sines);
        for (int32_t i = 0; i < shape.n; ++i) {
            const size_t place = (size_t)i * (size_t)shape.c + (size_t)first;
            plan_write(plan->plan, plan->time, place, (size_t)count, cosines);
            plan_write(plan->plan, plan->time, place + (size_t)half, (size_t)count,
                       sines);
        }
    }
    for (int32_t i = 0; shape.c % 2 != 0 && i < shape.n; ++i)
        plan_clear(plan->plan, plan->time, (size_t)(i + 1) * (size_t)shape.c - 1, 1);
}

void unet_time_embedding(float time, int32_t width, float *out)
{
    const int32_t half = width / 2;
    time_waves(time, half, 0, half, out, out + half);
    if (width % 2 != 0) out[width - 1] = 0.0F;
}
