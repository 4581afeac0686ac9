/* model_hash — the name by which A1111 and its clients know a checkpoint: the first ten hexadecimal digits of the
 * SHA-256 of its complete file. A directory and a sharded checkpoint have none.
 *
 * Computed once for each file (weights/file_hash.h), beside the job that first writes a picture; then remembered
 * by the pipeline, and by the pack directory as long as the file is the same.
 */
#ifndef JOB_MODEL_HASH_H
#define JOB_MODEL_HASH_H

#include "job/job.h"

enum {
    MODEL_HASH_DIGITS = 10,
    MODEL_HASH_BYTES = MODEL_HASH_DIGITS + 1
};

/* The job's pictures will need it: begin to compute it, where it is not known. */
void model_hash_begin(struct job *job);
void model_hash_end(struct job *job);

/* "" where there is none, or where the file cannot be read. Errors: DR_CANCELLED. */
enum dr_code model_hash_get(struct job *job, char out[static MODEL_HASH_BYTES],
                            struct dr_error *err) DR_MUST_CHECK;

#endif
