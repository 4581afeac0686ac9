/* adapter_config — what PEFT says beside a LoRA's tensors: how much its layers count.
 *
 * PEFT's files have no alpha among their tensors. It is in a JSON text, of one network (adapter_config.json beside
 * adapter_model.safetensors) or of several, each key with the network's prefix (diffusers writes it into the file's
 * metadata, "unet.lora_alpha"):
 *
 *     lora_alpha, alpha   of LoRA, of LoHa and LoKr: a number
 *     use_rslora          the scale is alpha / sqrt(rank), not alpha / rank
 *     alpha_pattern       {"mid_block.attentions.0.proj_in": 4}: of modules whose names end so
 *
 * Source: PEFT tuners/lora/config.py, layer.py, utils/other.py (get_pattern_key); 2312.03732 (rsLoRA). Threads: any.
 */
#ifndef WEIGHTS_ADAPTER_CONFIG_H
#define WEIGHTS_ADAPTER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

struct adapter_alpha {
    const char *module; /* with '_' for '.' */
    float alpha;
};

/* Of one network. Zeroed: nothing is said. */
struct adapter_config {
    float alpha; /* 0: not said */
    bool by_root;
    struct adapter_alpha *patterns;
    size_t pattern_count;
};

/* text: bytes of them. prefix: "unet.", or "" for all keys. Names go into the pool. Errors: DR_CORRUPT (no JSON
 * object, a value of another type), DR_BAD_INPUT (an alpha of 0), DR_UNSUPPORTED (a pattern that is a regular
 * expression), DR_NOMEM. On error *config is zero. */
enum dr_code adapter_config_parse(struct adapter_config *config, const char *text,
                                  size_t bytes, const char *prefix, struct pool *pool,
                                  struct dr_error *err) DR_MUST_CHECK;

/* Of a module, with '_' for '.', of this rank (above 0); 1 where nothing is said. */
float adapter_config_scale(const struct adapter_config *config, const char *module,
                           int32_t rank);

#endif
