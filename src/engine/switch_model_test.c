/* Random operations on an engine, held against a naive model of it: which checkpoint, which VAE,
 * what is in memory, and which bytes come out. Faults, cancels, tight and wide budgets mixed in.
 *
 * DARKROOM_CASES says how many cases (200 by default, fewer under a sanitizer), DARKROOM_SEED the
 * first one's seed; a case that fails says its own, and what was done. */
#include "base/path.h"
#include "engine/switch_fixture.h"

/* ---- what is there ------------------------------------------------------------------------- */

enum {
    MODEL_A,
    MODEL_B,
    MODEL_X,
    MODEL_COUNT,
    MODEL_NONE = -1
};
static const char *const models[] = {"a.safetensors", "b.safetensors", "x.safetensors"};

enum {
    VAE_BASE,
    VAE_SHARP,
    VAE_WIDE,
    VAE_SCALED, /* as sharp, with a scale factor of its own */
    VAE_SOFT,   /* what lies beside b */
    VAE_COUNT,
    VAE_ERROR = -1
};

enum {
    CHOOSE_NONE,
    CHOOSE_AUTOMATIC,
    CHOOSE_NAME,
    CHOOSE_SCALED,
    CHOOSE_PATH,
    CHOOSE_MISSING,
    CHOOSE_DAMAGED,
    CHOICE_COUNT
};

static const char *choice_text(int choice)
{
    static const char *const words[CHOICE_COUNT] = {
        [CHOOSE_NONE] = "none",      [CHOOSE_AUTOMATIC] = "automatic",
        [CHOOSE_NAME] = "sharp",     [CHOOSE_SCALED] = "scaled",
        [CHOOSE_MISSING] = "absent", [CHOOSE_DAMAGED] = "short"};
    return choice == CHOOSE_PATH ? in_root("vae/wide.safetensors") : words[choice];
}

/* The naive rule of docs and man page: what a choice means beside a model. */
static int resolve(int choice, int model)
{
    switch (choice) {
    case CHOOSE_AUTOMATIC: return model == MODEL_B ? VAE_SOFT : VAE_BASE;
    case CHOOSE_NAME: return VAE_SHARP;
    case CHOOSE_SCALED: return VAE_SCALED;
    case CHOOSE_PATH: return VAE_WIDE;
    case CHOOSE_MISSING:
    case CHOOSE_DAMAGED: return VAE_ERROR;
    default: return VAE_BASE;
    }
}

static int resolve_setting(int choice, int model)
{
    const int vae = resolve(choice, model);
    return vae == VAE_ERROR ? VAE_BASE : vae;
}

static const char *vae_path(int vae)
{
    static const char *const names[VAE_COUNT] = {[VAE_SHARP] = "vae/sharp.safetensors",
                                                 [VAE_WIDE] = "vae/wide.safetensors",
                                                 [VAE_SCALED] =
                                                     "vae/scaled.safetensors",
                                                 [VAE_SOFT] = "b.vae.safetensors"};
    return vae == VAE_BASE ? "none" : in_root(names[vae]);
}

/* What each VAE is and does beside each model: made before, by an engine that does nothing else. */
struct reference {
    char path[600], digest[DR_DIGEST_CHARS];
    float scale_factor;
};

struct table {
    struct reference references[MODEL_COUNT][VAE_COUNT];
    uint64_t tight_bytes; /* regions: the least that every job runs in */
};
static struct table table;

/* ---- the naive model ----------------------------------------------------------------------- */

enum known {
    NO,
    YES,
    UNKNOWN
};

struct naive {
    int model, setting, active;
    enum known eager, vae_resident, anything_resident;
    bool is_tight;
};

static void load_naively(struct naive *naive, int model, bool is_eager)
{
    const bool is_new = model != naive->model;
    if (is_new) naive->active = resolve_setting(naive->setting, model);
    naive->model = model;
    naive->eager = is_eager ? YES : NO;
    if (is_eager)
        naive->vae_resident = naive->anything_resident = YES;
    else if (is_new)
        naive->vae_resident = naive->anything_resident = NO;
}

static void choose_naively(struct naive *naive, int choice)
{
    naive->setting = choice;
    if (naive->model == MODEL_NONE) return;
    naive->active = resolve(choice, naive->model);
    if (naive->eager == YES) naive->vae_resident = YES;
    if (naive->eager == UNKNOWN && naive->vae_resident == NO)
        naive->vae_resident = UNKNOWN;
    if (naive->vae_resident != NO) naive->anything_resident = naive->vae_resident;
}

