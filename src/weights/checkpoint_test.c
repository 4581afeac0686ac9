/* Families, components and digests, over files of tools/random_checkpoint (an independent
 * statement of the layouts) and over hand-made ones that hold only names. */
#include "check.h"
#include "scratch_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "weights/checkpoint.h"
#include "weights/tensor_writer.h"

static struct dr_error error;

/* A file of the generator, by its options. */
static const char *make(const char *name, const char *options)
{
    const char *const build = getenv("DARKROOM_BUILD");
    const char *const path = scratch_path(name);
    char command[2048];
    (void)snprintf(command, sizeof command,
                   "'%s/tools/random_checkpoint' %s -o '%s' 2>/dev/null",
                   build ? build : ".", options, path);
    if (system(command) != 0) check_fail_at("this failed: %s", command);
    return path;
}

/* A file of names: each tensor is float32 [1], or of the rank that follows the name: "x:4". */
static const char *make_named(const char *const names[])
{
    enum {
        MOST = 16
    };
    struct tensor_writer_item items[MOST];
    char texts[MOST][128];
    const char *const path = scratch_path("named.safetensors");
    struct tensor_writer *writer = NULL;
    size_t count = 0;
    for (; names[count]; ++count) {
        (void)snprintf(texts[count], sizeof texts[0], "%s", names[count]);
        char *const colon = strchr(texts[count], ':');
        items[count] = (struct tensor_writer_item){
            .name = texts[count],
            .rank = colon ? atoi(colon + 1) : 1,
            .dims = {1, 1, 1, 1}
        };
        if (colon) *colon = '\0';
    }
    check_int(tensor_writer_open(&writer, path, items, count, NULL, 0, &error), ==,
              DR_OK);
    for (size_t i = 0; i < count; ++i)
        check_int(tensor_writer_add(writer, "\0\0\0", 4, &error), ==, DR_OK);
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
    return path;
}
#define NAMED(...) make_named((const char *const[]){__VA_ARGS__, NULL})

struct expectation {
    enum family family;
    size_t text, text2, unet, vae, ignored;
};

static void expect(const char *path, const struct expectation *expected)
{
    struct checkpoint checkpoint;
    const enum dr_code code = checkpoint_open(&checkpoint, path, &error);
    check_int(code, ==, DR_OK);
    if (code) {
        fprintf(stderr, "%s\n", error.message);
        return;
    }
    check_str(family_name(checkpoint.family), family_name(expected->family));
    check_int(checkpoint.components[ROLE_TEXT].count, ==, expected->text);
    check_int(checkpoint.components[ROLE_TEXT2].count, ==, expected->text2);
    check_int(checkpoint.components[ROLE_UNET].count, ==, expected->unet);
    check_int(checkpoint.components[ROLE_VAE].count, ==, expected->vae);
    check_int(checkpoint.ignored_count, ==, expected->ignored);
    uint64_t bytes = checkpoint.ignored_bytes, all_bytes = 0;
    for (int role = 0; role < ROLE_COUNT; ++role) {
        const struct component_index *const index = &checkpoint.components[role];
        check_int(index->role, ==, role);
        check(index->file == &checkpoint.file);
        bytes += index->bytes;
        for (size_t i = 1; i < index->count; ++i)
            check(strcmp(index->tensors[i - 1].name, index->tensors[i].name) < 0);
        for (size_t i = 0; i < index->count; ++i)
            check(component_find(index, index->tensors[i].name) ==
                  index->tensors[i].tensor);
        check(!component_find(index, "absent"));
    }
    for (size_t i = 0; i < checkpoint.file.tensor_count; ++i)
        all_bytes += checkpoint.file.tensors[i].bytes;
    check_int(bytes, ==, all_bytes);
    checkpoint_close(&checkpoint);
    checkpoint_close(&checkpoint);
}
#define EXPECT(path, ...) expect(path, &(const struct expectation){__VA_ARGS__})

/* ---- families ---- */

enum {
    TEXT = 36,
    TEXT2 = 29,
    UNET = 686,
    VAE = 248,
    SDXL_UNET = 620,
    EXTRA = 6
};

