/* Winograd's convolutions against direct ones, in a whole picture. */
#include "engine/engine_fixture.h"

#include <math.h>

enum {
    SIDE = 64
};

/* float32; with 16 bits a channel, since 8 hide what is measured. */
static void make(const char *name, int32_t exact)
{
    struct dr_engine_options options = dr_engine_options_default();
    struct dr_engine *engine = NULL;
    options.tokenizer_folder = tiny_tokenizer();
    options.vae_folder = in_root("vae");
    options.settings_path = "";
    options.precision = DR_PRECISION_F32;
    options.thread_count = 1;
    options.exact_convolutions = exact;
    check_int(dr_engine_open(&engine, &options, &problem), ==, DR_OK);
    load(engine, "a.safetensors");
    struct dr_generate_options job = dr_generate_options_default();
    struct dr_generate_result result;
    job.prompt = "a red circle";
    job.negative = "fog";
    job.sampler = "ddim";
    job.width = job.height = SIDE;
    job.steps = 8;
    job.seed = 7;
    job.bits = 16;
    job.output = in_root(name);
    const enum dr_code code = dr_engine_generate(engine, &job, &result, &problem);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(code, ==, DR_OK);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

/* PSNR of a picture. */
static double decibels(const char *a, const char *b)
{
    static float pixels[2][SIDE * SIDE * 3];
    double squares = 0;
    check(read_pixels(a, pixels[0]) && read_pixels(b, pixels[1]));
    for (size_t i = 0; i < sizeof pixels[0] / sizeof pixels[0][0]; ++i) {
        const double difference = (double)pixels[0][i] - (double)pixels[1][i];
        squares += difference * difference;
    }
    const double mean = squares / (SIDE * SIDE * 3);
    return -10 * log10(mean > 0 ? mean : 1e-20);
}

/* The control: if the option did nothing, the pictures would be the same. */
static void winograd_is_near_the_direct_way(void)
{
    make("winograd.png", 0);
    make("again.png", 0);
    make("direct.png", 1);
    check(same_pixels("winograd.png", "again.png"));
    check(!same_pixels("winograd.png", "direct.png"));
    const double db = decibels("winograd.png", "direct.png");
    fprintf(stderr, "     %.1f dB\n", db);
    check_real(db, >=, 70);
}

int main(void)
{
    fixture_begin();
    check_run(winograd_is_near_the_direct_way);
    return check_done();
}
