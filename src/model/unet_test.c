#include "model/unet.h"

#include "network.h"

/* float32 against diffusers' float32: the promise is 1e-4, and rounding explains 1e-6. */
static const double golden_bound = 1e-5;
/* bfloat16 keeps 8 bits; a few percent after some sixty layers. */
static const double bf16_bound = 0.05;

static const char sd15_arguments[] = "--family sd15 --size tiny --dtype f32";
static const char sdxl_arguments[] = "--family sdxl --size tiny --dtype f32";
static const char *sd15_path;

/* A UNet with its weights in memory. */
struct loaded {
    struct checkpoint checkpoint;
    struct unet_spec *spec;
    struct region weights;
};

static void load(struct loaded *loaded, const char *path, enum dtype dtype)
{
    struct dr_error err = {0};
    network_open(&loaded->checkpoint, path);
    network_require(unet_spec_create(&loaded->spec,
                                     &loaded->checkpoint.components[ROLE_UNET],
                                     loaded->checkpoint.family, dtype, &err) == DR_OK,
                    "%s", err.message);
    network_load(unet_component(loaded->spec), &loaded->weights);
}

static void unload(struct loaded *loaded)
{
    region_close(&loaded->weights);
    unet_spec_destroy(&loaded->spec);
    check(loaded->spec == NULL);
    checkpoint_close(&loaded->checkpoint);
}

/* A bound plan. */
struct bound {
    struct unet_plan unet;
    struct region arena;
};

static void bind(struct bound *bound, const struct loaded *loaded,
                 const struct unet_shape *shape)
{
    struct dr_error err = {0};
    network_require(unet_plan_create(&bound->unet, loaded->spec, shape, false, &err) ==
                        DR_OK,
                    "%s", err.message);
    network_arena(bound->unet.plan, &loaded->weights, &bound->arena);
}

static void unbind(struct bound *bound)
{
    unet_plan_destroy(&bound->unet);
    check(bound->unet.plan == NULL);
    region_close(&bound->arena);
}

static void fill(const struct golden *golden, const char *group, struct bound *bound)
{
    struct plan *const plan = bound->unet.plan;
    float *const time = golden_read(golden, NULL, "time", NULL);
    unet_plan_set_time(&bound->unet, time[0]);
    free(time);
    golden_fill(golden, group, "latent", plan, bound->unet.latent);
    golden_fill(golden, group, "context", plan, bound->unet.context);
    if (bound->unet.vector.id != 0)
        golden_fill(golden, group, "vector", plan, bound->unet.vector);
}

static struct unet_shape shape_of(const struct golden *golden, const char *group)
{
    return (struct unet_shape){
        .n = golden_dim(golden, group, "latent", 0),
        .height = golden_dim(golden, group, "latent", 1),
        .width = golden_dim(golden, group, "latent", 2),
        .tokens = golden_dim(golden, group, "context", 1),
    };
}

/* The error of one golden case on loaded weights. */
static double case_error(const struct loaded *loaded, const struct golden *golden,
                         const char *group)
{
    struct bound bound = {0};
    const struct unet_shape shape = shape_of(golden, group);
    bind(&bound, loaded, &shape);
    fill(golden, group, &bound);
    network_run(bound.unet.plan);
    const double error =
        golden_error(golden, group, "result", bound.unet.plan, bound.unet.result);
    unbind(&bound);
    return error;
}

static void equals_diffusers_sd15(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "unet");
    golden_check_checkpoint(&golden, sd15_path);
    load(&loaded, sd15_path, DTYPE_F32);
    const struct unet_info info = unet_info(loaded.spec);
    check_int(info.in_channels, ==, 4);
    check_int(info.out_channels, ==, 4);
    check_int(info.model_channels, ==, 32);
    check_int(info.levels, ==, 4);
    check_int(info.factor, ==, 8);
    check_int(info.context_width, ==, 64);
    check_int(info.time_width, ==, 128);
    check_int(info.vector_width, ==, 0);
    check_real(case_error(&loaded, &golden, "even"), <=, golden_bound);
    check_real(case_error(&loaded, &golden, "odd"), <=, golden_bound);
    unload(&loaded);
    golden_close(&golden);
}

