/* Every operation, cancelled at its N-th look at the flag, for N = 1, 2, 3, ... until it is done
 * before that. A cancel harms nothing: the state is the old one, a switch leaves memory as it was,
 * the packs that were there are there, unchanged and unmarked, nothing half made is left, and the
 * next picture is the old state's, to the byte.
 *
 * With packs each operation runs twice: where none is there yet, and where each has to be read
 * whole, as after a restart of the machine. Without, in a wide budget and in one that has no room
 * for old and new beside each other.
 *
 * Looks come by the hundred (one an operator): the first, the last and some between are tried,
 * unless DARKROOM_SWEEP=whole. */
#include "engine/sweep_fixture.h"

#include <dirent.h>
#include <stdint.h>

/* ---- operations that switch nothing -------------------------------------------------------- */

static enum dr_code run_list(struct dr_engine *engine, const char *argument)
{
    struct dr_vae_list list;
    (void)argument;
    const enum dr_code code =
        dr_engine_list_vaes(engine, DR_LIST_DIGESTS, NULL, NULL, &list, &problem);
    if (code != DR_OK && list.vaes) exit(1);
    dr_vae_list_free(&list);
    return code;
}

static enum dr_code run_forecast(struct dr_engine *engine, const char *vae)
{
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_forecast forecast;
    options.prompt = "";
    options.width = options.height = 256;
    options.vae = vae;
    const enum dr_code code = dr_engine_forecast(engine, &options, &forecast, &problem);
    dr_forecast_free(&forecast);
    return code;
}

static enum dr_code run_inspect(struct dr_engine *engine, const char *model)
{
    const struct dr_inspect_options options = {.vae_folder = in_root("vae"),
                                               .flags = DR_INSPECT_DIGESTS};
    struct dr_inspection inspection;
    (void)engine;
    const enum dr_code code =
        dr_inspect(model_path(model), &options, &inspection, &problem);
    dr_inspection_free(&inspection);
    return code;
}

static enum dr_code run_unload_and_load(struct dr_engine *engine, const char *model)
{
    const enum dr_code code = dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem);
    return code == DR_OK ? run_load(engine, model) : code;
}

static const struct operation more_operations[] = {
    {"generate",                   A_BASE,  A_BASE,  run_paint,           NULL,    "out.png", "a-none.png"},
    {"generate, SDXL",             X_BASE,  X_BASE,  run_paint,           NULL,    "out.png", "x-none.png"},
    {"unload, then load",          A_SHARP, A_SHARP, run_unload_and_load, "a",     NULL,      NULL        },
    {"list of VAEs, with digests", A_SHARP, A_SHARP, run_list,            NULL,    NULL,      NULL        },
    {"forecast",                   A_BASE,  A_BASE,  run_forecast,        "sharp", NULL,      NULL        },
    {"inspect, with digests",      A_BASE,  A_BASE,  run_inspect,         "b",     NULL,      NULL        },
};

enum {
    MORE_COUNT = sizeof more_operations / sizeof *more_operations,
    ALL_COUNT = OPERATION_COUNT + MORE_COUNT
};

static const struct operation *operation_at(int i)
{
    return i < OPERATION_COUNT ? &operations[i] : &more_operations[i - OPERATION_COUNT];
}

/* A switch that fails leaves memory as it was; a job may have made room, or loaded what it needs. */
static bool is_switch(const struct operation *operation)
{
    return operation->run == run_load || operation->run == run_choose;
}

/* ---- what is on the disk ------------------------------------------------------------------- */

enum {
    MOST_FILES = 200
};

struct disk_file {
    char name[300];
    struct stat status;
};

struct disk {
    struct disk_file files[MOST_FILES];
    int count;
};

static void look_at_folder(struct disk *disk, const char *path)
{
    DIR *const folder = opendir(path);
    disk->count = 0;
    if (!folder) return;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char whole[DR_PATH_BYTES];
        if (entry->d_name[0] == '.') continue;
        if (disk->count == MOST_FILES) exit(1);
        struct disk_file *const file = &disk->files[disk->count];
        (void)snprintf(file->name, sizeof file->name, "%s", entry->d_name);
        (void)snprintf(whole, sizeof whole, "%s/%s", path, entry->d_name);
        if (stat(whole, &file->status) == 0) ++disk->count;
    }
    (void)closedir(folder);
}

