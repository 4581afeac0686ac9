#include "service/picture_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/member.h"
#include "service/failure.h"

/* The largest whole number that every reader of JSON keeps exact (RFC 8259, 6): 2^53 - 1. A larger seed is written as
 * text. */
#define EXACT_IN_JSON ((UINT64_C(1) << 53) - 1)

static const char *const kind_names[] = {"txt2img", "img2img", "upscale"};
static const char *const format_names[] = {"png", "jpeg"};
static const char *const emphasis_names[] = {"original", "no-norm", "ignore"};
static const char *const resize_names[] = {"stretch", "crop", "fill"};
#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *picture_kind_name(enum picture_kind kind)
{
    return kind_names[kind];
}

struct picture_request picture_request_default(void)
{
    return (struct picture_request){.prompt = strdup(""),
                                    .negative = strdup(""),
                                    .cfg = DR_CFG_DEFAULT,
                                    .sampling = dr_sampling_default(),
                                    .batch_size = 1,
                                    .batch_count = 1,
                                    .clip_skip = 1,
                                    .strength = 0.75,
                                    .model = strdup(""),
                                    .vae = strdup(""),
                                    .quality = 80,
                                    .keeps = true,
                                    .keep_alive_s = KEEP_ALIVE_DEFAULT};
}

void picture_request_finish(struct picture_request *request)
{
    if (!request) return;
    free(request->prompt);
    free(request->negative);
    free(request->styles);
    free(request->init);
    free(request->model);
    free(request->vae);
    *request = (struct picture_request){0};
}

/* ---- as JSON ----------------------------------------------------------------------------- */

json_t *picture_seed_json(uint64_t seed)
{
    char text[24];
    if (seed <= EXACT_IN_JSON) return json_integer((json_int_t)seed);
    snprintf(text, sizeof text, "%" PRIu64, seed);
    return json_string(text);
}

json_t *picture_styles_json(const struct picture_request *request)
{
    json_t *const styles = json_array();
    const char *at = request->styles ? request->styles : "";
    while (*at) {
        const size_t length = strcspn(at, "\n");
        (void)json_array_append_new(styles, json_stringn(at, length));
        at += length + (at[length] == '\n');
    }
    return styles;
}

/* What is open is left out. */
static void add_open(json_t *value, const struct picture_request *request)
{
    if (request->width > 0) member_set_integer(value, "width", request->width);
    if (request->height > 0) member_set_integer(value, "height", request->height);
    if (request->steps > 0) member_set_integer(value, "steps", request->steps);
    if (request->cfg >= 0) member_set_real(value, "cfg_scale", request->cfg);
    if (*request->sampler) member_set_text(value, "sampler_name", request->sampler);
    if (*request->scheduler) member_set_text(value, "scheduler", request->scheduler);
    if (request->upscale > 0) member_set_real(value, "upscale", request->upscale);
    if (request->init) member_set_text(value, "init", request->init);
    if (request->styles) member_set_text(value, "styles", request->styles);
    if (request->emphasis != DR_EMPHASIS_ORIGINAL)
        member_set_text(value, "emphasis", emphasis_names[request->emphasis]);
    if (request->pads) member_set_flag(value, "pad_prompts", 1);
    if (request->keep_alive_s != KEEP_ALIVE_DEFAULT)
        member_set_integer(value, "keep_alive", request->keep_alive_s);
}

/* What is usual is left out. The variation seed is there where it counts. */
static void add_sampling(json_t *value, const struct dr_sampling *sampling)
{
    const struct dr_sampling_field *field;
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        double number;
        memcpy(&number, (const char *)sampling + field->offset, sizeof number);
        if (number != field->usual) member_set_real(value, field->key, number);
    }
    if (sampling->variation_strength > 0)
        member_set(value, "subseed", picture_seed_json(sampling->variation_seed));
    if (sampling->seed_resize_width > 0) {
        member_set_integer(value, "seed_resize_from_w", sampling->seed_resize_width);
        member_set_integer(value, "seed_resize_from_h", sampling->seed_resize_height);
    }
    if (sampling->eta_seed_delta != 0)
        member_set_integer(value, "eta_noise_seed_delta", sampling->eta_seed_delta);
}

