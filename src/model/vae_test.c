#include "model/vae.h"

#include "network.h"

/* float32 against diffusers' float32: the promise is 1e-4, and rounding explains 1e-6. */
static const double golden_bound = 1e-5;
static const double bf16_bound = 0.04;

static const char sd15_arguments[] = "--family sd15 --size tiny --dtype f32";
static const char alone_arguments[] =
    "--family sd15 --size tiny --dtype f32 --part vae";
static const char *sd15_path;

struct loaded {
    struct checkpoint checkpoint;
    struct vae_spec *spec;
    struct region weights;
};

static void load(struct loaded *loaded, const char *path, enum dtype dtype)
{
    struct dr_error err = {0};
    network_open(&loaded->checkpoint, path);
    network_require(vae_spec_create(&loaded->spec,
                                    &loaded->checkpoint.components[ROLE_VAE],
                                    FAMILY_SD15, dtype, &err) == DR_OK,
                    "%s", err.message);
    network_load(vae_component(loaded->spec), &loaded->weights);
}

static void unload(struct loaded *loaded)
{
    region_close(&loaded->weights);
    vae_spec_destroy(&loaded->spec);
    check(loaded->spec == NULL);
    checkpoint_close(&loaded->checkpoint);
}

struct size {
    int32_t n, height, width; /* of the latent */
};

struct bound_decode {
    struct vae_decode_plan vae;
    struct region arena;
};

struct bound_encode {
    struct vae_encode_plan vae;
    struct region arena;
};

static void bind_decode(struct bound_decode *bound, const struct loaded *loaded,
                        struct size size)
{
    struct dr_error err = {0};
    const struct vae_plan_options options = {.n = size.n,
                                             .latent_height = size.height,
                                             .latent_width = size.width};
    network_require(vae_decode_plan_create(&bound->vae, loaded->spec, &options, &err) ==
                        DR_OK,
                    "%s", err.message);
    network_arena(bound->vae.plan, &loaded->weights, &bound->arena);
}

static void unbind_decode(struct bound_decode *bound)
{
    vae_decode_plan_destroy(&bound->vae);
    region_close(&bound->arena);
}

static void bind_encode(struct bound_encode *bound, const struct loaded *loaded,
                        struct size size)
{
    struct dr_error err = {0};
    const struct vae_plan_options options = {.n = size.n,
                                             .latent_height = size.height,
                                             .latent_width = size.width};
    network_require(vae_encode_plan_create(&bound->vae, loaded->spec, &options, &err) ==
                        DR_OK,
                    "%s", err.message);
    network_arena(bound->vae.plan, &loaded->weights, &bound->arena);
}

static void unbind_encode(struct bound_encode *bound)
{
    vae_encode_plan_destroy(&bound->vae);
    region_close(&bound->arena);
}

static struct size size_of(const struct golden *golden, const char *group)
{
    return (struct size){
        .n = golden_dim(golden, group, "latent", 0),
        .height = golden_dim(golden, group, "latent", 1),
        .width = golden_dim(golden, group, "latent", 2),
    };
}

/* Golden latents are the decoder's input: the UNet's scale is taken off already. */
static double decode_error(const struct loaded *loaded, const struct golden *golden,
                           const char *group)
{
    struct bound_decode bound = {0};
    bind_decode(&bound, loaded, size_of(golden, group));
    golden_fill(golden, group, "latent", bound.vae.plan, bound.vae.latent);
    network_run(bound.vae.plan);
    const double error =
        golden_error(golden, group, "decoded", bound.vae.plan, bound.vae.image);
    unbind_decode(&bound);
    return error;
}

static double encode_error(const struct loaded *loaded, const struct golden *golden,
                           const char *group)
{
    struct bound_encode bound = {0};
    bind_encode(&bound, loaded, size_of(golden, group));
    golden_fill(golden, group, "image", bound.vae.plan, bound.vae.image);
    network_run(bound.vae.plan);
    const double error =
        golden_error(golden, group, "moments", bound.vae.plan, bound.vae.moments);
    unbind_encode(&bound);
    return error;
}

static void check_cases(const char *path, enum dtype dtype, double bound)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "vae");
    load(&loaded, path, dtype);
    check_real(decode_error(&loaded, &golden, "even"), <=, bound);
    check_real(decode_error(&loaded, &golden, "odd"), <=, bound);
    check_real(encode_error(&loaded, &golden, "even"), <=, bound);
    check_real(encode_error(&loaded, &golden, "odd"), <=, bound);
    unload(&loaded);
    golden_close(&golden);
}

