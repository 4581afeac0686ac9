/* golden_full — the networks at full SD1.5 or SDXL shapes against diffusers, on demand.
 *
 *     golden_full GOLDEN-FOLDER CHECKPOINT
 *
 * The folder is what `tools/golden/golden.py --size full` writes, the checkpoint what the files'
 * metadata say (random_checkpoint --family sd15|sdxl --size full --dtype f16). Needs about 6 GiB
 * (SDXL 14) and some minutes; script/golden --full does all of it. An SDXL checkpoint's VAE is
 * SD1.5's network, and checked there.
 *
 * float32: relative L2 <= 1e-4 each. bfloat16, where the processor multiplies it: the VAE's
 * picture >= 47 dB PSNR from float32's.
 */
#include "network.h"

#include "compute/compute.h"
#include "model/clip_text.h"
#include "model/unet.h"
#include "model/vae.h"

static const double f32_bound = 1e-4;
static const double unet_bf16_bound = 0.03; /* one evaluation; a sanity check */
static const double vae_bf16_decibels = 47;

static struct checkpoint checkpoint;

static int32_t dim(const struct golden *golden, const char *group, int32_t axis)
{
    return golden_dim(golden, group, "latent", axis);
}

/* ---- text encoders ---- */

/* A golden context and the clip skip that gives it. */
struct text_case {
    enum component_role role;
    int32_t clip_skip;
    const char *context;
    const char *pooled; /* NULL: none */
};
static const struct text_case sd15_texts[] = {
    {ROLE_TEXT, 1, "context_skip1", NULL},
    {ROLE_TEXT, 2, "context_skip2", NULL},
};
static const struct text_case sdxl_texts[] = {
    {ROLE_TEXT,  1, "text.context",        NULL          },
    {ROLE_TEXT,  2, "text.context_skip2",  NULL          },
    {ROLE_TEXT2, 1, "text2.context",       "text2.pooled"},
    {ROLE_TEXT2, 2, "text2.context_skip2", NULL          },
};

static double pooled_error(const struct golden *golden,
                           const struct clip_text_plan *text, const char *name,
                           size_t width)
{
    double worst = 0.0;
    float *const expected = golden_read(golden, NULL, name, NULL);
    int32_t *const ends = golden_read(golden, NULL, "ends", NULL);
    float *const pooled = malloc(width * sizeof *pooled);
    network_require(pooled, "no memory");
    for (int32_t i = 0; i < 2; ++i) {
        clip_text_read_pooled(text, i, ends[i], pooled);
        const double error =
            network_relative_error(pooled, expected + (size_t)i * width, width);
        if (!(error <= worst)) worst = error;
    }
    fprintf(stderr, "     %s: relative L2 %.3g\n", name, worst);
    free(pooled);
    free(ends);
    free(expected);
    return worst;
}

static void check_text_case(const struct golden *golden, const struct text_case *test,
                            enum dtype dtype, double bound)
{
    struct clip_text_spec *spec = NULL;
    struct clip_text_plan text = {0};
    struct region weights = {0}, arena = {0};
    struct dr_error err = {0};
    network_require(clip_text_spec_create(&spec, &checkpoint.components[test->role],
                                          checkpoint.family, dtype, &err) == DR_OK,
                    "%s", err.message);
    network_load(clip_text_component(spec), &weights);
    network_require(clip_text_plan_create(&text, spec,
                                          &(struct clip_text_shape){.n = 2,
                                                                    .clip_skip =
                                                                        test->clip_skip,
                                                                    .profile = false},
                                          &err) == DR_OK,
                    "%s", err.message);
    network_arena(text.plan, &weights, &arena);
    golden_fill(golden, NULL, "ids", text.plan, text.ids);
    network_run(text.plan);
    check_real(golden_error(golden, NULL, test->context, text.plan, text.context), <=,
               bound);
    if (test->pooled)
        check_real(pooled_error(golden, &text, test->pooled,
                                (size_t)clip_text_info(spec).pooled),
                   <=, bound);
    clip_text_plan_destroy(&text);
    region_close(&arena);
    region_close(&weights);
    clip_text_spec_destroy(&spec);
}

