/* What is asked is checked before anything is done: each bad option has its code and a sentence
 * with the numbers and what to give; the engine is as it was. Then checkpoints that lack parts,
 * and faults and cancels in the middle of a job. */
#include "engine/engine_fixture.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/fault_fixture.h"

/* ---- bad options ------------------------------------------------------------------------- */

static struct dr_generate_options good(void)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root("out.png");
    options.width = options.height = 64;
    options.steps = 1;
    options.seed = 7;
    return options;
}

static uint64_t bytes_before;

static enum dr_code generate(struct dr_engine *engine,
                             const struct dr_generate_options *options)
{
    struct dr_generate_result result;
    problem = (struct dr_error){0};
    const enum dr_code code = dr_engine_generate(engine, options, &result, &problem);
    if (code != DR_OK) {
        check((result.images == NULL) == (result.image_count == 0));
        check_int(problem.code, ==, code);
    }
    dr_generate_result_free(&result);
    return code;
}

/* The code, two parts of the message, no file, and the memory as it was. */
#define refuse(engine, options, expected, part1, part2)      \
    do {                                                     \
        check_int(generate(engine, options), ==, expected);  \
        check_has(problem.message, part1);                   \
        check_has(problem.message, part2);                   \
        check_int(access(in_root("out.png"), F_OK), ==, -1); \
        check_int(check_memory(engine), ==, bytes_before);   \
    } while (0)

static void bad_numbers(struct dr_engine *engine)
{
    static const struct {
        int32_t width, height;
        const char *side, *number;
    } sizes[] = {
        {60,   64,   "width",  "64 to 8192"},
        {64,   -64,  "height", "-64"       },
        {64,   8200, "height", "8200"      },
        {100,  64,   "width",  "96 or 104" },
        {8,    8,    "width",  "8 pixels"  },
        {8192, 65,   "height", "64 or 72"  },
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        struct dr_generate_options options = good();
        options.width = sizes[i].width;
        options.height = sizes[i].height;
        refuse(engine, &options, DR_BAD_INPUT, sizes[i].side, sizes[i].number);
    }
    static const double cfgs[] = {NAN, INFINITY, -2.0, 1001.0};
    for (size_t i = 0; i < sizeof cfgs / sizeof *cfgs; ++i) {
        struct dr_generate_options options = good();
        options.cfg = cfgs[i];
        refuse(engine, &options, DR_BAD_INPUT, "cfg", "0 to 1000");
    }
    static const int32_t steps[] = {-1, -3, 1001, INT32_MAX};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i) {
        struct dr_generate_options options = good();
        options.steps = steps[i];
        refuse(engine, &options, DR_BAD_INPUT, "steps", "1 to 1000");
    }
    static const int32_t batches[] = {0, -1, 257, INT32_MAX};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; ++i) {
        struct dr_generate_options options = good();
        options.batch = batches[i];
        refuse(engine, &options, DR_BAD_INPUT, "batch", "1 to 256");
    }
    static const int32_t skips[] = {0, -1, 99};
    for (size_t i = 0; i < sizeof skips / sizeof *skips; ++i) {
        struct dr_generate_options options = good();
        options.clip_skip = skips[i];
        refuse(engine, &options, DR_BAD_INPUT, "clip skip", "1 (the last)");
    }
    struct dr_generate_options options = good();
    options.bits = 12;
    refuse(engine, &options, DR_BAD_INPUT, "12 bits", "8 or 16");
    options = good();
    options.quality = 0;
    refuse(engine, &options, DR_BAD_INPUT, "quality", "1 to 100");
}

static void bad_samplers(struct dr_engine *engine)
{
    struct dr_generate_options options = good();
    options.sampler = "eular";
    refuse(engine, &options, DR_BAD_INPUT, "\"eular\"", "euler, euler-a, heun");
    options.sampler = "";
    refuse(engine, &options, DR_BAD_INPUT, "sampler", "unipc");
    options = good();
    options.scheduler = "karas";
    refuse(engine, &options, DR_BAD_INPUT, "\"karas\"", "karras");
    options.sampler = "ddim";
    options.scheduler = "karras";
    refuse(engine, &options, DR_BAD_INPUT, "ddim", "trailing");
    options.sampler = "lcm";
    options.scheduler = "normal";
    refuse(engine, &options, DR_BAD_INPUT, "lcm", "normal");
    options.scheduler = NULL;
    options.steps = 51;
    refuse(engine, &options, DR_BAD_INPUT, "51", "50");
}

