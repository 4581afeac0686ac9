#include "job/request.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "job/defaults.h"
#include "job/output.h"
#include "job/prompt_request.h"
#include "job/sampling_tuning.h"
#include "sampling/latent.h"
#include "switch/settings.h"

enum {
    MAX_BATCH = 256,
    MAX_SIZE = 65536 /* of the sizes of SDXL's size conditioning */
};

const char *dr_sampler_name(int32_t index)
{
    return index >= 0 && index < SAMPLER_COUNT ? sampler_name((enum sampler_kind)index)
                                               : NULL;
}

const char *dr_sampler_schedule(const char *sampler, int32_t index)
{
    enum sampler_kind kind;
    if (!sampler_from_name(sampler, &kind)) return NULL;
    int32_t seen = 0;
    const enum schedule_kind first = sampler_default_schedule(kind);
    if (index == 0) return schedule_name(first);
    for (int i = SCHEDULE_AUTOMATIC + 1; i < SCHEDULE_COUNT; ++i) {
        const enum schedule_kind schedule = (enum schedule_kind)i;
        if (schedule == first || !sampler_accepts(kind, schedule)) continue;
        if (++seen == index) return schedule_name(schedule);
    }
    return NULL;
}

const char *dr_emphasis_name(int32_t index)
{
    static const char *const names[] = {[DR_EMPHASIS_ORIGINAL] = "original",
                                        [DR_EMPHASIS_NO_NORM] = "no-norm",
                                        [DR_EMPHASIS_IGNORE] = "ignore"};
    return index >= 0 && index <= DR_EMPHASIS_IGNORE ? names[index] : NULL;
}

const char *dr_prompt_syntax_name(int32_t index)
{
    static const char *const names[] = {
        [DR_PROMPT_A1111] = "a1111", [DR_PROMPT_PLAIN] = "plain"};
    return index >= 0 && index <= DR_PROMPT_PLAIN ? names[index] : NULL;
}

const char *dr_sampler_automatic(const char *sampler)
{
    enum sampler_kind kind;
    return sampler_from_name(sampler, &kind)
               ? schedule_name(sampler_automatic_schedule(kind))
               : NULL;
}

unsigned dr_sampler_uses(const char *sampler)
{
    enum sampler_kind kind;
    if (!sampler_from_name(sampler, &kind)) return 0;
    return (sampler_takes_eta(kind) ? DR_SAMPLER_USES_ETA : 0U) |
           (sampler_takes_churn(kind) ? DR_SAMPLER_USES_CHURN : 0U);
}

uint64_t dr_random_seed(void)
{
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint32_t)(clock_ms() * 1000.0);
    return seed;
}

struct dr_generate_options dr_generate_options_default(void)
{
    return (struct dr_generate_options){
        .prompt = "",
        .seed = dr_random_seed(),
        .sampling = dr_sampling_default(),
        .cfg = DR_CFG_DEFAULT,
        .clip_skip = 1,
        .strength = 0.75,
        .batch = 1,
        .bits = 8,
        .quality = 95,
    };
}

struct dr_codec_options dr_codec_options_default(void)
{
    return (struct dr_codec_options){.bits = 8, .quality = 95};
}

static enum dr_code check_side(const char *what, int32_t pixels, struct dr_error *err)
{
    if (pixels >= JOB_LEAST_SIDE && pixels <= JOB_MAX_SIDE &&
        pixels % LATENT_FACTOR == 0)
        return DR_OK;
    if (pixels < JOB_LEAST_SIDE || pixels > JOB_MAX_SIDE)
        return error_set(err, DR_BAD_INPUT,
                         "a %s of %d pixels is out of range: give %d to %d", what,
                         (int)pixels, JOB_LEAST_SIDE, JOB_MAX_SIDE);
    return error_set(
        err, DR_BAD_INPUT,
        "the %s is %d pixels; it must be a multiple of %d, such as %d or %d", what,
        (int)pixels, LATENT_FACTOR, (int)(pixels - pixels % LATENT_FACTOR),
        (int)(pixels - pixels % LATENT_FACTOR + LATENT_FACTOR));
}