static void check_text(enum dtype dtype, double bound)
{
    struct golden golden;
    const bool is_sdxl = checkpoint.family == FAMILY_SDXL;
    const struct text_case *const tests = is_sdxl ? sdxl_texts : sd15_texts;
    const size_t count = is_sdxl ? sizeof sdxl_texts / sizeof *sdxl_texts
                                 : sizeof sd15_texts / sizeof *sd15_texts;
    golden_open(&golden, is_sdxl ? "text_sdxl" : "text");
    for (size_t i = 0; i < count; ++i)
        check_text_case(&golden, &tests[i], dtype, bound);
    golden_close(&golden);
}

static void text_in_f32(void)
{
    check_text(DTYPE_F32, f32_bound);
}

static void text_in_bf16(void)
{
    check_text(DTYPE_BF16, 0.03);
}

/* ---- UNet ---- */

static void check_unet_case(const struct unet_spec *spec, const struct region *weights,
                            const struct golden *golden, const char *group,
                            double bound)
{
    const struct unet_shape shape = {
        .n = dim(golden, group, 0),
        .height = dim(golden, group, 1),
        .width = dim(golden, group, 2),
        .tokens = golden_dim(golden, group, "context", 1),
    };
    struct unet_plan unet = {0};
    struct region arena = {0};
    struct dr_error err = {0};
    network_require(unet_plan_create(&unet, spec, &shape, false, &err) == DR_OK, "%s",
                    err.message);
    network_arena(unet.plan, weights, &arena);
    float *const time = golden_read(golden, NULL, "time", NULL);
    unet_plan_set_time(&unet, time[0]);
    free(time);
    golden_fill(golden, group, "latent", unet.plan, unet.latent);
    golden_fill(golden, group, "context", unet.plan, unet.context);
    if (unet.vector.id != 0)
        golden_fill(golden, group, "vector", unet.plan, unet.vector);
    network_run(unet.plan);
    check_real(golden_error(golden, group, "result", unet.plan, unet.result), <=,
               bound);
    unet_plan_destroy(&unet);
    region_close(&arena);
}

static void check_unet(enum dtype dtype, double bound)
{
    struct golden golden;
    struct unet_spec *spec = NULL;
    struct region weights = {0};
    struct dr_error err = {0};
    golden_open(&golden, checkpoint.family == FAMILY_SDXL ? "unet_sdxl" : "unet");
    network_require(unet_spec_create(&spec, &checkpoint.components[ROLE_UNET],
                                     checkpoint.family, dtype, &err) == DR_OK,
                    "%s", err.message);
    network_load(unet_component(spec), &weights);
    check_unet_case(spec, &weights, &golden, "even", bound);
    check_unet_case(spec, &weights, &golden, "odd", bound);
    region_close(&weights);
    unet_spec_destroy(&spec);
    golden_close(&golden);
}

static void unet_in_f32(void)
{
    check_unet(DTYPE_F32, f32_bound);
}

static void unet_in_bf16(void)
{
    check_unet(DTYPE_BF16, unet_bf16_bound);
}

/* ---- VAE ---- */

