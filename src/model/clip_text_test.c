#include "model/clip_text.h"

#include "network.h"

/* float32 against transformers' float32: the promise is 1e-4, and rounding explains 1e-6. */
static const double golden_bound = 1e-5;
static const double bf16_bound = 0.03;

static const char sd15_arguments[] = "--family sd15 --size tiny --dtype f32";
static const char sdxl_arguments[] = "--family sdxl --size tiny --dtype f32 --seed 0";
static const char *sd15_path;

struct loaded {
    struct checkpoint checkpoint;
    struct clip_text_spec *spec;
    struct region weights;
};

static void load_role(struct loaded *loaded, const char *path, enum component_role role,
                      enum dtype dtype)
{
    struct dr_error err = {0};
    network_open(&loaded->checkpoint, path);
    network_require(
        clip_text_spec_create(&loaded->spec, &loaded->checkpoint.components[role],
                              loaded->checkpoint.family, dtype, &err) == DR_OK,
        "%s", err.message);
    network_load(clip_text_component(loaded->spec), &loaded->weights);
}

static void load(struct loaded *loaded, const char *path, enum dtype dtype)
{
    load_role(loaded, path, ROLE_TEXT, dtype);
}

static void unload(struct loaded *loaded)
{
    region_close(&loaded->weights);
    clip_text_spec_destroy(&loaded->spec);
    check(loaded->spec == NULL);
    checkpoint_close(&loaded->checkpoint);
}

struct bound {
    struct clip_text_plan text;
    struct region arena;
};

static void bind(struct bound *bound, const struct loaded *loaded, int32_t n,
                 int32_t clip_skip)
{
    struct dr_error err = {0};
    network_require(
        clip_text_plan_create(
            &bound->text, loaded->spec,
            &(struct clip_text_shape){.n = n, .clip_skip = clip_skip, .profile = false},
            &err) == DR_OK,
        "%s", err.message);
    network_arena(bound->text.plan, &loaded->weights, &bound->arena);
}

static void unbind(struct bound *bound)
{
    clip_text_plan_destroy(&bound->text);
    check(bound->text.plan == NULL);
    region_close(&bound->arena);
}

static double case_error(const struct loaded *loaded, const struct golden *golden,
                         int32_t clip_skip, const char *name)
{
    struct bound bound = {0};
    bind(&bound, loaded, 2, clip_skip);
    golden_fill(golden, NULL, "ids", bound.text.plan, bound.text.ids);
    network_run(bound.text.plan);
    const double error =
        golden_error(golden, NULL, name, bound.text.plan, bound.text.context);
    unbind(&bound);
    return error;
}

static void equals_transformers(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "text");
    golden_check_checkpoint(&golden, sd15_path);
    load(&loaded, sd15_path, DTYPE_F32);
    const struct clip_text_info info = clip_text_info(loaded.spec);
    check_int(info.vocabulary, ==, 600);
    check_int(info.positions, ==, 77);
    check_int(info.width, ==, 64);
    check_int(info.layers, ==, 2);
    check_int(info.heads, ==, 1);
    check_int(info.mlp, ==, 256);
    check_real(case_error(&loaded, &golden, 1, "context_skip1"), <=, golden_bound);
    check_real(case_error(&loaded, &golden, 2, "context_skip2"), <=, golden_bound);
    check_real(case_error(&loaded, &golden, 2, "context_skip1"), >, 10 * golden_bound);
    unload(&loaded);
    golden_close(&golden);
}

static void takes_heads_from_metadata(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "text");
    load(&loaded, network_with_metadata(sd15_path, "darkroom.text.heads", "4"),
         DTYPE_F32);
    check_int(clip_text_info(loaded.spec).heads, ==, 4);
    check_real(case_error(&loaded, &golden, 1, "context_heads4"), <=, golden_bound);
    check_real(case_error(&loaded, &golden, 1, "context_skip1"), >, 10 * golden_bound);
    unload(&loaded);
    golden_close(&golden);
}

/* ---- SDXL's two ------------------------------------------------------------------------- */

