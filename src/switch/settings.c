#define _XOPEN_SOURCE 700 /* realpath */

#include "switch/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "base/temporary_file.h"
#include "base/xdg.h"
#include "sampling/sampler.h"
#include "switch/setting_key.h"
#include "switch/settled_change.h"

#define KEY_VAE    "vae"
#define KEY_MODELS "vae_by_model"
#define KEY_FOLDER "vae_dir"
#define KEY_JOBS   "by_model"
#define ADVICE     "correct the file, or move it away"

static enum dr_code no_memory(struct dr_error *err, const char *name)
{
    return error_set(err, DR_NOMEM, "no memory for the settings in %.600s", name);
}

static const struct dr_defaults no_defaults = {.cfg = DR_CFG_DEFAULT};

struct dr_settings settings_none(void)
{
    return (struct dr_settings){.defaults = no_defaults,
                                .precision = DR_PRECISION_UNSET,
                                .weights = DR_WEIGHTS_UNSET};
}

/* ---- from text --------------------------------------------------------------------------- */

static const char *type_words(const json_t *value)
{
    if (json_is_object(value)) return "an object";
    if (json_is_array(value)) return "a list";
    if (json_is_number(value)) return "a number";
    if (json_is_boolean(value)) return "true or false";
    return json_is_string(value) ? "a text" : "null";
}

/* Before the JSON library frees or copies anything: a root that is an object. */
static enum dr_code load_text(json_t **root, const char *name, const char *text,
                              size_t bytes, struct dr_error *err)
{
    json_error_t fault;
    if (bytes > SETTINGS_MAX_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the settings %.500s have %zu bytes, of at most %d; " ADVICE,
                         name, bytes, SETTINGS_MAX_BYTES);
    *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (!*root && json_error_code(&fault) == json_error_out_of_memory)
        return no_memory(err, name);
    if (!*root)
        return error_set(err, DR_BAD_INPUT,
                         "the settings %.500s are damaged in line %d: %.160s; " ADVICE,
                         name, fault.line, fault.text);
    if (json_is_object(*root)) return DR_OK;
    const char *const words = type_words(*root);
    json_decref(*root);
    *root = NULL;
    return error_set(err, DR_BAD_INPUT,
                     "the settings %.500s are %s, not a JSON object; " ADVICE, name,
                     words);
}

/* The text of a member, that is not empty and shorter than a path may be. within: "" or the
 * key of the object that it is in. */
static enum dr_code take_text(const json_t *value, const char *name, const char *within,
                              const char *key, const char **text, struct dr_error *err)
{
    const char *const in = *within ? " in " : "";
    *text = json_string_value(value);
    if (!*text)
        return error_set(
            err, DR_BAD_INPUT,
            "the settings %.500s: \"%.80s\"%s%s is %s, not a string; " ADVICE, name,
            key, in, within, type_words(value));
    const size_t length = strlen(*text);
    if (length > 0 && length < DR_PATH_BYTES) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the settings %.500s: \"%.80s\"%s%s has %zu bytes, of 1 to %d; "
                     "remove the key, or " ADVICE,
                     name, key, in, within, length, DR_PATH_BYTES - 1);
}

/* A new entry for a model; NULL without memory. */
static struct dr_model_setting *add_model(struct dr_settings *settings,
                                          const char *model)
{
    struct dr_model_setting *const grown =
        realloc(settings->models, (settings->model_count + 1) * sizeof *grown);
    if (!grown) return NULL;
    settings->models = grown;
    struct dr_model_setting *const entry = &grown[settings->model_count];
    *entry = (struct dr_model_setting){.model = strdup(model), .defaults = no_defaults};
    if (!entry->model) return NULL;
    ++settings->model_count;
    return entry;
}

static enum dr_code take_models(struct dr_settings *settings, json_t *object,
                                const char *name, struct dr_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return error_set(
            err, DR_BAD_INPUT,
            "the settings %.500s: \"" KEY_MODELS
            "\" is %s, not an object such as {\"sd15\": \"none\"}; " ADVICE,
            name, type_words(object));
    json_object_foreach(object, key, value)
    {
        const char *text;
        const enum dr_code code = take_text(value, name, KEY_MODELS, key, &text, err);
        if (code != DR_OK) return code;
        struct dr_model_setting *const entry = add_model(settings, key);
        if (entry) entry->vae = strdup(text);
        if (!entry || !entry->vae) return no_memory(err, name);
    }
    return DR_OK;
}

