/* Every name against diffusers' own converters (tests/golden/diffusers-names.txt, by
 * tools/golden/formats.py), and folders of files that hold only names. */
#include "check.h"
#include "scratch_folder.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
    struct diffusers_place place;
    read_pairs(network);
    for (size_t i = 0; i < pairs.count; ++i)
        diffusers_shape_note(&shape, layout, pairs.diffusers[i]);
    for (size_t i = 0; i < pairs.count; ++i) {
        check(diffusers_place(&shape, layout, pairs.diffusers[i], &place));
        check_str(place.name, pairs.original[i]);
        check(key_layout_has(layout, place.name));
        check(place.part_count == 1 && !place.is_turned);
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
    struct diffusers_place place;
    check(diffusers_place(&shape, KEYS_VAE,
                          "decoder.mid_block.attentions.0.proj_attn.bias", &place));
    check_str(place.name, "decoder.mid.attn_1.proj_out.bias");
    check(!diffusers_place(&none, KEYS_VAE, "decoder.conv_in.bias", &place));
    check(!diffusers_place(&shape, KEYS_VAE, "decoder.up.0.block.0.conv1.weight",
                           &place));
    check(!diffusers_place(&shape, KEYS_UNET, "down_blocks.00.resnets.0.x", &place));
    check(!diffusers_place(&shape, KEYS_UNET, "down_blocks.99.resnets.0.conv1.x",
                           &place));
    check(!diffusers_place(&shape, KEYS_CLIP, "embeddings.x", &place));
    check(!diffusers_place(&shape, KEYS_UNET, "", &place));
}

/* The second text encoder: diffusers' name, OpenCLIP's, and how the one becomes the other. */
static const struct text_pair {
    const char *diffusers, *original;
    int32_t part, part_count;
    bool is_turned;
} text_pairs[] = {
    {"text_model.embeddings.token_embedding.weight",          "token_embedding.weight", 0, 1,
     false                                                                                         },
    {"text_model.embeddings.position_embedding.weight",       "positional_embedding",   0, 1,
     false                                                                                         },
    {"text_model.encoder.layers.0.layer_norm1.bias",
     "transformer.resblocks.0.ln_1.bias",                                               0, 1, false},
    {"text_model.encoder.layers.31.layer_norm2.weight",
     "transformer.resblocks.31.ln_2.weight",                                            0, 1, false},
    {"text_model.encoder.layers.7.mlp.fc1.weight",
     "transformer.resblocks.7.mlp.c_fc.weight",                                         0, 1, false},
    {"text_model.encoder.layers.7.mlp.fc2.bias",
     "transformer.resblocks.7.mlp.c_proj.bias",                                         0, 1, false},
    {"text_model.encoder.layers.7.self_attn.q_proj.weight",
     "transformer.resblocks.7.attn.in_proj_weight",                                     0, 3, false},
    {"text_model.encoder.layers.7.self_attn.k_proj.weight",
     "transformer.resblocks.7.attn.in_proj_weight",                                     1, 3, false},
    {"text_model.encoder.layers.7.self_attn.v_proj.bias",
     "transformer.resblocks.7.attn.in_proj_bias",                                       2, 3, false},
    {"text_model.encoder.layers.7.self_attn.out_proj.weight",
     "transformer.resblocks.7.attn.out_proj.weight",                                    0, 1, false},
    {"text_model.final_layer_norm.weight",                    "ln_final.weight",        0, 1, false},
    {"text_projection.weight",                                "text_projection",        0, 1, true },
};

