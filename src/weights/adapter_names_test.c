#include "weights/adapter_names.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "weights/diffusers_names.h"

static void read_as(const char *name, enum component_role role, const char *module,
                    enum adapter_part part)
{
    struct adapter_name is;
    const char *method = NULL;
    if (adapter_name_read(name, &is, &method) != ADAPTER_NAME_KNOWN)
        check_fail_at("%s is not understood", name);
    check_int(is.role, ==, role);
    check_str(is.module, module);
    check_int(is.part, ==, part);
}

static void reads_every_spelling(void)
{
    read_as("lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight", ROLE_UNET,
            "down_blocks_0_attentions_0_proj_in", ADAPTER_UP);
    read_as("lora_unet_input_blocks_4_1_proj_in.lora_mid.weight", ROLE_UNET,
            "input_blocks_4_1_proj_in", ADAPTER_MID);
    read_as("unet.up_blocks.1.attentions.2.proj_out.lora_A.weight", ROLE_UNET,
            "up_blocks_1_attentions_2_proj_out", ADAPTER_DOWN);
    read_as("base_model.model.unet.conv_in.lora_B.default.weight", ROLE_UNET, "conv_in",
            ADAPTER_UP);
    read_as("base_model.model.down_blocks.0.resnets.0.conv1.lora_A.weight", ROLE_UNET,
            "down_blocks_0_resnets_0_conv1", ADAPTER_DOWN);
    read_as(
        "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora"
        ".up.weight",
        ROLE_UNET, "mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0",
        ADAPTER_UP);
    read_as(
        "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0.lora.down.weight",
        ROLE_UNET, "mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0",
        ADAPTER_DOWN);
    read_as("lora_te_text_model_encoder_layers_3_mlp_fc1.hada_w1_a", ROLE_TEXT,
            "encoder_layers_3_mlp_fc1", ADAPTER_HADA_W1_A);
    read_as("lora_te1_text_model_encoder_layers_3_mlp_fc1.alpha", ROLE_TEXT,
            "encoder_layers_3_mlp_fc1", ADAPTER_ALPHA);
    read_as("lora_te2_text_model_encoder_layers_3_self_attn_q_proj.lokr_w2_b",
            ROLE_TEXT2, "encoder_layers_3_self_attn_q_proj", ADAPTER_LOKR_W2_B);
    read_as("text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight",
            ROLE_TEXT2, "encoder_layers_0_self_attn_q_proj", ADAPTER_DOWN);
    read_as(
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer"
        ".up.weight",
        ROLE_TEXT, "encoder_layers_0_self_attn_q_proj", ADAPTER_UP);
    read_as("lora_unet_conv_in.dora_scale", ROLE_UNET, "conv_in", ADAPTER_DORA_SCALE);
    read_as("unet.conv_in.lora_magnitude_vector", ROLE_UNET, "conv_in",
            ADAPTER_MAGNITUDE);
    read_as("unet.conv_in.lora_magnitude_vector.default.weight", ROLE_UNET, "conv_in",
            ADAPTER_MAGNITUDE);
    read_as("lora_unet_out_0.w_norm", ROLE_UNET, "out_0", ADAPTER_NORM_W);
}

static void tells_the_rest(void)
{
    struct adapter_name is;
    const char *method = NULL;
    const char *const unknown[] = {"",
                                   ".",
                                   "alpha",
                                   "lora_unet_",
                                   "lora_unet_conv_in",
                                   "lora_unet_.alpha",
                                   "model.diffusion_model.out.2.weight",
                                   "text_projection.lora_up.weight",
                                   "transformer.blocks.0.lora_A.weight"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; ++i)
        if (adapter_name_read(unknown[i], &is, &method) != ADAPTER_NAME_UNKNOWN)
            check_fail_at("'%s' is understood", unknown[i]);
    check_int(adapter_name_read("lora_unet_conv_in.oft_blocks", &is, &method), ==,
              ADAPTER_NAME_REFUSED);
    check_str(method, "OFT");
    check_int(adapter_name_read("lora_unet_conv_in.on_input", &is, &method), ==,
              ADAPTER_NAME_REFUSED);
    check_str(method, "(IA)^3");
    check_int(adapter_name_read("unet.conv_in.lora_B.default.bias", &is, &method), ==,
              ADAPTER_NAME_REFUSED);
}