/* ---- a case -------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static int below(uint64_t *state, int limit)
{
    return (int)(next_random(state) % (uint64_t)limit);
}

struct play {
    struct dr_engine *engine;
    struct naive naive;
    uint64_t random;
    struct verdict *verdict;
    char said[900]; /* the operations so far */
    bool cancels;   /* the next job is cancelled at this stage */
    enum dr_stage cancel_stage;
    bool was_cancelled;
};

static void say(struct play *play, const char *what, const char *argument)
{
    const size_t used = strlen(play->said);
    (void)snprintf(play->said + used, sizeof play->said - used, "%s%s%s", what,
                   argument ? " " : "", argument ? path_name(argument) : "");
}

static void cancel_there(void *cookie, const struct dr_progress *progress)
{
    struct play *const play = cookie;
    if (!play->cancels || progress->stage != play->cancel_stage) return;
    play->was_cancelled = true;
    dr_engine_cancel(play->engine);
}

static enum dr_code work(struct play *play, int kind, const char *output,
                         const char *vae)
{
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_generate_result result;
    struct dr_codec_options codec = dr_codec_options_default();
    struct dr_codec_result coded;
    enum dr_code code;
    codec.output = options.output = output;
    codec.vae = options.vae = vae;
    codec.progress = options.progress = cancel_there;
    codec.progress_cookie = options.progress_cookie = play;
    if (kind) {
        codec.input = in_root(kind == 1 ? "in.png" : "in.latent.safetensors");
        code = kind == 1 ? dr_engine_encode(play->engine, &codec, &coded, &problem)
                         : dr_engine_decode(play->engine, &codec, &coded, &problem);
        dr_codec_result_free(&coded);
        return code;
    }
    options.prompt = "a red circle";
    options.width = options.height = 64;
    options.steps = 1;
    options.cfg = 1.0;
    options.seed = 7;
    code = dr_engine_generate(play->engine, &options, &result, &problem);
    dr_generate_result_free(&result);
    return code;
}

static const char *const kind_endings[] = {"png", "safetensors", "png"};

/* What a job of the kind writes here, and what it must be. */
static const char *output_name(int kind)
{
    static char name[40];
    (void)snprintf(name, sizeof name, "out.%s", kind_endings[kind]);
    return name;
}

static const char *reference_name(int kind, int model, int vae)
{
    static char name[60];
    (void)snprintf(name, sizeof name, "job%d-%d-%d.%s", kind, model, vae,
                   kind_endings[kind]);
    return name;
}

/* What an operation may do: succeed or not, to which state. Where a fault struck, both. */
struct outcome {
    struct naive done;
    bool succeeds;
    int output_vae, output_kind; /* of a job; VAE_ERROR: it is none */
};

static void do_load(struct play *play, struct outcome *outcome, enum dr_code *code)
{
    static const char *const bad[] = {"cut.safetensors", "absent.safetensors",
                                      "vae/sharp.safetensors"};
    const int which = below(&play->random, MODEL_COUNT + 1);
    const bool is_eager = below(&play->random, 3) == 0;
    const char *const name =
        which < MODEL_COUNT ? models[which] : bad[below(&play->random, 3)];
    say(play, is_eager ? "load" : "load lazily", name);
    *code = dr_engine_load(play->engine, in_root(name),
                           is_eager ? DR_LOAD_EAGER : DR_LOAD_LAZY, NULL, &problem);
    outcome->succeeds = which < MODEL_COUNT;
    if (outcome->succeeds) load_naively(&outcome->done, which, is_eager);
}

static void do_choose(struct play *play, struct outcome *outcome, enum dr_code *code)
{
    const int choice = below(&play->random, CHOICE_COUNT);
    say(play, "vae", choice_text(choice));
    *code = dr_engine_choose_vae(play->engine, choice_text(choice), 0, NULL, NULL,
                                 &problem);
    const int model = play->naive.model;
    outcome->succeeds = model == MODEL_NONE || resolve(choice, model) != VAE_ERROR;
    if (outcome->succeeds) choose_naively(&outcome->done, choice);
}

