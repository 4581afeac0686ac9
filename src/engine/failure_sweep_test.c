/* Every operation that switches, with every step of it failing: the N-th region, mapping, read,
 * check or write fails, once or from then on, for N = 1, 2, 3, ... until nothing is left to fail.
 * Whatever fails, the state is the old one whole or the new one whole, and the next picture is
 * that state's, to the byte. Where the old weights had to go first and nothing can be mapped, the
 * slot is empty and its original still referenced.
 *
 * Reads come by the hundred: N takes larger steps where only they are left, unless
 * DARKROOM_SWEEP=whole. */
#include "engine/switch_fixture.h"

enum {
    FEW_PLACES =
        1 << FAULT_REGION | 1 << FAULT_MAP | 1 << FAULT_VERIFY | 1 << FAULT_WRITE,
    ALL_PLACES = FEW_PLACES | 1 << FAULT_READ
};

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

static const char *model_path(const char *model)
{
    char name[40];
    (void)snprintf(name, sizeof name, "%s.safetensors", model);
    return in_root(name);
}

static enum dr_code paint(struct dr_engine *engine, const char *name, const char *vae)
{
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_generate_result result;
    options.prompt = "a red circle";
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

static enum dr_code enter(struct dr_engine *engine, const struct state *state)
{
    enum dr_code code =
        dr_engine_load(engine, model_path(state->model), DR_LOAD_EAGER, NULL, &problem);
    if (code == DR_OK)
        code = dr_engine_choose_vae(engine, state->vae, 0, NULL, NULL, &problem);
    return code;
}

static bool is_in(struct dr_engine *engine, const struct state *state)
{
    struct dr_vae_info vae;
    return engine->pipeline &&
           strcmp(engine->pipeline->path, model_path(state->model)) == 0 &&
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

static enum dr_code run_load(struct dr_engine *engine, const char *model)
{
    return dr_engine_load(engine, model_path(model), DR_LOAD_EAGER, NULL, &problem);
}

static enum dr_code run_choose(struct dr_engine *engine, const char *choice)
{
    return dr_engine_choose_vae(engine, choice, 0, NULL, NULL, &problem);
}

static enum dr_code run_paint(struct dr_engine *engine, const char *vae)
{
    return paint(engine, "out.png", vae);
}

static enum dr_code run_encode(struct dr_engine *engine, const char *vae)
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

static enum dr_code run_decode(struct dr_engine *engine, const char *vae)
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

static enum dr_code run_unload_and_paint(struct dr_engine *engine, const char *vae)
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

/* ---- sweeping ------------------------------------------------------------------------------ */

struct sweep {
    const struct operation *operation;
    unsigned places;
    enum fault_mode mode;
    bool is_tight; /* the budget has no room for old and new beside each other */
    bool is_cold;  /* no pack is there: each operation makes those that it needs */
};

/* After the operation, failed or not: whole, and usable. */
static void judge_after(struct dr_engine *engine, const struct sweep *sweep,
                        enum dr_code code, bool paints, struct verdict *verdict)
{
    const struct operation *const operation = sweep->operation;
    const struct state *const before = &states[operation->before];
    const struct state *const after = &states[operation->after];
    judge_slots(engine, verdict);
    const bool is_after = is_in(engine, after);
    if (!is_after && !is_in(engine, before))
        verdict_add(verdict, "the state is neither the old nor the new one");
    if (code != DR_OK && before != after && is_after)
        verdict_add(verdict, "it failed, and the new state is there");
    if (operation->output) {
        if (code == DR_OK && !same_file(operation->output, operation->expected))
            verdict_add(verdict, "what it wrote is not %s", operation->expected);
        if (code != DR_OK && access(in_root(operation->output), F_OK) == 0)
            verdict_add(verdict, "it failed, and left an output");
    }
    if (!paints || !verdict_holds(verdict)) return;
    const struct state *const now = is_after ? after : before;
    if (paint(engine, "next.png", NULL) != DR_OK)
        verdict_add(verdict, "the next picture fails: %s", problem.message);
    else if (!same_file("next.png", now->picture))
        verdict_add(verdict, "the next picture is not %s", now->picture);
    judge_slots(engine, verdict);
}

/* The regions that an operation's jobs take where all components stay, and no second VAE. */
static uint64_t tight_bytes(const struct operation *operation)
{
    const uint64_t before = states[operation->before].job_bytes;
    const uint64_t after = states[operation->after].job_bytes;
    return (before > after ? before : after) + (1 << 20);
}

static bool is_whole_sweep(void)
{
    const char *const said = getenv("DARKROOM_SWEEP");
    return said && strcmp(said, "whole") == 0;
}

static void remove_packs(const struct dr_engine *engine)
{
    struct pack_prune pruned;
    (void)!pack_store_prune(&engine->packs, 0, &pruned, NULL);
}

/* Returns how many N were tried; stops at the first that does not hold. */
static int run_sweep(struct dr_engine *engine, const struct sweep *sweep,
                     struct verdict *verdict)
{
    const struct operation *const operation = sweep->operation;
    const uint64_t tight = sweep->is_tight ? tight_bytes(operation) : 0;
    const bool is_thin = sweep->places & 1U << FAULT_READ && !is_whole_sweep();
    int tried = 0, n = 1;
    if (enter(engine, &states[operation->before]) != DR_OK)
        verdict_add(verdict, "cannot begin: %s", problem.message);
    if (sweep->is_tight &&
        dr_engine_set_budget(engine, budget_for(engine, tight), &problem) != DR_OK)
        verdict_add(verdict, "no such budget: %s", problem.message);
    for (bool struck = true; struck && verdict_holds(verdict); ++tried) {
        if (operation->output) (void)unlink(in_root(operation->output));
        if (sweep->is_cold) remove_packs(engine);
        fault_arm(sweep->places, n, sweep->mode);
        const enum dr_code code = operation->run(engine, operation->argument);
        struck = fault_has_struck();
        fault_disarm();
        if (!struck && code != DR_OK)
            verdict_add(verdict, "it fails by itself: %s", problem.message);
        judge_after(engine, sweep, code, !struck || tried % 3 == 0, verdict);
        if (!verdict_holds(verdict))
            verdict_add(verdict, "(%s, %s budget, N %d, %s, places %#x)",
                        operation->title, sweep->is_tight ? "tight" : "wide", n,
                        sweep->mode == FAULT_ONCE ? "once" : "from then on",
                        sweep->places);
        /* An answer of a fallback is a switch, too: begin again. */
        if (struck && is_in(engine, &states[operation->after]) &&
            operation->before != operation->after)
            (void)!enter(engine, &states[operation->before]);
        n += !is_thin || n < 4 ? 1 : n - 1;
    }
    if (dr_engine_set_budget(engine, 0, &problem) != DR_OK)
        verdict_add(verdict, "no budget: %s", problem.message);
    return tried;
}

/* Each operation. DARKROOM_SWEEP=whole: all, in each budget; else the halves take turns, so that
 * each budget has both modes, and each place both. */
static const struct sweep sweeps[] = {
    {.places = FEW_PLACES, .mode = FAULT_FROM_THEN_ON},
    {.places = ALL_PLACES, .mode = FAULT_ONCE        },
    {.places = FEW_PLACES, .mode = FAULT_ONCE        },
    {.places = ALL_PLACES, .mode = FAULT_FROM_THEN_ON},
};

enum {
    SWEEP_COUNT = sizeof sweeps / sizeof *sweeps
};

/* Of each operation, in one budget. With packs, which is a second run of this test, and under a
 * sanitizer, where each takes four times as long, that of all places alone. */
static int sweep_count(void)
{
    if (is_whole_sweep()) return SWEEP_COUNT;
    return kernel_is_measured && !has_packs() ? SWEEP_COUNT / 2 : 1;
}

struct report {
    struct verdict verdict;
    int sweeps, tried;
};

/* All operations, both modes; `part` says in which budget. */
static void play(const char *part, enum fault_sabotage sabotage)
    __attribute__((noreturn));
static void play(const char *part, enum fault_sabotage sabotage)
{
    static struct report report;
    struct state kept[STATE_COUNT];
    FILE *const file = fopen(in_root("states"), "rb");
    if (!file || fread(kept, sizeof kept, 1, file) != 1) exit(1);
    (void)fclose(file);
    for (int i = 0; i < STATE_COUNT; ++i) {
        memcpy(states[i].path, kept[i].path, sizeof kept[i].path);
        memcpy(states[i].digest, kept[i].digest, sizeof kept[i].digest);
        states[i].job_bytes = kept[i].job_bytes;
    }
    fault_sabotage(sabotage);
    struct dr_engine *engine = open_engine();
    const bool is_tight = strcmp(part, "tight") == 0;
    const int last = is_tight && !is_whole_sweep() ? SWEEP_COUNT / 2 : SWEEP_COUNT;
    for (int i = 0; i < OPERATION_COUNT * sweep_count(); ++i) {
        struct sweep sweep = sweeps[last - 1 - i % sweep_count()];
        sweep.operation = &operations[i / sweep_count()];
        sweep.is_tight = is_tight;
        sweep.is_cold = has_packs() && !sweep.is_tight;
        const int tried = run_sweep(engine, &sweep, &report.verdict);
        if (verdict_holds(&report.verdict) && tried < 3)
            verdict_add(&report.verdict, "%s: only %d could fail",
                        sweep.operation->title, tried - 1);
        report.tried += tried;
        ++report.sweeps;
        if (!verdict_holds(&report.verdict)) break;
    }
    end_part(&report, sizeof report);
}

static void sweep_all(const char *part)
{
    struct report report;
    run_part(part, SABOTAGE_NONE, &report, sizeof report);
    check_str(report.verdict.why, "");
    check_int(report.sweeps, ==, OPERATION_COUNT * sweep_count());
    fprintf(stderr, "     %d sweeps, %d faults\n", report.sweeps, report.tried);
}

static void every_fault_leaves_the_old_or_the_new_state(void)
{
    sweep_all("wide");
}

/* Old and new do not fit beside each other: the old one goes first, and is read again when the new
 * one fails. Where that fails, too, it is released, and comes back with the next picture. */
static void faults_where_only_one_fits(void)
{
    sweep_all("tight");
}

static void a_half_switch_is_seen(void)
{
    struct report report;
    run_part("wide", SABOTAGE_HALF_SWITCH, &report, sizeof report);
    check_has(report.verdict.why, "the next picture is not");
    fprintf(stderr, "     said: %.220s\n", report.verdict.why);
}

static void a_kept_region_is_seen(void)
{
    struct report report;
    run_part("wide", SABOTAGE_KEPT_REGION, &report, sizeof report);
    check_has(report.verdict.why, "the slots account for");
}

/* ---- what everything is compared with ------------------------------------------------------- */

static void make_states(void)
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
    }
    check_int(enter(engine, &states[A_SHARP]), ==, DR_OK);
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

int main(int count, char **arguments)
{
    const char *part;
    enum fault_sabotage sabotage;
    if (is_part(count, arguments, &part, &sabotage)) play(part, sabotage);
    if (packs_missing()) return check_skip(packs_missing());
    fixture_begin();
    make_checkpoint("x.safetensors", "--family sdxl --size tiny --seed 5");
    run_command("ln '%s' '%s'", in_root("a.safetensors"), in_root("n.safetensors"));
    run_command("ln '%s' '%s'", in_root("vae/soft.safetensors"),
                in_root("n.vae.safetensors"));
    make_states();
    /* Under a sanitizer, in the budget that has more to do. */
    if (kernel_is_measured) check_run(every_fault_leaves_the_old_or_the_new_state);
    check_run(faults_where_only_one_fits);
    check_run(a_half_switch_is_seen);
    check_run(a_kept_region_is_seen);
    return check_done();
}
