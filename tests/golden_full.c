/* golden_full — the networks at full SD1.5 shapes against diffusers, on demand.
 *
 *     golden_full GOLDEN-FOLDER CHECKPOINT
 *
 * The folder is what `tools/golden/golden.py --size full` writes, the checkpoint what the files'
 * metadata say (random_checkpoint --family sd15 --size full --dtype f16). Needs about 6 GiB
 * and some minutes; script/golden --full does all of it.
 *
 * float32: relative L2 <= 1e-4 each. bfloat16: the VAE's picture >= 47 dB PSNR from float32's.
 */
#include "network.h"

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

/* ---- text encoder ---- */

static void check_text(enum dtype dtype, double bound)
{
    struct golden golden;
    struct clip_text_spec *spec = NULL;
    struct region weights = {0};
    struct dr_error err = {0};
    golden_open(&golden, "text");
    network_require(clip_text_spec_create(&spec, &checkpoint.components[ROLE_TEXT],
                                          FAMILY_SD15, dtype, &err) == DR_OK,
                    "%s", err.message);
    network_load(clip_text_component(spec), &weights);
    for (int32_t skip = 1; skip <= 2; ++skip) {
        struct clip_text_plan text = {0};
        struct region arena = {0};
        network_require(clip_text_plan_create(&text, spec, 2, skip, &err) == DR_OK,
                        "%s", err.message);
        network_arena(text.plan, &weights, &arena);
        golden_fill(&golden, NULL, "ids", text.plan, text.ids);
        network_run(text.plan);
        check_real(golden_error(&golden, NULL,
                                skip == 1 ? "context_skip1" : "context_skip2",
                                text.plan, text.context),
                   <=, bound);
        clip_text_plan_destroy(&text);
        region_close(&arena);
    }
    region_close(&weights);
    clip_text_spec_destroy(&spec);
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
        dim(golden, group, 0),
        dim(golden, group, 1),
        dim(golden, group, 2),
        golden_dim(golden, group, "context", 1),
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
    golden_open(&golden, "unet");
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
    const float *const result = plan_data(vae->plan, vae->image);
    double squares = 0;
    for (size_t i = 0; i < count; ++i) {
        const double d = picture_value(result[i]) - picture_value(expected[i]);
        squares += d * d;
    }
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
    network_require(vae_decode_plan_create(&vae, spec, dim(golden, group, 0),
                                           dim(golden, group, 1), dim(golden, group, 2),
                                           false, &err) == DR_OK,
                    "%s", err.message);
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
    network_require(vae_encode_plan_create(&vae, spec, dim(golden, group, 0),
                                           dim(golden, group, 1), dim(golden, group, 2),
                                           false, &err) == DR_OK,
                    "%s", err.message);
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
    struct golden golden;
    golden_open(&golden, "vae");
    golden_check_checkpoint(&golden, arguments[2]);
    golden_close(&golden);
    network_start();
    network_open(&checkpoint, arguments[2]);
    check_run(text_in_f32);
    check_run(text_in_bf16);
    check_run(vae_in_f32);
    check_run(vae_in_bf16);
    check_run(unet_in_f32);
    check_run(unet_in_bf16);
    checkpoint_close(&checkpoint);
    network_finish();
    return check_done();
}
