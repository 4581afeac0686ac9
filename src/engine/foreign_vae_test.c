/* A VAE of a foreign latent space, wherever a VAE is chosen: by a request, by a setting that
 * meets a checkpoint, as a neighbour file, by a job for itself; with much memory and with
 * little. It is refused or gives way, what was active stays, and the plan knew what that took.
 *
 * The checkpoints' VAEs are made to return the picture (tools/checkpoint_autoencoder.h): `a` and
 * `b` through one latent space, `x` through another. */
#include "engine/engine_fixture.h"

#include "base/fault_fixture.h"

static void begin(void)
{
    fixture_folder();
    make_checkpoint("a.safetensors",
                    "--family sd15 --size least --seed 1 --latent-space 1");
    make_checkpoint("x.safetensors",
                    "--family sdxl --size least --seed 2 --latent-space 2");
    make_checkpoint("vae/tuned.safetensors",
                    "--family sd15 --size least --part vae --seed 3 --latent-space 1");
    make_checkpoint("vae/foreign.safetensors",
                    "--family sdxl --size least --part vae --seed 4 --latent-space 2");
}

static enum dr_code choose_with(struct dr_engine *engine, const char *choice,
                                unsigned flags, struct dr_vae_info *info,
                                struct dr_receipt *receipt)
{
    const enum dr_code code =
        dr_engine_choose_vae(engine, choice, flags, info, receipt, &problem);
    (void)check_memory(engine);
    return code;
}

static enum dr_code job_with(struct dr_engine *engine, const char *vae, unsigned flags,
                             struct dr_generate_result *result)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.output = in_root("job.png");
    options.width = options.height = 64;
    options.steps = 1;
    options.cfg = 1.0;
    options.seed = 7;
    options.vae = vae;
    options.vae_flags = flags;
    (void)unlink(options.output);
    const enum dr_code code = dr_engine_generate(engine, &options, result, &problem);
    if (code == DR_OK)
        check_int(result->planned_private_bytes, ==, result->peak_private_bytes);
    free(result->images); /* the rest is the caller's to look at */
    result->images = NULL;
    (void)check_memory(engine);
    return code;
}

static void check_refused(enum dr_code code)
{
    check_int(code, ==, DR_FOREIGN);
    check_has(problem.message, "foreign.safetensors");
    check_has(problem.message, " dB");
    check_has(problem.message, "--force");
}

/* ---- a request --------------------------------------------------------------------------- */

/* The first time it is told by what it does, the second time it is known; a fine-tuned one
 * passes; forced, it runs. */
static void a_request_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_vae_info info;
    struct dr_receipt receipt;
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    const uint64_t bytes = check_memory(engine);
    for (int i = 0; i < 2; ++i) {
        check_refused(choose(engine, "foreign"));
        check_int(check_memory(engine), ==, bytes);
        check(!vae_state(engine).override_active && vae_state(engine).resident);
        check_str(vae_state(engine).probe, "");
    }
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));

    check_int(choose_with(engine, "tuned", 0, &info, &receipt), ==, DR_OK);
    check(info.override_active && info.verified);
    check_has(info.probe, ": fits");
    check_has(receipt.reason, "latent probe: ");
    check_int(check_memory(engine), ==, bytes);
    check_refused(choose(engine, "foreign")); /* over an override: that one stays */
    check_has(vae_state(engine).path, "tuned");
    check_int(check_memory(engine), ==, bytes);

    check_int(choose_with(engine, "foreign", DR_VAE_FORCE, &info, &receipt), ==, DR_OK);
    check_has(info.path, "foreign");
    check_has(info.probe, "--force");
    picture(engine, "forced.png");
    check(!same_file("A.png", "forced.png"));
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    check_int(check_memory(engine), ==, bytes);
    dr_engine_close(&engine);
}

/* The negative control: with a comparison that finds nothing, the same request is taken. */
static void without_the_comparison_the_request_is_taken(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    fault_arm(1U << FAULT_PROBE, 1, FAULT_ONCE);
    check_int(choose(engine, "foreign"), ==, DR_OK);
    check(fault_has_struck());
    fault_disarm();
    check_has(vae_state(engine).path, "foreign");
    dr_engine_close(&engine);
}

