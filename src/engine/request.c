#include "engine/request.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/temporary_file.h"
#include "engine/latent.h"

enum {
    MAX_SIDE = 8192,
    MAX_BATCH = 256,
    MAX_SIZE = 65536, /* of the sizes that SDXL is told */
    DEFAULT_SIDE = 512,
    DEFAULT_SIDE_SDXL = 1024
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
    for (int i = SCHEDULE_DEFAULT + 1; i < SCHEDULE_COUNT; ++i) {
        const enum schedule_kind schedule = (enum schedule_kind)i;
        if (schedule == first || !sampler_accepts(kind, schedule)) continue;
        if (++seen == index) return schedule_name(schedule);
    }
    return NULL;
}

struct dr_generate_options dr_generate_options_default(void)
{
    return (struct dr_generate_options){
        .prompt = "",
        .seed = -1,
        .steps = 20,
        .cfg = 7.0,
        .sampler = "euler-a",
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
    if (pixels >= 64 && pixels <= MAX_SIDE && pixels % LATENT_FACTOR == 0) return DR_OK;
    if (pixels < 64 || pixels > MAX_SIDE)
        return error_set(err, DR_BAD_INPUT, "the %s is %d pixels; give 64 to %d", what,
                         (int)pixels, MAX_SIDE);
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
        return error_set(err, DR_BAD_INPUT, "%d steps: give 1 to %d",
                         (int)options->steps, SAMPLER_MAX_STEPS);
    if (!isfinite(options->cfg) || options->cfg < 0.0 || options->cfg > 1000.0)
        return error_set(err, DR_BAD_INPUT,
                         "cfg is %g; give 0 to 1000 (1 is no guidance)", options->cfg);
    if (options->batch < 1 || options->batch > MAX_BATCH)
        return error_set(err, DR_BAD_INPUT, "a batch of %d: give 1 to %d",
                         (int)options->batch, MAX_BATCH);
    if (options->seed < -1)
        return error_set(err, DR_BAD_INPUT,
                         "the seed is %lld; give 0 or more, or -1 for a random one",
                         (long long)options->seed);
    if (options->seed > INT64_MAX - MAX_BATCH)
        return error_set(err, DR_BAD_INPUT, "the seed is %lld; give at most %lld",
                         (long long)options->seed, (long long)(INT64_MAX - MAX_BATCH));
    if (options->init && (!isfinite(options->strength) || options->strength <= 0.0 ||
                          options->strength > 1.0))
        return error_set(err, DR_BAD_INPUT,
                         "the strength is %g; give more than 0, at most 1",
                         options->strength);
    return DR_OK;
}

static enum dr_code check_picture_options(int32_t bits, int32_t quality,
                                          struct dr_error *err)
{
    if (bits != 8 && bits != 16)
        return error_set(err, DR_BAD_INPUT, "%d bits a channel: give 8 or 16",
                         (int)bits);
    if (quality < 1 || quality > 100)
        return error_set(err, DR_BAD_INPUT, "a JPEG quality of %d: give 1 to 100",
                         (int)quality);
    return DR_OK;
}

static bool ends_with(const char *text, const char *ending)
{
    const size_t a = strlen(text), b = strlen(ending);
    return a >= b && strcasecmp(text + a - b, ending) == 0;
}

/* A file of tensors, by its name. */
static bool is_latent_path(const char *path)
{
    return ends_with(path, ".safetensors") || ends_with(path, ".sft");
}

void request_output_path(const char *output, int32_t idx,
                         char path[static DR_PATH_BYTES])
{
    const char *const name = path_name(output);
    const char *const dot = strrchr(name, '.');
    if (idx == 0 || !dot)
        (void)snprintf(path, DR_PATH_BYTES, "%s", output);
    else
        (void)snprintf(path, DR_PATH_BYTES, "%.*s-%d%s", (int)(dot - output), output,
                       (int)idx + 1, dot);
}

/* What is there may be replaced where it is a file that may be written. */
static enum dr_code check_target(const char *path, struct dr_error *err)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno == ENAMETOOLONG
                   ? error_set(err, DR_BAD_INPUT,
                               "%.600s: the name is longer than the file system takes",
                               path)
                   : DR_OK;
    if (S_ISDIR(status.st_mode))
        return error_set(err, DR_BAD_INPUT, "%.600s is a folder; name a file", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, DR_BAD_INPUT,
                         "%.600s is no regular file; name a file to write or replace",
                         path);
    if (access(path, W_OK) != 0)
        return error_set(err, DR_IO, "%.600s is there and may not be written", path);
    return DR_OK;
}

