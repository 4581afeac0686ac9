/* diffusers_config_fuzz — any bytes as one of the configs of a diffusers folder.
 *
 * The first byte chooses which; the rest is written in its place, among good ones, in a folder with
 * a tensor for each network. Opened or refused, it is so as a whole: what the configs say has
 * become metadata that numbers can be read from, or there is a sentence and nothing left.
 */
#include <assert.h>
#include <math.h>
#include <sys/stat.h>

#include "input_file.h"
#include "scratch_folder.h"
#include "weights/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const struct {
    const char *path, *good;
} configs[] = {
    {"unet/config.json",
     "{\"_class_name\":\"UNet2DConditionModel\",\"attention_head_dim\":8}"                       },
    {"vae/config.json",
     "{\"_class_name\":\"AutoencoderKL\",\"scaling_factor\":0.18215}"                            },
    {"text_encoder/config.json",        "{\"hidden_size\":768,\"num_attention_heads\":12,"
                                 "\"hidden_act\":\"quick_gelu\"}"},
    {"text_encoder_2/config.json",
     "{\"hidden_size\":1280,\"num_attention_heads\":20,\"hidden_act\":\"gelu\"}"                 },
    {"scheduler/scheduler_config.json",
     "{\"_class_name\":\"PNDMScheduler\",\"prediction_type\":\"epsilon\"}"                       },
    {"model_index.json",                "{\"_class_name\":\"StableDiffusionXLPipeline\"}"        },
};

enum {
    CONFIG_COUNT = sizeof configs / sizeof *configs
};

static void write_tensor(const char *path, const char *name)
{
    unsigned char file[512] = {0};
    const int bytes =
        snprintf((char *)file + 8, sizeof file - 8,
                 "{\"%s\":{\"dtype\":\"F16\",\"shape\":[1,1],\"data_offsets\":[0,2]}}",
                 name);
    file[0] = (unsigned char)bytes;
    scratch_write(scratch_path(path), file, 8 + (size_t)bytes + 2);
}

static void write_config(size_t idx, const void *data, size_t bytes)
{
    scratch_write(scratch_path(configs[idx].path), data, bytes);
}

static void make_folder(void)
{
    static const char *const folders[] = {"unet", "vae", "text_encoder",
                                          "text_encoder_2", "scheduler"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; ++i)
        if (mkdir(scratch_path(folders[i]), 0700) != 0) abort();
    write_tensor("unet/diffusion_pytorch_model.safetensors", "conv_in.weight");
    write_tensor("vae/diffusion_pytorch_model.safetensors", "decoder.conv_in.weight");
    write_tensor("text_encoder/model.safetensors",
                 "text_model.embeddings.token_embedding.weight");
    write_tensor("text_encoder_2/model.safetensors",
                 "text_model.embeddings.token_embedding.weight");
    for (size_t i = 0; i < CONFIG_COUNT; ++i)
        write_config(i, configs[i].good, strlen(configs[i].good));
}

static void check_numbers(const struct tensor_file *file)
{
    for (size_t i = 0; i < file->metadata_count; ++i) {
        const struct tensor_metadata *const said = &file->metadata[i];
        const char *const key = said->key;
        int32_t whole = 0;
        float real = 0.0F;
        assert(tensor_file_config(file, said->config, key) == said);
        assert((said->config == CONFIG_NONE) == (said->config_path == NULL));
        assert(!checkpoint_metadata_int(file, key, &whole) || whole > 0);
        assert(!checkpoint_metadata_float(file, key, &real) || isfinite(real));
    }
}

static void try_open(const char *path)
{
    struct checkpoint checkpoint;
    struct dr_error err = {.message = ""};
    if (checkpoint_open(&checkpoint, path, &err) == DR_OK) {
        check_numbers(&checkpoint.file);
        checkpoint_close(&checkpoint);
        return;
    }
    assert(err.message[0]);
    assert(!checkpoint.file.tensors && !checkpoint.file.pool.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *beside;
    if (!beside) {
        make_folder();
        beside = scratch_path("vae/diffusion_pytorch_model.safetensors");
    }
    if (bytes == 0) return 0;
    const size_t idx = data[0] % CONFIG_COUNT;
    write_config(idx, data + 1, bytes - 1);
    try_open(scratch_folder());
    if (idx == 1) try_open(beside); /* a network's file finds its config too */
    write_config(idx, configs[idx].good, strlen(configs[idx].good));
    return 0;
}
