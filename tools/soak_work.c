#include "soak_work.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INIT    "init.png"
#define LATENT  "latent.safetensors"
#define WORDS   "words.safetensors"
#define EMPTY   "empty.safetensors"
#define CUT     "cut.safetensors"
#define PICTURE "out.png"
#define LATENTS "out.safetensors"

enum {
    PATH_ROOM = 800 /* the folder and a name of ours */
};

/* ---- failing ----------------------------------------------------------------------------- */

enum dr_code soak_fail(struct dr_error *err, enum dr_code code, const char *format, ...)
{
    va_list arguments;
    err->code = code;
    va_start(arguments, format);
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return code;
}

/* ---- chance ------------------------------------------------------------------------------ */

/* SplitMix64 (Steele, Lea, Flood 2014): a seed of any quality will do. */
static uint64_t draw(struct soak_work *work)
{
    uint64_t z = work->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int below(struct soak_work *work, int count)
{
    return (int)(draw(work) % (uint64_t)count);
}

/* ---- names and files --------------------------------------------------------------------- */

enum dr_code soak_names_split(struct soak_names *names, const char *option,
                              const char *text, struct dr_error *err)
{
    *names = (struct soak_names){0};
    if (!text || !*text) return DR_OK;
    if (strlen(text) >= sizeof names->text)
        return soak_fail(err, DR_BAD_INPUT, "--%s is longer than %zu bytes", option,
                         sizeof names->text - 1);
    (void)snprintf(names->text, sizeof names->text, "%s", text);
    for (char *at = names->text; at;) {
        char *const comma = strchr(at, ',');
        if (comma) *comma = '\0';
        if (!*at)
            return soak_fail(err, DR_BAD_INPUT,
                             "--%s has an empty name in it: give A,B,...", option);
        if (names->count == SOAK_MAX_NAMES - 2)
            return soak_fail(err, DR_BAD_INPUT, "--%s takes at most %d names", option,
                             SOAK_MAX_NAMES - 2);
        names->list[names->count++] = at;
        at = comma ? comma + 1 : NULL;
    }
    return DR_OK;
}

static const char *in_folder(const struct soak_work *work, const char *name,
                             char path[PATH_ROOM])
{
    (void)snprintf(path, PATH_ROOM, "%s/%s", work->folder, name);
    return path;
}

static bool write_file(const struct soak_work *work, const char *name, const void *data,
                       size_t bytes)
{
    char path[PATH_ROOM];
    FILE *const file = fopen(in_folder(work, name, path), "wb");
    if (!file) return false;
    const bool is_whole = fwrite(data, 1, bytes, file) == bytes;
    return fclose(file) == 0 && is_whole;
}

/* A head that promises 16 KiB of data, and a hundred bytes of them. */
static bool write_cut_file(const struct soak_work *work)
{
    static const char head[] =
        "{\"x\":{\"dtype\":\"F32\",\"shape\":[4096],\"data_offsets\":[0,16384]}}";
    unsigned char data[8 + sizeof head - 1 + 100] = {sizeof head - 1};
    memcpy(data + 8, head, sizeof head - 1);
    return write_file(work, CUT, data, sizeof data);
}

static uint64_t digest_file(const struct soak_work *work, const char *name)
{
    unsigned char buffer[16384];
    char path[PATH_ROOM];
    uint64_t digest = SOAK_DIGEST_START;
    FILE *const file = fopen(in_folder(work, name, path), "rb");
    if (!file) return 0;
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
        digest = soak_digest(digest, buffer, got);
    (void)fclose(file);
    return digest;
}

/* ---- looking ----------------------------------------------------------------------------- */

static void note_regions(const struct dr_memory *memory, struct soak_state *state)
{
    for (size_t i = 0; i < memory->region_count; ++i) {
        const struct dr_region_info *const region = &memory->regions[i];
        uint64_t *const sum =
            strcmp(region->tag, "weights") == 0      ? &state->weights_bytes
            : strcmp(region->tag, "embeddings") == 0 ? &state->prompt_bytes
                                                     : &state->other_bytes;
        *sum += region->bytes;
    }
}

static enum dr_code observe(const struct soak_work *work, struct soak_state *state,
                            struct dr_error *err)
{
    struct dr_model_info model;
    struct dr_memory memory;
    memset(state, 0, sizeof *state);
    enum dr_code code = dr_engine_model(work->engine, &model, err);
    if (code != DR_OK) return code;
    (void)snprintf(state->model, sizeof state->model, "%s", model.path);
    dr_model_info_free(&model);
    code = dr_engine_vae(work->engine, &state->vae, err);
    if (code == DR_OK) code = dr_engine_memory(work->engine, &memory, err);
    if (code != DR_OK) return code;
    for (int32_t i = 0; i < memory.component_count && i < SOAK_COMPONENTS; ++i)
        state->components[state->component_count++] = memory.components[i];
    note_regions(&memory, state);
    state->ledger_bytes = memory.ledger.private_bytes + memory.ledger.mapped_bytes;
    state->kernel_private_bytes = memory.kernel.private_bytes;
    state->regions_agree = memory.regions_agree != 0;
    (void)snprintf(state->disagreement, sizeof state->disagreement, "%s",
                   memory.disagreement);
    dr_memory_free(&memory);
    return DR_OK;
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {".", "..", INIT, LATENT, WORDS, EMPTY, CUT};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* In the folder lies what operations use, and made (a name or NULL), and nothing else. */
static bool check_folder(struct soak_work *work, const char *made)
{
    DIR *const folder = opendir(work->folder);
    bool is_good = true, is_made = !made;
    if (!folder) return true;
    for (const struct dirent *entry; is_good && (entry = readdir(folder));) {
        const bool is_it = made && strcmp(entry->d_name, made) == 0;
        is_made |= is_it;
        is_good = is_it || is_ours(entry->d_name);
        if (is_good) continue;
        (void)snprintf(work->finding.expected, sizeof work->finding.expected,
                       "no file left behind");
        (void)snprintf(work->finding.seen, sizeof work->finding.seen, "%.255s",
                       entry->d_name);
    }
    (void)closedir(folder);
    if (is_made || !is_good) return is_good;
    (void)snprintf(work->finding.expected, sizeof work->finding.expected, "%s", made);
    (void)snprintf(work->finding.seen, sizeof work->finding.seen, "no such file");
    return false;
}

/* ---- what an operation gave -------------------------------------------------------------- */

/* Which state must follow. */
enum effect {
    UNTOUCHED,  /* refused: nothing happened */
    SAME_CHOICE /* a job: weights may have come or gone */
};

struct outcome {
    enum dr_code expected, code;
    enum effect effect;
    const char *model, *choice; /* that must be active now; or NULL */
    const struct dr_receipt *receipt;
    const char *made; /* the file that must be there; or NULL */
    bool has_peak;
    uint64_t planned_bytes, peak_bytes;
    const char *vae_name, *vae_digest; /* that developed it */
    int request;                       /* which of the requests it was */
    bool is_switch;
};

static bool check_made(struct soak_work *work, const struct outcome *outcome)
{
    char path[PATH_ROOM], key[DR_TEXT_BYTES];
    if (!outcome->made) return true;
    const int length =
        snprintf(key, sizeof key, "%d|%s|%s|%d", work->model_idx, outcome->vae_name,
                 outcome->vae_digest, outcome->request);
    const bool is_same =
        soak_check_picture(&work->pictures,
                           soak_digest(SOAK_DIGEST_START, key, (size_t)length),
                           digest_file(work, outcome->made), &work->finding);
    (void)unlink(in_folder(work, outcome->made, path));
    return is_same;
}

static bool check_done(struct soak_work *work, const struct outcome *outcome)
{
    const struct soak_state *const before = &work->before, *const after = &work->after;
    struct soak_finding *const finding = &work->finding;
    work->check_count += 3;
    if (!outcome->is_switch && !soak_check_choice(before, after, finding)) return false;
    if (!soak_check_switched(after, outcome->model, outcome->choice, finding))
        return false;
    if (outcome->receipt &&
        !soak_check_receipt(before, after, outcome->receipt, finding))
        return false;
    if (outcome->has_peak &&
        !soak_check_peak(outcome->planned_bytes, outcome->peak_bytes, finding))
        return false;
    work->check_count += outcome->has_peak;
    return check_made(work, outcome);
}

static bool check_refused(struct soak_work *work, const struct outcome *outcome)
{
    ++work->check_count;
    return outcome->effect == UNTOUCHED
               ? soak_check_untouched(&work->before, &work->after, &work->finding)
               : soak_check_choice(&work->before, &work->after, &work->finding);
}

/* All that can be said after any operation. */
static bool settle_up(struct soak_work *work, const struct outcome *outcome,
                      const struct dr_error *problem)
{
    struct dr_error err = {0};
    const bool is_done = outcome->code == DR_OK;
    work->check_count += 3;
    if (!soak_check_code(outcome->expected, outcome->code,
                         is_done ? "" : problem->message, &work->finding))
        return false;
    const enum dr_code seen = observe(work, &work->after, &err);
    if (!soak_check_code(DR_OK, seen, err.message, &work->finding) ||
        !soak_check_state(&work->after, &work->finding) ||
        !check_folder(work, is_done ? outcome->made : NULL))
        return false;
    if (is_done)
        ++work->counts[work->kind].done;
    else
        ++work->counts[work->kind].refused;
    return is_done ? check_done(work, outcome) : check_refused(work, outcome);
}

/* ---- models and VAEs --------------------------------------------------------------------- */

static bool run_model(struct soak_work *work)
{
    struct dr_error problem = {0};
    struct dr_load_result result;
    const int idx = below(work, work->models.count);
    const char *const path = work->models.list[idx];
    const enum dr_code code =
        dr_engine_load(work->engine, path, DR_LOAD_EAGER, &result, &problem);
    if (code == DR_OK) work->model_idx = idx;
    const struct outcome outcome = {.code = code,
                                    .model = path,
                                    .choice = work->before.vae.choice,
                                    .receipt = &result.receipt,
                                    .is_switch = true};
    const bool is_well = settle_up(work, &outcome, &problem);
    dr_load_result_free(&result);
    return is_well;
}

/* A file that is no model and no VAE, and what must be said of it. */
static const char *bad_file(struct soak_work *work, char path[PATH_ROOM],
                            enum dr_code *expected)
{
    static const struct {
        const char *name;
        enum dr_code code;
    } files[] = {
        {"missing.safetensors", DR_NOT_FOUND  },
        {WORDS,                 DR_UNSUPPORTED},
        {EMPTY,                 DR_CORRUPT    },
        {CUT,                   DR_CORRUPT    },
    };
    const int idx = below(work, sizeof files / sizeof *files);
    *expected = files[idx].code;
    return in_folder(work, files[idx].name, path);
}

static bool run_model_refused(struct soak_work *work)
{
    char path[PATH_ROOM];
    struct outcome outcome = {0};
    struct dr_error problem = {0};
    (void)bad_file(work, path, &outcome.expected);
    outcome.code = dr_engine_load(work->engine, path, DR_LOAD_EAGER, NULL, &problem);
    return settle_up(work, &outcome, &problem);
}

/* Does this model take this VAE? The first answer counts, as long as it is one of those that a
 * VAE of another kind can get; from then on it must be the same. */
static enum dr_code expect_vae(struct soak_work *work, int vae_idx, enum dr_code code)
{
    const bool is_judgement = code == DR_OK || code == DR_FOREIGN ||
                              code == DR_INCOMPLETE || code == DR_UNSUPPORTED;
    if (vae_idx >= work->vaes.count) return DR_OK; /* none, automatic */
    if (!work->vae_codes[work->model_idx][vae_idx].is_known) {
        work->vae_codes[work->model_idx][vae_idx].is_known = is_judgement;
        work->vae_codes[work->model_idx][vae_idx].code = is_judgement ? code : DR_OK;
    }
    return work->vae_codes[work->model_idx][vae_idx].code;
}

/* The VAEs, then none and automatic. */
static const char *pick_vae(struct soak_work *work, int *idx)
{
    *idx = below(work, work->vaes.count + 2);
    return *idx < work->vaes.count    ? work->vaes.list[*idx]
           : *idx == work->vaes.count ? "none"
                                      : "automatic";
}

static bool run_vae(struct soak_work *work)
{
    int idx;
    struct dr_error problem = {0};
    struct dr_receipt receipt;
    const char *const choice = pick_vae(work, &idx);
    const enum dr_code code =
        dr_engine_choose_vae(work->engine, choice, 0, NULL, &receipt, &problem);
    const struct outcome outcome = {.expected = expect_vae(work, idx, code),
                                    .code = code,
                                    .choice = choice,
                                    .receipt = &receipt,
                                    .is_switch = true};
    return settle_up(work, &outcome, &problem);
}

static bool run_vae_refused(struct soak_work *work)
{
    char path[PATH_ROOM];
    struct outcome outcome = {0};
    struct dr_error problem = {0};
    const char *choice = bad_file(work, path, &outcome.expected);
    if (below(work, 4) == 0) {
        choice = "no such VAE";
        outcome.expected = DR_NOT_FOUND;
    }
    outcome.code = dr_engine_choose_vae(work->engine, choice, 0, NULL, NULL, &problem);
    return settle_up(work, &outcome, &problem);
}

/* ---- pictures ---------------------------------------------------------------------------- */

enum {
    REQUEST_COUNT = 4
};

static struct dr_generate_options request_at(int idx)
{
    static const char *const prompts[] = {"a lighthouse", "a red circle"};
    static const char *const samplers[] = {"euler", "euler-a", "dpmpp-2m", "ddim"};
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = prompts[idx % 2];
    options.negative = idx / 2 ? "fog" : NULL;
    options.width = 64 + 8 * (idx % 3);
    options.height = 64;
    options.steps = 1 + idx % 2;
    options.seed = 7 + (uint64_t)idx;
    options.sampler = samplers[idx % 4];
    return options;
}

/* A third of the jobs brings a VAE of its own: *idx, or -1. */
static const char *pick_own_vae(struct soak_work *work, int *idx)
{
    *idx = -1;
    return below(work, 3) == 0 ? pick_vae(work, idx) : NULL;
}

static bool settle_generate(struct soak_work *work, struct outcome *outcome,
                            struct dr_generate_result *result,
                            const struct dr_error *problem)
{
    outcome->effect = SAME_CHOICE;
    if (outcome->code == DR_OK) {
        outcome->receipt = &result->receipt;
        outcome->made = PICTURE;
        outcome->has_peak = true;
        outcome->planned_bytes = result->planned_private_bytes;
        outcome->peak_bytes = result->peak_private_bytes;
        outcome->vae_name = result->vae.name;
        outcome->vae_digest = result->vae.digest;
    }
    const bool is_good = settle_up(work, outcome, problem);
    dr_generate_result_free(result);
    return is_good;
}

static bool run_generate(struct soak_work *work)
{
    int vae_idx;
    char path[PATH_ROOM], init[PATH_ROOM];
    struct dr_error problem = {0};
    struct dr_generate_result result;
    struct outcome outcome = {.request = below(work, REQUEST_COUNT)};
    struct dr_generate_options options = request_at(outcome.request);
    options.vae = pick_own_vae(work, &vae_idx);
    options.output = in_folder(work, PICTURE, path);
    if (below(work, 4) == 0) {
        options.init = in_folder(work, INIT, init);
        options.strength = 1.0; /* of one step less leaves none */
        outcome.request += REQUEST_COUNT;
    }
    outcome.code = dr_engine_generate(work->engine, &options, &result, &problem);
    if (options.vae) outcome.expected = expect_vae(work, vae_idx, outcome.code);
    return settle_generate(work, &outcome, &result, &problem);
}

static bool run_generate_refused(struct soak_work *work)
{
    char path[PATH_ROOM], bad[PATH_ROOM];
    struct dr_error problem = {0};
    struct dr_generate_result result;
    struct outcome outcome = {.expected = DR_BAD_INPUT};
    struct dr_generate_options options = request_at(below(work, REQUEST_COUNT));
    options.output = in_folder(work, PICTURE, path);
    switch (below(work, 5)) {
    case 0: options.width = 63; break;
    case 1: options.steps = -1; break;
    case 2:
        options.init = in_folder(work, "missing.png", bad);
        options.strength = 1.0;
        outcome.expected = DR_NOT_FOUND;
        break;
    case 3: options.vae = bad_file(work, bad, &outcome.expected); break;
    default:
        options.output = in_folder(work, "no-such-folder/out.png", path);
        outcome.expected = DR_NOT_FOUND;
        break;
    }
    outcome.code = dr_engine_generate(work->engine, &options, &result, &problem);
    dr_generate_result_free(&result);
    return settle_up(work, &outcome, &problem);
}

/* ---- cancelling -------------------------------------------------------------------------- */

struct canceller {
    struct dr_engine *engine;
    /* Of the UNet, at which it is cancelled; -1: at the first report. Not the last: a picture that is
     * sampled is finished. */
    int32_t step;
    bool has_fired;
};

static void cancel_at(void *cookie, const struct dr_progress *progress)
{
    struct canceller *const it = cookie;
    const bool is_there = it->step < 0 || (progress->stage == DR_STAGE_UNET &&
                                           progress->step >= it->step);
    if (!is_there || progress->stage > DR_STAGE_UNET || it->has_fired) return;
    it->has_fired = true;
    dr_engine_cancel(it->engine);
}

static bool run_cancel(struct soak_work *work)
{
    char path[PATH_ROOM];
    struct dr_error problem = {0};
    struct dr_generate_result result;
    struct canceller canceller = {.engine = work->engine, .step = below(work, 2) - 1};
    struct outcome outcome = {.expected = DR_CANCELLED,
                              .request = below(work, REQUEST_COUNT)};
    struct dr_generate_options options = request_at(outcome.request);
    options.output = in_folder(work, PICTURE, path);
    options.progress = cancel_at;
    options.progress_cookie = &canceller;
    outcome.code = dr_engine_generate(work->engine, &options, &result, &problem);
    if (!canceller.has_fired) outcome.expected = DR_OK;
    return settle_generate(work, &outcome, &result, &problem);
}

/* ---- encode and decode ------------------------------------------------------------------- */

typedef enum dr_code codec_run(struct dr_engine *engine,
                               const struct dr_codec_options *options,
                               struct dr_codec_result *result, struct dr_error *err);

static bool run_codec(struct soak_work *work, codec_run *run, const char *input,
                      const char *output, int request)
{
    int vae_idx;
    char from[PATH_ROOM], to[PATH_ROOM];
    struct dr_error problem = {0};
    struct dr_codec_result result;
    struct dr_codec_options options = dr_codec_options_default();
    options.vae = pick_own_vae(work, &vae_idx);
    options.input = in_folder(work, input, from);
    options.output = in_folder(work, output, to);
    struct outcome outcome = {.effect = SAME_CHOICE, .request = request};
    outcome.code = run(work->engine, &options, &result, &problem);
    if (options.vae) outcome.expected = expect_vae(work, vae_idx, outcome.code);
    if (outcome.code == DR_OK) {
        outcome.receipt = &result.receipt;
        outcome.made = output;
        outcome.has_peak = true;
        outcome.planned_bytes = result.planned_private_bytes;
        outcome.peak_bytes = result.peak_private_bytes;
        outcome.vae_name = result.vae.name;
        outcome.vae_digest = result.vae.digest;
    }
    const bool is_good = settle_up(work, &outcome, &problem);
    dr_codec_result_free(&result);
    return is_good;
}

static bool run_encode(struct soak_work *work)
{
    return run_codec(work, dr_engine_encode, INIT, LATENTS, 2 * REQUEST_COUNT);
}

static bool run_decode(struct soak_work *work)
{
    return run_codec(work, dr_engine_decode, LATENT, PICTURE, 2 * REQUEST_COUNT + 1);
}

static bool run_codec_refused(struct soak_work *work)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    struct dr_error problem = {0};
    struct dr_codec_result result;
    struct dr_codec_options options = dr_codec_options_default();
    struct outcome outcome = {0};
    options.input = bad_file(work, from, &outcome.expected);
    options.output = in_folder(work, PICTURE, to);
    outcome.code = dr_engine_decode(work->engine, &options, &result, &problem);
    dr_codec_result_free(&result);
    return settle_up(work, &outcome, &problem);
}

/* ---- unload ------------------------------------------------------------------------------ */

static bool unload(struct soak_work *work, enum dr_unload_what what)
{
    struct dr_error problem = {0};
    struct dr_receipt receipt;
    const enum dr_code code = dr_engine_unload(work->engine, what, &receipt, &problem);
    const struct outcome outcome = {.code = code, .receipt = &receipt};
    ++work->check_count;
    return settle_up(work, &outcome, &problem) &&
           soak_check_released(&work->after, what, &work->finding);
}

static bool run_unload_vae(struct soak_work *work)
{
    return unload(work, DR_UNLOAD_VAE);
}

static bool run_unload_model(struct soak_work *work)
{
    return unload(work, DR_UNLOAD_MODEL);
}

/* ---- the whole --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(struct soak_work *work);
    int weight; /* how often, in a hundred */
} kinds[SOAK_KIND_COUNT] = {
    [SOAK_MODEL] = {"model",               run_model,            12},
    [SOAK_MODEL_REFUSED] = {"model, bad",          run_model_refused,    6 },
    [SOAK_VAE] = {"vae",                 run_vae,              18},
    [SOAK_VAE_REFUSED] = {"vae, bad",            run_vae_refused,      6 },
    [SOAK_GENERATE] = {"generate",            run_generate,         18},
    [SOAK_GENERATE_REFUSED] = {"generate, bad",       run_generate_refused, 8 },
    [SOAK_ENCODE] = {"encode",              run_encode,           6 },
    [SOAK_DECODE] = {"decode",              run_decode,           6 },
    [SOAK_CODEC_REFUSED] = {"decode, bad",         run_codec_refused,    4 },
    [SOAK_UNLOAD_VAE] = {"unload vae",          run_unload_vae,       5 },
    [SOAK_UNLOAD_MODEL] = {"unload model",        run_unload_model,     5 },
    [SOAK_CANCEL] = {"generate, cancelled", run_cancel,           6 },
};

