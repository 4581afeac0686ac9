/* adapter_names — what the tensors of an adapter's file are for, by their names.
 *
 *     lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight       kohya, OneTrainer
 *     lora_unet_input_blocks_1_1_proj_in.lora_up.weight                 the same with the original blocks (SDXL)
 *     unet.down_blocks.0.attentions.0.proj_in.lora_B.weight             diffusers, PEFT
 *     base_model.model.unet....lora_B.default.weight                    PEFT
 *     unet.mid_block....attn1.processor.to_q_lora.up.weight             diffusers before PEFT
 *     lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w1_a             LyCORIS
 *
 * A name is a network, a module of it, and a part. Modules are compared with '_' in place of '.', since
 * kohya's names have lost the difference.
 *
 * Sources: kohya-ss/sd-scripts networks/, KohakuBlueleaf/LyCORIS, diffusers loaders/lora_conversion_utils.py.
 */
#ifndef WEIGHTS_ADAPTER_NAMES_H
#define WEIGHTS_ADAPTER_NAMES_H

#include "weights/checkpoint.h"

enum adapter_part {
    ADAPTER_UP,
    ADAPTER_DOWN,
    ADAPTER_MID,
    ADAPTER_ALPHA,
    ADAPTER_HADA_W1_A,
    ADAPTER_HADA_W1_B,
    ADAPTER_HADA_W2_A,
    ADAPTER_HADA_W2_B,
    ADAPTER_HADA_T1,
    ADAPTER_HADA_T2,
    ADAPTER_LOKR_W1,
    ADAPTER_LOKR_W1_A,
    ADAPTER_LOKR_W1_B,
    ADAPTER_LOKR_W2,
    ADAPTER_LOKR_W2_A,
    ADAPTER_LOKR_W2_B,
    ADAPTER_LOKR_T2,
    ADAPTER_DIFF,
    ADAPTER_DIFF_B,
    ADAPTER_NORM_W,
    ADAPTER_NORM_B,
    ADAPTER_DORA_SCALE, /* LyCORIS, kohya: of inputs or of outputs, by its shape */
    ADAPTER_MAGNITUDE,  /* PEFT: of outputs */
    ADAPTER_PART_COUNT
};

enum {
    ADAPTER_MODULE_BYTES = 256
};

struct adapter_name {
    enum component_role role;
    enum adapter_part part;
    char module
        [ADAPTER_MODULE_BYTES]; /* with '_' for '.'; of text without "text_model_" */
};

enum adapter_name_kind {
    ADAPTER_NAME_KNOWN,
    ADAPTER_NAME_REFUSED, /* of a method that is not applied */
    ADAPTER_NAME_UNKNOWN
};

/* method: of a refused one, "OFT". */
enum adapter_name_kind adapter_name_read(const char *name, struct adapter_name *out,
                                         const char **method);

/* "lora_up", "hada_w1_a", ...: for messages. */
const char *adapter_part_name(enum adapter_part part);

/* A module of a network in its canonical spelling ("input_blocks.1.1.proj_in", "encoder.layers.0.mlp.fc1"), as
 * adapters may call it. */
enum {
    ADAPTER_SPELLINGS = 2
};
struct adapter_spellings {
    char modules[ADAPTER_SPELLINGS][ADAPTER_MODULE_BYTES]; /* "" for none */
};

/* level_blocks: of a UNet, how many blocks a level has on the way down, its downsampler included
 * (adapter_level_blocks); else 0. */
void adapter_spellings(enum component_role role, const char *module,
                       int32_t level_blocks, struct adapter_spellings *out);
int32_t adapter_level_blocks(const struct component_index *unet);

/* OpenCLIP's stacked projection ("transformer.resblocks.N.attn.in_proj"): adapters name its parts apart. part:
 * 0, 1, 2 for queries, keys and values. False if the module is none. */
bool adapter_stacked_spelling(const char *module, int32_t part,
                              char out[static ADAPTER_MODULE_BYTES]);

#endif
