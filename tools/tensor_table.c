/* tensor_table — print what darkroom's reader sees in tensor files, for compare_safetensors.py.
 *
 *     tensor_table FILE...
 *
 * For each file one JSON object a line: either {"file", "code", "message"}, or {"file", "code":
 * "ok", "tensors": {name: [dtype, [dims], sha256 of its bytes]}, "digests": {role: digest}} with
 * the digests of the components that it holds.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "weights/checkpoint.h"

enum {
    BUFFER_BYTES = 1 << 20
};
static unsigned char buffer[BUFFER_BYTES];

static json_t *tensor_json(const struct tensor_file *file, const struct tensor *tensor,
                           struct dr_error *err)
{
    struct digest digest;
    uint8_t bytes[DIGEST_BYTES];
    char hex[DIGEST_HEX];
    enum dr_code code = DR_OK;
    digest_init(&digest);
    for (uint64_t start = 0; !code && start < tensor->bytes;) {
        const uint64_t left = tensor->bytes - start;
        const size_t piece = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        code = tensor_file_read(file, tensor, start, buffer, piece, err);
        digest_add(&digest, buffer, piece);
        start += piece;
    }
    digest_end(&digest, bytes);
    json_t *const dims = json_array();
    for (int32_t i = 0; i < tensor->rank; ++i)
        json_array_append_new(dims, json_integer(tensor->dims[i]));
    return json_pack("[s, o, s]", dtype_name(tensor->dtype), dims,
                     code ? err->message : digest_hex(bytes, hex));
}

static json_t *digests_json(const char *path)
{
    json_t *const digests = json_object();
    struct checkpoint checkpoint;
    struct dr_error err = {0};
    if (checkpoint_open(&checkpoint, path, &err)) return digests;
    for (int role = 0; role < ROLE_COUNT; ++role) {
        const struct component_index *const index = &checkpoint.components[role];
        uint8_t digest[DIGEST_BYTES];
        char hex[DIGEST_HEX];
        if (index->count > 0 &&
            !component_digest_read(index, buffer, sizeof buffer, NULL, digest, &err))
            json_object_set_new(digests, component_role_name(index->role),
                                json_string(digest_hex(digest, hex)));
    }
    checkpoint_close(&checkpoint);
    return digests;
}

static json_t *file_json(const char *path)
{
    struct tensor_file file;
    struct dr_error err = {0};
    const enum dr_code code = tensor_file_open(&file, path, &err);
    if (code)
        return json_pack("{s:s, s:s, s:s}", "file", path, "code", dr_code_name(code),
                         "message", err.message);
    json_t *const tensors = json_object();
    for (size_t i = 0; i < file.tensor_count; ++i)
        json_object_set_new(tensors, file.tensors[i].name,
                            tensor_json(&file, &file.tensors[i], &err));
    tensor_file_close(&file);
    return json_pack("{s:s, s:s, s:o, s:o}", "file", path, "code", "ok", "tensors",
                     tensors, "digests", digests_json(path));
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; ++i) {
        json_t *const line = file_json(arguments[i]);
        if (!line || json_dumpf(line, stdout, JSON_COMPACT)) return 1;
        (void)putchar('\n');
        json_decref(line);
    }
    return 0;
}
