/* pack_folder.h — a folder for packs of one test program, gone at its end. It is made in the build
 * folder (DARKROOM_BUILD), since packs are turned off where files lie in memory, as /tmp often does.
 */
#ifndef TESTS_PACK_FOLDER_H
#define TESTS_PACK_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char pack_folder_path[512];

static void pack_folder_remove(void)
{
    char command[sizeof pack_folder_path + 32];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", pack_folder_path);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", pack_folder_path);
}

/* The folder's path; made on first use. */
static inline const char *pack_folder(void)
{
    if (pack_folder_path[0]) return pack_folder_path;
    const char *const build = getenv("DARKROOM_BUILD");
    (void)snprintf(pack_folder_path, sizeof pack_folder_path, "%s/test-packs-XXXXXX",
                   build ? build : ".");
    if (!mkdtemp(pack_folder_path)) {
        perror("mkdtemp");
        exit(1);
    }
    atexit(pack_folder_remove);
    return pack_folder_path;
}

#endif
