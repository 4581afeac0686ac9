/* adapter_config_fuzz — any bytes as what PEFT says of a LoRA; the first byte selects the prefix of its keys. */
#include <assert.h>
#include <math.h>

#include "weights/adapter_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const prefixes[] = {"", "unet.", "text_encoder_2."};
    struct adapter_config config;
    struct pool pool = {0};
    struct dr_error err = {.message = ""};
    if (bytes == 0) return 0;
    const enum dr_code code =
        adapter_config_parse(&config, (const char *)data + 1, bytes - 1,
                             prefixes[data[0] % 3], &pool, &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    for (int32_t rank = 1; rank <= 64; rank *= 8)
        assert(isfinite(adapter_config_scale(&config, "a_b", rank)));
    pool_finish(&pool);
    return 0;
}
