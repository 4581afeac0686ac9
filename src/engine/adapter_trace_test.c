/* A picture, one with LoRAs, and the first one again: the same bytes, and memory as before to the page. After 1, 2 and 5
 * LoRAs, after one that fails, after a cancel half way, and in every budget that a job with LoRAs can have.
 *
 * Each act is a process of its own; the negative controls play the same act with a mistake in it, and the same judge
 * must see it. */
#include "engine/switch_fixture.h"

#include "engine/lora_fixture.h"

enum {
    LORAS = 5
};

static const int64_t tolerance_bytes = 64 << 10;

static const char *const lora_names[LORAS] = {"one.safetensors", "two.safetensors",
                                              "three.safetensors", "four.safetensors",
                                              "five.safetensors"};

struct report {
    struct verdict verdict;
    int compared; /* how often the first picture was made again */
    int budgets;
};

/* ---- a picture ----------------------------------------------------------------------------- */

struct wish {
    const char *output;
    int32_t lora_count;
    const char *more; /* one more LoRA, or NULL */
    void (*progress)(void *cookie, const struct dr_progress *progress);
    void *cookie;
};

static struct dr_generate_options options_of(const struct wish *wish,
                                             struct dr_lora loras[static LORAS + 1],
                                             char paths[static LORAS + 1][600])
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root(wish->output);
    options.width = options.height = 64;
    options.steps = 3;
    options.seed = 7;
    options.progress = wish->progress;
    options.progress_cookie = wish->cookie;
    for (int32_t i = 0; i < wish->lora_count; ++i) {
        (void)snprintf(paths[i], 600, "%s", in_root(lora_names[i]));
        loras[i] = (struct dr_lora){paths[i], 0.7, 0.5};
    }
    options.lora_count = wish->lora_count;
    if (wish->more) {
        (void)snprintf(paths[options.lora_count], 600, "%s", in_root(wish->more));
        loras[options.lora_count] =
            (struct dr_lora){paths[options.lora_count], 1.0, 1.0};
        ++options.lora_count;
    }
    options.loras = loras;
    return options;
}

static enum dr_code make(struct dr_engine *engine, const struct wish *wish,
                         struct verdict *verdict)
{
    struct dr_lora loras[LORAS + 1];
    char paths[LORAS + 1][600];
    struct dr_generate_result result;
    const struct dr_generate_options options = options_of(wish, loras, paths);
    (void)unlink(options.output);
    const enum dr_code code = dr_engine_generate(engine, &options, &result, &problem);
    if (code == DR_OK && result.planned_private_bytes != result.peak_private_bytes)
        verdict_add(verdict, "%" PRIu64 " bytes were planned, %" PRIu64 " were reached",
                    result.planned_private_bytes, result.peak_private_bytes);
    if (code == DR_OK) dr_generate_result_free(&result);
    if (code != DR_OK && access(options.output, F_OK) == 0)
        verdict_add(verdict, "it failed, and left an output");
    return code;
}

static void must_make(struct dr_engine *engine, const struct wish *wish,
                      struct verdict *verdict)
{
    if (make(engine, wish, verdict) != DR_OK)
        verdict_add(verdict, "%s: %s", wish->output, problem.message);
}

/* ---- nothing stays ------------------------------------------------------------------------- */

/* What an act compares with. */
struct first {
    struct look look;
    int32_t slot_count;
};

/* The first picture again, and memory as after it. Nothing of what came between is kept: prompts that LoRAs changed
 * are forgotten, and the first one's are encoded again. */
static void judge_again(struct dr_engine *engine, const struct first *first,
                        const char *after, struct report *report)
{
    struct verdict *const verdict = &report->verdict;
    const struct wish again = {.output = "c.png"};
    if (!verdict_holds(verdict)) return;
    judge_slots(engine, verdict);
    if (engine->model.pipeline->slot_count != first->slot_count)
        verdict_add(verdict, "%d slots are left", engine->model.pipeline->slot_count);
    for (const struct region *r = engine->resources.ledger.first; r; r = r->next)
        if (strncmp(r->component, "lora", 4) == 0)
            verdict_add(verdict, "%s is still in the ledger", r->component);
    prompt_cache_close(&engine->model.pipeline->prompts);
    must_make(engine, &again, verdict);
    if (!same_file("c.png", "a.png")) verdict_add(verdict, "C is not A");
    judge_slots(engine, verdict);
    const struct look look = take_look(engine, verdict);
    if (look.ledger != first->look.ledger || look.resident != first->look.resident ||
        look.mapped != first->look.mapped)
        verdict_add(verdict,
                    "%" PRIu64 " private bytes, %" PRIu64 " of them resident, %" PRIu64
                    " mapped; with A %" PRIu64 ", %" PRIu64 " and %" PRIu64,
                    look.ledger, look.resident, look.mapped, first->look.ledger,
                    first->look.resident, first->look.mapped);
    if (!verdict_holds(verdict)) verdict_add(verdict, "(after %s)", after);
    /* What the heap and the library keep may move by some pages; with packs they are read in between. */
    const int64_t grown = (int64_t)look.kernel - (int64_t)first->look.kernel;
    if (kernel_is_measured && llabs(grown) > tolerance_bytes)
        verdict_add(verdict,
                    "the process holds %+" PRId64 " private bytes more than with A",
                    grown);
    ++report->compared;
}

