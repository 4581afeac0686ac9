#include "weights/adapter_shape.h"

#include <stdio.h>

const char *adapter_kind_name(enum adapter_kind kind)
{
    static const char *const names[] = {
        [ADAPTER_LORA] = "LoRA", [ADAPTER_LOHA] = "LoHa",
        [ADAPTER_LOKR] = "LoKr", [ADAPTER_DIFFERENCE] = "difference",
        [ADAPTER_NORM] = "norm", [ADAPTER_KIND_COUNT] = "none",
    };
    return names[kind];
}

static enum dr_code lacks(const struct adapter_layer *layer, enum adapter_part there,
                          enum adapter_part missing, struct dr_error *err)
{
    return error_set(err, DR_CORRUPT, "layer %.160s has %s but no %s", layer->module,
                     adapter_part_name(there), adapter_part_name(missing));
}

/* Both or neither. */
static enum dr_code check_pair(const struct adapter_layer *layer, enum adapter_part a,
                               enum adapter_part b, struct dr_error *err)
{
    if (!layer->parts[a] == !layer->parts[b]) return DR_OK;
    return layer->parts[a] ? lacks(layer, a, b, err) : lacks(layer, b, a, err);
}

static enum dr_code clash(const struct adapter_layer *layer, enum adapter_part a,
                          enum adapter_part b, struct dr_error *err)
{
    char first[TENSOR_SHAPE_TEXT], second[TENSOR_SHAPE_TEXT];
    return error_set(err, DR_CORRUPT, "layer %.160s: %s %s does not go with %s %s",
                     layer->module, adapter_part_name(a),
                     tensor_shape_text(layer->parts[a], first), adapter_part_name(b),
                     tensor_shape_text(layer->parts[b], second));
}

static int64_t dim(const struct tensor *tensor, int32_t i)
{
    return i < tensor->rank ? tensor->dims[i] : 1;
}

static bool has_numbers(const struct tensor *tensor)
{
    for (int32_t i = 0; i < tensor->rank; ++i)
        if (tensor->dims[i] < 1 || tensor->dims[i] > INT32_MAX / 4) return false;
    return tensor->rank <= 4 && dtype_is_float(tensor->dtype);
}

static enum dr_code check_numbers(const struct adapter_layer *layer,
                                  struct dr_error *err)
{
    for (int part = 0; part < ADAPTER_PART_COUNT; ++part) {
        const struct tensor *const tensor = layer->parts[part];
        char shape[TENSOR_SHAPE_TEXT];
        if (!tensor || part == ADAPTER_ALPHA || has_numbers(tensor)) continue;
        return error_set(err,
                         dtype_is_float(tensor->dtype) ? DR_BAD_INPUT : DR_UNSUPPORTED,
                         "tensor %.200s is %s %s, which is no matrix of an adapter",
                         tensor->name, dtype_name(tensor->dtype),
                         tensor_shape_text(tensor, shape));
    }
    return DR_OK;
}

/* up x core x down; turned: both are [r, ...]. */
static enum dr_code check_term(struct adapter_layer *layer, enum adapter_part up,
                               enum adapter_part core, enum adapter_part down,
                               bool turned, struct dr_error *err)
{
    const struct tensor *const a = layer->parts[up], *const b = layer->parts[down];
    const struct tensor *const mid = layer->parts[core];
    enum dr_code code = check_pair(layer, up, down, err);
    if (code || !a) return code;
    if (a->rank < 2 || b->rank < 2) return clash(layer, up, down, err);
    const int64_t rank = dim(a, turned ? 0 : 1);
    const bool is_flat = (dim(a, 2) == 1 && dim(a, 3) == 1) || a->rank == 2;
    if (!is_flat) return clash(layer, up, down, err);
    if (!mid && dim(b, 0) != rank) return clash(layer, up, down, err);
    if (mid && (mid->rank != 4 || dim(mid, 0) != rank))
        return clash(layer, up, core, err);
    if (mid && dim(mid, 1) != dim(b, 0)) return clash(layer, core, down, err);
    layer->rank = (int32_t)dim(b, 0);
    return DR_OK;
}

static bool has(const struct adapter_layer *layer, enum adapter_part part)
{
    return layer->parts[part] != NULL;
}