json_t *picture_request_json(const struct picture_request *request)
{
    json_t *const value = json_object();
    if (!value) return NULL;
    member_set_text(value, "kind", picture_kind_name(request->kind));
    member_set_text(value, "prompt", request->prompt);
    member_set_text(value, "negative_prompt", request->negative);
    add_open(value, request);
    member_set(value, "seed", picture_seed_json(request->seed));
    add_sampling(value, &request->sampling);
    member_set_integer(value, "batch_size", request->batch_size);
    member_set_integer(value, "n_iter", request->batch_count);
    member_set_integer(value, "clip_skip", request->clip_skip);
    member_set_real(value, "denoising_strength", request->strength);
    member_set_text(value, "resize", resize_names[request->resize]);
    member_set_text(value, "model", request->model);
    member_set_text(value, "vae", request->vae);
    member_set_text(value, "format", format_names[request->format]);
    member_set_integer(value, "quality", request->quality);
    member_set_flag(value, "save_images", request->keeps);
    member_set_text(value, "warnings", request->warnings);
    return value;
}

/* ---- from JSON --------------------------------------------------------------------------- */

/* Reading stops at the first member that is wrong. */
struct reading {
    const json_t *value;
    enum dr_code code;
    struct dr_error *err;
};

static void wrong(struct reading *reading, const char *name)
{
    reading->code =
        failure(reading->err, DR_CORRUPT,
                "a stored request has a wrong value for \"%s\"; it was written by "
                "another version, or changed by hand",
                name);
}

/* The member; NULL where it is missing, or where something was wrong before. */
static const json_t *member_of(const struct reading *reading, const char *name)
{
    return reading->code ? NULL : json_object_get(reading->value, name);
}

static void read_integer(struct reading *reading, const char *name, int32_t least,
                         int32_t *out)
{
    const json_t *const member = member_of(reading, name);
    if (!member) return;
    const json_int_t number = json_integer_value(member);
    if (!json_is_integer(member) || number < least || number > INT32_MAX)
        wrong(reading, name);
    else
        *out = (int32_t)number;
}

static void read_real(struct reading *reading, const char *name, double *out)
{
    const json_t *const member = member_of(reading, name);
    if (!member) return;
    if (!json_is_number(member) || !(json_number_value(member) >= 0))
        wrong(reading, name);
    else
        *out = json_number_value(member);
}

static void read_flag(struct reading *reading, const char *name, bool *out)
{
    const json_t *const member = member_of(reading, name);
    if (!member) return;
    if (!json_is_boolean(member))
        wrong(reading, name);
    else
        *out = json_is_true(member);
}

/* Replaces *out, which is malloc'ed or NULL. */
static void read_text(struct reading *reading, const char *name, char **out)
{
    const json_t *const member = member_of(reading, name);
    if (!member) return;
    if (!json_is_string(member)) {
        wrong(reading, name);
        return;
    }
    char *const copy = strdup(json_string_value(member));
    if (!copy)
        reading->code = failure_memory(reading->err, "a request");
    else {
        free(*out);
        *out = copy;
    }
}

static void read_short_text(struct reading *reading, const char *name, char *out,
                            size_t bytes)
{
    const json_t *const member = member_of(reading, name);
    if (!member) return;
    if (!json_is_string(member) || json_string_length(member) >= bytes)
        wrong(reading, name);
    else
        memcpy(out, json_string_value(member), json_string_length(member) + 1);
}

/* The place of the member's text in names, or fallback where it is missing. */
static int read_choice(struct reading *reading, const char *name,
                       const char *const *names, size_t count, int fallback)
{
    const json_t *const member = member_of(reading, name);
    if (!member) return fallback;
    const char *const text = json_string_value(member);
    for (size_t i = 0; text && i < count; ++i)
        if (strcmp(text, names[i]) == 0) return (int)i;
    wrong(reading, name);
    return fallback;
}

static void read_seed(struct reading *reading, const char *name, uint64_t *seed)
{
    const json_t *const member = member_of(reading, name);
    if (!member) return;
    if (json_is_integer(member) && json_integer_value(member) >= 0) {
        *seed = (uint64_t)json_integer_value(member);
        return;
    }
    const char *const text = json_string_value(member);
    char *end = NULL;
    errno = 0;
    const unsigned long long number = text ? strtoull(text, &end, 10) : 0;
    if (!text || *text < '0' || *text > '9' || *end || errno)
        wrong(reading, name);
    else
        *seed = number;
}

