#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "weights/checkpoint.h"

/* 1x1 kernels count as matrices: the same VAE is stored either way. */
static int32_t digest_rank(const struct tensor *tensor)
{
    const bool is_1x1 =
        tensor->rank == 4 && tensor->dims[2] == 1 && tensor->dims[3] == 1;
    return is_1x1 ? 2 : tensor->rank;
}

/* name '\0' dtype '\0' dims, each with ',' '\0' digest: see checkpoint.h. */
static void add_tensor(struct digest *digest, const struct component_tensor *entry,
                       const uint8_t tensor_digest[DIGEST_BYTES])
{
    const struct tensor *const tensor = entry->tensor;
    const char *const dtype = dtype_name(tensor->dtype);
    digest_add(digest, entry->name, strlen(entry->name) + 1);
    digest_add(digest, dtype, strlen(dtype) + 1);
    for (int32_t i = 0; i < digest_rank(tensor); ++i) {
        char dim[24];
        const int bytes = snprintf(dim, sizeof dim, "%" PRId64 ",", tensor->dims[i]);
        digest_add(digest, dim, (size_t)bytes);
    }
    digest_add(digest, "", 1);
    digest_add(digest, tensor_digest, DIGEST_BYTES);
}

static void add_meaning(struct digest *digest, const struct component_index *component)
{
    const char *const meaning = component->meaning;
    if (meaning && *meaning) digest_add(digest, meaning, strlen(meaning) + 1);
}

void component_digest_end(const struct component_index *component,
                          const uint8_t (*tensor_digests)[DIGEST_BYTES],
                          uint8_t out[DIGEST_BYTES])
{
    struct digest digest;
    digest_init(&digest);
    for (size_t i = 0; i < component->count; ++i)
        add_tensor(&digest, &component->tensors[i], tensor_digests[i]);
    add_meaning(&digest, component);
    digest_end(&digest, out);
}

/* One reading of a component: what it needs of its caller, and how far it is. */
struct reading {
    const struct component_index *component;
    void *buffer;
    size_t buffer_bytes;
    const struct component_progress *progress; /* may be NULL */
    uint64_t done_bytes;
};

/* Tell how far it is. Cancelled? */
static enum dr_code look_up(const struct reading *reading, struct dr_error *err)
{
    const struct component_progress *const progress = reading->progress;
    const uint64_t total = reading->component->bytes;
    if (!progress) return DR_OK;
    if (progress->report && total > 0)
        progress->report(progress->cookie, (double)reading->done_bytes / (double)total);
    if (!cancel_requested(progress->cancel)) return DR_OK;
    return error_set(err, DR_CANCELLED, "reading the %s of %s was cancelled",
                     component_role_name(reading->component->role),
                     reading->component->file->path);
}

static enum dr_code read_tensor(struct reading *reading, const struct tensor *tensor,
                                uint8_t out[DIGEST_BYTES], struct dr_error *err)
{
    struct digest digest;
    enum dr_code code = DR_OK;
    digest_init(&digest);
    for (uint64_t start = 0; !code && start < tensor->bytes;) {
        const uint64_t left = tensor->bytes - start;
        const size_t bytes =
            left < reading->buffer_bytes ? (size_t)left : reading->buffer_bytes;
        code = look_up(reading, err);
        if (!code)
            code = tensor_file_read(reading->component->file, tensor, start,
                                    reading->buffer, bytes, err);
        if (!code) digest_add(&digest, reading->buffer, bytes);
        reading->done_bytes += bytes;
        start += bytes;
    }
    digest_end(&digest, code ? NULL : out);
    return code;
}

enum dr_code component_digest_read(const struct component_index *component,
                                   void *buffer, size_t buffer_bytes,
                                   const struct component_progress *progress,
                                   uint8_t out[DIGEST_BYTES], struct dr_error *err)
{
    struct digest digest;
    uint8_t tensor_digest[DIGEST_BYTES] = {0};
    struct reading reading = {.component = component,
                              .buffer = buffer,
                              .buffer_bytes =
                                  buffer_bytes -
                                  buffer_bytes % 8, /* whole elements of every type */
                              .progress = progress};
    enum dr_code code = tensor_file_check(component->file, err);
    digest_init(&digest);
    for (size_t i = 0; !code && i < component->count; ++i) {
        code = read_tensor(&reading, component->tensors[i].tensor, tensor_digest, err);
        if (!code) add_tensor(&digest, &component->tensors[i], tensor_digest);
    }
    add_meaning(&digest, component);
    if (!code) code = look_up(&reading, err);
    if (!code) code = tensor_file_check(component->file, err);
    digest_end(&digest, code ? NULL : out);
    return code;
}
