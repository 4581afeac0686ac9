/* Each check is shown a state in which all is well, and then that state with one thing wrong. */
#include "soak_check.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static struct soak_finding finding;

/* The components of a state, in their order. */
enum {
    TEXT,
    UNET,
    VAE
};

static void add_part(struct soak_state *state, enum dr_component_kind kind,
                     uint64_t bytes)
{
    struct dr_component_memory *const part =
        &state->components[state->component_count++];
    part->kind = kind;
    part->state = bytes ? DR_SLOT_RESIDENT : DR_SLOT_RELEASED;
    part->private_bytes = bytes;
    (void)snprintf(part->slot, sizeof part->slot, "%s", dr_component_kind_name(kind));
    (void)snprintf(part->name, sizeof part->name, "%s", dr_component_kind_name(kind));
    (void)snprintf(part->path, sizeof part->path, "%s", "m.safetensors");
}

/* A model of 800 bytes of weights and 40 of prompts, with its own VAE. */
static struct soak_state *good(void)
{
    static struct soak_state states[16];
    static int next;
    struct soak_state *const state = &states[next++ % 16];
    memset(state, 0, sizeof *state);
    (void)snprintf(state->model, sizeof state->model, "m.safetensors");
    (void)snprintf(state->vae.choice, sizeof state->vae.choice, "none");
    (void)snprintf(state->vae.path, sizeof state->vae.path, "m.safetensors");
    (void)snprintf(state->vae.digest, sizeof state->vae.digest, "abc");
    add_part(state, DR_COMPONENT_TEXT, 100);
    add_part(state, DR_COMPONENT_UNET, 500);
    add_part(state, DR_COMPONENT_VAE, 200);
    state->ledger_bytes = 840;
    state->weights_bytes = 800;
    state->prompt_bytes = 40;
    state->regions_agree = true;
    return state;
}

static void a_good_state_is_good(void)
{
    const struct soak_state *const state = good();
    check(soak_check_state(state, &finding));
    check(soak_check_untouched(state, good(), &finding));
    check(soak_check_choice(state, good(), &finding));
    check(soak_check_switched(state, "m.safetensors", "none", &finding));
    check(soak_check_switched(state, NULL, NULL, &finding));
}

static void wrong_states_are_seen(void)
{
    struct soak_state *state = good();
    state->regions_agree = false;
    (void)snprintf(state->disagreement, sizeof state->disagreement, "unet: Rss 0");
    check(!soak_check_state(state, &finding));
    check_has(finding.seen, "unet: Rss 0");

    state = good();
    state->ledger_bytes += 1;
    check(!soak_check_state(state, &finding));
    check_has(finding.expected, "841");
    check_has(finding.seen, "840");

    state = good(); /* a job's buffer that was never closed */
    state->other_bytes = 64;
    state->ledger_bytes += 64;
    check(!soak_check_state(state, &finding));
    check_has(finding.seen, "64 bytes");

    state = good(); /* released, and still there */
    state->components[VAE].state = DR_SLOT_RELEASED;
    check(!soak_check_state(state, &finding));
    check_has(finding.seen, "released with 200 bytes");

    state = good(); /* resident, and nothing there */
    state->components[VAE].private_bytes = 0;
    check(!soak_check_state(state, &finding));

    state = good(); /* weights that belong to no component */
    state->weights_bytes += 8;
    state->ledger_bytes += 8;
    check(!soak_check_state(state, &finding));

    state = good(); /* a component of the model before */
    (void)snprintf(state->components[UNET].path, 64, "other.safetensors");
    check(!soak_check_state(state, &finding));
    check_has(finding.seen, "other.safetensors");

    state = good(); /* an override that is not what runs */
    state->vae.override_active = 1;
    (void)snprintf(state->vae.path, sizeof state->vae.path, "v.safetensors");
    check(!soak_check_state(state, &finding));
    (void)snprintf(state->components[VAE].path, 64, "v.safetensors");
    check(soak_check_state(state, &finding));
}

static void a_trace_of_what_failed_is_seen(void)
{
    const struct soak_state *const before = good();
    struct soak_state *after = good();
    (void)snprintf(after->model, sizeof after->model, "n.safetensors");
    check(!soak_check_untouched(before, after, &finding));
    check_has(finding.expected, "m.safetensors");
    check_has(finding.seen, "n.safetensors");

    after = good();
    (void)snprintf(after->vae.choice, sizeof after->vae.choice, "sharp");
    check(!soak_check_untouched(before, after, &finding));

    after = good();
    (void)snprintf(after->vae.digest, sizeof after->vae.digest, "abd");
    check(!soak_check_choice(before, after, &finding));

    after = good();
    after->vae.override_active = 1;
    check(!soak_check_choice(before, after, &finding));

    after = good();
    (void)snprintf(after->vae.path, sizeof after->vae.path, "v");
    check(!soak_check_choice(before, after, &finding));

    after = good();
    after->ledger_bytes += 4096;
    check(!soak_check_untouched(before, after, &finding));
    check(soak_check_choice(before, after, &finding));

    after = good(); /* two errors of opposite sign */
    after->components[TEXT].private_bytes += 10;
    after->components[UNET].private_bytes -= 10;
    check(!soak_check_untouched(before, after, &finding));

    /* A digest that became known is no change. */
    struct soak_state *const unread = good();
    unread->vae.digest[0] = '\0';
    check(soak_check_choice(unread, before, &finding));
    check(!soak_check_choice(before, unread, &finding));
}

