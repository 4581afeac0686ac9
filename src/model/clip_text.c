#include "model/clip_text.h"

#include <string.h>

#include "model/layer.h"
#include "model/outline.h"
#include "model/tokenizer.h"

enum {
    TEXT_HEAD_DIM = 64
}; /* of every CLIP text encoder that Stable Diffusion uses */

struct clip_text_layer {
    struct layer norm1, qkv, out, norm2, expand, contract;
};

/* One network in two spellings. */
struct clip_text_names {
    const char *tokens, *positions, *layers, *norm, *projection;
    const char *norm1, *out, *norm2, *expand, *contract; /* below a layer */
    const char *qkv[3];  /* below a layer's attention, to be stacked; or ... */
    const char *stacked; /* ... stacked already: with _weight and _bias */
    const char *attention;
    const char *heads, *activation_key; /* metadata */
    enum activation activation;         /* where that says nothing */
};

static const struct clip_text_names hugging_face = {
    .tokens = "embeddings.token_embedding.weight",
    .positions = "embeddings.position_embedding.weight",
    .layers = "encoder.layers.",
    .norm = "final_layer_norm",
    .norm1 = "layer_norm1",
    .attention = "self_attn",
    .qkv = {"q_proj", "k_proj", "v_proj"},
    .out = "self_attn.out_proj",
    .norm2 = "layer_norm2",
    .expand = "mlp.fc1",
    .contract = "mlp.fc2",
    .heads = "darkroom.text.heads",
    .activation_key = "darkroom.text.activation",
    .activation = ACTIVATION_QUICK_GELU,
};

static const struct clip_text_names open_clip = {
    .tokens = "token_embedding.weight",
    .positions = "positional_embedding",
    .layers = "transformer.resblocks.",
    .norm = "ln_final",
    .projection = "text_projection",
    .norm1 = "ln_1",
    .attention = "attn",
    .stacked = "in_proj",
    .out = "attn.out_proj",
    .norm2 = "ln_2",
    .expand = "mlp.c_fc",
    .contract = "mlp.c_proj",
    .heads = "darkroom.text2.heads",
    .activation_key = "darkroom.text2.activation",
    .activation = ACTIVATION_GELU,
};

struct clip_text_spec {
    struct pool pool;
    struct component_spec component;
    struct clip_text_info info;
    const struct clip_text_names *names;
    enum activation activation;
    enum family family;
    const struct weight *tokens, *positions; /* tables */
    const struct weight *projection;         /* NULL: none */
    struct clip_text_layer *layers;
    struct layer norm;
};

const struct component_spec *clip_text_component(const struct clip_text_spec *spec)
{
    return &spec->component;
}

struct clip_text_info clip_text_info(const struct clip_text_spec *spec)
{
    return spec->info;
}

/* ---- spec ----------------------------------------------------------------------------- */

/* Queries, keys and values in one product; the file may have stacked them already. */
static struct layer need_qkv(struct component_spec *spec,
                             const struct clip_text_names *names, int32_t width,
                             const char *layer_path)
{
    const struct outline_path path =
        outline_path("%s.%s", layer_path, names->attention);
    if (!names->stacked)
        return layer_need_stack(
            spec, LAYER_LINEAR(width, width),
            &(struct layer_stack){
                path.text, {names->qkv[0], names->qkv[1], names->qkv[2]},
                 false
        });
    const int32_t rows = width < 0 ? -1 : 3 * width;
    const struct operand_request weight = {.kind = WEIGHT_LINEAR,
                                           .out = rows,
                                           .in = width};
    const struct operand_request bias = {.kind = WEIGHT_VECTOR, .out = rows, .in = 1};
    return (struct layer){
        .weight =
            component_need(spec, &weight, "%s.%s_weight", path.text, names->stacked),
        .bias = component_need(spec, &bias, "%s.%s_bias", path.text, names->stacked),
    };
}

