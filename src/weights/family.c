#include "weights/family.h"

#include <stdio.h>
#include <string.h>

#include "weights/checkpoint.h"

const char *family_name(enum family family)
{
    static const char *const names[] = {
        [FAMILY_UNKNOWN] = "unknown",
        [FAMILY_SD15] = "sd15",
        [FAMILY_SD2] = "sd2",
        [FAMILY_SDXL] = "sdxl",
        [FAMILY_SDXL_REFINER] = "sdxl-refiner",
        [FAMILY_VAE] = "vae",
    };
    return names[family];
}

/* Does a tensor's canonical name begin so? */
static bool has(const struct component_index *index, const char *start)
{
    for (size_t i = 0; i < index->count; ++i)
        if (strncmp(index->tensors[i].name, start, strlen(start)) == 0) return true;
    return false;
}

/* The added embedding is SDXL's (the refiner has it too, and the second text encoder alone);
 * matrices as projections are SD2's. */
enum family family_of_unet(const struct checkpoint *checkpoint)
{
    const struct component_index *const components = checkpoint->components;
    const struct component_index *const unet = &components[ROLE_UNET];
    if (component_find(unet, "label_emb.0.0.weight"))
        return components[ROLE_TEXT2].count > 0 && components[ROLE_TEXT].count == 0
                   ? FAMILY_SDXL_REFINER
                   : FAMILY_SDXL;
    for (size_t i = 0; i < unet->count; ++i) {
        const char *const end = strstr(unet->tensors[i].name, ".proj_in.weight");
        if (end) return unet->tensors[i].tensor->rank == 2 ? FAMILY_SD2 : FAMILY_SD15;
    }
    return FAMILY_SD15;
}

/* The deepest transformer of an input block, by its names. */
static int deepest(const struct component_index *unet)
{
    char start[64];
    int depth = 0;
    for (int block = 1; block < 16; ++block)
        for (int i = depth; i < 16; ++i) {
            (void)snprintf(start, sizeof start,
                           "input_blocks.%d.1.transformer_blocks.%d.", block, i);
            if (has(unet, start)) depth = i + 1;
        }
    return depth;
}

/* Distilled UNets leave blocks out: of the middle all, or all but one resnet. What else they
 * leave out (one resnet a level in BK-SDM Base, small-sd and KOALA-1B) is a smaller network of
 * the same layout, and runs. */
static const char *pruned(const struct checkpoint *checkpoint)
{
    const struct component_index *const unet = &checkpoint->components[ROLE_UNET];
    const bool is_sdxl = checkpoint->family == FAMILY_SDXL;
    if (unet->count == 0 || !has(unet, "input_blocks.1.") ||
        !has(unet, "output_blocks."))
        return NULL;
    if (!has(unet, "middle_block."))
        return is_sdxl ? "a distilled SDXL model without a middle block (KOALA-700M)"
                       : "a distilled SD1.x model without a middle block (BK-SDM "
                         "Small or Tiny, tiny-sd)";
    if (has(unet, "middle_block.1.") || has(unet, "middle_block.2.")) return NULL;
    if (!is_sdxl) return "a distilled SD1.x model whose middle block is one resnet";
    switch (deepest(unet)) {
    case 4: return "SSD-1B, a distilled SDXL model whose middle block is one resnet";
    case 2:
        return "Segmind Vega, a distilled SDXL model whose middle block is one resnet";
    default:
        return "a distilled SDXL model whose middle block is one resnet (SSD-1B, "
               "Segmind Vega)";
    }
}

static const struct tensor *with_part(const struct tensor_file *file, const char *part)
{
    for (size_t i = 0; i < file->tensor_count; ++i)
        if (strstr(file->tensors[i].name, part)) return &file->tensors[i];
    return NULL;
}

/* Frames of a video: layers over time between those of SDXL. */
static bool has_time(const struct tensor_file *file)
{
    for (size_t i = 0; i < file->tensor_count; ++i)
        if (strstr(file->tensors[i].name, ".time_stack.")) return true;
    return false;
}

/* ---- other models ---- */