static void tells_generated_families(void)
{
    EXPECT(make("a", "--family sd15"), FAMILY_SD15, TEXT, 0, UNET, VAE, EXTRA);
    EXPECT(make("a", "--family sd15 --linear-proj --attn-2d --dtype f32"), FAMILY_SD15,
           TEXT, 0, UNET, VAE, EXTRA);
    EXPECT(make("a", "--family sd15 --unet-channels 9 --dtype bf16"), FAMILY_SD15, TEXT,
           0, UNET, VAE, EXTRA);
    EXPECT(make("a", "--family sd15 --ema"), FAMILY_SD15, TEXT, 0, UNET, VAE,
           EXTRA + UNET + 1);
    EXPECT(make("a", "--family sdxl"), FAMILY_SDXL, TEXT, TEXT2, SDXL_UNET, VAE, 2);
    EXPECT(make("a", "--family sd15 --part vae"), FAMILY_VAE, 0, 0, 0, VAE, 0);
    EXPECT(make("a", "--family sd15 --part vae --prefix"), FAMILY_VAE, 0, 0, 0, VAE, 0);
}

static void tells_families_with_parts_missing(void)
{
    EXPECT(make("a", "--family sd15 --without vae"), FAMILY_SD15, TEXT, 0, UNET, 0,
           EXTRA);
    EXPECT(make("a", "--family sd15 --without text"), FAMILY_SD15, 0, 0, UNET, VAE,
           EXTRA - 1);
    EXPECT(make("a", "--family sd15 --without unet --without vae"), FAMILY_SD15, TEXT,
           0, 0, 0, EXTRA);
    EXPECT(make("a", "--family sdxl --without text"), FAMILY_SDXL, 0, 0, SDXL_UNET, VAE,
           0);
    EXPECT(make("a", "--family sdxl --without unet"), FAMILY_SDXL, TEXT, TEXT2, 0, VAE,
           2);
    EXPECT(make("a", "--family sd15 --drop first_stage_model.decoder.conv_in.weight"),
           FAMILY_SD15, TEXT, 0, UNET, VAE - 1, EXTRA);
}

static void tells_named_families(void)
{
    static const char unet[] = "model.diffusion_model.out.0.weight";
    EXPECT(NAMED("cond_stage_model.model.ln_final.weight", unet), FAMILY_SD2, 1, 0, 1,
           0, 0);
    EXPECT(NAMED("conditioner.embedders.0.model.ln_final.weight", unet),
           FAMILY_SDXL_REFINER, 0, 1, 1, 0, 0);
    EXPECT(NAMED("conditioner.embedders.1.model.ln_final.weight", unet), FAMILY_SDXL, 0,
           1, 1, 0, 0);
    EXPECT(NAMED("cond_stage_model.transformer.final_layer_norm.bias"), FAMILY_SD15, 1,
           0, 0, 0, 0); /* without text_model. */
    EXPECT(NAMED("conditioner.embedders.0.transformer.final_layer_norm.bias"),
           FAMILY_SDXL, 1, 0, 0, 0, 0);
    EXPECT(NAMED("vae.decoder.conv_in.weight:4"), FAMILY_VAE, 0, 0, 0, 1, 0);
    /* A UNet alone: by its ranks, and the embedding that is added in SDXL. */
    EXPECT(NAMED("model.diffusion_model.input_blocks.1.1.proj_in.weight:4"),
           FAMILY_SD15, 0, 0, 1, 0, 0);
    EXPECT(NAMED("model.diffusion_model.input_blocks.1.1.proj_in.weight:2"), FAMILY_SD2,
           0, 0, 1, 0, 0);
    EXPECT(NAMED("model.diffusion_model.input_blocks.4.1.proj_in.weight:2",
                 "model.diffusion_model.label_emb.0.0.weight:2"),
           FAMILY_SDXL, 0, 0, 2, 0, 0);
    /* A VAE in two places: the first counts, whole. */
    EXPECT(NAMED("first_stage_model.decoder.conv_in.weight", "decoder.conv_in.weight",
                 "vae.decoder.conv_out.bias"),
           FAMILY_VAE, 0, 0, 0, 1, 2);
    /* Training leftovers are no part of a VAE. */
    EXPECT(NAMED("decoder.conv_in.weight", "loss.logvar",
                 "model_ema.decoderconv_inweight"),
           FAMILY_VAE, 0, 0, 0, 1, 2);
    check_str(family_name(FAMILY_SD15), "sd15");
    check_str(family_name(FAMILY_SDXL), "sdxl");
    check_str(component_role_name(ROLE_TEXT2), "text2");
}

