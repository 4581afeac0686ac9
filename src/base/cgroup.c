/* /proc/self/cgroup says which cgroup the process is in, seen from the hierarchy's root;
 * /proc/self/mountinfo which part of the hierarchy is mounted, and where:
 *
 *     cgroup     /docker/4f2a/jobs        mount   root /docker/4f2a  at /sys/fs/cgroup/memory
 *     so the files are in /sys/fs/cgroup/memory/jobs, and its parents up to the mount.
 */
#include "base/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/line_reader.h"

struct search {
    const char *root; /* "" or a test's folder */
    const char *controller;
    cgroup_visit *visit;
    void *cookie;
    char cgroup[2]
               [PATH_MAX / 2]; /* of version 1 and 2; "" where the process is in none */
    bool any_mount;
};

/* Is the word one of a list with commas? */
static bool list_has(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (!at[length] || at[length] == ','))
            return true;
    return false;
}

/* A group and all above it that are mounted. */
static void walk_up(const struct search *search, int version, const char *mount_root,
                    const char *mount_point, const char *relative)
{
    char here[PATH_MAX / 2], path[PATH_MAX];
    const char *const above = strcmp(mount_root, "/") == 0 ? "" : mount_root;
    (void)snprintf(here, sizeof here, "%s", relative);
    for (;;) {
        const size_t length = strlen(here);
        if (length > 0 && here[length - 1] == '/') here[length - 1] = '\0';
        const int needed =
            snprintf(path, sizeof path, "%s%s%s", search->root, mount_point, here);
        const struct cgroup_place place = {.version = version + 1,
                                           .directory = path,
                                           .above = above,
                                           .name = *above || *here ? here : "/"};
        if (needed < (int)sizeof path) search->visit(search->cookie, &place);
        char *const slash = strrchr(here, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

/* A mount of a cgroup hierarchy: where in it are we? */
static void use_mount(struct search *search, int version, const char *mount_root,
                      const char *mount_point)
{
    const char *const cgroup = search->cgroup[version];
    if (!*cgroup) return;
    search->any_mount = true;
    const char *relative = "";
    const size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
    const bool above_us = strncmp(mount_root, "/..", 3) == 0; /* of another namespace */
    if (!above_us) {
        if (strncmp(cgroup, mount_root, length) != 0) return;
        if (cgroup[length] && cgroup[length] != '/') return;
        relative = cgroup + length;
    }
    if (strstr(relative, "/..")) relative = ""; /* outside of our namespace's root */
    walk_up(search, version, mount_root, mount_point, relative);
}

/* mountinfo writes space, tab, line feed and backslash as \ooo. */
static void decode_octal(char *text)
{
    char *to = text;
    for (const char *from = text; *from; ++to) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* "36 35 0:32 ROOT MOUNT_POINT options [optional ...] - TYPE source OPTIONS" */
static void parse_mount(struct search *search, char *line)
{
    char *fields[5];
    char *rest = line;
    for (int i = 0; i < 5; ++i) {
        fields[i] = rest;
        rest = strchr(rest, ' ');
        if (!rest) return;
        *rest++ = '\0';
    }
    char *type = strstr(rest, " - ");
    if (!type) return;
    type += 3;
    char *options = strrchr(type, ' ');
    char *const type_end = strchr(type, ' ');
    if (!options || !type_end) return;
    *type_end = '\0';
    ++options;
    decode_octal(fields[3]);
    decode_octal(fields[4]);
    if (strcmp(type, "cgroup") == 0 && list_has(options, search->controller))
        use_mount(search, 0, fields[3], fields[4]);
    else if (strcmp(type, "cgroup2") == 0)
        use_mount(search, 1, fields[3], fields[4]);
}

/* "4:memory:/jobs/7" (version 1) or "0::/jobs/7" (version 2) */
static void parse_cgroup(struct search *search, char *line)
{
    char *const controllers = strchr(line, ':');
    char *const path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path || path[1] != '/') return;
    *controllers = '\0';
    *path = '\0';
    int version;
    if (list_has(controllers + 1, search->controller))
        version = 0;
    else if (strcmp(line, "0") == 0 && !controllers[1])
        version = 1;
    else
        return;
    (void)snprintf(search->cgroup[version], sizeof search->cgroup[version], "%s",
                   path + 1);
}

typedef void parse_line(struct search *search, char *line);

/* A file that is missing has no lines: a kernel without cgroups is no error. */
static void each_line(struct search *search, const char *name, parse_line *parse)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s", search->root, name) >= (int)sizeof path)
        return;
    struct line_reader reader;
    if (!line_reader_open(&reader, path)) return;
    for (char *line; (line = line_reader_next(&reader));)
        parse(search, line);
    (void)line_reader_close(&reader);
}

void cgroup_walk(const char *root, const char *controller, cgroup_visit *visit,
                 void *cookie)
{
    struct search search = {
        .root = root, .controller = controller, .visit = visit, .cookie = cookie};
    each_line(&search, "/proc/self/cgroup", parse_cgroup);
    each_line(&search, "/proc/self/mountinfo", parse_mount);
    for (int version = 0; !search.any_mount && version < 2; ++version) {
        char mount[64];
        (void)snprintf(mount, sizeof mount, "/sys/fs/cgroup%s%.40s",
                       version == 0 ? "/" : "", version == 0 ? controller : "");
        if (*search.cgroup[version])
            walk_up(&search, version, "/", mount, search.cgroup[version]);
    }
}
