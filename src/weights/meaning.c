#include "weights/meaning.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/utf8.h"
#include "weights/checkpoint.h"
#include "weights/tensor_reader.h"
#include "weights/yaml_config.h"

enum {
    FINDING_BYTES = 1400,
    VALUE_SHOWN = 80, /* of a value in a message */
    LISTED_TENSORS = 3,
    MOST_FINDINGS =
        100, /* of a role, in a file that is none of ours: enough to refuse it */
    REFUSED_SHOWN = 760, /* of a finding in an error, beside what to do */
};

/* ---- the table ---- */

/* "0.012" is 0.0120; else by pattern. */
static bool value_is(const char *pattern, size_t pattern_bytes, const char *value)
{
    char text[256], *pattern_end, *value_end;
    if (pattern_bytes >= sizeof text) return false;
    memcpy(text, pattern, pattern_bytes);
    text[pattern_bytes] = '\0';
    const double wanted = strtod(text, &pattern_end), is = strtod(value, &value_end);
    if (*text && !*pattern_end && *value && !*value_end) {
        const double difference = wanted - is, size = wanted < 0 ? -wanted : wanted;
        return difference <= 1e-6 * size && -difference <= 1e-6 * size;
    }
    return fnmatch(text, value, 0) == 0;
}

static bool has_value(const struct meaning_rule *rule, const char *value)
{
    for (const char *at = rule->values; at;) {
        const char *const bar = strchr(at, '|');
        if (value_is(at, bar ? (size_t)(bar - at) : strlen(at), value)) return true;
        at = bar ? bar + 1 : NULL;
    }
    return !rule->values;
}

const struct meaning_rule *meaning_find(enum meaning_place place, const char *key,
                                        const char *value, bool *is_known)
{
    *is_known = false;
    for (size_t i = 0; i < meaning_rule_count; ++i) {
        const struct meaning_rule *const rule = &meaning_rules[i];
        if (rule->place != place || fnmatch(rule->key, key, 0) != 0) continue;
        /* A key's own rules come before a pattern's: what they leave out is refused. */
        if (*is_known && strpbrk(rule->key, "*?[")) return NULL;
        *is_known = true;
        if (has_value(rule, value)) return rule;
    }
    return NULL;
}

/* ---- findings ---- */

static enum dr_code no_memory(const struct checkpoint *checkpoint, struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the settings of %.600s",
                     checkpoint->file.path);
}

/* A finding quotes what a file says: no control characters, and no character that was cut. */
static void make_printable(char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        const size_t bytes = utf8_length(text, left);
        if (bytes <= 1 && (bytes == 0 || (unsigned char)*text < 0x20 || *text == 0x7f))
            *text = '?';
        text += bytes ? bytes : 1;
        left -= bytes ? bytes : 1;
    }
}

static bool has_enough(const struct meaning *meaning, int role)
{
    size_t count = 0;
    for (size_t i = 0; i < meaning->finding_count; ++i)
        if (meaning->findings[i].role == role) ++count;
    return count >= MOST_FINDINGS;
}

static enum dr_code add(struct checkpoint *checkpoint, int role, bool is_warning,
                        char *text, struct dr_error *err)
{
    struct meaning *const meaning = &checkpoint->meaning;
    if (has_enough(meaning, role)) return DR_OK;
    if (meaning->finding_count == meaning->finding_capacity) {
        const size_t capacity = 2 * meaning->finding_capacity + 8;
        struct meaning_finding *const grown =
            pool_grow(&checkpoint->pool, meaning->findings, meaning->finding_count,
                      capacity, sizeof grown[0]);
        if (!grown) return no_memory(checkpoint, err);
        meaning->findings = grown;
        meaning->finding_capacity = capacity;
    }
    make_printable(text);
    const char *const kept = pool_string(&checkpoint->pool, text);
    if (!kept) return no_memory(checkpoint, err);
    meaning->findings[meaning->finding_count++] =
        (struct meaning_finding){.role = role, .text = kept, .is_warning = is_warning};
    return DR_OK;
}