static enum dr_code check_numbers(const struct dr_generate_options *options,
                                  struct dr_error *err)
{
    if (options->steps < 1 || options->steps > SAMPLER_MAX_STEPS)
        return error_set(err, DR_BAD_INPUT, "%d steps are out of range: give 1 to %d",
                         (int)options->steps, SAMPLER_MAX_STEPS);
    if (!isfinite(options->cfg) || options->cfg < 0.0 ||
        options->cfg > (double)JOB_MAX_CFG)
        return error_set(
            err, DR_BAD_INPUT,
            "a cfg of %g is out of range: give 0 to 1000 (1 turns guidance off)",
            options->cfg);
    if (options->batch < 1 || options->batch > MAX_BATCH)
        return error_set(err, DR_BAD_INPUT,
                         "a batch of %d is out of range: give 1 to %d",
                         (int)options->batch, MAX_BATCH);
    if (options->lora_count < 0 || options->lora_count > DR_MAX_LORAS)
        return error_set(err, DR_BAD_INPUT, "%d LoRAs at once: give at most %d",
                         (int)options->lora_count, DR_MAX_LORAS);
    if (options->preview_every < 0 || (options->preview_every > 0 && !options->preview))
        return error_set(err, DR_BAD_INPUT,
                         "previews every %d steps%s: give 0 for none, or a number of "
                         "steps and a function that takes them",
                         (int)options->preview_every,
                         options->preview ? "" : " without a function");
    if (options->init &&
        (options->init_fit < DR_FIT_STRETCH || options->init_fit > DR_FIT_PAD))
        return error_set(err, DR_BAD_INPUT, "there is no fit %d of an init picture",
                         (int)options->init_fit);
    if (options->init && (!isfinite(options->strength) || options->strength <= 0.0 ||
                          options->strength > 1.0))
        return error_set(
            err, DR_BAD_INPUT,
            "a strength of %g is out of range: give more than 0, at most 1",
            options->strength);
    return DR_OK;
}

static enum dr_code check_picture_options(int32_t bits, int32_t quality,
                                          struct dr_error *err)
{
    if (bits != 8 && bits != 16)
        return error_set(err, DR_BAD_INPUT, "%d bits per channel: give 8 or 16",
                         (int)bits);
    if (quality < 1 || quality > 100)
        return error_set(err, DR_BAD_INPUT,
                         "a JPEG quality of %d is out of range: give 1 to 100",
                         (int)quality);
    return DR_OK;
}

static enum dr_code check_sampler(const struct dr_generate_options *options,
                                  struct sampler_options *sampler, struct dr_error *err)
{
    char names[512] = "";
    if (!sampler_from_name(options->sampler ? options->sampler : "", &sampler->kind)) {
        for (int i = 0; i < SAMPLER_COUNT; ++i) {
            const size_t used = strlen(names);
            (void)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                           sampler_name((enum sampler_kind)i));
        }
        return error_set(err, DR_BAD_INPUT,
                         "unknown sampler \"%.80s\"; the samplers are %s",
                         options->sampler ? options->sampler : "", names);
    }
    sampler->schedule = SCHEDULE_DEFAULT;
    if (options->scheduler &&
        !schedule_from_name(options->scheduler, &sampler->schedule)) {
        for (int i = SCHEDULE_DEFAULT + 1; i < SCHEDULE_COUNT; ++i) {
            const size_t used = strlen(names);
            (void)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                           schedule_name((enum schedule_kind)i));
        }
        return error_set(err, DR_BAD_INPUT,
                         "unknown scheduler \"%.80s\"; the schedulers are %s",
                         options->scheduler, names);
    }
    sampler->schedule = sampler_resolve_schedule(sampler->kind, sampler->schedule);
    return DR_OK;
}

/* The checks that need no model. */
static enum dr_code check_options(const struct dr_generate_options *options,
                                  struct sampler_options *sampler, struct dr_error *err)
{
    enum dr_code code = check_numbers(options, err);
    if (code == DR_OK)
        code = check_picture_options(options->bits, options->quality, err);
    if (code == DR_OK) code = sampling_tuning_check(&options->sampling, err);
    sampler->tuning = sampling_tuning_of(&options->sampling);
    return code == DR_OK ? check_sampler(options, sampler, err) : code;
}

static enum dr_code check_given_sides(int32_t width, int32_t height,
                                      struct dr_error *err)
{
    const enum dr_code code = width ? check_side("width", width, err) : DR_OK;
    return code == DR_OK && height ? check_side("height", height, err) : code;
}

