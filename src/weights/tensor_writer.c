#include "weights/tensor_writer.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/temporary_file.h"

struct tensor_writer {
    struct temporary_file file;
    uint64_t left_bytes; /* of the data that was announced */
};

/* ---- the header ---- */

static enum dr_code item_bytes(const struct tensor_writer_item *item, size_t *out,
                               struct dr_error *err)
{
    size_t bytes = dtype_bytes(item->dtype);
    bool fits = item->rank >= 0 && item->rank <= TENSOR_MAX_RANK;
    for (int32_t i = 0; fits && i < item->rank; ++i)
        fits = item->dims[i] >= 0 && size_mul(bytes, (size_t)item->dims[i], &bytes);
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

enum dr_code tensor_writer_add(struct tensor_writer *writer, const void *data,
                               size_t bytes, struct dr_error *err)
{
    assert(bytes <=
           writer->left_bytes); /* more than was announced is the caller's bug */
    const enum dr_code code = temporary_file_write(&writer->file, data, bytes, err);
    if (!code) writer->left_bytes -= bytes;
    return code;
}

enum dr_code tensor_writer_commit(struct tensor_writer **writer, struct dr_error *err)
{
    assert((*writer)->left_bytes == 0);
    const enum dr_code code = temporary_file_commit(&(*writer)->file, err);
    free(*writer);
    *writer = NULL;
    return code;
}

void tensor_writer_discard(struct tensor_writer **writer)
{
    if (!writer || !*writer) return;
    temporary_file_discard(&(*writer)->file);
    free(*writer);
    *writer = NULL;
}
