#include "model/clip_text.h"

#include "model/layer.h"
#include "model/outline.h"
#include "model/tokenizer.h"

enum {
    TEXT_HEAD_DIM = 64
}; /* of every CLIP text encoder that Stable Diffusion uses */

struct clip_text_layer {
    struct layer norm1, qkv, out, norm2, expand, contract;
};

struct clip_text_spec {
    struct pool pool;
    struct component_spec component;
    struct clip_text_info info;
    const struct weight *tokens, *positions; /* tables */
    struct clip_text_layer *layers;
    struct layer norm;
};

/* ---- spec ----------------------------------------------------------------------------- */

static struct clip_text_layer need_layer(struct component_spec *spec, int32_t width,
                                         int32_t layer_idx)
{
    const struct outline_path layer_path = outline_path("encoder.layers.%d", layer_idx);
    const char *const path = layer_path.text;
    const struct outline_path attention = outline_path("%s.self_attn", path);
    struct clip_text_layer layer = {0};
    layer.norm1 = layer_need(spec, LAYER_NORM(width), "%s.layer_norm1", path);
    layer.qkv =
        layer_need_stack(spec, LAYER_LINEAR(width, width),
                         &(struct layer_stack){
                             attention.text, {"q_proj", "k_proj", "v_proj"},
                              false
    });
    layer.out =
        layer_need(spec, LAYER_LINEAR(width, width), "%s.self_attn.out_proj", path);
    layer.norm2 = layer_need(spec, LAYER_NORM(width), "%s.layer_norm2", path);
    layer.expand = layer_need(spec, LAYER_LINEAR(width, -1), "%s.mlp.fc1", path);
    layer.contract = layer_need(spec, LAYER_LINEAR(layer_out(&layer.expand), width),
                                "%s.mlp.fc2", path);
    return layer;
}

static const struct weight *need_table(struct component_spec *spec, int32_t width,
                                       const char *name)
{
    const struct operand_request table = {.kind = WEIGHT_TABLE, .out = -1, .in = width};
    return component_need(spec, &table, "%s", name);
}

static enum dr_code need_network(struct clip_text_spec *text, struct dr_error *err)
{
    struct component_spec *const spec = &text->component;
    struct clip_text_info *const info = &text->info;
    text->tokens = need_table(spec, -1, "embeddings.token_embedding.weight");
    info->width = text->tokens ? text->tokens->in : -1;
    info->vocabulary = text->tokens ? text->tokens->out : -1;
    text->positions =
        need_table(spec, info->width, "embeddings.position_embedding.weight");
    info->positions = text->positions ? text->positions->out : -1;

    info->layers = outline_count(spec->index, "encoder.layers.");
    if (info->layers == 0) info->layers = 1; /* named as missing */
    text->layers = pool_alloc(spec->pool, (size_t)info->layers * sizeof *text->layers);
    if (!text->layers) return error_set(err, DR_NOMEM, "text encoder: no memory");
    for (int32_t i = 0; i < info->layers; ++i)
        text->layers[i] = need_layer(spec, info->width, i);
    info->mlp = layer_out(&text->layers[0].expand);
    text->norm = layer_need(spec, LAYER_NORM(info->width), "final_layer_norm");
    return DR_OK;
}

/* What the shapes alone leave open, once all tensors are there. */
static enum dr_code settle(struct clip_text_info *info, const struct tensor_file *file,
                           struct dr_error *err)
{
    if (info->positions < TOKENIZER_POSITIONS)
        return error_set(err, DR_UNSUPPORTED,
                         "text encoder: %d positions; prompts have %d tokens",
                         info->positions, TOKENIZER_POSITIONS);
    info->heads = info->width / TEXT_HEAD_DIM;
    if (checkpoint_metadata_int(file, "darkroom.text.heads", &info->heads) ||
        info->width % TEXT_HEAD_DIM == 0) {
        if (info->width % info->heads == 0) return DR_OK;
    }
    return error_set(
        err, DR_UNSUPPORTED,
        "text encoder: a width of %d cannot be split into %d heads (metadata "
        "darkroom.text.heads says how many; the rule is heads of %d)",
        info->width, info->heads, TEXT_HEAD_DIM);
}