static void do_job(struct play *play, struct outcome *outcome, enum dr_code *code)
{
    static const char *const kinds[] = {"generate", "encode", "decode"};
    const int kind = below(&play->random, 5) % 3;
    const bool has_own = below(&play->random, 3) == 0;
    const int own = below(&play->random, CHOICE_COUNT);
    const char *const output = output_name(kind);
    struct naive *const done = &outcome->done;
    (void)unlink(in_root(output));
    say(play, kinds[kind], has_own ? choice_text(own) : NULL);
    *code = work(play, kind, in_root(output), has_own ? choice_text(own) : NULL);
    if (done->model == MODEL_NONE) return;
    outcome->output_kind = kind;
    outcome->output_vae = has_own ? resolve(own, done->model) : done->active;
    outcome->succeeds = outcome->output_vae != VAE_ERROR;
    if (!outcome->succeeds) return;
    if (outcome->output_vae == done->active) done->vae_resident = YES;
    if (kind == 0 || done->vae_resident == YES) done->anything_resident = YES;
}

static void do_unload(struct play *play, struct outcome *outcome, enum dr_code *code)
{
    const bool is_vae = below(&play->random, 2);
    say(play, is_vae ? "unload vae" : "unload model", NULL);
    *code = dr_engine_unload(play->engine, is_vae ? DR_UNLOAD_VAE : DR_UNLOAD_MODEL,
                             NULL, &problem);
    outcome->succeeds = true;
    outcome->done.vae_resident = NO;
    if (!is_vae)
        outcome->done.anything_resident = NO;
    else if (outcome->done.anything_resident == YES)
        outcome->done.anything_resident = UNKNOWN;
}

static void do_budget(struct play *play, struct outcome *outcome, enum dr_code *code)
{
    const bool is_tight = below(&play->random, 2);
    say(play, is_tight ? "budget tight" : "budget wide", NULL);
    *code =
        dr_engine_set_budget(play->engine,
                             is_tight ? budget_for(play->engine, table.tight_bytes) : 0,
                             &problem);
    outcome->succeeds = true;
    outcome->done.is_tight = is_tight;
    if (is_tight && outcome->done.vae_resident == YES)
        outcome->done.vae_resident = UNKNOWN;
    if (is_tight && outcome->done.anything_resident == YES)
        outcome->done.anything_resident = UNKNOWN;
}

static bool arm(struct play *play)
{
    static const unsigned all = 1U << FAULT_REGION | 1U << FAULT_MAP |
                                1U << FAULT_READ | 1U << FAULT_VERIFY |
                                1U << FAULT_WRITE;
    static const unsigned few = all & ~(1U << FAULT_READ);
    play->cancels = play->was_cancelled = false;
    const int luck = below(&play->random, 6);
    if (luck == 1) {
        play->cancels = true;
        play->cancel_stage = (enum dr_stage)below(&play->random, DR_STAGE_WRITE + 1);
        say(play, "(cancel) ", NULL);
    }
    if (luck != 0 || !FAULTS_ARE_BUILT) return false;
    const bool is_few = below(&play->random, 2);
    const int n = 1 + below(&play->random, is_few ? 8 : 400);
    fault_arm(is_few ? few : all, n,
              below(&play->random, 2) ? FAULT_ONCE : FAULT_FROM_THEN_ON);
    say(play, "(fault) ", NULL);
    return true;
}

/* ---- judging ------------------------------------------------------------------------------- */

static bool is_as(struct dr_engine *engine, const struct naive *naive)
{
    struct dr_vae_info vae;
    if (naive->model == MODEL_NONE) return engine->model.pipeline == NULL;
    const struct reference *const expected =
        &table.references[naive->model][naive->active];
    return engine->model.pipeline &&
           strcmp(engine->model.pipeline->path, in_root(models[naive->model])) == 0 &&
           dr_engine_vae(engine, &vae, &problem) == DR_OK &&
           strcmp(vae.path, expected->path) == 0 &&
           (!vae.digest[0] || strcmp(vae.digest, expected->digest) == 0) &&
           vae.scale_factor >= expected->scale_factor &&
           vae.scale_factor <= expected->scale_factor &&
           (vae.override_active != 0) == (naive->active != VAE_BASE) &&
           strcmp(vae.choice, naive->setting == CHOOSE_AUTOMATIC
                                  ? "automatic"
                                  : choice_text(naive->setting)) == 0;
}

static void judge_resident(struct play *play)
{
    const struct naive *const naive = &play->naive;
    const struct pipeline *const pipeline = play->engine->model.pipeline;
    if (!pipeline) return;
    const bool vae = pipeline->vae_slot->resident != NULL;
    const bool anything = play->engine->resources.ledger.private_bytes > 0;
    if (naive->vae_resident != UNKNOWN && vae != (naive->vae_resident == YES))
        verdict_add(play->verdict, "the VAE is %s", vae ? "resident" : "released");
    if (naive->anything_resident != UNKNOWN &&
        anything != (naive->anything_resident == YES))
        verdict_add(play->verdict, "something is %s", anything ? "loaded" : "missing");
}