static void bad_outputs(struct dr_engine *engine)
{
    static char long_name[400], long_path[5000];
    struct dr_generate_options options = good();
    const char *const kinds[] = {"out.gif", "out", "png", "out.png.txt"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        options.output = in_root(kinds[i]);
        refuse(engine, &options, DR_BAD_INPUT, kinds[i], ".png or .jpg");
    }
    options.output = in_root("no/such/out.png");
    refuse(engine, &options, DR_NOT_FOUND, "no directory", "no/such");
    options.output = in_root("a.safetensors/out.png");
    refuse(engine, &options, DR_NOT_FOUND, "no directory", "a.safetensors");
    check_int(mkdir(in_root("folder.png"), 0777), ==, 0);
    options.output = in_root("folder.png");
    refuse(engine, &options, DR_BAD_INPUT, "folder.png", "is a directory");
    if (symlink("/dev/null", in_root("device.png")) != 0) exit(1);
    options.output = in_root("device.png");
    refuse(engine, &options, DR_BAD_INPUT, "device.png", "not a regular file");
    /* a batch: the second file's place is taken */
    options = good();
    options.batch = 2;
    check_int(mkdir(in_root("out-2.png"), 0777), ==, 0);
    refuse(engine, &options, DR_BAD_INPUT, "out-2.png", "is a directory");
    check_int(rmdir(in_root("out-2.png")), ==, 0);
    memset(long_name, 'x', 300);
    (void)snprintf(long_name + 300, 20, ".png");
    options = good();
    options.output = in_root(long_name);
    refuse(engine, &options, DR_BAD_INPUT, "xxx.png", "too long");
    memset(long_path, '/', 4500);
    (void)snprintf(long_path + 4500, 20, "tmp/out.png");
    options.output = long_path;
    refuse(engine, &options, DR_BAD_INPUT, "path", "long");
    options = good();
    options.output = in_root("out.jpg");
    options.bits = 16;
    refuse(engine, &options, DR_BAD_INPUT, "JPEG", "8 bits");
    /* the kernel refuses root's writes here too */
    options = good();
    options.output = "/proc/out.png";
    check_int(generate(engine, &options), ==, DR_IO);
    check_has(problem.message, "/proc");
    check_int(mkdir(in_root("closed"), 0555), ==, 0);
    options.output = in_root("closed/out.png");
    const uid_t me = become_somebody();
    refuse(engine, &options, DR_IO, "closed", "Permission denied");
    become_again(me);
}

static int count_parts(void)
{
    int count = 0;
    DIR *const folder = opendir(fixture_root);
    const struct dirent *entry = NULL;
    while (folder && (entry = readdir(folder)) != NULL)
        count += strstr(entry->d_name, "darkroom-part") != NULL;
    if (folder) (void)closedir(folder);
    return count;
}

static void count_steps(void *cookie, const struct dr_progress *progress)
{
    int *const count = cookie;
    if (progress->stage != DR_STAGE_LOAD) ++*count;
}

/* What is known before the first step is said before the first step: nothing ran. */
static void outputs_that_would_fail_at_the_end(struct dr_engine *engine)
{
    static char prompt[40001];
    const char *const names[] = {"out.jpg", "out.JPEG"};
    struct dr_generate_options options = good();
    int count = 0;
    memset(prompt, 'w', sizeof prompt - 1);
    options.prompt = prompt;
    options.batch = 2;
    options.progress = count_steps;
    options.progress_cookie = &count;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        options.output = in_root(names[i]);
        refuse(engine, &options, DR_BAD_INPUT, "parameters text", "write a PNG");
        check_has(problem.message, names[i]);
    }
    /* The negative prompt is in the text too. */
    options = good();
    options.negative = prompt;
    options.output = in_root("out.jpg");
    options.progress = count_steps;
    options.progress_cookie = &count;
    refuse(engine, &options, DR_BAD_INPUT, "parameters text", "write a PNG");

    options.negative = "";
    options.output = in_root("a.safetensors");
    refuse(engine, &options, DR_BAD_INPUT, "is not a picture", "--overwrite");
    options.existing = DR_EXISTING_ANY;
    refuse(engine, &options, DR_BAD_INPUT, "a.safetensors is the model", "in use");
    options.output = in_root("vae/sharp.safetensors");
    refuse(engine, &options, DR_BAD_INPUT, "is the VAE that is in use", "name another");

    const rlim_t least = 64 * 64 * 3 / 16;
    struct rlimit before, low;
    check_int(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    low = before;
    low.rlim_cur = least - 1;
    check_int(setrlimit(RLIMIT_FSIZE, &low), ==, 0);
    options.negative = "";
    options.prompt = "";
    options.output = in_root("out.png");
    refuse(engine, &options, DR_IO, "limit on file sizes", "at least 768 bytes");
    check_int(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    check_int(count, ==, 0);
    check_int(count_parts(), ==, 0);
}

static const char *corpus(const char *name)
{
    static char path[1024];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/corpus/image/%s", source ? source : ".",
                   name);
    return path;
}