static const struct disk_file *file_of(const struct disk *disk, const char *name)
{
    for (int i = 0; i < disk->count; ++i)
        if (strcmp(disk->files[i].name, name) == 0) return &disk->files[i];
    return NULL;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name), end_length = strlen(end);
    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

static bool is_same_version(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Packs and what is known of checkpoints: what was there is there, and nothing half made. */
static void judge_packs(const struct disk *before, const struct disk *after,
                        struct verdict *verdict)
{
    for (int i = 0; i < before->count; ++i) {
        const struct disk_file *const was = &before->files[i];
        const struct disk_file *const is = file_of(after, was->name);
        if (!ends_with(was->name, ".pack") && !ends_with(was->name, ".origin") &&
            !ends_with(was->name, ".checked"))
            continue;
        if (!is)
            verdict_add(verdict, "%s is gone", was->name);
        else if (ends_with(was->name, ".pack") &&
                 !is_same_version(&was->status, &is->status))
            verdict_add(verdict, "%s was replaced", was->name);
    }
    for (int i = 0; i < after->count; ++i)
        if (ends_with(after->files[i].name, ".building") ||
            ends_with(after->files[i].name, ".new"))
            verdict_add(verdict, "%s was left behind", after->files[i].name);
}

static void look_at_packs(const struct dr_engine *engine, struct disk *disk)
{
    disk->count = 0;
    if (pack_store_is_on(&engine->resources.packs))
        look_at_folder(disk, engine->resources.packs.folder);
}

/* All are read whole here: none is damaged. */
static void judge_contents(const struct dr_engine *engine, struct verdict *verdict)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    if (!pack_store_is_on(&engine->resources.packs)) return;
    if (pack_store_list(&engine->resources.packs, &list, &count, &problem) != DR_OK)
        verdict_add(verdict, "the packs cannot be listed: %s", problem.message);
    for (size_t i = 0; i < count; ++i) {
        if (pack_store_verify(&engine->resources.packs, &list[i], NULL, &problem) !=
            DR_OK)
            verdict_add(verdict, "%s", problem.message);
    }
    free(list);
}

/* ---- sweeping ------------------------------------------------------------------------------ */

struct sweep {
    const struct operation *operation;
    bool is_tight;
    bool
        is_cold; /* no pack is there; else each is there, and is to be read before it is used */
};

/* What a switch must leave as it is. */
struct holding {
    uint64_t private_bytes, mapped_bytes;
    const struct source *resident[PIPELINE_SLOTS];
};

static struct holding holding_of(const struct dr_engine *engine)
{
    struct holding holding = {.private_bytes = engine->resources.ledger.private_bytes,
                              .mapped_bytes = engine->resources.ledger.mapped_bytes};
    for (int32_t i = 0; i < engine->model.pipeline->slot_count; ++i)
        holding.resident[i] = engine->model.pipeline->slots[i].resident;
    return holding;
}

static void judge_holding(const struct dr_engine *engine, const struct holding *before,
                          struct verdict *verdict)
{
    const struct holding now = holding_of(engine);
    if (now.private_bytes != before->private_bytes ||
        now.mapped_bytes != before->mapped_bytes)
        verdict_add(verdict,
                    "the ledger holds %" PRIu64 " private and %" PRIu64
                    " mapped bytes, before it was %" PRIu64 " and %" PRIu64,
                    now.private_bytes, now.mapped_bytes, before->private_bytes,
                    before->mapped_bytes);
    for (int32_t i = 0; i < engine->model.pipeline->slot_count; ++i)
        if (now.resident[i] != before->resident[i])
            verdict_add(verdict, "the %s in memory is another than before",
                        engine->model.pipeline->slots[i].name);
}

/* A VAE that is chosen has no room beside what is loaded: that has to make room, and comes back. */
static uint64_t tight_budget(struct dr_engine *engine,
                             const struct operation *operation)
{
    const bool chooses = operation->run == run_choose;
    return budget_for(engine, chooses
                                  ? engine->resources.ledger.private_bytes + (2 << 20)
                                  : tight_bytes(operation));
}