const char *soak_kind_name(enum soak_kind kind)
{
    return kinds[kind].name;
}

bool soak_work_run(struct soak_work *work)
{
    struct dr_error err = {0};
    int left = below(work, 100);
    work->kind = SOAK_MODEL;
    while (left >= kinds[work->kind].weight)
        left -= kinds[work->kind++].weight;
    const enum dr_code code = observe(work, &work->before, &err);
    return soak_check_code(DR_OK, code, err.message, &work->finding) &&
           kinds[work->kind].run(work);
}

enum dr_code soak_work_settle(struct soak_work *work, uint64_t *bytes,
                              struct dr_error *err)
{
    enum dr_code code =
        dr_engine_load(work->engine, work->models.list[0], DR_LOAD_EAGER, NULL, err);
    if (code == DR_OK) {
        work->model_idx = 0;
        code = dr_engine_choose_vae(work->engine, "none", 0, NULL, NULL, err);
    }
    if (code == DR_OK)
        code = dr_engine_unload(work->engine, DR_UNLOAD_MODEL, NULL, err);
    if (code == DR_OK) code = observe(work, &work->after, err);
    *bytes = work->after.kernel_private_bytes;
    return code;
}

/* A picture and its latent image with one model: what operations begin with, and the proof that
 * the model can be soaked. */