static void warn_of_key(struct dr_settings *settings, const char *key)
{
    char *const text = settings->warnings;
    const size_t used = strlen(text);
    (void)snprintf(text + used, sizeof settings->warnings - used, "%s\"%.60s\"",
                   used ? ", " : "unknown keys in the settings: ", key);
}

/* within: "" or the model whose entry it is. */
static enum dr_code in_file(struct dr_error *err, const struct dr_error *why,
                            const char *name, const char *within)
{
    if (why->code == DR_NOMEM) return no_memory(err, name);
    return error_set(err, why->code, "the settings %.400s: %.400s%s%.100s; " ADVICE,
                     name, why->message, *within ? ", in " : "", within);
}

/* The scheduler goes with the sampler. */
static enum dr_code check_defaults(const struct dr_defaults *defaults, const char *name,
                                   const char *within, struct dr_error *err)
{
    struct dr_error why;
    enum sampler_kind sampler;
    enum schedule_kind schedule;
    if (!sampler_from_name(defaults->sampler, &sampler) ||
        !schedule_from_name(defaults->scheduler, &schedule) ||
        sampler_accepts(sampler, schedule))
        return DR_OK;
    error_set(&why, DR_BAD_INPUT, "the scheduler %s does not go with the sampler %s",
              defaults->scheduler, defaults->sampler);
    return in_file(err, &why, name, within);
}

static enum dr_code take_model_defaults(struct dr_settings *settings, json_t *object,
                                        const char *name, const char *model,
                                        struct dr_error *err)
{
    const char *text;
    json_t *value;
    struct dr_error why;
    if (!json_is_object(object))
        return error_set(err, DR_BAD_INPUT,
                         "the settings %.400s: \"%.80s\" in \"" KEY_JOBS
                         "\" is %s, not an object such as {\"steps\": 25}; " ADVICE,
                         name, model, type_words(object));
    struct dr_model_setting *const entry = add_model(settings, model);
    if (!entry) return no_memory(err, name);
    json_object_foreach(object, text, value)
    {
        const struct setting_key *const key = setting_key_find_of_model(text);
        if (!key)
            warn_of_key(settings, text);
        else if (setting_key_take(key, value, NULL, &entry->defaults, &why) != DR_OK)
            return in_file(err, &why, name, model);
    }
    return check_defaults(&entry->defaults, name, model, err);
}

static enum dr_code take_jobs(struct dr_settings *settings, json_t *object,
                              const char *name, struct dr_error *err)
{
    const char *model;
    json_t *value;
    enum dr_code code = DR_OK;
    if (!json_is_object(object))
        return error_set(err, DR_BAD_INPUT,
                         "the settings %.500s: \"" KEY_JOBS
                         "\" is %s, not an object such as {\"sd15\": {\"steps\": "
                         "25}}; " ADVICE,
                         name, type_words(object));
    json_object_foreach(object, model, value)
    {
        code = take_model_defaults(settings, value, name, model, err);
        if (code != DR_OK) break;
    }
    return code;
}

static enum dr_code take_member(struct dr_settings *settings, const char *name,
                                const char *key, json_t *value, struct dr_error *err)
{
    const bool is_vae = strcmp(key, KEY_VAE) == 0;
    const char *text;
    struct dr_error why;
    if (strcmp(key, KEY_MODELS) == 0) return take_models(settings, value, name, err);
    if (strcmp(key, KEY_JOBS) == 0) return take_jobs(settings, value, name, err);
    const struct setting_key *const known = setting_key_find(key);
    if (known)
        return setting_key_take(known, value, settings, &settings->defaults, &why) ==
                       DR_OK
                   ? DR_OK
                   : in_file(err, &why, name, "");
    if (!is_vae && strcmp(key, KEY_FOLDER) != 0) {
        warn_of_key(settings, key);
        return DR_OK;
    }
    const enum dr_code code = take_text(value, name, "", key, &text, err);
    if (code != DR_OK) return code;
    if (is_vae) {
        (void)snprintf(settings->vae, sizeof settings->vae, "%s", text);
        return DR_OK;
    }
    (void)settings_expand(text, settings->vae_folder);
    if (settings->vae_folder[0] == '/') return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the settings %.400s: \"" KEY_FOLDER
                     "\" is \"%.200s\", a relative path: give an absolute path",
                     name, text);
}