static enum dr_code check_folder(const char *path, struct dr_error *err)
{
    struct stat status;
    char folder[DR_PATH_BYTES];
    const int length = (int)(path_name(path) - path);
    (void)snprintf(folder, sizeof folder, "%.*s", length ? length : 1,
                   length ? path : ".");
    if (stat(folder, &status) != 0 || !S_ISDIR(status.st_mode))
        return error_set(err, DR_NOT_FOUND,
                         "there is no folder %.600s to write %.200s in", folder,
                         path_name(path));
    if (access(folder, W_OK) != 0)
        return error_set(err, DR_IO, "the folder %.600s is not writable", folder);
    /* What writers that were killed left there. */
    (void)temporary_file_sweep(folder);
    return DR_OK;
}

/* Can these files be written, as far as one can tell before minutes of work? */
static enum dr_code check_output(const char *path, int32_t bits, int32_t batch,
                                 bool latent_only, struct dr_error *err)
{
    enum image_format format;
    if (strlen(path) >= DR_PATH_BYTES - 16)
        return error_set(err, DR_BAD_INPUT, "the output's path is longer than %d bytes",
                         DR_PATH_BYTES - 17);
    const bool is_latent = is_latent_path(path);
    const bool is_picture = image_format_from_path(path, &format);
    if (latent_only && !is_latent)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s: latents go to a .safetensors (or .sft) file", path);
    if (!is_latent && !is_picture)
        return error_set(
            err, DR_BAD_INPUT,
            "%.600s: the output's ending says what is written: .png, .jpg or "
            ".safetensors or .sft (latents)",
            path);
    if (is_picture && format == IMAGE_JPEG && bits == 16)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s: JPEG has 8 bits a channel; write a .png", path);
    enum dr_code code = check_folder(path, err);
    for (int32_t i = 0; code == DR_OK && i < (is_latent ? 1 : batch); ++i) {
        char each[DR_PATH_BYTES];
        request_output_path(path, i, each);
        code = check_target(each, err);
    }
    return code;
}

static enum dr_code check_sampler(const struct dr_generate_options *options,
                                  struct sampler_options *sampler, struct dr_error *err)
{
    char names[256] = "";
    if (!sampler_from_name(options->sampler ? options->sampler : "", &sampler->kind)) {
        for (int i = 0; i < SAMPLER_COUNT; ++i) {
            const size_t used = strlen(names);
            (void)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                           sampler_name((enum sampler_kind)i));
        }
        return error_set(err, DR_BAD_INPUT,
                         "there is no sampler \"%.80s\"; there are %s",
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
                         "there is no scheduler \"%.80s\"; there are %s",
                         options->scheduler, names);
    }
    if (sampler->schedule == SCHEDULE_DEFAULT)
        sampler->schedule = sampler_default_schedule(sampler->kind);
    return DR_OK;
}

static enum dr_code pick_size(const struct dr_generate_options *options,
                              enum family family, struct job_request *want,
                              struct dr_error *err)
{
    const int32_t side = family == FAMILY_SDXL ? DEFAULT_SIDE_SDXL : DEFAULT_SIDE;
    want->width = options->width ? options->width : side;
    want->height = options->height ? options->height : side;
    if (options->init && (!options->width || !options->height)) {
        struct image_reader *reader = NULL;
        struct image_head head;
        const enum dr_code code = image_reader_open(&reader, &head, options->init, err);
        if (code != DR_OK) return code;
        image_reader_close(&reader);
        if (!options->width) want->width = head.width - head.width % LATENT_FACTOR;
        if (!options->height) want->height = head.height - head.height % LATENT_FACTOR;
    }
    const enum dr_code code = check_side("width", want->width, err);
    return code == DR_OK ? check_side("height", want->height, err) : code;
}