static void bad_inits(struct dr_engine *engine)
{
    struct dr_generate_options options = good();
    options.steps = 4; /* of which the strength leaves some */
    options.init = in_root("missing.png");
    refuse(engine, &options, DR_NOT_FOUND, "missing.png", "No such file");
    options.init = in_root("a.safetensors");
    refuse(engine, &options, DR_UNSUPPORTED, "a.safetensors", "");
    options.init = corpus("cut.jpg");
    refuse(engine, &options, DR_CORRUPT, "cut.jpg", "");
    options.init = corpus("bomb.png");
    refuse(engine, &options, DR_BAD_INPUT, "bomb.png", "");
    options.init = corpus("a1111.png");
    static const double strengths[] = {0.0, -0.5, 1.01, NAN};
    for (size_t i = 0; i < sizeof strengths / sizeof *strengths; ++i) {
        options.strength = strengths[i];
        refuse(engine, &options, DR_BAD_INPUT, "strength", "more than 0, at most 1");
    }
    options.strength = 0.1;
    options.steps = 3;
    refuse(engine, &options, DR_BAD_INPUT, "strength", "");
}

static void bad_vaes(struct dr_engine *engine)
{
    struct dr_generate_options options = good();
    options.vae = "nowhere";
    refuse(engine, &options, DR_NOT_FOUND, "nowhere", in_root("vae"));
    options.vae = in_root("a.vae");
    refuse(engine, &options, DR_NOT_FOUND, "a.vae", "");
    options.vae = "";
    refuse(engine, &options, DR_BAD_INPUT, "", "");
}

static void every_bad_option_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_options options = good();
    check_int(generate(engine, &options), ==, DR_NOT_FOUND);
    check_has(problem.message, "no model");
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "want.png");
    bytes_before = check_memory(engine);
    bad_numbers(engine);
    bad_samplers(engine);
    bad_outputs(engine);
    outputs_that_would_fail_at_the_end(engine);
    bad_inits(engine);
    bad_vaes(engine);
    check(vae_state(engine).override_active);
    picture(engine, "again.png");
    check(same_file("again.png", "want.png"));
    dr_engine_close(&engine);
}