static double picture_value(float x)
{
    const double value = (double)x / 2 + 0.5;
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

/* Of pictures in [0, 1], against the golden one. */
static double golden_decibels(const struct golden *golden, const char *group,
                              const struct vae_decode_plan *vae)
{
    size_t count = 0;
    float *const expected = golden_read(golden, group, "decoded", &count);
    float *const result = network_read(vae->plan, vae->image);
    double squares = 0;
    for (size_t i = 0; i < count; ++i) {
        const double d = picture_value(result[i]) - picture_value(expected[i]);
        squares += d * d;
    }
    free(result);
    free(expected);
    const double decibels = -10 * log10(squares / (double)count);
    fprintf(stderr, "     %s.decoded: PSNR %.2f dB\n", group, decibels);
    return decibels;
}

static void check_decode(const struct vae_spec *spec, const struct region *weights,
                         const struct golden *golden, const char *group)
{
    struct vae_decode_plan vae = {0};
    struct region arena = {0};
    struct dr_error err = {0};
    const struct vae_plan_options options = {.n = dim(golden, group, 0),
                                             .latent_height = dim(golden, group, 1),
                                             .latent_width = dim(golden, group, 2)};
    network_require(vae_decode_plan_create(&vae, spec, &options, &err) == DR_OK, "%s",
                    err.message);
    network_arena(vae.plan, weights, &arena);
    golden_fill(golden, group, "latent", vae.plan, vae.latent);
    network_run(vae.plan);
    const double error = golden_error(golden, group, "decoded", vae.plan, vae.image);
    if (vae_component(spec)->dtype == DTYPE_F32)
        check_real(error, <=, f32_bound);
    else
        check_real(golden_decibels(golden, group, &vae), >=, vae_bf16_decibels);
    vae_decode_plan_destroy(&vae);
    region_close(&arena);
}

static void check_encode(const struct vae_spec *spec, const struct region *weights,
                         const struct golden *golden, const char *group)
{
    struct vae_encode_plan vae = {0};
    struct region arena = {0};
    struct dr_error err = {0};
    const struct vae_plan_options options = {.n = dim(golden, group, 0),
                                             .latent_height = dim(golden, group, 1),
                                             .latent_width = dim(golden, group, 2)};
    network_require(vae_encode_plan_create(&vae, spec, &options, &err) == DR_OK, "%s",
                    err.message);
    network_arena(vae.plan, weights, &arena);
    golden_fill(golden, group, "image", vae.plan, vae.image);
    network_run(vae.plan);
    check_real(golden_error(golden, group, "moments", vae.plan, vae.moments), <=,
               vae_component(spec)->dtype == DTYPE_F32 ? f32_bound : 0.05);
    vae_encode_plan_destroy(&vae);
    region_close(&arena);
}

static void check_vae(enum dtype dtype)
{
    struct golden golden;
    struct vae_spec *spec = NULL;
    struct region weights = {0};
    struct dr_error err = {0};
    golden_open(&golden, "vae");
    network_require(vae_spec_create(&spec, &checkpoint.components[ROLE_VAE],
                                    checkpoint.family, dtype, &err) == DR_OK,
                    "%s", err.message);
    network_load(vae_component(spec), &weights);
    check_decode(spec, &weights, &golden, "even");
    check_decode(spec, &weights, &golden, "odd");
    check_encode(spec, &weights, &golden, "even");
    check_encode(spec, &weights, &golden, "odd");
    region_close(&weights);
    vae_spec_destroy(&spec);
    golden_close(&golden);
}

static void vae_in_f32(void)
{
    check_vae(DTYPE_F32);
}

static void vae_in_bf16(void)
{
    check_vae(DTYPE_BF16);
}

int main(int count, char **arguments)
{
    if (count != 3) return check_skip("usage: golden_full GOLDEN-FOLDER CHECKPOINT");
    network_require(setenv("DARKROOM_GOLDEN", arguments[1], 1) == 0, "setenv");
    network_start();
    network_open(&checkpoint, arguments[2]);
    const bool has_vae = checkpoint.family != FAMILY_SDXL;
    const bool has_bf16 = compute_can_bf16();
    struct golden golden;
    golden_open(&golden, has_vae ? "unet" : "unet_sdxl");
    golden_check_checkpoint(&golden, arguments[2]);
    golden_close(&golden);
    if (!has_bf16)
        fprintf(stderr, "this processor does not multiply bfloat16: float32 only\n");
    check_run(text_in_f32);
    if (has_bf16) check_run(text_in_bf16);
    if (has_vae) check_run(vae_in_f32);
    if (has_vae && has_bf16) check_run(vae_in_bf16);
    check_run(unet_in_f32);
    if (has_bf16) check_run(unet_in_bf16);
    checkpoint_close(&checkpoint);
    network_finish();
    return check_done();
}
