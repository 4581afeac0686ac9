/* A VAE whose scale factor is not 8, wherever a VAE is taken: it is refused before anything is
 * touched, and what was active goes on. Each level halves a side, so 4 levels are 8 pixels a
 * latent cell; fewer or more would be read and written outside of what the plan made. */
#include "engine/engine_fixture.h"

static const int others[] = {1, 2, 3, 5, 9};

enum {
    OTHER_COUNT = sizeof others / sizeof *others
};

static const char *vae_of(int levels)
{
    char name[64];
    (void)snprintf(name, sizeof name, "other%d.safetensors", levels);
    return in_root(name);
}

static void make(const char *name, const char *part, int levels)
{
    char options[128];
    (void)snprintf(options, sizeof options,
                   "--family sd15 --size least --seed 5 %s --vae-levels %d", part,
                   levels);
    make_checkpoint(name, options);
}

static void begin(void)
{
    char name[64];
    fixture_folder();
    take_checkpoint("a.safetensors", "sd15", "--seed 1");
    make("vae/same.safetensors", "--part vae", 4);
    for (int i = 0; i < OTHER_COUNT; ++i) {
        (void)snprintf(name, sizeof name, "other%d.safetensors", others[i]);
        make(name, "--part vae", others[i]);
        (void)snprintf(name, sizeof name, "model%d.safetensors", others[i]);
        make(name, "", others[i]);
    }
}

/* What was found is said: levels and factor. */
static void check_refusal(int levels)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%d level%s", levels, levels == 1 ? "" : "s");
    check_has(problem.message, text);
    (void)snprintf(text, sizeof text, "%d pixel%s per latent cell", 1 << (levels - 1),
                   levels == 1 ? "" : "s");
    check_has(problem.message, text);
}

static void a_request_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    check_int(choose(engine, in_root("vae/same.safetensors")), ==, DR_OK);
    picture(engine, "A.png");
    const uint64_t bytes = check_memory(engine);
    for (int i = 0; i < OTHER_COUNT; ++i) {
        const char *const path = vae_of(others[i]);
        const enum dr_code code = choose(engine, path);
        check_int(code, ==, DR_UNSUPPORTED);
        fprintf(stderr, "     %s\n", problem.message);
        check_refusal(others[i]);
        check_int(check_memory(engine), ==, bytes);
        check_has(vae_state(engine).path, "same.safetensors");
        picture(engine, "B.png");
        check(same_file("A.png", "B.png"));
    }
    dr_engine_close(&engine);
}

static void a_job_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    for (int i = 0; i < OTHER_COUNT; ++i) {
        const char *const path = vae_of(others[i]);
        check_int(picture_with(engine, "B.png", path, NULL), ==, DR_UNSUPPORTED);
        check_refusal(others[i]);
        check_int(picture_with(engine, "B.png", path, in_root("A.png")), ==,
                  DR_UNSUPPORTED);
        check_refusal(others[i]);
        check(access(in_root("B.png"), F_OK) != 0);
    }
    picture(engine, "B.png");
    check(same_file("A.png", "B.png"));
    dr_engine_close(&engine);
}

/* As the checkpoint's own it is as one that is missing: what needs none of it runs. */
static void a_checkpoint_is_without_it(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "start.png");
    check_int(picture_with(engine, "latent.safetensors", NULL, NULL), ==, DR_OK);
    for (int i = 0; i < OTHER_COUNT; ++i) {
        struct dr_codec_options codec = dr_codec_options_default();
        struct dr_codec_result result;
        char name[64];
        (void)snprintf(name, sizeof name, "model%d.safetensors", others[i]);
        load(engine, name);
        check_int(picture_with(engine, "B.png", NULL, NULL), ==, DR_INCOMPLETE);
        check_refusal(others[i]);
        check_int(picture_with(engine, "B.png", NULL, in_root("start.png")), ==,
                  DR_INCOMPLETE);
        check_refusal(others[i]);
        codec.input = in_root("start.png");
        codec.output = in_root("encoded.safetensors");
        check_int(dr_engine_encode(engine, &codec, &result, &problem), ==,
                  DR_INCOMPLETE);
        check_refusal(others[i]);
        codec.input = in_root("latent.safetensors");
        codec.output = in_root("B.png");
        check_int(dr_engine_decode(engine, &codec, &result, &problem), ==,
                  DR_INCOMPLETE);
        check_refusal(others[i]);
        check_int(picture_with(engine, "B.safetensors", NULL, NULL), ==, DR_OK);
        check_int(picture_with(engine, "C.png", in_root("vae/same.safetensors"), NULL),
                  ==, DR_OK);
    }
    check(access(in_root("B.png"), F_OK) != 0);
    dr_engine_close(&engine);
}

int main(void)
{
    begin();
    check_run(a_request_is_refused);
    (void)unlink(in_root("B.png"));
    check_run(a_job_is_refused);
    (void)unlink(in_root("B.png"));
    check_run(a_checkpoint_is_without_it);
    return check_done();
}