enum dr_code clip_text_spec_create(struct clip_text_spec **out,
                                   const struct component_index *index,
                                   enum dtype dtype, struct dr_error *err)
{
    struct pool pool = {0};
    struct clip_text_spec *text = pool_alloc(&pool, sizeof *text);
    if (!text) return error_set(err, DR_NOMEM, "text encoder: no memory");
    text->pool = pool;

    component_spec_begin(&text->component, index, dtype, &text->pool);
    enum dr_code code = need_network(text, err);
    if (!code) code = component_spec_end(&text->component, err);
    if (!code) code = settle(&text->info, index->file, err);
    if (code)
        clip_text_spec_destroy(&text);
    else
        *out = text;
    return code;
}

void clip_text_spec_destroy(struct clip_text_spec **spec)
{
    if (!spec || !*spec) return;
    struct pool pool = (*spec)->pool; /* the spec itself lies in it */
    pool_finish(&pool);
    *spec = NULL;
}

const struct component_spec *clip_text_component(const struct clip_text_spec *spec)
{
    return &spec->component;
}

struct clip_text_info clip_text_info(const struct clip_text_spec *spec)
{
    return spec->info;
}

/* ---- plan ----------------------------------------------------------------------------- */

static struct value plan_layer(struct plan *plan, const struct clip_text_layer *layer,
                               int32_t heads, struct value x)
{
    struct value h = layer_norm(plan, x, &layer->norm1);
    h = layer_linear(plan, h, &layer->qkv, VALUE_NONE);
    h = layer_self_attention(plan, h, heads, LAYER_SEES_BEFORE);
    x = layer_linear(plan, h, &layer->out, x);

    const struct linear_options expand = {
        .weight = layer->expand.weight,
        .bias = layer->expand.bias,
        .activation = ACTIVATION_QUICK_GELU,
    };
    h = plan_linear(plan, layer_norm(plan, x, &layer->norm2), &expand);
    return layer_linear(plan, h, &layer->contract, x);
}

enum dr_code clip_text_plan_create(struct clip_text_plan *out,
                                   const struct clip_text_spec *spec, int32_t n,
                                   int32_t clip_skip, struct dr_error *err)
{
    const struct clip_text_info *const info = &spec->info;
    if (clip_skip < 1 || clip_skip > info->layers)
        return error_set(
            err, DR_BAD_INPUT,
            "clip skip %d: this text encoder has %d layers, so 1 (none) to %d "
            "are possible",
            clip_skip, info->layers, info->layers);
    const struct plan_options options = {
        .name = "text encoder",
        .dtype = spec->component.dtype,
    };
    struct clip_text_plan text = {0};
    enum dr_code code = plan_create(&text.plan, &options, err);
    if (code) return code;

    text.ids =
        plan_input(text.plan, (struct shape){n, 1, TOKENIZER_POSITIONS, 1}, DTYPE_I32);
    struct value x = plan_embed(text.plan, text.ids, spec->tokens, spec->positions);
    for (int32_t i = 0; i < info->layers - clip_skip + 1; ++i)
        x = plan_layer(text.plan, &spec->layers[i], info->heads, x);
    x = layer_norm(text.plan, x, &spec->norm);
    text.context = plan_output(text.plan, x, DTYPE_F32);

    code = plan_seal(text.plan, err);
    if (code)
        plan_destroy(&text.plan);
    else
        *out = text;
    return code;
}

void clip_text_plan_destroy(struct clip_text_plan *plan)
{
    if (!plan) return;
    plan_destroy(&plan->plan);
    *plan = (struct clip_text_plan){0};
}
