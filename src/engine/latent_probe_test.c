/* What a VAE does to a picture tells its latent space: VAEs that are made to return it, through
 * the same latents or through others, with names and shapes that tell nothing. */
#include "engine/engine_fixture.h"

#include <math.h>

#include "base/fault_fixture.h"
#include "compute/compute.h"
#include "pipeline/vae_file.h"
#include "switch/latent_probe.h"

static struct ledger ledger;
static struct latent_probe_memory memory;
static const struct latent_probe_work work = {.ledger = &ledger};

static struct vae_file *open_vae(const char *name, enum family family, enum dtype dtype)
{
    struct vae_file *file = NULL;
    const enum dr_code code =
        vae_file_open(&file, in_root(name),
                      &(struct vae_file_options){.family = family, .dtype = dtype},
                      &problem);
    if (code != DR_OK) {
        fprintf(stderr, "%s\n", problem.message);
        exit(1);
    }
    return file;
}

/* A pair of files, and a whole probe of it from nothing. */
struct trial {
    struct vae_file *own, *other;
    struct latent_pair pair;
};

static struct trial open_trial(const char *own, const char *other, enum dtype dtype)
{
    struct trial trial = {.own = open_vae(own, FAMILY_SD15, dtype),
                          .other = open_vae(other, FAMILY_SD15, dtype)};
    trial.pair = (struct latent_pair){.own = trial.own->spec,
                                      .own_source = &trial.own->source,
                                      .other = trial.other->spec,
                                      .other_source = &trial.other->source};
    return trial;
}

static void close_trial(struct trial *trial)
{
    vae_file_close(&trial->own);
    vae_file_close(&trial->other);
}

static enum dr_code ask(const struct trial *trial)
{
    struct latent_probe probe;
    const struct slot slot = {0};
    enum dr_code code =
        latent_probe_prepare(&probe, &memory, &trial->pair, NULL, &problem);
    check_int(code, ==, DR_OK);
    if (code != DR_OK) return code;
    check_int(probe.check_bytes, >, 0);
    if (probe.wants_reference) {
        check_int(probe.reference_bytes, >, 0);
        code = latent_probe_reference(&probe, &slot, &work, &problem);
    }
    if (code == DR_OK) code = latent_probe_try(&probe, &work, &problem);
    latent_probe_finish(&probe);
    check_int(ledger.private_bytes, ==, 0);
    return code;
}

static struct latent_probe_result known(const struct trial *trial)
{
    struct latent_probe_result result = {LATENT_UNKNOWN, 0.0, 0.0};
    (void)latent_probe_find(&memory, &trial->pair, &result);
    return result;
}

/* References are remembered from one question to the next, as in the engine. */
static struct latent_probe_result verdict_of(const char *own, const char *other,
                                             enum dtype dtype, enum dr_code *code)
{
    char text[DR_TEXT_BYTES];
    struct trial trial = open_trial(own, other, dtype);
    *code = ask(&trial);
    const struct latent_probe_result result = known(&trial);
    latent_probe_describe(&result, text, sizeof text);
    fprintf(stderr, "     %-26s %-22s %s: %s\n", own, other,
            dtype == DTYPE_F32 ? "f32 " : "bf16", text);
    close_trial(&trial);
    return result;
}

static void check_verdict(const char *own, const char *other, enum dtype dtype,
                          enum latent_verdict verdict)
{
    enum dr_code code;
    const struct latent_probe_result result = verdict_of(own, other, dtype, &code);
    check_int(result.verdict, ==, verdict);
    check_int(code, ==, verdict == LATENT_FOREIGN ? DR_FOREIGN : DR_OK);
}

static void every_pair(enum dtype dtype)
{
    memory = (struct latent_probe_memory){0};
    check_verdict("one.safetensors", "one.safetensors", dtype, LATENT_FITS);
    check_verdict("one.safetensors", "one-tuned.safetensors", dtype, LATENT_FITS);
    check_verdict("one-tuned.safetensors", "one.safetensors", dtype, LATENT_FITS);
    check_verdict("one.safetensors", "two.safetensors", dtype, LATENT_FOREIGN);
    check_verdict("two.safetensors", "one.safetensors", dtype, LATENT_FOREIGN);
    check_verdict("two.safetensors", "one-tuned.safetensors", dtype, LATENT_FOREIGN);
    check_verdict("one.safetensors", "random.safetensors", dtype, LATENT_FOREIGN);
    check_verdict("random.safetensors", "one.safetensors", dtype, LATENT_CANNOT_TELL);
    check_verdict("random.safetensors", "two.safetensors", dtype, LATENT_CANNOT_TELL);
}

