/* file_identity — is this still the file that was opened?
 *
 * A checkpoint that changes while it is in use must cause an error that names the file,
 * never silently different weights. Identity is device, inode, size, modification time and a
 * digest of the header. The digest is made when the file is parsed; the rest is one fstat.
 */
#ifndef WEIGHTS_FILE_IDENTITY_H
#define WEIGHTS_FILE_IDENTITY_H

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

struct file_identity {
    uint64_t device, inode;
    uint64_t bytes;
    int64_t modified_ns;
    int64_t changed_ns; /* the inode's change time, which no program can set; a rename
                     * changes it too, so file_identity_check ignores it */
    uint8_t header[DIGEST_BYTES];
};

/* Everything but header, which becomes zero. Errors: DR_IO. */
enum dr_code file_identity_read(struct file_identity *identity, int descriptor,
                                const char *path, struct dr_error *err) DR_MUST_CHECK;

/* Does the open descriptor, and the name, still show the same file? Compares all but header.
 * Errors: DR_CHANGED names the file and what changed (size from .. to .., replaced, gone). Fault
 * place: FAULT_IDENTITY, which makes it find no change. */
enum dr_code file_identity_check(const struct file_identity *identity, int descriptor,
                                 const char *path, struct dr_error *err) DR_MUST_CHECK;

#endif
