#include "weights/embedding_file.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "weights/file_hash.h"

/* ---- what it is -------------------------------------------------------------------------- */

static enum dr_code refuse(const struct tensor_file *file, struct dr_error *err)
{
    if (file->tensor_count > 1)
        return error_set(
            err, DR_UNSUPPORTED,
            "it is not an embedding: it has %zu tensors (%.100s, %.100s, ...), and an "
            "embedding has one, or clip_l and clip_g",
            file->tensor_count, file->tensors[0].name, file->tensors[1].name);
    return error_set(err, DR_UNSUPPORTED, "it is not an embedding: it has no tensors");
}

static enum dr_code check_tensor(const struct tensor *tensor, struct dr_error *err)
{
    char shape[TENSOR_SHAPE_TEXT];
    const int64_t width = tensor->rank > 0 ? tensor->dims[tensor->rank - 1] : 0;
    const int64_t count = tensor->rank == 2 ? tensor->dims[0] : 1;
    if (tensor->rank < 1 || tensor->rank > 2 || width < EMBEDDING_LEAST_WIDTH ||
        width > EMBEDDING_MOST_WIDTH || count < 1 || !dtype_is_float(tensor->dtype) ||
        dtype_is_block(tensor->dtype))
        return error_set(
            err, DR_UNSUPPORTED,
            "it is not an embedding: %.100s is %s, and vectors are [count, width] "
            "floating-point numbers",
            tensor->name, tensor_shape_text(tensor, shape));
    if (count > EMBEDDING_MOST_VECTORS)
        return error_set(err, DR_UNSUPPORTED,
                         "it has %lld vectors; a chunk of a prompt has room for %d",
                         (long long)count, EMBEDDING_MOST_VECTORS);
    return DR_OK;
}

static enum dr_code take_vectors(struct embedding_file *embedding, int32_t text_idx,
                                 const struct tensor *tensor, struct dr_error *err)
{
    const enum dr_code code = check_tensor(tensor, err);
    if (code) return code;
    const int32_t count = tensor->rank == 2 ? (int32_t)tensor->dims[0] : 1;
    if (text_idx > 0 && count != embedding->vector_count)
        return error_set(err, DR_CORRUPT,
                         "it has %d vectors for the first text encoder (clip_l) and "
                         "%d for the second (clip_g)",
                         (int)embedding->vector_count, (int)count);
    embedding->vectors[text_idx] = tensor;
    embedding->widths[text_idx] = (int32_t)tensor->dims[tensor->rank - 1];
    embedding->vector_count = count;
    embedding->bytes += tensor->bytes;
    return DR_OK;
}

/* Only SDXL has two encoders; those of the others, CLIP ViT-L/14 and OpenCLIP ViT-H/14, differ in their widths. */
static enum family family_of(const int32_t widths[EMBEDDING_TEXTS])
{
    if (widths[1] > 0) return FAMILY_SDXL;
    if (widths[0] == 768) return FAMILY_SD15;
    if (widths[0] == 1024) return FAMILY_SD2;
    return FAMILY_UNKNOWN;
}

static enum dr_code sort(struct embedding_file *embedding, struct dr_error *err)
{
    const struct tensor_file *const file = &embedding->file;
    const struct tensor *const first = tensor_file_find(file, "clip_l");
    const struct tensor *const second = tensor_file_find(file, "clip_g");
    const bool is_pair = first && second && file->tensor_count == 2;
    if (!is_pair && file->tensor_count != 1) return refuse(file, err);
    enum dr_code code =
        take_vectors(embedding, 0, is_pair ? first : &file->tensors[0], err);
    if (!code && is_pair) code = take_vectors(embedding, 1, second, err);
    embedding->family = family_of(embedding->widths);
    embedding->base_model = tensor_file_metadata(file, "sd_checkpoint_name");
    embedding->base_hash = tensor_file_metadata(file, "sd_checkpoint");
    embedding->step = tensor_file_metadata(file, "step");
    return code;
}

/* ---- its numbers ------------------------------------------------------------------------- */

