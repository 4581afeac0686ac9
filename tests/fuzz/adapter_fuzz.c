/* adapter_fuzz — the header of a safetensors file, as an adapter: names, shapes, texts.
 *
 * The input is the header's JSON text; the data has the size that it gives, or none fits. What is sorted must be
 * sound: each layer has parts, each part has one network, and ranks are at least 1.
 */
#include <assert.h>
#include <string.h>

#include "weights/adapter_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 4) return 0;
    struct tensor_file file;
    struct adapter_file adapter;
    struct dr_error err = {.message = ""};
    const uint64_t data_bytes =
        (uint64_t)data[0] | (uint64_t)data[1] << 8 | (uint64_t)data[2] << 16;
    if (tensor_file_parse_safetensors(&file, data + 3, bytes - 3, data_bytes, &err))
        return 0;
    if (adapter_file_sort(&adapter, &file, &err)) {
        assert(err.message[0] && !adapter.layers && !adapter.file.tensors);
        return 0;
    }
    assert(adapter.layer_count > 0);
    for (size_t i = 0; i < adapter.layer_count; ++i) {
        const struct adapter_layer *const layer = &adapter.layers[i];
        size_t parts = 0;
        for (int part = 0; part < ADAPTER_PART_COUNT; ++part)
            parts += layer->parts[part] != NULL;
        assert(parts > 0 && layer->rank >= 0 && layer->kind < ADAPTER_KIND_COUNT);
        assert(layer->module[0] && strlen(layer->module) < ADAPTER_MODULE_BYTES);
        struct adapter_spellings spelled;
        adapter_spellings(layer->role, layer->module, 3, &spelled);
    }
    assert(adapter.word_count <= ADAPTER_TRIGGER_WORDS);
    adapter_file_close(&adapter);
    return 0;
}
