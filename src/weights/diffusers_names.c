/* A rule is a pattern, in which each '#' is a number, and what it becomes, in which %1, %2 stand
 * for those numbers and other letters for what is made of them (see put). Rules are tried
 * in order against the start of a name; what follows the match is translated by the rule's tails,
 * or stays as it is. */
#include "weights/diffusers_names.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct rule {
    const char *from, *to;
    const struct rule *tails; /* NULL: the rest stays */
};

/* ---- within blocks ---- */

static const struct rule unet_resnet[] = {
    {".norm1.",         ".in_layers.0.",     NULL},
    {".conv1.",         ".in_layers.2.",     NULL},
    {".time_emb_proj.", ".emb_layers.1.",    NULL},
    {".norm2.",         ".out_layers.0.",    NULL},
    {".conv2.",         ".out_layers.3.",    NULL},
    {".conv_shortcut.", ".skip_connection.", NULL},
    {NULL,              NULL,                NULL},
};

static const struct rule vae_resnet[] = {
    {".norm",           ".norm",          NULL},
    {".conv_shortcut.", ".nin_shortcut.", NULL},
    {".conv",           ".conv",          NULL},
    {NULL,              NULL,             NULL},
};

/* The second name of each is that of older files. */
static const struct rule vae_attention[] = {
    {".group_norm.", ".norm.",     NULL},
    {".to_q.",       ".q.",        NULL},
    {".query.",      ".q.",        NULL},
    {".to_k.",       ".k.",        NULL},
    {".key.",        ".k.",        NULL},
    {".to_v.",       ".v.",        NULL},
    {".value.",      ".v.",        NULL},
    {".to_out.0.",   ".proj_out.", NULL},
    {".proj_attn.",  ".proj_out.", NULL},
    {NULL,           NULL,         NULL},
};

/* ---- networks ---- */

static const struct rule unet_rules[] = {
    {"conv_in.",                           "input_blocks.0.0.",         NULL       },
    {"time_embedding.linear_1.",           "time_embed.0.",             NULL       },
    {"time_embedding.linear_2.",           "time_embed.2.",             NULL       },
    {"add_embedding.linear_1.",            "label_emb.0.0.",            NULL       },
    {"add_embedding.linear_2.",            "label_emb.0.2.",            NULL       },
    {"conv_norm_out.",                     "out.0.",                    NULL       },
    {"conv_out.",                          "out.2.",                    NULL       },
    {"down_blocks.#.resnets.#",            "input_blocks.%d.0",         unet_resnet},
    {"down_blocks.#.attentions.#",         "input_blocks.%d.1",         NULL       },
    {"down_blocks.#.downsamplers.0.conv.", "input_blocks.%e.0.op.",     NULL       },
    {"mid_block.resnets.0",                "middle_block.0",            unet_resnet},
    {"mid_block.attentions.0",             "middle_block.1",            NULL       },
    {"mid_block.resnets.1",                "middle_block.2",            unet_resnet},
    {"up_blocks.#.resnets.#",              "output_blocks.%u.0",        unet_resnet},
    {"up_blocks.#.attentions.#",           "output_blocks.%u.1",        NULL       },
    {"up_blocks.#.upsamplers.0.conv.",     "output_blocks.%l.%a.conv.", NULL       },
    {NULL,                                 NULL,                        NULL       },
};