static enum dr_code check_cut_side(const char *what, int32_t cut, int32_t pixels,
                                   struct dr_error *err)
{
    if (cut == 0 || (pixels > 0 && cut <= pixels && cut > pixels - LATENT_FACTOR))
        return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "a picture whose %s is %d pixels cannot be cut to %d: give at most "
        "%d less, or 0 for no cut",
        what, (int)pixels, (int)cut, LATENT_FACTOR - 1);
}

static enum dr_code check_cut(const struct dr_generate_options *options,
                              struct dr_error *err)
{
    const enum dr_code code =
        check_cut_side("width", options->cut_width, options->width, err);
    return code == DR_OK
               ? check_cut_side("height", options->cut_height, options->height, err)
               : code;
}

static enum dr_code check_pixels(const struct dr_generate_options *options,
                                 const struct job_request *want, struct dr_error *err)
{
    const int32_t width = want->cut_width, height = want->cut_height;
    if (options->most_pixels == 0 || (int64_t)width * height <= options->most_pixels)
        return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "width %d and height %d are too large: pictures may have at most %" PRId64
        " pixels here",
        (int)width, (int)height, options->most_pixels);
}

static enum dr_code pick_size(const struct dr_generate_options *options,
                              struct job_request *want, struct dr_error *err)
{
    want->width = options->width;
    want->height = options->height;
    enum dr_code code = check_given_sides(options->width, options->height, err);
    if (code == DR_OK) code = check_cut(options, err);
    if (code != DR_OK) return code;
    if (options->init && (!options->width || !options->height)) {
        struct image_reader *reader = NULL;
        struct image_head head;
        code = image_reader_open(&reader, &head, options->init, err);
        if (code != DR_OK) return code;
        image_reader_close(&reader);
        const bool is_narrow = !options->width && head.width < JOB_LEAST_SIDE;
        const bool is_flat = !options->height && head.height < JOB_LEAST_SIDE;
        if (is_narrow || is_flat)
            return error_set(err, DR_BAD_INPUT,
                             "%.600s has %d x %d pixels; pictures have at least %d "
                             "pixels per side, so give a width and a height",
                             options->init, (int)head.width, (int)head.height,
                             JOB_LEAST_SIDE);
        const bool is_wide = !options->width && head.width > JOB_MAX_SIDE;
        const bool is_high = !options->height && head.height > JOB_MAX_SIDE;
        if (is_wide || is_high)
            return error_set(
                err, DR_BAD_INPUT,
                "%.600s has %d x %d pixels, and the new picture would have "
                "its size; pictures have at most %d pixels per side, so "
                "give a width and a height",
                options->init, (int)head.width, (int)head.height, JOB_MAX_SIDE);
        want->size_from = options->init;
        if (!options->width) want->width = head.width - head.width % LATENT_FACTOR;
        if (!options->height) want->height = head.height - head.height % LATENT_FACTOR;
    }
    code = check_side("width", want->width, err);
    if (code == DR_OK) code = check_side("height", want->height, err);
    want->cut_width = options->cut_width ? options->cut_width : want->width;
    want->cut_height = options->cut_height ? options->cut_height : want->height;
    return code == DR_OK ? check_pixels(options, want, err) : code;
}

static enum dr_code check_pair(const char *what, int32_t width, int32_t height,
                               struct dr_error *err)
{
    if ((width == 0 && height == 0) ||
        (width >= 1 && height >= 1 && width <= MAX_SIZE && height <= MAX_SIZE))
        return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the %s size %dx%d is out of range: give sides of 1 to %d", what,
                     (int)width, (int)height, MAX_SIZE);
}

/* SDXL's size conditioning; after the picture's size is known. */
static enum dr_code pick_conditioning(const struct dr_generate_options *options,
                                      enum family family, struct job_request *want,
                                      struct dr_error *err)
{
    const bool said = options->original_width || options->original_height ||
                      options->crop_left || options->crop_top ||
                      options->target_width || options->target_height;
    if (said && family != FAMILY_SDXL)
        return error_set(err, DR_BAD_INPUT,
                         "original size, crop and target size apply to SDXL models "
                         "only; this one is of the family %s: omit them",
                         family_name(family));
    if (options->crop_left < 0 || options->crop_top < 0 ||
        options->crop_left > MAX_SIZE || options->crop_top > MAX_SIZE)
        return error_set(err, DR_BAD_INPUT,
                         "the crop %d,%d is out of range: give 0 to %d for each",
                         (int)options->crop_left, (int)options->crop_top, MAX_SIZE);
    enum dr_code code =
        check_pair("original", options->original_width, options->original_height, err);
    if (code == DR_OK)
        code = check_pair("target", options->target_width, options->target_height, err);
    const bool original = options->original_width, target = options->target_width;
    want->sizes = (struct size_conditioning){
        .original_height = original ? options->original_height : want->height,
        .original_width = original ? options->original_width : want->width,
        .crop_top = options->crop_top,
        .crop_left = options->crop_left,
        .target_height = target ? options->target_height : want->height,
        .target_width = target ? options->target_width : want->width,
    };
    want->sizes_said = said;
    want->negative_is_zero = family == FAMILY_SDXL && !options->negative;
    return code;
}

