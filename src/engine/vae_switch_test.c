/* The three promises: an original is saved, comes back by itself bit for bit, and what nothing
 * uses is gone. Then every way in which other programs lost it (docs/PITFALLS.md). */
#include "engine/engine_fixture.h"

#include "base/fault_fixture.h"

static void none_restores_bit_for_bit(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    const struct dr_vae_info base = vae_state(engine);
    check(!base.override_active && base.verified && base.digest[0]);
    check_int(choose(engine, "sharp"), ==, DR_OK);
    const struct dr_vae_info override = vae_state(engine);
    check(override.override_active && override.verified);
    check(strcmp(base.digest, override.digest) != 0);
    picture(engine, "B.png");
    check_int(choose(engine, "none"), ==, DR_OK);
    const struct dr_vae_info restored = vae_state(engine);
    check(!restored.override_active && restored.verified);
    check_str(restored.digest, base.digest);
    check_str(restored.path, base.path);
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    check(!same_file("A.png", "B.png"));
    dr_engine_close(&engine);
}

static void the_override_is_released_at_once(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_receipt receipt;
    load(engine, "a.safetensors");
    const uint64_t before = check_memory(engine);
    check_int(dr_engine_choose_vae(engine, "sharp", 0, NULL, &receipt, &problem), ==,
              DR_OK);
    check_int(receipt.acquired_bytes, >, 0);
    check_int(receipt.released_bytes, ==,
              receipt.acquired_bytes); /* the base's, same shapes */
    check_int(check_memory(engine), ==, before);
    check_int(dr_engine_choose_vae(engine, "none", 0, NULL, &receipt, &problem), ==,
              DR_OK);
    check_int(receipt.released_bytes, ==, receipt.acquired_bytes);
    check_int(check_memory(engine), ==, before);
    dr_engine_close(&engine);
}

/* A9.1: the original was lost by image to image, then the override counted as original. */
static void image_to_image_in_between_loses_nothing(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    check_int(picture_with(engine, "i.png", NULL, in_root("A.png")), ==, DR_OK);
    check_int(choose(engine, "soft"), ==, DR_OK); /* A9: the next explicit load */
    picture(engine, "B.png");
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    check(!same_file("B.png", "C.png"));
    dr_engine_close(&engine);
}

/* A9.2: an explicit VAE chosen before the model is loaded; the baked one never existed there. */
static void an_override_before_the_first_load_has_an_original(void)
{
    struct dr_engine *engine = open_engine();
    check_int(choose(engine, "sharp"), ==, DR_OK);
    load(engine, "a.safetensors");
    check(vae_state(engine).override_active);
    picture(engine, "early-B.png");
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "early-C.png");
    dr_engine_close(&engine);

    engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "early-A.png");
    dr_engine_close(&engine);
    check(same_file("early-A.png", "early-C.png"));
    check(!same_file("early-A.png", "early-B.png"));
}

/* A9.3: after a restore, metadata and state named the wrong VAE. */
static void what_is_said_is_what_runs(void)
{
    struct dr_engine *engine = open_engine();
    char *text = NULL;
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "said.png");
    check_int(dr_read_parameters(in_root("said.png"), &text, &problem), ==, DR_OK);
    check_has(text, "VAE: sharp.safetensors");
    char hash[32];
    (void)snprintf(hash, sizeof hash, "VAE hash: %.10s", vae_state(engine).digest);
    check_has(text, hash);
    free(text);
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "said.png");
    check_int(dr_read_parameters(in_root("said.png"), &text, &problem), ==, DR_OK);
    check_has(text, "VAE: built-in");
    check(strstr(text, "sharp") == NULL);
    free(text);
    dr_engine_close(&engine);
}