static enum dr_code take_root(struct dr_settings *settings, const char *name,
                              json_t *root, struct dr_error *err)
{
    const char *key;
    json_t *value;
    enum dr_code code = DR_OK;
    *settings = settings_none();
    json_object_foreach(root, key, value)
    {
        code = take_member(settings, name, key, value, err);
        if (code != DR_OK) break;
    }
    if (code == DR_OK) code = check_defaults(&settings->defaults, name, "", err);
    if (code != DR_OK) dr_settings_free(settings);
    return code;
}

enum dr_code settings_parse(struct dr_settings *settings, const char *name,
                            const char *text, size_t bytes, struct dr_error *err)
{
    json_t *root = NULL;
    *settings = (struct dr_settings){0};
    enum dr_code code = load_text(&root, name, text, bytes, err);
    if (code == DR_OK) code = take_root(settings, name, root, err);
    json_decref(root);
    return code;
}

void dr_settings_free(struct dr_settings *settings)
{
    if (!settings) return;
    for (size_t i = 0; i < settings->model_count; ++i) {
        free(settings->models[i].model);
        free(settings->models[i].vae);
    }
    for (size_t i = 0; i < settings->model_folder_count; ++i)
        free(settings->model_folders[i]);
    free(settings->model_folders);
    free(settings->models);
    *settings = (struct dr_settings){0};
}

char *settings_expand(const char *text, char out[static DR_PATH_BYTES])
{
    const char *const home = getenv("HOME");
    const bool is_home = text[0] == '~' && text[1] == '/' && home && *home == '/';
    (void)snprintf(out, DR_PATH_BYTES, "%s%s", is_home ? home : "",
                   is_home ? text + 1 : text);
    return out;
}

/* ---- whose entry ------------------------------------------------------------------------- */

/* Does the path end with the key, folder by folder, once `cut` bytes are off its end? */
static bool ends_with_key(const char *path, size_t cut, const char *key)
{
    const size_t length = strlen(path) - cut, key_length = strlen(key);
    if (key_length > length) return false;
    const size_t start = length - key_length;
    return strncmp(path + start, key, key_length) == 0 &&
           (start == 0 || (*key != '/' && path[start - 1] == '/'));
}

static bool path_matches(const char *path, const char *key)
{
    const char *const dot = strrchr(path_name(path), '.');
    const bool has_extension = dot && dot != path_name(path);
    return ends_with_key(path, 0, key) ||
           (has_extension && ends_with_key(path, strlen(dot), key));
}

/* given and real: two names of the checkpoint, without slashes at their ends. */
static bool key_matches(const char *key, const char *given, const char *real)
{
    struct stat of_key, of_model;
    if (path_matches(given, key) || path_matches(real, key)) return true;
    return key[0] == '/' && stat(key, &of_key) == 0 && stat(given, &of_model) == 0 &&
           of_key.st_dev == of_model.st_dev && of_key.st_ino == of_model.st_ino;
}

/* How much of a path a key says. */
struct closeness {
    size_t folder_count, length;
};

static struct closeness closeness_of(const char *key)
{
    struct closeness close = {.length = strlen(key)};
    for (; *key; ++key)
        close.folder_count += *key == '/';
    return close;
}

static bool is_closer(struct closeness a, struct closeness b)
{
    return a.folder_count != b.folder_count ? a.folder_count > b.folder_count
                                            : a.length > b.length;
}

void settings_plain_path(const char *path, char out[static DR_PATH_BYTES])
{
    (void)snprintf(out, DR_PATH_BYTES, "%s", path);
    for (size_t length = strlen(out); length > 1 && out[length - 1] == '/'; --length)
        out[length - 1] = '\0';
}

/* The closest entry that is, or is not, a choice of a VAE. */
static const struct dr_model_setting *find_entry(const struct dr_settings *settings,
                                                 const char *checkpoint, bool is_vae)
{
    char given[DR_PATH_BYTES], real[DR_PATH_BYTES];
    const struct dr_model_setting *best = NULL;
    if (!settings->model_count) return NULL;
    settings_plain_path(checkpoint, given);
    char *const resolved = realpath(given, NULL);
    settings_plain_path(resolved ? resolved : given, real);
    free(resolved);
    struct closeness closest = {0};
    for (size_t i = 0; i < settings->model_count; ++i) {
        char key[DR_PATH_BYTES];
        const struct dr_model_setting *const entry = &settings->models[i];
        const struct closeness close = closeness_of(settings_expand(entry->model, key));
        if ((entry->vae != NULL) != is_vae) continue;
        if (!is_closer(close, closest) || !key_matches(key, given, real)) continue;
        closest = close;
        best = entry;
    }
    return best;
}