static void read_sampling(struct reading *reading, struct dr_sampling *sampling)
{
    const struct dr_sampling_field *field;
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        double number = field->usual;
        if (!member_of(reading, field->key)) continue;
        read_real(reading, field->key, &number);
        memcpy((char *)sampling + field->offset, &number, sizeof number);
    }
    read_seed(reading, "subseed", &sampling->variation_seed);
    read_integer(reading, "seed_resize_from_w", 0, &sampling->seed_resize_width);
    read_integer(reading, "seed_resize_from_h", 0, &sampling->seed_resize_height);
    read_integer(reading, "eta_noise_seed_delta", INT32_MIN, &sampling->eta_seed_delta);
}

static void read_all(struct reading *reading, struct picture_request *request)
{
    request->kind = (enum picture_kind)read_choice(reading, "kind", kind_names,
                                                   COUNT(kind_names), request->kind);
    read_text(reading, "prompt", &request->prompt);
    read_text(reading, "negative_prompt", &request->negative);
    read_text(reading, "styles", &request->styles);
    read_integer(reading, "width", 0, &request->width);
    read_integer(reading, "height", 0, &request->height);
    read_integer(reading, "steps", 0, &request->steps);
    read_real(reading, "cfg_scale", &request->cfg);
    read_short_text(reading, "sampler_name", request->sampler, sizeof request->sampler);
    read_short_text(reading, "scheduler", request->scheduler,
                    sizeof request->scheduler);
    read_seed(reading, "seed", &request->seed);
    read_sampling(reading, &request->sampling);
    read_integer(reading, "batch_size", 1, &request->batch_size);
    read_integer(reading, "n_iter", 1, &request->batch_count);
    read_integer(reading, "clip_skip", 1, &request->clip_skip);
    request->emphasis =
        (enum dr_emphasis)read_choice(reading, "emphasis", emphasis_names,
                                      COUNT(emphasis_names), request->emphasis);
    read_flag(reading, "pad_prompts", &request->pads);
    read_real(reading, "denoising_strength", &request->strength);
    request->resize =
        (enum picture_resize)read_choice(reading, "resize", resize_names,
                                         COUNT(resize_names), request->resize);
    read_real(reading, "upscale", &request->upscale);
    read_text(reading, "init", &request->init);
    read_text(reading, "model", &request->model);
    read_text(reading, "vae", &request->vae);
    request->format =
        (enum picture_format)read_choice(reading, "format", format_names,
                                         COUNT(format_names), request->format);
    read_integer(reading, "quality", 1, &request->quality);
    read_flag(reading, "save_images", &request->keeps);
    read_integer(reading, "keep_alive", KEEP_ALIVE_DEFAULT, &request->keep_alive_s);
    read_short_text(reading, "warnings", request->warnings, sizeof request->warnings);
}

enum dr_code picture_request_from_json(struct picture_request *request,
                                       const json_t *value, struct dr_error *err)
{
    if (!json_is_object(value))
        return failure(err, DR_CORRUPT, "a stored request is not an object of JSON");
    struct picture_request read = picture_request_default();
    struct reading reading = {.value = value, .err = err};
    if (read.prompt && read.negative && read.model && read.vae)
        read_all(&reading, &read);
    else
        reading.code = failure_memory(err, "a request");
    if (reading.code)
        picture_request_finish(&read);
    else
        *request = read;
    return reading.code;
}

/* ---- limits ------------------------------------------------------------------------------ */

/* A side that is open counts as one pixel: what it is, the model says when the job runs. */
static enum dr_code check_size(const struct picture_request *request,
                               const struct picture_limits *limits, const char **field,
                               struct dr_error *err)
{
    const int32_t width = request->width, height = request->height;
    *field = width < 0 || (height >= 0 && width >= height) ? "width" : "height";
    if (width < 0 || height < 0)
        return failure(err, DR_BAD_INPUT, "%s is %d: it must be at least 1", *field,
                       width < 0 ? width : height);
    if ((int64_t)(width > 0 ? width : 1) * (height > 0 ? height : 1) <=
        limits->most_pixels)
        return DR_OK;
    return failure(err, DR_BAD_INPUT,
                   "width %d and height %d are too large: this service makes "
                   "pictures of at most %" PRId64 " pixels",
                   width > 0 ? width : 1, height > 0 ? height : 1, limits->most_pixels);
}