static enum dr_code make_first(struct soak_work *work, const char *model,
                               struct dr_error *err)
{
    char picture[PATH_ROOM], latent[PATH_ROOM];
    struct dr_generate_result result = {0};
    struct dr_codec_result encoded = {0};
    struct dr_generate_options options = request_at(0);
    struct dr_codec_options codec = dr_codec_options_default();
    options.output = codec.input = in_folder(work, INIT, picture);
    codec.output = in_folder(work, LATENT, latent);
    enum dr_code code = dr_engine_load(work->engine, model, DR_LOAD_EAGER, NULL, err);
    if (code == DR_OK)
        code = dr_engine_choose_vae(work->engine, "none", 0, NULL, NULL, err);
    if (code == DR_OK) code = dr_engine_generate(work->engine, &options, &result, err);
    dr_generate_result_free(&result);
    if (code == DR_OK) code = dr_engine_encode(work->engine, &codec, &encoded, err);
    dr_codec_result_free(&encoded);
    return code;
}

enum dr_code soak_work_open(struct soak_work *work, struct dr_error *err)
{
    static const char words[] = "These are words, and no checkpoint at all.\n";
    const char *const parent = getenv("TMPDIR");
    const int length =
        snprintf(work->folder, sizeof work->folder, "%s/darkroom-soak-XXXXXX",
                 parent && *parent ? parent : "/tmp");
    const bool is_short = length > 0 && (size_t)length < sizeof work->folder;
    if (!is_short || !mkdtemp(work->folder)) {
        work->folder[0] = '\0';
        return soak_fail(err, DR_IO,
                         "cannot make a folder below %.300s: set TMPDIR to one that "
                         "may be written",
                         parent && *parent ? parent : "/tmp");
    }
    if (!write_file(work, WORDS, words, sizeof words - 1) ||
        !write_file(work, EMPTY, "", 0) || !write_cut_file(work))
        return soak_fail(err, DR_IO, "cannot write in %.400s", work->folder);
    enum dr_code code = DR_OK;
    for (int i = work->models.count - 1; code == DR_OK && i >= 0; --i)
        code = make_first(work, work->models.list[i], err);
    return code;
}

void soak_work_close(struct soak_work *work)
{
    char path[PATH_ROOM];
    DIR *const folder = work->folder[0] ? opendir(work->folder) : NULL;
    if (!folder) return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strlen(entry->d_name) < PATH_ROOM - sizeof work->folder - 1)
            (void)unlink(in_folder(work, entry->d_name, path));
    (void)closedir(folder);
    (void)rmdir(work->folder);
    work->folder[0] = '\0';
}