static void equals_diffusers(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "vae");
    golden_check_checkpoint(&golden, sd15_path);
    golden_close(&golden);
    load(&loaded, sd15_path, DTYPE_F32);
    const struct vae_info info = vae_info(loaded.spec);
    check(info.has_encoder);
    unload(&loaded);
    check_cases(sd15_path, DTYPE_F32, golden_bound);
}

static void is_near_in_bf16(void)
{
    check_cases(sd15_path, DTYPE_BF16, bf16_bound);
}

/* Alone, with a prefix, with matrices for the attention: the same numbers. */
static void takes_all_spellings(void)
{
    static const char *const more[] = {"", "--prefix", "--attn-2d"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; ++i) {
        char arguments[128];
        snprintf(arguments, sizeof arguments, "%s %s", alone_arguments, more[i]);
        check_cases(network_checkpoint(arguments), DTYPE_F32, golden_bound);
    }
}

static void notices_one_changed_weight(void)
{
    static const struct {
        const char *name;
        bool decoder;
    } cases[] = {
        {"post_quant_conv.bias",                   true },
        {"decoder.conv_in.weight",                 true },
        {"decoder.mid.block_1.conv2.weight",       true },
        {"decoder.mid.attn_1.k.weight",            true },
        {"decoder.mid.attn_1.v.bias",              true },
        {"decoder.up.1.block.0.nin_shortcut.bias", true },
        {"decoder.up.2.upsample.conv.weight",      true },
        {"decoder.up.0.block.2.norm2.bias",        true },
        {"decoder.norm_out.weight",                true },
        {"encoder.conv_in.weight",                 false},
        {"encoder.down.0.downsample.conv.weight",  false},
        {"encoder.down.3.block.1.conv1.bias",      false},
        {"encoder.mid.attn_1.q.weight",            false},
        {"encoder.mid.attn_1.proj_out.weight",     false},
        {"quant_conv.weight",                      false},
    };
    struct golden golden;
    golden_open(&golden, "vae");
    const char *const path = network_checkpoint(alone_arguments);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct loaded loaded = {0};
        const float before = network_poke(path, ROLE_VAE, cases[i].name, 1, 8.0F);
        load(&loaded, path, DTYPE_F32);
        const double error = cases[i].decoder ? decode_error(&loaded, &golden, "odd")
                                              : encode_error(&loaded, &golden, "odd");
        if (!(error > 10 * golden_bound)) fprintf(stderr, "     %s\n", cases[i].name);
        check_real(error, >, 10 * golden_bound);
        unload(&loaded);
        (void)network_poke(path, ROLE_VAE, cases[i].name, 1, before);
    }
    golden_close(&golden);
}

/* Sums are over other blocks of rows, so equal to rounding, not to the byte. */
static void batch_equals_single(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    struct bound_decode both = {0}, one = {0};
    golden_open(&golden, "vae");
    load(&loaded, sd15_path, DTYPE_F32);
    struct size size = size_of(&golden, "odd");
    check_int(size.n, ==, 2);
    bind_decode(&both, &loaded, size);
    size.n = 1;
    bind_decode(&one, &loaded, size);
    golden_fill(&golden, "odd", "latent", both.vae.plan, both.vae.latent);
    network_run(both.vae.plan);
    for (size_t i = 0; i < 2; ++i) {
        network_take_image(one.vae.plan, one.vae.latent, both.vae.plan, both.vae.latent,
                           i);
        network_run(one.vae.plan);
        const double error = network_image_error(one.vae.plan, one.vae.image,
                                                 both.vae.plan, both.vae.image, i);
        fprintf(stderr, "     image %zu alone: relative L2 %.3g\n", i, error);
        /* How many tiles a convolution has, and so whether it is F(4x4), depends on the number of images. */
        check_real(error, <=, 4e-6);
    }
    unbind_decode(&one);
    unbind_decode(&both);
    unload(&loaded);
    golden_close(&golden);
}

static void is_deterministic(void)
{
    struct golden golden;
    golden_open(&golden, "vae");
    for (int i = 0; i < 2; ++i) {
        struct loaded loaded = {0};
        struct bound_decode first = {0}, second = {0};
        load(&loaded, sd15_path, i == 0 ? DTYPE_F32 : network_narrow());
        bind_decode(&first, &loaded, size_of(&golden, "odd"));
        bind_decode(&second, &loaded, size_of(&golden, "odd"));
        memset(second.arena.data, 0x5a, plan_bytes(second.vae.plan));
        golden_fill(&golden, "odd", "latent", first.vae.plan, first.vae.latent);
        golden_fill(&golden, "odd", "latent", second.vae.plan, second.vae.latent);
        network_run(second.vae.plan);
        float *const kept = network_read(second.vae.plan, second.vae.image);
        for (int run = 0; run < 2; ++run) {
            network_run(first.vae.plan);
            check(network_equals(first.vae.plan, first.vae.image, kept));
        }
        free(kept);
        unbind_decode(&second);
        unbind_decode(&first);
        unload(&loaded);
    }
    golden_close(&golden);
}