static struct clip_text_layer need_layer(struct component_spec *spec,
                                         const struct clip_text_names *names,
                                         int32_t width, int32_t layer_idx)
{
    const struct outline_path layer_path =
        outline_path("%s%d", names->layers, layer_idx);
    const char *const path = layer_path.text;
    struct clip_text_layer layer = {0};
    layer.norm1 = layer_need(spec, LAYER_NORM(width), "%s.%s", path, names->norm1);
    layer.qkv = need_qkv(spec, names, width, path);
    layer.out = layer_need(spec, LAYER_LINEAR(width, width), "%s.%s", path, names->out);
    layer.norm2 = layer_need(spec, LAYER_NORM(width), "%s.%s", path, names->norm2);
    layer.expand =
        layer_need(spec, LAYER_LINEAR(width, -1), "%s.%s", path, names->expand);
    layer.contract = layer_need(spec, LAYER_LINEAR(layer_out(&layer.expand), width),
                                "%s.%s", path, names->contract);
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
    const struct clip_text_names *const names = text->names;
    text->tokens = need_table(spec, -1, names->tokens);
    info->width = text->tokens ? text->tokens->in : -1;
    info->vocabulary = text->tokens ? text->tokens->out : -1;
    text->positions = need_table(spec, info->width, names->positions);
    info->positions = text->positions ? text->positions->out : -1;

    info->layers = outline_count(spec->index, "%s", names->layers);
    if (info->layers == 0) info->layers = 1; /* named as missing */
    text->layers = pool_alloc(spec->pool, (size_t)info->layers * sizeof *text->layers);
    if (!text->layers) return error_set(err, DR_NOMEM, "text encoder: no memory");
    for (int32_t i = 0; i < info->layers; ++i)
        text->layers[i] = need_layer(spec, names, info->width, i);
    info->mlp = layer_out(&text->layers[0].expand);
    text->norm = layer_need(spec, LAYER_NORM(info->width), "%s", names->norm);
    if (!names->projection) return DR_OK;
    const struct operand_request projection = {
        .kind = WEIGHT_LINEAR, .out = -1, .in = info->width, .transpose = true};
    text->projection = component_need(spec, &projection, "%s", names->projection);
    info->pooled = text->projection ? text->projection->out : -1;
    return DR_OK;
}

/* As transformers names them. Other names are refused before (meaning.h). */
static enum activation activation_of(const struct tensor_file *file,
                                     const struct clip_text_names *names)
{
    const char *const said = tensor_file_metadata(file, names->activation_key);
    if (said && strcmp(said, "quick_gelu") == 0) return ACTIVATION_QUICK_GELU;
    if (said && strcmp(said, "gelu") == 0) return ACTIVATION_GELU;
    return names->activation;
}

/* Set what the shapes do not determine, after all tensors were found. */
static enum dr_code settle(struct clip_text_spec *text, struct dr_error *err)
{
    struct clip_text_info *const info = &text->info;
    const struct tensor_file *const file = text->component.index->file;
    text->activation = activation_of(file, text->names);
    if (info->positions < TOKENIZER_POSITIONS)
        return error_set(err, DR_UNSUPPORTED,
                         "text encoder: it has %d positions, but prompts have %d "
                         "tokens",
                         info->positions, TOKENIZER_POSITIONS);
    info->heads = info->width / TEXT_HEAD_DIM;
    if (checkpoint_metadata_int(file, text->names->heads, &info->heads) ||
        info->width % TEXT_HEAD_DIM == 0) {
        if (info->width % info->heads == 0) return DR_OK;
    }
    return error_set(
        err, DR_UNSUPPORTED,
        "text encoder: a width of %d cannot be split into %d heads (set the number "
        "in the metadata %s; the default is heads of width %d)",
        info->width, info->heads, text->names->heads, TEXT_HEAD_DIM);
}

enum dr_code clip_text_spec_create(struct clip_text_spec **out,
                                   const struct component_index *index,
                                   enum family family, enum dtype dtype,
                                   struct dr_error *err)
{
    struct pool pool = {0};
    struct clip_text_spec *text = pool_alloc(&pool, sizeof *text);
    if (!text) return error_set(err, DR_NOMEM, "text encoder: no memory");
    text->pool = pool;
    text->family = family;
    text->names = index->role == ROLE_TEXT2 ? &open_clip : &hugging_face;

    component_spec_begin(&text->component, index, dtype, &text->pool);
    enum dr_code code = need_network(text, err);
    if (!code) code = component_spec_end(&text->component, err);
    if (!code) code = settle(text, err);
    if (code)
        clip_text_spec_destroy(&text);
    else
        *out = text;
    return code;
}

enum dr_code clip_text_spec_store(struct clip_text_spec *spec,
                                  enum component_storage storage, struct dr_error *err)
{
    return component_spec_store(&spec->component, storage, err);
}

