#include "switch/latent_probe.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/size.h"

enum {
    CHANNELS = 3,
    ROW = CHANNELS * LATENT_PROBE_SIDE,
    SAMPLES = ROW * LATENT_PROBE_SIDE
};

/* ---- the picture ------------------------------------------------------------------------- */

/* A disc with a soft edge. Lengths are shares of the picture's side. */
struct spot {
    float x, y, radius;
    float colour[CHANNELS];
};

static const struct spot spots[] = {
    {0.30F, 0.34F, 0.20F, {0.9F, -0.8F, -0.7F}},
    {0.70F, 0.66F, 0.20F, {-0.8F, 0.7F, -0.9F}},
    {0.74F, 0.22F, 0.14F, {-0.8F, -0.7F, 0.9F}},
    {0.24F, 0.78F, 0.14F, {0.9F, 0.9F, -0.8F} },
};

/* 1 inside, 0 outside, smooth over a third of the picture. */
static float cover(const struct spot *spot, float x, float y)
{
    const float edge = 1.0F / 6.0F;
    const float away = hypotf(x - spot->x, y - spot->y) - spot->radius;
    const float t = fminf(fmaxf((edge - away) / (2.0F * edge), 0.0F), 1.0F);
    return t * t * (3.0F - 2.0F * t);
}

/* One sample of the picture, in -1..1: three gradients, and the spots over them. */
static float picture_at(int32_t idx)
{
    const int32_t channel = idx % CHANNELS, pixel = idx / CHANNELS;
    const float x = ((float)(pixel % LATENT_PROBE_SIDE) + 0.5F) / LATENT_PROBE_SIDE;
    const float y =
        (floorf((float)pixel / LATENT_PROBE_SIDE) + 0.5F) / LATENT_PROBE_SIDE;
    float value = channel == 0   ? 1.7F * x - 0.85F
                  : channel == 1 ? 0.85F - 1.7F * y
                                 : 0.85F * (x + y) - 0.85F;
    for (size_t i = 0; i < sizeof spots / sizeof *spots; ++i)
        value += cover(&spots[i], x, y) * (spots[i].colour[channel] - value);
    return value;
}

static void draw(struct plan *plan, struct value image)
{
    for (int32_t first = 0; first < SAMPLES; first += ROW) {
        float row[ROW];
        for (int32_t i = 0; i < ROW; ++i)
            row[i] = picture_at(first + i);
        plan_write(plan, image, (size_t)first, ROW, row);
    }
}

/* Without the border of the image: there the network's padding has an effect, and a fine-tuned decoder
 * may draw a frame, which says nothing about the latent space. */
static bool is_measured(int32_t idx)
{
    const int32_t rim = LATENT_PROBE_SIDE / LATENT_PROBE_CELLS; /* one cell */
    const int32_t pixel = idx / CHANNELS;
    const int32_t x = pixel % LATENT_PROBE_SIDE, y = pixel / LATENT_PROBE_SIDE;
    return x >= rim && y >= rim && x < LATENT_PROBE_SIDE - rim &&
           y < LATENT_PROBE_SIDE - rim;
}

/* Peak signal (2: samples are -1 to 1) to noise ratio of the decoded image, clamped as a picture would
 * be. */
static double measure(const struct plan *plan, struct value image)
{
    double square = 0.0;
    int32_t count = 0;
    float row[ROW];
    if (!latent_is_finite_in(plan, image, 0, SAMPLES)) return -INFINITY;
    for (int32_t i = 0; i < SAMPLES; ++i) {
        if (i % ROW == 0) plan_read(plan, image, (size_t)i, ROW, row);
        if (!is_measured(i)) continue;
        ++count;
        const float shown = fminf(fmaxf(row[i % ROW], -1.0F), 1.0F);
        const double off = (double)shown - (double)picture_at(i);
        square += off * off;
    }
    return 10.0 * log10(4.0 * count / fmax(square, 1e-9));
}

enum latent_verdict latent_probe_judge(double own_db, double db)
{
    if (!(own_db >= LATENT_PROBE_ABLE_DB)) return LATENT_CANNOT_TELL;
    const bool returns =
        db >= LATENT_PROBE_ABLE_DB || db >= own_db - LATENT_PROBE_DROP_DB;
    return returns ? LATENT_FITS : LATENT_FOREIGN;
}

