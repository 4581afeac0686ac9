#include "weights/adapter_config.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_BYTES = 64,
    MODULE_BYTES = 256
};

static const json_t *find(const json_t *root, const char *prefix, const char *name)
{
    char key[KEY_BYTES];
    (void)snprintf(key, sizeof key, "%s%s", prefix, name);
    const json_t *const value = json_object_get(root, key);
    return json_is_null(value) ? NULL : value;
}

static enum dr_code read_alpha(const json_t *value, const char *name, float *alpha,
                               struct dr_error *err)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite((double)(float)number))
        return error_set(err, DR_CORRUPT, "the alpha of %.160s is not a number", name);
    if ((float)number == 0.0F)
        return error_set(err, DR_BAD_INPUT,
                         "the alpha of %.160s is 0, which programs read in different "
                         "ways; give it the rank for no scaling",
                         name);
    *alpha = (float)number;
    return DR_OK;
}

/* A name without a regular expression in it, with '_' for '.'. */
static bool flatten(const char *name, char out[static MODULE_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_.";
    const size_t bytes = strlen(name);
    if (bytes == 0 || bytes >= MODULE_BYTES || strspn(name, letters) != bytes)
        return false;
    for (size_t i = 0; i <= bytes; ++i)
        out[i] = name[i] == '.' ? '_' : name[i];
    return true;
}

static enum dr_code read_patterns(struct adapter_config *config, json_t *patterns,
                                  struct pool *pool, struct dr_error *err)
{
    const char *name;
    json_t *value;
    char module[MODULE_BYTES];
    enum dr_code code = DR_OK;
    if (!patterns) return DR_OK;
    if (!json_is_object(patterns))
        return error_set(err, DR_CORRUPT, "its alpha_pattern is no table");
    config->patterns =
        pool_alloc(pool, (json_object_size(patterns) + 1) * sizeof *config->patterns);
    if (!config->patterns) return error_set(err, DR_NOMEM, "no memory for a config");
    json_object_foreach(patterns, name, value)
    {
        struct adapter_alpha *const next = &config->patterns[config->pattern_count++];
        if (!flatten(name, module))
            return error_set(err, DR_UNSUPPORTED,
                             "its alpha_pattern \"%.160s\" is a regular expression, "
                             "which is not supported; names of modules are",
                             name);
        next->module = pool_string(pool, module);
        if (!next->module) return error_set(err, DR_NOMEM, "no memory for a config");
        code = read_alpha(value, name, &next->alpha, err);
        if (code) return code;
    }
    return DR_OK;
}

static enum dr_code read_root(struct adapter_config *config, const json_t *root,
                              const char *prefix, struct pool *pool,
                              struct dr_error *err)
{
    const json_t *alpha = find(root, prefix, "lora_alpha");
    if (!alpha) alpha = find(root, prefix, "alpha");
    enum dr_code code =
        alpha ? read_alpha(alpha, "its config", &config->alpha, err) : DR_OK;
    char key[KEY_BYTES];
    (void)snprintf(key, sizeof key, "%salpha_pattern", prefix);
    if (!code) code = read_patterns(config, json_object_get(root, key), pool, err);
    const json_t *const by_root = find(root, prefix, "use_rslora");
    config->by_root = by_root && json_is_true(by_root);
    return code;
}

enum dr_code adapter_config_parse(struct adapter_config *config, const char *text,
                                  size_t bytes, const char *prefix, struct pool *pool,
                                  struct dr_error *err)
{
    json_error_t fault;
    *config = (struct adapter_config){0};
    json_t *const root = json_loadb(text, bytes, 0, &fault);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, DR_CORRUPT,
                         "what PEFT says of it is no JSON object (line %d: %.100s)",
                         fault.line, root ? "another value" : fault.text);
    }
    const enum dr_code code = read_root(config, root, prefix, pool, err);
    json_decref(root);
    if (code) *config = (struct adapter_config){0};
    return code;
}

/* PEFT: the whole name, or what follows one of its dots. */
static bool ends_so(const char *module, const char *pattern)
{
    const size_t bytes = strlen(module), end = strlen(pattern);
    if (bytes < end || strcmp(module + bytes - end, pattern) != 0) return false;
    return bytes == end || module[bytes - end - 1] == '_';
}

float adapter_config_scale(const struct adapter_config *config, const char *module,
                           int32_t rank)
{
    float alpha = config->alpha;
    for (size_t i = 0; i < config->pattern_count; ++i)
        if (ends_so(module, config->patterns[i].module)) {
            alpha = config->patterns[i].alpha;
            break;
        }
    if (alpha == 0.0F) return 1.0F;
    return alpha / (config->by_root ? sqrtf((float)rank) : (float)rank);
}