static const struct rule vae_rules[] = {
    {"quant_conv.",                           "quant_conv.",                 NULL         },
    {"post_quant_conv.",                      "post_quant_conv.",            NULL         },
    {"encoder.conv_in.",                      "encoder.conv_in.",            NULL         },
    {"encoder.conv_out.",                     "encoder.conv_out.",           NULL         },
    {"encoder.conv_norm_out.",                "encoder.norm_out.",           NULL         },
    {"encoder.down_blocks.#.resnets.#",       "encoder.down.%1.block.%2",    vae_resnet   },
    {"encoder.down_blocks.#.downsamplers.0.", "encoder.down.%1.downsample.", NULL         },
    {"encoder.mid_block.resnets.0",           "encoder.mid.block_1",         vae_resnet   },
    {"encoder.mid_block.resnets.1",           "encoder.mid.block_2",         vae_resnet   },
    {"encoder.mid_block.attentions.0",        "encoder.mid.attn_1",          vae_attention},
    {"decoder.conv_in.",                      "decoder.conv_in.",            NULL         },
    {"decoder.conv_out.",                     "decoder.conv_out.",           NULL         },
    {"decoder.conv_norm_out.",                "decoder.norm_out.",           NULL         },
    {"decoder.up_blocks.#.resnets.#",         "decoder.up.%r.block.%2",      vae_resnet   },
    {"decoder.up_blocks.#.upsamplers.0.",     "decoder.up.%r.upsample.",     NULL         },
    {"decoder.mid_block.resnets.0",           "decoder.mid.block_1",         vae_resnet   },
    {"decoder.mid_block.resnets.1",           "decoder.mid.block_2",         vae_resnet   },
    {"decoder.mid_block.attentions.0",        "decoder.mid.attn_1",          vae_attention},
    {NULL,                                    NULL,                          NULL         },
};

/* The OpenCLIP text encoder; stable-diffusion.cpp keeps its in_proj whole and its text_projection as
 * it is. %q, %k and %v stand for no text: the tensor is those rows of the
 * original one. %t: it is the original one transposed. */
static const struct rule open_clip_layer[] = {
    {".layer_norm1.",        ".ln_1.",           NULL},
    {".layer_norm2.",        ".ln_2.",           NULL},
    {".mlp.fc1.",            ".mlp.c_fc.",       NULL},
    {".mlp.fc2.",            ".mlp.c_proj.",     NULL},
    {".self_attn.q_proj.",   ".attn.in_proj_%q", NULL},
    {".self_attn.k_proj.",   ".attn.in_proj_%k", NULL},
    {".self_attn.v_proj.",   ".attn.in_proj_%v", NULL},
    {".self_attn.in_proj.",  ".attn.in_proj_",   NULL},
    {".self_attn.out_proj.", ".attn.out_proj.",  NULL},
    {NULL,                   NULL,               NULL},
};

static const struct rule open_clip_rules[] = {
    {"embeddings.token_embedding.weight",    "token_embedding.weight",   NULL           },
    {"embeddings.position_embedding.weight", "positional_embedding",     NULL           },
    {"final_layer_norm.",                    "ln_final.",                NULL           },
    {"text_projection.weight",               "text_projection%t",        NULL           },
    {"text_projection",                      "text_projection",          NULL           },
    {"encoder.layers.#",                     "transformer.resblocks.%1", open_clip_layer},
    {NULL,                                   NULL,                       NULL           },
};

/* ---- matching ---- */

/* The rest of name behind the pattern, or NULL; numbers of the pattern's '#'. */
static const char *match(const char *pattern, const char *name, int32_t numbers[2])
{
    for (size_t number_idx = 0; *pattern; ++pattern) {
        if (*pattern != '#') {
            if (*name++ != *pattern) return NULL;
            continue;
        }
        const size_t digits = strspn(name, "0123456789");
        if (digits < 1 || digits > 2 || (digits > 1 && *name == '0')) return NULL;
        int32_t number = 0;
        for (size_t i = 0; i < digits; ++i)
            number = 10 * number + (*name++ - '0');
        numbers[number_idx++] = number;
    }
    return name;
}

/* block: the first number, inner: the second. */
static int32_t number_of(const struct diffusers_shape *shape, char letter,
                         const int32_t numbers[2])
{
    const int32_t block = numbers[0], inner = numbers[1];
    const int32_t down =
        shape->down_resnets + 1; /* a level, its downsampler included */
    switch (letter) {
    case '1': return block;
    case '2': return inner;
    case 'r': return shape->up_count - 1 - block; /* from the other end */
    case 'd': return 1 + block * down + inner;    /* behind the first convolution */
    case 'e': return (block + 1) * down;          /* the downsampler closes a level */
    case 'u': return block * down + inner;
    case 'l': return (block + 1) * down - 1; /* with the level's last */
    case 'a': return shape->up_attentions >> block & 1 ? 2 : 1;
    default: return -1;
    }
}