static void refuse(const char *path, const char *part)
{
    struct checkpoint checkpoint;
    error = (struct dr_error){0};
    check_int(checkpoint_open(&checkpoint, path, &error), ==, DR_UNSUPPORTED);
    check_has(error.message, part);
    check_has(error.message, path);
    check(!checkpoint.file.tensors && !checkpoint.pool.head);
}

static void refuses_other_models(void)
{
    refuse(NAMED("fc1.weight", "fc2.weight", "fc3.weight", "fc4.weight"),
           "its 4 tensors are named fc1.weight, fc2.weight, fc3.weight, ...");
    refuse(make_named((const char *const[]){NULL}), "no tensors");
    refuse(NAMED("lora_unet_down_blocks_0.lora_down.weight"), "a LoRA");
    refuse(NAMED("control_model.input_blocks.0.0.weight"), "a ControlNet");
    refuse(NAMED("double_blocks.0.img_mod.lin.weight"), "a Flux model");
    refuse(NAMED("text_model.encoder.layers.0.mlp.fc1.weight"), "only a text encoder");
}

/* ---- digests ---- */

static void digest_of(const char *path, enum component_role role,
                      uint8_t out[DIGEST_BYTES])
{
    static unsigned char buffer[100003];
    struct checkpoint checkpoint;
    memset(out, 0, DIGEST_BYTES);
    check_int(checkpoint_open(&checkpoint, path, &error), ==, DR_OK);
    check_int(component_digest_read(&checkpoint.components[role], buffer, sizeof buffer,
                                    NULL, out, &error),
              ==, DR_OK);
    uint8_t again[DIGEST_BYTES]; /* in any pieces */
    check_int(component_digest_read(&checkpoint.components[role], buffer, 4096, NULL,
                                    again, &error),
              ==, DR_OK);
    check_bytes(out, again, DIGEST_BYTES);
    checkpoint_close(&checkpoint);
}

static void is_one_digest_however_stored(void)
{
    static const char *const same[] = {
        "--part vae --prefix",           "--part vae --attn-2d",
        "--part vae --prefix --attn-2d", "--ema",
        "--attn-2d --without unet",
    };
    static const char *const different[] = {"--part vae --dtype f32",
                                            "--part vae --dtype bf16",
                                            "--part vae --seed 2", "--seed 2"};
    uint8_t bare[DIGEST_BYTES], other[DIGEST_BYTES];
    digest_of(make("bare", "--family sd15 --part vae"), ROLE_VAE, bare);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; ++i) {
        char options[128];
        (void)snprintf(options, sizeof options, "--family sd15 %s", same[i]);
        digest_of(make("other", options), ROLE_VAE, other);
        check_bytes(bare, other, DIGEST_BYTES);
    }
    for (size_t i = 0; i < sizeof different / sizeof different[0]; ++i) {
        char options[128];
        (void)snprintf(options, sizeof options, "--family sd15 %s", different[i]);
        digest_of(make("other", options), ROLE_VAE, other);
        check(memcmp(bare, other, DIGEST_BYTES) != 0);
    }
}

/* The definition of checkpoint.h, by hand, for two tensors. */
static void is_the_stated_digest(void)
{
    const char *const path = NAMED("quant_conv.weight:4", "quant_conv.bias");
    uint8_t zeros[DIGEST_BYTES], expected[DIGEST_BYTES], found[DIGEST_BYTES];
    struct digest digest;
    digest_init(&digest);
    digest_add(&digest, "\0\0\0", 4);
    digest_end(&digest, zeros);
    digest_init(&digest);
    digest_add(&digest, "quant_conv.bias\0F32\0001,", 15 + 1 + 3 + 1 + 2);
    digest_add(&digest, "", 1);
    digest_add(&digest, zeros, DIGEST_BYTES);
    digest_add(&digest, "quant_conv.weight\0F32\0001,1,", 17 + 1 + 3 + 1 + 4);
    digest_add(&digest, "", 1);
    digest_add(&digest, zeros, DIGEST_BYTES);
    digest_end(&digest, expected);
    digest_of(path, ROLE_VAE, found);
    check_bytes(expected, found, DIGEST_BYTES);
}

