/* Every name against diffusers' own converters (tests/golden/diffusers-names.txt, by
 * tools/golden/formats.py), and folders of files that hold only names. */
#include "check.h"
#include "scratch_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "weights/checkpoint.h"
#include "weights/diffusers_names.h"
#include "weights/tensor_writer.h"

enum {
    MOST = 500
};

static struct dr_error error;

/* The pairs of one network. */
static struct pairs {
    char diffusers[MOST][128], original[MOST][128];
    size_t count;
} pairs;

static FILE *open_golden(void)
{
    char path[4096];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/golden/diffusers-names.txt",
                   source ? source : ".");
    return fopen(path, "r");
}

static void read_pairs(const char *network)
{
    char name[128];
    FILE *const stream = open_golden();
    pairs.count = 0;
    while (stream && pairs.count < MOST &&
           fscanf(stream, "%127s %127s %127s", name, pairs.diffusers[pairs.count],
                  pairs.original[pairs.count]) == 3)
        if (strcmp(name, network) == 0) ++pairs.count;
    if (stream) (void)fclose(stream);
    check_int(pairs.count, >, 100);
}

/* ---- names ---- */

static void translates(const char *network, enum key_layout layout)
{
    struct diffusers_shape shape = {0};
    char name[DIFFUSERS_NAME_BYTES];
    read_pairs(network);
    for (size_t i = 0; i < pairs.count; ++i)
        diffusers_shape_note(&shape, layout, pairs.diffusers[i]);
    for (size_t i = 0; i < pairs.count; ++i) {
        check(diffusers_name(&shape, layout, pairs.diffusers[i], name));
        check_str(name, pairs.original[i]);
        check(key_layout_has(layout, name));
    }
}

static void translates_all_networks(void)
{
    translates("sd15.unet", KEYS_UNET);
    translates("sdxl.unet", KEYS_UNET);
    translates("sd15.vae", KEYS_VAE);
}

static void leaves_other_names(void)
{
    const struct diffusers_shape shape = {.up_count = 4, .down_resnets = 2}, none = {0};
    char name[DIFFUSERS_NAME_BYTES];
    check(diffusers_name(&shape, KEYS_VAE,
                         "decoder.mid_block.attentions.0.proj_attn.bias", name));
    check_str(name, "decoder.mid.attn_1.proj_out.bias");
    check(!diffusers_name(&none, KEYS_VAE, "decoder.conv_in.bias", name));
    check(!diffusers_name(&shape, KEYS_VAE, "decoder.up.0.block.0.conv1.weight", name));
    check(!diffusers_name(&shape, KEYS_UNET, "down_blocks.00.resnets.0.x", name));
    check(!diffusers_name(&shape, KEYS_UNET, "down_blocks.99.resnets.0.conv1.x", name));
    check(!diffusers_name(&shape, KEYS_CLIP, "embeddings.x", name));
    check(!diffusers_name(&shape, KEYS_UNET, "", name));
}

/* ---- files ---- */

/* Each tensor of names is float32 [1] whose value is its place; pairs name the value too. */
static void write_names(const char *path, const char *prefix, char names[][128],
                        size_t count)
{
    static struct tensor_writer_item items[MOST];
    static char texts[MOST][192];
    struct tensor_writer *writer = NULL;
    for (size_t i = 0; i < count; ++i) {
        (void)snprintf(texts[i], sizeof texts[0], "%s%s", prefix, names[i]);
        items[i] =
            (struct tensor_writer_item){.name = texts[i], .rank = 1, .dims = {1}};
    }
    check_int(tensor_writer_open(&writer, path, items, count, NULL, 0, &error), ==,
              DR_OK);
    for (size_t i = 0; i < count; ++i) {
        const float value = (float)i;
        check_int(tensor_writer_add(writer, &value, sizeof value, &error), ==, DR_OK);
    }
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
}

static void write_text(const char *path, const char *text)
{
    scratch_write(path, text, strlen(text));
}

static void make_folder(const char *name)
{
    check_int(mkdir(scratch_path(name), 0700), ==, 0);
}

static void digest_of(const char *path, enum family family, enum component_role role,
                      uint8_t out[DIGEST_BYTES])
{
    unsigned char buffer[4096];
    struct checkpoint checkpoint;
    memset(out, 0, DIGEST_BYTES);
    const enum dr_code code = checkpoint_open(&checkpoint, path, &error);
    check_int(code, ==, DR_OK);
    if (code) {
        check_fail_at("%s", error.message);
        return;
    }
    check_int(checkpoint.family, ==, family);
    check_int(checkpoint.components[role].count, ==, pairs.count);
    check_int(component_digest_read(&checkpoint.components[role], buffer, sizeof buffer,
                                    NULL, out, &error),
              ==, DR_OK);
    checkpoint_close(&checkpoint);
}

static void vae_has_one_digest(void)
{
    uint8_t expected[DIGEST_BYTES], digest[DIGEST_BYTES];
    read_pairs("sd15.vae");
    write_names(scratch_path("bare.safetensors"), "", pairs.original, pairs.count);
    write_names(scratch_path("prefixed.safetensors"), "first_stage_model.",
                pairs.original, pairs.count);
    write_names(scratch_path("named.safetensors"), "", pairs.diffusers, pairs.count);
    digest_of(scratch_path("bare.safetensors"), FAMILY_VAE, ROLE_VAE, expected);
    digest_of(scratch_path("prefixed.safetensors"), FAMILY_VAE, ROLE_VAE, digest);
    check_bytes(expected, digest, DIGEST_BYTES);
    digest_of(scratch_path("named.safetensors"), FAMILY_VAE, ROLE_VAE, digest);
    check_bytes(expected, digest, DIGEST_BYTES);

    make_folder("alone");
    write_names(scratch_path("alone/diffusion_pytorch_model.fp16.safetensors"), "",
                pairs.diffusers, pairs.count);
    digest_of(scratch_path("alone"), FAMILY_VAE, ROLE_VAE, digest);
    check_bytes(expected, digest, DIGEST_BYTES);
}

