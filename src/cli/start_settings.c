#include "start_settings.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each sets the variable if it is missing, and returns whether it did. */

static bool set_tcache(void)
{
    static const char variable[] = "GLIBC_TUNABLES";
    static const char tunable[] = "glibc.malloc.tcache_count";
    char settings[4096];
    const char *const before = getenv(variable);
    if (before && strstr(before, tunable)) return false;
    const int length =
        snprintf(settings, sizeof settings, "%s%s%s=0", before ? before : "",
                 before && *before ? ":" : "", tunable);
    return length > 0 && (size_t)length < sizeof settings &&
           setenv(variable, settings, 1) == 0;
}

static bool set_spin(void)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return false;
    return setenv("GOMP_SPINCOUNT", START_SETTINGS_SPIN, 1) == 0;
}

void start_settings_apply(char *const *words)
{
    const bool sets_tcache = set_tcache(), sets_spin = set_spin();
    if (sets_tcache || sets_spin) (void)execv("/proc/self/exe", words);
}
