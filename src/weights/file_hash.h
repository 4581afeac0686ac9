/* file_hash — the SHA-256 of a complete file, computed in the background.
 *
 *     file_hash_begin(&hash, descriptor, bytes, FILE_HASH_BESIDE);
 *     ...                                        the same file is read for other purposes
 *     code = file_hash_wait(&hash, cancel, out, err);
 *     file_hash_end(&hash);
 *
 * Other programs name a checkpoint by the digest of its whole file, from the first byte to the last. Weights are
 * read in another order, and not all of them, so that digest is a reading of its own. It runs while the weights
 * are read: what one reading brings into the page cache the other finds there.
 *
 * The reading takes one thread with a small stack, FILE_HASH_BUFFER bytes of heap and no other memory. The thread
 * takes no signals.
 *
 * Threads: begin, wait and end by one thread.
 */
#ifndef WEIGHTS_FILE_HASH_H
#define WEIGHTS_FILE_HASH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/error.h"

enum {
    FILE_HASH_BUFFER = 64 << 10
};

enum file_hash_place {
    FILE_HASH_BESIDE, /* in a thread; in file_hash_wait where the system gives none */
    FILE_HASH_HERE    /* in file_hash_wait */
};

enum file_hash_state {
    FILE_HASH_NONE,
    FILE_HASH_RUNS,
    FILE_HASH_DONE,
    FILE_HASH_FAILED
};

/* Zero-initialised: nothing is computed. Must not move between begin and end. */
struct file_hash {
    /* private */
    int descriptor;
    uint64_t bytes;
    struct digest digest;
    unsigned char *buffer;
    pthread_t thread;
    bool has_thread;
    atomic_int state; /* enum file_hash_state */
    atomic_bool is_stopped;
    int problem; /* errno; 0: the file is shorter than it was */
    uint8_t out[DIGEST_BYTES];
};

/* descriptor is borrowed until file_hash_end; bytes: the file's size. */
enum dr_code file_hash_begin(struct file_hash *hash, int descriptor, uint64_t bytes,
                             enum file_hash_place place,
                             struct dr_error *err) DR_MUST_CHECK;

bool file_hash_has_begun(const struct file_hash *hash);

/* Errors: DR_CANCELLED; DR_IO and DR_CHANGED without the file's name. */
enum dr_code file_hash_wait(struct file_hash *hash, const struct cancel *cancel,
                            uint8_t out[static DIGEST_BYTES],
                            struct dr_error *err) DR_MUST_CHECK;

/* Stops it where it still runs. Zeroed is fine. */
void file_hash_end(struct file_hash *hash);

#endif
