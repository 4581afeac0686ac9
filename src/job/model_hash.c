#include "job/model_hash.h"

#include <stdio.h>
#include <string.h>

#include "compute/compute.h"
#include "mem/headroom.h"

static const struct tensor_shard *model_file(const struct job *job)
{
    return tensor_file_only(&job->context.pipeline->checkpoint.file);
}

static bool writes_pictures(const struct job *job)
{
    const struct job_request *const want = &job->request;
    bool writes = false;
    for (int32_t i = 0; job->images && i < want->batch; ++i)
        writes |= job->images[i].path[0] != '\0';
    return want->kind == JOB_GENERATE && !want->output_is_latent && writes;
}

void model_hash_begin(struct job *job)
{
    struct pipeline *const pipeline = job->context.pipeline;
    const struct tensor_shard *const file = model_file(job);
    if (!file || pipeline->file_digest_known || !writes_pictures(job)) return;
    pipeline->file_digest_known =
        pack_store_recall_file(pipeline->packs, file, pipeline->file_digest);
    if (pipeline->file_digest_known) return;
    /* OpenMP ends the process if it cannot create its threads, so they are created first. */
    const int threads = compute_thread_count();
    const enum file_hash_place place =
        headroom_threads(threads) == threads ? FILE_HASH_BESIDE : FILE_HASH_HERE;
    (void)!file_hash_begin(&job->hash, file->descriptor, file->identity.bytes, place,
                           NULL);
}

void model_hash_end(struct job *job)
{
    file_hash_end(&job->hash);
}

/* A picture does not need it: only a cancel is an error. */
static enum dr_code compute(struct job *job, const struct tensor_shard *file,
                            struct dr_error *err)
{
    struct pipeline *const pipeline = job->context.pipeline;
    struct dr_error why;
    enum dr_code code =
        file_hash_wait(&job->hash, job->context.cancel, pipeline->file_digest, &why);
    if (code == DR_CANCELLED) {
        *err = why;
        return code;
    }
    if (code == DR_OK)
        code = file_identity_check(&file->identity, file->descriptor, file->path, NULL);
    pipeline->file_digest_known = code == DR_OK;
    if (code == DR_OK)
        pack_store_remember_file(pipeline->packs, file, pipeline->file_digest);
    model_hash_end(job);
    return DR_OK;
}

enum dr_code model_hash_get(struct job *job, char out[static MODEL_HASH_BYTES],
                            struct dr_error *err)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    const struct tensor_shard *const file = model_file(job);
    char hex[DIGEST_HEX];
    enum dr_code code = DR_OK;
    out[0] = '\0';
    if (!file) return DR_OK;
    if (!pipeline->file_digest_known && file_hash_has_begun(&job->hash))
        code = compute(job, file, err);
    if (pipeline->file_digest_known)
        (void)snprintf(out, MODEL_HASH_BYTES, "%.*s", MODEL_HASH_DIGITS,
                       digest_hex(pipeline->file_digest, hex));
    return code;
}