/* Told by a part of a name; the more particular ones first. */
static const struct {
    const char *part, *what;
    bool is_whole; /* a model of its own, which may have a VAE in its file */
} other_models[] = {
    {"lora_unet_",                             "a LoRA, not a checkpoint",               false},
    {"lora_te",                                "a LoRA, not a checkpoint",               false},
    {".lora_A.",                               "a LoRA, not a checkpoint",               false},
    {".lora_down.",                            "a LoRA, not a checkpoint",               false},
    {".lora.down.",                            "a LoRA, not a checkpoint",               false},
    {".lora_up.",                              "a LoRA, not a checkpoint",               false},
    {".hada_w1_a",                             "a LoHa adapter, not a checkpoint",       false},
    {".lokr_w1",                               "a LoKr adapter, not a checkpoint",       false},
    {"control_model.",                         "a ControlNet, not a checkpoint",         false},
    {"controlnet_cond_embedding.",             "a ControlNet, not a checkpoint",         false},
    {"ip_adapter.",                            "an IP-Adapter, not a checkpoint",        false},
    {"motion_modules.",                        "a motion module of AnimateDiff",         false},
    {"string_to_param",                        "a textual inversion embedding",          false},
    {"joint_blocks.",                          "a Stable Diffusion 3 model",             true },
    {"double_blocks.",                         "a Flux model",                           true },
    {"single_transformer_blocks.",             "a Flux model",                           true },
    {"double_layers.",                         "an AuraFlow model",                      true },
    {"double_stream_blocks.",                  "a HunyuanImage or HunyuanVideo model",   true },
    {"time_stack.",                            "a Stable Video Diffusion model",         true },
    {"time_mixer",                             "a Stable Video Diffusion model",         true },
    {"adaln_single.",                          "a PixArt or LTX model",                  true },
    {"t_block.1.",                             "a PixArt model",                         true },
    {"mlp_t5.",                                "a HunyuanDiT model",                     true },
    {"cap_embedder.",                          "a Lumina model",                         true },
    {"img_in.proj.",                           "a HunyuanVideo model",                   true },
    {"transformer_blocks.0.img_mod.",          "a Qwen-Image model",                     true },
    {"effnet_mapper.",                         "a Stable Cascade model",                 true },
    {"clip_txt_pooled_mapper.",                "a Stable Cascade model",                 true },
    {"time_text_embed.",                       "a Stable Diffusion 3 or Flux model",     true },
    {"blocks.0.cross_attn.",                   "a Wan model",                            true },
    {"model_ema.",
     "a file with only EMA copies of the weights (model_ema.*); the weights "
     "themselves are missing",                                                           false},
    {"quant_state.bitsandbytes",               "a model quantised by bitsandbytes",      false},
    {".qweight",                               "a model quantised by GPTQ or AWQ",       false},
    {"encoder.block.0.layer.0.SelfAttention.",
     "only a T5 text encoder, not a checkpoint",                                         false},
    {"text_model.encoder.layers.",             "only a text encoder, not a checkpoint",  false},
    {"transformer.resblocks.",                 "only a text encoder, not a checkpoint",  false},
    {"vision_model.encoder.layers.",
     "only an image encoder, not a "
     "checkpoint",                                                                       false},
    {"body.0.rdb1.",                           "an upscaler (ESRGAN), not a checkpoint", false},
    {"RRDB_trunk.",                            "an upscaler (ESRGAN), not a checkpoint", false},
};

/* A file that has a VAE in it and some network that is not Stable Diffusion's. */
static bool is_whole_model(const struct tensor_file *file)
{
    for (size_t i = 0; i < file->tensor_count; ++i)
        if (strncmp(file->tensors[i].name, "model.diffusion_model.", 22) == 0)
            return true;
    return false;
}

/* A folder of some pipeline, of which only the VAE was recognised. */
static const char *other_pipeline(const struct tensor_file *file)
{
    const struct tensor_metadata *const class_name =
        tensor_file_config(file, CONFIG_PIPELINE, "_class_name");
    if (!class_name) return NULL;
    if (strncmp(class_name->text, "StableDiffusion3", 16) == 0)
        return "a Stable Diffusion 3 pipeline";
    if (strncmp(class_name->text, "Flux", 4) == 0) return "a Flux pipeline";
    return strncmp(class_name->text, "StableDiffusion", 15) == 0
               ? NULL
               : "a pipeline of another model family";
}

/* A file with bare names, or a prefix of its own, of which only the VAE was recognised. */
static const char *whole_model(const struct tensor_file *file)
{
    for (size_t k = 0; k < sizeof other_models / sizeof other_models[0]; ++k)
        if (other_models[k].is_whole && with_part(file, other_models[k].part))
            return other_models[k].what;
    return NULL;
}

const char *family_unsupported(const struct checkpoint *checkpoint)
{
    const char *name;
    switch (checkpoint->family) {
    case FAMILY_SD2: return "an SD2.x checkpoint";
    case FAMILY_SDXL_REFINER: return "an SDXL refiner";
    case FAMILY_SD15:
    case FAMILY_SDXL:
        if (with_part(&checkpoint->file, "input_hint_block."))
            return "a ControlNet, not a checkpoint";
        if (has_time(&checkpoint->file)) return "a Stable Video Diffusion model";
        return pruned(checkpoint);
    case FAMILY_VAE:
    case FAMILY_UNKNOWN: break;
    }
    if (is_whole_model(&checkpoint->file)) return family_other_model(checkpoint, &name);
    const char *const what = whole_model(&checkpoint->file);
    return what ? what : other_pipeline(&checkpoint->file);
}

const char *family_other_model(const struct checkpoint *checkpoint, const char **name)
{
    for (size_t k = 0; k < sizeof other_models / sizeof other_models[0]; ++k) {
        const struct tensor *const found =
            with_part(&checkpoint->file, other_models[k].part);
        if (!found) continue;
        *name = found->name;
        return other_models[k].what;
    }
    return NULL;
}

enum dr_code family_refuse(const struct checkpoint *checkpoint, struct dr_error *err)
{
    const struct tensor_file *const file = &checkpoint->file;
    const char *name = NULL;
    const char *const what = family_other_model(checkpoint, &name);
    if (what)
        return error_set(err, DR_UNSUPPORTED,
                         "%.600s is %s (tensors such as \"%.160s\")", file->path, what,
                         name);
    if (file->tensor_count == 0)
        return error_set(err, DR_UNSUPPORTED, "%.600s contains no tensors", file->path);
    char names[512];
    size_t used = 0;
    for (size_t i = 0; i < file->tensor_count && i < 3; ++i)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.120s",
                                 i ? ", " : "", file->tensors[i].name);
    return error_set(err, DR_UNSUPPORTED,
                     "%.400s contains no part of a Stable Diffusion model, in "
                     "neither the original nor the diffusers key layout; its %zu "
                     "tensor%s %s%s",
                     file->path, file->tensor_count,
                     file->tensor_count == 1 ? " is named" : "s are named", names,
                     file->tensor_count > 3 ? ", ..." : "");
}
