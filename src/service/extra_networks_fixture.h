/* extra_networks_fixture — LoRAs for tests, in the scratch folder. */
#ifndef SERVICE_EXTRA_NETWORKS_FIXTURE_H
#define SERVICE_EXTRA_NETWORKS_FIXTURE_H

#include <string.h>

#include "check.h"
#include "scratch_folder.h"

/* A LoRA of one layer of SD1.5's UNet, with rank 1. */
static inline void put_lora(const char *name)
{
    static const char header[] =
        "{\"__metadata__\":{\"ss_base_model_version\":\"sd_v1\",\"ss_tag_frequency\":"
        "\"{\\\"x\\\":{\\\"ink\\\":3}}\"},"
        "\"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_"
        "up.weight\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[0,4]},"
        "\"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_"
        "down.weight\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[4,8]}}";
    char file[8 + sizeof header + 8] = {0};
    const size_t length = sizeof header - 1;
    file[0] = (char)(length & 255);
    file[1] = (char)(length >> 8);
    memcpy(file + 8, header, length);
    scratch_write(scratch_path(name), file, 8 + length + 8);
}

#endif
