/* settings — the user's settings for every run, in one small file.
 *
 *     {
 *       "vae": "sharp",
 *       "vae_by_model": {"sd15": "none", "/models/sdxl/base.safetensors": "wide"},
 *       "vae_dir": "~/vae",
 *       "model": "sd15", "model_dirs": ["~/models"], "steps": 25, ...
 *       "by_model": {"sd15": {"size": "512x768", "steps": 30}}
 *     }
 *
 * setting_key.h has the keys of the last lines.
 *
 * Every key may be missing, and so may the file. An unknown key gives a warning and is kept when the
 * file is rewritten. A damaged file is DR_BAD_INPUT and never treated as an empty one, because then
 * other VAEs than the requested ones would be used.
 *
 * A key of vae_by_model and by_model is a checkpoint's path or its last components, with or
 * without the file's extension: "sd15", "sd15.safetensors", "models/sd15". If several match, the one
 * with more components counts, then the longer one. The path is compared as it was given and
 * with its links resolved.
 *
 * The struct and the calls that an embedder has are in darkroom.h: dr_settings_read, _change,
 * _free. Threads: any, on different structs; of two writers at once the last one's file stays,
 * whole.
 */
#ifndef SWITCH_SETTINGS_H
#define SWITCH_SETTINGS_H

#include <stddef.h>

#include "darkroom/darkroom.h"

enum {
    SETTINGS_MAX_BYTES = 1 << 20
};

/* The text of a settings file; name: for messages. Errors: DR_BAD_INPUT names the file, and the
 * line or the key, and says what to do; DR_NOMEM. On error nothing is left to free. */
enum dr_code settings_parse(struct dr_settings *settings, const char *name,
                            const char *text, size_t bytes,
                            struct dr_error *err) DR_MUST_CHECK;

/* The text with a change made: malloc'ed, zero-terminated, what is unknown in it kept. bytes 0:
 * there is no file yet. Errors: settings_parse's; DR_NOT_FOUND (an entry to remove that is not
 * there). */
enum dr_code settings_edit(const char *name, const char *text, size_t bytes,
                           const struct dr_settings_change *change, char **out,
                           struct dr_error *err) DR_MUST_CHECK;

/* Nothing is set. */
struct dr_settings settings_none(void);

/* What vae_by_model has for a checkpoint; NULL where it has nothing. Borrowed. */
const struct dr_model_setting *settings_for_model(const struct dr_settings *settings,
                                                  const char *checkpoint);
/* The same of by_model: the defaults of jobs. */
const struct dr_defaults *settings_defaults_for_model(
    const struct dr_settings *settings, const char *checkpoint);

/* A path without the slashes at its end. */
void settings_plain_path(const char *path, char out[static DR_PATH_BYTES]);

/* A path as the file may have it: "~/" is the user's home. Into out; returns out. */
char *settings_expand(const char *text, char out[static DR_PATH_BYTES]);

#endif
