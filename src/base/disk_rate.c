#define _GNU_SOURCE /* O_DIRECT */
#include "base/disk_rate.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    BLOCK_BYTES =
        128 << 10,    /* what the kernel reads ahead for a page that is missing */
    ALIGNMENT = 4096, /* of O_DIRECT on every usual disk */
    LEAST_BLOCKS = 32,
    MOST_MS = 250
};

static bool measure(int file, void *buffer, double *bytes_per_s)
{
    const double began_ms = clock_ms();
    double ms = 0.0, bytes = 0.0;
    for (int64_t block = 0; ms < MOST_MS; ++block) {
        const ssize_t got = pread(file, buffer, BLOCK_BYTES, block * BLOCK_BYTES);
        if (got < 0) return false;
        ms = clock_ms() - began_ms;
        bytes += (double)got;
        if (got < BLOCK_BYTES) break;
    }
    if (bytes < (double)LEAST_BLOCKS * BLOCK_BYTES || !(ms > 0.0)) return false;
    *bytes_per_s = bytes / ms * 1000.0;
    return true;
}

bool disk_rate_measure(const char *path, double *bytes_per_s)
{
    const int file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (file < 0) return false;
    void *const buffer = aligned_alloc(ALIGNMENT, BLOCK_BYTES);
    const bool is_measured = buffer && measure(file, buffer, bytes_per_s);
    free(buffer);
    (void)close(file);
    return is_measured;
}