const struct dr_model_setting *settings_for_model(const struct dr_settings *settings,
                                                  const char *checkpoint)
{
    return find_entry(settings, checkpoint, true);
}

const struct dr_defaults *settings_defaults_for_model(
    const struct dr_settings *settings, const char *checkpoint)
{
    const struct dr_model_setting *const entry =
        find_entry(settings, checkpoint, false);
    return entry ? &entry->defaults : NULL;
}

/* ---- a change ---------------------------------------------------------------------------- */

/* object[key] = text, or nothing for an empty text. */
static enum dr_code set_member(json_t *object, const char *key, const char *text,
                               struct dr_error *err)
{
    if (!*text) {
        (void)json_object_del(object, key);
        return DR_OK;
    }
    if (strlen(text) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "a string of %zu bytes for \"%.80s\": the settings allow %d",
                         strlen(text), key, DR_PATH_BYTES - 1);
    if (json_object_set_new(object, key, json_string(text)) == 0) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the settings must be UTF-8, but \"%.200s\" for \"%.200s\" is "
                     "not",
                     text, key);
}

static enum dr_code set_for_model(json_t *root, const char *name,
                                  const struct dr_settings_change *change,
                                  struct dr_error *err)
{
    json_t *models = json_object_get(root, KEY_MODELS);
    if (!*change->vae && !json_object_get(models, change->model))
        return error_set(err, DR_NOT_FOUND,
                         "the settings %.400s have no VAE for the model \"%.300s\"; "
                         "darkroom settings lists the entries",
                         name, change->model);
    if (!models) {
        models = json_object();
        if (json_object_set_new(root, KEY_MODELS, models) != 0)
            return no_memory(err, name);
    }
    const enum dr_code code = set_member(models, change->model, change->vae, err);
    if (json_object_size(models) == 0) (void)json_object_del(root, KEY_MODELS);
    return code;
}

static enum dr_code unknown_key(const char *key, bool is_of_model, struct dr_error *err)
{
    char names[DR_TEXT_BYTES];
    if (is_of_model && setting_key_find(key))
        return error_set(err, DR_BAD_INPUT,
                         "the setting %.80s applies to all models: omit the model, or "
                         "set size, steps, cfg, sampler or scheduler for it",
                         key);
    return error_set(err, DR_BAD_INPUT,
                     "there is no setting %.80s; the settings are vae, vae_dir, %s",
                     key, setting_key_names(names));
}

/* One setting, in the root or in the object of a model. */
static enum dr_code set_one(json_t *object, const struct dr_setting *setting,
                            bool is_of_model, struct dr_error *err)
{
    struct dr_settings scratch = settings_none();
    const struct setting_key *const key = is_of_model
                                              ? setting_key_find_of_model(setting->key)
                                              : setting_key_find(setting->key);
    if (!key) return unknown_key(setting->key, is_of_model, err);
    if (!*setting->value) {
        (void)json_object_del(object, setting->key);
        return DR_OK;
    }
    json_t *const value = setting_key_json(key, setting->value);
    if (!value)
        return error_set(err, DR_BAD_INPUT,
                         "the settings must be UTF-8, but \"%.200s\" for %s is not",
                         setting->value, key->name);
    const enum dr_code code =
        setting_key_take(key, value, &scratch, &scratch.defaults, err);
    dr_settings_free(&scratch);
    if (code != DR_OK) {
        json_decref(value);
        return code;
    }
    return json_object_set_new(object, setting->key, value) == 0
               ? DR_OK
               : error_set(err, DR_NOMEM, "no memory for the setting %s", key->name);
}

/* The object of a member, which is made where it is missing; NULL without memory. */
static json_t *member_object(json_t *object, const char *key)
{
    json_t *const member = json_object_get(object, key);
    if (member) return member;
    return json_object_set_new(object, key, json_object()) == 0
               ? json_object_get(object, key)
               : NULL;
}

static enum dr_code set_all(json_t *root, const char *name,
                            const struct dr_settings_change *change,
                            struct dr_error *err)
{
    json_t *const models = change->model ? member_object(root, KEY_JOBS) : NULL;
    json_t *const object =
        change->model ? (models ? member_object(models, change->model) : NULL) : root;
    enum dr_code code = object ? DR_OK : no_memory(err, name);
    for (size_t i = 0; i < change->setting_count && code == DR_OK; ++i)
        code = set_one(object, &change->settings[i], change->model != NULL, err);
    if (!models) return code;
    if (json_object_size(object) == 0) (void)json_object_del(models, change->model);
    if (json_object_size(models) == 0) (void)json_object_del(root, KEY_JOBS);
    return code;
}