static double pooled_error(const struct loaded *loaded, const struct golden *golden)
{
    struct bound bound = {0};
    size_t count = 0;
    float *const expected = golden_read(golden, NULL, "text2.pooled", &count);
    int32_t *const ends = golden_read(golden, NULL, "ends", NULL);
    const size_t width = (size_t)clip_text_info(loaded->spec).pooled;
    float *const pooled = malloc(width * sizeof *pooled);
    network_require(pooled && count == 2 * width, "%zu values pooled", count);
    bind(&bound, loaded, 2, 1);
    golden_fill(golden, NULL, "ids", bound.text.plan, bound.text.ids);
    network_run(bound.text.plan);
    double worst = 0.0;
    for (int32_t i = 0; i < 2; ++i) {
        clip_text_read_pooled(&bound.text, i, ends[i], pooled);
        const double error =
            network_relative_error(pooled, expected + (size_t)i * width, width);
        if (!(error <= worst)) worst = error;
    }
    unbind(&bound);
    free(pooled);
    free(ends);
    free(expected);
    return worst;
}

static void both_of_sdxl_equal_transformers(void)
{
    struct golden golden;
    struct loaded first = {0}, second = {0};
    const char *const path = network_checkpoint(sdxl_arguments);
    golden_open(&golden, "text_sdxl");
    golden_check_checkpoint(&golden, path);
    load(&first, path, DTYPE_F32);
    load_role(&second, path, ROLE_TEXT2, DTYPE_F32);
    const struct clip_text_info info = clip_text_info(second.spec);
    check_int(info.width, ==, 128);
    check_int(info.layers, ==, 2);
    check_int(info.heads, ==, 2);
    check_int(info.mlp, ==, 512);
    check_int(info.pooled, ==, 128);
    check_int(clip_text_info(first.spec).pooled, ==, 0);
    check_real(case_error(&first, &golden, 1, "text.context"), <=, golden_bound);
    check_real(case_error(&first, &golden, 2, "text.context_skip2"), <=, golden_bound);
    check_real(case_error(&first, &golden, 1, "text.context_skip2"), >, 0.01);
    check_real(case_error(&second, &golden, 1, "text2.context"), <=, golden_bound);
    check_real(case_error(&second, &golden, 2, "text2.context_skip2"), <=,
               golden_bound);
    check_real(case_error(&second, &golden, 1, "text2.context_skip2"), >, 0.01);
    check_real(pooled_error(&second, &golden), <=, golden_bound);
    unload(&second);
    unload(&first);
    golden_close(&golden);
}

static void both_of_sdxl_are_near_in_bf16(void)
{
    struct golden golden;
    struct loaded first = {0}, second = {0};
    const char *const path = network_checkpoint(sdxl_arguments);
    golden_open(&golden, "text_sdxl");
    load(&first, path, DTYPE_BF16);
    load_role(&second, path, ROLE_TEXT2, DTYPE_BF16);
    check_real(case_error(&first, &golden, 1, "text.context"), <=, bf16_bound);
    check_real(case_error(&second, &golden, 1, "text2.context"), <=, bf16_bound);
    check_real(pooled_error(&second, &golden), <=, bf16_bound);
    unload(&second);
    unload(&first);
    golden_close(&golden);
}

static void notices_one_changed_weight_of_the_second(void)
{
    static const struct {
        const char *name;
        bool pooled_alone; /* the context does not see it */
    } cases[] = {
        {"positional_embedding",                        false},
        {"transformer.resblocks.0.ln_1.bias",           false},
        {"transformer.resblocks.0.attn.in_proj_weight", false},
        {"transformer.resblocks.0.attn.out_proj.bias",  false},
        {"transformer.resblocks.0.mlp.c_fc.bias",       false},
        {"transformer.resblocks.1.attn.in_proj_bias",   true },
        {"transformer.resblocks.1.mlp.c_proj.weight",   true },
        {"ln_final.weight",                             true },
        {"text_projection",                             true },
    };
    struct golden golden;
    const char *const path = network_checkpoint(sdxl_arguments);
    golden_open(&golden, "text_sdxl");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct loaded loaded = {0};
        /* of in_proj_bias a value's: a key's takes part in no softmax */
        const int64_t element = i == 5 ? 2 * 128 + 3 : 3;
        const float before =
            network_poke(path, ROLE_TEXT2, cases[i].name, element, 8.0F);
        load_role(&loaded, path, ROLE_TEXT2, DTYPE_F32);
        const double context = case_error(&loaded, &golden, 1, "text2.context");
        const double pooled = pooled_error(&loaded, &golden);
        if (!(pooled > 10 * golden_bound)) fprintf(stderr, "     %s\n", cases[i].name);
        check_real(pooled, >, 10 * golden_bound);
        check((context > 10 * golden_bound) == !cases[i].pooled_alone);
        unload(&loaded);
        (void)network_poke(path, ROLE_TEXT2, cases[i].name, element, before);
    }
    golden_close(&golden);
}

