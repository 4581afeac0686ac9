#include "model/resnet.h"

#include "model/outline.h"

const struct resnet_names resnet_unet_names = {
    .norm1 = "in_layers.0",
    .conv1 = "in_layers.2",
    .time = "emb_layers.1",
    .norm2 = "out_layers.0",
    .conv2 = "out_layers.3",
    .shortcut = "skip_connection",
    .epsilon = RESNET_UNET_EPSILON,
};

const struct resnet_names resnet_vae_names = {
    .norm1 = "norm1",
    .conv1 = "conv1",
    .norm2 = "norm2",
    .conv2 = "conv2",
    .shortcut = "nin_shortcut",
    .epsilon = RESNET_VAE_EPSILON,
};

/* A sum of two widths of which either may be unknown. */
static int32_t width_sum(int32_t a, int32_t b)
{
    return a < 0 || b < 0 ? -1 : a + b;
}

/* The 1x1 kernel over concat(x, second), as one operand for the columns of each. */
static void need_split_shortcut(struct component_spec *spec, struct resnet *resnet,
                                const struct resnet_width *width, const char *path)
{
    struct operand_request part = {
        .kind = WEIGHT_LINEAR,
        .in = width->in,
        .out = resnet->out,
        .kernel_height = 1,
        .kernel_width = 1,
        .column_slice = true,
    };
    resnet->shortcut.weight = component_need(spec, &part, "%s.weight", path);
    if (!resnet->shortcut.weight) return; /* named once */
    part.in = width->second;
    part.first_column = width->in;
    resnet->shortcut_second = component_need(spec, &part, "%s.weight", path);
}

static void need_shortcut(struct component_spec *spec, struct resnet *resnet,
                          const struct resnet_width *width, const char *path)
{
    const int32_t in = width_sum(width->in, width->second);
    /* Only a tensor as wide as both is split; any other is named with its whole shape. */
    const bool split = width->second > 0 && in > 0 && resnet->out > 0 &&
                       outline_dim(spec->index, 1, "%s.weight", path) == in;
    if (!split) {
        resnet->shortcut = layer_need(spec, LAYER_LINEAR(in, resnet->out), "%s", path);
        return;
    }
    need_split_shortcut(spec, resnet, width, path);
    const struct operand_request bias = {.kind = WEIGHT_VECTOR,
                                         .in = 1,
                                         .out = resnet->out};
    resnet->shortcut.bias = component_need(spec, &bias, "%s.bias", path);
}

struct resnet resnet_need(struct component_spec *spec, const struct resnet_names *names,
                          const struct resnet_width *width, const char *path)
{
    const int32_t in = width_sum(width->in, width->second);
    struct resnet resnet = {.epsilon = names->epsilon};
    resnet.norm1 = layer_need(spec, LAYER_NORM(in), "%s.%s", path, names->norm1);
    resnet.conv1 = layer_need(spec, LAYER_CONV(in, -1), "%s.%s", path, names->conv1);
    resnet.out = layer_out(&resnet.conv1);
    if (resnet.out < 0) /* conv1 is missing: conv2 has the same width */
        resnet.out = outline_dim(spec->index, 0, "%s.%s.weight", path, names->conv2);
    if (names->time)
        resnet.time = layer_need(spec, LAYER_LINEAR(width->time, resnet.out), "%s.%s",
                                 path, names->time);
    resnet.norm2 =
        layer_need(spec, LAYER_NORM(resnet.out), "%s.%s", path, names->norm2);
    resnet.conv2 = layer_need(spec, LAYER_CONV(resnet.out, resnet.out), "%s.%s", path,
                              names->conv2);
    /* If a width is not known, the missing tensor is recorded already. */
    const struct outline_path shortcut = outline_path("%s.%s", path, names->shortcut);
    const bool known = in > 0 && resnet.out > 0;
    if (known ? in != resnet.out || width->second > 0
              : outline_has(spec->index, "%s.", shortcut.text))
        need_shortcut(spec, &resnet, width, shortcut.text);
    return resnet;
}

static struct value plan_shortcut(struct plan *plan, const struct resnet *resnet,
                                  const struct resnet_values *values)
{
    if (!resnet->shortcut.weight) return values->x;
    const struct value first =
        layer_linear(plan, values->x, &resnet->shortcut, VALUE_NONE);
    if (!resnet->shortcut_second) return first;
    const struct layer second = {.weight = resnet->shortcut_second};
    return layer_linear(plan, values->second, &second, first);
}

struct value resnet_plan(struct plan *plan, const struct resnet *resnet,
                         const struct resnet_values *values)
{
    const struct group_norm_options norm1 = {
        .scale = resnet->norm1.weight,
        .bias = resnet->norm1.bias,
        .groups = LAYER_GROUPS,
        .epsilon = resnet->epsilon,
        .silu = true,
        .second = values->second,
    };
    struct group_norm_options norm2 = {
        .scale = resnet->norm2.weight,
        .bias = resnet->norm2.bias,
        .groups = LAYER_GROUPS,
        .epsilon = resnet->epsilon,
        .silu = true,
    };
    if (resnet->time.weight)
        norm2.shift =
            layer_linear_f32(plan, values->time, &resnet->time, ACTIVATION_NONE);

    /* The shortcut first: then x, wider where two maps meet, is free after norm1. */
    const struct value shortcut = plan_shortcut(plan, resnet, values);
    struct value h = plan_group_norm(plan, values->x, &norm1);
    h = layer_conv(plan, h, &resnet->conv1, VALUE_NONE);
    h = plan_group_norm(plan, h, &norm2);
    return layer_conv(plan, h, &resnet->conv2, shortcut);
}
