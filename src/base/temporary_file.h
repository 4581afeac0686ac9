/* temporary_file — write a file whole or not at all.
 *
 * The file is written under a name beside its target, ".NAME.PID-SERIAL.darkroom-part", and
 * renamed over the target when it is complete and synced. On any error the target is as it was
 * and the temporary is gone. The name tells a later start whose it was: a part whose process
 * no longer lives can be removed (temporary_file_sweep).
 */
#ifndef BASE_TEMPORARY_FILE_H
#define BASE_TEMPORARY_FILE_H

#include <stddef.h>

#include "base/error.h"

struct temporary_file {
    int descriptor; /* open for writing and reading; -1 when closed */
    char *path;     /* private */
    char *target;   /* private */
};

/* Create. Errors: DR_IO with the folder and errno's text. Fault place: FAULT_WRITE. */
enum dr_code temporary_file_open(struct temporary_file *file, const char *target,
                                 struct dr_error *err) DR_MUST_CHECK;
/* write(2) until all is written. Errors: DR_IO ("no space left", ...). FAULT_WRITE. */
enum dr_code temporary_file_write(struct temporary_file *file, const void *data, size_t bytes,
                                  struct dr_error *err) DR_MUST_CHECK;
/* fsync, rename, close. On error the temporary is removed. */
enum dr_code temporary_file_commit(struct temporary_file *file,
                                   struct dr_error *err) DR_MUST_CHECK;
/* Remove the temporary; a closed or zeroed-by-init struct is fine. */
void temporary_file_discard(struct temporary_file *file);
#define TEMPORARY_FILE_INIT ((struct temporary_file){.descriptor = -1})

/* Remove parts in a folder whose process is gone; returns how many. */
int temporary_file_sweep(const char *folder);

#endif