static void equals_diffusers_sdxl(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    const char *const path = network_checkpoint(sdxl_arguments);
    golden_open(&golden, "unet_sdxl");
    golden_check_checkpoint(&golden, path);
    load(&loaded, path, DTYPE_F32);
    const struct unet_info info = unet_info(loaded.spec);
    check_int(info.levels, ==, 3);
    check_int(info.factor, ==, 4);
    check_int(info.context_width, ==, 64 + 128);
    check_int(info.vector_width, ==, 128 + 6 * 256);
    check_real(case_error(&loaded, &golden, "even"), <=, golden_bound);
    check_real(case_error(&loaded, &golden, "odd"), <=, golden_bound);
    unload(&loaded);
    golden_close(&golden);
}

static void is_near_in_bf16(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "unet");
    load(&loaded, sd15_path, DTYPE_BF16);
    check_real(case_error(&loaded, &golden, "even"), <=, bf16_bound);
    check_real(case_error(&loaded, &golden, "odd"), <=, bf16_bound);
    unload(&loaded);
    golden_close(&golden);
}

/* proj_in and proj_out as matrices hold the same numbers, so the result is the same. */
static void takes_matrices_for_kernels(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    char arguments[128];
    snprintf(arguments, sizeof arguments, "%s --linear-proj", sd15_arguments);
    golden_open(&golden, "unet");
    load(&loaded, network_checkpoint(arguments), DTYPE_F32);
    check_real(case_error(&loaded, &golden, "even"), <=, golden_bound);
    unload(&loaded);
    golden_close(&golden);
}

static void takes_heads_from_metadata(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "unet");
    load(&loaded, network_with_metadata(sd15_path, "darkroom.unet.head_dim", "16"),
         DTYPE_F32);
    check_real(case_error(&loaded, &golden, "head_dim16"), <=, golden_bound);
    unload(&loaded);

    /* The same number as the family's rule says, and the rule itself on the other case. */
    load(&loaded, network_with_metadata(sd15_path, "darkroom.unet.heads", "8"),
         DTYPE_F32);
    check_real(case_error(&loaded, &golden, "even"), <=, golden_bound);
    check_real(case_error(&loaded, &golden, "head_dim16"), >, 10 * golden_bound);
    unload(&loaded);
    golden_close(&golden);
}

/* Each part of the network reaches the result: one changed number fails the golden test. */
static void notices_one_changed_weight(void)
{
    static const char *const names[] = {
        "time_embed.0.bias",
        "input_blocks.0.0.weight",
        "input_blocks.4.0.emb_layers.1.weight", /* at 32 channels a norm undoes it */
        "input_blocks.1.1.transformer_blocks.0.attn1.to_k.weight",
        "input_blocks.4.0.skip_connection.weight",
        "input_blocks.6.0.op.bias",
        "middle_block.1.transformer_blocks.0.attn2.to_v.weight",
        "middle_block.1.transformer_blocks.0.ff.net.0.proj.bias",
        "output_blocks.2.1.conv.weight",
        "output_blocks.5.0.skip_connection.weight",
        "output_blocks.8.1.norm.weight",
        "output_blocks.11.0.in_layers.0.bias",
        "out.2.weight",
    };
    struct golden golden;
    golden_open(&golden, "unet");
    const char *const path =
        network_checkpoint("--family sd15 --size tiny --dtype f32 --without vae");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct loaded loaded = {0};
        const float before = network_poke(path, ROLE_UNET, names[i], 3, 8.0F);
        load(&loaded, path, DTYPE_F32);
        const double error = case_error(&loaded, &golden, "odd");
        if (!(error > 10 * golden_bound)) fprintf(stderr, "     %s\n", names[i]);
        check_real(error, >, 10 * golden_bound);
        unload(&loaded);
        (void)network_poke(path, ROLE_UNET, names[i], 3, before);
    }
    golden_close(&golden);
}

/* One image of a batch does not see the others. Sums are over other blocks of rows, so the
 * result is the same to rounding, not to the byte. */
static void batch_equals_single(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    struct bound both = {0}, one = {0};
    golden_open(&golden, "unet");
    load(&loaded, sd15_path, DTYPE_F32);
    struct unet_shape shape = shape_of(&golden, "even");
    check_int(shape.n, ==, 2);
    bind(&both, &loaded, &shape);
    fill(&golden, "even", &both);
    network_run(both.unet.plan);
    shape.n = 1;
    bind(&one, &loaded, &shape);
    network_take_image(one.unet.plan, one.unet.time, both.unet.plan, both.unet.time, 0);
    for (size_t i = 0; i < 2; ++i) {
        network_take_image(one.unet.plan, one.unet.latent, both.unet.plan,
                           both.unet.latent, i);
        network_take_image(one.unet.plan, one.unet.context, both.unet.plan,
                           both.unet.context, i);
        network_run(one.unet.plan);
        const double error = network_image_error(one.unet.plan, one.unet.result,
                                                 both.unet.plan, both.unet.result, i);
        fprintf(stderr, "     image %zu alone: relative L2 %.3g\n", i, error);
        /* How many tiles a convolution has, and so whether it is F(4x4), depends on the number of images. */
        check_real(error, <=, 4e-6);
    }
    unbind(&one);
    unbind(&both);
    unload(&loaded);
    golden_close(&golden);
}

