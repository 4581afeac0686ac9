#include "weights/tensor_writer.h"

#include <assert.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/temporary_file.h"
#include "weights/gguf.h"

struct tensor_writer {
    struct temporary_file file;
    uint64_t left_bytes; /* of the data that was announced */
    /* Of GGUF, whose tensors are padded: the bytes of each, and the place in them. */
    uint64_t *item_bytes;
    size_t item_count, item_idx;
    uint64_t item_left;
};

/* ---- the header ---- */

static enum dr_code item_bytes(const struct tensor_writer_item *item, size_t *out,
                               struct dr_error *err)
{
    size_t bytes = 0, count = 1;
    bool fits = item->rank >= 0 && item->rank <= TENSOR_MAX_RANK;
    for (int32_t i = 0; fits && i < item->rank; ++i)
        fits = item->dims[i] >= 0 && size_mul(count, (size_t)item->dims[i], &count);
    fits = fits && dtype_size(item->dtype, count, &bytes);
    if (!fits || bytes > INT64_MAX)
        return error_set(err, DR_BAD_INPUT, "tensor %.160s: its size overflows",
                         item->name);
    *out = bytes;
    return DR_OK;
}

/* The entry of one tensor whose data begins at *offset, which moves behind it. */
static enum dr_code add_item(json_t *root, const struct tensor_writer_item *item,
                             size_t *offset, struct dr_error *err)
{
    size_t bytes = 0, end = 0;
    if (dtype_is_block(item->dtype))
        return error_set(err, DR_BAD_INPUT,
                         "tensor %.160s: %s is a type of GGUF, not of safetensors",
                         item->name, dtype_name(item->dtype));
    const enum dr_code code = item_bytes(item, &bytes, err);
    if (code) return code;
    if (!size_add(*offset, bytes, &end) || end > INT64_MAX)
        return error_set(err, DR_BAD_INPUT, "tensor %.160s: the file's size overflows",
                         item->name);
    if (strcmp(item->name, "__metadata__") == 0 || json_object_get(root, item->name))
        return error_set(err, DR_BAD_INPUT, "two tensors are named %.160s", item->name);
    json_t *const shape = json_array();
    for (int32_t i = 0; i < item->rank; ++i)
        (void)json_array_append_new(shape, json_integer(item->dims[i]));
    json_t *const entry =
        json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(item->dtype), "shape",
                  shape, "data_offsets", (json_int_t)*offset, (json_int_t)end);
    if (json_array_size(shape) != (size_t)item->rank ||
        json_object_set_new(root, item->name, entry))
        return error_set(err, DR_BAD_INPUT,
                         "the name of a tensor is not valid UTF-8: %.160s", item->name);
    *offset = end;
    return DR_OK;
}

static enum dr_code add_metadata(json_t *root, const struct tensor_metadata *metadata,
                                 size_t count, struct dr_error *err)
{
    if (count == 0) return DR_OK;
    json_t *const object = json_object();
    for (size_t i = 0; i < count; ++i)
        if (json_object_set_new(object, metadata[i].key,
                                json_string(metadata[i].text))) {
            json_decref(object);
            return error_set(err, DR_BAD_INPUT,
                             "metadata \"%.160s\" is not valid UTF-8", metadata[i].key);
        }
    if (json_object_set_new(root, "__metadata__", object))
        return error_set(err, DR_NOMEM, "no memory for metadata");
    return DR_OK;
}

/* Length, JSON, spaces up to a multiple of 8. */
static enum dr_code write_header(struct tensor_writer *writer, const json_t *root,
                                 struct dr_error *err)
{
    static const char spaces[8] = "        ";
    char *const text = json_dumps(root, JSON_COMPACT);
    if (!text) return error_set(err, DR_NOMEM, "no memory for a header");
    const size_t bytes = strlen(text), padded = size_align(bytes, 8);
    unsigned char prefix[8];
    for (int i = 0; i < 8; ++i)
        prefix[i] = (unsigned char)((uint64_t)padded >> 8 * i & 0xff);
    enum dr_code code = temporary_file_write(&writer->file, prefix, sizeof prefix, err);
    if (!code) code = temporary_file_write(&writer->file, text, bytes, err);
    if (!code) code = temporary_file_write(&writer->file, spaces, padded - bytes, err);
    free(text);
    return code;
}

static enum dr_code open_file(struct tensor_writer *writer, const char *path,
                              const json_t *root, struct dr_error *err)
{
    enum dr_code code = temporary_file_open(&writer->file, path, err);
    if (!code) code = write_header(writer, root, err);
    if (code) temporary_file_discard(&writer->file);
    return code;
}

/* ---- the header of GGUF ---- */

enum {
    GGUF_ALIGNMENT = 32,
    GGUF_ROW = 256 /* of tensors whose own rows are not whole blocks */
};

struct growing {
    unsigned char *data;
    size_t bytes, capacity;
    bool failed;
};

