#include "check.h"

#include "weights/key_layout.h"

static void check_names(enum key_layout layout, bool expected,
                        const char *const names[])
{
    for (const char *const *name = names; *name; ++name)
        if (key_layout_has(layout, *name) != expected)
            check_fail_at("layout %d, name %s: not %d", (int)layout, *name,
                          (int)expected);
}

#define YES(layout, ...) \
    check_names(layout, true, (const char *const[]){__VA_ARGS__, NULL})
#define NO(layout, ...) \
    check_names(layout, false, (const char *const[]){__VA_ARGS__, NULL})

static void knows_the_unet(void)
{
    YES(KEYS_UNET, "time_embed.0.weight", "time_embed.2.bias", "label_emb.0.0.weight",
        "input_blocks.0.0.weight", "input_blocks.3.0.op.bias",
        "input_blocks.1.0.in_layers.0.bias", "input_blocks.11.0.skip_connection.weight",
        "input_blocks.1.1.proj_in.weight",
        "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "middle_block.1.transformer_blocks.9.attn2.to_out.0.bias",
        "middle_block.2.out_layers.3.weight", "output_blocks.2.1.conv.weight",
        "output_blocks.5.2.conv.bias",
        "output_blocks.11.1.transformer_blocks.0.ff.net.0.proj.bias", "out.0.weight",
        "out.2.bias");
    NO(KEYS_UNET, "", "time_embed", "time_embed.0", "time_embed.0.weight.x",
       "time_embed.1.weight", "input_blocks.x.0.op.bias", "input_blocks..0.op.bias",
       "input_blocks.00.0.op.bias", "input_blocks.12345.0.op.bias",
       "input_blocks.1.1.transformer_blocks.0.attn1.to_q.bias",
       "input_blocks.1.0.weight", "middle_block.1.op.weight", "output_blocks.2.1.conv",
       "out.0.running_mean",
       "input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_down.weight",
       "diffusion_model.out.0.weight");
}

static void knows_the_vae(void)
{
    YES(KEYS_VAE, "quant_conv.weight", "post_quant_conv.bias", "encoder.conv_in.weight",
        "encoder.down.3.block.1.norm1.bias", "encoder.down.0.downsample.conv.weight",
        "encoder.mid.attn_1.proj_out.weight", "encoder.mid.block_2.conv2.weight",
        "decoder.up.3.upsample.conv.bias", "decoder.up.0.block.2.nin_shortcut.weight",
        "decoder.mid.attn_1.norm.weight", "decoder.norm_out.bias",
        "decoder.conv_out.weight");
    NO(KEYS_VAE, "encoder.down.0.upsample.conv.weight",
       "decoder.down.0.block.0.conv1.weight", "decoder.mid.attn_2.q.weight",
       "decoder.mid.block_1.conv3.weight", "decoder.mid_block.resnets.0.conv1.weight",
       "loss.logvar", "encoder.conv_in.weight_g", "Encoder.conv_in.weight",
       "encoder.layers.0.mlp.fc1.weight");
}

static void knows_text_encoders(void)
{
    YES(KEYS_CLIP, "embeddings.token_embedding.weight",
        "embeddings.position_embedding.weight",
        "encoder.layers.0.self_attn.q_proj.weight", "encoder.layers.31.mlp.fc2.bias",
        "final_layer_norm.bias");
    NO(KEYS_CLIP, "embeddings.position_ids", "embeddings.token_embedding.bias",
       "text_model.final_layer_norm.bias", "encoder.layers.0.self_attn.q_proj",
       "text_projection.weight");
    YES(KEYS_OPEN_CLIP, "token_embedding.weight", "positional_embedding",
        "text_projection", "ln_final.weight",
        "transformer.resblocks.0.attn.in_proj_weight",
        "transformer.resblocks.31.attn.in_proj_bias",
        "transformer.resblocks.3.mlp.c_fc.bias",
        "transformer.resblocks.3.attn.out_proj.weight",
        "transformer.resblocks.3.ln_1.weight");
    NO(KEYS_OPEN_CLIP, "logit_scale", "positional_embedding.weight", "visual.proj",
       "transformer.resblocks.0.attn.in_proj.weight",
       "transformer.resblocks.0.ln_3.weight");
}

int main(void)
{
    check_run(knows_the_unet);
    check_run(knows_the_vae);
    check_run(knows_text_encoders);
    return check_done();
}
