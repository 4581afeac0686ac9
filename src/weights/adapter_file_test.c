#include "check.h"
#include "scratch_folder.h"

#include <math.h>

#include "weights/adapter_file.h"
#include "weights/adapter_fixture.h"

static struct dr_error error;
static struct adapter_writer w;

static const char *written(void)
{
    const char *const path = scratch_path("a.safetensors");
    adapter_write(&w, path);
    return path;
}

static void refused(enum dr_code code, const char *words)
{
    struct adapter_file adapter;
    check_int(adapter_file_open(&adapter, written(), &error), ==, code);
    if (!strstr(error.message, words))
        check_fail_at("'%s' is not in: %s", words, error.message);
    check(!adapter.layers && !adapter.file.tensors);
}

static void put_lora(const char *module, int out, int rank, int in, float alpha)
{
    char name[256];
    (void)snprintf(name, sizeof name, "%s.lora_up.weight", module);
    adapter_put(&w, name, DTYPE_F16, 0.1F, 2, out, rank);
    (void)snprintf(name, sizeof name, "%s.lora_down.weight", module);
    adapter_put(&w, name, DTYPE_F16, 0.1F, 2, rank, in);
    (void)snprintf(name, sizeof name, "%s.alpha", module);
    adapter_put(&w, name, DTYPE_F32, alpha, 0);
}

static void reads_layers(void)
{
    struct adapter_file adapter;
    put_lora("lora_unet_input_blocks_1_1_proj_in", 32, 4, 32, 2);
    put_lora("lora_te1_text_model_encoder_layers_0_mlp_fc1", 64, 8, 16, 8);
    adapter_put(&w, "lora_unet_conv_in.diff_b", DTYPE_F32, 1, 1, 32);
    adapter_put(&w, "bundle_emb.x.string_to_param", DTYPE_F32, 1, 1, 4);
    adapter_say(&w, "ss_base_model_version", "sdxl_base_v1-0");
    adapter_say(&w, "ss_tag_frequency",
                "{\"10_a\": {\"red hat\": 3, \"1girl\": 9}, \"b\": {\"red hat\": 12}}");
    check_int(adapter_file_open(&adapter, written(), &error), ==, DR_OK);
    check_int(adapter.layer_count, ==, 3);
    check_int(adapter.kind_counts[ADAPTER_LORA], ==, 2);
    check_int(adapter.kind_counts[ADAPTER_DIFFERENCE], ==, 1);
    check_int(adapter.unknown_count, ==, 1);
    check_str(adapter.unknown[0], "bundle_emb.x.string_to_param");
    check_int(adapter.family, ==, FAMILY_SDXL);
    check_int(adapter.word_count, ==, 2);
    check_str(adapter.words[0], "red hat");
    check_str(adapter.words[1], "1girl");
    for (size_t i = 0; i < adapter.layer_count; ++i)
        if (strstr(adapter.layers[i].module, "proj_in")) {
            check_int(adapter.layers[i].rank, ==, 4);
            check(fabsf(adapter.layers[i].scale - 0.5F) < 1e-7F);
        }
    char hash[ADAPTER_HASH_BYTES];
    check_int(adapter_file_hash(&adapter, NULL, hash, &error), ==, DR_OK);
    check_int(strlen(hash), ==, ADAPTER_HASH_DIGITS);
    adapter_file_close(&adapter);
}

/* The digest of the data alone: another text in the header is the same. */
static void hash_is_of_the_data(void)
{
    char hashes[3][ADAPTER_HASH_BYTES];
    for (int i = 0; i < 3; ++i) {
        struct adapter_file adapter;
        w.seed = i == 2;
        put_lora("lora_unet_conv_out", 4, 4, 32, 1);
        adapter_say(&w, "ss_note", i == 0 ? "a" : "another, longer text");
        check_int(adapter_file_open(&adapter, written(), &error), ==, DR_OK);
        check_int(adapter_file_hash(&adapter, NULL, hashes[i], &error), ==, DR_OK);
        adapter_file_close(&adapter);
    }
    w.seed = 0;
    check_str(hashes[0], hashes[1]);
    check(strcmp(hashes[1], hashes[2]) != 0);
}

static void a_hash_that_the_file_says_is_taken(void)
{
    struct adapter_file adapter;
    char hash[ADAPTER_HASH_BYTES];
    put_lora("lora_unet_conv_out", 4, 4, 32, 1);
    adapter_say(&w, "sshs_model_hash", "0123456789abcdef0123");
    check_int(adapter_file_open(&adapter, written(), &error), ==, DR_OK);
    check_int(adapter_file_hash(&adapter, NULL, hash, &error), ==, DR_OK);
    check_str(hash, "0123456789ab");
    adapter_file_close(&adapter);
    put_lora("lora_unet_conv_out", 4, 4, 32, 1);
    adapter_say(&w, "sshs_model_hash", "none");
    check_int(adapter_file_open(&adapter, written(), &error), ==, DR_OK);
    check_int(adapter_file_hash(&adapter, NULL, hash, &error), ==, DR_OK);
    check(strncmp(hash, "none", 4) != 0);
    adapter_file_close(&adapter);
}

