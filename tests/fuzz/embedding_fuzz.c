/* embedding_fuzz — any bytes as the file of an embedding.
 *
 * What opens must be sound: one or two tensors of [count, width], 1 to 75 vectors, all of them readable and finite.
 */
#include <assert.h>
#include <math.h>

#include "input_file.h"
#include "weights/embedding_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct embedding_file embedding;
    struct dr_error err = {.message = ""};
    if (embedding_file_open(&embedding, input_file(data, bytes), NULL, &err)) {
        assert(err.message[0] && !embedding.file.tensors);
        return 0;
    }
    assert(embedding.vectors[0] && embedding.vector_count >= 1 &&
           embedding.vector_count <= EMBEDDING_MOST_VECTORS);
    for (int32_t k = 0; k < EMBEDDING_TEXTS; ++k) {
        if (!embedding.vectors[k]) continue;
        const size_t count =
            (size_t)embedding.vector_count * (size_t)embedding.widths[k];
        float *const numbers = malloc(count * sizeof *numbers);
        if (!numbers) abort();
        assert(embedding_file_read(&embedding, k, numbers, NULL) == DR_OK);
        for (size_t i = 0; i < count; ++i)
            assert(isfinite(numbers[i]));
        free(numbers);
    }
    embedding_file_close(&embedding);
    return 0;
}