/* The engine against the naive model: `struck` where an error was made to happen. */
static void judge(struct play *play, const struct outcome *outcome, enum dr_code code,
                  bool struck)
{
    struct naive *const naive = &play->naive;
    struct naive fallback = outcome->done;
    fallback.active = VAE_BASE;
    const bool disturbed = struck || play->was_cancelled;
    judge_slots(play->engine, play->verdict);
    if (code == DR_OK && !outcome->succeeds) verdict_add(play->verdict, "it succeeds");
    if (code != DR_OK && outcome->succeeds && !disturbed)
        verdict_add(play->verdict, "it fails: %s", problem.message);
    if (outcome->output_vae != VAE_ERROR) {
        const char *const output = output_name(outcome->output_kind);
        const char *const expected =
            reference_name(outcome->output_kind, naive->model, outcome->output_vae);
        if (code == DR_OK && !same_file(output, expected))
            verdict_add(play->verdict, "what it wrote is not %s", expected);
        if (code != DR_OK && access(in_root(output), F_OK) == 0)
            verdict_add(play->verdict, "it failed and left an output");
    }
    if (code == DR_OK) {
        /* A fault in what is no request is answered by the original. */
        if (is_as(play->engine, &outcome->done))
            *naive = outcome->done;
        else if (struck && is_as(play->engine, &fallback))
            *naive = fallback;
        else
            verdict_add(play->verdict, "the new state is not what was asked for");
    } else if (!is_as(play->engine, naive)) {
        verdict_add(play->verdict, "the old state is not kept");
    }
    if (disturbed || naive->is_tight) {
        if (code == DR_OK || outcome->succeeds)
            naive->vae_resident = naive->anything_resident = UNKNOWN;
        if (code != DR_OK) naive->eager = UNKNOWN;
    }
    judge_resident(play);
}

static void play_case(uint64_t seed, struct verdict *verdict)
{
    struct play play = {
        .engine = open_engine(),
        .naive = {.model = MODEL_NONE,
                  .setting = CHOOSE_AUTOMATIC,
                  .eager = NO,
                  .vae_resident = NO,
                  .anything_resident = NO},
        .random = seed,
        .verdict = verdict
    };
    const int count = 3 + below(&play.random, 6);
    for (int i = 0; i < count && verdict_holds(verdict); ++i) {
        struct outcome outcome = {.done = play.naive, .output_vae = VAE_ERROR};
        enum dr_code code = DR_OK;
        if (i) say(&play, "; ", NULL);
        const bool is_armed = i > 0 && arm(&play);
        const int which =
            i == 0 && below(&play.random, 4) ? 0 : below(&play.random, 12);
        if (which < 3)
            do_load(&play, &outcome, &code);
        else if (which < 6)
            do_choose(&play, &outcome, &code);
        else if (which < 10)
            do_job(&play, &outcome, &code);
        else if (which == 10)
            do_unload(&play, &outcome, &code);
        else
            do_budget(&play, &outcome, &code);
        const bool struck = is_armed && fault_has_struck();
        fault_disarm();
        judge(&play, &outcome, code, struck);
    }
    dr_engine_close(&play.engine);
    if (!verdict_holds(verdict))
        verdict_add(verdict, "DARKROOM_SEED=%" PRIu64 " DARKROOM_CASES=1: %s", seed,
                    play.said);
}

/* ---- running ------------------------------------------------------------------------------- */

struct report {
    struct verdict verdict;
    int cases;
};

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *const said = getenv(name);
    return said ? strtoull(said, NULL, 10) : otherwise;
}

static void play_cases(enum fault_sabotage sabotage) __attribute__((noreturn));
static void play_cases(enum fault_sabotage sabotage)
{
    static struct report report;
    const uint64_t first = number_from("DARKROOM_SEED", 20240611);
    const int most = (int)number_from("DARKROOM_CASES", kernel_is_measured ? 120 : 24);
    FILE *const file = fopen(in_root("table"), "rb");
    if (!file || fread(&table, sizeof table, 1, file) != 1) exit(1);
    (void)fclose(file);
    fault_sabotage(sabotage);
    while (report.cases < most && verdict_holds(&report.verdict))
        play_case(first + (uint64_t)report.cases++, &report.verdict);
    end_part(&report, sizeof report);
}