static enum dr_code change_root(json_t *root, const char *name,
                                const struct dr_settings_change *change,
                                struct dr_error *err)
{
    enum dr_code code = DR_OK;
    if (change->setting_count) code = set_all(root, name, change, err);
    if (code != DR_OK) return code;
    if (change->vae && change->model)
        code = set_for_model(root, name, change, err);
    else if (change->vae)
        code = set_member(root, KEY_VAE, change->vae, err);
    if (code == DR_OK && change->vae_folder)
        code = set_member(root, KEY_FOLDER, change->vae_folder, err);
    return code;
}

/* What was changed goes with what was there. */
static enum dr_code check_edited(const char *name, const char *text,
                                 struct dr_error *err)
{
    struct dr_settings after;
    const enum dr_code code = settings_parse(&after, name, text, strlen(text), err);
    dr_settings_free(&after);
    return code;
}

enum dr_code settings_edit(const char *name, const char *text, size_t bytes,
                           const struct dr_settings_change *change, char **out,
                           struct dr_error *err)
{
    struct dr_settings checked;
    json_t *root = NULL;
    enum dr_code code = DR_OK;
    *out = NULL;
    if (bytes) code = load_text(&root, name, text, bytes, err);
    if (code == DR_OK && !root) root = json_object();
    if (code == DR_OK && !root) code = no_memory(err, name);
    if (code == DR_OK) code = take_root(&checked, name, root, err);
    if (code == DR_OK) {
        dr_settings_free(&checked);
        code = change_root(root, name, change, err);
    }
    if (code == DR_OK) {
        *out = json_dumps(root, JSON_INDENT(2));
        if (!*out) code = no_memory(err, name);
    }
    if (code == DR_OK) code = check_edited(name, *out, err);
    if (code != DR_OK) {
        free(*out);
        *out = NULL;
    }
    json_decref(root);
    return code;
}

/* ---- the file ---------------------------------------------------------------------------- */

/* "" where the environment gives no place. */
static void find_path(const char *said, char path[static DR_PATH_BYTES])
{
    if (said)
        (void)snprintf(path, DR_PATH_BYTES, "%s", said);
    else
        (void)xdg_path(XDG_CONFIG, "settings.json", path, DR_PATH_BYTES);
}

struct file_text {
    char *bytes; /* malloc'ed; NULL: there is no file */
    size_t count;
};

static enum dr_code unreadable(struct dr_error *err, int errno_value, const char *path)
{
    return error_set(err, DR_BAD_INPUT,
                     "the settings %.600s cannot be read (%s); " ADVICE, path,
                     strerror(errno_value));
}

static enum dr_code read_open(struct file_text *text, const char *path, int descriptor,
                              struct dr_error *err)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0) return unreadable(err, errno, path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, DR_BAD_INPUT,
                         "the settings %.600s are not a regular file; " ADVICE, path);
    if (status.st_size > SETTINGS_MAX_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the settings %.600s have %lld bytes, of at most %d; " ADVICE,
                         path, (long long)status.st_size, SETTINGS_MAX_BYTES);
    const size_t room = (size_t)status.st_size;
    text->bytes = malloc(room + 1);
    if (!text->bytes) return no_memory(err, path);
    while (text->count < room) {
        const ssize_t got =
            read(descriptor, text->bytes + text->count, room - text->count);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return unreadable(err, errno, path);
        if (got == 0) break;
        text->count += (size_t)got;
    }
    return DR_OK;
}

static enum dr_code read_text(struct file_text *text, const char *path,
                              struct dr_error *err)
{
    *text = (struct file_text){0};
    if (!*path) return DR_OK;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        const int refused = errno;
        if (!path_is_taken(path)) return DR_OK;
        errno = refused; /* a link to nothing */
    }
    if (descriptor < 0) return unreadable(err, errno, path);
    const enum dr_code code = read_open(text, path, descriptor, err);
    (void)close(descriptor);
    if (code == DR_OK) return DR_OK;
    free(text->bytes);
    *text = (struct file_text){0};
    return code;
}