/* A letter that says how the tensor is stored; false for one that is a number. */
static bool put_storage(struct diffusers_place *out, char letter)
{
    static const char parts[] = "qkv";
    const char *const part = strchr(parts, letter);
    if (letter == 't') {
        out->is_turned = true;
    } else if (part) {
        out->part = (int32_t)(part - parts);
        out->part_count = 3;
    }
    return part || letter == 't';
}

/* to, with its letters replaced, at the end of the name in out. */
static void put(const struct diffusers_shape *shape, const char *to,
                const int32_t numbers[2], struct diffusers_place *out)
{
    size_t used = strlen(out->name);
    for (; *to && used + 1 < DIFFUSERS_NAME_BYTES; ++to) {
        if (*to != '%') {
            out->name[used++] = *to;
            out->name[used] = '\0';
        } else if (!put_storage(out, *++to)) {
            const int32_t number = number_of(shape, *to, numbers);
            const int bytes =
                snprintf(out->name + used, DIFFUSERS_NAME_BYTES - used, "%d", number);
            used += (size_t)bytes;
        }
    }
}

static const struct rule *rules_of(enum key_layout layout)
{
    static const struct rule *const rules[] = {
        [KEYS_UNET] = unet_rules,
        [KEYS_VAE] = vae_rules,
        [KEYS_CLIP] = NULL,
        [KEYS_OPEN_CLIP] = open_clip_rules,
    };
    return rules[layout];
}

static const struct rule *find(const struct rule *rules, const char *name,
                               const char **rest, int32_t numbers[2])
{
    for (; rules && rules->from; ++rules) {
        *rest = match(rules->from, name, numbers);
        if (*rest) return rules;
    }
    return NULL;
}

void diffusers_shape_note(struct diffusers_shape *shape, enum key_layout layout,
                          const char *name)
{
    const char *const up = layout == KEYS_VAE ? "decoder.up_blocks.#." : "up_blocks.#.";
    int32_t numbers[2] = {0};
    const char *const rest = match(up, name, numbers);
    if (rest && numbers[0] < DIFFUSERS_LEVELS) {
        if (shape->up_count <= numbers[0]) shape->up_count = numbers[0] + 1;
        if (strncmp(rest, "attentions.", 11) == 0)
            shape->up_attentions |= 1U << numbers[0];
    }
    if (match("down_blocks.#.resnets.#.", name, numbers) &&
        shape->down_resnets <= numbers[1])
        shape->down_resnets = numbers[1] + 1;
}

bool diffusers_place(const struct diffusers_shape *shape, enum key_layout layout,
                     const char *name, struct diffusers_place *out)
{
    static const char text_model[] = "text_model."; /* some files leave it out */
    int32_t numbers[2] = {0};
    const char *rest;
    *out = (struct diffusers_place){.part_count = 1};
    if (strlen(name) > DIFFUSERS_NAME_BYTES / 2) return false;
    const bool is_text = layout == KEYS_OPEN_CLIP;
    if (is_text && strncmp(name, text_model, strlen(text_model)) == 0)
        name += strlen(text_model);
    if (!is_text && shape->up_count == 0) return false;
    const struct rule *const rule = find(rules_of(layout), name, &rest, numbers);
    if (!rule || (!is_text && numbers[0] >= DIFFUSERS_LEVELS)) return false;
    put(shape, rule->to, numbers, out);
    if (rule->tails) {
        const struct rule *const tail = find(rule->tails, rest, &rest, numbers);
        if (!tail) return false;
        put(shape, tail->to, numbers, out);
    }
    (void)strncat(out->name, rest, DIFFUSERS_NAME_BYTES - 1 - strlen(out->name));
    return true;
}
