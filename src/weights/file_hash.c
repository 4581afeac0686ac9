#include "weights/file_hash.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    STACK_BYTES = 256 << 10,
    LOOK_NS = 2000000 /* between two looks of who waits */
};

/* The next piece, from `done` on. Returns its bytes; 0: the state says why. */
static size_t add_piece(struct file_hash *hash, uint64_t done)
{
    const uint64_t left = hash->bytes - done;
    const size_t most = left < FILE_HASH_BUFFER ? (size_t)left : FILE_HASH_BUFFER;
    ssize_t got;
    do
        got = pread(hash->descriptor, hash->buffer, most, (off_t)done);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        digest_add(&hash->digest, hash->buffer, (size_t)got);
        return (size_t)got;
    }
    hash->problem = got < 0 ? errno : 0;
    atomic_store(&hash->state, FILE_HASH_FAILED);
    return 0;
}

static void finish(struct file_hash *hash)
{
    digest_end(&hash->digest, hash->out);
    atomic_store(&hash->state, FILE_HASH_DONE);
}

static void *read_beside(void *context)
{
    struct file_hash *const hash = context;
    uint64_t done = 0;
    while (done < hash->bytes) {
        const size_t got = atomic_load(&hash->is_stopped) ? 0 : add_piece(hash, done);
        if (got == 0) return NULL;
        done += got;
    }
    finish(hash);
    return NULL;
}

/* With every signal blocked: those of the program are for the threads that handle them. */
static bool start_thread(struct file_hash *hash)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) return false;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started =
        pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
        pthread_create(&hash->thread, &attributes, read_beside, hash) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return started;
}

enum dr_code file_hash_begin(struct file_hash *hash, int descriptor, uint64_t bytes,
                             enum file_hash_place place, struct dr_error *err)
{
    *hash = (struct file_hash){.descriptor = descriptor, .bytes = bytes};
    hash->buffer = malloc(FILE_HASH_BUFFER);
    if (!hash->buffer)
        return error_set(err, DR_NOMEM, "no memory for the digest of a file");
    digest_init(&hash->digest);
    atomic_store(&hash->state, FILE_HASH_RUNS);
    hash->has_thread = place == FILE_HASH_BESIDE && start_thread(hash);
    return DR_OK;
}

bool file_hash_has_begun(const struct file_hash *hash)
{
    return atomic_load(&hash->state) != FILE_HASH_NONE;
}

static enum dr_code check_cancel(const struct cancel *cancel, struct dr_error *err)
{
    return cancel_requested(cancel)
               ? error_set(err, DR_CANCELLED, "the digest of the file was cancelled")
               : DR_OK;
}

static enum dr_code wait_for_thread(struct file_hash *hash, const struct cancel *cancel,
                                    struct dr_error *err)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    while (atomic_load(&hash->state) == FILE_HASH_RUNS) {
        const enum dr_code code = check_cancel(cancel, err);
        if (code != DR_OK) return code;
        (void)nanosleep(&pause, NULL);
    }
    return DR_OK;
}

static enum dr_code read_here(struct file_hash *hash, const struct cancel *cancel,
                              struct dr_error *err)
{
    uint64_t done = 0;
    while (done < hash->bytes) {
        const enum dr_code code = check_cancel(cancel, err);
        if (code != DR_OK) return code;
        const size_t got = add_piece(hash, done);
        if (got == 0) return DR_OK;
        done += got;
    }
    finish(hash);
    return DR_OK;
}

enum dr_code file_hash_wait(struct file_hash *hash, const struct cancel *cancel,
                            uint8_t out[static DIGEST_BYTES], struct dr_error *err)
{
    enum dr_code code = DR_OK;
    if (atomic_load(&hash->state) == FILE_HASH_RUNS)
        code = hash->has_thread ? wait_for_thread(hash, cancel, err)
                                : read_here(hash, cancel, err);
    if (code != DR_OK) return code;
    if (atomic_load(&hash->state) == FILE_HASH_FAILED)
        return hash->problem
                   ? error_set_errno(err, DR_IO, hash->problem, "cannot read the file")
                   : error_set(err, DR_CHANGED, "the file became shorter");
    memcpy(out, hash->out, DIGEST_BYTES);
    return DR_OK;
}

void file_hash_end(struct file_hash *hash)
{
    atomic_store(&hash->is_stopped, true);
    if (hash->has_thread) (void)pthread_join(hash->thread, NULL);
    if (hash->digest.context) digest_end(&hash->digest, NULL);
    free(hash->buffer);
    *hash = (struct file_hash){0};
}