static enum dr_code check_hada(struct adapter_layer *layer, struct dr_error *err)
{
    enum dr_code code = check_pair(layer, ADAPTER_HADA_W1_A, ADAPTER_HADA_W2_A, err);
    if (!code) code = check_pair(layer, ADAPTER_HADA_T1, ADAPTER_HADA_T2, err);
    const bool core = has(layer, ADAPTER_HADA_T1);
    if (!code)
        code = check_term(layer, ADAPTER_HADA_W2_A, ADAPTER_HADA_T2, ADAPTER_HADA_W2_B,
                          core, err);
    if (!code)
        code = check_term(layer, ADAPTER_HADA_W1_A, ADAPTER_HADA_T1, ADAPTER_HADA_W1_B,
                          core, err);
    return code;
}

/* A factor, whole or in two parts. rank: that of its parts. */
static enum dr_code check_factor(struct adapter_layer *layer, enum adapter_part whole,
                                 enum adapter_part up, enum adapter_part core,
                                 enum adapter_part down, struct dr_error *err)
{
    if (!has(layer, whole) && !has(layer, up) && !has(layer, down))
        return lacks(layer,
                     whole == ADAPTER_LOKR_W1 ? ADAPTER_LOKR_W2 : ADAPTER_LOKR_W1,
                     whole, err);
    if (has(layer, whole) && (has(layer, up) || has(layer, down)))
        return clash(layer, whole, has(layer, up) ? up : down, err);
    if (has(layer, whole) && layer->parts[whole]->rank < 2)
        return error_set(err, DR_CORRUPT, "layer %.160s: its %s is no matrix",
                         layer->module, adapter_part_name(whole));
    return check_term(layer, up, core, down, has(layer, core), err);
}

static enum dr_code check_lokr(struct adapter_layer *layer, struct dr_error *err)
{
    /* No core of the first factor: a name that no file has. */
    enum dr_code code = check_factor(layer, ADAPTER_LOKR_W2, ADAPTER_LOKR_W2_A,
                                     ADAPTER_LOKR_T2, ADAPTER_LOKR_W2_B, err);
    const int32_t rank = layer->rank;
    if (!code)
        code = check_factor(layer, ADAPTER_LOKR_W1, ADAPTER_LOKR_W1_A, ADAPTER_MID,
                            ADAPTER_LOKR_W1_B, err);
    if (!code && !has(layer, ADAPTER_LOKR_W1_B)) layer->rank = rank;
    return code;
}

enum dr_code adapter_layer_check(struct adapter_layer *layer, struct dr_error *err)
{
    const enum dr_code code = check_numbers(layer, err);
    if (code) return code;
    const bool hada = has(layer, ADAPTER_HADA_W1_A) || has(layer, ADAPTER_HADA_W2_A);
    const bool lokr = has(layer, ADAPTER_LOKR_W1) || has(layer, ADAPTER_LOKR_W1_A) ||
                      has(layer, ADAPTER_LOKR_W2) || has(layer, ADAPTER_LOKR_W2_A);
    const bool lora = has(layer, ADAPTER_UP) || has(layer, ADAPTER_DOWN);
    const bool difference = has(layer, ADAPTER_DIFF) || has(layer, ADAPTER_DIFF_B);
    const bool norm = has(layer, ADAPTER_NORM_W) || has(layer, ADAPTER_NORM_B);
    if (hada + lokr + lora + has(layer, ADAPTER_DIFF) + norm > 1)
        return error_set(err, DR_CORRUPT, "layer %.160s is changed in two ways at once",
                         layer->module);
    if (lora) {
        layer->kind = ADAPTER_LORA;
        return check_term(layer, ADAPTER_UP, ADAPTER_MID, ADAPTER_DOWN, false, err);
    }
    if (hada) {
        layer->kind = ADAPTER_LOHA;
        return check_hada(layer, err);
    }
    if (lokr) {
        layer->kind = ADAPTER_LOKR;
        return check_lokr(layer, err);
    }
    layer->kind = norm ? ADAPTER_NORM : ADAPTER_DIFFERENCE;
    if (norm || difference) return DR_OK;
    return error_set(err, DR_CORRUPT, "layer %.160s has nothing that changes it",
                     layer->module);
}
