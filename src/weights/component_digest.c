#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

void component_digest_end(const struct component_index *component,
                          const uint8_t (*tensor_digests)[DIGEST_BYTES],
                          uint8_t out[DIGEST_BYTES])
{
    struct digest digest;
    digest_init(&digest);
    for (size_t i = 0; i < component->count; ++i)
        add_tensor(&digest, &component->tensors[i], tensor_digests[i]);
    digest_end(&digest, out);
}

static enum dr_code read_tensor(const struct component_index *component,
                                const struct tensor *tensor, void *buffer,
                                size_t buffer_bytes, uint8_t out[DIGEST_BYTES],
                                struct dr_error *err)
{
    struct digest digest;
    enum dr_code code = DR_OK;
    digest_init(&digest);
    for (uint64_t start = 0; !code && start < tensor->bytes;) {
        const uint64_t left = tensor->bytes - start;
        const size_t bytes = left < buffer_bytes ? (size_t)left : buffer_bytes;
        code = tensor_file_read(component->file, tensor, start, buffer, bytes, err);
        if (!code) digest_add(&digest, buffer, bytes);
        start += bytes;
    }
    digest_end(&digest, code ? NULL : out);
    return code;
}

enum dr_code component_digest_read(const struct component_index *component,
                                   void *buffer, size_t buffer_bytes,
                                   uint8_t out[DIGEST_BYTES], struct dr_error *err)
{
    struct digest digest;
    uint8_t tensor_digest[DIGEST_BYTES] = {0};
    enum dr_code code = tensor_file_check(component->file, err);
    buffer_bytes -= buffer_bytes % 8; /* whole elements of every type */
    digest_init(&digest);
    for (size_t i = 0; !code && i < component->count; ++i) {
        code = read_tensor(component, component->tensors[i].tensor, buffer,
                           buffer_bytes, tensor_digest, err);
        if (!code) add_tensor(&digest, &component->tensors[i], tensor_digest);
    }
    if (!code) code = tensor_file_check(component->file, err);
    digest_end(&digest, code ? NULL : out);
    return code;
}
