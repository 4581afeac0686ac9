/* The scene that this program exists for, as a proof: a picture with SDXL and an explicit VAE,
 * then SD1.5 with VAE none and a picture. What SDXL and its VAE held is gone at its addresses;
 * what is left is what a process holds that only ever loaded SD1.5, item by item; and the
 * pictures are those of processes that never did anything else.
 *
 * Every act is a process of its own. The negative controls play the same scene with a mistake in
 * it, and the same judge must say which.
 *
 * Where weights are stored in blocks, the file of SDXL has them in blocks too. */
#include "engine/switch_fixture.h"

static const uint64_t tolerance_bytes = 1 << 20;

enum {
    STEP_SDXL,
    STEP_SD15,
    STEP_COUNT
};

struct step {
    const char *title, *model, *vae, *picture, *fresh_picture;
};

static struct step steps[STEP_COUNT] = {
    {"SDXL, explicit VAE", "x.safetensors", "wide", "x.png", "fresh-x.png"},
    {"SD1.5, VAE none",    "a.safetensors", "none", "a.png", "fresh-a.png"},
};

/* What a process saw, one step after the other. */
struct act {
    struct look looks[STEP_COUNT];
    struct verdict verdict;
};

/* ---- playing ------------------------------------------------------------------------------- */

static void take_step(struct dr_engine *engine, const struct step *step,
                      const char *picture, struct verdict *verdict)
{
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.output = in_root(picture);
    options.width = options.height = 64;
    options.steps = 2;
    options.seed = 7;
    options.bits = 16;
    enum dr_code code =
        dr_engine_load(engine, in_root(step->model), DR_LOAD_EAGER, NULL, &problem);
    if (code == DR_OK)
        code = dr_engine_choose_vae(engine, step->vae, 0, NULL, NULL, &problem);
    if (code == DR_OK) code = dr_engine_generate(engine, &options, &result, &problem);
    if (code != DR_OK) {
        verdict_add(verdict, "%s: %s", step->title, problem.message);
        return;
    }
    dr_generate_result_free(&result);
    judge_slots(engine, verdict);
}

static void use_blocks(void)
{
    if (fixture_weights() == DR_WEIGHTS_Q8) steps[STEP_SDXL].model = "x.gguf";
}

static void write_blocks(void)
{
    const struct dr_convert_options options = {.output = in_root("x.gguf"),
                                               .weights = DR_WEIGHTS_Q8};
    struct dr_conversion conversion;
    check_int(dr_convert(in_root("x.safetensors"), &options, &conversion, &problem), ==,
              DR_OK);
    check_int(conversion.block_tensor_count, >, 0);
}

/* `part` is "scene" or the step that a fresh process takes, by its title. */
static void play(const char *part, enum fault_sabotage sabotage)
{
    static struct act act;
    struct trace_list before = {0};
    struct dr_engine *engine = open_engine();
    const bool is_scene = strcmp(part, "scene") == 0;
    fault_sabotage(sabotage);
    for (int i = 0; i < STEP_COUNT; ++i) {
        const struct step *const step = &steps[i];
        if (!is_scene && strcmp(part, step->title) != 0) continue;
        take_step(engine, step, is_scene ? step->picture : step->fresh_picture,
                  &act.verdict);
        act.looks[i] = take_look(engine, &act.verdict);
        judge_gone(engine, &before, &act.verdict);
        before = trace_regions(engine);
    }
    end_part(&act, sizeof act);
}

/* ---- judging ------------------------------------------------------------------------------- */

static struct look fresh_looks[STEP_COUNT];

static void judge_near(const char *what, uint64_t bytes, uint64_t fresh,
                       struct verdict *verdict)
{
    const uint64_t apart = bytes > fresh ? bytes - fresh : fresh - bytes;
    if (apart > tolerance_bytes)
        verdict_add(verdict,
                    "%s: %" PRIu64 " bytes, %" PRIu64 " in a process of its own", what,
                    bytes, fresh);
}

static void judge_look(const struct look *look, const struct look *fresh,
                       struct verdict *verdict)
{
    if (look->ledger != fresh->ledger || look->resident != fresh->resident ||
        look->mapped != fresh->mapped)
        verdict_add(verdict,
                    "regions: %" PRIu64 " bytes and %" PRIu64 " mapped, %" PRIu64
                    " and %" PRIu64 " when alone",
                    look->ledger, look->mapped, fresh->ledger, fresh->mapped);
    if (!kernel_is_measured) return;
    judge_near("private", look->kernel, fresh->kernel, verdict);
    judge_near("anonymous", look->anonymous, fresh->anonymous, verdict);
    judge_near("image", look->image, fresh->image, verdict);
    judge_near("heap", look->heap, fresh->heap, verdict);
    judge_near("stack", look->stack, fresh->stack, verdict);
    judge_near("jit", look->jit, fresh->jit, verdict);
    judge_near("other", look->other, fresh->other, verdict);
}