/* A verdict that is known takes no region and no read, but for the weights themselves. */
static void a_repeated_switch_asks_nothing(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    check_int(choose(engine, "tuned"), ==, DR_OK);
    check_int(choose(engine, "none"), ==, DR_OK);
    check_refused(choose(engine, "foreign"));
    fault_arm(1U << FAULT_PROBE, 1, FAULT_FROM_THEN_ON);
    check_int(choose(engine, "tuned"), ==, DR_OK);
    check_int(choose(engine, "none"), ==, DR_OK);
    check(!fault_has_struck());
    /* opening the file reads its index, and no more is needed */
    fault_arm(1U << FAULT_REGION | 1U << FAULT_VERIFY | 1U << FAULT_PROBE, 1,
              FAULT_FROM_THEN_ON);
    check_refused(choose(engine, "foreign"));
    check(!fault_has_struck());
    fault_disarm();
    dr_engine_close(&engine);
}

/* Nothing is loaded, and nothing is after the answer. */
static void a_request_on_released_weights_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    check_refused(choose(engine, "foreign"));
    check_int(check_memory(engine), ==, 0);
    check(!vae_state(engine).override_active);
    check_int(choose(engine, "tuned"), ==, DR_OK);
    check_int(check_memory(engine), ==, 0);
    check_has(vae_state(engine).probe, ": fits");
    dr_engine_close(&engine);
}

/* P4: every region, read or check fails once. */
static void every_fault_leaves_the_old_state(void)
{
    const unsigned places = 1U << FAULT_REGION | 1U << FAULT_VERIFY | 1U << FAULT_READ;
    int n = 1;
    bool struck = true;
    for (; struck && n < 2000; n += 1 + n) {
        struct dr_engine *engine = open_engine(); /* nothing is remembered */
        load(engine, "a.safetensors");
        const uint64_t bytes = check_memory(engine);
        fault_arm(places, n, FAULT_ONCE);
        const enum dr_code code = choose(engine, "foreign");
        struck = fault_has_struck();
        fault_disarm();
        check_int(code, !=, DR_OK);
        check_int(check_memory(engine), ==, bytes);
        check(!vae_state(engine).override_active && vae_state(engine).resident);
        check_int(code == DR_FOREIGN, ==, !struck);
        dr_engine_close(&engine);
    }
    check_int(n, >, 5);
    check(!struck);
}

/* ---- a setting, a neighbour ---------------------------------------------------------------- */

/* The scene of the two families: an SDXL model with a VAE of its own choosing, then SD1.5, then
 * back. */
static void a_setting_gives_way_and_comes_back(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_load_result result;
    load(engine, "x.safetensors");
    check_int(choose(engine, "foreign"), ==, DR_OK); /* to `x` it is at home */
    check_has(vae_state(engine).probe, ": fits");
    for (int i = 0; i < 2; ++i) {
        check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER,
                                 &result, &problem),
                  ==, DR_OK);
        check_has(result.receipt.reason, "the checkpoint's own VAE");
        check_has(result.receipt.reason, "foreign.safetensors");
        check(!vae_state(engine).override_active && vae_state(engine).resident);
        check_str(vae_state(engine).choice, "foreign");
        check_int(check_memory(engine), ==, result.receipt.after.ledger_private_bytes);
        dr_load_result_free(&result);
        load(engine, "x.safetensors");
        check(vae_state(engine).override_active);
        check_has(vae_state(engine).path, "foreign");
    }
    dr_engine_close(&engine);

    /* said before anything is loaded, and forced */
    engine = open_engine();
    check_int(choose_with(engine, "foreign", DR_VAE_FORCE, NULL, NULL), ==, DR_OK);
    load(engine, "a.safetensors");
    check(vae_state(engine).override_active);
    check_has(vae_state(engine).probe, "--force");
    dr_engine_close(&engine);
}

