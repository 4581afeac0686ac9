#include "switch/setting_key.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "model/latent_space.h"
#include "sampling/sampler.h"
#include "switch/settings.h"

enum {
    LEAST_SIDE = 64,
    MOST_SIDE = 8192,
    MOST_CFG = 1000,
    MOST_FOLDERS = 64
};

/* Those of a model first. */
static const struct setting_key keys[] = {
    {"size",         SETTING_SIZE        },
    {"steps",        SETTING_STEPS       },
    {"cfg",          SETTING_CFG         },
    {"sampler",      SETTING_SAMPLER     },
    {"scheduler",    SETTING_SCHEDULER   },
    {"model",        SETTING_MODEL       },
    {"base",         SETTING_BASE        },
    {"model_dirs",   SETTING_MODEL_DIRS  },
    {"output_dir",   SETTING_OUTPUT_DIR  },
    {"styles",       SETTING_STYLES      },
    {"wildcard_dir", SETTING_WILDCARD_DIR},
    {"precision",    SETTING_PRECISION   },
    {"weights",      SETTING_WEIGHTS     },
    {"budget",       SETTING_BUDGET      },
    {"packs_limit",  SETTING_PACKS_LIMIT },
};
enum {
    KEY_COUNT = sizeof keys / sizeof *keys
};

const struct setting_key *setting_key_find(const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; ++i)
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

const struct setting_key *setting_key_find_of_model(const char *name)
{
    const struct setting_key *const key = setting_key_find(name);
    return key && key->kind <= SETTING_SCHEDULER ? key : NULL;
}

const char *setting_key_names(char text[static DR_TEXT_BYTES])
{
    text[0] = '\0';
    for (size_t i = 0; i < KEY_COUNT; ++i) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, DR_TEXT_BYTES - used, "%s%s", i ? ", " : "",
                       keys[i].name);
    }
    return text;
}

/* ---- from the file ----------------------------------------------------------------------- */

static enum dr_code refuse(const struct setting_key *key, const char *takes,
                           const json_t *value, struct dr_error *err)
{
    char *const text =
        json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    const enum dr_code code =
        error_set(err, DR_BAD_INPUT, "\"%s\" is %.100s; it takes %s", key->name,
                  text ? text : "no value", takes);
    free(text);
    return code;
}

static bool is_side(long pixels)
{
    return pixels >= LEAST_SIDE && pixels <= MOST_SIDE && pixels % LATENT_FACTOR == 0;
}

static enum dr_code take_size(const struct setting_key *key, const json_t *value,
                              struct dr_defaults *defaults, struct dr_error *err)
{
    const char *const text = json_is_string(value) ? json_string_value(value) : "";
    char *end;
    const long width = *text >= '1' && *text <= '9' ? strtol(text, &end, 10) : 0;
    const bool has_both = width && *end == 'x' && end[1] >= '1' && end[1] <= '9';
    const long height = has_both ? strtol(end + 1, &end, 10) : 0;
    if (!is_side(width) || !is_side(height) || *end)
        return refuse(key,
                      "WIDTHxHEIGHT, such as \"768x512\": multiples of 8 from 64 to "
                      "8192",
                      value, err);
    defaults->width = (int32_t)width;
    defaults->height = (int32_t)height;
    return DR_OK;
}

static enum dr_code take_steps(const struct setting_key *key, const json_t *value,
                               struct dr_defaults *defaults, struct dr_error *err)
{
    const json_int_t steps = json_is_integer(value) ? json_integer_value(value) : 0;
    if (steps < 1 || steps > SAMPLER_MAX_STEPS)
        return refuse(key, "a whole number from 1 to 1000", value, err);
    defaults->steps = (int32_t)steps;
    return DR_OK;
}

static enum dr_code take_cfg(const struct setting_key *key, const json_t *value,
                             struct dr_defaults *defaults, struct dr_error *err)
{
    const double cfg = json_is_number(value) ? json_number_value(value) : -1.0;
    if (!(cfg >= 0.0 && cfg <= MOST_CFG))
        return refuse(key, "a number from 0 to 1000", value, err);
    defaults->cfg = cfg;
    return DR_OK;
}