/* ---- acts ---------------------------------------------------------------------------------- */

static void after_one_two_and_five(struct dr_engine *engine, const struct first *first,
                                   struct report *report)
{
    static const int32_t counts[] = {1, 2, 5};
    char name[40], title[40];
    for (int i = 0; i < 3; ++i) {
        (void)snprintf(name, sizeof name, "b%d.png", (int)counts[i]);
        (void)snprintf(title, sizeof title, "%d LoRAs", (int)counts[i]);
        const struct wish wish = {.output = name, .lora_count = counts[i]};
        must_make(engine, &wish, &report->verdict);
        if (same_file(name, "a.png") || (i > 0 && same_file(name, "b1.png")))
            verdict_add(&report->verdict, "%s change nothing", title);
        judge_again(engine, first, title, report);
    }
}

static void after_failures(struct dr_engine *engine, const struct first *first,
                           struct report *report)
{
    static const struct {
        const char *lora;
        enum dr_code code;
    } cases[] = {
        {"wide.safetensors", DR_FOREIGN   },
        {"nan.safetensors",  DR_NOT_FINITE},
        {"cut.safetensors",  DR_CORRUPT   },
    };
    for (int i = 0; i < 3; ++i) {
        const struct wish wish = {.output = "f.png",
                                  .lora_count = 2,
                                  .more = cases[i].lora};
        const enum dr_code code = make(engine, &wish, &report->verdict);
        if (code != cases[i].code)
            verdict_add(&report->verdict, "%s gives %s: %s", cases[i].lora,
                        dr_code_name(code), problem.message);
        judge_again(engine, first, cases[i].lora, report);
    }
}

struct stopper {
    struct dr_engine *engine;
    int reports_left;
};

static void stop(void *cookie, const struct dr_progress *progress)
{
    struct stopper *const stopper = cookie;
    (void)progress;
    if (stopper->reports_left-- == 0) dr_engine_cancel(stopper->engine);
}

/* While LoRAs are read, texts are encoded, and steps are taken: at each report of the job. */
static void after_cancels(struct dr_engine *engine, const struct first *first,
                          struct report *report)
{
    char title[40];
    int cancelled = 0;
    for (int i = 0; verdict_holds(&report->verdict); i += 1 + i / 3) {
        struct stopper stopper = {.engine = engine, .reports_left = i};
        const struct wish wish = {
            .output = "f.png", .lora_count = 2, .progress = stop, .cookie = &stopper};
        const enum dr_code code = make(engine, &wish, &report->verdict);
        if (code == DR_OK) break;
        if (code != DR_CANCELLED)
            verdict_add(&report->verdict, "%s: %s", dr_code_name(code),
                        problem.message);
        ++cancelled;
        (void)snprintf(title, sizeof title, "a cancel at report %d", i);
        judge_again(engine, first, title, report);
    }
    if (cancelled < 5)
        verdict_add(&report->verdict, "only %d were cancelled", cancelled);
}

/* Each budget that a forecast names for two LoRAs, from a model that is not loaded. */
static void in_every_budget(struct dr_engine *engine, struct report *report)
{
    struct dr_lora loras[LORAS + 1];
    char paths[LORAS + 1][600];
    struct dr_forecast forecast;
    struct verdict *const verdict = &report->verdict;
    const struct wish with = {.output = "b.png", .lora_count = 2};
    const struct wish without = {.output = "c.png"};
    const struct dr_generate_options options = options_of(&with, loras, paths);
    if (dr_engine_forecast(engine, &options, &forecast, &problem) != DR_OK) {
        verdict_add(verdict, "no forecast: %s", problem.message);
        return;
    }
    for (int32_t i = 0; i < forecast.level_count && verdict_holds(verdict); ++i) {
        const uint64_t bytes = forecast.levels[i].budget_bytes;
        (void)!dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem);
        if (dr_engine_set_budget(engine, bytes, &problem) != DR_OK)
            verdict_add(verdict, "no budget: %s", problem.message);
        must_make(engine, &with, verdict);
        if (!same_file("b.png", "b2.png")) verdict_add(verdict, "B is another one");
        judge_slots(engine, verdict);
        must_make(engine, &without, verdict);
        if (!same_file("c.png", "a.png")) verdict_add(verdict, "C is not A");
        judge_slots(engine, verdict);
        if (!verdict_holds(verdict))
            verdict_add(verdict, "(in %" PRIu64 " bytes, %s)", bytes,
                        forecast.levels[i].manner);
        (void)!dr_engine_set_budget(engine, 0, &problem);
        ++report->budgets;
    }
    dr_forecast_free(&forecast);
}

