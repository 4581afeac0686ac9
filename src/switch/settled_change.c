#define _XOPEN_SOURCE 700 /* realpath */

#include "switch/settled_change.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "switch/setting_key.h"
#include "switch/settings.h"
#include "switch/vae_folder.h"
#include "switch/vae_resolution.h"

static enum dr_code out_of_memory(struct dr_error *err, const char *what)
{
    return error_set(err, DR_NOMEM, "no memory for %.200s", what);
}

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

/* A model given by a relative path. If it is only the end of a path, it does not change. */
static enum dr_code settle_model(const char *said, char out[static DR_PATH_BYTES],
                                 struct dr_error *err)
{
    if (!*said || strlen(said) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the model is %s; give its path, or the last components of "
                         "it",
                         *said ? "too long for a path" : "empty");
    settings_plain_path(said, out);
    char plain[DR_PATH_BYTES];
    (void)snprintf(plain, sizeof plain, "%s", out);
    return strchr(plain, '/') && is_there(plain) ? whole_path(plain, out, err) : DR_OK;
}

/* A choice that is a file here. A choice that resolves to nothing yet is accepted with a warning. */
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

/* what: "VAE directory". */
static enum dr_code settle_folder(const char *what, const char *said,
                                  char out[static DR_PATH_BYTES],
                                  char warning[static DR_TEXT_BYTES],
                                  struct dr_error *err)
{
    char plain[DR_PATH_BYTES], expanded[DR_PATH_BYTES], reading[64];
    struct stat status;
    (void)snprintf(reading, sizeof reading, "cannot read the %s", what);
    if (strlen(said) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT, "the %s is too long for a path: %zu bytes",
                         what, strlen(said));
    settings_plain_path(said, plain);
    char *const real = plain[0] == '~' ? NULL : realpath(plain, NULL);
    const enum dr_code code = whole_path(real ? real : plain, out, err);
    free(real);
    if (code != DR_OK) return code;
    if (stat(settings_expand(out, expanded), &status) != 0) {
        const int refused = errno;
        if (refused != ENOENT || path_is_taken(expanded))
            return path_error_set(err, refused, reading, expanded);
        (void)snprintf(warning, DR_TEXT_BYTES, "there is no directory %.460s yet", out);
    } else if (!S_ISDIR(status.st_mode)) {
        return error_set(err, DR_BAD_INPUT, "the %s %.600s is not a directory", what,
                         out);
    }
    return DR_OK;
}

/* A file of styles, which may come later. */
static enum dr_code settle_file(const char *said, char out[static DR_PATH_BYTES],
                                char warning[static DR_TEXT_BYTES],
                                struct dr_error *err)
{
    char expanded[DR_PATH_BYTES];
    if (strlen(said) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the file of styles is too long for a path: %zu bytes",
                         strlen(said));
    const enum dr_code code = whole_path(said, out, err);
    if (code == DR_OK && !is_there(settings_expand(out, expanded)))
        (void)snprintf(warning, DR_TEXT_BYTES, "there is no file %.460s yet", out);
    return code;
}

void settled_change_finish(struct settled_change *settled)
{
    for (size_t i = 0; settled->texts && i < settled->plain.setting_count; ++i)
        free(settled->texts[i]);
    free(settled->texts);
    free(settled->settings);
}

/* "a:b": the whole path of each. */
static enum dr_code settle_folders(struct settled_change *settled, const char *said,
                                   char **out, struct dr_error *err)
{
    char part[DR_PATH_BYTES], whole[DR_PATH_BYTES];
    *out = calloc(1, 1);
    while (*out && *said) {
        const size_t length = strcspn(said, ":");
        (void)snprintf(part, sizeof part, "%.*s",
                       (int)(length < sizeof part ? length : 0), said);
        said += length + (said[length] == ':');
        if (!*part) continue;
        const enum dr_code code =
            settle_folder("model directory", part, whole, settled->warning, err);
        if (code != DR_OK) return code;
        const size_t used = strlen(*out), room = used + strlen(whole) + 2;
        char *const grown = realloc(*out, room);
        if (!grown) break;
        *out = grown;
        (void)snprintf(grown + used, room - used, "%s%s", used ? ":" : "", whole);
    }
    return *out && !*said ? DR_OK : out_of_memory(err, "the model directories");
}

static enum dr_code settle_setting(struct settled_change *settled,
                                   const struct dr_setting *setting, char **out,
                                   struct dr_error *err)
{
    char whole[DR_PATH_BYTES];
    enum dr_code code = DR_OK;
    const struct setting_key *const key = setting_key_find(setting->key);
    (void)snprintf(whole, sizeof whole, "%s", setting->value);
    if (key && key->kind == SETTING_MODEL_DIRS)
        return settle_folders(settled, setting->value, out, err);
    if (key && key->kind == SETTING_OUTPUT_DIR && *setting->value)
        code = settle_folder("output directory", setting->value, whole,
                             settled->warning, err);
    if (key && key->kind == SETTING_WILDCARD_DIR && *setting->value)
        code = settle_folder("wildcard directory", setting->value, whole,
                             settled->warning, err);
    if (key && key->kind == SETTING_STYLES && *setting->value)
        code = settle_file(setting->value, whole, settled->warning, err);
    if (key && key->kind == SETTING_MODEL && *setting->value)
        code = settle_model(setting->value, whole, err);
    if (code == DR_OK) *out = strdup(whole);
    return code == DR_OK && !*out ? out_of_memory(err, setting->key) : code;
}

static enum dr_code settle_settings(struct settled_change *settled,
                                    const struct dr_settings_change *change,
                                    struct dr_error *err)
{
    const size_t count = change->setting_count;
    if (!count) return DR_OK;
    settled->settings = calloc(count, sizeof *settled->settings);
    settled->texts = calloc(count, sizeof *settled->texts);
    if (!settled->settings || !settled->texts) return out_of_memory(err, "a change");
    settled->plain.settings = settled->settings;
    for (size_t i = 0; i < count; ++i) {
        const enum dr_code code =
            settle_setting(settled, &change->settings[i], &settled->texts[i], err);
        if (code != DR_OK) return code;
        settled->settings[i] =
            (struct dr_setting){change->settings[i].key, settled->texts[i]};
    }
    return DR_OK;
}

enum dr_code settled_change_make(struct settled_change *settled,
                                 const struct dr_settings_change *change,
                                 const struct dr_settings *now, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    settled->plain = *change;
    code = settle_settings(settled, change, err);
    if (code == DR_OK && change->vae_folder && *change->vae_folder) {
        code = settle_folder("VAE directory", change->vae_folder, settled->folder,
                             settled->warning, err);
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