/* Each module of a UNet is called what diffusers calls it: its own translation leads back. */
static void spellings_lead_back(void)
{
    static const char *const modules[] = {
        "input_blocks.0.0",
        "input_blocks.1.0.in_layers.2",
        "input_blocks.2.1.proj_in",
        "input_blocks.3.0.op",
        "input_blocks.4.0.skip_connection",
        "input_blocks.8.1.transformer_blocks.0.attn2.to_k",
        "input_blocks.11.0.out_layers.0",
        "middle_block.0.in_layers.0",
        "middle_block.1.norm",
        "middle_block.2.emb_layers.1",
        "output_blocks.2.1.conv",
        "output_blocks.5.2.conv",
        "output_blocks.11.1.proj_out",
        "output_blocks.0.0.out_layers.3",
        "time_embed.0",
        "out.0",
        "out.2",
        "label_emb.0.2"};
    struct diffusers_shape shape = {.up_count = 4,
                                    .down_resnets = 2,
                                    .up_attentions = 14};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; ++i) {
        struct adapter_spellings spelled;
        adapter_spellings(ROLE_UNET, modules[i], 3, &spelled);
        check(spelled.modules[1][0] != '\0');
        /* The names of diffusers that could be flattened to this: try each dot. */
        char name[ADAPTER_MODULE_BYTES + 8];
        (void)snprintf(name, sizeof name, "%s", spelled.modules[1]);
        static const char *const words[] = {
            "down_blocks",   "up_blocks",      "mid_block",          "conv_in",
            "conv_out",      "time_emb_proj",  "conv_shortcut",      "conv_norm_out",
            "add_embedding", "time_embedding", "linear_1",           "linear_2",
            "proj_in",       "proj_out",       "transformer_blocks", "to_k"};
        for (char *at = name; *at; ++at) {
            size_t inside = 0;
            for (size_t w = 0; w < sizeof words / sizeof *words; ++w)
                if (strncmp(at, words[w], strlen(words[w])) == 0 &&
                    strlen(words[w]) > inside)
                    inside = strlen(words[w]);
            if (inside > 0)
                at += inside - 1;
            else if (*at == '_')
                *at = '.';
        }
        (void)strcat(name, ".weight");
        struct diffusers_place place;
        check(diffusers_place(&shape, KEYS_UNET, name, &place));
        char canonical[ADAPTER_MODULE_BYTES + 8];
        (void)snprintf(canonical, sizeof canonical, "%s.weight", modules[i]);
        check_str(place.name, canonical);
    }
}

static void text_encoders_have_theirs(void)
{
    struct adapter_spellings spelled;
    char part[ADAPTER_MODULE_BYTES];
    adapter_spellings(ROLE_TEXT, "encoder.layers.3.mlp.fc1", 0, &spelled);
    check_str(spelled.modules[0], "encoder_layers_3_mlp_fc1");
    adapter_spellings(ROLE_TEXT2, "transformer.resblocks.11.mlp.c_fc", 0, &spelled);
    check_str(spelled.modules[1], "encoder_layers_11_mlp_fc1");
    check(adapter_stacked_spelling("transformer.resblocks.7.attn.in_proj", 2, part));
    check_str(part, "encoder_layers_7_self_attn_v_proj");
    check(!adapter_stacked_spelling("transformer.resblocks.7.attn.out_proj", 2, part));
}

int main(void)
{
    check_run(reads_every_spelling);
    check_run(tells_the_rest);
    check_run(spellings_lead_back);
    check_run(text_encoders_have_theirs);
    return check_done();
}