static void bad_calls_of_the_codec_are_refused(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_codec_result result;
    struct dr_codec_options options = dr_codec_options_default();
    options.input = corpus("a1111.png");
    options.output = in_root("out.safetensors");
    check_int(dr_engine_encode(engine, &options, &result, &problem), ==, DR_NOT_FOUND);
    load(engine, "a.safetensors");
    options.output = NULL;
    check_int(dr_engine_encode(engine, &options, &result, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "output");
    options.output = in_root("out.png");
    check_int(dr_engine_encode(engine, &options, &result, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, ".safetensors");
    options.output = in_root("out.safetensors");
    options.width = 100;
    check_int(dr_engine_encode(engine, &options, &result, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "96 or 104");
    options.input = in_root("missing.safetensors");
    options.output = in_root("out.png");
    check_int(dr_engine_decode(engine, &options, &result, &problem), ==, DR_NOT_FOUND);
    options.input = in_root("a.safetensors");
    check_int(dr_engine_decode(engine, &options, &result, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "no tensor \"latent\"");
    options.output = in_root("out.safetensors");
    check_int(dr_engine_decode(engine, &options, &result, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "decode writes a picture");
    check_int(access(in_root("out.png"), F_OK), ==, -1);
    check_int(access(in_root("out.safetensors"), F_OK), ==, -1);
    dr_engine_close(&engine);
}

/* ---- checkpoints that lack parts --------------------------------------------------------- */

/* Without the list of its components. */
static struct dr_model_info model_of(struct dr_engine *engine)
{
    struct dr_model_info info;
    check_int(dr_engine_model(engine, &info, &problem), ==, DR_OK);
    struct dr_model_info texts = info;
    texts.components = NULL;
    texts.component_count = 0;
    dr_model_info_free(&info);
    return texts;
}

static enum dr_code encode_picture(struct dr_engine *engine)
{
    struct dr_codec_result result;
    struct dr_codec_options options = dr_codec_options_default();
    options.input = corpus("a1111.png");
    options.output = in_root("code.safetensors");
    options.width = options.height = 64;
    problem = (struct dr_error){0};
    const enum dr_code code = dr_engine_encode(engine, &options, &result, &problem);
    dr_codec_result_free(&result);
    return code;
}

static enum dr_code decode_latents(struct dr_engine *engine)
{
    struct dr_codec_result result;
    struct dr_codec_options options = dr_codec_options_default();
    options.input = in_root("code.safetensors");
    options.output = in_root("decoded.png");
    problem = (struct dr_error){0};
    const enum dr_code code = dr_engine_decode(engine, &options, &result, &problem);
    dr_codec_result_free(&result);
    return code;
}

static void without_a_vae(struct dr_engine *engine)
{
    make_checkpoint("part.safetensors",
                    "--family sd15 --size least --seed 1 --without vae");
    load(engine, "part.safetensors");
    check_has(model_of(engine).lacks, "no VAE of its own");
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_INCOMPLETE);
    check_has(problem.message, "choose one with --vae");
    check_int(encode_picture(engine), ==, DR_INCOMPLETE);
    check_int(picture_with(engine, "latents.safetensors", NULL, NULL), ==, DR_OK);
    check_int(picture_with(engine, "lent.png", "sharp", NULL), ==, DR_OK);
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "chosen.png");
    check(same_pixels("lent.png", "chosen.png"));
    check_int(choose(engine, "none"), ==, DR_OK);
    check(!vae_state(engine).override_active);
    check_str(vae_state(engine).path, "");
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_INCOMPLETE);
}

static void without_a_text_encoder(struct dr_engine *engine)
{
    make_checkpoint("part.safetensors",
                    "--family sd15 --size least --seed 1 --without text");
    load(engine, "part.safetensors");
    check_has(model_of(engine).lacks, "no text encoder");
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_INCOMPLETE);
    check_has(problem.message, "no text encoder");
    check_int(encode_picture(engine), ==, DR_OK);
    check_int(decode_latents(engine), ==, DR_OK);
}

static void without_a_unet(struct dr_engine *engine)
{
    make_checkpoint("part.safetensors",
                    "--family sd15 --size least --seed 1 --without unet");
    load(engine, "part.safetensors");
    check_has(model_of(engine).lacks, "no UNet");
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_INCOMPLETE);
    check_has(problem.message, "no UNet");
    check_int(encode_picture(engine), ==, DR_OK);
    check_int(decode_latents(engine), ==, DR_OK);
    /* a VAE setting that cannot be read falls back here too */
    make_checkpoint("vae/bad.safetensors",
                    "--family sd15 --size least --part vae --seed 3 "
                    "--nan decoder.conv_in.weight");
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    check_int(choose(engine, "bad"), ==, DR_OK); /* not read yet: nothing is eager */
    load(engine, "part.safetensors");
    check(!vae_state(engine).override_active);
    check_has(vae_state(engine).reason, "decoder.conv_in.weight");
    check_int(decode_latents(engine), ==, DR_OK);
    check_int(choose(engine, "none"), ==, DR_OK);
}

static void with_a_broken_vae(struct dr_engine *engine)
{
    make_checkpoint("part.safetensors",
                    "--family sd15 --size least --seed 1 "
                    "--drop first_stage_model.decoder.conv_in.weight");
    load(engine, "part.safetensors");
    check_has(model_of(engine).lacks, "decoder.conv_in.weight");
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_INCOMPLETE);
    check_has(problem.message, "decoder.conv_in.weight");
    check_int(picture_with(engine, "lent.png", "sharp", NULL), ==, DR_OK);
    check(same_pixels("lent.png", "chosen.png"));
}

static void a_checkpoint_is_usable_for_what_it_has(void)
{
    struct dr_engine *engine = open_engine();
    without_a_vae(engine);
    without_a_text_encoder(engine);
    without_a_unet(engine);
    with_a_broken_vae(engine);
    dr_engine_close(&engine);
}

