/* A seed means one picture: alone, in a batch, today and again. */
#include "engine/engine_fixture.h"

static enum dr_code make(struct dr_engine *engine, const char *name, uint64_t seed,
                         int32_t batch, const struct dr_generate_options *changes)
{
    struct dr_generate_result result;
    struct dr_generate_options options = *changes;
    options.prompt = "a red circle";
    options.negative = "fog";
    options.width = options.height = 64;
    options.steps = 2;
    options.seed = seed;
    options.batch = batch;
    options.output = in_root(name);
    problem = (struct dr_error){0};
    const enum dr_code code = dr_engine_generate(engine, &options, &result, &problem);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(result.image_count, ==, batch);
    for (int32_t i = 0; i < result.image_count; ++i)
        check(result.images[i].seed == seed + (uint64_t)i);
    dr_generate_result_free(&result);
    return code;
}

/* Samplers that draw noise at each step, and one that does not; both kinds of generator. */
static const struct {
    const char *sampler;
    enum dr_rng rng;
} ways[] = {
    {"euler-a",      DR_RNG_CUDA},
    {"dpmpp-2m-sde", DR_RNG_CPU },
    {"ddim",         DR_RNG_CUDA},
};

static void a_batch_is_its_pictures(enum dr_precision precision)
{
    struct dr_engine *engine = open_engine_with(0, precision);
    load(engine, "a.safetensors");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; ++i) {
        struct dr_generate_options changes = dr_generate_options_default();
        changes.sampler = ways[i].sampler;
        changes.rng = ways[i].rng;
        if (i == 1) changes.init = in_root("one.png"); /* the draw of the VAE, too */
        check_int(make(engine, "many.png", 40, 3, &changes), ==, DR_OK);
        check_int(make(engine, "zero.png", 40, 1, &changes), ==, DR_OK);
        check(same_file("many.png", "zero.png"));
        check_int(make(engine, "two.png", 42, 1, &changes), ==, DR_OK);
        check(same_file("many-3.png", "two.png"));
        check(!same_file("many-2.png", "many-3.png"));
        if (i == 0) check_int(make(engine, "one.png", 41, 1, &changes), ==, DR_OK);
        if (i == 0) check(same_file("many-2.png", "one.png"));
    }
    dr_engine_close(&engine);
}

static void a_batch_is_its_pictures_in_f32(void)
{
    a_batch_is_its_pictures(DR_PRECISION_F32);
}

static void a_batch_is_its_pictures_in_the_machines_own(void)
{
    if (has_own_precision()) a_batch_is_its_pictures(DR_PRECISION_AUTO);
}

/* Elsewhere a batch of four was taken for something else, since latents have four channels. All
 * sizes up to eight make the pictures of their seeds, and so does decode from a file of as many
 * latents, whose sides are small enough to be mistaken, too. */
static void every_batch_size_is_its_pictures(void)
{
    const struct dr_generate_options changes = dr_generate_options_default();
    struct dr_engine *engine = open_engine();
    char one[32], many[40], decoded[40];
    load(engine, "a.safetensors");
    for (int32_t i = 1; i <= 8; ++i) {
        (void)snprintf(one, sizeof one, "alone-%d.png", (int)i);
        check_int(make(engine, one, 99 + (uint64_t)i, 1, &changes), ==, DR_OK);
    }
    for (int32_t n = 1; n <= 8; ++n) {
        struct dr_codec_result result;
        struct dr_codec_options options = dr_codec_options_default();
        check_int(make(engine, "n.png", 100, n, &changes), ==, DR_OK);
        check_int(make(engine, "n.safetensors", 100, n, &changes), ==, DR_OK);
        options.input = in_root("n.safetensors");
        options.output = in_root("d.png");
        check_int(dr_engine_decode(engine, &options, &result, &problem), ==, DR_OK);
        check_int(result.image_count, ==, n);
        dr_codec_result_free(&result);
        for (int32_t i = 1; i <= n; ++i) {
            (void)snprintf(one, sizeof one, "alone-%d.png", (int)i);
            (void)snprintf(many, sizeof many, i > 1 ? "n-%d.png" : "n.png", (int)i);
            (void)snprintf(decoded, sizeof decoded, i > 1 ? "d-%d.png" : "d.png",
                           (int)i);
            check(same_file(one, many));
            check(same_pixels(one, decoded));
        }
    }
    check(!same_file("alone-1.png", "alone-4.png"));
    check(!same_pixels("alone-1.png", "alone-4.png"));
    dr_engine_close(&engine);
}

