/* For mkdir. */
#define _XOPEN_SOURCE 700

#include "base/xdg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool xdg_path(enum xdg_place place, const char *name, char *path, size_t path_bytes)
{
    static const struct {
        const char *variable, *in_home;
    } places[] = {
        [XDG_CACHE] = {"XDG_CACHE_HOME",  "/.cache"      },
        [XDG_CONFIG] = {"XDG_CONFIG_HOME", "/.config"     },
        [XDG_DATA] = {"XDG_DATA_HOME",   "/.local/share"},
    };
    const char *const set = getenv(places[place].variable), *const home =
                                                                getenv("HOME");
    const bool is_set = set && *set == '/';
    int length = -1;
    if (is_set || (home && *home == '/'))
        length = snprintf(path, path_bytes, "%s%s/darkroom/%s", is_set ? set : home,
                          is_set ? "" : places[place].in_home, name);
    const bool is_whole = length >= 0 && (size_t)length < path_bytes;
    if (!is_whole) *path = '\0';
    return is_whole;
}

bool xdg_choose(const char *option, const char *variable, const char *setting,
                const char *name, char *path, size_t path_bytes)
{
    const char *said = option ? option : getenv(variable);
    if (!said || !*said) said = setting;
    const bool is_named = said && *said;
    if (is_named)
        (void)snprintf(path, path_bytes, "%s", said);
    else
        (void)xdg_path(XDG_DATA, name, path, path_bytes);
    return is_named;
}

bool xdg_make_above(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool is_there =
            mkdir(path, 0700) == 0 || errno == EEXIST || access(path, X_OK) == 0;
        *slash = '/';
        if (!is_there) return false;
    }
    return true;
}