static void what_is_not_run_yet_is_refused_by_name(void)
{
    static const struct {
        const char *options, *part1, *part2;
        enum dr_code code;
    } files[] = {
        {"--family sd15 --size least --unet-channels 9",                       "9",     "npaint",            DR_UNSUPPORTED},
        {"--family sd15 --size least --linear-proj --without text",            "SD2.x",
         "not supported yet: this version runs SD1.x and SDXL",                                              DR_UNSUPPORTED},
        {"--family sd15 --size least --part vae",                              "VAE",   "--vae",             DR_BAD_INPUT  },
        {"--family sd15 --size least --drop model.diffusion_model.out.2.bias",
         "out.2.bias",                                                                  "other.safetensors", DR_INCOMPLETE },
    };
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "want.png");
    const uint64_t bytes = check_memory(engine);
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        make_checkpoint("other.safetensors", files[i].options);
        check_int(dr_engine_load(engine, in_root("other.safetensors"), DR_LOAD_EAGER,
                                 NULL, &problem),
                  ==, files[i].code);
        check_has(problem.message, files[i].part1);
        check_has(problem.message, files[i].part2);
        check_int(check_memory(engine), ==, bytes);
    }
    check_int(dr_engine_load(engine, in_root("none.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_NOT_FOUND);
    check_int(dr_engine_load(engine, "", DR_LOAD_EAGER, NULL, &problem), ==,
              DR_BAD_INPUT);
    picture(engine, "again.png");
    check(same_file("again.png", "want.png"));
    dr_engine_close(&engine);
}

static void a_vocabulary_of_another_model_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    make_checkpoint("few.safetensors",
                    "--family sd15 --size least --seed 1 --vocabulary 300");
    load(engine, "few.safetensors");
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_BAD_INPUT);
    check_has(problem.message, "has 300");
    check_has(problem.message, "--tokenizer");
    dr_engine_close(&engine);
}

/* ---- in the middle of a job -------------------------------------------------------------- */

static bool has_job_region(struct dr_engine *engine)
{
    struct dr_memory memory;
    bool found = false;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    for (size_t i = 0; i < memory.region_count; ++i)
        found |= strcmp(memory.regions[i].component, "job") == 0;
    dr_memory_free(&memory);
    return found;
}

/* Everything that can fail in a job fails once, from a cold start with a VAE of its own. */
static void a_fault_anywhere_leaves_an_engine_that_works(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    check_int(picture_with(engine, "want.png", "sharp", NULL), ==, DR_OK);
    int n = 1;
    for (; n < 3000; n += 1 + n / 3) {
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
        fault_arm(1U << FAULT_REGION | 1U << FAULT_READ | 1U << FAULT_VERIFY |
                      1U << FAULT_WRITE,
                  n, FAULT_ONCE);
        const enum dr_code code = picture_with(engine, "out.png", "sharp", NULL);
        const bool struck = fault_has_struck();
        fault_disarm();
        check(!has_job_region(engine));
        check_int(count_parts(), ==, 0);
        check(!vae_state(engine).override_active);
        if (!struck) {
            check_int(code, ==, DR_OK);
            break;
        }
        check_int(code, !=, DR_OK);
        check_int(access(in_root("out.png"), F_OK), ==, -1);
    }
    check_int(n, >, 10);
    check_int(n, <, 3000);
    check(same_file("out.png", "want.png"));
    check_int(unlink(in_root("out.png")), ==, 0);
    dr_engine_close(&engine);
}

static void a_full_disk_is_an_error_and_leaves_nothing(void)
{
    struct dr_engine *engine = open_engine();
    const char *const names[] = {"full.png", "full.jpg", "full.safetensors"};
    load(engine, "a.safetensors");
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        int n = 1;
        for (; n < 100; ++n) {
            fault_arm(1U << FAULT_WRITE, n, FAULT_FROM_THEN_ON);
            const enum dr_code code = picture_with(engine, names[i], NULL, NULL);
            const bool struck = fault_has_struck();
            fault_disarm();
            if (!struck) break;
            check_int(code, ==, DR_IO);
            check_has(problem.message, names[i]);
            check_int(access(in_root(names[i]), F_OK), ==, -1);
            check_int(count_parts(), ==, 0);
        }
        check_int(n, >, 2);
        check_int(n, <, 100);
        check_int(access(in_root(names[i]), F_OK), ==, 0);
    }
    dr_engine_close(&engine);
}

struct meddler {
    struct dr_engine *engine;
    enum dr_stage at;
    int count;
};