static void put(struct growing *g, const void *data, size_t bytes)
{
    if (g->capacity - g->bytes < bytes) {
        const size_t capacity = 2 * (g->capacity + bytes) + 4096;
        unsigned char *const grown = realloc(g->data, capacity);
        g->failed |= !grown;
        if (!grown) return;
        g->data = grown;
        g->capacity = capacity;
    }
    memcpy(g->data + g->bytes, data, bytes);
    g->bytes += bytes;
}

static void put_number(struct growing *g, uint64_t value, size_t bytes)
{
    unsigned char raw[8];
    for (size_t i = 0; i < sizeof raw; ++i)
        raw[i] = (unsigned char)(value >> 8 * i & 0xff);
    put(g, raw, bytes);
}

static void put_string(struct growing *g, const char *first, const char *second)
{
    put_number(g, strlen(first) + strlen(second), 8);
    put(g, first, strlen(first));
    put(g, second, strlen(second));
}

static void put_text(struct growing *g, const char *key, const char *text)
{
    put_string(g, key, "");
    put_number(g, 8, 4); /* a string */
    put_string(g, text, "");
}

static void put_u32(struct growing *g, const char *key, uint32_t value)
{
    put_string(g, key, "");
    put_number(g, 4, 4); /* UINT32 */
    put_number(g, value, 4);
}

/* Does the tensor need rows of another length than its own? */
static bool is_reshaped(const struct tensor_writer_item *item)
{
    const int64_t row = item->rank > 0 ? item->dims[item->rank - 1] : 1;
    return row % (int64_t)dtype_block_elements(item->dtype) != 0;
}

static int64_t element_count(const struct tensor_writer_item *item)
{
    int64_t count = 1; /* item_bytes has checked it */
    for (int32_t i = 0; i < item->rank; ++i)
        count *= item->dims[i];
    return count;
}

static void put_pairs(struct growing *g, const struct tensor_writer_gguf *gguf,
                      const struct tensor_writer_item *items, size_t item_count,
                      const struct tensor_metadata *metadata, size_t metadata_count)
{
    if (gguf->architecture) put_text(g, "general.architecture", gguf->architecture);
    put_u32(g, "general.quantization_version", 2);
    put_u32(g, "general.file_type", gguf->file_type);
    for (size_t i = 0; i < metadata_count; ++i)
        put_text(g, metadata[i].key, metadata[i].text);
    for (size_t i = 0; i < item_count; ++i) {
        const struct tensor_writer_item *const item = &items[i];
        if (!is_reshaped(item)) continue;
        put_string(g, "comfy.gguf.orig_shape.", item->name);
        put_number(g, 9, 4); /* an array */
        put_number(g, 5, 4); /* of INT32 */
        put_number(g, (uint64_t)item->rank, 8);
        for (int32_t k = 0; k < item->rank; ++k)
            put_number(g, (uint64_t)item->dims[k], 4);
    }
}

static enum dr_code put_tensor(struct growing *g, const struct tensor_writer_item *item,
                               uint64_t offset, struct dr_error *err)
{
    const int type = gguf_type_number(item->dtype);
    const int64_t count = element_count(item);
    int32_t rank = item->rank;
    int64_t dims[TENSOR_MAX_RANK];
    memcpy(dims, item->dims, sizeof dims);
    if (is_reshaped(item)) {
        rank = 2;
        dims[0] = count / GGUF_ROW;
        dims[1] = GGUF_ROW;
    }
    if (type < 0 || (rank != item->rank && count % GGUF_ROW != 0))
        return error_set(err, DR_BAD_INPUT,
                         "tensor %.160s cannot be of type %s in a GGUF file",
                         item->name, dtype_name(item->dtype));
    put_string(g, item->name, "");
    put_number(g, (uint64_t)rank, 4);
    for (int32_t i = rank; i-- > 0;)
        put_number(g, (uint64_t)dims[i], 8);
    put_number(g, (uint64_t)type, 4);
    put_number(g, offset, 8);
    return DR_OK;
}

/* ---- the writer ---- */

enum dr_code tensor_writer_open(struct tensor_writer **out, const char *path,
                                const struct tensor_writer_item *items,
                                size_t item_count,
                                const struct tensor_metadata *metadata,
                                size_t metadata_count, struct dr_error *err)
{
    size_t data_bytes = 0;
    json_t *const root = json_object();
    struct tensor_writer *writer = calloc(1, sizeof *writer);
    enum dr_code code = root && writer
                            ? DR_OK
                            : error_set(err, DR_NOMEM, "no memory to write %s", path);
    if (!code) code = add_metadata(root, metadata, metadata_count, err);
    for (size_t i = 0; !code && i < item_count; ++i)
        code = add_item(root, &items[i], &data_bytes, err);
    if (!code) {
        writer->file = TEMPORARY_FILE_INIT;
        writer->left_bytes = data_bytes;
        code = open_file(writer, path, root, err);
    }
    json_decref(root);
    if (code)
        free(writer);
    else
        *out = writer;
    return code;
}

