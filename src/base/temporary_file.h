/* temporary_file — write a file completely or not at all.
 *
 *     struct temporary_file file = TEMPORARY_FILE_INIT;
 *     enum dr_code code = temporary_file_open(&file, "out.png", err);
 *     if (code == DR_OK) code = temporary_file_write(&file, data, bytes, err);
 *     if (code == DR_OK) code = temporary_file_commit(&file, err);
 *     temporary_file_discard(&file);
 *
 * The file is written under a name beside its target, ".NAME.PID-SERIAL.darkroom-part", and renamed
 * over the target when it is complete and synced. On any error the target is as it was and the
 * temporary is gone. NAME is shortened if the file system's limit requires it. The PID in the name
 * lets a later process remove the part of a process that has ended (temporary_file_sweep). The writer
 * also holds a flock on its part, so that a process in another PID namespace, which cannot see the
 * writer, does not assume that it has ended.
 *
 * What is replaced: a regular file only, never a device (as root, "-o /dev/null" must not
 * replace /dev/null); a symbolic link stays and what it points to is replaced, or made; the permission
 * bits of a replaced file are kept, and a file that may not be written is refused, though its
 * folder would allow the rename.
 *
 * Threads: one struct belongs to one thread at a time; any number of structs at once, also for
 * one target (the last commit wins, whole). A write beyond RLIMIT_FSIZE is an error only where
 * the process ignores SIGXFSZ.
 */
#ifndef BASE_TEMPORARY_FILE_H
#define BASE_TEMPORARY_FILE_H

#include <stddef.h>

#include "base/error.h"

struct temporary_file {
    int descriptor; /* open for writing and reading; -1 when closed */
    char *path;     /* private; NULL when closed */
    char *target;   /* private; NULL when closed */
};

/* Create. Errors: DR_IO with the folder and errno's text, DR_NOMEM. Fault place: FAULT_WRITE. */
enum dr_code temporary_file_open(struct temporary_file *file, const char *target,
                                 struct dr_error *err) DR_MUST_CHECK;
/* write(2) until all is written. Errors: DR_IO ("no space left", ...), and the temporary is
 * removed. FAULT_WRITE. */
enum dr_code temporary_file_write(struct temporary_file *file, const void *data,
                                  size_t bytes, struct dr_error *err) DR_MUST_CHECK;
/* fsync, rename, close. On error the temporary is removed. FAULT_WRITE. */
enum dr_code temporary_file_commit(struct temporary_file *file,
                                   struct dr_error *err) DR_MUST_CHECK;
/* Remove the temporary; a closed, committed or zeroed struct is fine. */
void temporary_file_discard(struct temporary_file *file);
#define TEMPORARY_FILE_INIT ((struct temporary_file){.descriptor = -1})

/* Remove parts in a folder whose process is gone; returns how many. */
int temporary_file_sweep(const char *folder);

#endif
