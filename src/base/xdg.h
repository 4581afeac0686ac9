/* xdg — the directories for a user's files: $XDG_DATA_HOME/darkroom/vae, else
 * ~/.local/share/darkroom/vae.
 *
 *     char path[4096];
 *     if (!xdg_path(XDG_CONFIG, "settings.json", path, sizeof path)) ... there is no such directory
 *
 * A variable that is not an absolute path is ignored, as the specification requires; so is HOME.
 * Source: XDG Base Directory Specification 0.8.
 *
 * Reads the environment: not while another thread changes it. Memory: none.
 */
#ifndef BASE_XDG_H
#define BASE_XDG_H

#include <stdbool.h>
#include <stddef.h>

#include "darkroom/error.h"

enum xdg_place {
    XDG_CACHE,  /* $XDG_CACHE_HOME, ~/.cache */
    XDG_CONFIG, /* $XDG_CONFIG_HOME, ~/.config */
    XDG_DATA,   /* $XDG_DATA_HOME, ~/.local/share */
};

/* Darkroom's file or directory of that name. False, and path is "", if the environment names no
 * directory, or one whose path is too long. */
bool xdg_path(enum xdg_place place, const char *name, char *path, size_t path_bytes);

/* Where a file or directory lies that can be named: by an option, or where that is NULL by an environment variable, else by a
 * setting ("" and NULL name nothing), else as xdg_path(XDG_DATA, name). Returns whether it was named. A named path that is
 * too long is cut. */
bool xdg_choose(const char *option, const char *variable, const char *setting,
                const char *name, char *path, size_t path_bytes);

/* Creates the missing directories above path, accessible only by their owner, as the specification
 * requires. path is modified meanwhile. False, with errno set, at the first that cannot be created. */
bool xdg_make_above(char *path) DR_MUST_CHECK;

#endif