static enum dr_code check_pair(const char *what, int32_t width, int32_t height,
                               struct dr_error *err)
{
    if ((width == 0 && height == 0) ||
        (width >= 1 && height >= 1 && width <= MAX_SIZE && height <= MAX_SIZE))
        return DR_OK;
    return error_set(err, DR_BAD_INPUT, "the %s size is %dx%d; give sides of 1 to %d",
                     what, (int)width, (int)height, MAX_SIZE);
}

/* What SDXL is told about sizes; after the picture's own is known. */
static enum dr_code pick_conditioning(const struct dr_generate_options *options,
                                      enum family family, struct job_request *want,
                                      struct dr_error *err)
{
    const bool said = options->original_width || options->original_height ||
                      options->crop_left || options->crop_top ||
                      options->target_width || options->target_height;
    if (said && family != FAMILY_SDXL)
        return error_set(err, DR_BAD_INPUT,
                         "original size, crop and target size are told to SDXL models; "
                         "this one is of the family %s: leave them out",
                         family_name(family));
    if (options->crop_left < 0 || options->crop_top < 0 ||
        options->crop_left > MAX_SIZE || options->crop_top > MAX_SIZE)
        return error_set(err, DR_BAD_INPUT, "the crop is %d,%d; give 0 to %d for each",
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

static int64_t random_seed(void)
{
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint32_t)(clock_ms() * 1000.0);
    return (int64_t)seed;
}

static enum dr_code check_vocabulary(const struct dr_engine *engine,
                                     const struct clip_text_spec *text,
                                     struct dr_error *err)
{
    const int32_t known = clip_text_info(text).vocabulary;
    if (tokenizer_vocabulary(engine->tokenizer) <= known) return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "the vocabulary in %.400s has %d tokens, the text encoder of %.300s "
        "knows %d: it belongs to another model; give --tokenizer",
        engine->tokenizer_path, (int)tokenizer_vocabulary(engine->tokenizer),
        engine->pipeline->path, (int)known);
}

static enum dr_code tokenize(struct dr_engine *engine, struct job_request *want,
                             struct dr_error *err)
{
    const struct pipeline *const pipeline = engine->pipeline;
    /* Without a text encoder there is nothing to tokenize for: job_prepare says what it lacks. */
    if (!pipeline_has_text(pipeline)) return DR_OK;
    enum dr_code code = engine_tokenizer(engine, err);
    for (int32_t i = 0; code == DR_OK && i < pipeline->text_count; ++i) {
        /* The first pads with the end of text, SDXL's second with id 0. */
        const int32_t pad = i == 0 ? -1 : 0;
        code = tokenizer_encode(engine->tokenizer, want->prompt, pad, &want->tokens[i],
                                err);
        if (code == DR_OK)
            code = tokenizer_encode(engine->tokenizer, want->negative, pad,
                                    &want->negative_tokens[i], err);
        if (code == DR_OK) code = check_vocabulary(engine, pipeline->text[i], err);
    }
    return code;
}