static void the_second_names_missing_tensors(void)
{
    static const char *const names[] = {
        "token_embedding.weight",
        "transformer.resblocks.1.attn.in_proj_weight",
        "transformer.resblocks.0.mlp.c_fc.bias",
        "ln_final.bias",
        "text_projection",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct checkpoint checkpoint;
        struct clip_text_spec *spec = NULL;
        struct dr_error err = {0};
        char arguments[256];
        snprintf(arguments, sizeof arguments,
                 "%s --without unet --drop conditioner.embedders.1.model.%s",
                 sdxl_arguments, names[i]);
        network_open(&checkpoint, network_checkpoint(arguments));
        check_int(clip_text_spec_create(&spec, &checkpoint.components[ROLE_TEXT2],
                                        FAMILY_SDXL, DTYPE_F32, &err),
                  ==, DR_INCOMPLETE);
        check(spec == NULL);
        check_has(err.message, names[i]);
        checkpoint_close(&checkpoint);
    }
}

static void is_near_in_bf16(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    golden_open(&golden, "text");
    load(&loaded, sd15_path, DTYPE_BF16);
    check_real(case_error(&loaded, &golden, 1, "context_skip1"), <=, bf16_bound);
    check_real(case_error(&loaded, &golden, 2, "context_skip2"), <=, bf16_bound);
    unload(&loaded);
    golden_close(&golden);
}

static void notices_one_changed_weight(void)
{
    static const char *const names[] = {
        "embeddings.token_embedding.weight",
        "embeddings.position_embedding.weight",
        "encoder.layers.0.layer_norm1.bias",
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.layers.0.self_attn.k_proj.weight",
        "encoder.layers.1.self_attn.v_proj.bias",
        "encoder.layers.1.self_attn.out_proj.weight",
        "encoder.layers.1.mlp.fc1.bias",
        "encoder.layers.1.mlp.fc2.weight",
        "final_layer_norm.weight",
    };
    struct golden golden;
    golden_open(&golden, "text");
    int32_t *const ids = golden_read(&golden, NULL, "ids", NULL);
    const char *const path =
        network_checkpoint("--family sd15 --size tiny --dtype f32 --without unet");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct loaded loaded = {0};
        const int64_t element =
            i == 0 ? (int64_t)ids[5] * 64 + 3 : 3; /* a token in use */
        const float before = network_poke(path, ROLE_TEXT, names[i], element, 8.0F);
        load(&loaded, path, DTYPE_F32);
        const double error = case_error(&loaded, &golden, 1, "context_skip1");
        if (!(error > 10 * golden_bound)) fprintf(stderr, "     %s\n", names[i]);
        check_real(error, >, 10 * golden_bound);
        unload(&loaded);
        (void)network_poke(path, ROLE_TEXT, names[i], element, before);
    }
    free(ids);
    golden_close(&golden);
}