static enum dr_code take_file(struct dr_settings *settings, const char *path,
                              const struct file_text *text, struct dr_error *err)
{
    *settings = settings_none();
    if (text->bytes) {
        const enum dr_code code =
            settings_parse(settings, path, text->bytes, text->count, err);
        if (code != DR_OK) return code;
    }
    settings->exists = text->bytes != NULL;
    (void)snprintf(settings->path, sizeof settings->path, "%s", path);
    return DR_OK;
}

static enum dr_code check_path(const char *path, struct dr_error *err)
{
    if (!path || strlen(path) < DR_PATH_BYTES) return DR_OK;
    return error_set(err, DR_BAD_INPUT, "the settings' path is longer than %d bytes",
                     DR_PATH_BYTES - 1);
}

enum dr_code dr_settings_read(const char *said, struct dr_settings *settings,
                              struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    struct file_text text;
    *settings = settings_none();
    enum dr_code code = check_path(said, err);
    if (code != DR_OK) return code;
    find_path(said, path);
    code = read_text(&text, path, err);
    if (code == DR_OK) code = take_file(settings, path, &text, err);
    free(text.bytes);
    return code;
}

static enum dr_code write_text(const char *path, const char *text, struct dr_error *err)
{
    struct temporary_file file = TEMPORARY_FILE_INIT;
    char target[DR_PATH_BYTES];
    (void)snprintf(target, sizeof target, "%s", path);
    (void)!xdg_make_above(target); /* what fails is told when the file is opened */
    enum dr_code code = temporary_file_open(&file, path, err);
    if (code == DR_OK) code = temporary_file_write(&file, text, strlen(text), err);
    if (code == DR_OK) code = temporary_file_write(&file, "\n", 1, err);
    if (code == DR_OK) code = temporary_file_commit(&file, err);
    temporary_file_discard(&file);
    return code;
}

/* ---- changing the file ------------------------------------------------------------------- */

static enum dr_code edit_settled(const char *path, const struct file_text *text,
                                 const struct dr_settings_change *change,
                                 const struct settled_change *settled, char **edited,
                                 struct dr_error *err)
{
    const enum dr_code code =
        settings_edit(path, text->bytes, text->count, &settled->plain, edited, err);
    if (code != DR_NOT_FOUND) return code;
    /* An entry is removed by what it is called in the file, whatever lies here. */
    struct dr_settings_change as_said = settled->plain;
    as_said.model = change->model;
    return settings_edit(path, text->bytes, text->count, &as_said, edited, NULL) ==
                   DR_OK
               ? DR_OK
               : code;
}

/* The old text to the new one, both in words that hold anywhere. */
static enum dr_code change_file(const char *path, const struct file_text *text,
                                const struct dr_settings_change *change,
                                struct settled_change *settled, struct dr_error *err)
{
    struct dr_settings now;
    char *edited = NULL;
    enum dr_code code = take_file(&now, path, text, err);
    if (code != DR_OK) return code;
    code = settled_change_make(settled, change, &now, err);
    dr_settings_free(&now);
    if (code == DR_OK) code = edit_settled(path, text, change, settled, &edited, err);
    if (code == DR_OK) code = write_text(path, edited, err);
    free(edited);
    return code;
}

static void add_warning(struct dr_settings *settings, const char *warning)
{
    const size_t used = strlen(settings->warnings);
    (void)snprintf(settings->warnings + used, sizeof settings->warnings - used, "%s%s",
                   used && *warning ? "; " : "", warning);
}

enum dr_code dr_settings_change(const char *said,
                                const struct dr_settings_change *change,
                                struct dr_settings *after, struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    struct file_text text = {0};
    if (after) *after = (struct dr_settings){0};
    if (change->model && !change->vae && !change->setting_count)
        return error_set(err, DR_BAD_INPUT,
                         "a model, but nothing to set for it: give a VAE, a size, "
                         "steps, cfg, a sampler or a scheduler");
    enum dr_code code = check_path(said, err);
    if (code != DR_OK) return code;
    find_path(said, path);
    if (!*path)
        return error_set(err, DR_BAD_INPUT,
                         "there is no directory for settings: neither "
                         "XDG_CONFIG_HOME nor HOME is an absolute path");
    struct settled_change *const settled = calloc(1, sizeof *settled);
    if (!settled) return no_memory(err, path);
    code = read_text(&text, path, err);
    if (code == DR_OK) code = change_file(path, &text, change, settled, err);
    if (code == DR_OK && after) code = dr_settings_read(path, after, err);
    if (code == DR_OK && after) add_warning(after, settled->warning);
    free(text.bytes);
    settled_change_finish(settled);
    free(settled);
    return code;
}
