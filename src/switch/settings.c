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
#include "switch/vae_folder.h"
#include "switch/vae_resolution.h"

#define KEY_VAE    "vae"
#define KEY_MODELS "vae_by_model"
#define KEY_FOLDER "vae_dir"
#define ADVICE     "correct the file, or move it away"

static enum dr_code no_memory(struct dr_error *err, const char *name)
{
    return error_set(err, DR_NOMEM, "no memory for the settings in %.600s", name);
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
    settings->models = calloc(json_object_size(object) + 1, sizeof *settings->models);
    if (!settings->models) return no_memory(err, name);
    json_object_foreach(object, key, value)
    {
        const char *text;
        const enum dr_code code = take_text(value, name, KEY_MODELS, key, &text, err);
        if (code != DR_OK) return code;
        struct dr_model_setting *const entry =
            &settings->models[settings->model_count++];
        entry->model = strdup(key);
        entry->vae = strdup(text);
        if (!entry->model || !entry->vae) return no_memory(err, name);
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

static enum dr_code take_member(struct dr_settings *settings, const char *name,
                                const char *key, json_t *value, struct dr_error *err)
{
    const bool is_vae = strcmp(key, KEY_VAE) == 0;
    const char *text;
    if (strcmp(key, KEY_MODELS) == 0) return take_models(settings, value, name, err);
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
    *settings = (struct dr_settings){0};
    json_object_foreach(root, key, value)
    {
        code = take_member(settings, name, key, value, err);
        if (code != DR_OK) break;
    }
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

/* Without the slashes at its end. */
static void plain_path(const char *path, char out[static DR_PATH_BYTES])
{
    (void)snprintf(out, DR_PATH_BYTES, "%s", path);
    for (size_t length = strlen(out); length > 1 && out[length - 1] == '/'; --length)
        out[length - 1] = '\0';
}

const struct dr_model_setting *settings_for_model(const struct dr_settings *settings,
                                                  const char *checkpoint)
{
    char given[DR_PATH_BYTES], real[DR_PATH_BYTES];
    const struct dr_model_setting *best = NULL;
    if (!settings->model_count) return NULL;
    plain_path(checkpoint, given);
    char *const resolved = realpath(given, NULL);
    plain_path(resolved ? resolved : given, real);
    free(resolved);
    struct closeness closest = {0};
    for (size_t i = 0; i < settings->model_count; ++i) {
        char key[DR_PATH_BYTES];
        const struct dr_model_setting *const entry = &settings->models[i];
        const struct closeness close = closeness_of(settings_expand(entry->model, key));
        if (!is_closer(close, closest) || !key_matches(key, given, real)) continue;
        closest = close;
        best = entry;
    }
    return best;
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

static enum dr_code change_root(json_t *root, const char *name,
                                const struct dr_settings_change *change,
                                struct dr_error *err)
{
    enum dr_code code = DR_OK;
    if (change->vae && change->model)
        code = set_for_model(root, name, change, err);
    else if (change->vae)
        code = set_member(root, KEY_VAE, change->vae, err);
    if (code == DR_OK && change->vae_folder)
        code = set_member(root, KEY_FOLDER, change->vae_folder, err);
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
    *settings = (struct dr_settings){0};
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
    *settings = (struct dr_settings){0};
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

/* ---- words that mean the same wherever one stands ---------------------------------------- */

/* The whole path of one that may not be there yet: its folder's real path, where that is
 * there, else the working folder before it. */
static enum dr_code whole_path(const char *path, char out[static DR_PATH_BYTES],
                               struct dr_error *err)
{
    char folder[DR_PATH_BYTES];
    const char *const name = path_name(path);
    if (path[0] == '/' || (path[0] == '~' && path[1] == '/')) {
        (void)snprintf(out, DR_PATH_BYTES, "%s", path);
        return DR_OK;
    }
    (void)snprintf(folder, sizeof folder, "%.*s.", (int)(name - path), path);
    char *const real = realpath(folder, NULL);
    char *const here = real ? NULL : realpath(".", NULL);
    int length = -1;
    if (real)
        length =
            snprintf(out, DR_PATH_BYTES, "%s/%s", strcmp(real, "/") ? real : "", name);
    else if (here)
        length = snprintf(out, DR_PATH_BYTES, "%s/%s", here, path);
    const int refused = errno;
    const bool is_placed = real || here;
    free(real);
    free(here);
    if (!is_placed)
        return path_error_set(err, refused, "cannot find the absolute path of", path);
    if (length > 0 && length < DR_PATH_BYTES) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "%.600s has no absolute path of up to %d "
                     "bytes",
                     path, DR_PATH_BYTES - 1);
}

static bool is_there(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

/* A model that is named by a relative path to it. The end of a path stays what it is. */
static enum dr_code settle_model(const char *said, char out[static DR_PATH_BYTES],
                                 struct dr_error *err)
{
    if (!*said || strlen(said) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the model is %s; give its path, or the last components of "
                         "it",
                         *said ? "too long for a path" : "empty");
    plain_path(said, out);
    char plain[DR_PATH_BYTES];
    (void)snprintf(plain, sizeof plain, "%s", out);
    return strchr(plain, '/') && is_there(plain) ? whole_path(plain, out, err) : DR_OK;
}

/* A choice that is a file here. One that means nothing yet is taken, and said. */
static enum dr_code settle_choice(const char *said, const char *vae_folder,
                                  char out[static DR_PATH_BYTES],
                                  char warning[static DR_TEXT_BYTES],
                                  struct dr_error *err)
{
    char expanded[DR_PATH_BYTES];
    struct vae_resolution resolution;
    struct dr_error why = {0};
    if (strlen(said) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE choice is too long for a path: %zu bytes",
                         strlen(said));
    (void)snprintf(out, DR_PATH_BYTES, "%s", said);
    const struct vae_resolution_request request = {.choice =
                                                       settings_expand(said, expanded),
                                                   .checkpoint = "",
                                                   .vae_folder = vae_folder};
    const enum dr_code code = vae_resolve(&resolution, &request, &why);
    if (code == DR_NOT_FOUND || code == DR_IO) {
        (void)snprintf(warning, DR_TEXT_BYTES, "%.490s", why.message);
        return strchr(said, '/') ? whole_path(said, out, err) : DR_OK;
    }
    if (code != DR_OK) {
        if (err) *err = why;
        return code;
    }
    /* A name that is no file of the VAE folder, but one here, or a folder. */
    const size_t length = strlen(expanded);
    const char *const rest = resolution.path + length;
    const bool begins = strncmp(resolution.path, expanded, length) == 0;
    const bool is_here =
        resolution.is_explicit &&
        (strchr(said, '/') || (begins && (!*rest || strcmp(rest, "/vae") == 0)));
    return is_here ? whole_path(said, out, err) : DR_OK;
}

static enum dr_code settle_folder(const char *said, char out[static DR_PATH_BYTES],
                                  char warning[static DR_TEXT_BYTES],
                                  struct dr_error *err)
{
    char plain[DR_PATH_BYTES], expanded[DR_PATH_BYTES];
    struct stat status;
    if (strlen(said) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE directory is too long for a path: %zu bytes",
                         strlen(said));
    plain_path(said, plain);
    char *const real = plain[0] == '~' ? NULL : realpath(plain, NULL);
    const enum dr_code code = whole_path(real ? real : plain, out, err);
    free(real);
    if (code != DR_OK) return code;
    if (stat(settings_expand(out, expanded), &status) != 0) {
        const int refused = errno;
        if (refused != ENOENT || path_is_taken(expanded))
            return path_error_set(err, refused, "cannot read the VAE directory",
                                  expanded);
        (void)snprintf(warning, DR_TEXT_BYTES, "there is no directory %.460s yet", out);
    } else if (!S_ISDIR(status.st_mode)) {
        return error_set(err, DR_BAD_INPUT,
                         "the VAE directory %.600s is not a "
                         "directory",
                         out);
    }
    return DR_OK;
}

/* A change in words that hold anywhere: the strings of `plain` lie in this struct. */
struct settled_change {
    struct dr_settings_change plain;
    char model[DR_PATH_BYTES], vae[DR_PATH_BYTES], folder[DR_PATH_BYTES];
    char warning[DR_TEXT_BYTES];
};

static enum dr_code settle_change(struct settled_change *settled,
                                  const struct dr_settings_change *change,
                                  const struct dr_settings *now, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    settled->plain = *change;
    if (change->vae_folder && *change->vae_folder) {
        code =
            settle_folder(change->vae_folder, settled->folder, settled->warning, err);
        settled->plain.vae_folder = settled->folder;
    }
    if (code == DR_OK && change->model) {
        code = settle_model(change->model, settled->model, err);
        settled->plain.model = settled->model;
    }
    if (code == DR_OK && change->vae && *change->vae) {
        char changed[DR_PATH_BYTES], folder[DR_PATH_BYTES];
        const char *const said = settled->plain.vae_folder;
        vae_folder_find(NULL, said ? settings_expand(said, changed) : now->vae_folder,
                        folder, sizeof folder);
        code = settle_choice(change->vae, folder, settled->vae, settled->warning, err);
        settled->plain.vae = settled->vae;
    }
    return code;
}

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
    code = settle_change(settled, change, &now, err);
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
    if (change->model && !change->vae)
        return error_set(err, DR_BAD_INPUT,
                         "a model, but nothing to set for it: give a VAE, or remove "
                         "its entry");
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
    free(settled);
    return code;
}
