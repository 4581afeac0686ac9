#include "weights/quantisation.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "weights/checkpoint.h"

/* What stands beside a weight NAME.weight, without "NAME.", the more particular ones first. */
static const struct {
    const char *beside, *what;
} kinds[] = {
    {"weight.quant_state.bitsandbytes__nf4", "4 bits (NF4 of bitsandbytes)"        },
    {"weight.quant_state.bitsandbytes__fp4", "4 bits (FP4 of bitsandbytes)"        },
    {"weight.absmax",                        "4 bits (bitsandbytes)"               },
    {"SCB",                                  "8 bits (int8 of bitsandbytes)"       },
    {"weight.SCB",                           "8 bits (int8 of bitsandbytes)"       },
    {"weight_scale_2",                       "4 bits (NVFP4)"                      },
    {"weight_scale_inv",                     "float8 in blocks with one scale each"},
};

static bool is_there(const struct tensor_file *file, const char *stem,
                     size_t stem_bytes, const char *beside)
{
    char name[TENSOR_MAX_NAME_BYTES + 64];
    const int bytes =
        snprintf(name, sizeof name, "%.*s%s", (int)stem_bytes, stem, beside);
    return bytes > 0 && (size_t)bytes < sizeof name && tensor_file_find(file, name);
}

const char *quantisation_of(const struct tensor_file *file, const char *weight)
{
    const struct tensor *const tensor = tensor_file_find(file, weight);
    const size_t bytes = strlen(weight), tail_bytes = strlen("weight");
    if (bytes < tail_bytes || strcmp(weight + bytes - tail_bytes, "weight") != 0)
        return NULL;
    const size_t stem_bytes = bytes - tail_bytes;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (is_there(file, weight, stem_bytes, kinds[i].beside)) return kinds[i].what;
    if (!tensor || dtype_is_float(tensor->dtype)) return NULL;
    const bool has_scale = is_there(file, weight, stem_bytes, "weight_scale") ||
                           is_there(file, weight, stem_bytes, "scale_weight");
    const char *const form =
        tensor->dtype == DTYPE_I8 ? quantisation_of_int8(file, weight) : NULL;
    if (form) return form;
    if (tensor->dtype == DTYPE_I8)
        return has_scale ? "8 bits (int8 with a scale)" : "8 bits (int8)";
    if (tensor->dtype == DTYPE_U8)
        return has_scale ? "packed bits in blocks with one scale each (MXFP8, MXFP4)"
                         : "packed bits";
    return "integers";
}

/* "format": "int8_tensorwise", and nothing that is true or large beside it but what says how scales lie. */
static const char *read_form(const char *text, size_t bytes)
{
    json_t *const root = json_loadb(text, bytes, 0, NULL);
    const char *const format = json_string_value(json_object_get(root, "format"));
    const char *form = NULL;
    if (!format || strncmp(format, "int8_", 5) != 0 ||
        (strcmp(format, "int8_tensorwise") != 0 && strcmp(format, "int8_rowwise") != 0))
        form = "8 bits (int8 in a form that is not known)";
    else if (json_is_true(json_object_get(root, "convrot")))
        form = "8 bits (int8 of a rotated matrix)";
    json_decref(root);
    return form;
}

const char *quantisation_of_int8(const struct tensor_file *file, const char *weight)
{
    enum {
        MOST_BYTES = 1024
    };
    char name[TENSOR_MAX_NAME_BYTES + 64], text[MOST_BYTES];
    const size_t tail_bytes = strlen("weight"), bytes = strlen(weight);
    if (bytes < tail_bytes) return NULL;
    (void)snprintf(name, sizeof name, "%.*scomfy_quant", (int)(bytes - tail_bytes),
                   weight);
    const struct tensor *const said = tensor_file_find(file, name);
    if (!said) return NULL;
    if (said->bytes > MOST_BYTES ||
        tensor_file_read(file, said, 0, text, (size_t)said->bytes, NULL) != DR_OK)
        return "8 bits (int8 in a form that is not known)";
    return read_form(text, (size_t)said->bytes);
}

bool quantisation_is_scaled_int8(const struct tensor_file *file,
                                 const struct component_tensor *entry)
{
    const struct tensor *const tensor = entry->tensor;
    bool is_plain = tensor->dtype == DTYPE_I8 && entry->scale_count > 0;
    for (int32_t i = 0; is_plain && i < entry->scale_count; ++i) {
        const char *const name = tensor->parts ? tensor->parts[i]->name : tensor->name;
        is_plain = entry->scales[i] && !quantisation_of_int8(file, name);
    }
    return is_plain;
}

const char *quantisation_in_place(const struct tensor_file *file, const char **how)
{
    static const struct {
        const char *tail, *beside, *how; /* beside: another tail of the same module */
    } forms[] = {
        {".qweight",       ".wscales", "SVDQuant"          },
        {".qweight",       NULL,       "GPTQ or AWQ"       },
        {".weight._data",  NULL,       "optimum-quanto"    },
        {".W_q",           NULL,       "HQQ"               },
        {".weight_packed", NULL,       "compressed-tensors"},
    };
    for (size_t i = 0; i < file->tensor_count; ++i)
        for (size_t k = 0; k < sizeof forms / sizeof forms[0]; ++k) {
            const char *const name = file->tensors[i].name;
            const size_t bytes = strlen(name), tail = strlen(forms[k].tail);
            if (bytes <= tail || strcmp(name + bytes - tail, forms[k].tail) != 0)
                continue;
            if (forms[k].beside && !is_there(file, name, bytes - tail, forms[k].beside))
                continue;
            *how = forms[k].how;
            return name;
        }
    return NULL;
}
