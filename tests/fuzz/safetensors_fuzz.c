/* safetensors_fuzz — any bytes as a safetensors file: length, header, and as much data as is left.
 *
 * What parses must also be sound: names in order and found, every byte of the data in exactly one
 * tensor, shapes that give the sizes. What does not parse leaves an error and nothing else.
 */
#include <assert.h>
#include <string.h>

#include "weights/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_tensor(const struct tensor_file *file, const struct tensor *tensor,
                         uint64_t data_start, uint64_t data_bytes)
{
    uint64_t count = 1;
    char shape[TENSOR_SHAPE_TEXT];
    assert(tensor_file_find(file, tensor->name) == tensor);
    assert(strlen(tensor->name) <= TENSOR_MAX_NAME_BYTES);
    assert(tensor->rank >= 0 && tensor->rank <= TENSOR_MAX_RANK);
    for (int32_t i = 0; i < tensor->rank; ++i)
        count *= (uint64_t)tensor->dims[i];
    assert(count * dtype_bytes(tensor->dtype) == tensor->bytes);
    assert((uint64_t)tensor_element_count(tensor) == count);
    assert(tensor->offset >= data_start && tensor->offset - data_start <= data_bytes);
    assert(tensor->bytes <= data_bytes - (tensor->offset - data_start));
    assert(tensor_shape_text(tensor, shape)[0] == '[');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 8) return 0;
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
        length = length << 8 | data[i];
    if (length > bytes - 8) length = bytes - 8;
    const uint64_t data_bytes = bytes - 8 - length;
    struct tensor_file file;
    struct dr_error err = {.message = ""};
    if (tensor_file_parse_safetensors(&file, data + 8, (size_t)length, data_bytes,
                                      &err)) {
        assert(err.message[0] && !file.tensors && !file.pool.head);
        return 0;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < file.tensor_count; ++i) {
        assert(i == 0 || strcmp(file.tensors[i - 1].name, file.tensors[i].name) < 0);
        check_tensor(&file, &file.tensors[i], 8 + length, data_bytes);
        sum += file.tensors[i].bytes;
    }
    assert(sum == data_bytes);
    tensor_file_close(&file);
    return 0;
}