static void again_is_the_same(enum dr_precision precision, const char *first)
{
    const struct dr_generate_options changes = dr_generate_options_default();
    struct dr_engine *engine = open_engine_with(0, precision);
    load(engine, "a.safetensors");
    check_int(make(engine, first, 7, 1, &changes), ==, DR_OK);
    check_int(make(engine, "again.png", 7, 1, &changes), ==, DR_OK);
    check(same_file(first, "again.png"));
    dr_engine_close(&engine);
    engine = open_engine_with(0, precision);
    load(engine, "b.safetensors");
    load(engine, "a.safetensors");
    check_int(make(engine, "again.png", 7, 1, &changes), ==, DR_OK);
    check(same_file(first, "again.png"));
    check_int(make(engine, "other.png", 8, 1, &changes), ==, DR_OK);
    check(!same_file(first, "other.png"));
    dr_engine_close(&engine);
}

static void again_is_the_same_in_each_precision(void)
{
    again_is_the_same(DR_PRECISION_F32, "f32.png");
    again_is_the_same(DR_PRECISION_AUTO, "auto.png");
}

/* A9.8, A9.9: a change of precision that a job or an option left behind. */
static void one_precision_leaves_nothing_to_the_next(void)
{
    const struct dr_generate_options changes = dr_generate_options_default();
    static const char *const names[] = {"first.png", "between.png", "last.png"};
    for (int i = 0; i < 3; ++i) {
        struct dr_engine *engine =
            open_engine_with(0, i == 1 ? DR_PRECISION_F32 : DR_PRECISION_AUTO);
        load(engine, "a.safetensors");
        const uint64_t bytes = check_memory(engine);
        check_int(make(engine, names[i], 7, 1, &changes), ==, DR_OK);
        const uint64_t after_one = check_memory(engine);
        check_int(after_one, >=, bytes);
        check_int(make(engine, "again.png", 7, 1, &changes), ==, DR_OK);
        check_int(check_memory(engine), ==, after_one);
        check(same_file(names[i], "again.png"));
        dr_engine_close(&engine);
    }
    check(same_file("first.png", "last.png"));
}

/* The type that a file stores is not the type that runs: a float32 VAE beside a float16 model, a
 * bfloat16 one, one in float16: each takes the slot, with more bytes only where it has float32, and
 * makes a picture; what two files hold alike is told apart by the digest. */
static void a_file_of_another_type_takes_the_slot(void)
{
    static const char *const types[] = {"f16", "f32", "bf16"};
    static const enum dr_precision precisions[] = {DR_PRECISION_AUTO, DR_PRECISION_F32};
    for (size_t p = 0; p < 2; ++p) {
        struct dr_engine *engine = open_engine_with(0, precisions[p]);
        char digests[3][DR_DIGEST_CHARS];
        load(engine, "a.safetensors");
        picture(engine, "A.png");
        const uint64_t bytes = check_memory(engine);
        for (size_t i = 0; i < 3; ++i) {
            char options[80], name[32];
            (void)snprintf(options, sizeof options,
                           "--family sd15 --size least --part vae --seed 3 --dtype %s",
                           types[i]);
            (void)snprintf(name, sizeof name, "vae/typed-%s.safetensors", types[i]);
            make_checkpoint(name, options);
            check_int(choose(engine, in_root(name)), ==, DR_OK);
            if (strcmp(types[i], "f32") == 0)
                check_int(check_memory(engine), >, bytes);
            else
                check_int(check_memory(engine), ==, bytes);
            memcpy(digests[i], vae_state(engine).digest, sizeof digests[i]);
            picture(engine, "B.png");
            check(!same_file("A.png", "B.png"));
            check_int(picture_with(engine, "I.png", NULL, in_root("A.png")), ==, DR_OK);
            check_int(unlink(in_root(name)), ==, 0);
        }
        check(strcmp(digests[0], digests[1]) != 0 &&
              strcmp(digests[1], digests[2]) != 0);
        check_int(choose(engine, "none"), ==, DR_OK);
        picture(engine, "C.png");
        check(same_file("A.png", "C.png"));
        dr_engine_close(&engine);
    }
}

static void the_two_generators_differ(void)
{
    struct dr_generate_options changes = dr_generate_options_default();
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    changes.rng = DR_RNG_CPU;
    check_int(make(engine, "cpu.png", 7, 1, &changes), ==, DR_OK);
    changes.rng = DR_RNG_CUDA;
    check_int(make(engine, "cuda.png", 7, 1, &changes), ==, DR_OK);
    check(!same_file("cpu.png", "cuda.png"));
    dr_engine_close(&engine);
}