static void sees_every_byte(void)
{
    uint8_t before[DIGEST_BYTES], after[DIGEST_BYTES];
    const char *const path = make("bytes", "--family sd15 --part vae");
    struct tensor_file file;
    digest_of(path, ROLE_VAE, before);
    check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
    const int descriptor = open(path, O_RDWR);
    for (size_t i = 0; i < file.tensor_count; i += 37) {
        const struct tensor *const tensor = &file.tensors[i];
        const off_t at = (off_t)(tensor->offset + tensor->bytes - 1);
        unsigned char byte;
        check_int(pread(descriptor, &byte, 1, at), ==, 1);
        byte ^= 0x10;
        check_int(pwrite(descriptor, &byte, 1, at), ==, 1);
        digest_of(path, ROLE_VAE, after);
        check(memcmp(before, after, DIGEST_BYTES) != 0);
        byte ^= 0x10;
        check_int(pwrite(descriptor, &byte, 1, at), ==, 1);
    }
    digest_of(path, ROLE_VAE, after);
    check_bytes(before, after, DIGEST_BYTES);
    close(descriptor);
    tensor_file_close(&file);
}

static void passes_read_errors_on(void)
{
    static unsigned char buffer[1 << 20];
    uint8_t digest[DIGEST_BYTES];
    const char *const path = make("faults", "--family sd15 --part vae");
    struct checkpoint checkpoint;
    check_int(checkpoint_open(&checkpoint, path, &error), ==, DR_OK);
    const struct component_index *const vae = &checkpoint.components[ROLE_VAE];
    fault_arm(1u << FAULT_READ, 100, FAULT_ONCE);
    check_int(component_digest_read(vae, buffer, sizeof buffer, NULL, digest, &error),
              ==, DR_IO);
    fault_disarm();
    check_int(truncate(path, 100000), ==, 0);
    check_int(component_digest_read(vae, buffer, sizeof buffer, NULL, digest, &error),
              ==, DR_CHANGED);
    checkpoint_close(&checkpoint);
    check_int(checkpoint_open(&checkpoint, path, &error), ==, DR_CORRUPT);
}

/* ---- metadata ---- */

static void decodes_metadata(void)
{
    static const struct tensor_metadata texts[] = {
        {.key = "int",      .text = "16"        },
        {.key = "zero",     .text = "0"         },
        {.key = "negative", .text = "-1"        },
        {.key = "huge",     .text = "4294967296"},
        {.key = "float",    .text = "0.125"     },
        {.key = "tiny",     .text = "1e-3"      },
        {.key = "shift",    .text = "-0.5"      },
        {.key = "words",    .text = "ten"       },
        {.key = "more",     .text = "16x"       },
        {.key = "empty",    .text = ""          },
        {.key = "nan",      .text = "nan"       },
        {.key = "inf",      .text = "1e999"     },
        {.key = "hex",      .text = "0x10"      },
        {.key = "space",    .text = " 1"        },
    };
    static const char *const no_ints[] = {"zero",  "negative", "huge",  "float",
                                          "words", "more",     "empty", "absent",
                                          "hex",   "space"};
    static const char *const no_floats[] = {"words", "more", "empty", "absent",
                                            "nan",   "inf",  "hex",   "space"};
    const char *const path = scratch_path("metadata.safetensors");
    struct tensor_writer *writer = NULL;
    check_int(tensor_writer_open(&writer, path, NULL, 0, texts,
                                 sizeof texts / sizeof texts[0], &error),
              ==, DR_OK);
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
    struct tensor_file file;
    check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
    int32_t integer = -7;
    float real = -7;
    for (size_t i = 0; i < sizeof no_ints / sizeof no_ints[0]; ++i)
        check(!checkpoint_metadata_int(&file, no_ints[i], &integer));
    for (size_t i = 0; i < sizeof no_floats / sizeof no_floats[0]; ++i)
        check(!checkpoint_metadata_float(&file, no_floats[i], &real));
    check(integer == -7 && real == -7);
    check(checkpoint_metadata_int(&file, "int", &integer) && integer == 16);
    check(checkpoint_metadata_float(&file, "int", &real) && real == 16);
    check(checkpoint_metadata_float(&file, "float", &real) && real == 0.125F);
    check(checkpoint_metadata_float(&file, "tiny", &real) && real == 1e-3F);
    check(checkpoint_metadata_float(&file, "shift", &real) && real == -0.5F);
    tensor_file_close(&file);
}

int main(void)
{
    check_run(tells_generated_families);
    check_run(tells_families_with_parts_missing);
    check_run(tells_named_families);
    check_run(refuses_other_models);
    check_run(is_one_digest_however_stored);
    check_run(is_the_stated_digest);
    check_run(sees_every_byte);
    check_run_with_faults(passes_read_errors_on);
    check_run(decodes_metadata);
    return check_done();
}
