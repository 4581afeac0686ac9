/* shard_index_fuzz — any bytes as the index of a sharded set, beside shards that are there.
 *
 * What opens must be sound: names in order and found, the shards those of the folder, all of every
 * tensor within its shard and readable. What does not open leaves an error and nothing else.
 */
#include <assert.h>

#include "input_file.h"
#include "scratch_folder.h"
#include "weights/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void write_shard(const char *name, const char *header, const char *content)
{
    unsigned char file[512] = {(unsigned char)strlen(header)};
    memcpy(file + 8, header, strlen(header));
    memcpy(file + 8 + strlen(header), content, strlen(content));
    scratch_write(scratch_path(name), file, 8 + strlen(header) + strlen(content));
}

/* A set of two shards, one without tensors, one that is cut short, and one in another format. */
static const char *make_shards(void)
{
    static const char pickle[] = "\200\002}q\000.";
    write_shard("a.safetensors",
                "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                "\"y\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[2,4]}}",
                "abcd");
    write_shard("b.safetensors",
                "{\"__metadata__\":{\"k\":\"b\"},"
                "\"z\":{\"dtype\":\"U8\",\"shape\":[3,1],\"data_offsets\":[0,3]}}",
                "efg");
    write_shard("empty.safetensors", "{}", "");
    write_shard("cut.safetensors",
                "{\"x\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}}",
                "abcd");
    scratch_write(scratch_path("a.bin"), pickle, sizeof pickle - 1);
    return scratch_path("model.safetensors.index.json");
}

static void check_tensor(const struct tensor_file *file, const struct tensor *tensor)
{
    unsigned char last;
    assert(tensor_file_find(file, tensor->name) == tensor);
    assert(tensor->shard_idx >= 0 && (size_t)tensor->shard_idx < file->shard_count);
    const uint64_t bytes = file->shards[tensor->shard_idx].identity.bytes;
    assert(tensor->offset <= bytes && tensor->bytes <= bytes - tensor->offset);
    if (tensor->bytes == 0) return;
    const enum dr_code code =
        tensor_file_read(file, tensor, tensor->bytes - 1, &last, 1, NULL);
    assert(code == DR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *path;
    struct tensor_file file;
    struct dr_error err = {.message = ""};
    if (!path) path = make_shards();
    scratch_write(path, data, bytes);
    if (tensor_file_open(&file, path, &err) != DR_OK) {
        assert(err.message[0] && !file.tensors && !file.pool.head);
        return 0;
    }
    assert(file.shard_count <= 5);
    for (size_t i = 0; i < file.shard_count; ++i)
        assert(strncmp(file.shards[i].path, scratch_folder(),
                       strlen(scratch_folder())) == 0);
    for (size_t i = 0; i < file.tensor_count; ++i) {
        assert(i == 0 || strcmp(file.tensors[i - 1].name, file.tensors[i].name) < 0);
        check_tensor(&file, &file.tensors[i]);
    }
    tensor_file_close(&file);
    return 0;
}
