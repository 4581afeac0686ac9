/* Hundreds of switches with a picture in between: nothing grows, and nothing wears off. (In a
 * program that people use it leaked then, and only then: A1111#5691.)
 *
 * The switches go through models of both families, back and forth, with VAEs of their own and
 * without; what is done between two switches rotates: a picture from a prompt, and then, since
 * they read no UNet, decodes and encodes, also with the job's own VAE. DARKROOM_SWITCHES says
 * how many (1000 take some minutes), else 180.
 *
 * Blocks that malloc keeps for a thread are left out, as the program leaves them out
 * (cli/start_settings.h): they may hold up to a page each, wherever they happen to lie.
 *
 * Not under a sanitizer: its own memory hides the slope. */
#include "engine/switch_fixture.h"

static const int64_t most_growth_bytes = 64 * 1024;
/* Of file pages: the program's own code comes in as it is needed. The smallest component's
 * weights in a pack are larger, in bfloat16 too. */
static const int64_t most_mapped_growth_bytes = 1024 * 1024;

struct choice {
    const char *model, *vae;
};

static const struct choice choices[] = {
    {"a", "none"     },
    {"x", "wide"     },
    {"a", "none"     },
    {"x", "none"     },
    {"a", "sharp"    },
    {"b", "sharp"    },
    {"a", "none"     },
    {"b", "automatic"},
    {"x", "none"     },
    {"b", "soft"     },
};

/* Jobs, in rotation. */
enum kind {
    KIND_GENERATE,
    KIND_DECODE,
    KIND_ENCODE,
    KIND_DECODE_OWN
};

static const enum kind rotation[] = {KIND_GENERATE, KIND_DECODE,     KIND_ENCODE,
                                     KIND_DECODE,   KIND_DECODE_OWN, KIND_DECODE};

enum {
    CHOICE_COUNT = sizeof choices / sizeof *choices,
    ROTATION_COUNT = sizeof rotation / sizeof *rotation,
    ROUND = CHOICE_COUNT * ROTATION_COUNT /* 900 are whole rounds */
};

struct slope {
    struct kernel_totals marked, last;
    struct verdict verdict;
};

/* One job of the kind into `output`. */
static enum dr_code work(struct dr_engine *engine, enum kind kind, const char *output)
{
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_generate_result result;
    struct dr_codec_options codec = dr_codec_options_default();
    struct dr_codec_result coded;
    enum dr_code code;
    codec.output = options.output = output;
    codec.vae = kind == KIND_DECODE_OWN ? "soft" : NULL;
    if (kind == KIND_GENERATE) {
        options.prompt = "a red circle";
        options.width = options.height = 64;
        options.steps = 1;
        options.cfg = 1.0;
        options.seed = 7;
        code = dr_engine_generate(engine, &options, &result, &problem);
        dr_generate_result_free(&result);
        return code;
    }
    codec.input = in_root(kind == KIND_ENCODE ? "in.png" : "in.latent.safetensors");
    code = kind == KIND_ENCODE ? dr_engine_encode(engine, &codec, &coded, &problem)
                               : dr_engine_decode(engine, &codec, &coded, &problem);
    dr_codec_result_free(&coded);
    return code;
}

/* Switch to a choice and work; the result is that of the first time. */
static void take(struct dr_engine *engine, const struct choice *choice, enum kind kind,
                 struct verdict *verdict)
{
    char model[40], first[80], again[40];
    const char *const ending = kind == KIND_ENCODE ? "safetensors" : "png";
    (void)snprintf(model, sizeof model, "%s.safetensors", choice->model);
    (void)snprintf(first, sizeof first, "first-%s-%s-%d.%s", choice->model, choice->vae,
                   kind, ending);
    (void)snprintf(again, sizeof again, "again.%s", ending);
    const bool is_first = access(in_root(first), F_OK) != 0;
    const char *const name = is_first ? first : again;
    /* The setting is changed before the model as often as after it. */
    enum dr_code code = DR_OK;
    if (kind == KIND_DECODE)
        code = dr_engine_choose_vae(engine, choice->vae, 0, NULL, NULL, &problem);
    if (code == DR_OK)
        code = dr_engine_load(engine, in_root(model),
                              kind == KIND_GENERATE ? DR_LOAD_EAGER : DR_LOAD_LAZY,
                              NULL, &problem);
    if (code == DR_OK && kind != KIND_DECODE)
        code = dr_engine_choose_vae(engine, choice->vae, 0, NULL, NULL, &problem);
    if (code == DR_OK) code = work(engine, kind, in_root(name));
    if (code != DR_OK)
        verdict_add(verdict, "%s with VAE %s: %s", choice->model, choice->vae,
                    problem.message);
    else if (!is_first && !same_file(first, again))
        verdict_add(verdict, "%s is another one", first);
}