/* Play the scene, with a mistake in it or none, and judge it. */
static struct verdict judge_scene(enum fault_sabotage sabotage, struct act *act)
{
    for (int i = 0; i < STEP_COUNT; ++i)
        (void)unlink(in_root(steps[i].picture));
    run_part("scene", sabotage, act, sizeof *act);
    struct verdict verdict = act->verdict;
    judge_look(&act->looks[STEP_SD15], &fresh_looks[STEP_SD15], &verdict);
    for (int i = 0; i < STEP_COUNT; ++i)
        if (!same_file(steps[i].picture, steps[i].fresh_picture))
            verdict_add(&verdict, "the picture of %s is another one", steps[i].title);
    return verdict;
}

static void print_look(const char *title, const struct look *look)
{
    const uint64_t columns[] = {look->ledger, look->kernel,   look->image,
                                look->heap,   look->stack,    look->jit,
                                look->other,  look->resident, look->anonymous};
    fprintf(stderr, "     %-20s", title);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; ++i)
        fprintf(stderr, "%11" PRIu64, columns[i]);
    fputc('\n', stderr);
}

static void the_scene(void)
{
    struct act act;
    const struct verdict verdict = judge_scene(SABOTAGE_NONE, &act);
    check_str(verdict.why, "");
    fprintf(stderr, "     %-20s%11s%11s%11s%11s%11s%11s%11s%11s%11s\n", "bytes",
            "ledger", "kernel", "image", "heap", "stack", "jit", "other", "resident",
            "anonymous");
    for (int i = 0; i < STEP_COUNT; ++i)
        print_look(steps[i].title, &act.looks[i]);
    print_look("SD1.5 alone", &fresh_looks[STEP_SD15]);
    check_int(act.looks[STEP_SDXL].ledger + act.looks[STEP_SDXL].mapped, >,
              act.looks[STEP_SD15].ledger + act.looks[STEP_SD15].mapped);
    check((act.looks[STEP_SD15].mapped > 0) == has_packs());
    check(!same_file(steps[STEP_SDXL].picture, steps[STEP_SD15].picture));
}

/* ---- the negative controls ----------------------------------------------------------------- */

/* The judge speaks of it; `kernel_part`: NULL, or what only the kernel's figures tell. */
static void expect(enum fault_sabotage sabotage, const char *part,
                   const char *kernel_part)
{
    struct act act;
    const struct verdict verdict = judge_scene(sabotage, &act);
    check_has(verdict.why, part);
    /* What a pack keeps is no private memory. */
    if (kernel_part && kernel_is_measured && !has_packs())
        check_has(verdict.why, kernel_part);
    fprintf(stderr, "     said: %.220s\n", verdict.why);
}

static void a_kept_region_is_seen(void)
{
    expect(SABOTAGE_KEPT_REGION, "is still in the ledger", "private: ");
}

static void a_skipped_unmap_is_seen(void)
{
    expect(SABOTAGE_SKIPPED_UNMAP, "still resident where vae (override) weights was",
           "private: ");
}

static void a_flipped_byte_is_seen(void)
{
    expect(SABOTAGE_FLIPPED_BYTE, "the picture of SD1.5, VAE none is another one",
           NULL);
}

static void a_half_switch_is_seen(void)
{
    expect(SABOTAGE_HALF_SWITCH, "the picture of SDXL, explicit VAE is another one",
           NULL);
}

static void a_stale_scale_is_seen(void)
{
    expect(SABOTAGE_STALE_SCALE, "the picture of SD1.5, VAE none is another one", NULL);
}

int main(int count, char **arguments)
{
    const char *part;
    enum fault_sabotage sabotage;
    use_blocks();
    if (is_part(count, arguments, &part, &sabotage)) play(part, sabotage);
    if (packs_missing()) return check_skip(packs_missing());
    fixture_begin();
    take_checkpoint("x.safetensors", "sdxl", "--seed 5");
    if (fixture_weights() == DR_WEIGHTS_Q8) write_blocks();
    take_checkpoint("vae/wide.safetensors", "sdxl", "--part vae --seed 6");
    for (int i = 0; i < STEP_COUNT; ++i) {
        struct act act;
        run_part(steps[i].title, SABOTAGE_NONE, &act, sizeof act);
        check_str(act.verdict.why, "");
        fresh_looks[i] = act.looks[i];
    }
    check_run(the_scene);
    check_run_with_faults(a_kept_region_is_seen);
    check_run_with_faults(a_skipped_unmap_is_seen);
    if (!has_packs())
        check_run_with_faults(
            a_flipped_byte_is_seen); /* it is flipped while it is read */
    check_run_with_faults(a_half_switch_is_seen);
    check_run_with_faults(a_stale_scale_is_seen);
    return check_done();
}