/* ---- what is remembered ------------------------------------------------------------------ */

/* One digest of the identities of all files with the source's tensors, and of the scales that change the
 * tensors' numbers. */
static void identify(const struct source *source, uint8_t out[DIGEST_BYTES])
{
    const struct tensor_file *const file = source->spec->index->file;
    const char *const meaning = source->spec->index->meaning;
    struct digest digest;
    digest_init(&digest);
    if (meaning) digest_add(&digest, meaning, strlen(meaning));
    for (size_t i = 0; i < file->shard_count; ++i) {
        const struct file_identity *const identity = &file->shards[i].identity;
        const uint64_t numbers[] = {identity->device, identity->inode, identity->bytes,
                                    (uint64_t)identity->modified_ns};
        digest_add(&digest, numbers, sizeof numbers);
        digest_add(&digest, identity->header, sizeof identity->header);
    }
    digest_end(&digest, out);
}

static bool is_same(const uint8_t a[static DIGEST_BYTES],
                    const uint8_t b[static DIGEST_BYTES])
{
    return memcmp(a, b, DIGEST_BYTES) == 0;
}

static const struct latent_reference *find_reference(
    const struct latent_probe_memory *memory, const struct source *own)
{
    for (int i = 0; own->digest_known && i < LATENT_PROBE_REFERENCES; ++i)
        if (memory->references[i].is_set &&
            is_same(memory->references[i].own, own->digest))
            return &memory->references[i];
    return NULL;
}

static bool has_numbers(const struct latent_entry *entry,
                        const struct latent_pair *pair)
{
    const struct vae_info own = vae_info(pair->own), other = vae_info(pair->other);
    const float numbers[] = {own.scale_factor, own.shift_factor, other.scale_factor,
                             other.shift_factor};
    const float known[] = {entry->own_scale, entry->own_shift, entry->other_scale,
                           entry->other_shift};
    return memcmp(numbers, known, sizeof known) == 0;
}

static const struct latent_entry *find_entry(const struct latent_probe_memory *memory,
                                             const struct latent_pair *pair)
{
    const struct source *const other = pair->other_source;
    uint8_t file[DIGEST_BYTES];
    identify(other, file);
    for (int i = 0; i < LATENT_PROBE_VERDICTS; ++i) {
        const struct latent_entry *const entry = &memory->entries[i];
        if (!entry->is_set || !has_numbers(entry, pair) ||
            !is_same(entry->own, pair->own_source->digest))
            continue;
        if (other->digest_known ? is_same(entry->other, other->digest)
                                : is_same(entry->file, file))
            return entry;
    }
    return NULL;
}

bool latent_probe_look(const struct latent_probe_memory *memory,
                       const struct latent_pair *pair,
                       struct latent_probe_result *result)
{
    if (!pair->own_source->digest_known) return false;
    const struct latent_entry *const entry = find_entry(memory, pair);
    if (entry) {
        *result = entry->result;
        return true;
    }
    const struct latent_reference *const reference =
        find_reference(memory, pair->own_source);
    if (!reference || reference->own_db >= LATENT_PROBE_ABLE_DB) return false;
    *result = (struct latent_probe_result){LATENT_CANNOT_TELL, reference->own_db, NAN};
    return true;
}

bool latent_probe_find(const struct latent_probe_memory *memory,
                       const struct latent_pair *pair,
                       struct latent_probe_result *result)
{
    struct source *const other = pair->other_source;
    if (!latent_probe_look(memory, pair, result)) return false;
    const struct latent_entry *const entry = find_entry(memory, pair);
    if (!entry || other->digest_known) return true;
    ledger_lock(memory->ledger);
    memcpy(other->digest, entry->other, DIGEST_BYTES);
    other->digest_known = true;
    ledger_unlock(memory->ledger);
    return true;
}

static void remember(struct latent_probe *probe,
                     const struct latent_probe_result *result)
{
    struct latent_probe_memory *const memory = probe->memory;
    struct latent_entry *const entry = &memory->entries[memory->next_entry];
    const struct vae_info own = vae_info(probe->pair.own);
    const struct vae_info other = vae_info(probe->pair.other);
    ledger_lock(memory->ledger);
    *entry = (struct latent_entry){.is_set = true,
                                   .own_scale = own.scale_factor,
                                   .own_shift = own.shift_factor,
                                   .other_scale = other.scale_factor,
                                   .other_shift = other.shift_factor,
                                   .result = *result};
    memcpy(entry->own, probe->pair.own_source->digest, DIGEST_BYTES);
    memcpy(entry->other, probe->pair.other_source->digest, DIGEST_BYTES);
    identify(probe->pair.other_source, entry->file);
    memory->next_entry = (memory->next_entry + 1) % LATENT_PROBE_VERDICTS;
    ledger_unlock(memory->ledger);
}

