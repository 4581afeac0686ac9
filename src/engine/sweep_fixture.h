/* What the sweeps share: states that may be active between two calls, and operations that switch
 * between them or run a job, each with what it must come to.
 *
 * A sweep runs an operation again and again, with its N-th step failing or cancelled, and judges
 * what is there after each. */
#ifndef ENGINE_SWEEP_FIXTURE_H
#define ENGINE_SWEEP_FIXTURE_H

#include "engine/switch_fixture.h"

#include "engine/lora_fixture.h"
#include "weights/pack_room.h"

/* ---- states -------------------------------------------------------------------------------- */

/* What may be active between two calls, and what it paints. */
struct state {
    const char *model; /* "a", ... */
    const char *vae;   /* that sets it up: a choice */
    const char *picture;
    char path[600], digest[DR_DIGEST_CHARS]; /* of the active VAE */
    uint64_t job_bytes; /* of regions, with all components resident */
};

enum {
    A_BASE,
    A_SHARP,
    B_BASE,
    X_BASE,
    N_BASE,
    N_NEIGHBOUR,
    STATE_COUNT
};

static struct state states[STATE_COUNT] = {
    [A_BASE] = {.model = "a", .vae = "none",      .picture = "a-none.png"     },
    [A_SHARP] = {.model = "a", .vae = "sharp",     .picture = "a-sharp.png"    },
    [B_BASE] = {.model = "b", .vae = "none",      .picture = "b-none.png"     },
    [X_BASE] = {.model = "x", .vae = "none",      .picture = "x-none.png"     },
    [N_BASE] = {.model = "n", .vae = "none",      .picture = "n-none.png"     },
    [N_NEIGHBOUR] = {.model = "n", .vae = "automatic", .picture = "n-automatic.png"},
};

static inline const char *model_path(const char *model)
{
    char name[40];
    (void)snprintf(name, sizeof name, "%s.safetensors", model);
    return in_root(name);
}

/* Embeddings for the checkpoints of the sd15 family (tools/golden/embeddings.py). */
static inline const char *embedding_directory(void)
{
    static char path[600];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/golden/embeddings/sd15",
                   source ? source : ".");
    return path;
}

/* lora_count: of one.safetensors and two.safetensors. With any, the prompt names an embedding, too. */
static inline enum dr_code paint_with(struct dr_engine *engine, const char *name,
                                      const char *vae, int32_t lora_count)
{
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_generate_result result;
    char paths[2][600];
    struct dr_lora loras[2];
    for (int i = 0; i < 2; ++i) {
        (void)snprintf(paths[i], sizeof paths[i], "%s",
                       in_root(i ? "two.safetensors" : "one.safetensors"));
        loras[i] = (struct dr_lora){paths[i], 0.7, 0.5};
    }
    options.loras = loras;
    options.lora_count = lora_count;
    options.prompt = lora_count > 0 ? "a red circle, easy-neg" : "a red circle";
    options.embedding_directory = embedding_directory();
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = 1;
    options.cfg = 1.0;
    options.seed = 7;
    options.vae = vae;
    const enum dr_code code = dr_engine_generate(engine, &options, &result, &problem);
    dr_generate_result_free(&result);
    return code;
}

static inline enum dr_code paint(struct dr_engine *engine, const char *name,
                                 const char *vae)
{
    return paint_with(engine, name, vae, 0);
}

static inline enum dr_code enter(struct dr_engine *engine, const struct state *state)
{
    enum dr_code code =
        dr_engine_load(engine, model_path(state->model), DR_LOAD_EAGER, NULL, &problem);
    if (code == DR_OK)
        code = dr_engine_choose_vae(engine, state->vae, 0, NULL, NULL, &problem);
    return code;
}

static inline bool is_in(struct dr_engine *engine, const struct state *state)
{
    struct dr_vae_info vae;
    return engine->model.pipeline &&
           strcmp(engine->model.pipeline->path, model_path(state->model)) == 0 &&
           dr_engine_vae(engine, &vae, &problem) == DR_OK &&
           strcmp(vae.path, state->path) == 0 &&
           (!vae.digest[0] || strcmp(vae.digest, state->digest) == 0);
}

