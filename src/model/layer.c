#include "model/layer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "model/outline.h"

static struct operand_request weight_request(const struct layer_shape *shape)
{
    const int32_t kernel = shape->kind == WEIGHT_CONV ? 3 : 1;
    return (struct operand_request){
        .kind = shape->kind,
        .in = shape->in,
        .out = shape->out,
        .kernel_height = kernel,
        .kernel_width = kernel,
        .dtype = DTYPE_F32,
        .dtype_set = shape->exact,
    };
}

static struct operand_request bias_request(int32_t channels)
{
    return (struct operand_request){.kind = WEIGHT_VECTOR, .in = 1, .out = channels};
}

struct layer layer_need(struct component_spec *spec, const struct layer_shape *shape,
                        const char *path, ...)
{
    char full[OUTLINE_MAX_NAME_BYTES];
    va_list arguments;
    va_start(arguments, path);
    vsnprintf(full, sizeof full, path, arguments);
    va_end(arguments);

    const struct operand_request weight = weight_request(shape);
    struct layer layer = {0};
    layer.weight = component_need(spec, &weight, "%s.weight", full);

    const struct operand_request bias =
        bias_request(layer.weight ? layer.weight->out : shape->out);
    layer.bias = component_need(spec, &bias, "%s.bias", full);
    return layer;
}

static const struct weight *need_stacked(struct component_spec *spec,
                                         const struct operand_request *request,
                                         const struct layer_stack *stack,
                                         const char *suffix)
{
    struct outline_path paths[3];
    const char *names[4] = {0};
    for (size_t i = 0; i < 3 && stack->names[i]; ++i) {
        paths[i] = outline_path("%s.%s.%s", stack->path, stack->names[i], suffix);
        names[i] = paths[i].text;
    }
    return component_need_stack(spec, request, names);
}

struct layer layer_need_stack(struct component_spec *spec,
                              const struct layer_shape *shape,
                              const struct layer_stack *stack)
{
    const int32_t count = !stack->names[1] ? 1 : !stack->names[2] ? 2 : 3;
    const int32_t rows = shape->out < 0 ? -1 : shape->out * count;
    struct operand_request weight = weight_request(shape);
    weight.out = rows;
    const struct operand_request bias = bias_request(rows);
    return (struct layer){
        .weight = need_stacked(spec, &weight, stack, "weight"),
        .bias = stack->without_bias ? NULL : need_stacked(spec, &bias, stack, "bias"),
    };
}

int32_t layer_out(const struct layer *layer)
{
    return layer->weight ? layer->weight->out : -1;
}

int32_t layer_in(const struct layer *layer)
{
    return layer->weight ? layer->weight->in : -1;
}

/* 3x3, padded so that stride 1 keeps the size. */
static struct conv_options same_size(const struct layer *layer)
{
    return (struct conv_options){
        .weight = layer->weight,
        .bias = layer->bias,
        .pad_top = 1,
        .pad_left = 1,
        .pad_bottom = 1,
        .pad_right = 1,
    };
}

struct value layer_conv(struct plan *plan, struct value x, const struct layer *layer,
                        struct value residual)
{
    struct conv_options options = same_size(layer);
    options.residual = residual;
    return plan_conv(plan, x, &options);
}

struct value layer_conv_f32(struct plan *plan, struct value x,
                            const struct layer *layer)
{
    struct conv_options options = same_size(layer);
    options.dtype = DTYPE_F32;
    options.dtype_set = true;
    return plan_conv(plan, x, &options);
}

struct value layer_upsample(struct plan *plan, struct value x,
                            const struct layer *layer, int32_t height, int32_t width)
{
    struct conv_options options = same_size(layer);
    options.upsample = true;
    options.upsample_height = height;
    options.upsample_width = width;
    return plan_conv(plan, x, &options);
}

struct value layer_linear(struct plan *plan, struct value x, const struct layer *layer,
                          struct value residual)
{
    const struct linear_options options = {
        .weight = layer->weight,
        .bias = layer->bias,
        .residual = residual,
    };
    return plan_linear(plan, x, &options);
}

struct value layer_linear_f32(struct plan *plan, struct value x,
                              const struct layer *layer, enum activation activation)
{
    const struct linear_options options = {
        .weight = layer->weight,
        .bias = layer->bias,
        .activation = activation,
        .dtype = DTYPE_F32,
        .dtype_set = true,
    };
    return plan_linear(plan, x, &options);
}

struct value layer_norm(struct plan *plan, struct value x, const struct layer *layer)
{
    const struct layer_norm_options options = {
        .scale = layer->weight,
        .bias = layer->bias,
        .epsilon = LAYER_NORM_EPSILON,
    };
    return plan_layer_norm(plan, x, &options);
}

struct value layer_group_norm(struct plan *plan, struct value x,
                              const struct layer *layer, float epsilon,
                              enum activation activation)
{
    const struct group_norm_options options = {
        .scale = layer->weight,
        .bias = layer->bias,
        .groups = LAYER_GROUPS,
        .epsilon = epsilon,
        .silu = activation == ACTIVATION_SILU,
    };
    return plan_group_norm(plan, x, &options);
}

struct value layer_self_attention(struct plan *plan, struct value qkv, int32_t heads,
                                  enum layer_mask mask)
{
    const int32_t channels = plan_shape(plan, qkv).c / 3;
    const int32_t head_dim = channels / heads;
    const struct attention_options options = {
        .q = qkv,
        .k = qkv,
        .v = qkv,
        .k_column = channels,
        .v_column = 2 * channels,
        .heads = heads,
        .head_dim = head_dim,
        .scale = 1.0F / sqrtf((float)head_dim),
        .causal = mask == LAYER_SEES_BEFORE,
    };
    return plan_attention(plan, &options);
}

struct value layer_convert(struct plan *plan, struct value x, enum dtype dtype)
{
    if (plan_dtype(plan, x) == dtype) return x;
    return plan_activate(plan, x, ACTIVATION_NONE, dtype);
}