__attribute__((format(printf, 4, 0))) static enum dr_code add_text(
    struct checkpoint *checkpoint, int role, bool is_warning, const char *format,
    va_list arguments, struct dr_error *err)
{
    char text[FINDING_BYTES];
    (void)vsnprintf(text, sizeof text, format, arguments);
    return add(checkpoint, role, is_warning, text, err);
}

enum dr_code meaning_add(struct checkpoint *checkpoint, int role, struct dr_error *err,
                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const enum dr_code code = add_text(checkpoint, role, false, format, arguments, err);
    va_end(arguments);
    return code;
}

__attribute__((format(printf, 3, 4))) static enum dr_code warn(
    struct checkpoint *checkpoint, struct dr_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const enum dr_code code =
        add_text(checkpoint, ROLE_COUNT, true, format, arguments, err);
    va_end(arguments);
    return code;
}

/* ---- metadata and configs ---- */

/* Whose numbers a config changes; ROLE_COUNT: how the whole is run. */
static int role_of(enum config_kind config)
{
    switch (config) {
    case CONFIG_UNET: return ROLE_UNET;
    case CONFIG_VAE: return ROLE_VAE;
    case CONFIG_TEXT: return ROLE_TEXT;
    case CONFIG_TEXT2: return ROLE_TEXT2;
    case CONFIG_NONE:
    case CONFIG_PIPELINE:
    case CONFIG_SCHEDULER:
    case CONFIG_YAML:
    case CONFIG_KIND_COUNT: break;
    }
    return ROLE_COUNT;
}

static enum meaning_place place_of(enum config_kind config)
{
    static const enum meaning_place places[CONFIG_KIND_COUNT] = {
        [CONFIG_NONE] = MEANING_METADATA,
        [CONFIG_PIPELINE] = MEANING_PIPELINE_CONFIG,
        [CONFIG_UNET] = MEANING_UNET_CONFIG,
        [CONFIG_VAE] = MEANING_VAE_CONFIG,
        [CONFIG_TEXT] = MEANING_TEXT_CONFIG,
        [CONFIG_TEXT2] = MEANING_TEXT_CONFIG,
        [CONFIG_SCHEDULER] = MEANING_SCHEDULER_CONFIG,
        [CONFIG_YAML] = MEANING_YAML,
    };
    return places[config];
}

/* A key that is new to us and says nothing: a feature that is off. */
static bool is_off(const char *text)
{
    static const char *const values[] = {"",   "null", "false", "[]",
                                         "{}", "None", "False", "[null,null]"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; ++i)
        if (strcmp(text, values[i]) == 0) return true;
    return false;
}

/* Of a YAML file only the model is about the model. */
static bool is_about_model(const struct tensor_metadata *said)
{
    return said->config != CONFIG_YAML || strncmp(said->key, "model.", 6) == 0;
}

static enum dr_code look_at_text(struct checkpoint *checkpoint,
                                 const struct tensor_metadata *said,
                                 struct dr_error *err)
{
    bool is_known;
    const struct meaning_rule *const rule =
        meaning_find(place_of(said->config), said->key, said->text, &is_known);
    const char *const path =
        said->config_path ? said->config_path : checkpoint->file.path;
    const int role = role_of(said->config);
    if (rule && rule->verdict != MEANING_REFUSED) return DR_OK;
    if (rule)
        return meaning_add(checkpoint, role, err, "%.600s: %.200s is \"%.*s\": %s",
                           path, said->key, VALUE_SHOWN, said->text, rule->what);
    if (is_known)
        return meaning_add(checkpoint, role, err,
                           "%.600s: %.200s is \"%.*s\", which is not supported", path,
                           said->key, VALUE_SHOWN, said->text);
    if (is_off(said->text) || !is_about_model(said)) return DR_OK;
    return meaning_add(checkpoint, role, err,
                       "%.600s: %.200s is \"%.*s\", a key that darkroom does not know",
                       path, said->key, VALUE_SHOWN, said->text);
}

static enum dr_code look_at_texts(struct checkpoint *checkpoint, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (size_t i = 0; !code && i < checkpoint->file.metadata_count; ++i)
        code = look_at_text(checkpoint, &checkpoint->file.metadata[i], err);
    return code;
}

/* ---- configs and tensors together ---- */