static void meddle(void *cookie, const struct dr_progress *progress)
{
    struct meddler *const meddler = cookie;
    struct dr_vae_info info;
    struct dr_error err;
    (void)progress;
    ++meddler->count;
    check_int(dr_engine_unload(meddler->engine, DR_UNLOAD_MODEL, NULL, &err), ==,
              DR_BUSY);
    check_int(dr_engine_vae(meddler->engine, &info, &err), ==, DR_OK);
    check_int(info.override_active, ==, 0);
    check_int(dr_engine_choose_vae(meddler->engine, "sharp", 0, NULL, NULL, &err), ==,
              DR_BUSY);
}

/* A9.17: unloading in the middle of a generation. */
static void a_running_job_is_not_meddled_with(void)
{
    struct dr_engine *engine = open_engine();
    struct meddler meddler = {.engine = engine};
    struct dr_generate_options options = good();
    load(engine, "a.safetensors");
    options.progress = meddle;
    options.progress_cookie = &meddler;
    check_int(generate(engine, &options), ==, DR_OK);
    check_int(meddler.count, >, 3);
    check_int(unlink(in_root("out.png")), ==, 0);
    dr_engine_close(&engine);
}

static void cancel_at_write(void *cookie, const struct dr_progress *progress)
{
    struct meddler *const meddler = cookie;
    if (progress->stage == DR_STAGE_WRITE && progress->image == meddler->count)
        dr_engine_cancel(meddler->engine);
}

/* When the last picture is written it is the answer: a cancel then comes too late. One picture
 * earlier it stops the job, which says what is there. */
static void a_cancel_while_writing(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_options options = good();
    struct meddler meddler = {.engine = engine, .count = 2};
    load(engine, "a.safetensors");
    const uint64_t before = check_memory(engine);
    options.batch = 3;
    options.vae = "sharp";
    options.progress = cancel_at_write;
    options.progress_cookie = &meddler;
    check_int(generate(engine, &options), ==, DR_OK);
    check_int(access(in_root("out-3.png"), F_OK), ==, 0);
    run_command("rm '%s'/out*.png", fixture_root);
    meddler.count = 0;
    check_int(generate(engine, &options), ==, DR_CANCELLED);
    check_has(problem.message, "1 of 3");
    check_int(access(in_root("out.png"), F_OK), ==, 0);
    check_int(access(in_root("out-2.png"), F_OK), ==, -1);
    check_int(count_parts(), ==, 0);
    check(!vae_state(engine).override_active);
    check_int(check_memory(engine), >=, before);
    run_command("rm '%s'/out*.png", fixture_root);
    dr_engine_close(&engine);
}

static void cancel_on_warning(void *cookie, enum dr_log_level level, const char *line)
{
    struct dr_engine **const engine = cookie;
    (void)line;
    if (level == DR_LOG_WARNING) dr_engine_cancel(*engine);
}

/* A model switch that is cancelled after the old model had to make room. */
static void a_cancelled_switch_brings_the_old_model_back(void)
{
    struct dr_engine *engine = NULL;
    struct dr_engine_options options = dr_engine_options_default();
    char tokenizer[600];
    (void)snprintf(tokenizer, sizeof tokenizer, "%s/tests/data/tiny-tokenizer",
                   getenv("DARKROOM_SOURCE"));
    options.tokenizer_folder = tokenizer;
    options.vae_folder = in_root("vae");
    options.settings_path = "";
    options.thread_count = 1;
    options.log = cancel_on_warning;
    options.log_cookie = &engine;
    check_int(dr_engine_open(&engine, &options, &problem), ==, DR_OK);
    load(engine, "a.safetensors");
    picture(engine, "want.png");
    const uint64_t bytes = check_memory(engine);
    limit_regions(engine, bytes + bytes / 2); /* not both models */
    /* a damaged neighbour of b's: a warning, and with it the cancel */
    run_command("head -c 999 '%s' >'%s'", in_root("vae/sharp.safetensors"),
                in_root("b.vae.safetensors"));
    check_int(dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_CANCELLED);
    check_int(unlink(in_root("b.vae.safetensors")), ==, 0);
    check_has(model_of(engine).path, "a.safetensors");
    check_int(check_memory(engine), >=, bytes - (1 << 20)); /* all but cached prompts */
    picture(engine, "again.png");
    check(same_file("again.png", "want.png"));
    dr_engine_close(&engine);
}

struct hammer {
    struct dr_engine *engine;
    atomic_bool stop;
};