static enum dr_code take_sampler(const struct setting_key *key, const json_t *value,
                                 struct dr_defaults *defaults, struct dr_error *err)
{
    char takes[DR_TEXT_BYTES] = "";
    enum sampler_kind kind;
    if (json_is_string(value) && sampler_from_name(json_string_value(value), &kind)) {
        (void)snprintf(defaults->sampler, sizeof defaults->sampler, "%s",
                       sampler_name(kind));
        return DR_OK;
    }
    for (int i = 0; i < SAMPLER_COUNT; ++i) {
        const size_t used = strlen(takes);
        (void)snprintf(takes + used, sizeof takes - used, "%s%s",
                       i == 0                   ? ""
                       : i == SAMPLER_COUNT - 1 ? " or "
                                                : ", ",
                       sampler_name((enum sampler_kind)i));
    }
    return refuse(key, takes, value, err);
}

static enum dr_code take_scheduler(const struct setting_key *key, const json_t *value,
                                   struct dr_defaults *defaults, struct dr_error *err)
{
    enum schedule_kind kind;
    if (!json_is_string(value) || !schedule_from_name(json_string_value(value), &kind))
        return refuse(key,
                      "normal, karras, exponential, sgm-uniform, leading, trailing or "
                      "lcm",
                      value, err);
    (void)snprintf(defaults->scheduler, sizeof defaults->scheduler, "%s",
                   schedule_name(kind));
    return DR_OK;
}

static bool is_path_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) > 0 &&
           json_string_length(value) < DR_PATH_BYTES;
}

static enum dr_code take_path(const struct setting_key *key, const json_t *value,
                              const char *takes, char path[static DR_PATH_BYTES],
                              struct dr_error *err)
{
    char expanded[DR_PATH_BYTES];
    if (is_path_text(value)) {
        (void)settings_expand(json_string_value(value), expanded);
        if (expanded[0] == '/') {
            (void)snprintf(path, DR_PATH_BYTES, "%s", expanded);
            return DR_OK;
        }
    }
    return refuse(key, takes, value, err);
}

static enum dr_code take_folder(const struct setting_key *key, const json_t *value,
                                char folder[static DR_PATH_BYTES], struct dr_error *err)
{
    return take_path(key, value, "absolute paths of directories", folder, err);
}

static enum dr_code take_model(const struct setting_key *key, const json_t *value,
                               char model[static DR_PATH_BYTES], struct dr_error *err)
{
    if (!is_path_text(value))
        return refuse(key, "the name or path of a model", value, err);
    (void)settings_expand(json_string_value(value), model);
    return DR_OK;
}

static enum dr_code take_folders(const struct setting_key *key, const json_t *value,
                                 struct dr_settings *settings, struct dr_error *err)
{
    const size_t count = json_array_size(value);
    char folder[DR_PATH_BYTES];
    if (!json_is_array(value) || count > MOST_FOLDERS)
        return refuse(key, "a list of at most 64 directories", value, err);
    settings->model_folders = calloc(count + 1, sizeof *settings->model_folders);
    if (!settings->model_folders)
        return error_set(err, DR_NOMEM, "no memory for \"%s\"", key->name);
    for (size_t i = 0; i < count; ++i) {
        const enum dr_code code =
            take_folder(key, json_array_get(value, i), folder, err);
        if (code != DR_OK) return code;
        settings->model_folders[i] = strdup(folder);
        if (!settings->model_folders[i])
            return error_set(err, DR_NOMEM, "no memory for \"%s\"", key->name);
        ++settings->model_folder_count;
    }
    return DR_OK;
}