/* All that a forecast needs as well: everything but the output and the tokens. */
enum dr_code forecast_request(struct dr_engine *engine,
                              const struct dr_generate_options *options,
                              struct job_request *want, struct dr_error *err)
{
    *want = (struct job_request){.wants_text = true,
                                 .wants_sample = true,
                                 .wants_encode = options->init != NULL,
                                 .guided = options->cfg > 1.0,
                                 .cfg = (float)options->cfg,
                                 .clip_skip = options->clip_skip,
                                 .rng = options->rng,
                                 .init = options->init,
                                 .output = options->output,
                                 .prompt = options->prompt ? options->prompt : "",
                                 .negative = options->negative ? options->negative : "",
                                 .strength = options->strength,
                                 .batch = options->batch,
                                 .bits = options->bits,
                                 .quality = options->quality,
                                 .profile = options->profile != 0,
                                 .progress = options->progress,
                                 .progress_cookie = options->progress_cookie,
                                 .image = options->image,
                                 .image_cookie = options->image_cookie};
    if (!engine->pipeline) return error_set(err, DR_NOT_FOUND, "no model is loaded");
    enum dr_code code = check_numbers(options, err);
    if (code == DR_OK)
        code = check_picture_options(options->bits, options->quality, err);
    if (code == DR_OK) code = check_sampler(options, &want->sampler, err);
    const enum family family = engine->pipeline->checkpoint.family;
    if (code == DR_OK) code = pick_size(options, family, want, err);
    if (code == DR_OK) code = pick_conditioning(options, family, want, err);
    if (code != DR_OK) return code;
    want->output_is_latent = options->output && is_latent_path(options->output);
    want->wants_decode = !want->output_is_latent || options->image;
    want->seed = options->seed >= 0 ? options->seed : random_seed();
    want->sampler.steps = options->steps;
    want->sampler.prediction =
        options->prediction == DR_PREDICTION_AUTO ? engine->pipeline->prediction
        : options->prediction == DR_PREDICTION_V  ? PREDICTION_V
                                                  : PREDICTION_EPSILON;
    want->sampler.zero_terminal_snr = engine->pipeline->zero_terminal_snr;
    want->sampler.image_to_image = options->init != NULL;
    want->sampler.strength = options->init ? (float)options->strength : 1.0F;
    want->sampler.count = (size_t)LATENT_CHANNELS *
                          (size_t)(want->width / LATENT_FACTOR) *
                          (size_t)(want->height / LATENT_FACTOR);
    size_t bytes;
    return sampler_bytes(&want->sampler, &bytes, err);
}

enum dr_code generate_request(struct dr_engine *engine,
                              const struct dr_generate_options *options,
                              struct job_request *want, struct dr_error *err)
{
    enum dr_code code = forecast_request(engine, options, want, err);
    if (code == DR_OK && options->output)
        code = check_output(options->output, options->bits, options->batch, false, err);
    return code == DR_OK ? tokenize(engine, want, err) : code;
}

static enum dr_code encode_request(const struct dr_codec_options *options,
                                   struct job_request *want, struct dr_error *err)
{
    const struct dr_generate_options size = {.width = options->width,
                                             .height = options->height,
                                             .init = options->input};
    want->init = options->input;
    const enum dr_code code =
        check_output(options->output, options->bits, 1, true, err);
    return code == DR_OK ? pick_size(&size, FAMILY_UNKNOWN, want, err) : code;
}

static enum dr_code decode_request(const struct dr_codec_options *options,
                                   struct job_request *want, struct dr_error *err)
{
    struct latent_head head;
    if (is_latent_path(options->output))
        return error_set(err, DR_BAD_INPUT,
                         "%.600s: decode writes a picture, .png or .jpg",
                         options->output);
    const enum dr_code code = latent_file_head(options->input, &head, err);
    if (code != DR_OK) return code;
    want->latent_input = options->input;
    want->batch = head.n;
    want->width = head.width * LATENT_FACTOR;
    want->height = head.height * LATENT_FACTOR;
    return check_output(options->output, options->bits, head.n, false, err);
}

enum dr_code codec_request(struct dr_engine *engine,
                           const struct dr_codec_options *options,
                           enum codec_direction direction, struct job_request *want,
                           struct dr_error *err)
{
    const bool encodes = direction == CODEC_ENCODE;
    *want = (struct job_request){.wants_encode = encodes,
                                 .wants_decode = !encodes,
                                 .batch = 1,
                                 .output = options->output,
                                 .output_is_latent = encodes,
                                 .bits = options->bits,
                                 .quality = options->quality,
                                 .profile = options->profile != 0,
                                 .progress = options->progress,
                                 .progress_cookie = options->progress_cookie};
    if (!engine->pipeline) return error_set(err, DR_NOT_FOUND, "no model is loaded");
    if (!options->input || !options->output)
        return error_set(err, DR_BAD_INPUT, "no %s file was given",
                         options->input ? "output" : "input");
    const enum dr_code code =
        check_picture_options(options->bits, options->quality, err);
    if (code != DR_OK) return code;
    return encodes ? encode_request(options, want, err)
                   : decode_request(options, want, err);
}