static void *cancel_often(void *cookie)
{
    struct hammer *const hammer = cookie;
    while (!atomic_load(&hammer->stop)) {
        dr_engine_cancel(hammer->engine);
        sched_yield();
    }
    return NULL;
}

/* Cancels from another thread, at any moment of any switch: done, or as before. */
static void cancels_at_any_moment_leave_a_state(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "want.png");
    struct hammer hammer = {.engine = engine};
    pthread_t thread;
    if (pthread_create(&thread, NULL, cancel_often, &hammer) != 0) exit(1);
    for (int i = 0; i < 12; ++i) {
        const enum dr_code code =
            i % 3 == 2
                ? dr_engine_load(engine,
                                 in_root(i % 2 ? "a.safetensors" : "b.safetensors"),
                                 DR_LOAD_EAGER, NULL, &problem)
                : dr_engine_choose_vae(engine, i % 3 ? "sharp" : "none", 0, NULL, NULL,
                                       &problem);
        check(code == DR_OK || code == DR_CANCELLED);
        (void)check_memory(engine);
    }
    atomic_store(&hammer.stop, true);
    (void)pthread_join(thread, NULL);
    check_int(choose(engine, "none"), ==, DR_OK);
    load(engine, "a.safetensors");
    picture(engine, "again.png");
    check(same_file("again.png", "want.png"));
    dr_engine_close(&engine);
}

/* Parts that a killed writer left are removed by the next job that writes there. */
static void what_a_killed_writer_left_is_swept(void)
{
    struct dr_engine *engine = open_engine();
    run_command("touch '%s/.old.png.2147483646-1.darkroom-part'", fixture_root);
    check_int(count_parts(), ==, 1);
    load(engine, "a.safetensors");
    picture(engine, "out.png");
    check_int(count_parts(), ==, 0);
    check_int(unlink(in_root("out.png")), ==, 0);
    dr_engine_close(&engine);
}

/* The generation parameters of a picture that is made with what the checkpoint says, but for `steps`. */
static const char *made_by_default(struct dr_engine *engine, int32_t steps,
                                   struct dr_generate_result *result)
{
    static char kept[4096];
    struct dr_generate_options options = dr_generate_options_default();
    char *text = NULL;
    options.prompt = "a red circle";
    options.output = in_root("default.png");
    options.steps = steps;
    check_int(dr_engine_generate(engine, &options, result, &problem), ==, DR_OK);
    check_int(dr_read_parameters(in_root("default.png"), &text, &problem), ==, DR_OK);
    (void)snprintf(kept, sizeof kept, "%s", text ? text : "");
    free(text);
    return kept;
}

/* A checkpoint's metadata has the defaults; an option wins; a value of no use is not used, and reported. */
static void a_checkpoint_has_its_own_defaults(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    struct dr_inspection inspection;
    copy_with_metadata("a.safetensors", "says.safetensors",
                       "\"darkroom.default.size\":\"72x64\","
                       "\"darkroom.default.steps\":\"3\","
                       "\"darkroom.default.cfg\":\"2.5\","
                       "\"darkroom.default.sampler\":\"ddim\","
                       "\"darkroom.default.scheduler\":\"trailing\",");
    copy_with_metadata("a.safetensors", "nonsense.safetensors",
                       "\"darkroom.default.size\":\"72x64\","
                       "\"darkroom.default.steps\":\"2\","
                       "\"darkroom.default.cfg\":\"lots\",");
    load(engine, "says.safetensors");
    check_has(made_by_default(engine, 0, &result),
              "Steps: 3, Sampler: DDIM, Schedule type: ");
    dr_generate_result_free(&result);
    check_has(made_by_default(engine, 0, &result), "CFG scale: 2.5");
    check_int(result.width, ==, 72);
    check_int(result.height, ==, 64);
    check_str(result.warnings, "");
    dr_generate_result_free(&result);
    check_has(made_by_default(engine, 4, &result), "Steps: 4, Sampler: DDIM");
    dr_generate_result_free(&result);
    load(engine, "nonsense.safetensors");
    check_has(made_by_default(engine, 0, &result), "CFG scale: 7");
    check_has(result.warnings, "darkroom.default.cfg \"lots\", which is not used");
    dr_generate_result_free(&result);
    check_int(dr_inspect(in_root("nonsense.safetensors"), NULL, &inspection, &problem),
              ==, DR_OK);
    check_int(inspection.defaults.width, ==, 72);
    check_int(inspection.defaults.steps, ==, 2);
    check_str(inspection.defaults.sampler, "euler-a");
    check_str(inspection.defaults.scheduler, "normal");
    check_int(inspection.warning_count, ==, 1);
    dr_inspection_free(&inspection);
    dr_engine_close(&engine);
}

