#include "front/service_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/member.h"

static enum dr_code code_of_name(const char *name)
{
    static const enum dr_code codes[] = {
#define X(code, text, http, exit_code) DR_##code,
        DR_CODES(X)
#undef X
    };
    for (size_t i = 1; name && i < sizeof codes / sizeof *codes; ++i)
        if (strcmp(name, dr_code_name(codes[i])) == 0) return codes[i];
    return DR_FAILED;
}

static enum dr_code take_error(const json_t *value, int status, struct dr_error *err)
{
    const json_t *const error = json_object_get(value, "error");
    const char *const message = json_string_value(json_object_get(error, "message"));
    err->code = message
                    ? code_of_name(json_string_value(json_object_get(error, "code")))
                    : DR_CORRUPT;
    (void)snprintf(err->message, sizeof err->message, "%s%.900s",
                   message ? "the service says: "
                           : "what answers is no darkroom service: it says ",
                   message ? message : "nothing that can be read");
    if (!message) {
        const size_t length = strlen(err->message);
        (void)snprintf(err->message + length, sizeof err->message - length,
                       ", with status %d", status);
    }
    return err->code;
}

enum dr_code service_json_read(json_t *fields, int status, const char *text,
                               size_t byte_count, struct dr_error *err)
{
    json_t *const value = json_loadb(text, byte_count, 0, NULL);
    enum dr_code code = DR_OK;
    if (status / 100 != 2 || !json_is_object(value))
        code = take_error(value, status, err);
    else if (json_object_update(fields, value) != 0) {
        err->code = code = DR_NOMEM;
        (void)snprintf(err->message, sizeof err->message,
                       "out of memory for the service's answer");
    }
    json_decref(value);
    return code;
}

size_t service_json_show_expiry(json_t *fields, double now_s)
{
    json_t *const models = json_object_get(fields, "models"), *model;
    size_t idx;
    json_array_foreach(models, idx, model)
    {
        const json_t *const expires = json_object_get(model, "expires");
        const double left_s = json_number_value(expires) - now_s;
        member_set(model, "expires_in_ms",
                   json_is_number(expires) ? json_real(left_s > 0 ? left_s * 1e3 : 0)
                                           : json_null());
        (void)json_object_del(model, "expires");
    }
    return json_array_size(models);
}

const char *service_json_loaded(const json_t *fields, const char *said)
{
    const json_t *const models = json_object_get(fields, "models");
    for (size_t i = 0; i < json_array_size(models); ++i) {
        const json_t *const model = json_array_get(models, i);
        const char *const title = json_string_value(json_object_get(model, "model"));
        const char *const path = json_string_value(json_object_get(model, "path"));
        if (title && *said && strncmp(title, said, strlen(said)) == 0) return title;
        if (title && path && strcmp(path, said) == 0) return title;
    }
    return NULL;
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text) member_set_text(object, name, text);
}

static void set_number(json_t *object, const char *name, int32_t number)
{
    if (number > 0) member_set_integer(object, name, number);
}

/* As text: it may be above 2^63. */
static void set_seed(json_t *object, const char *name, uint64_t seed)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, seed);
    member_set_text(object, name, text);
}

/* What is usual is left out. */
static void set_sampling(json_t *body, const struct dr_sampling *sampling)
{
    const struct dr_sampling_field *field;
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        double value;
        memcpy(&value, (const char *)sampling + field->offset, sizeof value);
        if (value != field->usual) member_set_real(body, field->key, value);
    }
    if (sampling->variation_strength > 0)
        set_seed(body, "subseed", sampling->variation_seed);
    set_number(body, "seed_resize_from_w", sampling->seed_resize_width);
    set_number(body, "seed_resize_from_h", sampling->seed_resize_height);
    if (sampling->eta_seed_delta != 0)
        member_set_integer(body, "eta_noise_seed_delta", sampling->eta_seed_delta);
}

static void set_styles(json_t *body, const char *const *styles)
{
    json_t *const names = json_array();
    for (; *styles; ++styles)
        (void)json_array_append_new(names, json_string(*styles));
    member_set(body, "styles", names);
}

static void set_overrides(json_t *overrides, const struct service_job *job)
{
    static const char *const emphases[] = {NULL, "No norm", "Ignore"};
    set_text(overrides, "sd_model_checkpoint", job->model);
    set_text(overrides, "sd_vae", job->vae);
    set_text(overrides, "emphasis", emphases[job->emphasis]);
    if (job->pad_prompts) member_set_flag(overrides, "pad_cond_uncond", 1);
}

char *service_json_job(const struct service_job *job)
{
    json_t *const body = json_object(), *const overrides = json_object();
    set_text(body, "prompt", job->prompt);
    set_text(body, "negative_prompt", job->negative);
    set_text(body, "sampler_name", job->sampler);
    set_text(body, "scheduler", job->scheduler);
    set_number(body, "width", job->width);
    set_number(body, "height", job->height);
    set_number(body, "steps", job->steps);
    set_number(body, "clip_skip", job->clip_skip);
    set_number(body, "batch_size", job->batch);
    if (job->cfg >= 0) member_set_real(body, "cfg_scale", job->cfg);
    if (job->seed) set_seed(body, "seed", *job->seed);
    if (job->sampling) set_sampling(body, job->sampling);
    if (job->styles && job->styles[0]) set_styles(body, job->styles);
    set_overrides(overrides, job);
    member_set(body, "override_settings", overrides);
    char *const text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}