static void another_space_is_told_in_f32(void)
{
    every_pair(DTYPE_F32);
}

static void another_space_is_told_in_bf16(void)
{
    if (compute_has_bf16())
        every_pair(DTYPE_BF16);
    else
        check_skip_case("this processor has no bfloat16");
}

/* Each of some spaces is foreign to each other one: no lucky pair. */
static void spaces_are_foreign_to_each_other(void)
{
    enum {
        SPACES = 4
    };
    char names[SPACES][32];
    memory = (struct latent_probe_memory){0};
    for (int i = 0; i < SPACES; ++i) {
        char options[96];
        (void)snprintf(names[i], sizeof names[i], "space-%d.safetensors", i);
        (void)snprintf(options, sizeof options,
                       "--family sd15 --size least --part vae --latent-space %d",
                       i + 10);
        make_checkpoint(names[i], options);
    }
    for (int i = 0; i < SPACES; ++i)
        for (int k = i + 1; k < SPACES; ++k)
            check_verdict(names[i], names[k], DTYPE_F32, LATENT_FOREIGN);
}

/* The negative control: the comparison finds no difference, and the foreign VAE is taken. So
 * what refuses it above is the comparison; nothing in its names, shapes or family does. */
static void without_the_comparison_a_foreign_vae_is_taken(void)
{
    struct trial trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    memory = (struct latent_probe_memory){0};
    fault_arm(1U << FAULT_PROBE, 1, FAULT_ONCE);
    check_int(ask(&trial), ==, DR_OK);
    check(fault_has_struck());
    fault_disarm();
    check_int(known(&trial).verdict, ==, LATENT_FITS);
    memory = (struct latent_probe_memory){0};
    check_int(ask(&trial), ==, DR_FOREIGN);
    check_has(problem.message, "two.safetensors");
    check_has(problem.message, " dB");
    check_has(problem.message, "--force");
    close_trial(&trial);
}

/* Metadata that names another scale factor moves the latents out of the decoder's range. */
static void a_wrong_scale_factor_shows(void)
{
    static const struct {
        const char *scale;
        enum latent_verdict verdict;
    } cases[] = {
        {"0.18215", LATENT_FITS   },
        {"0.13025", LATENT_FITS   }, /* colours a third too strong: told, not refused */
        {"1.0",     LATENT_FOREIGN},
        {"0.05",    LATENT_FOREIGN},
    };
    double exact = 0.0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char entry[64];
        (void)snprintf(entry, sizeof entry, "\"darkroom.vae.scale_factor\":\"%s\",",
                       cases[i].scale);
        copy_with_metadata("one.safetensors", "scaled.safetensors", entry);
        enum dr_code code;
        const struct latent_probe_result result =
            verdict_of("one.safetensors", "scaled.safetensors", DTYPE_F32, &code);
        check_int(result.verdict, ==, cases[i].verdict);
        if (i == 0) exact = result.db;
        if (i == 0) check_real(fabs(result.db - result.own_db), <, 0.01);
        if (i == 1) check_real(result.db, <, exact - 1.0);
    }
}

/* A second question costs no reading: not by the digest, not by a file opened anew. Another scale
 * factor is another question; so is another base. */
static void a_verdict_is_remembered(void)
{
    memory = (struct latent_probe_memory){0};
    struct trial trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    check_int(ask(&trial), ==, DR_FOREIGN);
    check_int(known(&trial).verdict, ==, LATENT_FOREIGN);
    const struct source own = trial.own->source;
    close_trial(&trial);

    /* opened anew, not read yet: the base's digest has to be known, the other's file will do */
    trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    memcpy(trial.own->source.digest, own.digest, DIGEST_BYTES);
    trial.own->source.digest_known = true;
    check_int(known(&trial).verdict, ==, LATENT_FOREIGN);
    check(trial.other->source.digest_known);
    close_trial(&trial);

    /* the same content under another name, once its digest is known */
    run_command("cp '%s' '%s'", in_root("two.safetensors"),
                in_root("copy.safetensors"));
    trial = open_trial("one.safetensors", "copy.safetensors", DTYPE_F32);
    memcpy(trial.own->source.digest, own.digest, DIGEST_BYTES);
    trial.own->source.digest_known = true;
    check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    check_int(source_save(&trial.other->source, &ledger, NULL, &problem), ==, DR_OK);
    check_int(known(&trial).verdict, ==, LATENT_FOREIGN);
    /* an unscaled copy of it is another pair */
    trial.pair.own = trial.other->spec;
    check_int(known(&trial).verdict, ==, LATENT_FOREIGN);
    trial.pair.own_source = &trial.other->source;
    check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    close_trial(&trial);
}