/* A9.4: name and path were compared, so the same VAE was read again each time. */
static void the_same_vae_again_reads_nothing(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_receipt receipt;
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    fault_arm(1U << FAULT_READ | 1U << FAULT_REGION, 1, FAULT_FROM_THEN_ON);
    check_int(dr_engine_choose_vae(engine, in_root("vae/sharp.safetensors"), 0, NULL,
                                   &receipt, &problem),
              ==, DR_OK);
    check(!fault_has_struck());
    fault_disarm();
    check_int(receipt.acquired_bytes, ==, 0);
    check_int(receipt.released_bytes, ==, 0);
    dr_engine_close(&engine);
}

/* A9.5: a second override over the first left two in memory. */
static void override_over_override_keeps_one(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const uint64_t bytes = check_memory(engine);
    for (int i = 0; i < 3; ++i) {
        check_int(choose(engine, "sharp"), ==, DR_OK);
        check_int(check_memory(engine), ==, bytes);
        check_int(choose(engine, "soft"), ==, DR_OK);
        check_int(check_memory(engine), ==, bytes);
    }
    check_int(choose(engine, "none"), ==, DR_OK);
    check_int(check_memory(engine), ==, bytes);
    dr_engine_close(&engine);
}

/* A9.12: a VAE chosen while the model is unloaded must not load the model. */
static void a_choice_loads_no_model(void)
{
    struct dr_engine *engine = open_engine();
    check_int(choose(engine, "sharp"), ==, DR_OK);
    check_int(check_memory(engine), ==, 0);
    load(engine, "a.safetensors");
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    check_int(check_memory(engine), ==, 0);
    check_int(choose(engine, "soft"), ==, DR_OK);
    struct dr_memory memory;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    for (int i = 0; i < memory.component_count; ++i)
        if (memory.components[i].kind == DR_COMPONENT_UNET)
            check_int(memory.components[i].state, ==, DR_SLOT_RELEASED);
    dr_memory_free(&memory);
    dr_engine_close(&engine);
}

/* A9.13: a job's own override stayed after the job, also when the job failed. */
static void a_jobs_own_vae_ends_with_the_job(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    const uint64_t bytes = check_memory(engine);
    check_int(picture_with(engine, "J.png", "sharp", NULL), ==, DR_OK);
    check(!same_file("A.png", "J.png"));
    check_int(check_memory(engine), ==, bytes);
    check(!vae_state(engine).override_active);
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    /* over a setting: the setting comes back, not the base */
    check_int(choose(engine, "soft"), ==, DR_OK);
    picture(engine, "S1.png");
    check_int(picture_with(engine, "J2.png", "none", NULL), ==, DR_OK);
    check(same_file("A.png", "J2.png"));
    picture(engine, "S2.png");
    check(same_file("S1.png", "S2.png"));
    /* a job that fails late: its output's folder vanishes between check and write */
    check_int(mkdir(in_root("gone"), 0777), ==, 0);
    fault_arm(1U << FAULT_WRITE, 1, FAULT_FROM_THEN_ON);
    check_int(picture_with(engine, "gone/x.png", "sharp", NULL), !=, DR_OK);
    fault_disarm();
    picture(engine, "S3.png");
    check(same_file("S1.png", "S3.png"));
    check_int(check_memory(engine), ==, bytes);
    dr_engine_close(&engine);
}

struct canceller {
    struct dr_engine *engine;
    enum dr_stage at;
};

static void cancel_at(void *cookie, const struct dr_progress *progress)
{
    const struct canceller *const canceller = cookie;
    if (progress->stage == canceller->at) dr_engine_cancel(canceller->engine);
}

static void a_cancelled_job_leaves_the_setting(void)
{
    /* While it is decoded the picture is sampled, and so it is finished (early_end_test). */
    static const enum dr_stage stages[] = {DR_STAGE_LOAD, DR_STAGE_TEXT, DR_STAGE_UNET};
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    const uint64_t bytes = check_memory(engine);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; ++i) {
        struct canceller canceller = {engine, stages[i]};
        struct dr_generate_result result;
        struct dr_generate_options options = dr_generate_options_default();
        char prompt[32];
        (void)snprintf(prompt, sizeof prompt, "not cached %d", (int)i);
        options.prompt = prompt;
        options.output = in_root("cancelled.png");
        options.width = options.height = 64;
        options.steps = 3;
        options.vae = "sharp";
        options.progress = cancel_at;
        options.progress_cookie = &canceller;
        check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
                  DR_CANCELLED);
        check_int(access(in_root("cancelled.png"), F_OK), ==, -1);
        check_int(check_memory(engine), ==, bytes);
        check(!vae_state(engine).override_active);
        picture(engine, "C.png");
        check(same_file("A.png", "C.png"));
    }
    dr_engine_close(&engine);
}