/* The mistake is made after the mark. What is loaded there and at the end is the same. */
static void play(int mark, int count, enum fault_sabotage sabotage)
    __attribute__((noreturn));
static void play(int mark, int count, enum fault_sabotage sabotage)
{
    static struct slope slope;
    struct dr_engine *engine = open_engine();
    for (int i = 1; i <= count && verdict_holds(&slope.verdict); ++i) {
        take(engine, &choices[i % CHOICE_COUNT],
             rotation[i / CHOICE_COUNT % ROTATION_COUNT], &slope.verdict);
        if (i % 100 == 0 || i == count) judge_slots(engine, &slope.verdict);
        if (i != mark) continue;
        (void)!kernel_totals_read(&slope.marked, &problem);
        fault_sabotage(sabotage);
    }
    (void)!kernel_totals_read(&slope.last, &problem);
    end_part(&slope, sizeof slope);
}

static void judge_growth(struct verdict *verdict, const char *what, size_t marked,
                         size_t last, int64_t most)
{
    const int64_t growth = (int64_t)last - (int64_t)marked;
    if (growth > most) verdict_add(verdict, "%s bytes grew by %" PRId64, what, growth);
}

static struct verdict judge_slope(const char *part, enum fault_sabotage sabotage,
                                  struct slope *slope)
{
    run_part(part, sabotage, slope, sizeof *slope);
    struct verdict verdict = slope->verdict;
    const struct kernel_totals *const marked = &slope->marked, *const last =
                                                                   &slope->last;
    judge_growth(&verdict, "private", marked->private_bytes, last->private_bytes,
                 most_growth_bytes);
    judge_growth(&verdict, "mapped", marked->mapped_resident_bytes,
                 last->mapped_resident_bytes, most_mapped_growth_bytes);
    return verdict;
}

static void switches_grow_nothing(void)
{
    struct slope slope;
    const struct verdict verdict = judge_slope("long", SABOTAGE_NONE, &slope);
    check_str(verdict.why, "");
    fprintf(stderr,
            "     private bytes at the mark: %zu, at the end: %zu\n"
            "     mapped bytes likewise: %zu, %zu\n",
            slope.marked.private_bytes, slope.last.private_bytes,
            slope.marked.mapped_resident_bytes, slope.last.mapped_resident_bytes);
}

/* Weights that packs hold are file pages. */
static const char *what_grows(void)
{
    return has_packs() ? "mapped bytes grew by" : "private bytes grew by";
}

static void a_skipped_unmap_is_seen(void)
{
    struct slope slope;
    const struct verdict verdict = judge_slope("short", SABOTAGE_SKIPPED_UNMAP, &slope);
    check_has(verdict.why, what_grows());
    fprintf(stderr, "     said: %.220s\n", verdict.why);
}

static void a_kept_region_is_seen(void)
{
    struct slope slope;
    const struct verdict verdict = judge_slope("short", SABOTAGE_KEPT_REGION, &slope);
    check_has(verdict.why, "the slots account for");
    check_has(verdict.why, what_grows());
    fprintf(stderr, "     said: %.220s\n", verdict.why);
}

static int switch_count(void)
{
    const char *const said = getenv("DARKROOM_SWITCHES");
    const int count = said ? atoi(said) : 180;
    return count < 2 * ROUND ? 2 * ROUND : count;
}

int main(int count, char **arguments)
{
    const char *part;
    enum fault_sabotage sabotage;
    if (is_part(count, arguments, &part, &sabotage)) {
        const int long_count = switch_count();
        const int rounds = (long_count - 100) / ROUND;
        /* Whole rounds after the mark: the same is loaded there and at the end. */
        if (strcmp(part, "long") == 0)
            play(long_count - (rounds > 0 ? rounds : 1) * ROUND, long_count, sabotage);
        play(CHOICE_COUNT, 2 * CHOICE_COUNT, sabotage);
    }
    if (packs_missing()) return check_skip(packs_missing());
    if (!kernel_is_measured)
        return check_skip("the sanitizer's own memory hides what is measured here");
    fixture_begin();
    take_checkpoint("x.safetensors", "sdxl", "--seed 5");
    take_checkpoint("vae/wide.safetensors", "sdxl", "--part vae --seed 6");
    struct dr_engine *engine = open_engine();
    struct dr_generate_options options = dr_generate_options_default();
    struct dr_generate_result result;
    load(engine, "a.safetensors");
    picture(engine, "in.png");
    options.prompt = "a red circle";
    options.width = options.height = 64;
    options.steps = 1;
    options.output = in_root("in.latent.safetensors");
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
    /* For the parts, which are processes of their own. */
    check_int(setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1), ==, 0);
    check_run(switches_grow_nothing);
    check_run_with_faults(a_skipped_unmap_is_seen);
    check_run_with_faults(a_kept_region_is_seen);
    return check_done();
}