/* ---- plans ------------------------------------------------------------------------------- */

static size_t arena_bytes(const struct plan *plan)
{
    return plan ? size_align(plan_bytes(plan), region_page_bytes()) : 0;
}

static enum dr_code look_up(const struct cancel *cancel, struct dr_error *err)
{
    return cancel_requested(cancel)
               ? error_set(err, DR_CANCELLED,
                           "cancelled while the latent probe was planned")
               : DR_OK;
}

static enum dr_code make_plans(struct latent_probe *probe, const struct cancel *cancel,
                               struct dr_error *err)
{
    const struct vae_plan_options options = {.n = 1,
                                             .latent_height = LATENT_PROBE_CELLS,
                                             .latent_width = LATENT_PROBE_CELLS};
    const struct latent_pair *const pair = &probe->pair;
    enum dr_code code = look_up(cancel, err);
    if (code == DR_OK)
        code = vae_decode_plan_create(&probe->other_decode, pair->other, &options, err);
    if (code != DR_OK || !probe->wants_reference) return code;
    code = look_up(cancel, err);
    if (code == DR_OK)
        code = vae_encode_plan_create(&probe->encode, pair->own, &options, err);
    if (code == DR_OK) code = look_up(cancel, err);
    if (code == DR_OK)
        code = vae_decode_plan_create(&probe->own_decode, pair->own, &options, err);
    return code;
}

enum dr_code latent_probe_prepare(struct latent_probe *probe,
                                  struct latent_probe_memory *memory,
                                  const struct latent_pair *pair,
                                  const struct cancel *cancel, struct dr_error *err)
{
    *probe = (struct latent_probe){
        .memory = memory,
        .pair = *pair,
        .wants_reference = !find_reference(memory, pair->own_source),
    };
    const enum dr_code code = make_plans(probe, cancel, err);
    if (code != DR_OK) {
        latent_probe_finish(probe);
        return code;
    }
    const size_t encode = arena_bytes(probe->encode.plan);
    const size_t decode = arena_bytes(probe->own_decode.plan);
    probe->reference_bytes = encode > decode ? encode : decode;
    probe->check_bytes = arena_bytes(probe->other_decode.plan);
    return DR_OK;
}

void latent_probe_finish(struct latent_probe *probe)
{
    vae_encode_plan_destroy(&probe->encode);
    vae_decode_plan_destroy(&probe->own_decode);
    vae_decode_plan_destroy(&probe->other_decode);
    *probe = (struct latent_probe){0};
}

/* ---- running ----------------------------------------------------------------------------- */

static enum dr_code open_arena(struct region *arena, size_t bytes,
                               const struct latent_probe_work *work,
                               struct dr_error *err)
{
    const struct region_options options = {.bytes = bytes,
                                           .tag = REGION_ACTIVATIONS,
                                           .component = "latent probe"};
    return region_open(arena, work->ledger, &options, err);
}

static enum dr_code run(struct plan *plan, const struct latent_probe_work *work,
                        struct dr_error *err)
{
    const struct plan_progress progress = {.cancel = work->cancel};
    return plan_run(plan, &progress, err);
}

static void expect(const struct plan *plan, struct value value, int32_t side,
                   int32_t channels)
{
    plan_expect(plan, value, (struct shape){1, side, side, channels}, DTYPE_F32);
}

/* Decode the latents (unscaled for this decoder) and compare the result with the image. */
static enum dr_code decode(const struct vae_decode_plan *plan, const float *latents,
                           struct region *arena, const void *weights,
                           const struct latent_probe_work *work, double *db,
                           struct dr_error *err)
{
    enum dr_code code = plan_bind(plan->plan, arena->data, &weights, 1, err);
    if (code != DR_OK) return code;
    expect(plan->plan, plan->latent, LATENT_PROBE_CELLS, LATENT_CHANNELS);
    expect(plan->plan, plan->image, LATENT_PROBE_SIDE, CHANNELS);
    plan_write(plan->plan, plan->latent, 0, LATENT_PROBE_FLOATS, latents);
    code = run(plan->plan, work, err);
    if (code == DR_OK) *db = measure(plan->plan, plan->image);
    return code;
}

