/* input_file.h — a fuzzer's bytes as a file, for readers that take a path.
 *
 *     const char *path = input_file(data, bytes);   until the next call
 *
 * One file without a name serves the whole process: nothing is left where a fuzzer is killed.
 */
#ifndef TESTS_FUZZ_INPUT_FILE_H
#define TESTS_FUZZ_INPUT_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The file's descriptor, and its path in /proc. */
static inline int input_file_open(const char **path)
{
    static int descriptor = -1;
    static char name[64];
    if (descriptor < 0) {
        char template[] = "/tmp/darkroom-fuzz-XXXXXX";
        descriptor = mkstemp(template);
        if (descriptor < 0) abort();
        (void)unlink(template);
        (void)snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    }
    *path = name;
    return descriptor;
}

static inline const char *input_file(const uint8_t *data, size_t bytes)
{
    const char *path;
    const int descriptor = input_file_open(&path);
    if (ftruncate(descriptor, 0) != 0 ||
        pwrite(descriptor, data, bytes, 0) != (ssize_t)bytes)
        abort();
    return path;
}

#endif