static void check_metadata(const struct tensor_file *file, const char *key,
                           const char *text)
{
    check_str(tensor_file_metadata(file, key), text);
}

static void reads_a_folder(void)
{
    static char text[1][128] = {"text_model.final_layer_norm.weight"};
    uint8_t expected[DIGEST_BYTES], digest[DIGEST_BYTES];
    make_folder("whole");
    make_folder("whole/unet");
    make_folder("whole/vae");
    make_folder("whole/text_encoder");
    make_folder("whole/scheduler");
    write_text(scratch_path("whole/model_index.json"), "{}");
    write_names(scratch_path("whole/text_encoder/model.safetensors"), "", text, 1);
    write_text(scratch_path("whole/text_encoder/config.json"),
               "{\"num_attention_heads\": 4, \"hidden_size\": 64}");
    write_text(scratch_path("whole/scheduler/scheduler_config.json"),
               "{\"prediction_type\": \"v_prediction\"}");
    read_pairs("sd15.vae");
    write_names(scratch_path("whole/vae/diffusion_pytorch_model.safetensors"), "",
                pairs.diffusers, pairs.count);
    write_text(scratch_path("whole/vae/config.json"),
               "{\"_class_name\": \"AutoencoderKL\", \"scaling_factor\": 0.125, "
               "\"shift_factor\": null}");
    digest_of(scratch_path("bare.safetensors"), FAMILY_VAE, ROLE_VAE, expected);
    read_pairs("sd15.unet");
    write_names(scratch_path("whole/unet/diffusion_pytorch_model.safetensors"), "",
                pairs.diffusers, pairs.count);
    write_text(scratch_path("whole/unet/config.json"),
               "{\"_class_name\": \"UNet2DConditionModel\", \"attention_head_dim\": "
               "[4, 8], \"block_out_channels\": [64, 128]}");
    digest_of(scratch_path("whole"), FAMILY_SD15, ROLE_UNET, digest);
    read_pairs("sd15.vae");
    digest_of(scratch_path("whole"), FAMILY_SD15, ROLE_VAE, digest);
    check_bytes(expected, digest, DIGEST_BYTES);

    struct tensor_file file;
    check_int(tensor_file_open(&file, scratch_path("whole"), &error), ==, DR_OK);
    check_str(file.format, "diffusers folder");
    check_int(file.shard_count, ==, 3);
    check(tensor_file_find(&file, "unet/conv_in.weight"));
    check_metadata(&file, "darkroom.vae.scale_factor", "0.125");
    check(!tensor_file_metadata(&file, "darkroom.vae.shift_factor"));
    check_metadata(&file, "darkroom.unet.head_dim", "16");
    check_metadata(&file, "darkroom.text.heads", "4");
    check_metadata(&file, "darkroom.prediction", "v_prediction");
    check_int(tensor_file_check(&file, &error), ==, DR_OK);
    /* One part of it is replaced: an error that names the file. */
    write_names(scratch_path("whole/text_encoder/model.safetensors"), "", text, 1);
    check_int(tensor_file_check(&file, &error), ==, DR_CHANGED);
    check_has(error.message, "text_encoder/model.safetensors");
    tensor_file_close(&file);
}

static enum dr_code try_open(const char *path)
{
    struct tensor_file file;
    const enum dr_code code = tensor_file_open(&file, path, &error);
    if (!code) tensor_file_close(&file);
    return code;
}

static void says_what_is_wrong(void)
{
    make_folder("other");
    check_int(try_open(scratch_path("other")), ==, DR_UNSUPPORTED);
    check_has(error.message, "a folder without model_index.json");
    write_text(scratch_path("other/model_index.json"), "{}");
    make_folder("other/vae");
    check_int(try_open(scratch_path("other")), ==, DR_NOT_FOUND);
    check_has(error.message, "other/vae");
    write_names(scratch_path("other/vae/diffusion_pytorch_model.safetensors"), "",
                pairs.diffusers, pairs.count);
    check_int(try_open(scratch_path("other")), ==, DR_OK);
    write_text(scratch_path("other/vae/config.json"), "{broken");
    check_int(try_open(scratch_path("other")), ==, DR_CORRUPT);
    check_has(error.message, "config.json");
}

/* Two names for one tensor: which would it be? */
static void refuses_two_for_one(void)
{
    static char names[][128] = {"decoder.up_blocks.0.resnets.0.conv1.weight",
                                "decoder.mid_block.attentions.0.query.weight",
                                "decoder.mid_block.attentions.0.to_q.weight"};
    struct checkpoint checkpoint;
    write_names(scratch_path("two.safetensors"), "", names, 3);
    check_int(checkpoint_open(&checkpoint, scratch_path("two.safetensors"), &error), ==,
              DR_CORRUPT);
    check_has(error.message, "two tensors for decoder.mid.attn_1.q.weight");
}

int main(void)
{
    FILE *const golden = open_golden();
    if (!golden) return check_skip("no tests/golden");
    (void)fclose(golden);
    check_run(translates_all_networks);
    check_run(leaves_other_names);
    check_run(vae_has_one_digest);
    check_run(reads_a_folder);
    check_run(says_what_is_wrong);
    check_run(refuses_two_for_one);
    return check_done();
}