static void plans_exact_bytes(void)
{
    static const struct size sizes[] = {
        {1, 8,  8},
        {2, 5,  7},
        {1, 1,  1},
        {1, 17, 3}
    };
    const size_t page = region_page_bytes();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        struct loaded loaded = {0};
        struct bound_decode decode = {0};
        struct bound_encode encode = {0};
        load(&loaded, sd15_path, network_narrow());
        const size_t weights = network_ledger.private_bytes;
        check_int(weights, ==,
                  (vae_component(loaded.spec)->weights_bytes + page - 1) / page * page);
        bind_decode(&decode, &loaded, sizes[i]);
        network_run(decode.vae.plan);
        check_int(network_ledger.private_bytes, ==,
                  weights + (plan_bytes(decode.vae.plan) + page - 1) / page * page);
        unbind_decode(&decode);
        bind_encode(&encode, &loaded, sizes[i]);
        network_run(encode.vae.plan);
        check_int(network_ledger.private_bytes, ==,
                  weights + (plan_bytes(encode.vae.plan) + page - 1) / page * page);
        unbind_encode(&encode);
        unload(&loaded);
        check_int(network_ledger.private_bytes, ==, 0);
    }
}

/* ---- scale and sample ------------------------------------------------------------------ */

static struct vae_info info_of(const char *path, enum family family)
{
    struct checkpoint checkpoint;
    struct vae_spec *spec = NULL;
    struct dr_error err = {0};
    network_open(&checkpoint, path);
    network_require(vae_spec_create(&spec, &checkpoint.components[ROLE_VAE], family,
                                    DTYPE_F32, &err) == DR_OK,
                    "%s", err.message);
    const struct vae_info info = vae_info(spec);
    vae_spec_destroy(&spec);
    checkpoint_close(&checkpoint);
    return info;
}

static void reads_scale(void)
{
    const char *const path = network_checkpoint(alone_arguments);
    check_real(info_of(path, FAMILY_SD15).scale_factor, ==, 0.18215F);
    check_real(info_of(path, FAMILY_SDXL).scale_factor, ==, 0.13025F);
    check_real(info_of(path, FAMILY_SD15).shift_factor, ==, 0.0F);
    const char *const scaled =
        network_with_metadata(path, "darkroom.vae.scale_factor", "0.5");
    check_real(info_of(scaled, FAMILY_SDXL).scale_factor, ==, 0.5F);
    const char *const shifted =
        network_with_metadata(path, "darkroom.vae.shift_factor", "0.25");
    const struct vae_info info = info_of(shifted, FAMILY_SD15);
    check_real(info.shift_factor, ==, 0.25F);
    check_real(info.scale_factor, ==, 0.18215F);

    float latent[3] = {0.18215F, -1.0F, 0.0F};
    vae_unscale(&info, latent, 3);
    check_real(latent[0], ==, 1.25F);
    check_real(latent[2], ==, 0.25F);
    vae_scale(&info, latent, 3);
    check_real(fabsf(latent[1] + 1.0F), <=, 1e-6F);
}