/* A golden case whose context is its own twice, or its own and another's; its error. */
static double twice_error(const struct loaded *loaded, const struct golden *golden,
                          const char *group, const char *other)
{
    struct bound bound = {0};
    struct unet_shape shape = shape_of(golden, group);
    size_t count = 0;
    const int32_t tokens = shape.tokens;
    float *const first = golden_read(golden, group, "context", &count);
    float *const second = golden_read(golden, other, "context", NULL);
    float *const both = malloc(2 * count * sizeof *both);
    network_require(both != NULL, "no memory");
    const size_t chunk = count / (size_t)shape.n;
    for (size_t i = 0; i < (size_t)shape.n; ++i) {
        memcpy(both + 2 * i * chunk, first + i * chunk, chunk * sizeof *both);
        memcpy(both + (2 * i + 1) * chunk, second + i * chunk, chunk * sizeof *both);
    }
    shape.tokens = 2 * tokens;
    bind(&bound, loaded, &shape);
    struct plan *const plan = bound.unet.plan;
    check_int(network_count(plan_shape(plan, bound.unet.context)), ==, 2 * count);
    float *const time = golden_read(golden, NULL, "time", NULL);
    unet_plan_set_time(&bound.unet, time[0]);
    golden_fill(golden, group, "latent", plan, bound.unet.latent);
    if (bound.unet.vector.id != 0)
        golden_fill(golden, group, "vector", plan, bound.unet.vector);
    plan_write(plan, bound.unet.context, 0, 2 * count, both);
    network_run(plan);
    const double error = golden_error(golden, group, "result", plan, bound.unet.result);
    free(time);
    free(both);
    free(second);
    free(first);
    unbind(&bound);
    return error;
}

/* Attention to a context that is there twice is attention to it once: every token has half the share, twice.
 * So diffusers' results for 77 tokens are the reference for 154 as well. */
static void takes_contexts_of_two_chunks(const char *name, const char *path)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, name);
    load(&loaded, path, DTYPE_F32);
    check_real(twice_error(&loaded, &golden, "even", "even"), <=, golden_bound);
    check_real(twice_error(&loaded, &golden, "odd", "odd"), <=, golden_bound);
    check_real(twice_error(&loaded, &golden, "even", "odd"), >, 10 * golden_bound);
    unload(&loaded);
    golden_close(&golden);
}

static void takes_two_chunks_sd15(void)
{
    takes_contexts_of_two_chunks("unet", sd15_path);
}

static void takes_two_chunks_sdxl(void)
{
    takes_contexts_of_two_chunks("unet_sdxl", network_checkpoint(sdxl_arguments));
}

/* The same bytes from the same plan, and from another plan in another arena. */
static void is_deterministic(enum dtype dtype)
{
    struct golden golden;
    struct loaded loaded = {0};
    struct bound first = {0}, second = {0};
    golden_open(&golden, "unet");
    load(&loaded, sd15_path, dtype);
    const struct unet_shape shape = shape_of(&golden, "odd");
    bind(&first, &loaded, &shape);
    bind(&second, &loaded, &shape);

    fill(&golden, "odd", &first);
    network_run(first.unet.plan);
    float *const kept = network_read(first.unet.plan, first.unet.result);
    network_run(first.unet.plan);
    check(network_equals(first.unet.plan, first.unet.result, kept));

    memset(second.arena.data, 0x5a, plan_bytes(second.unet.plan));
    fill(&golden, "odd", &second);
    network_run(second.unet.plan);
    check(network_equals(second.unet.plan, second.unet.result, kept));

    free(kept);
    unbind(&second);
    unbind(&first);
    unload(&loaded);
    golden_close(&golden);
}

static void is_deterministic_f32(void)
{
    is_deterministic(DTYPE_F32);
}

static void is_deterministic_bf16(void)
{
    is_deterministic(DTYPE_BF16);
}