/* A9.11, A9.21: the model is switched while a VAE is chosen. */
static void a_model_switch_takes_the_setting_along(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    const uint64_t bytes = check_memory(engine);
    load(engine, "b.safetensors");
    check(vae_state(engine).override_active);
    picture(engine, "b-sharp.png");
    check_int(check_memory(engine), >=, bytes);
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "b.png");
    check(!same_file("b.png", "b-sharp.png"));
    load(engine, "a.safetensors");
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    dr_engine_close(&engine);
}

/* A9.22, A1111 PR#4841: a failed override must leave what was active, and the setting. */
static void a_failed_choice_changes_nothing(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    run_command("head -c 20000 '%s' >'%s'", in_root("vae/sharp.safetensors"),
                in_root("vae/short.safetensors"));
    make_checkpoint("vae/text-only.safetensors",
                    "--family sd15 --size least --without vae --without unet --seed 5");
    static const char *const bad[] = {"missing", "short", "text-only",
                                      "/no/such/file.safetensors"};
    const uint64_t bytes = check_memory(engine);
    for (int pass = 0; pass < 2; ++pass) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
            check_int(choose(engine, bad[i]), !=, DR_OK);
            check(problem.message[0] != '\0');
            check_int(vae_state(engine).override_active, ==, pass);
            check_int(check_memory(engine), >=, bytes);
        }
        picture(engine, pass ? "D.png" : "C.png");
        if (pass == 0) {
            check(same_file("A.png", "C.png"));
            check_int(choose(engine, "sharp"), ==, DR_OK);
            picture(engine, "B.png");
        }
    }
    check(same_file("B.png", "D.png"));
    check_int(unlink(in_root("vae/short.safetensors")), ==, 0);
    check_int(unlink(in_root("vae/text-only.safetensors")), ==, 0);
    dr_engine_close(&engine);
}

/* sdnext: Automatic that resolves to None restores the original; and a neighbour is found. */
static void automatic_follows_the_files(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    run_command("cp '%s' '%s'", in_root("vae/sharp.safetensors"),
                in_root("a.vae.safetensors"));
    check_int(choose(engine, "automatic"), ==, DR_OK);
    check(vae_state(engine).override_active);
    check_has(vae_state(engine).reason, "beside the checkpoint: a.vae.safetensors");
    picture(engine, "B.png");
    check(!same_file("A.png", "B.png"));
    check_int(unlink(in_root("a.vae.safetensors")), ==, 0);
    check_int(choose(engine, "automatic"), ==, DR_OK);
    check(!vae_state(engine).override_active);
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    /* a damaged neighbour is no request: base, and said */
    run_command("head -c 999 '%s' >'%s'", in_root("vae/sharp.safetensors"),
                in_root("a.vae.safetensors"));
    check_int(choose(engine, "automatic"), ==, DR_OK);
    check(!vae_state(engine).override_active);
    check_has(vae_state(engine).reason, "a.vae.safetensors");
    picture(engine, "D.png");
    check(same_file("A.png", "D.png"));
    check_int(unlink(in_root("a.vae.safetensors")), ==, 0);
    dr_engine_close(&engine);
}