/* Mean and deviation of each channel, and what cannot be divided by. */
static void reads_means_and_deviations(void)
{
    static const struct {
        const char *key, *text;
    } refused[] = {
        {"darkroom.vae.scale_factor", "0"        },
        {"darkroom.vae.scale_factor", "1e-30"    },
        {"darkroom.vae.scale_factor", "-0.18215" },
        {"darkroom.vae.latents_std",  "1,1,0,1"  },
        {"darkroom.vae.latents_std",  "1,1,1"    },
        {"darkroom.vae.latents_std",  "1,1,1,1,1"},
        {"darkroom.vae.latents_mean", "1,1,1,"   },
        {"darkroom.vae.latents_mean", "1,nan,1,1"},
        {"darkroom.vae.latents_mean", ""         },
        {"darkroom.vae.latents_mean", "a"        },
    };
    const char *const path = network_checkpoint(alone_arguments);
    const char *const moved =
        network_with_metadata(path, "darkroom.vae.latents_mean", "0.5,-0.25,0,1");
    const struct vae_info info = info_of(moved, FAMILY_SD15);
    float latent[] = {0.18215F, 0, 0, 0, 0, 0, 0, -0.18215F};
    vae_unscale(&info, latent, 8);
    check_real(latent[0], ==, 1.5F);
    check_real(latent[1], ==, -0.25F);
    check_real(latent[7], ==, 0.0F);
    vae_scale(&info, latent, 8);
    check_real(fabsf(latent[0] - 0.18215F), <=, 1e-6F);
    check_real(fabsf(latent[5]), <=, 1e-6F);
    const char *const wide =
        network_with_metadata(path, "darkroom.vae.latents_std", "1,2,1,0.5");
    const struct vae_info deviations = info_of(wide, FAMILY_SD15);
    float other[] = {0.18215F, 0.18215F, 0.18215F, 0.18215F};
    vae_unscale(&deviations, other, 4);
    check_real(other[0], ==, 1.0F);
    check_real(other[1], ==, 2.0F);
    check_real(other[3], ==, 0.5F);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        struct checkpoint checkpoint;
        struct vae_spec *spec = NULL;
        struct dr_error err = {0};
        network_open(&checkpoint,
                     network_with_metadata(path, refused[i].key, refused[i].text));
        check_int(vae_spec_create(&spec, &checkpoint.components[ROLE_VAE], FAMILY_SD15,
                                  DTYPE_F32, &err),
                  ==, DR_UNSUPPORTED);
        check_has(err.message, strrchr(refused[i].key, '.') + 1);
        checkpoint_close(&checkpoint);
    }
}

static void samples_the_distribution(void)
{
    const float moments[16] = {1, 2,  3,    4,
                               0, 2,  -100, 100, /* a cell: mean, log var */
                               5, -6, 7,    0.5,
                               0, -2, 0,    0};
    const float noise[8] = {1, 1, 1, 1, -2, 0.5F, 0, 3};
    float latent[8];
    vae_sample(2, moments, NULL, latent);
    check_real(latent[0], ==, 1.0F);
    check_real(latent[3], ==, 4.0F);
    check_real(latent[5], ==, -6.0F);
    vae_sample(2, moments, noise, latent);
    check_real(latent[0], ==, 2.0F);
    check_real(fabsf(latent[1] - (2.0F + expf(1.0F))), <=, 1e-6F);
    check_real(fabsf(latent[2] - (3.0F + expf(-15.0F))), <=,
               1e-6F); /* clamped to -30 */
    check_real(fabsf(latent[3] / (4.0F + expf(10.0F)) - 1.0F), <=, 1e-6F); /* to 20 */
    check_real(latent[4], ==, 3.0F);
    check_real(fabsf(latent[5] - (-6.0F + 0.5F * expf(-1.0F))), <=, 1e-6F);
}

/* ---- what does not go ------------------------------------------------------------------ */

static void names_missing_tensors(void)
{
    static const char *const names[] = {
        "decoder.conv_in.weight",
        "decoder.mid.attn_1.k.bias",
        "encoder.conv_out.bias",
        "decoder.up.3.block.1.conv2.weight",
        "decoder.up.2.upsample.conv.bias",
        "quant_conv.weight",
        "encoder.down.1.block.0.nin_shortcut.weight",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct checkpoint checkpoint;
        struct vae_spec *spec = NULL;
        struct dr_error err = {0};
        char arguments[192];
        snprintf(arguments, sizeof arguments, "%s --drop %s", alone_arguments,
                 names[i]);
        network_open(&checkpoint, network_checkpoint(arguments));
        check_int(vae_spec_create(&spec, &checkpoint.components[ROLE_VAE], FAMILY_SD15,
                                  DTYPE_F32, &err),
                  ==, DR_INCOMPLETE);
        check(spec == NULL);
        check_has(err.message, names[i]);
        fprintf(stderr, "     %s\n", err.message);
        checkpoint_close(&checkpoint);
    }
}

/* The code and message where one tensor claims other dims. */
static enum dr_code misshapen(const char *name, int32_t rank, const int64_t *dims,
                              struct dr_error *err)
{
    struct checkpoint checkpoint;
    struct vae_spec *spec = NULL;
    network_open(&checkpoint, sd15_path);
    const struct component_index *const index = &checkpoint.components[ROLE_VAE];
    struct tensor changed;
    network_reshape(index, name, rank, dims, &changed);
    *err = (struct dr_error){0};
    const enum dr_code code =
        vae_spec_create(&spec, index, FAMILY_SD15, DTYPE_F32, err);
    check(spec == NULL);
    checkpoint_close(&checkpoint);
    fprintf(stderr, "     %s\n", err->message);
    return code;
}

