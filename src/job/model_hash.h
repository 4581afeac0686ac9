/* model_hash — A1111's model hash: the first ten hexadecimal digits of the
 * SHA-256 of the complete checkpoint file. A directory and a sharded checkpoint have none.
 *
 * Computed once for each file (weights/file_hash.h), in a thread beside the job that first writes a picture. The
 * pipeline stores it, and so does the pack directory, until the file changes.
 */
#ifndef JOB_MODEL_HASH_H
#define JOB_MODEL_HASH_H

#include "job/job.h"

enum {
    MODEL_HASH_DIGITS = 10,
    MODEL_HASH_BYTES = MODEL_HASH_DIGITS + 1
};

/* Start computing it if it is not known: the job's pictures will need it. */
void model_hash_begin(struct job *job);
void model_hash_end(struct job *job);

/* "" where there is none, or where the file cannot be read. Errors: DR_CANCELLED. */
enum dr_code model_hash_get(struct job *job, char out[static MODEL_HASH_BYTES],
                            struct dr_error *err) DR_MUST_CHECK;

#endif
