#include "weights/adapter_names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ---- */

/* Longer ones first where one begins another. */
static const struct network {
    const char *prefix;
    enum component_role role;
} networks[] = {
    {"lora_unet_",             ROLE_UNET },
    {"lora_te1_",              ROLE_TEXT },
    {"lora_te2_",              ROLE_TEXT2},
    {"lora_te_",               ROLE_TEXT },
    {"lycoris_",               ROLE_UNET },
    {"unet.",                  ROLE_UNET },
    {"model.diffusion_model.", ROLE_UNET },
    {"diffusion_model.",       ROLE_UNET },
    {"text_encoder_2.",        ROLE_TEXT2},
    {"text_encoder.",          ROLE_TEXT },
    {"clip_l.transformer.",    ROLE_TEXT },
    {"clip_g.transformer.",    ROLE_TEXT2},
    {"clip_l.",                ROLE_TEXT },
    {"clip_g.",                ROLE_TEXT2},
    {"te1.",                   ROLE_TEXT },
    {"te2.",                   ROLE_TEXT2},
};

/* '*' stands for an adapter's name without dots, as PEFT puts it in, or for nothing. */
static const struct ending {
    const char *text;
    enum adapter_part part;
} endings[] = {
    {".lora_up.weight",                ADAPTER_UP        },
    {".lora_down.weight",              ADAPTER_DOWN      },
    {".lora_mid.weight",               ADAPTER_MID       },
    {".lora_B*.weight",                ADAPTER_UP        },
    {".lora_A*.weight",                ADAPTER_DOWN      },
    {".lora.up.weight",                ADAPTER_UP        },
    {".lora.down.weight",              ADAPTER_DOWN      },
    {"_lora.up.weight",                ADAPTER_UP        },
    {"_lora.down.weight",              ADAPTER_DOWN      },
    {".lora_linear_layer.up.weight",   ADAPTER_UP        },
    {".lora_linear_layer.down.weight", ADAPTER_DOWN      },
    {".alpha",                         ADAPTER_ALPHA     },
    {".hada_w1_a",                     ADAPTER_HADA_W1_A },
    {".hada_w1_b",                     ADAPTER_HADA_W1_B },
    {".hada_w2_a",                     ADAPTER_HADA_W2_A },
    {".hada_w2_b",                     ADAPTER_HADA_W2_B },
    {".hada_t1",                       ADAPTER_HADA_T1   },
    {".hada_t2",                       ADAPTER_HADA_T2   },
    {".lokr_w1",                       ADAPTER_LOKR_W1   },
    {".lokr_w1_a",                     ADAPTER_LOKR_W1_A },
    {".lokr_w1_b",                     ADAPTER_LOKR_W1_B },
    {".lokr_w2",                       ADAPTER_LOKR_W2   },
    {".lokr_w2_a",                     ADAPTER_LOKR_W2_A },
    {".lokr_w2_b",                     ADAPTER_LOKR_W2_B },
    {".lokr_t2",                       ADAPTER_LOKR_T2   },
    {".diff",                          ADAPTER_DIFF      },
    {".diff_b",                        ADAPTER_DIFF_B    },
    {".w_norm",                        ADAPTER_NORM_W    },
    {".b_norm",                        ADAPTER_NORM_B    },
    {".dora_scale",                    ADAPTER_DORA_SCALE},
    {".lora_magnitude_vector",         ADAPTER_MAGNITUDE },
    {".lora_magnitude_vector*.weight", ADAPTER_MAGNITUDE },
};