/* A text encoder's config may run fewer layers than there are: the rest of them counts for nothing
 * in transformers. */
static enum dr_code look_at_layers(struct checkpoint *checkpoint,
                                   enum component_role role, enum config_kind config,
                                   struct dr_error *err)
{
    const char *const key = "num_hidden_layers";
    const struct component_index *const index = &checkpoint->components[role];
    const struct tensor_metadata *const said =
        tensor_file_config(&checkpoint->file, config, key);
    char layer[64];
    if (!said || said->text[strspn(said->text, "0123456789")] || !said->text[0])
        return DR_OK;
    (void)snprintf(layer, sizeof layer, "%s.%.20s.",
                   role == ROLE_TEXT ? "encoder.layers" : "transformer.resblocks",
                   said->text);
    for (size_t i = 0; i < index->count; ++i)
        if (strncmp(index->tensors[i].name, layer, strlen(layer)) == 0)
            return meaning_add(checkpoint, role, err,
                               "%.600s: %s is \"%.20s\", but the file has more layers",
                               said->config_path, key, said->text);
    return DR_OK;
}

/* Numbers of heads for each level, where neither they nor the heads' width is the same for all. */
static enum dr_code look_at_heads(struct checkpoint *checkpoint, struct dr_error *err)
{
    static const char *const keys[] = {"num_attention_heads", "attention_head_dim"};
    const struct tensor_file *const file = &checkpoint->file;
    if (tensor_file_metadata(file, "darkroom.unet.heads") ||
        tensor_file_metadata(file, "darkroom.unet.head_dim"))
        return DR_OK;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; ++i) {
        const struct tensor_metadata *const said =
            tensor_file_config(file, CONFIG_UNET, keys[i]);
        if (said && said->text[0] == '[')
            return meaning_add(checkpoint, ROLE_UNET, err,
                               "%.600s: %s is \"%.*s\": the levels differ in both "
                               "the number of heads and their width, which is not "
                               "supported",
                               said->config_path, keys[i], VALUE_SHOWN, said->text);
    }
    return DR_OK;
}

static enum dr_code look_at_structure(struct checkpoint *checkpoint,
                                      struct dr_error *err)
{
    enum dr_code code = look_at_layers(checkpoint, ROLE_TEXT, CONFIG_TEXT, err);
    if (!code) code = look_at_layers(checkpoint, ROLE_TEXT2, CONFIG_TEXT2, err);
    return code ? code : look_at_heads(checkpoint, err);
}

/* A single file may have NAME.yaml beside it. One that cannot be read is a finding. */
static enum dr_code read_yaml(struct checkpoint *checkpoint, struct dr_error *err)
{
    struct tensor_file *const file = &checkpoint->file;
    struct dr_error problem;
    if (file->shard_count != 1 || checkpoint->components[ROLE_UNET].count == 0)
        return DR_OK;
    struct tensor_list list = {.pool = &file->pool,
                               .metadata = file->metadata,
                               .metadata_count = file->metadata_count,
                               .metadata_capacity = file->metadata_count};
    const enum dr_code code = yaml_config_beside(&list, file->path, &problem);
    if (code == DR_OK) { /* else nothing of it counts */
        file->metadata = list.metadata;
        file->metadata_count = list.metadata_count;
        return DR_OK;
    }
    if (code == DR_NOMEM) return no_memory(checkpoint, err);
    return meaning_add(checkpoint, ROLE_COUNT, err, "%s", problem.message);
}

/* ---- tensors ---- */

static enum meaning_place place_of_role(enum component_role role)
{
    static const enum meaning_place places[] = {[ROLE_TEXT] = MEANING_TEXT,
                                                [ROLE_TEXT2] = MEANING_TEXT2,
                                                [ROLE_UNET] = MEANING_UNET,
                                                [ROLE_VAE] = MEANING_VAE};
    return places[role];
}

/* Tensors that nothing knows and that belong to nothing: the first few, for one warning. */
struct stray {
    char names[400];
    size_t count;
};

static void note_stray(struct stray *stray, const char *name)
{
    const size_t used = strlen(stray->names);
    if (stray->count++ < LISTED_TENSORS)
        (void)snprintf(stray->names + used, sizeof stray->names - used, "%s%.120s",
                       used ? ", " : "", name);
}

