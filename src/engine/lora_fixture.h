/* Small LoRAs of random numbers for the tiny checkpoints of a test's folder. */
#ifndef ENGINE_LORA_FIXTURE_H
#define ENGINE_LORA_FIXTURE_H

#include "engine/engine_fixture.h"
#include "weights/adapter_fixture.h"
#include "weights/tensor_file.h"

/* Does a LoRA of these tests change this weight? Its module's name then. */
static inline bool lora_module(const char *name, char module[static 300])
{
    static const char unet[] = "model.diffusion_model.", end[] = ".weight";
    const size_t bytes = strlen(name);
    if (bytes < sizeof end || strcmp(name + bytes - sizeof end + 1, end) != 0)
        return false;
    const char *const layers = strstr(name, "text_model.encoder.layers.");
    const bool of_text = layers && strstr(layers, ".mlp.") &&
                         (strncmp(name, "cond_stage_model.", 17) == 0 ||
                          strncmp(name, "conditioner.embedders.0.", 24) == 0);
    const bool of_unet =
        strncmp(name, unet, sizeof unet - 1) == 0 && strstr(name, ".attn") != NULL;
    if (!of_text && !of_unet) return false;
    const char *const from = of_text ? layers : name + sizeof unet - 1;
    (void)snprintf(module, 300, "%s%.*s", of_text ? "lora_te_" : "lora_unet_",
                   (int)(strlen(from) - sizeof end + 1), from);
    for (char *at = module; *at; ++at)
        if (*at == '.') *at = '_';
    return true;
}

/* Of rank 2, on the attention of the UNet and on the text encoder, in the folder of the test. wider: every up matrix
 * has more rows than the weight, so that the model refuses it. */
static inline void make_lora(const char *name, const char *checkpoint, uint64_t seed,
                             int wider)
{
    struct tensor_file file;
    struct adapter_writer writer = {.seed = seed};
    struct dr_error err;
    char module[300], whole[360];
    if (tensor_file_open(&file, in_root(checkpoint), &err) != DR_OK) exit(1);
    for (size_t i = 0; i < file.tensor_count; ++i) {
        const struct tensor *const tensor = &file.tensors[i];
        if (tensor->rank != 2 || !lora_module(tensor->name, module)) continue;
        (void)snprintf(whole, sizeof whole, "%s.lora_up.weight", module);
        adapter_put(&writer, whole, DTYPE_F16, 0.4F, 2, (int)tensor->dims[0] + wider,
                    2);
        (void)snprintf(whole, sizeof whole, "%s.lora_down.weight", module);
        adapter_put(&writer, whole, DTYPE_F16, 0.4F, 2, 2, (int)tensor->dims[1]);
    }
    check(writer.count > 0);
    adapter_write(&writer, in_root(name));
    tensor_file_close(&file);
}

#endif