/* What is predicted before anything is mapped is what the ledger sees. */
static void plans_exact_bytes(void)
{
    static const struct unet_shape shapes[] = {
        {1, 8,  8,  77,  false, NULL},
        {2, 16, 16, 77,  false, NULL},
        {2, 9,  11, 77,  false, NULL},
        {1, 1,  1,  77,  false, NULL},
        {3, 13, 5,  154, false, NULL},
    };
    const size_t page = region_page_bytes();
    struct golden golden;
    golden_open(&golden, "unet");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
        struct loaded loaded = {0};
        struct bound bound = {0};
        struct dr_error err = {0};
        network_open(&loaded.checkpoint, sd15_path);
        check_int(unet_spec_create(&loaded.spec,
                                   &loaded.checkpoint.components[ROLE_UNET],
                                   FAMILY_SD15, network_narrow(), &err),
                  ==, DR_OK);
        const struct component_spec *const component = unet_component(loaded.spec);
        check_int(unet_plan_create(&bound.unet, loaded.spec, &shapes[i], false, &err),
                  ==, DR_OK);
        const size_t arena = (plan_bytes(bound.unet.plan) + page - 1) / page * page;
        const size_t weights = (component->weights_bytes + page - 1) / page * page;
        check_int(network_ledger.private_bytes, ==, 0);

        ledger_reset_peak(&network_ledger);
        network_load(component, &loaded.weights);
        network_arena(bound.unet.plan, &loaded.weights, &bound.arena);
        check_int(network_ledger.private_bytes, ==, weights + arena);
        unet_plan_set_time(&bound.unet, 10.0F);
        network_run(bound.unet.plan);
        check_int(network_ledger.private_bytes, ==, weights + arena);
        unbind(&bound);
        unload(&loaded);
        check_int(network_ledger.private_bytes, ==, 0);
    }
    golden_close(&golden);
}

/* ---- what does not go ------------------------------------------------------------------ */

/* The message for a checkpoint that must be refused; valid until the next call. */
static const char *refusal(const char *arguments, enum dr_code expected)
{
    static struct dr_error err;
    struct checkpoint checkpoint;
    struct unet_spec *spec = NULL;
    err = (struct dr_error){0};
    network_open(&checkpoint, network_checkpoint(arguments));
    check_int(unet_spec_create(&spec, &checkpoint.components[ROLE_UNET],
                               checkpoint.family, DTYPE_F32, &err),
              ==, expected);
    check(spec == NULL);
    checkpoint_close(&checkpoint);
    fprintf(stderr, "     %s\n", err.message);
    return err.message;
}

static void refuses_other_input_channels(void)
{
    check_has(refusal("--family sd15 --size tiny --unet-channels 9", DR_UNSUPPORTED),
              "inpainting");
    check_has(refusal("--family sd15 --size tiny --unet-channels 8", DR_UNSUPPORTED),
              "pix2pix");
    check_has(refusal("--family sd15 --size tiny --unet-channels 5", DR_UNSUPPORTED),
              "5 input channels");
}

static void names_missing_tensors(void)
{
#define DROP(name) " --drop model.diffusion_model." name
    const char *const text =
        refusal("--family sd15 --size tiny" DROP("middle_block.1.norm.bias")
                    DROP("output_blocks.5.2.conv.weight")
                        DROP("input_blocks.2.1.transformer_blocks.0.attn1.to_v.weight"),
                DR_INCOMPLETE);
    check_has(text, "3 ");
    check_has(text, "middle_block.1.norm.bias");
    check_has(text, "output_blocks.5.2.conv.weight");
    check_has(text, "input_blocks.2.1.transformer_blocks.0.attn1.to_v.weight");

    check_has(refusal("--family sd15 --size tiny" DROP(
                          "input_blocks.4.0.in_layers.2.weight"),
                      DR_INCOMPLETE),
              "input_blocks.4.0.in_layers.2.weight");
    check_has(refusal("--family sd15 --size tiny" DROP(
                          "output_blocks.3.0.skip_connection.weight"),
                      DR_INCOMPLETE),
              "output_blocks.3.0.skip_connection.weight");
    check_has(refusal("--family sd15 --size tiny" DROP("input_blocks.0.0.weight"),
                      DR_INCOMPLETE),
              "input_blocks.0.0.weight");
    check_has(refusal("--family sdxl --size tiny" DROP("label_emb.0.2.weight"),
                      DR_INCOMPLETE),
              "label_emb.0.2.weight");
#undef DROP
}

