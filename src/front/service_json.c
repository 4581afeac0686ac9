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

char *service_json_job(const struct service_job *job)
{
    char seed[24];
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
    if (job->seed) { /* as text: it may be above 2^63 */
        (void)snprintf(seed, sizeof seed, "%" PRIu64, *job->seed);
        member_set_text(body, "seed", seed);
    }
    set_text(overrides, "sd_model_checkpoint", job->model);
    set_text(overrides, "sd_vae", job->vae);
    member_set(body, "override_settings", overrides);
    char *const text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}
