/* pickle_fuzz — any bytes as a file of tensors: zip and legacy PyTorch checkpoints foremost.
 *
 * What opens must be sound: names in order, shapes that give the sizes, all of every tensor
 * within the file and readable. What does not open leaves an error and nothing else.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weights/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_tensor(const struct tensor_file *file, const struct tensor *tensor,
                         uint64_t file_bytes)
{
    uint64_t count = 1;
    unsigned char last;
    assert(tensor_file_find(file, tensor->name) == tensor);
    assert(strlen(tensor->name) <= TENSOR_MAX_NAME_BYTES);
    assert(tensor->rank >= 0 && tensor->rank <= TENSOR_MAX_RANK);
    for (int32_t i = 0; i < tensor->rank; ++i)
        count *= (uint64_t)tensor->dims[i];
    assert(count * dtype_bytes(tensor->dtype) == tensor->bytes);
    assert(tensor->offset <= file_bytes);
    assert(tensor->bytes <= file_bytes - tensor->offset);
    if (tensor->bytes > 0)
        assert(tensor_file_read(file, tensor, tensor->bytes - 1, &last, 1, NULL) ==
               DR_OK);
}

/* The input as a file that has no name: its descriptor's. */
static int input_file(char path[static 64])
{
    char name[] = "/tmp/pickle-fuzz-XXXXXX";
    const int descriptor = mkstemp(name);
    assert(descriptor >= 0);
    (void)unlink(name);
    (void)snprintf(path, 64, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static int descriptor = -1;
    static char path[64];
    if (descriptor < 0) descriptor = input_file(path);
    if (ftruncate(descriptor, 0) != 0 ||
        pwrite(descriptor, data, bytes, 0) != (ssize_t)bytes)
        return 0;
    struct tensor_file file;
    struct dr_error err = {.message = ""};
    if (tensor_file_open(&file, path, &err)) {
        assert(err.message[0] && !file.tensors && !file.pool.head);
        return 0;
    }
    for (size_t i = 0; i < file.tensor_count; ++i) {
        assert(i == 0 || strcmp(file.tensors[i - 1].name, file.tensors[i].name) < 0);
        check_tensor(&file, &file.tensors[i], bytes);
    }
    tensor_file_close(&file);
    return 0;
}