/* Loaded when a job needs it: the job finds out, tells, and uses the checkpoint's own. */
static void a_setting_gives_way_in_a_job(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    load(engine, "a.safetensors");
    check_int(job_with(engine, NULL, 0, &result), ==, DR_OK);
    run_command("mv '%s' '%s'", in_root("job.png"), in_root("want.png"));
    dr_engine_close(&engine);

    engine = open_engine();
    check_int(choose(engine, "foreign"), ==, DR_OK);
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    check(vae_state(engine).override_active);
    check_has(vae_state(engine).probe, "not run yet");
    check_int(job_with(engine, NULL, 0, &result), ==, DR_OK);
    check_has(result.receipt.reason, "the checkpoint's own VAE");
    /* The whole reason, to its last word. */
    check_has(result.receipt.reason, "use --force to accept this one");
    check_has(vae_state(engine).reason, "use --force to accept this one");
    check(!result.vae.override_active);
    check(!vae_state(engine).override_active);
    check_str(vae_state(engine).choice, "foreign");
    check(same_file("job.png", "want.png"));
    dr_engine_close(&engine);
}

static void a_foreign_neighbour_is_said(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_load_result result;
    struct dr_generate_result job;
    load(engine, "a.safetensors");
    run_command("cp '%s' '%s'", in_root("vae/foreign.safetensors"),
                in_root("a.vae.safetensors"));
    picture(engine, "A.png"); /* from here on prompts are kept */
    const uint64_t bytes = check_memory(engine);
    check_int(job_with(engine, "automatic", 0, &job), ==, DR_OK);
    check_has(job.receipt.reason, "the checkpoint's own VAE");
    check(!job.vae.override_active);
    check_int(check_memory(engine), ==, bytes);
    check_int(choose(engine, "automatic"), ==, DR_OK);
    check(!vae_state(engine).override_active);
    check_has(vae_state(engine).reason, "a.vae.safetensors");
    dr_engine_close(&engine);

    engine = open_engine();
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER, &result,
                             &problem),
              ==, DR_OK);
    check_has(result.receipt.reason, "a.vae.safetensors");
    check(!vae_state(engine).override_active);
    check_int(unlink(in_root("a.vae.safetensors")), ==, 0);
    dr_load_result_free(&result);
    dr_engine_close(&engine);
}

/* ---- a job --------------------------------------------------------------------------------- */

static void a_jobs_own_vae_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    struct dr_codec_result coded;
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    const uint64_t bytes = check_memory(engine);
    for (int i = 0; i < 2; ++i) {
        check_refused(job_with(engine, "foreign", 0, &result));
        check_int(access(in_root("job.png"), F_OK), ==, -1);
        check_int(check_memory(engine), ==, bytes);
        check(!vae_state(engine).override_active && vae_state(engine).resident);
    }
    struct dr_codec_options options = dr_codec_options_default();
    options.input = in_root("A.png");
    options.output = in_root("A-latents.safetensors");
    options.vae = "foreign";
    check_refused(dr_engine_encode(engine, &options, &coded, &problem));
    options.vae = "tuned";
    check_int(dr_engine_encode(engine, &options, &coded, &problem), ==, DR_OK);
    check_int(coded.planned_private_bytes, ==, coded.peak_private_bytes);
    check_has(coded.vae.probe, ": fits");
    dr_codec_result_free(&coded);
    options.vae = "foreign";
    options.input = in_root("A-latents.safetensors");
    options.output = in_root("A-decoded.png");
    check_refused(dr_engine_decode(engine, &options, &coded, &problem));
    options.vae_flags = DR_VAE_FORCE;
    check_int(dr_engine_decode(engine, &options, &coded, &problem), ==, DR_OK);
    dr_codec_result_free(&coded);

    check_int(job_with(engine, "foreign", DR_VAE_FORCE, &result), ==, DR_OK);
    check_has(result.vae.probe, "--force");
    check_refused(job_with(engine, "foreign", 0, &result));
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    check_int(check_memory(engine), ==, bytes);
    dr_engine_close(&engine);
}

/* ---- plans --------------------------------------------------------------------------------- */

enum loaded {
    ALL_LOADED,
    NOTHING_LOADED,
    VAE_RELEASED
};

static struct dr_engine *open_loaded(enum loaded loaded)
{
    struct dr_engine *const engine = open_engine();
    check_int(dr_engine_load(engine, in_root("a.safetensors"),
                             loaded == NOTHING_LOADED ? DR_LOAD_LAZY : DR_LOAD_EAGER,
                             NULL, &problem),
              ==, DR_OK);
    if (loaded == VAE_RELEASED)
        check_int(dr_engine_unload(engine, DR_UNLOAD_VAE, NULL, &problem), ==, DR_OK);
    return engine;
}