static enum dr_code take_precision(const struct setting_key *key, const json_t *value,
                                   struct dr_settings *settings, struct dr_error *err)
{
    const char *const text = json_is_string(value) ? json_string_value(value) : "";
    if (strcmp(text, "auto") == 0)
        settings->precision = DR_PRECISION_AUTO;
    else if (strcmp(text, "bf16") == 0)
        settings->precision = DR_PRECISION_BF16;
    else if (strcmp(text, "f32") == 0)
        settings->precision = DR_PRECISION_F32;
    else
        return refuse(key, "auto, bf16 or f32", value, err);
    return DR_OK;
}

static enum dr_code take_weights(const struct setting_key *key, const json_t *value,
                                 struct dr_settings *settings, struct dr_error *err)
{
    static const char *const names[] = {"auto", "f32", "f16", "q8", "q4"};
    const char *const text = json_is_string(value) ? json_string_value(value) : "";
    for (int i = DR_WEIGHTS_AUTO; i < DR_WEIGHTS_UNSET; ++i)
        if (strcmp(text, names[i]) == 0) {
            settings->weights = (enum dr_weights)i;
            return DR_OK;
        }
    return refuse(key, "auto, f32, f16, q8 or q4", value, err);
}

static enum dr_code take_bytes(const struct setting_key *key, const json_t *value,
                               uint64_t *bytes, struct dr_error *err)
{
    size_t size = 0;
    if (json_is_integer(value) && json_integer_value(value) > 0)
        size = (size_t)json_integer_value(value);
    else if (!json_is_string(value) || !size_parse(json_string_value(value), &size))
        size = 0;
    if (size == 0) return refuse(key, "a size above 0, such as \"8G\"", value, err);
    *bytes = size;
    return DR_OK;
}

enum dr_code setting_key_take(const struct setting_key *key, const json_t *value,
                              struct dr_settings *settings,
                              struct dr_defaults *defaults, struct dr_error *err)
{
    switch (key->kind) {
    case SETTING_SIZE: return take_size(key, value, defaults, err);
    case SETTING_STEPS: return take_steps(key, value, defaults, err);
    case SETTING_CFG: return take_cfg(key, value, defaults, err);
    case SETTING_SAMPLER: return take_sampler(key, value, defaults, err);
    case SETTING_SCHEDULER: return take_scheduler(key, value, defaults, err);
    case SETTING_MODEL: return take_model(key, value, settings->model, err);
    case SETTING_BASE: return take_model(key, value, settings->base, err);
    case SETTING_MODEL_DIRS: return take_folders(key, value, settings, err);
    case SETTING_OUTPUT_DIR:
        return take_folder(key, value, settings->output_folder, err);
    case SETTING_STYLES:
        return take_path(key, value, "the absolute path of a file",
                         settings->styles_file, err);
    case SETTING_WILDCARD_DIR:
        return take_folder(key, value, settings->wildcard_folder, err);
    case SETTING_PRECISION: return take_precision(key, value, settings, err);
    case SETTING_WEIGHTS: return take_weights(key, value, settings, err);
    case SETTING_BUDGET: return take_bytes(key, value, &settings->budget_bytes, err);
    case SETTING_PACKS_LIMIT:
        return take_bytes(key, value, &settings->packs_limit_bytes, err);
    }
    return DR_OK;
}

/* ---- for the file ------------------------------------------------------------------------ */

/* The parts of "a:b", without empty ones. */
static json_t *split(const char *text)
{
    json_t *const list = json_array();
    while (list && *text) {
        const size_t length = strcspn(text, ":");
        if (length && json_array_append_new(list, json_stringn(text, length)) != 0) {
            json_decref(list);
            return NULL;
        }
        text += length + (text[length] == ':');
    }
    return list;
}

json_t *setting_key_json(const struct setting_key *key, const char *text)
{
    char *end;
    errno = 0;
    if (key->kind == SETTING_MODEL_DIRS) return split(text);
    if (key->kind == SETTING_STEPS) {
        const long long number = strtoll(text, &end, 10);
        if (end != text && !*end && !errno) return json_integer(number);
    }
    if (key->kind == SETTING_CFG) {
        const double number = strtod(text, &end);
        if (end != text && !*end && isfinite(number)) return json_real(number);
    }
    return json_string(text);
}