/* One vector, to target. */
static enum dr_code read_vector(const struct embedding_file *embedding,
                                int32_t text_idx, int32_t vector_idx, float *target,
                                struct dr_error *err)
{
    unsigned char stored[4096];
    const struct tensor *const tensor = embedding->vectors[text_idx];
    const size_t width = (size_t)embedding->widths[text_idx];
    const size_t element = dtype_bytes(tensor->dtype);
    const size_t most = sizeof stored / element;
    const size_t first = (size_t)vector_idx * width;
    for (size_t done = 0, n; done < width; done += n) {
        n = width - done < most ? width - done : most;
        const enum dr_code code =
            tensor_file_read(&embedding->file, tensor, (first + done) * element, stored,
                             n * element, err);
        if (code) return code;
        dtype_to_f32(stored, tensor->dtype, target + done, n);
    }
    for (size_t i = 0; i < width; ++i)
        if (!isfinite(target[i]))
            return error_set(err, DR_NOT_FINITE,
                             "number %zu of its vector %d is %g: the embedding is "
                             "damaged, or its training failed; use another file",
                             i + 1, (int)vector_idx + 1, (double)target[i]);
    return DR_OK;
}

enum dr_code embedding_file_read(const struct embedding_file *embedding,
                                 int32_t text_idx, float *target, struct dr_error *err)
{
    assert(embedding->vectors[text_idx]);
    enum dr_code code = tensor_file_check(&embedding->file, err);
    for (int32_t i = 0; !code && i < embedding->vector_count; ++i)
        code =
            read_vector(embedding, text_idx, i,
                        target + (size_t)i * (size_t)embedding->widths[text_idx], err);
    return code;
}

static enum dr_code check_numbers(const struct embedding_file *embedding,
                                  struct dr_error *err)
{
    float *const vector = malloc(EMBEDDING_MOST_WIDTH * sizeof *vector);
    if (!vector) return error_set(err, DR_NOMEM, "no memory for a vector");
    enum dr_code code = DR_OK;
    for (int32_t k = 0; !code && k < EMBEDDING_TEXTS; ++k)
        for (int32_t i = 0;
             !code && embedding->vectors[k] && i < embedding->vector_count; ++i)
            code = read_vector(embedding, k, i, vector, err);
    free(vector);
    return code;
}

static enum dr_code digest_file(struct embedding_file *embedding,
                                const struct cancel *cancel, struct dr_error *err)
{
    const struct tensor_shard *const shard = tensor_file_only(&embedding->file);
    struct file_hash hash = {0};
    if (!shard)
        return error_set(err, DR_UNSUPPORTED, "an embedding is one file, not several");
    enum dr_code code = file_hash_begin(&hash, shard->descriptor, shard->identity.bytes,
                                        FILE_HASH_HERE, err);
    if (!code) code = file_hash_wait(&hash, cancel, embedding->digest, err);
    file_hash_end(&hash);
    return code;
}

enum dr_code embedding_file_open(struct embedding_file *embedding, const char *path,
                                 const struct cancel *cancel, struct dr_error *err)
{
    *embedding = (struct embedding_file){0};
    enum dr_code code = tensor_file_open(&embedding->file, path, err);
    if (code) return code;
    code = sort(embedding, err);
    if (!code) code = digest_file(embedding, cancel, err);
    if (!code) code = check_numbers(embedding, err);
    if (code) {
        error_prefix(err, "%.400s", path);
        embedding_file_close(embedding);
    }
    return code;
}

void embedding_file_close(struct embedding_file *embedding)
{
    tensor_file_close(&embedding->file);
    *embedding = (struct embedding_file){0};
}

char *embedding_file_hash(const struct embedding_file *embedding,
                          char out[static EMBEDDING_HASH_BYTES])
{
    char hex[DIGEST_HEX];
    memcpy(out, digest_hex(embedding->digest, hex), EMBEDDING_HASH_DIGITS);
    out[EMBEDDING_HASH_DIGITS] = '\0';
    return out;
}