/* ---- operations ---------------------------------------------------------------------------- */

struct operation {
    const char *title;
    int before, after; /* states; the same: nothing switches */
    enum dr_code (*run)(struct dr_engine *engine, const char *argument);
    const char *argument;
    const char *output, *expected; /* of a job: its file, and what it must be */
};

static inline enum dr_code run_load(struct dr_engine *engine, const char *model)
{
    return dr_engine_load(engine, model_path(model), DR_LOAD_EAGER, NULL, &problem);
}

static inline enum dr_code run_choose(struct dr_engine *engine, const char *choice)
{
    return dr_engine_choose_vae(engine, choice, 0, NULL, NULL, &problem);
}

static inline enum dr_code run_paint(struct dr_engine *engine, const char *vae)
{
    return paint(engine, "out.png", vae);
}

/* count: "1" or "2". */
static inline enum dr_code run_paint_loras(struct dr_engine *engine, const char *count)
{
    return paint_with(engine, "out.png", NULL, *count - '0');
}

static inline enum dr_code run_encode(struct dr_engine *engine, const char *vae)
{
    struct dr_codec_options options = dr_codec_options_default();
    struct dr_codec_result result;
    options.input = in_root("in.png");
    options.output = in_root("out.safetensors");
    options.vae = vae;
    const enum dr_code code = dr_engine_encode(engine, &options, &result, &problem);
    dr_codec_result_free(&result);
    return code;
}

static inline enum dr_code run_decode(struct dr_engine *engine, const char *vae)
{
    struct dr_codec_options options = dr_codec_options_default();
    struct dr_codec_result result;
    options.input = in_root("in.latent.safetensors");
    options.output = in_root("out.png");
    options.vae = vae;
    const enum dr_code code = dr_engine_decode(engine, &options, &result, &problem);
    dr_codec_result_free(&result);
    return code;
}

static inline enum dr_code run_unload_and_paint(struct dr_engine *engine,
                                                const char *vae)
{
    const enum dr_code code = dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem);
    return code == DR_OK ? paint(engine, "out.png", vae) : code;
}

static const struct operation operations[] = {
    {"model, same family",                A_BASE,  B_BASE,      run_load,             "b",         NULL,              NULL               },
    {"model, other family",               A_BASE,  X_BASE,      run_load,             "x",         NULL,              NULL               },
    {"model, back from the other family", X_BASE,  A_BASE,      run_load,             "a",         NULL,              NULL               },
    {"vae sharp",                         A_BASE,  A_SHARP,     run_choose,           "sharp",     NULL,              NULL               },
    {"vae none",                          A_SHARP, A_BASE,      run_choose,           "none",      NULL,              NULL               },
    {"vae automatic, a neighbour",        N_BASE,  N_NEIGHBOUR, run_choose,           "automatic", NULL,
     NULL                                                                                                                                },
    {"vae automatic, none there",         A_SHARP, A_BASE,      run_choose,           "automatic", NULL,              NULL               },
    {"generate, a LoRA",                  A_BASE,  A_BASE,      run_paint_loras,      "1",         "out.png",         "a-lora.png"       },
    {"generate, two LoRAs",               A_SHARP, A_SHARP,     run_paint_loras,      "2",         "out.png",
     "sharp-loras.png"                                                                                                                   },
    {"generate, own VAE",                 A_BASE,  A_BASE,      run_paint,            "sharp",     "out.png",         "a-sharp.png"      },
    {"generate, own none",                A_SHARP, A_SHARP,     run_paint,            "none",      "out.png",
     "a-none.png"                                                                                                                        },
    {"encode, own VAE",                   A_BASE,  A_BASE,      run_encode,           "sharp",     "out.safetensors",
     "sharp.safetensors"                                                                                                                 },
    {"decode",                            A_SHARP, A_SHARP,     run_decode,           NULL,        "out.png",         "decoded-sharp.png"},
    {"unload, then generate",             A_SHARP, A_SHARP,     run_unload_and_paint, NULL,        "out.png",
     "a-sharp.png"                                                                                                                       },
};

