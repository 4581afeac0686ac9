#include "job/parameters.h"

#include "check.h"

static struct parameters example(void)
{
    return (struct parameters){.prompt = "a lighthouse, at dusk",
                               .negative = "fog",
                               .steps = 20,
                               .width = 512,
                               .height = 768,
                               .clip_skip = 1,
                               .sampler = SAMPLER_EULER_A,
                               .schedule = SCHEDULE_KARRAS,
                               .cfg = 7.5,
                               .seed = 42,
                               .model_name = "sd15",
                               .model_hash = "0123456789abcdef",
                               .unet_digest = "89abcdef01234567",
                               .vae_name = "my.vae.safetensors",
                               .vae_digest = "fedcba9876543210",
                               .prediction = PREDICTION_EPSILON,
                               .rng = DR_RNG_CUDA,
                               .precision = "bf16"};
}

static void the_text_is_as_clients_read_it(void)
{
    char text[1024];
    const struct parameters parameters = example();
    const size_t length = parameters_format(&parameters, text, sizeof text);
    check_int(length, ==, strlen(text));
    check_has(
        text,
        "a lighthouse, at dusk\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, "
        "Schedule type: Karras, CFG scale: 7.5, Seed: 42, Size: 512x768, "
        "Model hash: 0123456789, Model: sd15, VAE hash: fedcba9876, "
        "VAE: my.vae.safetensors, Unet digest: 89abcdef01, RNG: GPU, Precision: bf16, Version: darkroom ");
}

static void what_does_not_apply_is_left_out(void)
{
    char text[1024];
    struct parameters parameters = example();
    parameters.negative = "";
    (void)parameters_format(&parameters, text, sizeof text);
    check(strstr(text, "Negative prompt") == NULL);
    check(strstr(text, "Clip skip") == NULL);
    check(strstr(text, "Denoising") == NULL);
    parameters.model_hash = "";
    (void)parameters_format(&parameters, text, sizeof text);
    check_has(text, "Size: 512x768, Model: sd15, ");
    parameters.clip_skip = 2;
    parameters.image_to_image = 1;
    parameters.strength = 0.4;
    (void)parameters_format(&parameters, text, sizeof text);
    check_has(text, ", Denoising strength: 0.4, Clip skip: 2,");
}

/* By names that A1111 does not have, and skips. */
static void what_changes_the_picture_is_said(void)
{
    char text[1024];
    struct parameters parameters = example();
    (void)parameters_format(&parameters, text, sizeof text);
    check(strstr(text, "Weights") == NULL);
    check(strstr(text, "Exact convolutions") == NULL);
    check(strstr(text, "Base") == NULL);
    parameters.weights = "q8";
    parameters.exact_convolutions = true;
    parameters.base_name = "a, b";
    parameters.base_digest = "0011223344556677";
    (void)parameters_format(&parameters, text, sizeof text);
    check_has(text, ", Base model: \"a, b\", Base hash: 0011223344, Weights: q8, Exact "
                    "convolutions: True, Unet digest: ");
    parameters.base_digest = "";
    (void)parameters_format(&parameters, text, sizeof text);
    check_has(text, ", Base model: \"a, b\", Weights: q8, ");
}

static void a_value_with_a_comma_is_quoted(void)
{
    char text[1024];
    struct parameters parameters = example();
    parameters.model_name = "a, \"b\"";
    (void)parameters_format(&parameters, text, sizeof text);
    check_has(text, "Model: \"a, \\\"b\\\"\", VAE hash");
}

static void a_short_buffer_is_never_overrun(void)
{
    char text[1024], whole[1024];
    const struct parameters parameters = example();
    const size_t length = parameters_format(&parameters, whole, sizeof whole);
    for (size_t bytes = 1; bytes <= length; ++bytes) {
        memset(text, '#', sizeof text);
        check_int(parameters_format(&parameters, text, bytes), ==, length);
        check_int(text[bytes - 1], ==, 0);
        check_bytes(text, whole, bytes - 1);
        check_int(text[bytes], ==, '#');
    }
    check_int(parameters_format(&parameters, NULL, 0), ==, length);
}

int main(void)
{
    check_run(the_text_is_as_clients_read_it);
    check_run(what_does_not_apply_is_left_out);
    check_run(what_changes_the_picture_is_said);
    check_run(a_value_with_a_comma_is_quoted);
    check_run(a_short_buffer_is_never_overrun);
    return check_done();
}