static void random_operations_do_what_the_naive_model_says(void)
{
    struct report report;
    fprintf(stderr, "     first seed %" PRIu64 "\n",
            number_from("DARKROOM_SEED", 20240611));
    run_part("cases", SABOTAGE_NONE, &report, sizeof report);
    check_str(report.verdict.why, "");
    fprintf(stderr, "     %d cases\n", report.cases);
}

/* The same cases, with a mistake: the same judge stops at one of them. */
static void expect(enum fault_sabotage sabotage, const char *part)
{
    struct report report;
    run_part("cases", sabotage, &report, sizeof report);
    check_has(report.verdict.why, part);
    fprintf(stderr, "     case %d: %.220s\n", report.cases, report.verdict.why);
}

static void a_kept_region_is_seen(void)
{
    expect(SABOTAGE_KEPT_REGION, "the slots account for");
}

static void a_flipped_byte_is_seen(void)
{
    expect(SABOTAGE_FLIPPED_BYTE, "its digest is");
}

static void a_half_switch_is_seen(void)
{
    expect(SABOTAGE_HALF_SWITCH, "what it wrote is not");
}

static void a_stale_scale_is_seen(void)
{
    expect(SABOTAGE_STALE_SCALE, "what it wrote is not");
}

/* ---- what everything is compared with ------------------------------------------------------- */

static void make_reference(struct play *play, int model, int vae)
{
    struct dr_engine *const engine = play->engine;
    struct reference *const reference = &table.references[model][vae];
    check_int(choose(engine, vae_path(vae)), ==, DR_OK);
    for (int kind = 0; kind < 3; ++kind)
        check_int(work(play, kind, in_root(reference_name(kind, model, vae)), NULL), ==,
                  DR_OK);
    const struct dr_vae_info info = vae_state(engine);
    (void)snprintf(reference->path, sizeof reference->path, "%.599s", info.path);
    memcpy(reference->digest, info.digest, sizeof info.digest);
    reference->scale_factor = info.scale_factor;
}

static void make_references(void)
{
    struct play play = {.engine = open_engine()};
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "";
    options.width = options.height = 64;
    options.steps = 1;
    load(play.engine, models[MODEL_A]);
    check_int(work(&play, 0, in_root("in.png"), NULL), ==, DR_OK);
    check_int(work(&play, 1, in_root("in.latent.safetensors"), NULL), ==, DR_OK);
    for (int model = 0; model < MODEL_COUNT; ++model) {
        struct dr_forecast forecast;
        load(play.engine, models[model]);
        for (int vae = 0; vae < VAE_COUNT; ++vae)
            make_reference(&play, model, vae);
        check_int(dr_engine_forecast(play.engine, &options, &forecast, &problem), ==,
                  DR_OK);
        if (forecast.phased_peak_bytes > table.tight_bytes)
            table.tight_bytes = forecast.phased_peak_bytes;
        dr_forecast_free(&forecast);
    }
    table.tight_bytes += 4 << 20;
    dr_engine_close(&play.engine);
    FILE *const file = fopen(in_root("table"), "wb");
    check(file && fwrite(&table, sizeof table, 1, file) == 1);
    check(file && fclose(file) == 0);
}

int main(int count, char **arguments)
{
    const char *part;
    enum fault_sabotage sabotage;
    if (is_part(count, arguments, &part, &sabotage)) play_cases(sabotage);
    fixture_begin();
    take_checkpoint("x.safetensors", "sdxl", "--seed 5");
    take_checkpoint("vae/wide.safetensors", "sdxl", "--part vae --seed 6");
    copy_with_metadata("vae/sharp.safetensors", "vae/scaled.safetensors",
                       "\"darkroom.vae.scale_factor\":\"0.5\",");
    run_command("ln '%s' '%s'", in_root("vae/soft.safetensors"),
                in_root("b.vae.safetensors"));
    run_command("head -c 20000 '%s' >'%s'", in_root("vae/sharp.safetensors"),
                in_root("vae/short.safetensors"));
    run_command("head -c 20000 '%s' >'%s'", in_root("a.safetensors"),
                in_root("cut.safetensors"));
    make_references();
    check_run(random_operations_do_what_the_naive_model_says);
    check_run_with_faults(a_kept_region_is_seen);
    check_run_with_faults(a_flipped_byte_is_seen);
    check_run_with_faults(a_half_switch_is_seen);
    check_run_with_faults(a_stale_scale_is_seen);
    return check_done();
}