static void play(const char *part, enum fault_sabotage sabotage)
    __attribute__((noreturn));
static void play(const char *part, enum fault_sabotage sabotage)
{
    static struct report report;
    struct dr_engine *engine = open_engine();
    const struct wish plain = {.output = "a.png"};
    struct first first;
    load(engine, "a.safetensors");
    must_make(engine, &plain, &report.verdict);
    must_make(engine, &plain, &report.verdict); /* with all that a first job keeps */
    judge_slots(engine, &report.verdict);
    first.look = take_look(engine, &report.verdict);
    first.slot_count = engine->model.pipeline->slot_count;
    fault_sabotage(sabotage);
    if (strcmp(part, "counts") == 0) after_one_two_and_five(engine, &first, &report);
    if (strcmp(part, "failures") == 0) after_failures(engine, &first, &report);
    if (strcmp(part, "cancels") == 0) after_cancels(engine, &first, &report);
    if (strcmp(part, "budgets") == 0) in_every_budget(engine, &report);
    end_part(&report, sizeof report);
}

/* ---- cases --------------------------------------------------------------------------------- */

static struct report run(const char *part, enum fault_sabotage sabotage)
{
    struct report report;
    run_part(part, sabotage, &report, sizeof report);
    return report;
}

static void c_is_a_after_one_two_and_five(void)
{
    const struct report report = run("counts", SABOTAGE_NONE);
    check_str(report.verdict.why, "");
    check_int(report.compared, ==, 3);
}

static void c_is_a_after_one_that_fails(void)
{
    const struct report report = run("failures", SABOTAGE_NONE);
    check_str(report.verdict.why, "");
    check_int(report.compared, ==, 3);
}

static void c_is_a_after_a_cancel(void)
{
    const struct report report = run("cancels", SABOTAGE_NONE);
    check_str(report.verdict.why, "");
    fprintf(stderr, "     cancelled %d times\n", report.compared);
}

static void c_is_a_in_every_budget(void)
{
    const struct report report = run("budgets", SABOTAGE_NONE);
    check_str(report.verdict.why, "");
    check_int(report.budgets, >=, has_packs() ? 1 : 2);
    fprintf(stderr, "     %d budgets\n", report.budgets);
}

static void a_kept_slot_is_seen(void)
{
    check_has(run("counts", SABOTAGE_KEPT_ADAPTER).verdict.why,
              "the slot of lora one is left");
    check_has(run("cancels", SABOTAGE_KEPT_ADAPTER).verdict.why,
              "the slot of lora one is left");
    check_has(run("failures", SABOTAGE_KEPT_ADAPTER).verdict.why, "(after ");
}

static void a_kept_region_is_seen(void)
{
    check_has(run("counts", SABOTAGE_KEPT_REGION).verdict.why, "the slots account for");
}

static void write_loras(void)
{
    for (int i = 0; i < LORAS; ++i)
        make_lora(lora_names[i], "a.safetensors", (uint64_t)i, 0);
    make_lora("wide.safetensors", "a.safetensors", 9, 1);
    run_command("head -c -100 '%s' > '%s'", in_root(lora_names[0]),
                in_root("cut.safetensors"));
    /* The last number becomes a NaN. */
    run_command(
        "cp '%s' '%s' && printf '\\377\\377' | dd of='%s' bs=1 conv=notrunc status=none "
        "seek=$(($(stat -c %%s '%s') - 2))",
        in_root(lora_names[0]), in_root("nan.safetensors"), in_root("nan.safetensors"),
        in_root("nan.safetensors"));
}

int main(int count, char **arguments)
{
    const char *part;
    enum fault_sabotage sabotage;
    if (is_part(count, arguments, &part, &sabotage)) play(part, sabotage);
    if (packs_missing()) return check_skip(packs_missing());
    fixture_begin();
    write_loras();
    /* Made once: every budget must make the same. */
    check_run(c_is_a_after_one_two_and_five);
    check_run(c_is_a_after_one_that_fails);
    check_run(c_is_a_after_a_cancel);
    check_run(c_is_a_in_every_budget);
    check_run_with_faults(a_kept_slot_is_seen);
    check_run_with_faults(a_kept_region_is_seen);
    return check_done();
}