static enum dr_code encode(const struct vae_encode_plan *plan, float *latents,
                           struct region *arena, const void *weights,
                           const struct latent_probe_work *work, struct dr_error *err)
{
    enum dr_code code = plan_bind(plan->plan, arena->data, &weights, 1, err);
    if (code != DR_OK) return code;
    expect(plan->plan, plan->image, LATENT_PROBE_SIDE, CHANNELS);
    expect(plan->plan, plan->moments, LATENT_PROBE_CELLS, 2 * LATENT_CHANNELS);
    draw(plan->plan, plan->image);
    code = run(plan->plan, work, err);
    if (code != DR_OK) return code;
    for (size_t y = 0; y < LATENT_PROBE_CELLS; ++y) {
        float moments[2 * LATENT_CHANNELS * LATENT_PROBE_CELLS];
        const size_t values = sizeof moments / sizeof *moments;
        plan_read(plan->plan, plan->moments, y * values, values, moments);
        vae_sample(LATENT_PROBE_CELLS, moments, NULL, latents + y * values / 2);
    }
    return DR_OK;
}

/* The result of a run; an error if a page of the weights' file was lost during the run, for then the result is
 * meaningless. */
static enum dr_code whole_or_lost(const struct source *source,
                                  const struct region *weights, enum dr_code code,
                                  struct dr_error *err)
{
    if (!region_lost_page(weights)) return code;
    return error_set(err, DR_IO,
                     "the pack of %s lost a page during the latent probe; try again: "
                     "the pack will be made again",
                     source->name);
}

/* The base's own latents and error, into *fresh. */
static enum dr_code refer(const struct latent_probe *probe,
                          const struct region *weights,
                          const struct latent_probe_work *work,
                          struct latent_reference *fresh, struct dr_error *err)
{
    struct region arena = {0};
    enum dr_code code = open_arena(&arena, probe->reference_bytes, work, err);
    if (code != DR_OK) return code;
    code = encode(&probe->encode, fresh->latents, &arena, weights->data, work, err);
    fresh->own_db = -INFINITY;
    if (code == DR_OK && latent_is_finite(fresh->latents, LATENT_PROBE_FLOATS))
        code = decode(&probe->own_decode, fresh->latents, &arena, weights->data, work,
                      &fresh->own_db, err);
    region_close(&arena);
    return whole_or_lost(probe->pair.own_source, weights, code, err);
}

/* A slot for the time of a probe. */
static enum dr_code load_alone(struct slot *slot, struct source *source,
                               const struct latent_probe_work *work,
                               struct dr_error *err)
{
    const struct component_progress progress = {.cancel = work->cancel};
    const struct slot_load_options options = {.ledger = work->ledger,
                                              .order = SLOT_SWAP,
                                              .progress = &progress};
    *slot = (struct slot){.name = "vae", .base = source};
    return slot_load(slot, &options, err);
}

static enum dr_code refer_with_weights(const struct latent_probe *probe,
                                       const struct slot *slot,
                                       const struct latent_probe_work *work,
                                       struct latent_reference *fresh,
                                       struct dr_error *err)
{
    struct source *const own = probe->pair.own_source;
    struct slot alone = {0};
    struct dr_error why;
    if (slot->resident == own) return refer(probe, &slot->weights, work, fresh, err);
    enum dr_code code = load_alone(&alone, own, work, &why);
    if (code == DR_NOT_FINITE) {
        /* It can return nothing; what it is has to be known all the same. */
        fresh->own_db = -INFINITY;
        const struct component_progress progress = {.cancel = work->cancel};
        return source_save(own, work->ledger, &progress, err);
    }
    if (code == DR_OK)
        code = refer(probe, &alone.weights, work, fresh, err);
    else if (err)
        *err = why;
    slot_release(&alone);
    return code;
}