static void a_random_seed_is_said_and_repeats(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    uint64_t seeds[2];
    load(engine, "a.safetensors");
    options.prompt = "a red circle";
    options.negative = "fog";
    options.width = options.height = 64;
    options.steps = 2;
    for (int i = 0; i < 2; ++i) {
        options.output = in_root(i ? "random-1.png" : "random-0.png");
        if (i > 0) options.seed = dr_random_seed();
        check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
        seeds[i] = result.images[0].seed;
        check(seeds[i] <= UINT32_MAX && seeds[i] == options.seed);
        dr_generate_result_free(&result);
    }
    check(seeds[0] != seeds[1]);
    check(dr_generate_options_default().seed != dr_generate_options_default().seed);
    const struct dr_generate_options changes = dr_generate_options_default();
    check_int(make(engine, "repeated.png", seeds[1], 1, &changes), ==, DR_OK);
    check(same_file("random-1.png", "repeated.png"));
    dr_engine_close(&engine);
}

struct seen {
    int count;
    float last[64 * 64 * 3];
};

static void see(void *cookie, int32_t idx, uint64_t seed, const float *rgb,
                int32_t width, int32_t height)
{
    struct seen *const seen = cookie;
    check_int(idx, ==, seen->count);
    check_int(seed, ==, 40 + idx);
    check_int(width, ==, 64);
    check_int(height, ==, 64);
    for (int i = 0; i < 64 * 64 * 3; ++i)
        check(rgb[i] >= 0.0F && rgb[i] <= 1.0F);
    memcpy(seen->last, rgb, sizeof seen->last);
    ++seen->count;
}

/* Latents to a file and pictures to a callback, in one job: the file holds latents, and decode
 * makes those pictures of them. */
static void latents_and_callback_go_together(void)
{
    static struct seen seen;
    struct dr_engine *engine = open_engine();
    struct dr_generate_options changes = dr_generate_options_default();
    load(engine, "a.safetensors");
    changes.image = see;
    changes.image_cookie = &seen;
    check_int(make(engine, "both.safetensors", 40, 2, &changes), ==, DR_OK);
    check_int(seen.count, ==, 2);
    struct dr_codec_result result;
    struct dr_codec_options options = dr_codec_options_default();
    options.input = in_root("both.safetensors");
    options.output = in_root("both.png");
    check_int(dr_engine_decode(engine, &options, &result, &problem), ==, DR_OK);
    check_int(result.image_count, ==, 2);
    dr_codec_result_free(&result);
    check(access(in_root("both-2.png"), F_OK) == 0);
    dr_engine_close(&engine);
}

/* A prompt that lies in the cache longest is the first to go, but not while a job is about to
 * use it: its negative prompt is new, and takes a row. */
static void a_full_prompt_cache_loses_nothing_in_use(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    char prompt[32];
    load(engine, "a.safetensors");
    options.width = options.height = 64;
    options.steps = 1;
    options.seed = 7;
    options.prompt = "prompt 0";
    options.negative = "new";
    options.output = in_root("want.png");
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    dr_generate_result_free(&result);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    /* eight rows: prompts 0 to 7, the oldest first */
    options.cfg = 1.0;
    options.output = in_root("x.safetensors");
    options.prompt = prompt;
    for (int i = 0; i < 8; ++i) {
        (void)snprintf(prompt, sizeof prompt, "prompt %d", i);
        check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
        dr_generate_result_free(&result);
    }
    options.cfg = dr_generate_options_default().cfg;
    options.prompt = "prompt 0";
    options.output = in_root("again.png");
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    check_real(result.text_ms, >, 0.0);
    dr_generate_result_free(&result);
    check(same_file("want.png", "again.png"));
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    check_real(result.text_ms, ==, 0.0); /* both are there */
    dr_generate_result_free(&result);
    check(same_file("want.png", "again.png"));
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(a_batch_is_its_pictures_in_f32);
    check_run(a_batch_is_its_pictures_in_the_machines_own);
    check_run(every_batch_size_is_its_pictures);
    check_run(again_is_the_same_in_each_precision);
    check_run(one_precision_leaves_nothing_to_the_next);
    check_run(a_file_of_another_type_takes_the_slot);
    check_run(the_two_generators_differ);
    check_run(a_random_seed_is_said_and_repeats);
    check_run(latents_and_callback_go_together);
    check_run(a_full_prompt_cache_loses_nothing_in_use);
    return check_done();
}