void job_request_finish(struct job_request *want)
{
    prompt_contexts_finish(&want->prompts);
    embedding_set_close(&want->embeddings);
}

/* The strength that is used: see takes_a_step. Steps are known. */
static double used_strength(const struct dr_generate_options *options)
{
    const double strength = options->strength;
    if (!options->takes_a_step || options->steps < 1 || !(strength >= 0))
        return strength;
    const double least = sampler_least_strength(options->steps);
    return strength < least ? least : strength;
}

/* Fill the options that are not set (defaults.h). An init picture determines the size. */
static struct dr_generate_options complete_options(
    const struct dr_generate_options *options, const struct current_model *model,
    char warning[static DR_TEXT_BYTES])
{
    struct dr_generate_options full = *options;
    const struct checkpoint *const checkpoint = &model->pipeline->checkpoint;
    const struct dr_settings *const settings = &model->vae.settings;
    const struct dr_defaults *const own =
        settings_defaults_for_model(settings, model->pipeline->path);
    const struct job_defaults of_model = job_defaults_of_settings(own);
    const struct job_defaults general = job_defaults_of_settings(&settings->defaults);
    const struct job_defaults family = job_defaults_of_family(checkpoint->family);
    struct job_defaults defaults = {.width = options->width,
                                    .height = options->height,
                                    .steps = options->steps,
                                    .cfg = options->cfg,
                                    .sampler = options->sampler,
                                    .scheduler = options->scheduler};
    job_defaults_fill(&defaults, &of_model);
    job_defaults_fill_from_file(&defaults, &checkpoint->file, warning);
    job_defaults_fill(&defaults, &general);
    job_defaults_fill(&defaults, &family);
    if (!options->init) {
        full.width = defaults.width;
        full.height = defaults.height;
    }
    full.steps = defaults.steps;
    full.cfg = defaults.cfg;
    full.sampler = defaults.sampler;
    full.scheduler = defaults.scheduler;
    full.strength = used_strength(&full);
    return full;
}

static struct dr_output files_of(const struct dr_generate_options *options)
{
    const bool each = options->outputs && options->batch > 0;
    return (struct dr_output){.path = each ? options->outputs[0] : options->output,
                              .paths = each ? options->outputs : NULL,
                              .batch = options->batch,
                              .kind = DR_OUTPUT_ANY,
                              .bits = options->bits,
                              .existing = options->existing};
}