static void translates_the_second_text_encoder(void)
{
    const struct diffusers_shape none = {0};
    const size_t model_bytes = strlen("text_model.");
    for (size_t i = 0; i < sizeof text_pairs / sizeof text_pairs[0]; ++i) {
        const struct text_pair *const pair = &text_pairs[i];
        struct diffusers_place place;
        check(diffusers_place(&none, KEYS_OPEN_CLIP, pair->diffusers, &place));
        check_str(place.name, pair->original);
        check(key_layout_has(KEYS_OPEN_CLIP, place.name));
        check_int(place.part, ==, pair->part);
        check_int(place.part_count, ==, pair->part_count);
        check_int(place.is_turned, ==, pair->is_turned);
        if (strncmp(pair->diffusers, "text_model.", model_bytes) != 0) continue;
        /* Newer files leave text_model. out. */
        check(diffusers_place(&none, KEYS_OPEN_CLIP, pair->diffusers + model_bytes,
                              &place));
        check_str(place.name, pair->original);
    }
    struct diffusers_place place;
    check(!diffusers_place(&none, KEYS_OPEN_CLIP, "ln_final.weight", &place));
    check(!diffusers_place(&none, KEYS_OPEN_CLIP, "encoder.layers.0.other.weight",
                           &place));
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

static void check_config(const struct tensor_file *file, enum config_kind config,
                         const char *key, const char *text)
{
    const struct tensor_metadata *const said = tensor_file_config(file, config, key);
    check(said && said->config_path);
    check_str(said ? said->text : "", text);
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
               "{\"prediction_type\": \"v_prediction\", "
               "\"rescale_betas_zero_snr\": true}");
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
    check_config(&file, CONFIG_SCHEDULER, "prediction_type", "v_prediction");
    check_config(&file, CONFIG_SCHEDULER, "rescale_betas_zero_snr", "true");
    check_config(&file, CONFIG_UNET, "block_out_channels", "[64,128]");
    check_config(&file, CONFIG_VAE, "scaling_factor", "0.125");
    check_config(&file, CONFIG_VAE, "shift_factor", "null");
    check(!tensor_file_config(&file, CONFIG_TEXT2, "hidden_size"));
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

struct text_item {
    const char *name;
    int32_t rank;
    int64_t rows, columns;
    int first; /* values count on from it */
};

static void write_text_encoder(const char *path, const struct text_item *items,
                               size_t count, bool is_turned)
{
    struct tensor_writer_item announced[8];
    struct tensor_writer *writer = NULL;
    for (size_t i = 0; i < count; ++i)
        announced[i] = (struct tensor_writer_item){
            .name = items[i].name,
            .rank = items[i].rank,
            .dims = {items[i].rows, items[i].columns}
        };
    check_int(tensor_writer_open(&writer, path, announced, count, NULL, 0, &error), ==,
              DR_OK);
    for (size_t i = 0; i < count; ++i)
        for (int64_t k = 0; k < items[i].rows * items[i].columns; ++k) {
            const int64_t rows = items[i].rows, columns = items[i].columns;
            const bool turned = is_turned && strstr(items[i].name, "projection");
            const int64_t place = turned ? k % columns * rows + k / columns : k;
            const float value = (float)(items[i].first + place);
            check_int(tensor_writer_add(writer, &value, sizeof value, &error), ==,
                      DR_OK);
        }
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
}

static void digest_text2(const char *path, uint8_t out[DIGEST_BYTES])
{
    unsigned char buffer[4099]; /* no whole number of elements */
    struct checkpoint checkpoint;
    check_int(checkpoint_open(&checkpoint, path, &error), ==, DR_OK);
    check_int(checkpoint.family, ==, FAMILY_SDXL);
    check_int(checkpoint.components[ROLE_TEXT2].count, ==, 2);
    check_int(checkpoint.ignored_count, ==, 0);
    check_int(component_digest_read(&checkpoint.components[ROLE_TEXT2], buffer,
                                    sizeof buffer, NULL, out, &error),
              ==, DR_OK);
    checkpoint_close(&checkpoint);
}

/* Rows apart and a transposed matrix are one component with one digest. */
static void second_text_encoder_has_one_digest(void)
{
    static char text[1][128] = {"text_model.final_layer_norm.weight"};
    static const struct text_item original[] = {
        {"conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight", 2,
         60,                                                                                 20, 0},
        {"conditioner.embedders.1.model.text_projection",                             2, 20, 90, 7},
    };
    static const struct text_item apart[] = {
        {"text_model.encoder.layers.0.self_attn.q_proj.weight", 2, 20, 20, 0  },
        {"text_model.encoder.layers.0.self_attn.k_proj.weight", 2, 20, 20, 400},
        {"text_model.encoder.layers.0.self_attn.v_proj.weight", 2, 20, 20, 800},
        {"text_projection.weight",                              2, 90, 20, 7  },
    };
    static char up[2][128] = {"up_blocks.0.resnets.0.conv1.weight",
                              "add_embedding.linear_1.weight"};
    uint8_t expected[DIGEST_BYTES], digest[DIGEST_BYTES];
    write_text_encoder(scratch_path("one.safetensors"), original, 2, false);
    digest_text2(scratch_path("one.safetensors"), expected);
    make_folder("xl");
    make_folder("xl/unet");
    make_folder("xl/text_encoder");
    make_folder("xl/text_encoder_2");
    write_text(scratch_path("xl/model_index.json"), "{}");
    write_text(scratch_path("xl/text_encoder_2/config.json"),
               "{\"num_attention_heads\": 4, \"hidden_size\": 20}");
    write_names(scratch_path("xl/unet/diffusion_pytorch_model.safetensors"), "", up, 2);
    write_names(scratch_path("xl/text_encoder/model.safetensors"), "", text, 1);
    write_text_encoder(scratch_path("xl/text_encoder_2/model.safetensors"), apart, 4,
                       true);
    digest_text2(scratch_path("xl"), digest);
    check_bytes(expected, digest, DIGEST_BYTES);
    /* The control: not transposed it is another. */
    write_text_encoder(scratch_path("xl/text_encoder_2/model.safetensors"), apart, 4,
                       false);
    digest_text2(scratch_path("xl"), digest);
    check(memcmp(expected, digest, DIGEST_BYTES) != 0);

    struct checkpoint checkpoint;
    check_int(checkpoint_open(&checkpoint, scratch_path("xl"), &error), ==, DR_OK);
    check_metadata(&checkpoint.file, "darkroom.text2.heads", "4");
    checkpoint_close(&checkpoint);
    /* A part that is missing leaves the whole out; without the first encoder it is a refiner. */
    write_text_encoder(scratch_path("xl/text_encoder_2/model.safetensors"), apart + 1,
                       3, false);
    check_int(unlink(scratch_path("xl/text_encoder/model.safetensors")), ==, 0);
    check_int(rmdir(scratch_path("xl/text_encoder")), ==, 0);
    check_int(checkpoint_open(&checkpoint, scratch_path("xl"), &error), ==, DR_OK);
    check_int(checkpoint.components[ROLE_TEXT2].count, ==, 1);
    check_int(checkpoint.ignored_count, ==, 2);
    check_int(checkpoint.family, ==, FAMILY_SDXL_REFINER);
    checkpoint_close(&checkpoint);
}

static void says_what_is_wrong(void)
{
    make_folder("other");
    check_int(try_open(scratch_path("other")), ==, DR_UNSUPPORTED);
    check_has(error.message, "a directory without model_index.json");
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
    /* A link to nothing, as a cache has whose blobs were removed: no part of it is as good as not there. */
    static const char *const names[] = {"vae/config.json",
                                        "vae/diffusion_pytorch_model.safetensors",
                                        "vae"};
    check_int(unlink(scratch_path("other/vae/config.json")), ==, 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        char name[128];
        (void)snprintf(name, sizeof name, "other/%s", names[i]);
        const char *const path = scratch_path(name);
        if (strcmp(names[i], "vae") == 0)
            check_int(rmdir(path), ==, 0);
        else
            (void)unlink(path);
        check_int(symlink("../blobs/0123", path), ==, 0);
        check_int(try_open(scratch_path("other")), ==, DR_NOT_FOUND);
        check_has(error.message,
                  "is a symbolic link to ../blobs/0123, which is missing");
        check_has(error.message, name);
        check_int(unlink(path), ==, 0);
    }
}

/* Two names for one tensor: which would it be? */
/* A config below the limit for configs, and less memory than it takes: in a process of its own. */
static void no_memory_is_no_damage(void)
{
#ifdef __SANITIZE_ADDRESS__
    check_skip_case("the sanitizer needs its own addresses");
#else
    enum {
        CONFIG_BYTES = 1000000,
        LEFT_BYTES = 400000
    };
    make_folder("large");
    make_folder("large/scheduler");
    char *const text = malloc(CONFIG_BYTES + 1);
    if (!text) exit(1);
    memset(text, ' ', CONFIG_BYTES);
    memcpy(text, "{}", 2);
    text[CONFIG_BYTES] = '\0';
    write_text(scratch_path("large/model_index.json"), "{}");
    write_text(scratch_path("large/scheduler/scheduler_config.json"), text);
    free(text);
    const char *const path = scratch_path("large");
    const pid_t child = fork();
    if (child == 0) {
        struct tensor_file file;
        long pages = 0;
        FILE *const stream = fopen("/proc/self/statm", "r");
        if (!stream || fscanf(stream, "%ld", &pages) != 1) _exit(9);
        (void)fclose(stream);
        const rlim_t most = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + LEFT_BYTES);
        const struct rlimit limit = {most, most};
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(8);
        const enum dr_code code = tensor_file_open(&file, path, &error);
        _exit(code == DR_NOMEM ? 0 : code == DR_CORRUPT ? 1 : 2);
    }
    int status = 0;
    check_int(waitpid(child, &status, 0), ==, child);
    check(WIFEXITED(status));
    check_int(WEXITSTATUS(status), ==, 0);
#endif
}

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
    check_run(translates_the_second_text_encoder);
    check_run(vae_has_one_digest);
    check_run(reads_a_folder);
    check_run(second_text_encoder_has_one_digest);
    check_run(says_what_is_wrong);
    check_run(no_memory_is_no_damage);
    check_run(refuses_two_for_one);
    return check_done();
}