/* What was remembered of a file that is another by now is not believed. */
static void a_file_that_changed_is_asked_again(void)
{
    memory = (struct latent_probe_memory){0};
    run_command("cp '%s' '%s'", in_root("one-tuned.safetensors"),
                in_root("changes.safetensors"));
    struct trial trial =
        open_trial("one.safetensors", "changes.safetensors", DTYPE_F32);
    check_int(ask(&trial), ==, DR_OK);
    check_int(known(&trial).verdict, ==, LATENT_FITS);
    const struct source own = trial.own->source;
    close_trial(&trial);
    run_command("cat '%s' >'%s'", in_root("two.safetensors"),
                in_root("changes.safetensors"));
    trial = open_trial("one.safetensors", "changes.safetensors", DTYPE_F32);
    memcpy(trial.own->source.digest, own.digest, DIGEST_BYTES);
    trial.own->source.digest_known = true;
    check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    check_int(ask(&trial), ==, DR_FOREIGN);
    close_trial(&trial);
}

/* The same file, and a config beside it that says another deviation: neither the verdict nor the
 * digest is the one that is remembered. */
static void a_config_that_changed_is_asked_again(void)
{
    memory = (struct latent_probe_memory){0};
    struct trial trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    check_int(ask(&trial), ==, DR_FOREIGN);
    const struct source own = trial.own->source;
    close_trial(&trial);
    trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    memcpy(trial.own->source.digest, own.digest, DIGEST_BYTES);
    trial.own->source.digest_known = true;
    trial.other->checkpoint.components[ROLE_VAE].meaning =
        "darkroom.vae.latents_std=2,2,2,2 ";
    check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    check(!trial.other->source.digest_known);
    check_int(ask(&trial), ==, DR_FOREIGN);
    close_trial(&trial);
}

/* The list is bounded: the oldest verdict goes, and is found again by asking. */
static void memory_is_bounded(void)
{
    struct trial trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    memory = (struct latent_probe_memory){0};
    for (int i = 0; i < 3 * LATENT_PROBE_VERDICTS; ++i) {
        struct latent_entry *const entry = &memory.entries[i % LATENT_PROBE_VERDICTS];
        *entry = (struct latent_entry){.is_set = true, .own = {(uint8_t)i}};
    }
    check_int(ask(&trial), ==, DR_FOREIGN);
    check_int(known(&trial).verdict, ==, LATENT_FOREIGN);
    check_int(memory.next_entry, ==, 1);
    check_int(sizeof memory, <, 16 << 10);
    close_trial(&trial);
}

/* A base whose weights hold a NaN returns nothing, and neither stands in the way of a VAE that
 * would take its place. An override that is not finite can't be loaded at all. */
static void a_base_that_is_not_finite_cannot_tell(void)
{
    make_checkpoint("nan.safetensors",
                    "--family sd15 --size least --part vae --latent-space 1 "
                    "--nan decoder.mid.block_1.conv1.weight");
    check_verdict("nan.safetensors", "one.safetensors", DTYPE_F32, LATENT_CANNOT_TELL);
    memory = (struct latent_probe_memory){0};
    struct trial trial = open_trial("one.safetensors", "nan.safetensors", DTYPE_F32);
    check_int(ask(&trial), ==, DR_NOT_FINITE);
    close_trial(&trial);
}

/* Every step that can fail fails; nothing is held or remembered then. */
static void every_fault_leaves_nothing(void)
{
    struct trial trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    const unsigned places = 1U << FAULT_REGION | 1U << FAULT_VERIFY | 1U << FAULT_READ;
    int n = 1;
    for (; n < 4000; n += 1 + n / 2) {
        memory = (struct latent_probe_memory){0};
        fault_arm(places, n, FAULT_ONCE);
        const enum dr_code code = ask(&trial);
        const bool struck = fault_has_struck();
        fault_disarm();
        if (!struck) {
            check_int(code, ==, DR_FOREIGN);
            break;
        }
        check_int(code, !=, DR_OK);
        check_int(code, !=, DR_FOREIGN);
        check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    }
    check_int(n, >, 5);
    check_int(n, <, 4000);
    close_trial(&trial);
}

