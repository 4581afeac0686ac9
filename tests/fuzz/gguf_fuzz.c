/* gguf_fuzz — any bytes as a GGUF file.
 *
 * What parses must also be sound: names in order and found, every tensor in the file and none over
 * another, shapes that give the sizes. What does not parse leaves an error and nothing else.
 */
#include <assert.h>
#include <string.h>

#include "weights/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_tensor(const struct tensor_file *file, const struct tensor *tensor,
                         size_t bytes)
{
    size_t count = 1, expected = 0;
    char shape[TENSOR_SHAPE_TEXT];
    assert(tensor_file_find(file, tensor->name) == tensor);
    assert(strlen(tensor->name) <= TENSOR_MAX_NAME_BYTES);
    assert(tensor->rank >= 0 && tensor->rank <= TENSOR_MAX_RANK);
    for (int32_t i = 0; i < tensor->rank; ++i)
        count *= (size_t)tensor->dims[i];
    assert(dtype_size(tensor->dtype, count, &expected) && expected == tensor->bytes);
    assert((size_t)tensor_element_count(tensor) == count);
    assert(tensor->offset >= 24);
    assert(tensor->bytes == 0 ||
           (tensor->offset <= bytes && tensor->bytes <= bytes - tensor->offset));
    assert(tensor_shape_text(tensor, shape)[0] == '[');
}

/* No byte belongs to two tensors. */
static void check_places(const struct tensor_file *file)
{
    for (size_t i = 0; i < file->tensor_count; ++i)
        for (size_t k = 0; k < i && file->tensor_count < 100; ++k) {
            const struct tensor *const a = &file->tensors[i], *const b =
                                                                  &file->tensors[k];
            assert(a->offset + a->bytes <= b->offset ||
                   b->offset + b->bytes <= a->offset);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct tensor_file file;
    struct dr_error err = {.message = ""};
    if (tensor_file_parse_gguf(&file, data, bytes, &err)) {
        assert(err.message[0] && !file.tensors && !file.pool.head);
        return 0;
    }
    for (size_t i = 0; i < file.tensor_count; ++i) {
        assert(i == 0 || strcmp(file.tensors[i - 1].name, file.tensors[i].name) < 0);
        check_tensor(&file, &file.tensors[i], bytes);
    }
    check_places(&file);
    for (size_t i = 0; i < file.metadata_count; ++i)
        assert(tensor_file_metadata(&file, file.metadata[i].key));
    tensor_file_close(&file);
    return 0;
}