/* The reads and the region of the probe are in the plan of the first job, and in no later one's.
 * A job that it refuses keeps to its plan too: here to the limit that it was admitted under. */
static void the_probe_is_planned(void)
{
    static const char *const residency[] = {"all components resident", "",
                                            "one component"};
    for (int loaded = ALL_LOADED; loaded <= VAE_RELEASED; ++loaded) {
        struct dr_generate_result first, second;
        struct dr_engine *engine = open_loaded((enum loaded)loaded);
        check_int(job_with(engine, "tuned", 0, &first), ==, DR_OK);
        check_has(first.vae.probe, ": fits");
        check_int(job_with(engine, "tuned", 0, &second), ==, DR_OK);
        check_int(second.planned_private_bytes, <=, first.planned_private_bytes);
        dr_engine_close(&engine);

        /* From the most that this job can use down to what does not fit. */
        const uint64_t most = first.peak_private_bytes;
        for (int step = 0; step < 3; ++step) {
            struct dr_generate_result result;
            engine = open_loaded((enum loaded)loaded);
            const uint64_t limit = step == 0 ? most : step == 1 ? most - 1 : most / 2;
            limit_regions(engine, limit);
            const enum dr_code code = job_with(engine, "tuned", 0, &result);
            if (step == 2 && code == DR_OVER_BUDGET) {
                const char *const need = strstr(problem.message, "(");
                limit_regions(engine, need ? strtoull(need + 1, NULL, 10) : 0);
                check_int(job_with(engine, "tuned", 0, &result), ==, DR_OK);
            } else {
                check_int(code, ==, DR_OK);
            }
            check_has(result.receipt.reason, residency[step]);
            check_has(result.vae.probe, ": fits");
            check_refused(job_with(engine, "foreign", 0, &result));
            dr_engine_close(&engine);
        }
    }
}

/* What a refusal must leave as it was. */
static void refuse_and_compare(struct dr_engine *engine, uint64_t limit)
{
    const struct ledger *const ledger = &engine->resources.ledger;
    const uint64_t private_bytes = ledger->private_bytes, mapped = ledger->mapped_bytes;
    const unsigned resident = pipeline_resident_slots(engine->model.pipeline);
    limit_regions(engine, limit);
    check_refused(choose(engine, "foreign"));
    (void)check_memory(engine);
    check_int(ledger->private_bytes, ==, private_bytes);
    check_int(ledger->mapped_bytes, ==, mapped);
    check_int(pipeline_resident_slots(engine->model.pipeline), ==, resident);
}

/* Room for one VAE and a job, not for two: refused all the same, memory is as it was, and the next
 * picture is the old one. */
static void a_request_in_a_tight_budget_is_refused(void)
{
    /* The least has room to read the old VAE again: float32's scratch takes more than 1 MiB. */
    static const uint64_t spare[] = {6 << 20, 3 << 20, 2 << 20};
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    const uint64_t bytes = check_memory(engine);
    for (size_t i = 0; i < sizeof spare / sizeof *spare; ++i) {
        engine->model.probes =
            (struct latent_probe_memory){0}; /* it is asked each time */
        refuse_and_compare(engine, bytes + spare[i]);
    }
    limit_regions(engine, bytes + (6 << 20));
    picture(engine, "B.png");
    check(same_file("A.png", "B.png"));
    check_int(choose(engine, "tuned"), ==, DR_OK);
    check_has(vae_state(engine).probe, ": fits");
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    dr_engine_close(&engine);
}

int main(void)
{
    begin();
    check_run(a_request_is_refused);
    check_run_with_faults(without_the_comparison_the_request_is_taken);
    check_run_with_faults(a_repeated_switch_asks_nothing);
    check_run(a_request_on_released_weights_is_refused);
    check_run_with_faults(every_fault_leaves_the_old_state);
    check_run(a_setting_gives_way_and_comes_back);
    check_run(a_setting_gives_way_in_a_job);
    check_run(a_foreign_neighbour_is_said);
    check_run(a_jobs_own_vae_is_refused);
    check_run(the_probe_is_planned);
    check_run(a_request_in_a_tight_budget_is_refused);
    return check_done();
}