/* The message where one tensor claims other dims. */
static const char *misshapen(const char *name, int32_t rank, const int64_t *dims)
{
    static struct dr_error err;
    struct checkpoint checkpoint;
    struct unet_spec *spec = NULL;
    err = (struct dr_error){0};
    network_open(&checkpoint, sd15_path);
    const struct component_index *const index = &checkpoint.components[ROLE_UNET];
    struct tensor changed;
    network_reshape(index, name, rank, dims, &changed);
    const enum dr_code code =
        unet_spec_create(&spec, index, checkpoint.family, DTYPE_F32, &err);
    check(code == DR_INCOMPLETE || code == DR_UNSUPPORTED);
    check(spec == NULL);
    checkpoint_close(&checkpoint);
    fprintf(stderr, "     %s\n", err.message);
    return err.message;
}

static void names_misshapen_tensors(void)
{
    const struct {
        const char *name;
        int32_t rank;
        int64_t dims[4];
    } cases[] = {
        {"input_blocks.1.0.in_layers.0.weight",                     1, {33}                      },
        {"input_blocks.1.0.in_layers.2.weight",                     4, {32, 31, 3, 3}            },
        {"input_blocks.1.0.out_layers.3.weight",                    4, {32, 32, 1, 1}            },
        {"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", 2, {32, 65}                  },
        {"input_blocks.1.1.proj_in.weight",                         3, {32, 32, 1}               },
        {"output_blocks.0.0.skip_connection.weight",                4, {128, 255, 1, 1}          },
        {"time_embed.2.weight",                                     2, {128, 64}                 },
        {"middle_block.1.transformer_blocks.0.ff.net.2.weight",     2, {128, 500}                },
 /* sums and multiples of widths overflow */
        {"input_blocks.0.0.weight",                                 4, {INT32_MAX, 4, 3, 3}      },
        {"input_blocks.0.0.weight",                                 4, {INT64_MAX, 4, 3, 3}      },
        {"middle_block.0.in_layers.2.weight",                       4, {INT32_MAX / 3, 128, 3, 3}},
        {"middle_block.1.transformer_blocks.0.attn2.to_k.weight",   2, {128, INT32_MAX}          },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i)
        check_has(misshapen(cases[i].name, cases[i].rank, cases[i].dims),
                  cases[i].name);
}

static void refuses_heads_that_do_not_divide(void)
{
    struct checkpoint checkpoint;
    struct unet_spec *spec = NULL;
    struct dr_error err = {0};
    network_open(&checkpoint,
                 network_with_metadata(sd15_path, "darkroom.unet.heads", "7"));
    check_int(unet_spec_create(&spec, &checkpoint.components[ROLE_UNET], FAMILY_SD15,
                               DTYPE_F32, &err),
              ==, DR_UNSUPPORTED);
    check(spec == NULL);
    check_has(err.message, "heads 7");
    check_has(err.message, "128 channels");
    checkpoint_close(&checkpoint);
}

static void embeds_time_as_diffusers(void)
{
    struct golden golden;
    golden_open(&golden, "unet");
    float result[320];
    float *const time = golden_read(&golden, NULL, "time", NULL);
    size_t count = 0;
    float *const expected = golden_read(&golden, NULL, "time_embedding", &count);
    check_int(count, ==, 320);
    unet_time_embedding(time[0], 320, result);
    /* An angle of up to 946 has a rounding error of 3e-5 in float32, in either program. */
    check_real(network_relative_error(result, expected, count), <=, 3e-5);
    unet_time_embedding(0.0F, 320, result);
    for (int i = 0; i < 320; ++i)
        check_real(result[i], ==, i < 160 ? 1.0F : 0.0F);
    free(expected);
    free(time);
    golden_close(&golden);
}

int main(void)
{
    network_start();
    sd15_path = network_checkpoint(sd15_arguments);
    check_run(embeds_time_as_diffusers);
    check_run(equals_diffusers_sd15);
    check_run(equals_diffusers_sdxl);
    network_run_bf16(is_near_in_bf16);
    check_run(takes_matrices_for_kernels);
    check_run(takes_heads_from_metadata);
    check_run(notices_one_changed_weight);
    check_run(batch_equals_single);
    check_run(takes_two_chunks_sd15);
    check_run(takes_two_chunks_sdxl);
    check_run(is_deterministic_f32);
    network_run_bf16(is_deterministic_bf16);
    check_run(plans_exact_bytes);
    check_run(refuses_other_input_channels);
    check_run(names_missing_tensors);
    check_run(names_misshapen_tensors);
    check_run(refuses_heads_that_do_not_divide);
    network_finish();
    return check_done();
}