static void refuses_other_shapes(void)
{
    struct dr_error err;
    const int64_t flux[] = {128, 16, 3, 3};
    check_int(misshapen("decoder.conv_in.weight", 4, flux, &err), ==, DR_UNSUPPORTED);
    check_has(err.message, "16 latent channels");

    const struct {
        const char *name;
        int32_t rank;
        int64_t dims[4];
    } cases[] = {
        {"post_quant_conv.weight",              4, {4, 4, 3, 3}            },
        {"decoder.mid.attn_1.q.weight",         4, {128, 64, 1, 1}         },
        {"decoder.mid.attn_1.q.bias",           1, {127}                   },
        {"decoder.conv_out.weight",             4, {4, 32, 3, 3}           },
        {"encoder.conv_in.weight",              4, {32, 4, 3, 3}           },
        {"encoder.down.2.block.1.norm1.weight", 1, {64}                    },
        {"encoder.conv_in.weight",              4, {INT32_MAX, 3, 3, 3}    },
        {"decoder.conv_in.weight",              4, {INT32_MAX / 2, 4, 3, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        check_int(misshapen(cases[i].name, cases[i].rank, cases[i].dims, &err), ==,
                  DR_INCOMPLETE);
        check_has(err.message, cases[i].name);
    }
}

/* Four levels alone are 8 pixels a cell; the smallest side says so before anything is planned. */
static void refuses_other_factors(void)
{
    static const struct {
        int levels;
        const char *message;
    } cases[] = {
        {1, "1 level, or 1 pixel per latent cell"    },
        {2, "2 levels, or 2 pixels per latent cell"  },
        {3, "3 levels, or 4 pixels per latent cell"  },
        {5, "5 levels, or 16 pixels per latent cell" },
        {9, "9 levels, or 256 pixels per latent cell"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct checkpoint checkpoint;
        struct vae_spec *spec = NULL;
        struct dr_error err = {0};
        char arguments[192];
        snprintf(arguments, sizeof arguments, "%s --vae-levels %d", alone_arguments,
                 cases[i].levels);
        network_open(&checkpoint, network_checkpoint(arguments));
        check_int(vae_spec_create(&spec, &checkpoint.components[ROLE_VAE], FAMILY_SD15,
                                  DTYPE_F32, &err),
                  ==, DR_UNSUPPORTED);
        check(spec == NULL);
        check_has(err.message, cases[i].message);
        checkpoint_close(&checkpoint);
    }
}

/* The plans are of the sizes that stages count on, whatever the latent's. */
static void plans_eight_pixels_a_cell(void)
{
    static const struct size sizes[] = {
        {1, 1, 1},
        {2, 3, 5}
    };
    struct loaded loaded = {0};
    load(&loaded, sd15_path, DTYPE_F32);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        const struct size size = sizes[i];
        const struct shape image = {size.n, 8 * size.height, 8 * size.width, 3};
        struct bound_decode decode = {0};
        struct bound_encode encode = {0};
        bind_decode(&decode, &loaded, size);
        plan_expect(decode.vae.plan, decode.vae.image, image, DTYPE_F32);
        plan_expect(decode.vae.plan, decode.vae.latent,
                    (struct shape){size.n, size.height, size.width, 4}, DTYPE_F32);
        unbind_decode(&decode);
        bind_encode(&encode, &loaded, size);
        plan_expect(encode.vae.plan, encode.vae.image, image, DTYPE_F32);
        plan_expect(encode.vae.plan, encode.vae.moments,
                    (struct shape){size.n, size.height, size.width, 8}, DTYPE_F32);
        unbind_encode(&encode);
    }
    unload(&loaded);
}

int main(void)
{
    network_start();
    sd15_path = network_checkpoint(sd15_arguments);
    check_run(equals_diffusers);
    network_run_bf16(is_near_in_bf16);
    check_run(takes_all_spellings);
    check_run(notices_one_changed_weight);
    check_run(batch_equals_single);
    check_run(is_deterministic);
    check_run(plans_exact_bytes);
    check_run(reads_scale);
    check_run(reads_means_and_deviations);
    check_run(samples_the_distribution);
    check_run(names_missing_tensors);
    check_run(refuses_other_shapes);
    check_run(refuses_other_factors);
    check_run(plans_eight_pixels_a_cell);
    network_finish();
    return check_done();
}