/* A setting that does not fit the next model falls back, and stays for those that it fits. */
static void a_setting_that_does_not_fit_falls_back(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_load_result result;
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "B.png");
    check_int(rename(in_root("vae/sharp.safetensors"), in_root("vae/hidden.bin")), ==,
              0);
    check_int(dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_EAGER, &result,
                             &problem),
              ==, DR_OK);
    check_has(result.receipt.reason, "the checkpoint's own VAE");
    check_has(result.receipt.reason, "sharp");
    check(!vae_state(engine).override_active);
    check_int(rename(in_root("vae/hidden.bin"), in_root("vae/sharp.safetensors")), ==,
              0);
    load(engine, "a.safetensors");
    check(vae_state(engine).override_active);
    picture(engine, "D.png");
    check(same_file("B.png", "D.png"));
    dr_load_result_free(&result);
    dr_engine_close(&engine);
}

/* The checkpoint is rewritten while its original is saved: an error that names the file, and the
 * override goes on. */
static void a_changed_checkpoint_is_no_original(void)
{
    struct dr_engine *engine = open_engine();
    run_command("cp '%s' '%s'", in_root("a.safetensors"),
                in_root("changes.safetensors"));
    load(engine, "changes.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "B.png");
    run_command("cat '%s' >'%s'", in_root("b.safetensors"),
                in_root("changes.safetensors"));
    check_int(choose(engine, "none"), ==, DR_CHANGED);
    check_has(problem.message, "changes.safetensors");
    check(vae_state(engine).override_active);
    picture(engine, "D.png");
    check(same_file("B.png", "D.png"));
    dr_engine_close(&engine);
}

/* One weight byte flipped in the file after its digest was saved, with time and size put back:
 * only the digest can tell. The negative control of "bit for bit". */
static void a_flipped_byte_is_no_original(void)
{
    struct dr_engine *engine = open_engine();
    run_command("cp '%s' '%s'", in_root("a.safetensors"), in_root("flips.safetensors"));
    load(engine, "flips.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    fault_arm(1U << FAULT_VERIFY, 1, FAULT_ONCE);
    check_int(choose(engine, "none"), !=, DR_OK);
    check(fault_has_struck());
    fault_disarm();
    check(vae_state(engine).override_active);
    check_int(choose(engine, "none"), ==, DR_OK);
    check(!vae_state(engine).override_active);
    dr_engine_close(&engine);
}

static uint64_t peak_of(struct dr_engine *engine)
{
    struct dr_memory memory;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    dr_memory_free(&memory);
    return memory.ledger.peak_private_bytes;
}

/* A9.4, A9.11: three VAEs alive for a moment, a model loaded twice on the way. What a switch
 * holds at most is the old, the new, and one scratch. */
static void a_switch_holds_the_old_and_the_new_at_most(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_receipt receipt;
    struct dr_load_result result;
    fixture_size = "tiny"; /* a VAE of more bytes than the scratch */
    take_checkpoint("large-a.safetensors", "sd15", "--seed 1");
    take_checkpoint("large-b.safetensors", "sd15", "--seed 2");
    take_checkpoint("vae/large-sharp.safetensors", "sd15", "--part vae --seed 3");
    take_checkpoint("vae/large-soft.safetensors", "sd15", "--part vae --seed 4");
    fixture_size = "least";
    load(engine, "large-a.safetensors");
    check_int(choose(engine, "large-sharp"), ==, DR_OK);
    picture(engine, "x.png");
    picture(engine, "x.png"); /* peaks count from a job's start */
    const uint64_t job_peak = peak_of(engine), held = check_memory(engine);
    check_int(dr_engine_choose_vae(engine, "large-soft", 0, NULL, &receipt, &problem),
              ==, DR_OK);
    const uint64_t vae_bytes = receipt.acquired_bytes;
    const uint64_t scratch = 4 << 20;
    check_int(vae_bytes, >, scratch);
    check_int(peak_of(engine), <=,
              job_peak > held + vae_bytes + scratch ? job_peak
                                                    : held + vae_bytes + scratch);
    check_int(dr_engine_load(engine, in_root("large-b.safetensors"), DR_LOAD_EAGER,
                             &result, &problem),
              ==, DR_OK);
    check_int(peak_of(engine), <=, held + result.receipt.acquired_bytes + scratch);
    check_int(result.receipt.acquired_bytes, ==,
              result.receipt.after.ledger_private_bytes);
    check_int(check_memory(engine), ==, result.receipt.after.ledger_private_bytes);
    dr_load_result_free(&result);
    dr_engine_close(&engine);
}

/* A9.19: the scale lay in two places, and the wrong one was read. It belongs to the VAE, comes
 * and goes with it, and to be the same weights makes no difference. */
static void a_vaes_own_scale_goes_with_it(void)
{
    struct dr_engine *engine = open_engine();
    copy_with_metadata("vae/sharp.safetensors", "vae/scaled.safetensors",
                       "\"darkroom.vae.scale_factor\":\"0.5\",");
    load(engine, "a.safetensors");
    const float scale = vae_state(engine).scale_factor;
    check_real(scale, ==, 0.18215F);
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "plain.png");
    check_real(vae_state(engine).scale_factor, ==, scale);
    check_int(choose(engine, "scaled"), ==, DR_OK);
    check_real(vae_state(engine).scale_factor, ==, 0.5F);
    picture(engine, "scaled.png");
    check(!same_file("plain.png", "scaled.png"));
    check_int(choose(engine, "none"), ==, DR_OK);
    check_real(vae_state(engine).scale_factor, ==, scale);
    check_int(picture_with(engine, "job.png", "scaled", NULL), ==, DR_OK);
    check(same_file("job.png", "scaled.png"));
    check_real(vae_state(engine).scale_factor, ==, scale);
    check_int(unlink(in_root("vae/scaled.safetensors")), ==, 0);
    dr_engine_close(&engine);
}

/* A9.22: the class of the file was taken from what was loaded, and shapes were not looked at. */
static void a_vae_of_other_shapes_is_refused_at_once(void)
{
    struct dr_engine *engine = open_engine();
    run_command("LC_ALL=C sed '1,/./s/\\(\"post_quant_conv.weight\":{\"dtype\":\"F16\","
                "\"shape\":\\)\\[4,4,/\\1[2,8,/' '%s' >'%s'",
                in_root("vae/sharp.safetensors"), in_root("vae/other.safetensors"));
    load(engine, "a.safetensors");
    picture(engine, "A.png");
    const uint64_t bytes = check_memory(engine);
    check_int(choose(engine, "other"), ==, DR_INCOMPLETE);
    check_has(problem.message, "post_quant_conv.weight");
    check_has(problem.message, "[2, 8, 1, 1]");
    check_int(picture_with(engine, "out.png", "other", NULL), ==, DR_INCOMPLETE);
    check(!vae_state(engine).override_active);
    check_int(check_memory(engine), ==, bytes);
    picture(engine, "C.png");
    check(same_file("A.png", "C.png"));
    check_int(unlink(in_root("vae/other.safetensors")), ==, 0);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(none_restores_bit_for_bit);
    check_run(the_override_is_released_at_once);
    check_run(image_to_image_in_between_loses_nothing);
    check_run(an_override_before_the_first_load_has_an_original);
    check_run(what_is_said_is_what_runs);
    check_run_with_faults(the_same_vae_again_reads_nothing);
    check_run(override_over_override_keeps_one);
    check_run(a_choice_loads_no_model);
    check_run_with_faults(a_jobs_own_vae_ends_with_the_job);
    check_run(a_cancelled_job_leaves_the_setting);
    check_run(a_model_switch_takes_the_setting_along);
    check_run(a_failed_choice_changes_nothing);
    check_run(automatic_follows_the_files);
    check_run(a_setting_that_does_not_fit_falls_back);
    check_run(a_changed_checkpoint_is_no_original);
    check_run_with_faults(a_flipped_byte_is_no_original);
    check_run(a_switch_holds_the_old_and_the_new_at_most);
    check_run(a_vaes_own_scale_goes_with_it);
    check_run(a_vae_of_other_shapes_is_refused_at_once);
    fixture_end();
    return check_done();
}
