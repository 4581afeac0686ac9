/* ready_checkpoint — the tiny checkpoints that the build makes once for all tests (tests/checkpoints).
 *
 * They are read by tests that run beside each other: never write to one. A test that changes a file
 * makes one of its own with tools/random_checkpoint, or copies.
 */
#ifndef TESTS_READY_CHECKPOINT_H
#define TESTS_READY_CHECKPOINT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where the build keeps what random_checkpoint makes with these options: they are the file's name,
 * each "--" left out and each blank a "-". Ends the program where the build has no such file. */
static inline void ready_checkpoint_path(char *path, size_t bytes, const char *options)
{
    const char *const build = getenv("DARKROOM_BUILD");
    const int start =
        snprintf(path, bytes, "%s/tests/checkpoints/", build ? build : "build");
    size_t used = start > 0 ? (size_t)start : 0;
    for (const char *c = options; *c && used + sizeof ".safetensors" < bytes; ++c) {
        if (c[0] == '-' && c[1] == '-')
            ++c;
        else
            path[used++] = *c == ' ' ? '-' : *c;
    }
    (void)snprintf(path + used, bytes - used, ".safetensors");
    if (access(path, R_OK) == 0) return;
    fprintf(stderr,
            "%s is not there: \"ninja checkpoints\" makes those that "
            "tests/checkpoints/meson.build lists\n",
            path);
    exit(1);
}

#endif