static const struct method {
    const char *ending, *name;
} methods[] = {
    {".oft_blocks",        "OFT"                                 },
    {".oft_diag",          "OFT"                                 },
    {".oft_R*.weight",     "OFT"                                 },
    {".oft_r*",            "OFT"                                 },
    {".boft_R*",           "BOFT"                                },
    {".boft_s*",           "BOFT"                                },
    {".on_input",          "(IA)^3"                              },
    {".ia3_l*",            "(IA)^3"                              },
    {".a1.weight",         "GLoRA"                               },
    {".a2.weight",         "GLoRA"                               },
    {".b1.weight",         "GLoRA"                               },
    {".b2.weight",         "GLoRA"                               },
    {".lokr_t1",           "LoKr with a core of its first factor"},
    {".lora_B*.bias",      "LoRA with a bias"                    },
    {".lora_up.bias",      "LoRA with a bias"                    },
    {".lora_embedding_A*", "LoRA of embeddings"                  },
    {".lora_embedding_B*", "LoRA of embeddings"                  },
    {".set_weight",        "replaced weights"                    },
    {".reshape_weight",    "reshaped weights"                    },
    {".vera_lambda_b*",    "VeRA"                                },
    {".vera_lambda_d*",    "VeRA"                                },
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *adapter_part_name(enum adapter_part part)
{
    for (size_t i = 0; i < COUNT(endings); ++i)
        if (endings[i].part == part) return endings[i].text + 1;
    return "";
}

/* ---- reading a name ---- */

/* The bytes of name before its ending; 0 where it does not end so. */
static size_t before_ending(const char *name, size_t bytes, const char *ending)
{
    const char *const star = strchr(ending, '*');
    const size_t head = star ? (size_t)(star - ending) : strlen(ending);
    const char *const tail = star ? star + 1 : "";
    const size_t tail_bytes = strlen(tail);
    if (bytes < head + tail_bytes) return 0;
    if (tail_bytes > 0 && strcmp(name + bytes - tail_bytes, tail) != 0) return 0;
    const size_t end = bytes - tail_bytes;
    if (!star) return strcmp(name + end - head, ending) == 0 ? end - head : 0;
    if (strncmp(name + end - head, ending, head) == 0) return end - head;
    for (size_t i = end; i-- > 0 && name[i] != '/';) /* ".default" */
        if (name[i] == '.')
            return i >= head && end > i + 1 &&
                           strncmp(name + i - head, ending, head) == 0
                       ? i - head
                       : 0;
    return 0;
}

static const char *without_wrappers(const char *name)
{
    static const char *const wrappers[] = {"module.", "_orig_mod.",
                                           "base_model.model."};
    for (size_t i = 0; i < COUNT(wrappers);) {
        const size_t bytes = strlen(wrappers[i]);
        if (strncmp(name, wrappers[i], bytes) == 0) {
            name += bytes;
            i = 0;
        } else {
            ++i;
        }
    }
    return name;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* A UNet's module without a prefix, as PEFT and LyCORIS leave it. */
static bool is_bare_unet(const char *name)
{
    static const char *const starts[] = {
        "down_blocks",  "up_blocks",     "mid_block", "input_blocks",
        "middle_block", "output_blocks", "conv_in",   "conv_out",
        "time_embed",   "add_embedding", "label_emb", "out."};
    for (size_t i = 0; i < COUNT(starts); ++i)
        if (begins(name, starts[i])) return true;
    return false;
}

static void drop(char *text, const char *what)
{
    char *const at = strstr(text, what);
    if (at) memmove(at, at + strlen(what), strlen(at + strlen(what)) + 1);
}

/* The module of the text encoder that LyCORIS names like a UNet's. */
static void tidy(struct adapter_name *out)
{
    char *const module = out->module;
    const size_t bytes = strlen(module);
    for (char *at = module; *at; ++at)
        if (*at == '.') *at = '_';
    drop(module, "_processor");
    if (begins(module, "text_model_")) {
        if (out->role == ROLE_UNET) out->role = ROLE_TEXT;
        memmove(module, module + 11, bytes - 11 + 1);
    }
    const size_t left = strlen(module);
    if (left > 7 && strcmp(module + left - 7, "_to_out") == 0 &&
        left + 2 < ADAPTER_MODULE_BYTES)
        memcpy(module + left, "_0", 3);
}

enum adapter_name_kind adapter_name_read(const char *name, struct adapter_name *out,
                                         const char **method)
{
    const char *rest = without_wrappers(name);
    bool has_network = false;
    *out = (struct adapter_name){.role = ROLE_UNET};
    *method = NULL;
    for (size_t i = 0; i < COUNT(networks) && !has_network; ++i)
        if (begins(rest, networks[i].prefix)) {
            rest += strlen(networks[i].prefix);
            out->role = networks[i].role;
            has_network = true;
        }
    const size_t bytes = strlen(rest);
    for (size_t i = 0; i < COUNT(methods); ++i)
        if (before_ending(rest, bytes, methods[i].ending) > 0) {
            *method = methods[i].name;
            return ADAPTER_NAME_REFUSED;
        }
    size_t module = 0;
    for (size_t i = 0; i < COUNT(endings) && module == 0; ++i) {
        module = before_ending(rest, bytes, endings[i].text);
        out->part = endings[i].part;
    }
    if (module == 0 || module >= ADAPTER_MODULE_BYTES ||
        (!has_network && !is_bare_unet(rest)))
        return ADAPTER_NAME_UNKNOWN;
    memcpy(out->module, rest, module);
    out->module[module] = '\0';
    tidy(out);
    return ADAPTER_NAME_KNOWN;
}

/* ---- spellings of a module ---- */

static void flatten(const char *text, char out[static ADAPTER_MODULE_BYTES])
{
    size_t i = 0;
    for (; text[i] && i + 1 < ADAPTER_MODULE_BYTES; ++i)
        out[i] = text[i] == '.' ? '_' : text[i];
    out[i] = '\0';
}

/* The inside of a resnet. */
static const char *resnet_part(const char *inside)
{
    static const char *const parts[][2] = {
        {"in_layers.0",     "norm1"        },
        {"in_layers.2",     "conv1"        },
        {"emb_layers.1",    "time_emb_proj"},
        {"out_layers.0",    "norm2"        },
        {"out_layers.3",    "conv2"        },
        {"skip_connection", "conv_shortcut"},
    };
    for (size_t i = 0; i < COUNT(parts); ++i)
        if (strcmp(inside, parts[i][0]) == 0) return parts[i][1];
    return NULL;
}

/* "N.M.rest": both numbers, and the rest. */
static bool read_block(const char *text, int32_t *block, int32_t *inner,
                       const char **rest)
{
    char *end = NULL;
    const long first = strtol(text, &end, 10);
    if (end == text || *end != '.' || first < 0 || first > 99) return false;
    const char *const second = end + 1;
    const long number = strtol(second, &end, 10);
    if (end == second || *end != '.' || number < 0 || number > 9) return false;
    *block = (int32_t)first;
    *inner = (int32_t)number;
    *rest = end + 1;
    return true;
}

__attribute__((format(printf, 2, 3))) static void put(char *out, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out, ADAPTER_MODULE_BYTES, format, arguments);
    va_end(arguments);
}

static void unet_down(const char *text, int32_t level_blocks, char *out)
{
    int32_t block = 0, inner = 0;
    const char *rest = NULL;
    if (!read_block(text, &block, &inner, &rest)) return;
    if (block == 0) {
        put(out, "conv_in");
        return;
    }
    const int32_t level = (block - 1) / level_blocks, i = (block - 1) % level_blocks;
    const char *const part = resnet_part(rest);
    if (strcmp(rest, "op") == 0)
        put(out, "down_blocks.%d.downsamplers.0.conv", (int)level);
    else if (inner == 0 && part)
        put(out, "down_blocks.%d.resnets.%d.%s", (int)level, (int)i, part);
    else if (inner == 1)
        put(out, "down_blocks.%d.attentions.%d.%s", (int)level, (int)i, rest);
}

static void unet_up(const char *text, int32_t level_blocks, char *out)
{
    int32_t block = 0, inner = 0;
    const char *rest = NULL;
    if (!read_block(text, &block, &inner, &rest)) return;
    const int32_t level = block / level_blocks, i = block % level_blocks;
    const char *const part = resnet_part(rest);
    if (strcmp(rest, "conv") == 0)
        put(out, "up_blocks.%d.upsamplers.0.conv", (int)level);
    else if (inner == 0 && part)
        put(out, "up_blocks.%d.resnets.%d.%s", (int)level, (int)i, part);
    else if (inner == 1)
        put(out, "up_blocks.%d.attentions.%d.%s", (int)level, (int)i, rest);
}

static void unet_middle(const char *text, char *out)
{
    const char *const part = strlen(text) > 2 ? resnet_part(text + 2) : NULL;
    if (begins(text, "1."))
        put(out, "mid_block.attentions.0.%s", text + 2);
    else if (part)
        put(out, "mid_block.resnets.%d.%s", text[0] == '2', part);
}

static void unet_spelling(const char *module, int32_t level_blocks, char *out)
{
    static const char *const others[][2] = {
        {"time_embed.0",  "time_embedding.linear_1"},
        {"time_embed.2",  "time_embedding.linear_2"},
        {"label_emb.0.0", "add_embedding.linear_1" },
        {"label_emb.0.2", "add_embedding.linear_2" },
        {"out.0",         "conv_norm_out"          },
        {"out.2",         "conv_out"               },
    };
    if (strcmp(module, "input_blocks.0.0") == 0)
        put(out, "conv_in");
    else if (begins(module, "input_blocks."))
        unet_down(module + 13, level_blocks, out);
    else if (begins(module, "output_blocks."))
        unet_up(module + 14, level_blocks, out);
    else if (begins(module, "middle_block."))
        unet_middle(module + 13, out);
    for (size_t i = 0; i < COUNT(others); ++i)
        if (strcmp(module, others[i][0]) == 0) put(out, "%s", others[i][1]);
}

static void open_clip_spelling(const char *module, char *out)
{
    static const char *const parts[][2] = {
        {"ln_1",          "layer_norm1"       },
        {"ln_2",          "layer_norm2"       },
        {"mlp.c_fc",      "mlp.fc1"           },
        {"mlp.c_proj",    "mlp.fc2"           },
        {"attn.out_proj", "self_attn.out_proj"},
    };
    if (strcmp(module, "ln_final") == 0) put(out, "final_layer_norm");
    if (!begins(module, "transformer.resblocks.")) return;
    char *end = NULL;
    const long layer = strtol(module + 22, &end, 10);
    for (size_t i = 0; i < COUNT(parts) && *end == '.'; ++i)
        if (strcmp(end + 1, parts[i][0]) == 0)
            put(out, "encoder.layers.%ld.%s", layer, parts[i][1]);
}

void adapter_spellings(enum component_role role, const char *module,
                       int32_t level_blocks, struct adapter_spellings *out)
{
    char other[ADAPTER_MODULE_BYTES] = "";
    *out = (struct adapter_spellings){{""}};
    flatten(module, out->modules[0]);
    if (role == ROLE_UNET && level_blocks > 0)
        unet_spelling(module, level_blocks, other);
    if (role == ROLE_TEXT2) open_clip_spelling(module, other);
    flatten(other, out->modules[1]);
}

bool adapter_stacked_spelling(const char *module, int32_t part,
                              char out[static ADAPTER_MODULE_BYTES])
{
    static const char *const names[] = {"q", "k", "v"};
    if (!begins(module, "transformer.resblocks.")) return false;
    char *end = NULL;
    char text[ADAPTER_MODULE_BYTES];
    const long layer = strtol(module + 22, &end, 10);
    if (strcmp(end, ".attn.in_proj") != 0) return false;
    put(text, "encoder.layers.%ld.self_attn.%s_proj", layer, names[part]);
    flatten(text, out);
    return true;
}

/* The first downsampler closes the first level; without one there is a single level. */
int32_t adapter_level_blocks(const struct component_index *unet)
{
    int32_t least = 0, most = 0;
    for (size_t i = 0; i < unet->count; ++i) {
        int32_t block = 0, inner = 0;
        const char *rest = NULL;
        if (!begins(unet->tensors[i].name, "input_blocks.") ||
            !read_block(unet->tensors[i].name + 13, &block, &inner, &rest))
            continue;
        if (block > most) most = block;
        if (begins(rest, "op.") && (least == 0 || block < least)) least = block;
    }
    return least > 0 ? least : most + 1;
}