/* Each try begins with the same: the state, what is on the disk, nothing remembered. */
static void begin_try(struct dr_engine *engine, const struct sweep *sweep,
                      struct verdict *verdict)
{
    const struct operation *const operation = sweep->operation;
    struct pack_listing *list = NULL;
    size_t count = 0;
    if (sweep->is_tight) (void)!dr_engine_set_budget(engine, 0, NULL);
    if (enter(engine, &states[operation->before]) != DR_OK)
        verdict_add(verdict, "cannot begin: %s", problem.message);
    prompt_cache_close(&engine->model.pipeline->prompts);
    if (sweep->is_tight && dr_engine_set_budget(engine, tight_budget(engine, operation),
                                                &problem) != DR_OK)
        verdict_add(verdict, "no such budget: %s", problem.message);
    engine->model.probes = (struct latent_probe_memory){0};
    if (operation->output) (void)unlink(in_root(operation->output));
    if (!pack_store_is_on(&engine->resources.packs)) return;
    if (sweep->is_cold) remove_packs(engine);
    if (pack_store_list(&engine->resources.packs, &list, &count, &problem) != DR_OK)
        verdict_add(verdict, "the packs cannot be listed: %s", problem.message);
    for (size_t i = 0; i < count; ++i)
        pack_store_distrust(&engine->resources.packs, &list[i].key);
    free(list);
}

static void judge_result(struct dr_engine *engine, const struct operation *operation,
                         enum dr_code code, struct verdict *verdict)
{
    const bool is_done = code == DR_OK;
    if (!is_done && code != DR_CANCELLED)
        verdict_add(verdict, "it failed with %s: %s", dr_code_name(code),
                    problem.message);
    judge_slots(engine, verdict);
    if (!is_in(engine, &states[is_done ? operation->after : operation->before]))
        verdict_add(verdict, "the state is not the %s one", is_done ? "new" : "old");
    if (!operation->output) return;
    if (is_done && !same_file(operation->output, operation->expected))
        verdict_add(verdict, "what it wrote is not %s", operation->expected);
    if (!is_done && access(in_root(operation->output), F_OK) == 0)
        verdict_add(verdict, "it was cancelled, and left an output");
}

static void judge_next(struct dr_engine *engine, const struct operation *operation,
                       enum dr_code code, struct verdict *verdict)
{
    const struct state *const now =
        &states[code == DR_OK ? operation->after : operation->before];
    if (paint(engine, "next.png", NULL) != DR_OK)
        verdict_add(verdict, "the next picture fails: %s", problem.message);
    else if (!same_file("next.png", now->picture))
        verdict_add(verdict, "the next picture is not %s", now->picture);
    (void)unlink(in_root("next.png"));
}

/* Cancel at the nth look. Returns how many looks there were. */
static int64_t try_once(struct dr_engine *engine, const struct sweep *sweep,
                        int64_t nth, bool paints, struct verdict *verdict)
{
    static struct disk packs[2], root[2];
    const struct operation *const operation = sweep->operation;
    begin_try(engine, sweep, verdict);
    if (!verdict_holds(verdict)) return 0;
    look_at_packs(engine, &packs[0]);
    look_at_folder(&root[0], fixture_root);
    const struct holding before = holding_of(engine);
    fault_arm(1u << FAULT_CANCEL, nth, FAULT_FROM_THEN_ON);
    const enum dr_code code = operation->run(engine, operation->argument);
    const int64_t looks = fault_visits();
    const bool struck = fault_has_struck();
    fault_disarm();
    if (!struck && code != DR_OK)
        verdict_add(verdict, "nobody cancelled it, and it failed: %s", problem.message);
    judge_result(engine, operation, code, verdict);
    if (code != DR_OK && is_switch(operation)) judge_holding(engine, &before, verdict);
    look_at_packs(engine, &packs[1]);
    judge_packs(&packs[0], &packs[1], verdict);
    look_at_folder(&root[1], fixture_root);
    if (root[1].count != root[0].count + (code == DR_OK && operation->output ? 1 : 0))
        verdict_add(verdict, "files came or went: %d, before it were %d", root[1].count,
                    root[0].count);
    if (paints && verdict_holds(verdict)) judge_next(engine, operation, code, verdict);
    if (!verdict_holds(verdict))
        verdict_add(verdict,
                    "(%s, %s budget, %s packs, look %" PRId64 " of %" PRId64 ")",
                    operation->title, sweep->is_tight ? "tight" : "wide",
                    sweep->is_cold ? "no" : "unchecked", nth, looks);
    return looks;
}

/* Of the looks: the first and the last ones, each of them, and some between. Fewer under sanitizers, where
 * a try takes three times as long; the release build with faults tries all of these. */
#ifdef __SANITIZE_ADDRESS__
enum {
    FIRST = 2,
    LAST = 1,
    BETWEEN = 2
};
#else
enum {
    FIRST = 6,
    LAST = 3,
    BETWEEN = 5
};
#endif