void clip_text_spec_destroy(struct clip_text_spec **spec)
{
    if (!spec || !*spec) return;
    pool_finish(&(*spec)->pool); /* the spec itself is allocated in it */
    *spec = NULL;
}

/* ---- plan ----------------------------------------------------------------------------- */

static struct value plan_layer(struct plan *plan, const struct clip_text_spec *spec,
                               int32_t layer_idx, struct value x)
{
    const struct clip_text_layer *const layer = &spec->layers[layer_idx];
    struct value h = layer_norm(plan, x, &layer->norm1);
    h = layer_linear(plan, h, &layer->qkv, VALUE_NONE);
    h = layer_self_attention(plan, h, spec->info.heads, LAYER_SEES_BEFORE);
    x = layer_linear(plan, h, &layer->out, x);

    const struct linear_options expand = {
        .weight = layer->expand.weight,
        .bias = layer->expand.bias,
        .activation = spec->activation,
    };
    h = plan_linear(plan, layer_norm(plan, x, &layer->norm2), &expand);
    return layer_linear(plan, h, &layer->contract, x);
}

/* From token ids to the outputs. States leave where they arise: what is wanted of a middle
 * layer does not have to be kept until the end. */
static void plan_network(struct clip_text_plan *text, const struct clip_text_spec *spec,
                         const struct clip_text_shape *shape)
{
    const int32_t clip_skip = shape->clip_skip;
    struct plan *const plan = text->plan;
    const bool before_last = spec->family == FAMILY_SDXL;
    const int32_t wanted = spec->info.layers - clip_skip + (before_last ? 0 : 1);
    const int32_t count = spec->projection ? spec->info.layers : wanted;
    struct value x = plan_embed(plan, text->ids,
                                &(struct embed_options){.table = spec->tokens,
                                                        .position = spec->positions,
                                                        .vectors = shape->vectors});
    if (before_last && wanted == 0) text->context = plan_output(plan, x, DTYPE_F32);
    for (int32_t i = 0; i < count; ++i) {
        x = plan_layer(plan, spec, i, x);
        if (before_last && i + 1 == wanted)
            text->context = plan_output(plan, x, DTYPE_F32);
    }
    if (before_last && !spec->projection) return;
    x = layer_norm(plan, x, &spec->norm);
    if (!before_last) text->context = plan_output(plan, x, DTYPE_F32);
    if (!spec->projection) return;
    const struct linear_options projection = {.weight = spec->projection,
                                              .dtype = DTYPE_F32,
                                              .dtype_set = true};
    text->projected = plan_output(plan, plan_linear(plan, x, &projection), DTYPE_F32);
}

enum dr_code clip_text_plan_create(struct clip_text_plan *out,
                                   const struct clip_text_spec *spec,
                                   const struct clip_text_shape *shape,
                                   struct dr_error *err)
{
    const int32_t clip_skip = shape->clip_skip;
    const struct clip_text_info *const info = &spec->info;
    if (clip_skip < 1 || clip_skip > info->layers)
        return error_set(
            err, DR_BAD_INPUT,
            "clip skip %d: this text encoder has %d layers; give 1 (the last) to %d",
            clip_skip, info->layers, info->layers);
    const struct plan_options options = {
        .name = "text encoder",
        .dtype = spec->component.dtype,
        .profile = shape->profile,
        .deltas = shape->deltas,
    };
    struct clip_text_plan text = {0};
    enum dr_code code = plan_create(&text.plan, &options, err);
    if (code) return code;

    text.ids =
        plan_input(text.plan, (struct shape){shape->n, 1, TOKENIZER_POSITIONS, 1},
                   DTYPE_I32);
    plan_network(&text, spec, shape);

    code = plan_seal(text.plan, err);
    if (code)
        plan_destroy(&text.plan);
    else
        *out = text;
    return code;
}

void clip_text_read_pooled(const struct clip_text_plan *plan, int32_t n_idx,
                           int32_t eos_idx, float *pooled)
{
    const struct shape shape = plan_shape(plan->plan, plan->projected);
    const size_t row = (size_t)n_idx * (size_t)shape.w + (size_t)eos_idx;
    const size_t width = (size_t)shape.c;
    plan_read(plan->plan, plan->projected, row * width, width, pooled);
}

void clip_text_plan_destroy(struct clip_text_plan *plan)
{
    if (!plan) return;
    plan_destroy(&plan->plan);
    *plan = (struct clip_text_plan){0};
}