/* An engine with these settings and the model that has defaults of its own. */
static struct dr_engine *open_with_settings(const char *text)
{
    char tokenizer[600];
    const char *const source = getenv("DARKROOM_SOURCE");
    struct dr_engine_options options = dr_engine_options_default();
    struct dr_engine *engine = NULL;
    FILE *const file = fopen(in_root("settings.json"), "w");
    check(file && fputs(text, file) >= 0 && fclose(file) == 0);
    (void)snprintf(tokenizer, sizeof tokenizer, "%s/tests/data/tiny-tokenizer",
                   source ? source : ".");
    options.tokenizer_folder = tokenizer;
    options.settings_path = in_root("settings.json");
    options.thread_count = 1;
    check_int(dr_engine_open(&engine, &options, &problem), ==, DR_OK);
    return engine;
}

static void the_settings_fill_what_is_open(void)
{
    struct dr_generate_result result;
    copy_with_metadata("a.safetensors", "says.safetensors",
                       "\"darkroom.default.size\":\"72x64\","
                       "\"darkroom.default.sampler\":\"ddim\",");
    struct dr_engine *engine = open_with_settings(
        "{\"size\": \"64x64\", \"steps\": 2, \"cfg\": 3, \"sampler\": \"euler\"}");
    load(engine, "says.safetensors"); /* the file comes before the settings for all */
    check_has(made_by_default(engine, 0, &result),
              "Steps: 2, Sampler: DDIM, Schedule type: ");
    check_int(result.width, ==, 72);
    dr_generate_result_free(&result);
    check_has(made_by_default(engine, 1, &result),
              "Steps: 1, "); /* the request first */
    dr_generate_result_free(&result);
    load(engine, "a.safetensors"); /* a file that says nothing */
    check_has(made_by_default(engine, 0, &result), "Steps: 2, Sampler: Euler, ");
    dr_generate_result_free(&result);
    check_has(made_by_default(engine, 0, &result), "CFG scale: 3");
    check_int(result.width, ==, 64);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
    engine = open_with_settings("{\"steps\": 2, \"by_model\": {\"says\": {\"size\": "
                                "\"64x72\", \"steps\": 1, \"sampler\": \"heun\"}}}");
    load(engine, "says.safetensors"); /* its entry comes before the file */
    check_has(made_by_default(engine, 0, &result), "Steps: 1, Sampler: Heun, ");
    check_int(result.height, ==, 72);
    check_int(result.width, ==, 64);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

/* Precision, budget and the limit on packs are the engine's. */
static void an_engine_opens_by_the_settings(void)
{
    struct dr_status status;
    struct dr_memory memory;
    struct dr_engine *engine = open_with_settings("{\"budget\": \"600M\"}");
    dr_engine_status(engine, &status);
    check_int(status.budget_bytes, ==, (uint64_t)600 << 20);
    check_int(dr_engine_set_budget(engine, (uint64_t)700 << 20, &problem), ==, DR_OK);
    check_int(dr_engine_set_budget(engine, 0, &problem), ==, DR_OK);
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    check_int(memory.budget_bytes, ==, (uint64_t)600 << 20);
    check_str(memory.budget_reason, "as the settings have it");
    dr_memory_free(&memory);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(the_settings_fill_what_is_open);
    check_run(an_engine_opens_by_the_settings);
    check_run(a_checkpoint_has_its_own_defaults);
    check_run(every_bad_option_is_refused);
    check_run(bad_calls_of_the_codec_are_refused);
    check_run(a_checkpoint_is_usable_for_what_it_has);
    check_run(what_is_not_run_yet_is_refused_by_name);
    check_run(a_vocabulary_of_another_model_is_refused);
    check_run_with_faults(a_fault_anywhere_leaves_an_engine_that_works);
    check_run_with_faults(a_full_disk_is_an_error_and_leaves_nothing);
    check_run(a_running_job_is_not_meddled_with);
    check_run(a_cancel_while_writing);
    check_run(a_cancelled_switch_brings_the_old_model_back);
    check_run(cancels_at_any_moment_leave_a_state);
    check_run(what_a_killed_writer_left_is_swept);
    return check_done();
}
