#include "soak_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(char text[DR_TEXT_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(char text[DR_TEXT_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, DR_TEXT_BYTES, format, arguments);
    va_end(arguments);
}

static bool same_bytes(const char *what, uint64_t expected, uint64_t seen,
                       struct soak_finding *finding)
{
    if (expected == seen) return true;
    say(finding->expected, "%s: %llu bytes", what, (unsigned long long)expected);
    say(finding->seen, "%llu bytes", (unsigned long long)seen);
    return false;
}

static bool same_text(const char *what, const char *expected, const char *seen,
                      struct soak_finding *finding)
{
    if (strcmp(expected, seen) == 0) return true;
    say(finding->expected, "%s: \"%.400s\"", what, expected);
    say(finding->seen, "\"%.400s\"", seen);
    return false;
}

/* ---- the state as such ------------------------------------------------------------------- */

static bool check_component(const struct soak_state *state,
                            const struct dr_component_memory *part,
                            struct soak_finding *finding)
{
    const bool holds = part->private_bytes + part->mapped_bytes > 0;
    const bool is_resident = part->state == DR_SLOT_RESIDENT;
    if (holds != is_resident) {
        say(finding->expected, "%s: bytes only while it is resident", part->name);
        say(finding->seen, "%s with %llu bytes", dr_slot_state_name(part->state),
            (unsigned long long)(part->private_bytes + part->mapped_bytes));
        return false;
    }
    if (part->state == DR_SLOT_ABSENT) return true;
    const bool is_override =
        part->kind == DR_COMPONENT_VAE && state->vae.override_active != 0;
    return same_text(part->name, is_override ? state->vae.path : state->model,
                     part->path, finding);
}

bool soak_check_state(const struct soak_state *state, struct soak_finding *finding)
{
    uint64_t bytes = 0;
    if (!state->regions_agree) {
        say(finding->expected, "every region agrees with the kernel");
        say(finding->seen, "%s", state->disagreement);
        return false;
    }
    if (!same_bytes("the sum of the regions", state->ledger_bytes,
                    state->weights_bytes + state->prompt_bytes + state->other_bytes,
                    finding) ||
        !same_bytes("buffers left over between two calls", 0, state->other_bytes,
                    finding))
        return false;
    for (int32_t i = 0; i < state->component_count; ++i) {
        const struct dr_component_memory *const part = &state->components[i];
        if (!check_component(state, part, finding)) return false;
        bytes += part->private_bytes + part->mapped_bytes;
    }
    return same_bytes("the components' weights", state->weights_bytes, bytes, finding);
}

/* ---- before and after -------------------------------------------------------------------- */

bool soak_check_choice(const struct soak_state *before, const struct soak_state *after,
                       struct soak_finding *finding)
{
    const struct dr_vae_info *const was = &before->vae, *const is = &after->vae;
    const char *const digest = was->digest[0] ? was->digest : is->digest;
    return same_text("the model", before->model, after->model, finding) &&
           same_text("the VAE's choice", was->choice, is->choice, finding) &&
           same_text("the active VAE", was->override_active ? "override" : "base",
                     is->override_active ? "override" : "base", finding) &&
           same_text("the VAE's file", was->path, is->path, finding) &&
           same_text("the VAE's digest", digest, is->digest, finding);
}

bool soak_check_untouched(const struct soak_state *before,
                          const struct soak_state *after, struct soak_finding *finding)
{
    if (!soak_check_choice(before, after, finding)) return false;
    for (int32_t i = 0; i < before->component_count; ++i) {
        const struct dr_component_memory *const was = &before->components[i];
        const struct dr_component_memory *const is = &after->components[i];
        if (!same_text("a component", was->slot, is->slot, finding) ||
            !same_bytes(was->slot, was->private_bytes, is->private_bytes, finding))
            return false;
    }
    return same_bytes("the ledger", before->ledger_bytes, after->ledger_bytes, finding);
}

