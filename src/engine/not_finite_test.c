/* NaN and infinity never become a picture: in the file they are found when it is read and the
 * tensor is named; where finite weights make infinite activations, the stage is named. Nothing
 * is written, and the engine goes on with what is whole. */
#include "engine/engine_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>

#include "compute/compute.h"
#include "sampling/latent.h"
#include "weights/checkpoint.h"

/* Files below the root whose name has `part`. */
static int count_files(const char *part)
{
    int count = 0;
    DIR *const folder = opendir(fixture_root);
    const struct dirent *entry = NULL;
    while (folder && (entry = readdir(folder)) != NULL)
        count += strstr(entry->d_name, part) != NULL;
    if (folder) (void)closedir(folder);
    return count;
}

/* Write `value` over the first `count` elements of a float32 tensor. */
static void poke(const char *file, enum component_role role, const char *name,
                 float value, int count)
{
    struct checkpoint checkpoint;
    if (checkpoint_open(&checkpoint, in_root(file), &problem) != DR_OK) exit(1);
    const struct tensor *const tensor =
        component_find(&checkpoint.components[role], name);
    if (!tensor || tensor->dtype != DTYPE_F32) {
        fprintf(stderr, "no float32 tensor %s in %s\n", name, file);
        exit(1);
    }
    const off_t offset = (off_t)tensor->offset;
    checkpoint_close(&checkpoint);
    const int descriptor = open(in_root(file), O_WRONLY);
    for (int i = 0; i < count; ++i)
        if (pwrite(descriptor, &value, sizeof value,
                   offset + i * (off_t)sizeof value) != (ssize_t)sizeof value)
            exit(1);
    (void)close(descriptor);
}

static void copy(const char *source, const char *target)
{
    run_command("cp '%s' '%s'", in_root(source), in_root(target));
}

/* The engine as before: its picture is still that one. */
static void check_usable(struct dr_engine *engine)
{
    picture(engine, "again.png");
    check(same_file("again.png", "want.png"));
    check_int(count_files("darkroom-part"), ==, 0);
    check_int(unlink(in_root("again.png")), ==, 0);
}