/* The checks that a forecast needs too: everything except the output. only_looks: prompts may stay without tokens. */
static enum dr_code make_request(struct current_model *model,
                                 const struct dr_generate_options *options,
                                 bool only_looks, struct job_request *want,
                                 struct dr_error *err)
{
    *want = (struct job_request){.kind = JOB_GENERATE,
                                 .clip_skip = options->clip_skip,
                                 .rng = options->rng,
                                 .init = options->init,
                                 .init_fit = options->init_fit,
                                 .files = files_of(options),
                                 .prompt = options->prompt ? options->prompt : "",
                                 .negative = options->negative ? options->negative : "",
                                 .has_negative = options->negative != NULL,
                                 .given_loras = options->loras,
                                 .given_lora_count = options->lora_count,
                                 .batch = options->batch,
                                 .bits = options->bits,
                                 .quality = options->quality,
                                 .profile = options->profile != 0,
                                 .progress = options->progress,
                                 .progress_cookie = options->progress_cookie,
                                 .preview_every = options->preview_every,
                                 .preview = options->preview,
                                 .preview_cookie = options->preview_cookie,
                                 .image = options->image,
                                 .image_cookie = options->image_cookie,
                                 .written = options->written,
                                 .written_cookie = options->written_cookie};
    if (!model->pipeline) return error_set(err, DR_NOT_FOUND, "no model is loaded");
    const struct dr_generate_options full =
        complete_options(options, model, want->warning);
    want->strength = full.strength;
    want->guided = full.cfg > 1.0;
    want->cfg = (float)full.cfg;
    enum dr_code code = check_options(&full, &want->sampler, err);
    const enum family family = model->pipeline->checkpoint.family;
    const struct meaning *const meaning = &model->pipeline->checkpoint.meaning;
    if (code == DR_OK) code = pick_size(&full, want, err);
    if (code == DR_OK) code = pick_conditioning(&full, family, want, err);
    if (meaning->encodes_empty_negative) want->negative_is_zero = false;
    if (code != DR_OK) return code;
    want->output_is_latent = want->files.path && output_is_latent(want->files.path);
    want->seed = options->seed;
    want->sampling = options->sampling;
    want->sampler.steps = full.steps;
    want->sampler.prediction =
        options->prediction == DR_PREDICTION_AUTO
            ? (meaning->predicts_v ? PREDICTION_V : PREDICTION_EPSILON)
        : options->prediction == DR_PREDICTION_V ? PREDICTION_V
                                                 : PREDICTION_EPSILON;
    want->sampler.zero_terminal_snr = meaning->zero_terminal_snr;
    want->sampler.is_sdxl = family == FAMILY_SDXL;
    want->sampler.image_to_image = options->init != NULL;
    want->sampler.strength = options->init ? (float)full.strength : 1.0F;
    want->sampler.count = latent_space_count(want->width, want->height);
    size_t bytes;
    code = sampler_bytes(&want->sampler, &bytes, err);
    return code == DR_OK ? prompt_request_make(model, options, only_looks, want, err)
                         : code;
}

enum dr_code forecast_request(struct current_model *model,
                              const struct dr_generate_options *options,
                              struct job_request *want, struct dr_error *err)
{
    return make_request(model, options, true, want, err);
}

/* Check that the job's files fit on the disk, as far as this is known. */
static enum dr_code check_room(const struct current_model *model,
                               const struct job_request *want, struct dr_error *err)
{
    char warning[DR_TEXT_BYTES];
    const size_t latents =
        sizeof(float) * latent_space_count(want->width, want->height);
    const struct output_size size = {.width = want->width,
                                     .height = want->height,
                                     .latent_bytes = latents,
                                     .text_bytes = want->kind == JOB_GENERATE
                                                       ? strlen(want->prompt) +
                                                             strlen(want->negative)
                                                       : 0};
    if (!want->files.path) return DR_OK;
    const enum dr_code code = output_check_room(&want->files, &size, warning, err);
    if (code == DR_OK && warning[0])
        resources_log(model->resources, DR_LOG_WARNING, "%s", warning);
    return code;
}

enum dr_code request_check_generate(const struct dr_generate_options *options,
                                    struct dr_error *err)
{
    /* Options that are not set yet are checked with the model. */
    const bool is_open = !options->steps || !options->sampler;
    const struct job_defaults family = job_defaults_of_family(FAMILY_SD15);
    struct dr_generate_options full = *options;
    if (!full.steps) full.steps = family.steps;
    if (full.cfg == DR_CFG_DEFAULT) full.cfg = family.cfg;
    if (!full.sampler) full.sampler = family.sampler;
    full.strength = used_strength(&full);
    /* Which steps a sampler takes does not depend on the number of floats, nor on the prediction. */
    struct sampler_options sampler = {.prediction = PREDICTION_V,
                                      .steps = full.steps,
                                      .image_to_image = options->init != NULL,
                                      .strength = (float)full.strength,
                                      .count = LATENT_CHANNELS};
    size_t bytes;
    enum dr_code code = check_options(&full, &sampler, err);
    if (code == DR_OK && !is_open) code = sampler_bytes(&sampler, &bytes, err);
    if (code == DR_OK) code = check_given_sides(options->width, options->height, err);
    if (code == DR_OK) code = check_cut(options, err);
    const struct dr_output files = files_of(options);
    return code == DR_OK && files.path ? output_check(&files, err) : code;
}

enum dr_code generate_request(struct current_model *model,
                              const struct dr_generate_options *options,
                              struct job_request *want, struct dr_error *err)
{
    enum dr_code code = make_request(model, options, false, want, err);
    if (code == DR_OK && want->files.path) code = output_check(&want->files, err);
    return code == DR_OK ? check_room(model, want, err) : code;
}