bool soak_check_switched(const struct soak_state *after, const char *model,
                         const char *choice, struct soak_finding *finding)
{
    if (model && !same_text("the model", model, after->model, finding)) return false;
    if (!choice) return true;
    if (!same_text("the VAE's choice", choice, after->vae.choice, finding))
        return false;
    return strcmp(choice, "none") != 0 ||
           same_text("the active VAE", "base",
                     after->vae.override_active ? "override" : "base", finding);
}

bool soak_check_released(const struct soak_state *after, enum dr_unload_what what,
                         struct soak_finding *finding)
{
    if (what == DR_UNLOAD_MODEL)
        return same_bytes("the ledger after unload model", 0, after->ledger_bytes,
                          finding);
    for (int32_t i = 0; i < after->component_count; ++i)
        if (after->components[i].kind == DR_COMPONENT_VAE &&
            !same_bytes("the VAE after unload vae", 0,
                        after->components[i].private_bytes, finding))
            return false;
    return true;
}

bool soak_check_receipt(const struct soak_state *before, const struct soak_state *after,
                        const struct dr_receipt *receipt, struct soak_finding *finding)
{
    const uint64_t from =
        receipt->before.ledger_private_bytes + receipt->before.ledger_mapped_bytes;
    const uint64_t to =
        receipt->after.ledger_private_bytes + receipt->after.ledger_mapped_bytes;
    return same_bytes("the receipt's before", before->ledger_bytes, from, finding) &&
           same_bytes("the receipt's after", after->ledger_bytes, to, finding) &&
           same_bytes("before and acquired, less released",
                      from + receipt->acquired_bytes - receipt->released_bytes, to,
                      finding);
}

bool soak_check_peak(uint64_t planned_bytes, uint64_t peak_bytes,
                     struct soak_finding *finding)
{
    return same_bytes("the peak, as planned", planned_bytes, peak_bytes, finding);
}

bool soak_check_code(enum dr_code expected, enum dr_code seen, const char *message,
                     struct soak_finding *finding)
{
    if (expected == seen) return true;
    say(finding->expected, "%s", dr_code_name(expected));
    say(finding->seen, "%s%s%.400s", dr_code_name(seen), *message ? ": " : "", message);
    return false;
}

/* ---- pictures ---------------------------------------------------------------------------- */

bool soak_check_picture(struct soak_pictures *pictures, uint64_t key, uint64_t digest,
                        struct soak_finding *finding)
{
    for (int32_t i = 0; i < pictures->count; ++i) {
        if (pictures->list[i].key != key) continue;
        ++pictures->compared_count;
        if (pictures->list[i].digest == digest) return true;
        say(finding->expected, "the same bytes as the first time, of digest %016llx",
            (unsigned long long)pictures->list[i].digest);
        say(finding->seen, "digest %016llx", (unsigned long long)digest);
        return false;
    }
    if (pictures->count == SOAK_MAX_PICTURES) return true;
    pictures->list[pictures->count].key = key;
    pictures->list[pictures->count++].digest = digest;
    return true;
}

uint64_t soak_digest(uint64_t digest, const void *data, size_t bytes)
{
    const unsigned char *const at = data;
    for (size_t i = 0; i < bytes; ++i)
        digest = (digest ^ at[i]) * UINT64_C(0x100000001b3);
    return digest;
}

/* ---- the slope --------------------------------------------------------------------------- */

void soak_slope_add(struct soak_slope *slope, uint64_t operation, uint64_t bytes)
{
    if (slope->count == 0) slope->first_bytes = bytes;
    const double x = (double)operation;
    const double y = (double)bytes - (double)slope->first_bytes;
    slope->last_bytes = bytes;
    if (bytes > slope->max_bytes) slope->max_bytes = bytes;
    slope->sum_x += x;
    slope->sum_y += y;
    slope->sum_xx += x * x;
    slope->sum_xy += x * y;
    ++slope->count;
}

double soak_slope_value(const struct soak_slope *slope)
{
    const double n = slope->count;
    const double spread = n * slope->sum_xx - slope->sum_x * slope->sum_x;
    return spread > 0.0 ? (n * slope->sum_xy - slope->sum_x * slope->sum_y) / spread
                        : 0.0;
}