static void a_switch_that_did_not_happen_is_seen(void)
{
    struct soak_state *const after = good();
    check(!soak_check_switched(after, "n.safetensors", NULL, &finding));
    check(!soak_check_switched(after, NULL, "sharp", &finding));
    after->vae.override_active = 1;
    check(!soak_check_switched(after, NULL, "none", &finding));
    check_has(finding.seen, "override");
}

static void what_was_not_released_is_seen(void)
{
    struct soak_state *const after = good();
    check(!soak_check_released(after, DR_UNLOAD_MODEL, &finding));
    check_has(finding.seen, "840");
    check(!soak_check_released(after, DR_UNLOAD_VAE, &finding));
    after->components[VAE].private_bytes = 0;
    check(soak_check_released(after, DR_UNLOAD_VAE, &finding));
    after->ledger_bytes = 0;
    check(soak_check_released(after, DR_UNLOAD_MODEL, &finding));
}

static void receipts_and_peaks_are_added_up(void)
{
    const struct soak_state *const before = good();
    struct soak_state *const after = good();
    after->ledger_bytes = 900;
    const struct dr_receipt right = {.released_bytes = 200,
                                     .acquired_bytes = 260,
                                     .before.ledger_private_bytes = 840,
                                     .after.ledger_private_bytes = 900};
    check(soak_check_receipt(before, after, &right, &finding));
    struct dr_receipt wrong = right;
    wrong.released_bytes = 199;
    check(!soak_check_receipt(before, after, &wrong, &finding));
    wrong = right;
    wrong.before.ledger_private_bytes = 0;
    check(!soak_check_receipt(before, after, &wrong, &finding));
    wrong = right;
    wrong.after.ledger_mapped_bytes = 1;
    check(!soak_check_receipt(before, after, &wrong, &finding));
    check(soak_check_peak(7, 7, &finding));
    check(!soak_check_peak(7, 8, &finding));
    check(soak_check_code(DR_OK, DR_OK, "", &finding));
    check(!soak_check_code(DR_OK, DR_IO, "the disk is full", &finding));
    check_str(finding.seen, "io: the disk is full");
}

static void pictures_are_compared_by_what_they_are_made_from(void)
{
    static struct soak_pictures pictures;
    const uint64_t a = soak_digest(SOAK_DIGEST_START, "a", 1);
    const uint64_t b = soak_digest(SOAK_DIGEST_START, "b", 1);
    check(a != b);
    check(soak_digest(soak_digest(SOAK_DIGEST_START, "a", 1), "b", 1) ==
          soak_digest(SOAK_DIGEST_START, "ab", 2));
    check(soak_check_picture(&pictures, 1, a, &finding));
    check(soak_check_picture(&pictures, 2, b, &finding));
    check_int(pictures.compared_count, ==, 0);
    check(soak_check_picture(&pictures, 1, a, &finding));
    check(!soak_check_picture(&pictures, 2, a, &finding));
    check_int(pictures.compared_count, ==, 2);
    for (uint64_t key = 10; key < 10 + SOAK_MAX_PICTURES; ++key)
        check(soak_check_picture(&pictures, key, key, &finding));
    check_int(pictures.count, ==, SOAK_MAX_PICTURES);
    check(!soak_check_picture(&pictures, 1, b, &finding));
}

static void the_slope_is_that_of_the_line(void)
{
    struct soak_slope slope = {0};
    check(soak_slope_value(&slope) == 0.0);
    soak_slope_add(&slope, 0, 1000000);
    check(soak_slope_value(&slope) == 0.0);
    for (uint64_t i = 1; i <= 10; ++i)
        soak_slope_add(&slope, 10 * i, 1000000 + 70 * i);
    check(soak_slope_value(&slope) > 6.999 && soak_slope_value(&slope) < 7.001);
    check_int(slope.first_bytes, ==, 1000000);
    check_int(slope.last_bytes, ==, 1000700);
    check_int(slope.max_bytes, ==, 1000700);

    struct soak_slope flat = {0};
    for (uint64_t i = 0; i < 10; ++i)
        soak_slope_add(&flat, i,
                       i == 0 || i == 9 ? UINT64_C(2999999992) : UINT64_C(3000000000));
    check(soak_slope_value(&flat) < 1e-6 && soak_slope_value(&flat) > -1e-6);

    struct soak_slope fall = {0};
    soak_slope_add(&fall, 0, 500);
    soak_slope_add(&fall, 100, 300);
    check(soak_slope_value(&fall) > -2.001 && soak_slope_value(&fall) < -1.999);
    check_int(fall.max_bytes, ==, 500);
}

int main(void)
{
    check_run(a_good_state_is_good);
    check_run(wrong_states_are_seen);
    check_run(a_trace_of_what_failed_is_seen);
    check_run(a_switch_that_did_not_happen_is_seen);
    check_run(what_was_not_released_is_seen);
    check_run(receipts_and_peaks_are_added_up);
    check_run(pictures_are_compared_by_what_they_are_made_from);
    check_run(the_slope_is_that_of_the_line);
    return check_done();
}