static int64_t next_of(int64_t nth, int64_t looks)
{
    if (is_whole_sweep() || nth < FIRST || nth >= looks - LAST) return nth + 1;
    const int64_t step = (looks - FIRST - LAST) / BETWEEN + 1;
    return nth + step < looks - LAST ? nth + step : looks - LAST + 1;
}

/* Returns how often it was cancelled; stops at the first that does not hold. */
static int run_sweep(struct dr_engine *engine, const struct sweep *sweep,
                     struct verdict *verdict)
{
    int tried = 0;
    const int64_t looks = try_once(engine, sweep, INT64_MAX / 2, false, verdict);
    for (int64_t nth = 1; nth <= looks && verdict_holds(verdict);
         nth = next_of(nth, looks), ++tried)
        (void)try_once(engine, sweep, nth, tried % 4 == 0, verdict);
    if (sweep->is_tight) (void)!dr_engine_set_budget(engine, 0, NULL);
    return tried;
}

struct report {
    struct verdict verdict;
    int sweeps, tried;
};

static void sweep_all(bool is_tight, bool is_cold)
{
    struct report report = {0};
    for (int i = 0; i < ALL_COUNT && verdict_holds(&report.verdict); ++i) {
        /* Its own engine: what is remembered of one operation does not shorten the next. */
        struct dr_engine *engine = open_engine();
        const struct sweep sweep = {.operation = operation_at(i),
                                    .is_tight = is_tight,
                                    .is_cold = is_cold};
        const int tried = run_sweep(engine, &sweep, &report.verdict);
        if (verdict_holds(&report.verdict) && tried < 1)
            verdict_add(&report.verdict, "%s: never looked", sweep.operation->title);
        judge_contents(engine, &report.verdict);
        if (getenv("DARKROOM_SWEEP"))
            fprintf(stderr, "     %3d %s\n", tried, sweep.operation->title);
        report.tried += tried;
        dr_engine_close(&engine);
    }
    check_str(report.verdict.why, "");
    fprintf(stderr, "     %d operations, cancelled %d times\n", ALL_COUNT,
            report.tried);
}

static void a_cancel_leaves_everything_as_it_was(void)
{
    sweep_all(false, has_packs());
}

static void where_packs_have_to_be_read(void)
{
    sweep_all(false, false);
}

static void where_only_one_fits(void)
{
    sweep_all(true, false);
}

/* The controls: what the judges are there to see. */
static void what_is_gone_is_seen(void)
{
    static struct disk before, after;
    struct verdict verdict = {0};
    struct dr_engine *engine = open_engine();
    check_int(enter(engine, &states[A_SHARP]), ==, DR_OK);
    const struct holding holding = holding_of(engine);
    judge_holding(engine, &holding, &verdict);
    check_str(verdict.why, "");
    (void)slot_release(engine->model.pipeline->vae_slot);
    judge_holding(engine, &holding, &verdict);
    check_has(verdict.why, "the vae in memory is another than before");
    run_command("mkdir -p '%s' && touch '%s/a.pack' '%s/b.pack'", in_root("folder"),
                in_root("folder"), in_root("folder"));
    look_at_folder(&before, in_root("folder"));
    verdict = (struct verdict){0};
    judge_packs(&before, &before, &verdict);
    check_str(verdict.why, "");
    run_command("cd '%s' && rm a.pack && touch c.pack c.building && mv c.pack b.pack",
                in_root("folder"));
    look_at_folder(&after, in_root("folder"));
    judge_packs(&before, &after, &verdict);
    check_has(verdict.why, "a.pack is gone");
    check_has(verdict.why, "b.pack was replaced");
    check_has(verdict.why, "c.building was left behind");
    dr_engine_close(&engine);
}

int main(void)
{
    if (packs_missing()) return check_skip(packs_missing());
    check_has_faults = 1; /* in every case */
    sweep_begin();
    /* As in failure_sweep_test: the release build with faults takes both budgets, at more looks. */
    check_run_if(kernel_is_measured, a_cancel_leaves_everything_as_it_was,
                 "under a sanitizer the budget with more to do stands for it");
    if (!has_packs())
        check_run(where_only_one_fits);
    else if (fixture_weights() == DR_WEIGHTS_UNSET) /* a pack is read as bytes */
        check_run(where_packs_have_to_be_read);
    check_run(what_is_gone_is_seen);
    return check_done();
}
