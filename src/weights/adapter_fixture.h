/* adapter_fixture — small adapter files, written tensor by tensor, for tests.
 *
 *     struct adapter_writer w = {0};
 *     adapter_put(&w, "lora_unet_conv_in.lora_up.weight", DTYPE_F32, 0.1F, 2, 32, 4);
 *     adapter_say(&w, "ss_base_model_version", "sd_v1");
 *     adapter_write(&w, path);
 */
#ifndef WEIGHTS_ADAPTER_FIXTURE_H
#define WEIGHTS_ADAPTER_FIXTURE_H

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "weights/tensor_writer.h"

enum {
    ADAPTER_WRITER_ITEMS = 512,
    ADAPTER_WRITER_TEXTS = 8
};

struct adapter_writer {
    struct tensor_writer_item items[ADAPTER_WRITER_ITEMS];
    float spreads[ADAPTER_WRITER_ITEMS];
    size_t count;
    struct tensor_metadata texts[ADAPTER_WRITER_TEXTS];
    size_t text_count;
    uint64_t seed;
};

static inline float adapter_number(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (float)((double)(*state >> 11) * 0x1p-53 * 2.0 - 1.0);
}

/* Random numbers of this spread; of a scalar (rank 0), the number itself. */
static inline void adapter_put(struct adapter_writer *w, const char *name,
                               enum dtype dtype, float spread, int rank, ...)
{
    struct tensor_writer_item *const item = &w->items[w->count];
    *item =
        (struct tensor_writer_item){.name = strdup(name), .dtype = dtype, .rank = rank};
    va_list dims;
    va_start(dims, rank);
    for (int i = 0; i < rank; ++i)
        item->dims[i] = va_arg(dims, int);
    va_end(dims);
    w->spreads[w->count++] = spread;
}

static inline void adapter_say(struct adapter_writer *w, const char *key,
                               const char *text)
{
    w->texts[w->text_count++] = (struct tensor_metadata){.key = key, .text = text};
}

static inline uint16_t adapter_half(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000U;
    const int32_t exponent = (int32_t)(bits >> 23 & 255) - 112;
    if (exponent <= 0) return (uint16_t)sign;
    if (exponent >= 31) return (uint16_t)(sign | 0x7C00U);
    return (uint16_t)(sign | (uint32_t)exponent << 10 | (bits >> 13 & 1023));
}

static inline void adapter_write(struct adapter_writer *w, const char *path)
{
    struct tensor_writer *writer = NULL;
    struct dr_error err;
    uint64_t state = w->seed * 2 + 12345;
    if (tensor_writer_open(&writer, path, w->items, w->count, w->texts, w->text_count,
                           &err))
        check_fail_at("%s", err.message);
    for (size_t i = 0; i < w->count; ++i) {
        size_t count = 1;
        for (int k = 0; k < w->items[i].rank; ++k)
            count *= (size_t)w->items[i].dims[k];
        for (size_t k = 0; k < count; ++k) {
            const float number = w->items[i].rank == 0
                                     ? w->spreads[i]
                                     : w->spreads[i] * adapter_number(&state);
            uint16_t bits = adapter_half(number);
            if (w->items[i].dtype == DTYPE_BF16)
                dtype_to_bf16(&number, DTYPE_F32, &bits, 1);
            const void *const data = w->items[i].dtype == DTYPE_F32
                                         ? (const void *)&number
                                         : (const void *)&bits;
            check_int(tensor_writer_add(writer, data, dtype_bytes(w->items[i].dtype),
                                        &err),
                      ==, DR_OK);
        }
        free((void *)(uintptr_t)w->items[i].name);
    }
    check_int(tensor_writer_commit(&writer, &err), ==, DR_OK);
    w->count = w->text_count = 0;
}

#endif