static struct dr_output codec_files_of(const struct dr_codec_options *options,
                                       enum codec_direction direction)
{
    return (struct dr_output){.path = options->output,
                              .batch = 1,
                              .kind = direction == CODEC_ENCODE ? DR_OUTPUT_LATENTS
                                                                : DR_OUTPUT_PICTURES,
                              .bits = options->bits,
                              .existing = options->existing};
}

static enum dr_code encode_request(const struct dr_codec_options *options,
                                   struct job_request *want, struct dr_error *err)
{
    const struct dr_generate_options size = {.width = options->width,
                                             .height = options->height,
                                             .init = options->input};
    want->init = options->input;
    const enum dr_code code = output_check(&want->files, err);
    return code == DR_OK ? pick_size(&size, want, err) : code;
}

static enum dr_code decode_request(const struct dr_codec_options *options,
                                   struct job_request *want, struct dr_error *err)
{
    struct latent_head head;
    enum dr_code code = output_check(&want->files, err);
    if (code == DR_OK) code = latent_file_head(options->input, &head, err);
    if (code != DR_OK) return code;
    want->latent_input = options->input;
    want->batch = head.n;
    want->width = head.width * LATENT_FACTOR;
    want->height = head.height * LATENT_FACTOR;
    want->cut_width = want->width;
    want->cut_height = want->height;
    want->files.batch = head.n;
    return output_check(&want->files, err);
}

static enum dr_code check_codec_options(const struct dr_codec_options *options,
                                        struct dr_error *err)
{
    if (!options->input || !options->output)
        return error_set(err, DR_BAD_INPUT, "no %s file was given",
                         options->input ? "output" : "input");
    return check_picture_options(options->bits, options->quality, err);
}

enum dr_code request_check_codec(const struct dr_codec_options *options,
                                 enum codec_direction direction, struct dr_error *err)
{
    enum dr_code code = check_codec_options(options, err);
    if (code == DR_OK) code = check_given_sides(options->width, options->height, err);
    const struct dr_output files = codec_files_of(options, direction);
    return code == DR_OK ? output_check(&files, err) : code;
}

enum dr_code codec_request(struct current_model *model,
                           const struct dr_codec_options *options,
                           enum codec_direction direction, struct job_request *want,
                           struct dr_error *err)
{
    const bool encodes = direction == CODEC_ENCODE;
    *want = (struct job_request){.kind = encodes ? JOB_ENCODE : JOB_DECODE,
                                 .batch = 1,
                                 .files = codec_files_of(options, direction),
                                 .output_is_latent = encodes,
                                 .bits = options->bits,
                                 .quality = options->quality,
                                 .profile = options->profile != 0,
                                 .progress = options->progress,
                                 .progress_cookie = options->progress_cookie};
    if (!model->pipeline) return error_set(err, DR_NOT_FOUND, "no model is loaded");
    enum dr_code code = check_codec_options(options, err);
    if (code != DR_OK) return code;
    code = encodes ? encode_request(options, want, err)
                   : decode_request(options, want, err);
    return code == DR_OK ? check_room(model, want, err) : code;
}

static bool holds_file(const struct tensor_file *file, const char *path)
{
    for (size_t i = 0; i < file->shard_count; ++i)
        if (path_is_same_file(file->shards[i].path, path)) return true;
    return false;
}

enum dr_code request_check_sources(const struct job_request *want,
                                   const struct pipeline *pipeline,
                                   const struct vae_file *vae, struct dr_error *err)
{
    const struct vae_file *const vaes[] = {pipeline->override, vae};
    const int32_t count = want->files.paths ? want->files.batch : 1;
    for (int32_t i = 0; want->files.path && i < count; ++i) {
        const char *const path =
            want->files.paths ? want->files.paths[i] : want->files.path;
        const bool is_model = holds_file(&pipeline->checkpoint.file, path) ||
                              holds_file(&pipeline->base.file, path);
        bool is_vae = false;
        for (size_t k = 0; k < sizeof vaes / sizeof *vaes; ++k)
            is_vae |= vaes[k] && holds_file(&vaes[k]->checkpoint.file, path);
        if (is_model || is_vae)
            return error_set(err, DR_BAD_INPUT,
                             "%.600s is the %s that is in use; name another output",
                             path, is_model ? "model" : "VAE");
    }
    return DR_OK;
}
