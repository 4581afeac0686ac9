/* scratch_folder.h — files for one test program, in a folder of its own that goes at its end.
 *
 *     const char *path = scratch_path("a.bin");   valid until the program ends
 *     scratch_write(path, data, bytes);
 */
#ifndef TESTS_SCRATCH_FOLDER_H
#define TESTS_SCRATCH_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char scratch_folder_path[64];

static void scratch_folder_remove(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", scratch_folder_path);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", scratch_folder_path);
}

/* The folder's path; made on first use. */
static inline const char *scratch_folder(void)
{
    if (scratch_folder_path[0]) return scratch_folder_path;
    strcpy(scratch_folder_path, "/tmp/darkroom-test-XXXXXX");
    if (!mkdtemp(scratch_folder_path)) {
        perror("mkdtemp");
        exit(1);
    }
    atexit(scratch_folder_remove);
    return scratch_folder_path;
}

/* A path in the folder; one of 64 static buffers, so that a case may hold a few. */
static inline const char *scratch_path(const char *name)
{
    static char paths[64][512];
    static int next;
    char *const path = paths[next++ % 64];
    (void)snprintf(path, sizeof paths[0], "%s/%s", scratch_folder(), name);
    return path;
}

static inline void scratch_write(const char *path, const void *data, size_t bytes)
{
    FILE *const file = fopen(path, "wb");
    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

#endif