enum {
    OPERATION_COUNT = sizeof operations / sizeof *operations
};

/* The regions that an operation's jobs take where all components stay, and no second VAE. */
static inline uint64_t tight_bytes(const struct operation *operation)
{
    const uint64_t before = states[operation->before].job_bytes;
    const uint64_t after = states[operation->after].job_bytes;
    return (before > after ? before : after) + (1 << 20);
}

static inline bool is_whole_sweep(void)
{
    const char *const said = getenv("DARKROOM_SWEEP");
    return said && strcmp(said, "whole") == 0;
}

static inline void remove_packs(const struct dr_engine *engine)
{
    struct pack_prune pruned;
    (void)!pack_room_prune(&engine->resources.packs, 0, &pruned, NULL);
}

/* ---- what everything is compared with ------------------------------------------------------- */

static inline void make_states(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "";
    options.width = options.height = 64;
    options.steps = 1;
    for (int i = 0; i < STATE_COUNT; ++i) {
        struct state *const state = &states[i];
        struct dr_forecast forecast;
        check_int(enter(engine, state), ==, DR_OK);
        check_int(paint(engine, state->picture, NULL), ==, DR_OK);
        check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
        const struct dr_vae_info vae = vae_state(engine);
        (void)snprintf(state->path, sizeof state->path, "%.599s", vae.path);
        memcpy(state->digest, vae.digest, sizeof vae.digest);
        state->job_bytes = forecast.resident_peak_bytes;
        dr_forecast_free(&forecast);
    }
    check_int(enter(engine, &states[A_BASE]), ==, DR_OK);
    check_int(paint_with(engine, "a-lora.png", NULL, 1), ==, DR_OK);
    check(!same_file("a-lora.png", "a-none.png"));
    check_int(enter(engine, &states[A_SHARP]), ==, DR_OK);
    check_int(paint_with(engine, "sharp-loras.png", NULL, 2), ==, DR_OK);
    check(!same_file("sharp-loras.png", "a-sharp.png"));
    run_command("cp '%s' '%s'", in_root("a-none.png"), in_root("in.png"));
    check_int(run_encode(engine, NULL), ==, DR_OK);
    check_int(rename(in_root("out.safetensors"), in_root("sharp.safetensors")), ==, 0);
    run_command("cp '%s' '%s'", in_root("sharp.safetensors"),
                in_root("in.latent.safetensors"));
    check_int(run_decode(engine, NULL), ==, DR_OK);
    check_int(rename(in_root("out.png"), in_root("decoded-sharp.png")), ==, 0);
    dr_engine_close(&engine);
    FILE *const file = fopen(in_root("states"), "wb");
    check(file && fwrite(states, sizeof states, 1, file) == 1);
    check(file && fclose(file) == 0);
}

/* In a process of its own (run_part): what make_states of its parent found. */
static inline void read_states(void)
{
    struct state kept[STATE_COUNT];
    FILE *const file = fopen(in_root("states"), "rb");
    if (!file || fread(kept, sizeof kept, 1, file) != 1) exit(1);
    (void)fclose(file);
    for (int i = 0; i < STATE_COUNT; ++i) {
        memcpy(states[i].path, kept[i].path, sizeof kept[i].path);
        memcpy(states[i].digest, kept[i].digest, sizeof kept[i].digest);
        states[i].job_bytes = kept[i].job_bytes;
    }
}

/* The folder with what the states need. */
static inline void sweep_begin(void)
{
    fixture_begin();
    take_checkpoint("x.safetensors", "sdxl", "--seed 5");
    run_command("ln '%s' '%s'", in_root("a.safetensors"), in_root("n.safetensors"));
    run_command("ln '%s' '%s'", in_root("vae/soft.safetensors"),
                in_root("n.vae.safetensors"));
    make_lora("one.safetensors", "a.safetensors", 1, 0);
    make_lora("two.safetensors", "a.safetensors", 2, 0);
    make_states();
}

#endif