/* No token sees a later one: the states before a changed token stay, to the byte. */
static void sees_only_what_stands_before(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    struct bound bound = {0};
    const size_t width = 64, changed = 40;
    golden_open(&golden, "text");
    load(&loaded, sd15_path, DTYPE_F32);
    bind(&bound, &loaded, 2, 1);
    golden_fill(&golden, NULL, "ids", bound.text.plan, bound.text.ids);
    network_run(bound.text.plan);
    const size_t count = network_count(plan_shape(bound.text.plan, bound.text.context));
    float *const kept = network_read(bound.text.plan, bound.text.context);

    int32_t id = 0;
    plan_read(bound.text.plan, bound.text.ids, changed, 1, &id);
    id = (id + 1) % 600;
    plan_write(bound.text.plan, bound.text.ids, changed, 1, &id);
    network_run(bound.text.plan);
    float *const now = network_read(bound.text.plan, bound.text.context);
    check_bytes(kept, now, changed * width * sizeof *kept);
    check_real(network_relative_error(now + changed * width, kept + changed * width,
                                      width),
               >, 0.01);
    check_bytes(kept + count / 2, now + count / 2, count / 2 * sizeof *kept);

    free(now);
    free(kept);
    unbind(&bound);
    unload(&loaded);
    golden_close(&golden);
}

static void batch_equals_single(void)
{
    struct golden golden;
    struct loaded loaded = {0};
    struct bound both = {0}, one = {0};
    golden_open(&golden, "text");
    load(&loaded, sd15_path, DTYPE_F32);
    bind(&both, &loaded, 2, 1);
    bind(&one, &loaded, 1, 1);
    golden_fill(&golden, NULL, "ids", both.text.plan, both.text.ids);
    network_run(both.text.plan);
    for (size_t i = 0; i < 2; ++i) {
        network_take_image(one.text.plan, one.text.ids, both.text.plan, both.text.ids,
                           i);
        network_run(one.text.plan);
        const double error = network_image_error(one.text.plan, one.text.context,
                                                 both.text.plan, both.text.context, i);
        check_real(error, <=, 2e-6);
    }
    unbind(&one);
    unbind(&both);
    unload(&loaded);
    golden_close(&golden);
}

static void is_deterministic(void)
{
    struct golden golden;
    golden_open(&golden, "text");
    for (int i = 0; i < 2; ++i) {
        struct loaded loaded = {0};
        struct bound first = {0}, second = {0};
        load(&loaded, sd15_path, i == 0 ? DTYPE_F32 : network_narrow());
        bind(&first, &loaded, 2, 1);
        bind(&second, &loaded, 2, 1);
        memset(second.arena.data, 0x5a, plan_bytes(second.text.plan));
        golden_fill(&golden, NULL, "ids", first.text.plan, first.text.ids);
        golden_fill(&golden, NULL, "ids", second.text.plan, second.text.ids);
        network_run(second.text.plan);
        float *const kept = network_read(second.text.plan, second.text.context);
        for (int run = 0; run < 2; ++run) {
            network_run(first.text.plan);
            check(network_equals(first.text.plan, first.text.context, kept));
        }
        free(kept);
        unbind(&second);
        unbind(&first);
        unload(&loaded);
    }
    golden_close(&golden);
}

static void plans_exact_bytes(void)
{
    const size_t page = region_page_bytes();
    struct loaded loaded = {0};
    load(&loaded, sd15_path, network_narrow());
    const size_t weights = network_ledger.private_bytes;
    check_int(weights, ==,
              (clip_text_component(loaded.spec)->weights_bytes + page - 1) / page *
                  page);
    for (int32_t n = 1; n <= 3; ++n) {
        struct bound bound = {0};
        bind(&bound, &loaded, n, 1);
        network_clear(bound.text.plan, bound.text.ids);
        network_run(bound.text.plan);
        check_int(network_ledger.private_bytes, ==,
                  weights + (plan_bytes(bound.text.plan) + page - 1) / page * page);
        unbind(&bound);
    }
    unload(&loaded);
    check_int(network_ledger.private_bytes, ==, 0);
}

/* ---- what does not go ------------------------------------------------------------------ */

static void refuses_other_clip_skips(void)
{
    static const int32_t skips[] = {0, -1, 3, INT32_MAX, INT32_MIN};
    struct loaded loaded = {0};
    load(&loaded, sd15_path, DTYPE_F32);
    for (size_t i = 0; i < sizeof skips / sizeof skips[0]; ++i) {
        struct clip_text_plan plan = {0};
        struct dr_error err = {0};
        check_int(clip_text_plan_create(&plan, loaded.spec,
                                        &(struct clip_text_shape){.n = 1,
                                                                  .clip_skip = skips[i],
                                                                  .profile = false},
                                        &err),
                  ==, DR_BAD_INPUT);
        check_has(err.message, "2 layers");
        check(plan.plan == NULL);
    }
    unload(&loaded);
}

