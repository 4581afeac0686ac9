/* Every operation that switches, with every step of it failing: the N-th region, mapping, read,
 * check or write fails, once or from then on, for N = 1, 2, 3, ... until nothing is left to fail.
 * Whatever fails, the state is the old one whole or the new one whole, and the next picture is
 * that state's, to the byte. Where the old weights had to go first and nothing can be mapped, the
 * slot is empty and its original still referenced.
 *
 * Reads come by the hundred: N takes larger steps where only they are left, unless
 * DARKROOM_SWEEP=whole. */
#include "engine/sweep_fixture.h"

enum {
    FEW_PLACES =
        1 << FAULT_REGION | 1 << FAULT_MAP | 1 << FAULT_VERIFY | 1 << FAULT_WRITE,
    ALL_PLACES = FEW_PLACES | 1 << FAULT_READ
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
    read_states();
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

static void a_kept_adapter_is_seen(void)
{
    struct report report;
    run_part("wide", SABOTAGE_KEPT_ADAPTER, &report, sizeof report);
    check_has(report.verdict.why, "the slot of lora one is left");
    fprintf(stderr, "     said: %.220s\n", report.verdict.why);
}

int main(int count, char **arguments)
{
    const char *part;
    enum fault_sabotage sabotage;
    if (is_part(count, arguments, &part, &sabotage)) play(part, sabotage);
    if (packs_missing()) return check_skip(packs_missing());
    check_has_faults = 1; /* in every case */
    sweep_begin();
    /* Under a sanitizer, in the budget that has more to do. */
    check_run_if(kernel_is_measured, every_fault_leaves_the_old_or_the_new_state,
                 "under a sanitizer the budget with more to do stands for it");
    check_run(faults_where_only_one_fits);
    check_run(a_half_switch_is_seen);
    check_run(a_kept_region_is_seen);
    check_run(a_kept_adapter_is_seen);
    return check_done();
}
