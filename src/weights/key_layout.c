/* A pattern is literal but for '#', a decimal number of 1 to 4 digits, and a final '*', which
 * stands for ".weight" or ".bias". A name matches a rule when it is the rule's stem followed by
 * one of its tails. */
#include "weights/key_layout.h"

#include <stddef.h>
#include <string.h>

struct rule {
    const char *stem;
    const char *const *tails; /* NULL-terminated */
};

#define TAILS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

/* ---- UNet ---- */

#define UNET_RESNET                                                       \
    ".in_layers.0*", ".in_layers.2*", ".emb_layers.1*", ".out_layers.0*", \
        ".out_layers.3*", ".skip_connection*"
#define UNET_TRANSFORMER                                                           \
    ".norm*", ".proj_in*", ".proj_out*", ".transformer_blocks.#.norm1*",           \
        ".transformer_blocks.#.norm2*", ".transformer_blocks.#.norm3*",            \
        ".transformer_blocks.#.ff.net.0.proj*", ".transformer_blocks.#.ff.net.2*", \
        ".transformer_blocks.#.attn1.to_q.weight",                                 \
        ".transformer_blocks.#.attn1.to_k.weight",                                 \
        ".transformer_blocks.#.attn1.to_v.weight",                                 \
        ".transformer_blocks.#.attn1.to_out.0*",                                   \
        ".transformer_blocks.#.attn2.to_q.weight",                                 \
        ".transformer_blocks.#.attn2.to_k.weight",                                 \
        ".transformer_blocks.#.attn2.to_v.weight",                                 \
        ".transformer_blocks.#.attn2.to_out.0*"

static const struct rule unet_rules[] = {
    {"",                 TAILS("time_embed.0*", "time_embed.2*", "label_emb.0.0*", "label_emb.0.2*",
     "input_blocks.0.0*", "out.0*", "out.2*")},
    {"input_blocks.#.#",  TAILS(".op*",       UNET_RESNET, UNET_TRANSFORMER)},
    {"middle_block.#",          TAILS(UNET_RESNET,                      UNET_TRANSFORMER)},
    {"output_blocks.#.#", TAILS(".conv*",         UNET_RESNET, UNET_TRANSFORMER)},
    {NULL, NULL                     },
};

/* ---- VAE ---- */

#define VAE_RESNET ".norm1*", ".conv1*", ".norm2*", ".conv2*", ".nin_shortcut*"

static const struct rule vae_rules[] = {
    {"",                    TAILS("quant_conv*",                   "post_quant_conv*")},
    {"encoder",                     TAILS(".conv_in*",                                                  ".norm_out*", ".conv_out*")},
    {"encoder.mid.block_#",         TAILS(VAE_RESNET)},
    {"encoder.mid.attn_1", TAILS(".norm*",             ".q*", ".k*", ".v*", ".proj_out*")},
    {"encoder.down.#.block.#",  TAILS(VAE_RESNET)                        },
    {"encoder.down.#.downsample",                TAILS(".conv*")                                               },
    {"decoder",                     TAILS(".conv_in*",                                   ".norm_out*", ".conv_out*")},
    {"decoder.mid.block_#",                     TAILS(VAE_RESNET)       },
    {"decoder.mid.attn_1",                     TAILS(".norm*",   ".q*", ".k*", ".v*", ".proj_out*")},
    {"decoder.up.#.block.#",         TAILS(VAE_RESNET)},
    {"decoder.up.#.upsample", TAILS(".conv*")},
    {NULL,  NULL    },
};

/* ---- text encoders ---- */

static const struct rule clip_rules[] = {
    {"",                    TAILS("embeddings.token_embedding.weight",
     "embeddings.position_embedding.weight", "final_layer_norm*")},
    {"encoder.layers.#",
     TAILS(".layer_norm1*",                                          ".layer_norm2*", ".self_attn.q_proj*", ".self_attn.k_proj*",
     ".self_attn.v_proj*", ".self_attn.out_proj*", ".mlp.fc1*", ".mlp.fc2*")},
    {NULL, NULL},
};

static const struct rule open_clip_rules[] = {
    {"",                        TAILS("token_embedding.weight", "positional_embedding", "text_projection",
     "ln_final*")},
    {"transformer.resblocks.#",
     TAILS(".ln_1*",                                              ".ln_2*", ".attn.in_proj_weight", ".attn.in_proj_bias",
     ".attn.out_proj*", ".mlp.c_fc*", ".mlp.c_proj*")},
    {NULL, NULL                                           },
};

/* ---- matching ---- */

/* Match all of the pattern at the start of name; the rest of name, or NULL. */
static const char *match(const char *pattern, const char *name)
{
    for (; *pattern; ++pattern) {
        if (*pattern == '*')
            return strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0
                       ? name + strlen(name)
                       : NULL;
        if (*pattern != '#') {
            if (*name++ != *pattern) return NULL;
            continue;
        }
        const size_t digits = strspn(name, "0123456789");
        if (digits < 1 || digits > 4 || (digits > 1 && *name == '0')) return NULL;
        name += digits;
    }
    return name;
}

static bool match_rules(const struct rule *rules, const char *name)
{
    for (const struct rule *rule = rules; rule->stem; ++rule) {
        const char *const rest = match(rule->stem, name);
        if (!rest) continue;
        for (const char *const *tail = rule->tails; *tail; ++tail) {
            const char *const end = match(*tail, rest);
            if (end && !*end) return true;
        }
    }
    return false;
}

bool key_layout_has(enum key_layout layout, const char *name)
{
    static const struct rule *const rules[] = {
        [KEYS_UNET] = unet_rules,
        [KEYS_VAE] = vae_rules,
        [KEYS_CLIP] = clip_rules,
        [KEYS_OPEN_CLIP] = open_clip_rules,
    };
    return match_rules(rules[layout], name);
}