/* A tensor that is no weight of a component: what do the rules say? */
static enum dr_code look_at_tensor(struct checkpoint *checkpoint,
                                   const struct tensor *tensor, struct stray *stray,
                                   struct dr_error *err)
{
    bool is_known, is_inside;
    enum component_role role;
    char shape[TENSOR_SHAPE_TEXT];
    const char *const within =
        checkpoint_tensor_place(checkpoint, tensor->name, &role, &is_inside);
    const struct meaning_rule *rule = NULL;
    if (within) rule = meaning_find(place_of_role(role), within, "", &is_known);
    if (!rule && !is_inside)
        rule = meaning_find(MEANING_MARKER, tensor->name, "", &is_known);
    if (rule && rule->verdict != MEANING_REFUSED) return DR_OK;
    const bool is_marker = !strchr(tensor->name, '.') && !strchr(tensor->name, '/');
    if (!rule && !is_inside && !is_marker) {
        note_stray(stray, tensor->name);
        return DR_OK;
    }
    return meaning_add(checkpoint, is_inside ? (int)role : ROLE_COUNT, err,
                       "%.600s: tensor %.160s, %s %s: %s", checkpoint->file.path,
                       tensor->name, dtype_name(tensor->dtype),
                       tensor_shape_text(tensor, shape),
                       rule        ? rule->what
                       : is_inside ? "not a weight of this kind of network"
                                   : "a marker that darkroom does not know");
}

static enum dr_code look_at_tensors(struct checkpoint *checkpoint, struct dr_error *err)
{
    const struct tensor_file *const file = &checkpoint->file;
    struct stray stray = {0};
    enum dr_code code = DR_OK;
    for (size_t i = 0; !code && i < file->tensor_count; ++i)
        if (checkpoint->uses[i] == TENSOR_UNKNOWN)
            code = look_at_tensor(checkpoint, &file->tensors[i], &stray, err);
    if (code || stray.count == 0) return code;
    return warn(checkpoint, err,
                "%zu tensor%s of %.600s belong%s to no known component and %s "
                "ignored: %s%s",
                stray.count, stray.count == 1 ? "" : "s", file->path,
                stray.count == 1 ? "s" : "", stray.count == 1 ? "is" : "are",
                stray.names, stray.count > LISTED_TENSORS ? ", ..." : "");
}

/* ---- prediction and schedule ---- */

/* One place that may state the prediction, in the order of meaning.h. */
static const struct statement {
    enum config_kind config;
    const char *key;
    const char *marker; /* a tensor, in place of a key */
} predictions[] =
    {
        {CONFIG_NONE,      "darkroom.prediction",                                       NULL    },
        {CONFIG_NONE,      NULL,                                                        "v_pred"},
        {CONFIG_NONE,      "modelspec.prediction_type",                                 NULL    },
        {CONFIG_NONE,      "modelspec.predict_key",                                     NULL    },
        {CONFIG_YAML,      "model.params.parameterization",                             NULL    },
        {CONFIG_YAML,      "model.params.denoiser_config.params.scaling_config.target",
         NULL                                                                                   },
        {CONFIG_SCHEDULER, "prediction_type",                                           NULL    },
},
  schedules[] = {
      {CONFIG_NONE, "darkroom.zero_terminal_snr", NULL},
      {CONFIG_NONE, NULL, "ztsnr"},
      {CONFIG_SCHEDULER, "rescale_betas_zero_snr", NULL},
};

/* Its text, or NULL where it states nothing; *path says where. A marker's text is "v" or "true". */
static const char *stated(const struct checkpoint *checkpoint,
                          const struct statement *statement, const char **path)
{
    const struct tensor_file *const file = &checkpoint->file;
    *path = file->path;
    if (statement->marker)
        return !tensor_file_find(file, statement->marker) ? NULL
               : strcmp(statement->marker, "v_pred") == 0 ? "v"
                                                          : "true";
    const struct tensor_metadata *const said =
        tensor_file_config(file, statement->config, statement->key);
    if (!said || !*said->text || strcmp(said->text, "null") == 0) return NULL;
    if (said->config_path) *path = said->config_path;
    return said->text;
}