static void free_writer(struct tensor_writer *writer)
{
    if (writer) free(writer->item_bytes);
    free(writer);
}

static enum dr_code open_gguf(struct tensor_writer *writer, const char *path,
                              const struct growing *header, struct dr_error *err)
{
    static const unsigned char zeros[GGUF_ALIGNMENT] = {0};
    const size_t padding = size_align(header->bytes, GGUF_ALIGNMENT) - header->bytes;
    enum dr_code code = temporary_file_open(&writer->file, path, err);
    if (!code)
        code = temporary_file_write(&writer->file, header->data, header->bytes, err);
    if (!code) code = temporary_file_write(&writer->file, zeros, padding, err);
    if (code) temporary_file_discard(&writer->file);
    return code;
}

enum dr_code tensor_writer_open_gguf(struct tensor_writer **out, const char *path,
                                     const struct tensor_writer_gguf *gguf,
                                     const struct tensor_writer_item *items,
                                     size_t item_count,
                                     const struct tensor_metadata *metadata,
                                     size_t metadata_count, struct dr_error *err)
{
    struct growing header = {0};
    uint64_t offset = 0;
    size_t reshaped_count = 0;
    struct tensor_writer *const writer = calloc(1, sizeof *writer);
    if (writer) writer->item_bytes = calloc(item_count + 1, sizeof *writer->item_bytes);
    enum dr_code code = writer && writer->item_bytes
                            ? DR_OK
                            : error_set(err, DR_NOMEM, "no memory to write %s", path);
    for (size_t i = 0; !code && i < item_count; ++i) {
        size_t bytes = 0;
        code = item_bytes(&items[i], &bytes, err);
        if (code) break;
        writer->item_bytes[i] = bytes;
        writer->left_bytes += bytes;
        reshaped_count += is_reshaped(&items[i]);
    }
    put(&header, "GGUF", 4);
    put_number(&header, 3, 4);
    put_number(&header, item_count, 8);
    put_number(&header, (gguf->architecture ? 3 : 2) + metadata_count + reshaped_count,
               8);
    if (!code) put_pairs(&header, gguf, items, item_count, metadata, metadata_count);
    for (size_t i = 0; !code && i < item_count; ++i) {
        code = put_tensor(&header, &items[i], offset, err);
        offset += size_align((size_t)writer->item_bytes[i], GGUF_ALIGNMENT);
    }
    if (!code && header.failed)
        code = error_set(err, DR_NOMEM, "no memory to write %s", path);
    if (!code) {
        writer->file = TEMPORARY_FILE_INIT;
        writer->item_count = item_count;
        writer->item_left = writer->item_bytes[0];
        code = open_gguf(writer, path, &header, err);
    }
    free(header.data);
    if (code)
        free_writer(writer);
    else
        *out = writer;
    return code;
}

/* A piece that ends in the current tensor; behind its end the padding. */
static enum dr_code add_to_item(struct tensor_writer *writer, const void *data,
                                size_t bytes, struct dr_error *err)
{
    static const unsigned char zeros[GGUF_ALIGNMENT] = {0};
    enum dr_code code = temporary_file_write(&writer->file, data, bytes, err);
    if (code) return code;
    writer->left_bytes -= bytes;
    writer->item_left -= bytes;
    while (!code && writer->item_left == 0 && writer->item_idx < writer->item_count) {
        const size_t whole = (size_t)writer->item_bytes[writer->item_idx];
        code = temporary_file_write(&writer->file, zeros,
                                    size_align(whole, GGUF_ALIGNMENT) - whole, err);
        writer->item_left = writer->item_bytes[++writer->item_idx];
    }
    return code;
}

enum dr_code tensor_writer_add(struct tensor_writer *writer, const void *data,
                               size_t bytes, struct dr_error *err)
{
    assert(bytes <=
           writer->left_bytes); /* more than was announced is the caller's bug */
    enum dr_code code = DR_OK;
    if (!writer->item_bytes) {
        code = temporary_file_write(&writer->file, data, bytes, err);
        if (!code) writer->left_bytes -= bytes;
        return code;
    }
    for (const unsigned char *at = data; !code && bytes > 0;) {
        const size_t some =
            bytes < writer->item_left ? bytes : (size_t)writer->item_left;
        code = add_to_item(writer, at, some, err);
        at += some;
        bytes -= some;
    }
    return code;
}

enum dr_code tensor_writer_commit(struct tensor_writer **writer, struct dr_error *err)
{
    assert((*writer)->left_bytes == 0);
    const enum dr_code code = temporary_file_commit(&(*writer)->file, err);
    free_writer(*writer);
    *writer = NULL;
    return code;
}

void tensor_writer_discard(struct tensor_writer **writer)
{
    if (!writer || !*writer) return;
    temporary_file_discard(&(*writer)->file);
    free_writer(*writer);
    *writer = NULL;
}