static void reads_every_kind(void)
{
    struct adapter_file adapter;
    adapter_put(&w, "lora_unet_a.hada_w1_a", DTYPE_BF16, 1, 2, 8, 2);
    adapter_put(&w, "lora_unet_a.hada_w1_b", DTYPE_BF16, 1, 2, 2, 8);
    adapter_put(&w, "lora_unet_a.hada_w2_a", DTYPE_BF16, 1, 2, 8, 2);
    adapter_put(&w, "lora_unet_a.hada_w2_b", DTYPE_BF16, 1, 2, 2, 8);
    adapter_put(&w, "lora_unet_b.lokr_w1", DTYPE_F32, 1, 2, 2, 2);
    adapter_put(&w, "lora_unet_b.lokr_w2_a", DTYPE_F32, 1, 2, 4, 3);
    adapter_put(&w, "lora_unet_b.lokr_w2_b", DTYPE_F32, 1, 2, 3, 4);
    adapter_put(&w, "lora_unet_b.alpha", DTYPE_F32, 6, 0);
    adapter_put(&w, "lora_unet_c.lora_down.weight", DTYPE_F32, 1, 4, 3, 8, 1, 1);
    adapter_put(&w, "lora_unet_c.lora_mid.weight", DTYPE_F32, 1, 4, 2, 3, 3, 3);
    adapter_put(&w, "lora_unet_c.lora_up.weight", DTYPE_F32, 1, 4, 8, 2, 1, 1);
    adapter_put(&w, "lora_unet_c.dora_scale", DTYPE_F32, 1, 4, 1, 8, 1, 1);
    adapter_put(&w, "lora_unet_d.w_norm", DTYPE_F32, 1, 1, 8);
    adapter_put(&w, "lora_unet_e.diff", DTYPE_F32, 1, 4, 8, 8, 3, 3);
    check_int(adapter_file_open(&adapter, written(), &error), ==, DR_OK);
    for (int kind = 0; kind < ADAPTER_KIND_COUNT; ++kind)
        check_int(adapter.kind_counts[kind], ==, 1);
    check(adapter.has_dora);
    check_int(adapter.layers[1].rank, ==, 3);
    check(fabsf(adapter.layers[1].scale - 2.0F) < 1e-7F);
    adapter_file_close(&adapter);
}

static void refuses_what_is_wrong(void)
{
    adapter_put(&w, "model.diffusion_model.out.2.weight", DTYPE_F32, 1, 1, 4);
    refused(DR_UNSUPPORTED, "it is not a LoRA");
    adapter_put(&w, "lora_unet_a.oft_blocks", DTYPE_F32, 1, 1, 4);
    refused(DR_UNSUPPORTED, "OFT");
    put_lora("lora_unet_a", 8, 4, 8, 0);
    refused(DR_BAD_INPUT, "alpha is 0");
    put_lora("lora_unet_a", 8, 4, 8, NAN);
    refused(DR_NOT_FINITE, "alpha");
    put_lora("lora_unet_a", 8, 0, 8, 1);
    refused(DR_BAD_INPUT, "no matrix");
    adapter_put(&w, "lora_unet_a.lora_up.weight", DTYPE_F32, 1, 2, 8, 4);
    refused(DR_CORRUPT, "no lora_down");
    adapter_put(&w, "lora_unet_a.lora_up.weight", DTYPE_F32, 1, 2, 8, 4);
    adapter_put(&w, "lora_unet_a.lora_down.weight", DTYPE_F32, 1, 2, 5, 8);
    refused(DR_CORRUPT, "does not go with");
    put_lora("lora_unet_a", 8, 4, 8, 1);
    adapter_put(&w, "unet.a.lora_A.weight", DTYPE_F32, 1, 2, 4, 8);
    refused(DR_CORRUPT, "two tensors for one part");
    put_lora("lora_unet_a", 8, 4, 8, 1);
    adapter_put(&w, "lora_unet_a.diff", DTYPE_F32, 1, 2, 8, 8);
    refused(DR_CORRUPT, "in two ways");
}

/* PEFT's alpha: in the file's metadata, or in a config beside its own file. */
static void obeys_pefts_config(void)
{
    struct adapter_file adapter;
    static const char beside[] = "{\"peft_type\": \"LORA\", \"lora_alpha\": 8}";
    const char *const path = scratch_path("adapter_model.safetensors");
    for (int i = 0; i < 3; ++i) {
        adapter_put(&w, "unet.conv_in.lora_A.weight", DTYPE_F16, 0.1F, 4, 4, 4, 3, 3);
        adapter_put(&w, "unet.conv_in.lora_B.weight", DTYPE_F16, 0.1F, 4, 32, 4, 1, 1);
        if (i == 0)
            adapter_say(&w, "lora_adapter_metadata",
                        "{\"unet.lora_alpha\": 6, \"text_encoder.lora_alpha\": 2}");
        if (i == 2)
            scratch_write(scratch_path("adapter_config.json"), beside,
                          sizeof beside - 1);
        adapter_write(&w, path);
        check_int(adapter_file_open(&adapter, path, &error), ==, DR_OK);
        check_real((double)adapter.layers[0].scale, ==,
                   i == 0   ? 1.5
                   : i == 1 ? 1.0
                            : 2.0);
        adapter_file_close(&adapter);
    }
    scratch_write(scratch_path("adapter_config.json"), "{", 1);
    check_int(adapter_file_open(&adapter, path, &error), ==, DR_CORRUPT);
    check_has(error.message, "no JSON object");
}

int main(void)
{
    check_run(reads_layers);
    check_run(hash_is_of_the_data);
    check_run(a_hash_that_the_file_says_is_taken);
    check_run(reads_every_kind);
    check_run(refuses_what_is_wrong);
    check_run(obeys_pefts_config);
    return check_done();
}