static void names_missing_tensors(void)
{
    static const char *const names[] = {
        "embeddings.token_embedding.weight",
        "embeddings.position_embedding.weight",
        "encoder.layers.0.self_attn.k_proj.bias",
        "encoder.layers.1.mlp.fc1.weight",
        "final_layer_norm.bias",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct checkpoint checkpoint;
        struct clip_text_spec *spec = NULL;
        struct dr_error err = {0};
        char arguments[256];
        snprintf(arguments, sizeof arguments,
                 "%s --without unet --drop cond_stage_model.transformer.text_model.%s",
                 sd15_arguments, names[i]);
        network_open(&checkpoint, network_checkpoint(arguments));
        check_int(clip_text_spec_create(&spec, &checkpoint.components[ROLE_TEXT],
                                        FAMILY_SD15, DTYPE_F32, &err),
                  ==, DR_INCOMPLETE);
        check(spec == NULL);
        check_has(err.message, names[i]);
        fprintf(stderr, "     %s\n", err.message);
        checkpoint_close(&checkpoint);
    }
}

static void refuses_other_shapes(void)
{
    const struct {
        const char *name;
        int32_t rank;
        int64_t dims[2];
    } cases[] = {
        {"embeddings.position_embedding.weight",     2, {77, 63}        },
        {"encoder.layers.0.self_attn.k_proj.weight", 2, {64, 32}        },
        {"encoder.layers.0.self_attn.k_proj.bias",   1, {63}            },
        {"encoder.layers.1.mlp.fc2.weight",          2, {64, 255}       },
        {"final_layer_norm.weight",                  1, {65}            },
        {"embeddings.token_embedding.weight",
         2,                                             {600, INT32_MAX}}, /* q, k and v would overflow */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct checkpoint checkpoint;
        struct clip_text_spec *spec = NULL;
        struct dr_error err = {0};
        network_open(&checkpoint, sd15_path);
        const struct component_index *const index = &checkpoint.components[ROLE_TEXT];
        struct tensor changed;
        network_reshape(index, cases[i].name, cases[i].rank, cases[i].dims, &changed);
        check_int(clip_text_spec_create(&spec, index, FAMILY_SD15, DTYPE_F32, &err), ==,
                  DR_INCOMPLETE);
        check(spec == NULL);
        check_has(err.message, cases[i].name);
        checkpoint_close(&checkpoint);
    }
}

static void refuses_what_the_rule_of_heads_forbids(void)
{
    struct checkpoint checkpoint;
    struct clip_text_spec *spec = NULL;
    struct dr_error err = {0};
    network_open(&checkpoint,
                 network_with_metadata(sd15_path, "darkroom.text.heads", "7"));
    check_int(clip_text_spec_create(&spec, &checkpoint.components[ROLE_TEXT],
                                    FAMILY_SD15, DTYPE_F32, &err),
              ==, DR_UNSUPPORTED);
    check_has(err.message, "7 heads");
    checkpoint_close(&checkpoint);
}

int main(void)
{
    network_start();
    sd15_path = network_checkpoint(sd15_arguments);
    check_run(equals_transformers);
    check_run(takes_heads_from_metadata);
    network_run_bf16(is_near_in_bf16);
    check_run(both_of_sdxl_equal_transformers);
    network_run_bf16(both_of_sdxl_are_near_in_bf16);
    check_run(notices_one_changed_weight_of_the_second);
    check_run(the_second_names_missing_tensors);
    check_run(notices_one_changed_weight);
    check_run(sees_only_what_stands_before);
    check_run(batch_equals_single);
    check_run(is_deterministic);
    check_run(plans_exact_bytes);
    check_run(refuses_other_clip_skips);
    check_run(names_missing_tensors);
    check_run(refuses_other_shapes);
    check_run(refuses_what_the_rule_of_heads_forbids);
    network_finish();
    return check_done();
}