enum dr_code latent_probe_reference(struct latent_probe *probe, const struct slot *slot,
                                    const struct latent_probe_work *work,
                                    struct dr_error *err)
{
    struct latent_probe_memory *const memory = probe->memory;
    struct latent_reference fresh = {.is_set = true};
    assert(probe->wants_reference);
    const enum dr_code code = refer_with_weights(probe, slot, work, &fresh, err);
    if (code != DR_OK) return code;
    memcpy(fresh.own, probe->pair.own_source->digest, DIGEST_BYTES);
    if (find_reference(memory, probe->pair.own_source)) return DR_OK;
    ledger_lock(memory->ledger);
    memory->references[memory->next_reference] = fresh;
    memory->next_reference = (memory->next_reference + 1) % LATENT_PROBE_REFERENCES;
    ledger_unlock(memory->ledger);
    return DR_OK;
}

enum dr_code latent_probe_check(struct latent_probe *probe,
                                const struct region *weights,
                                const struct latent_probe_work *work,
                                struct dr_error *err)
{
    const struct latent_reference *const reference =
        find_reference(probe->memory, probe->pair.own_source);
    const struct vae_info own = vae_info(probe->pair.own);
    const struct vae_info other = vae_info(probe->pair.other);
    float latents[LATENT_PROBE_FLOATS];
    struct region arena = {0};
    assert(reference && probe->pair.other_source->digest_known);
    enum dr_code code = open_arena(&arena, probe->check_bytes, work, err);
    if (code != DR_OK) return code;
    struct latent_probe_result result = {.own_db = reference->own_db};
    memcpy(latents, reference->latents, sizeof latents);
    vae_scale(&own, latents, LATENT_PROBE_FLOATS);
    vae_unscale(&other, latents, LATENT_PROBE_FLOATS);
    code = decode(&probe->other_decode, latents, &arena, weights->data, work,
                  &result.db, err);
    region_close(&arena);
    code = whole_or_lost(probe->pair.other_source, weights, code, err);
    if (code != DR_OK) return code;
    if (fault_strikes(FAULT_PROBE)) result.db = result.own_db;
    result.verdict = latent_probe_judge(result.own_db, result.db);
    remember(probe, &result);
    return latent_probe_refuse(&probe->pair, &result, err);
}

enum dr_code latent_probe_try(struct latent_probe *probe,
                              const struct latent_probe_work *work,
                              struct dr_error *err)
{
    struct slot alone;
    enum dr_code code = load_alone(&alone, probe->pair.other_source, work, err);
    if (code != DR_OK) return code;
    code = latent_probe_check(probe, &alone.weights, work, err);
    slot_release(&alone);
    return code;
}

/* ---- words ------------------------------------------------------------------------------- */

static const char *words(double db, char out[static 32])
{
    if (isfinite(db))
        (void)snprintf(out, 32, "%.1f dB", db);
    else
        (void)snprintf(out, 32, "no picture (NaN)");
    return out;
}

void latent_probe_describe(const struct latent_probe_result *result, char *text,
                           size_t text_bytes)
{
    char own[32], other[32];
    words(result->own_db, own);
    words(result->db, other);
    switch (result->verdict) {
    case LATENT_UNKNOWN:
        (void)snprintf(text, text_bytes,
                       "latent probe: not run yet; the next job "
                       "runs it");
        break;
    case LATENT_FITS:
    case LATENT_FOREIGN:
        (void)snprintf(text, text_bytes,
                       "latent probe: %s, the checkpoint's own %s: %s", other, own,
                       result->verdict == LATENT_FITS ? "fits" : "foreign");
        break;
    case LATENT_CANNOT_TELL:
        (void)snprintf(
            text, text_bytes,
            "latent probe: undecided, the checkpoint's own VAE does not reproduce "
            "the picture either (%s; needs %.0f)",
            own, LATENT_PROBE_ABLE_DB);
        break;
    }
}

enum dr_code latent_probe_refuse(const struct latent_pair *pair,
                                 const struct latent_probe_result *result,
                                 struct dr_error *err)
{
    char own[32], other[32];
    if (result->verdict != LATENT_FOREIGN) return DR_OK;
    return error_set(
        err, DR_FOREIGN,
        "%.300s belongs to another latent space: the checkpoint's own VAE reproduces "
        "a picture with %s, this one with %s (scale factors %g and %g); choose a VAE "
        "for this kind of model, or use --force to accept this one",
        pair->other_source->path, words(result->own_db, own), words(result->db, other),
        (double)vae_info(pair->own).scale_factor,
        (double)vae_info(pair->other).scale_factor);
}