static enum dr_code check_count(const struct picture_request *request,
                                const struct picture_limits *limits, const char **field,
                                struct dr_error *err)
{
    *field = "steps";
    if (request->steps < 0 || request->steps > limits->most_steps)
        return failure(err, DR_BAD_INPUT, "steps is %d: it must be from 1 to %d",
                       request->steps, limits->most_steps);
    *field = request->batch_size < 1 || request->batch_size > limits->most_batch
                 ? "batch_size"
                 : "n_iter";
    if (request->batch_size < 1 || request->batch_count < 1)
        return failure(err, DR_BAD_INPUT, "%s must be at least 1", *field);
    const int64_t pictures = (int64_t)request->batch_size * request->batch_count;
    if (pictures > limits->most_batch)
        return failure(err, DR_BAD_INPUT,
                       "batch_size %d times n_iter %d makes %" PRId64
                       " pictures; this service makes at most %d in a job",
                       request->batch_size, request->batch_count, pictures,
                       limits->most_batch);
    return DR_OK;
}

/* NaN is within no range. */
static bool is_within(double value, double least, double most)
{
    return value >= least && value <= most;
}

static enum dr_code check_reals(const struct picture_request *request,
                                const char **field, struct dr_error *err)
{
    *field = "cfg_scale";
    if (request->cfg != DR_CFG_DEFAULT && !is_within(request->cfg, 0, 1000))
        return failure(err, DR_BAD_INPUT, "cfg_scale is %g: it must be from 0 to 1000",
                       request->cfg);
    *field = "denoising_strength";
    if (!is_within(request->strength, 0, 1))
        return failure(err, DR_BAD_INPUT,
                       "denoising_strength is %g: it must be from 0 to 1",
                       request->strength);
    const struct dr_sampling_field *one;
    for (int32_t i = 0; (one = dr_sampling_field(i)) != NULL; ++i) {
        double value;
        memcpy(&value, (const char *)&request->sampling + one->offset, sizeof value);
        if (value == one->usual || is_within(value, one->least, one->most)) continue;
        *field = one->key;
        return failure(err, DR_BAD_INPUT, "%s is %g: it must be from %g to %g",
                       one->key, value, one->least, one->most);
    }
    *field = "upscale";
    if (request->upscale != 0 && !is_within(request->upscale, 1, 8))
        return failure(err, DR_BAD_INPUT, "upscale is %g: it must be from 1 to 8",
                       request->upscale);
    return DR_OK;
}

static enum dr_code check_prompts(const struct picture_request *request,
                                  const char **field, struct dr_error *err)
{
    const size_t prompt = strlen(request->prompt), negative = strlen(request->negative);
    const bool is_prompt = prompt > PICTURE_PROMPT_BYTES;
    *field = is_prompt ? "prompt" : "negative_prompt";
    if (!is_prompt && negative <= PICTURE_PROMPT_BYTES) return DR_OK;
    return failure(err, DR_BAD_INPUT, "%s has %zu bytes; this service takes at most %d",
                   *field, is_prompt ? prompt : negative, PICTURE_PROMPT_BYTES);
}

enum dr_code picture_request_check(const struct picture_request *request,
                                   const struct picture_limits *limits,
                                   const char **field, struct dr_error *err)
{
    const char *wrong_field = NULL;
    enum dr_code code = check_prompts(request, &wrong_field, err);
    if (!code) code = check_size(request, limits, &wrong_field, err);
    if (!code) code = check_count(request, limits, &wrong_field, err);
    if (!code) code = check_reals(request, &wrong_field, err);
    if (!code && (request->clip_skip < 1 || request->clip_skip > 12)) {
        wrong_field = "clip_skip";
        code = failure(err, DR_BAD_INPUT, "clip_skip is %d: it must be from 1 to 12",
                       request->clip_skip);
    }
    if (!code && (request->quality < 1 || request->quality > 100)) {
        wrong_field = "quality";
        code = failure(err, DR_BAD_INPUT, "quality is %d: it must be from 1 to 100",
                       request->quality);
    }
    if (!code && request->kind != PICTURE_TXT2IMG && !request->init) {
        wrong_field = "init_images";
        code = failure(err, DR_BAD_INPUT, "%s needs a picture to begin with",
                       picture_kind_name(request->kind));
    }
    if (field) *field = code ? wrong_field : NULL;
    return code;
}
