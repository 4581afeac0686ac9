#include "model/transformer.h"

#include <math.h>

#include "model/outline.h"

/* transformer_2d.py: the norm before proj_in, unlike all others of the UNet. */
#define TRANSFORMER_NORM_EPSILON 1e-6F

static struct transformer_block need_block(struct component_spec *spec,
                                           const struct transformer_width *width,
                                           const char *path)
{
    const int32_t c = width->channels;
    struct transformer_block block = {0};
    const struct layer_stack self = {
        path, {"attn1.to_q", "attn1.to_k", "attn1.to_v"},
         true
    };
    const struct layer_stack query = {path, {"attn2.to_q"}, true};
    const struct layer_stack key_value = {
        path, {"attn2.to_k", "attn2.to_v"},
         true
    };
    block.norm1 = layer_need(spec, LAYER_NORM(c), "%s.norm1", path);
    block.qkv = layer_need_stack(spec, LAYER_LINEAR(c, c), &self);
    block.self_out = layer_need(spec, LAYER_LINEAR(c, c), "%s.attn1.to_out.0", path);
    block.norm2 = layer_need(spec, LAYER_NORM(c), "%s.norm2", path);
    block.query = layer_need_stack(spec, LAYER_LINEAR(c, c), &query);
    block.key_value =
        layer_need_stack(spec, LAYER_LINEAR(width->context, c), &key_value);
    block.cross_out = layer_need(spec, LAYER_LINEAR(c, c), "%s.attn2.to_out.0", path);
    block.norm3 = layer_need(spec, LAYER_NORM(c), "%s.norm3", path);
    block.expand = layer_need(spec, LAYER_LINEAR(c, -1), "%s.ff.net.0.proj", path);
    const int32_t wide = layer_out(&block.expand);
    block.contract = layer_need(spec, LAYER_LINEAR(wide < 0 ? -1 : wide / 2, c),
                                "%s.ff.net.2", path);
    return block;
}

struct transformer transformer_need(struct component_spec *spec,
                                    const struct transformer_width *width,
                                    const char *path)
{
    const int32_t c = width->channels;
    struct transformer transformer = {.channels = c};
    transformer.norm = layer_need(spec, LAYER_NORM(c), "%s.norm", path);
    transformer.proj_in = layer_need(spec, LAYER_LINEAR(c, c), "%s.proj_in", path);
    int32_t depth = outline_count(spec->index, "%s.transformer_blocks.", path);
    if (depth == 0) depth = 1; /* then its tensors are named as missing */
    transformer.depth = depth;
    transformer.blocks =
        pool_alloc(spec->pool, (size_t)depth * sizeof *transformer.blocks);
    for (int32_t i = 0; i < depth && transformer.blocks; ++i) {
        const struct outline_path block =
            outline_path("%s.transformer_blocks.%d", path, i);
        transformer.blocks[i] = need_block(spec, width, block.text);
    }
    transformer.proj_out = layer_need(spec, LAYER_LINEAR(c, c), "%s.proj_out", path);
    return transformer;
}

static struct value plan_self_attention(struct plan *plan,
                                        const struct transformer_block *block,
                                        int32_t heads, struct value x)
{
    struct value h = layer_norm(plan, x, &block->norm1);
    h = layer_linear(plan, h, &block->qkv, VALUE_NONE);
    h = layer_self_attention(plan, h, heads, LAYER_SEES_ALL);
    return layer_linear(plan, h, &block->self_out, x);
}

static struct value plan_cross_attention(struct plan *plan,
                                         const struct transformer *transformer,
                                         const struct transformer_block *block,
                                         struct value x, struct value context)
{
    const struct value h = layer_norm(plan, x, &block->norm2);
    const struct value key_value =
        layer_linear(plan, context, &block->key_value, VALUE_NONE);
    const struct attention_options options = {
        .q = layer_linear(plan, h, &block->query, VALUE_NONE),
        .k = key_value,
        .v = key_value,
        .v_column = transformer->channels,
        .heads = transformer->heads,
        .head_dim = transformer->head_dim,
        .scale = 1.0F / sqrtf((float)transformer->head_dim),
    };
    return layer_linear(plan, plan_attention(plan, &options), &block->cross_out, x);
}

static struct value plan_feed_forward(struct plan *plan,
                                      const struct transformer_block *block,
                                      struct value x)
{
    struct value h = layer_norm(plan, x, &block->norm3);
    h = plan_geglu(plan, layer_linear(plan, h, &block->expand, VALUE_NONE));
    return layer_linear(plan, h, &block->contract, x);
}

struct value transformer_plan(struct plan *plan, const struct transformer *transformer,
                              struct value x, struct value context)
{
    struct value h = layer_group_norm(plan, x, &transformer->norm,
                                      TRANSFORMER_NORM_EPSILON, ACTIVATION_NONE);
    h = layer_linear(plan, h, &transformer->proj_in, VALUE_NONE);
    for (int32_t i = 0; i < transformer->depth; ++i) {
        const struct transformer_block *const block = &transformer->blocks[i];
        h = plan_self_attention(plan, block, transformer->heads, h);
        h = plan_cross_attention(plan, transformer, block, h, context);
        h = plan_feed_forward(plan, block, h);
    }
    return layer_linear(plan, h, &transformer->proj_out, x);
}