static bool says_v(const char *text)
{
    const char *const dot = strrchr(text, '.');
    return text[0] == 'v' || (dot && strcmp(dot, ".VScaling") == 0);
}

static bool says_true(const char *text)
{
    return strcmp(text, "true") == 0;
}

static const char *name_of(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The first statement counts; *source says where it is. */
static enum dr_code resolve(struct checkpoint *checkpoint,
                            const struct statement *statements, size_t count,
                            bool (*holds)(const char *text), bool *out,
                            const char **source, struct dr_error *err)
{
    const char *first = NULL, *path;
    char text[FINDING_BYTES];
    enum dr_code code = DR_OK;
    *out = false;
    *source = "default";
    for (size_t i = 0; !code && i < count; ++i) {
        const char *const says = stated(checkpoint, &statements[i], &path);
        const char *const key =
            statements[i].marker ? statements[i].marker : statements[i].key;
        if (!says) continue;
        if (first) {
            if (holds(says) != *out)
                code = warn(checkpoint, err,
                            "%.400s: %s says \"%.40s\", but %.300s takes precedence",
                            path, key, says, *source);
            continue;
        }
        first = says;
        *out = holds(says);
        (void)snprintf(text, sizeof text, "%s%s of %.400s",
                       statements[i].marker ? "tensor " : "", key, name_of(path));
        *source = pool_string(&checkpoint->pool, text);
        if (!*source) code = no_memory(checkpoint, err);
    }
    return code;
}

static enum dr_code resolve_all(struct checkpoint *checkpoint, struct dr_error *err)
{
    struct meaning *const meaning = &checkpoint->meaning;
    const struct tensor_metadata *const zeros =
        tensor_file_config(&checkpoint->file, CONFIG_PIPELINE,
                           "force_zeros_for_empty_prompt");
    const char *const said =
        tensor_file_metadata(&checkpoint->file, "darkroom.zeros_for_empty_prompt");
    const char *const text = said ? said : zeros ? zeros->text : "";
    meaning->encodes_empty_negative = strcmp(text, "false") == 0;
    const enum dr_code code =
        resolve(checkpoint, predictions, sizeof predictions / sizeof predictions[0],
                says_v, &meaning->predicts_v, &meaning->prediction_source, err);
    return code ? code
                : resolve(checkpoint, schedules, sizeof schedules / sizeof schedules[0],
                          says_true, &meaning->zero_terminal_snr,
                          &meaning->schedule_source, err);
}

/* ---- what enters the digests ---- */

/* " key=value" where the file says so and it is not what the network has anyway. */
static void append_text(char *out, size_t out_bytes, const struct tensor_file *file,
                        const char *key, const char *usual)
{
    const char *const text = tensor_file_metadata(file, key);
    const size_t used = strlen(out);
    if (!text || (usual && strcmp(text, usual) == 0)) return;
    (void)snprintf(out + used, out_bytes - used, "%s=%.256s ", key, text);
}

static enum dr_code note_meanings(struct checkpoint *checkpoint, struct dr_error *err)
{
    const struct meaning *const meaning = &checkpoint->meaning;
    const struct tensor_file *const file = &checkpoint->file;
    char texts[ROLE_COUNT][1024] = {0};
    (void)snprintf(texts[ROLE_UNET], sizeof texts[0], "%s%s",
                   meaning->predicts_v ? "prediction=v " : "",
                   meaning->zero_terminal_snr ? "zero_terminal_snr=true " : "");
    append_text(texts[ROLE_TEXT], sizeof texts[0], file, "darkroom.text.activation",
                "quick_gelu");
    append_text(texts[ROLE_TEXT2], sizeof texts[0], file, "darkroom.text2.activation",
                "gelu");
    append_text(texts[ROLE_VAE], sizeof texts[0], file, "darkroom.vae.latents_mean",
                NULL);
    append_text(texts[ROLE_VAE], sizeof texts[0], file, "darkroom.vae.latents_std",
                NULL);
    for (int role = 0; role < ROLE_COUNT; ++role) {
        const char *const kept = pool_string(&checkpoint->pool, texts[role]);
        if (!kept) return no_memory(checkpoint, err);
        checkpoint->components[role].meaning = kept;
    }
    return DR_OK;
}

/* ---- the files beside ---- */

/* One that is missing counts too: it may come. */
static void add_file(struct digest *digest, const char *path)
{
    struct stat status;
    const bool is_there = stat(path, &status) == 0;
    const uint64_t numbers[] = {
        is_there ? (uint64_t)status.st_dev : 0,
        is_there ? (uint64_t)status.st_ino : 0,
        is_there ? (uint64_t)status.st_size : 0,
        is_there ? (uint64_t)status.st_mtim.tv_sec : 0,
        is_there ? (uint64_t)status.st_mtim.tv_nsec : 0,
    };
    digest_add(digest, numbers, sizeof numbers);
}

/* False without memory. */
static bool look_at_files(const struct checkpoint *checkpoint,
                          uint8_t out[static DIGEST_BYTES])
{
    const struct tensor_file *const file = &checkpoint->file;
    struct pool pool = {0};
    struct digest digest;
    const char *last = "";
    const char *const yaml = yaml_config_path(&pool, file->path);
    digest_init(&digest);
    if (yaml) add_file(&digest, yaml);
    for (size_t i = 0; i < file->metadata_count; ++i) {
        const char *const path = file->metadata[i].config_path;
        if (path && strcmp(path, last) != 0) add_file(&digest, path);
        if (path) last = path;
    }
    digest_end(&digest, out);
    pool_finish(&pool);
    return yaml != NULL;
}

bool meaning_is_current(const struct checkpoint *checkpoint)
{
    uint8_t now[DIGEST_BYTES];
    return look_at_files(checkpoint, now) &&
           memcmp(now, checkpoint->meaning.files, sizeof now) == 0;
}

/* ---- the whole ---- */

enum dr_code meaning_read(struct checkpoint *checkpoint, struct dr_error *err)
{
    enum dr_code code = read_yaml(checkpoint, err);
    if (!code && !look_at_files(checkpoint, checkpoint->meaning.files))
        code = no_memory(checkpoint, err);
    if (!code) code = look_at_tensors(checkpoint, err);
    if (!code) code = look_at_texts(checkpoint, err);
    if (!code) code = look_at_structure(checkpoint, err);
    if (!code) code = resolve_all(checkpoint, err);
    return code ? code : note_meanings(checkpoint, err);
}

enum dr_code meaning_check(const struct checkpoint *checkpoint, unsigned roles,
                           bool force, char *warnings, size_t warnings_bytes,
                           struct dr_error *err)
{
    const struct meaning *const meaning = &checkpoint->meaning;
    const char *refused = NULL;
    char more[64] = "";
    size_t refused_count = 0;
    if (warnings_bytes > 0) warnings[0] = '\0';
    for (size_t i = 0; i < meaning->finding_count; ++i) {
        const struct meaning_finding *const finding = &meaning->findings[i];
        if (!(roles & 1U << finding->role)) continue;
        if (!finding->is_warning && !force) {
            if (refused_count++ == 0) refused = finding->text;
            continue;
        }
        const size_t used = warnings_bytes > 0 ? strlen(warnings) : 0;
        if (used < warnings_bytes)
            (void)snprintf(warnings + used, warnings_bytes - used, "%s%s",
                           used ? "; " : "", finding->text);
    }
    if (warnings_bytes > 0) /* no character in parts */
        warnings[utf8_cut(warnings, strlen(warnings))] = '\0';
    if (refused_count == 0) return DR_OK;
    const size_t refused_bytes = strlen(refused);
    const size_t shown =
        utf8_cut(refused,
                 refused_bytes < REFUSED_SHOWN ? refused_bytes : REFUSED_SHOWN);
    if (refused_count > 1)
        (void)snprintf(more, sizeof more, " (and %zu more such finding%s)",
                       refused_count - 1, refused_count > 2 ? "s" : "");
    return error_set(err, DR_UNSUPPORTED,
                     "%.*s%s. Without it the picture would be different; --force "
                     "ignores it",
                     (int)shown, refused, more);
}
