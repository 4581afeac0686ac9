/* gguf_fixture — GGUF files for tests, byte by byte, good and bad. */
#ifndef WEIGHTS_GGUF_FIXTURE_H
#define WEIGHTS_GGUF_FIXTURE_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct gguf_bytes {
    unsigned char data[65536];
    size_t bytes;
};

static inline void gguf_put(struct gguf_bytes *file, const void *data, size_t bytes)
{
    assert(bytes <= sizeof file->data - file->bytes);
    memcpy(file->data + file->bytes, data, bytes);
    file->bytes += bytes;
}

static inline void gguf_number(struct gguf_bytes *file, uint64_t value, size_t bytes)
{
    unsigned char raw[8];
    for (size_t i = 0; i < 8; ++i)
        raw[i] = (unsigned char)(value >> 8 * i);
    gguf_put(file, raw, bytes);
}

static inline void gguf_string(struct gguf_bytes *file, const char *text)
{
    gguf_number(file, strlen(text), 8);
    gguf_put(file, text, strlen(text));
}

static inline void gguf_begin(struct gguf_bytes *file, uint32_t version,
                              uint64_t tensors, uint64_t pairs)
{
    file->bytes = 0;
    gguf_put(file, "GGUF", 4);
    gguf_number(file, version, 4);
    gguf_number(file, tensors, 8);
    gguf_number(file, pairs, 8);
}

static inline void gguf_text_pair(struct gguf_bytes *file, const char *key,
                                  const char *text)
{
    gguf_string(file, key);
    gguf_number(file, 8, 4);
    gguf_string(file, text);
}

/* An array of int32. */
static inline void gguf_shape_pair(struct gguf_bytes *file, const char *key,
                                   const int32_t *dims, int rank)
{
    gguf_string(file, key);
    gguf_number(file, 9, 4);
    gguf_number(file, 5, 4);
    gguf_number(file, (uint64_t)rank, 8);
    for (int i = 0; i < rank; ++i)
        gguf_number(file, (uint32_t)dims[i], 4);
}

/* dims outermost first, as elsewhere. */
static inline void gguf_tensor(struct gguf_bytes *file, const char *name,
                               const int64_t *dims, int rank, uint32_t type,
                               uint64_t offset)
{
    gguf_string(file, name);
    gguf_number(file, (uint64_t)rank, 4);
    for (int i = rank; i-- > 0;)
        gguf_number(file, (uint64_t)dims[i], 8);
    gguf_number(file, type, 4);
    gguf_number(file, offset, 8);
}

static inline void gguf_pad(struct gguf_bytes *file, size_t alignment)
{
    while (file->bytes % alignment)
        gguf_number(file, 0, 1);
}

#endif