static void a_cancel_stops_it(void)
{
    struct trial trial = open_trial("one.safetensors", "two.safetensors", DTYPE_F32);
    const struct cancel cancel = {.requested = true};
    const struct latent_probe_work cancelled = {.ledger = &ledger, .cancel = &cancel};
    const struct slot slot = {0};
    struct latent_probe probe;
    memory = (struct latent_probe_memory){0};
    /* Before each of its three plans, too. */
    for (int64_t nth = 1; nth <= 3; ++nth) {
        const struct cancel flag = {0};
        fault_arm(1U << FAULT_CANCEL, nth, FAULT_FROM_THEN_ON);
        check_int(latent_probe_prepare(&probe, &memory, &trial.pair, &flag, &problem),
                  ==, DR_CANCELLED);
        fault_disarm();
        check(probe.memory == NULL);
    }
    check_int(latent_probe_prepare(&probe, &memory, &trial.pair, NULL, &problem), ==,
              DR_OK);
    check_int(latent_probe_reference(&probe, &slot, &cancelled, &problem), ==,
              DR_CANCELLED);
    check_int(latent_probe_reference(&probe, &slot, &work, &problem), ==, DR_OK);
    check_int(latent_probe_try(&probe, &cancelled, &problem), ==, DR_CANCELLED);
    latent_probe_finish(&probe);
    check_int(known(&trial).verdict, ==, LATENT_UNKNOWN);
    check_int(ledger.private_bytes, ==, 0);
    close_trial(&trial);
}

static void the_rule(void)
{
    static const struct {
        double own, other;
        enum latent_verdict verdict;
    } cases[] = {
        {31.9,      31.2,      LATENT_FITS       },
        {31.9,      18.0,      LATENT_FITS       },
        {31.9,      17.9,      LATENT_FOREIGN    },
        {31.9,      9.0,       LATENT_FOREIGN    },
        {31.9,      -INFINITY, LATENT_FOREIGN    },
        {20.0,      14.0,      LATENT_FITS       },
        {20.0,      13.9,      LATENT_FOREIGN    },
        {18.0,      11.9,      LATENT_FOREIGN    },
        {17.9,      1.0,       LATENT_CANNOT_TELL},
        {-INFINITY, 30.0,      LATENT_CANNOT_TELL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        check_int(latent_probe_judge(cases[i].own, cases[i].other), ==,
                  cases[i].verdict);
}

/* Where trained models are beside the sources: the demo's own. */
static void trained_models_agree(void)
{
    static const char *const names[] = {"demo-sd15", "demo-sdxl"};
    const char *const source = getenv("DARKROOM_SOURCE");
    char paths[2][600];
    for (int i = 0; i < 2; ++i) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/models/%s.safetensors",
                       source ? source : ".", names[i]);
        if (access(paths[i], R_OK) != 0) {
            check_skip_case("there are no trained models in models/");
            return;
        }
        run_command("ln -s \"$(readlink -f '%s')\" '%s'", paths[i],
                    in_root(i ? "demo-1.safetensors" : "demo-0.safetensors"));
    }
    check_verdict("demo-0.safetensors", "demo-0.safetensors", DTYPE_F32, LATENT_FITS);
    check_verdict("demo-1.safetensors", "demo-1.safetensors", DTYPE_F32, LATENT_FITS);
    check_verdict("demo-0.safetensors", "demo-1.safetensors", DTYPE_F32,
                  LATENT_FOREIGN);
    check_verdict("demo-1.safetensors", "demo-0.safetensors", DTYPE_F32,
                  LATENT_FOREIGN);
}

int main(void)
{
    fixture_folder();
    if (compute_init(1, &problem) != DR_OK) return 1;
    make_checkpoint("one.safetensors",
                    "--family sd15 --size least --part vae --latent-space 1");
    make_checkpoint("one-tuned.safetensors",
                    "--family sd15 --size least --part vae --latent-space 1 --seed 5");
    make_checkpoint("two.safetensors",
                    "--family sdxl --size least --part vae --latent-space 2");
    make_checkpoint("random.safetensors",
                    "--family sd15 --size least --part vae --seed 3");
    check_run(the_rule);
    check_run(another_space_is_told_in_f32);
    check_run(another_space_is_told_in_bf16);
    check_run(spaces_are_foreign_to_each_other);
    check_run_with_faults(without_the_comparison_a_foreign_vae_is_taken);
    check_run(a_wrong_scale_factor_shows);
    check_run(a_verdict_is_remembered);
    check_run(a_file_that_changed_is_asked_again);
    check_run(a_config_that_changed_is_asked_again);
    check_run(memory_is_bounded);
    check_run(a_base_that_is_not_finite_cannot_tell);
    check_run_with_faults(every_fault_leaves_nothing);
    check_run_with_faults(a_cancel_stops_it);
    check_run(trained_models_agree);
    return check_done();
}