static void a_nan_in_the_file_is_named_when_it_is_read(void)
{
    static const struct {
        const char *options, *tensor;
    } files[] = {
        {"--nan cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.weight",
         "encoder.layers.1.mlp.fc1.weight"},
        {"--nan model.diffusion_model.middle_block.1.proj_in.bias",
         "middle_block.1.proj_in.bias"    },
        {"--nan first_stage_model.decoder.mid.attn_1.k.weight",
         "decoder.mid.attn_1.k.weight"    },
    };
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "want.png");
    const uint64_t bytes = check_memory(engine);
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        char options[256];
        (void)snprintf(options, sizeof options,
                       "--family sd15 --size least --seed 1 %s", files[i].options);
        make_checkpoint("nan.safetensors", options);
        check_int(dr_engine_load(engine, in_root("nan.safetensors"), DR_LOAD_EAGER,
                                 NULL, &problem),
                  ==, DR_NOT_FINITE);
        check_has(problem.message, files[i].tensor);
        check_has(problem.message, "nan.safetensors");
        check_int(check_memory(engine), ==, bytes);
        check_usable(engine);
    }
    /* read when a job needs it: the same answer, then; it is named, and nothing is written */
    check_int(dr_engine_load(engine, in_root("nan.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    check_int(picture_with(engine, "out.png", NULL, NULL), ==, DR_NOT_FINITE);
    check_has(problem.message, files[2].tensor);
    check_int(access(in_root("out.png"), F_OK), ==, -1);
    /* its other components are whole: with another VAE it makes the same picture as a's */
    check_int(picture_with(engine, "out.png", "sharp", NULL), ==, DR_OK);
    load(engine, "a.safetensors");
    check_int(picture_with(engine, "sharp.png", "sharp", NULL), ==, DR_OK);
    check(same_pixels("out.png", "sharp.png"));
    check_int(unlink(in_root("out.png")), ==, 0);
    check_usable(engine);
    dr_engine_close(&engine);
}

static void a_vae_with_infinity_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    make_checkpoint("vae/infinite.safetensors",
                    "--family sd15 --size least --part vae --dtype f32 --seed 3");
    poke("vae/infinite.safetensors", ROLE_VAE, "decoder.up.0.block.0.conv1.weight",
         INFINITY, 1);
    load(engine, "a.safetensors");
    picture(engine, "want.png");
    const uint64_t bytes = check_memory(engine);
    check_int(choose(engine, "infinite"), ==, DR_NOT_FINITE);
    check_has(problem.message, "decoder.up.0.block.0.conv1.weight");
    check(!vae_state(engine).override_active);
    check_int(picture_with(engine, "out.png", "infinite", NULL), ==, DR_NOT_FINITE);
    check_int(check_memory(engine), ==, bytes);
    check_usable(engine);
    /* as a setting it falls back, and says why */
    dr_engine_close(&engine);
    engine = open_engine();
    check_int(choose(engine, "infinite"), ==, DR_OK);
    load(engine, "a.safetensors");
    check(!vae_state(engine).override_active);
    check_has(vae_state(engine).reason, "decoder.up.0.block.0.conv1.weight");
    check_usable(engine);
    dr_engine_close(&engine);
}

/* Finite in float32, infinite once it is a bfloat16. */
static void a_weight_that_bfloat16_cannot_hold_is_named(void)
{
    if (!compute_has_bf16()) {
        check_skip_case("this processor has no bfloat16");
        return;
    }
    copy("f32.safetensors", "large.safetensors");
    poke("large.safetensors", ROLE_UNET, "out.2.weight", 3.4e38F, 1);
    struct dr_engine *engine = open_engine_with(0, DR_PRECISION_BF16);
    check_int(dr_engine_load(engine, in_root("large.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_NOT_FINITE);
    check_has(problem.message, "out.2.weight");
    check_has(problem.message, "BF16");
    check_int(check_memory(engine), ==, 0);
    dr_engine_close(&engine);
}

/* Weights that are finite, activations that are not: norms whose weight is near the largest
 * float32 before a layer that sums. */
static void overflow_names_the_stage(enum dr_precision precision)
{
    static const struct {
        enum component_role role;
        const char *tensor, *stage;
        bool init;
    } files[] = {
        {ROLE_TEXT, "final_layer_norm.weight", "text encoder", false},
        {ROLE_UNET, "out.0.weight",            "step 1 of 2",  false},
        {ROLE_VAE,  "decoder.norm_out.weight", "VAE decoder",  false},
        {ROLE_VAE,  "encoder.norm_out.weight", "VAE encoder",  true },
    };
    struct dr_engine *engine = open_engine_with(0, precision);
    load(engine, "f32.safetensors");
    picture(engine, "want.png");
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        copy("f32.safetensors", "large.safetensors");
        poke("large.safetensors", files[i].role, files[i].tensor, 3e38F, 32);
        load(engine, "large.safetensors");
        const char *const init = files[i].init ? in_root("want.png") : NULL;
        check_int(picture_with(engine, "out.png", NULL, init), ==, DR_NOT_FINITE);
        check_has(problem.message, files[i].stage);
        check_has(problem.message, "not finite");
        check_int(access(in_root("out.png"), F_OK), ==, -1);
        check_int(picture_with(engine, "out.safetensors", NULL, init), ==,
                  files[i].role == ROLE_VAE && !files[i].init ? DR_OK : DR_NOT_FINITE);
        (void)unlink(in_root("out.safetensors"));
        load(engine, "f32.safetensors");
        check_usable(engine);
    }
    dr_engine_close(&engine);
}

static void overflow_names_the_stage_in_f32(void)
{
    overflow_names_the_stage(DR_PRECISION_F32);
}

static void overflow_names_the_stage_in_the_machines_own(void)
{
    if (has_own_precision()) overflow_names_the_stage(DR_PRECISION_AUTO);
}

/* A prediction that is finite may still take the latent beyond: that is the UNet's, too, not
 * the VAE's that is fed with it. */
static void a_latent_that_overflows_is_no_fault_of_the_vae(void)
{
    struct dr_engine *engine = open_engine_with(0, DR_PRECISION_F32);
    copy("f32.safetensors", "large.safetensors");
    poke("large.safetensors", ROLE_UNET, "out.2.bias", 3e38F, 4);
    load(engine, "large.safetensors");
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.width = options.height = 64;
    options.steps = 1;
    options.sampler = "euler";
    options.scheduler = "trailing"; /* from the largest sigma to 0 at once */
    options.output = in_root("out.png");
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_NOT_FINITE);
    check_has(problem.message, "UNet");
    options.output = in_root("out.safetensors");
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_NOT_FINITE);
    check_int(count_files("out."), ==, 0);
    dr_engine_close(&engine);
}

static void latents_with_nan_are_not_decoded(void)
{
    struct dr_engine *engine = open_engine();
    static float latents[2 * 4 * 8 * 8];
    latents[300] = NAN;
    check_int(latent_file_write(in_root("nan-latent.safetensors"), latents, 2, 8, 8,
                                &problem),
              ==, DR_OK);
    load(engine, "a.safetensors");
    struct dr_codec_result result;
    struct dr_codec_options options = dr_codec_options_default();
    options.input = in_root("nan-latent.safetensors");
    options.output = in_root("out.png");
    check_int(dr_engine_decode(engine, &options, &result, &problem), ==, DR_NOT_FINITE);
    check_has(problem.message, "nan-latent.safetensors");
    check_int(count_files("out"), ==, 0);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_folder();
    make_checkpoint("a.safetensors", "--family sd15 --size least --seed 1");
    make_checkpoint("f32.safetensors",
                    "--family sd15 --size least --seed 1 --dtype f32");
    make_checkpoint("vae/sharp.safetensors",
                    "--family sd15 --size least --part vae --seed 3");
    check_run(a_nan_in_the_file_is_named_when_it_is_read);
    check_run(a_vae_with_infinity_is_refused);
    check_run(a_weight_that_bfloat16_cannot_hold_is_named);
    check_run(overflow_names_the_stage_in_f32);
    check_run(overflow_names_the_stage_in_the_machines_own);
    check_run(a_latent_that_overflows_is_no_fault_of_the_vae);
    check_run(latents_with_nan_are_not_decoded);
    return check_done();
}
