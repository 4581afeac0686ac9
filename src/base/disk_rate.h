/* disk_rate — how fast a file can be read from its disk, measured.
 *
 * The file is read past the kernel's page cache (O_DIRECT), from its start, for a fraction of a second, in blocks
 * as large as those that the kernel reads for a missing page of a mapped file: what such pages take to come back
 * is about that.
 *
 * Takes a buffer of 128 KiB of malloc's for that time. Any thread.
 */
#ifndef BASE_DISK_RATE_H
#define BASE_DISK_RATE_H

#include <stdbool.h>

/* What is assumed where nothing can be measured: a SATA SSD. */
#define DISK_RATE_ASSUMED 500e6

/* Bytes per second; false: it cannot be measured (the file is small, or its file system has no such reading: a
 * tmpfs). */
bool disk_rate_measure(const char *path, double *bytes_per_s);

#endif
