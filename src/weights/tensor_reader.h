/* tensor_reader — the structures that the reader of each container format fills. Private to
 * weights/.
 *
 * A reader appends the tensors of one shard to a list; tensor_file sorts the list when all are
 * in. Errors of readers describe the content ("tensor x ..."); a caller that knows the path
 * adds it as a prefix.
 */
#ifndef WEIGHTS_TENSOR_READER_H
#define WEIGHTS_TENSOR_READER_H

#include <jansson.h>

#include "weights/tensor_file.h"

enum {
    HEADER_MAX_BYTES = 100000000, /* the reference reader's limit */
    HEADER_MAX_DEPTH = 16,        /* the format needs 3 */
    /* The memory that jansson needs for a header is limited by the number of its values;
     * the format needs at most 11 commas per tensor (4 fields, 8 dims). */
    HEADER_MAX_COMMAS = 12 * (TENSOR_MAX_COUNT + 1000),
    METADATA_MAX_TEXT =
        4096, /* longer texts (thumbnails, training logs) are left out */
    METADATA_MAX_TABLE = 1 << 20, /* but for two that say how to use an adapter */
};

struct tensor_list {
    struct pool *pool;
    struct tensor *tensors;
    size_t count, capacity;
    struct tensor_metadata *metadata;
    size_t metadata_count, metadata_capacity;
};

/* Room for count more tensors. */
enum dr_code tensor_list_reserve(struct tensor_list *list, size_t count,
                                 struct dr_error *err) DR_MUST_CHECK;
/* Adds an entry if its key is new; long texts are omitted. Text must be a JSON string; it ends
 * at a \u0000, which some training programs leave in it. */
enum dr_code tensor_list_metadata(struct tensor_list *list, const char *key,
                                  const json_t *text,
                                  struct dr_error *err) DR_MUST_CHECK;
enum dr_code tensor_list_text(struct tensor_list *list, const char *key,
                              const char *text, struct dr_error *err) DR_MUST_CHECK;
/* The same for a key in a config, but a long text is truncated; said is borrowed. */
enum dr_code tensor_list_config(struct tensor_list *list,
                                const struct tensor_metadata *said,
                                struct dr_error *err) DR_MUST_CHECK;

/* No control characters, at most TENSOR_MAX_NAME_BYTES. Errors: DR_CORRUPT. */
enum dr_code tensor_name_check(const char *name, struct dr_error *err) DR_MUST_CHECK;

/* Parse JSON whose shape is bounded first: depth, number of values, no duplicate keys. what it is, for
 * messages: "header", "index", "config". The
 * result is released with json_decref. Its strings may have zero characters in them. Errors:
 * DR_CORRUPT. */
enum dr_code header_parse(json_t **out, const char *what, const char *text,
                          size_t bytes, struct dr_error *err) DR_MUST_CHECK;
/* The text of a string without zero characters; NULL of all else. Borrowed. */
const char *header_text(const json_t *value);

/* Tensors of a safetensors header (JSON text of header_bytes), for a file whose data is
 * data_bytes long. Checks all rules of the format. Nothing is sorted. */
enum dr_code safetensors_parse(struct tensor_list *list, int32_t shard_idx,
                               const char *header, size_t header_bytes,
                               uint64_t data_bytes, struct dr_error *err) DR_MUST_CHECK;

/* Open a regular file and note its identity; path is borrowed. */
enum dr_code tensor_shard_open(struct tensor_shard *shard, const char *path,
                               struct dr_error *err) DR_MUST_CHECK;
void tensor_shard_close(struct tensor_shard *shard);
/* Read from the file's start. A short file is DR_CHANGED. Fault place: FAULT_READ. */
enum dr_code tensor_shard_read(const struct tensor_shard *shard, uint64_t offset,
                               void *target, size_t bytes,
                               struct dr_error *err) DR_MUST_CHECK;
/* Read and parse the header of an open safetensors shard; fills identity.header. */
enum dr_code tensor_shard_parse(struct tensor_list *list, int32_t shard_idx,
                                struct tensor_shard *shard,
                                struct dr_error *err) DR_MUST_CHECK;

/* Tensors of a PyTorch checkpoint, in the zip and the legacy format; fill
 * identity.header. */
enum dr_code pickle_zip_parse(struct tensor_list *list, int32_t shard_idx,
                              struct tensor_shard *shard,
                              struct dr_error *err) DR_MUST_CHECK;
enum dr_code pickle_legacy_parse(struct tensor_list *list, int32_t shard_idx,
                                 struct tensor_shard *shard,
                                 struct dr_error *err) DR_MUST_CHECK;

/* Parses an open file with tensors of any format; *name is the name of the format. */
enum dr_code tensor_shard_parse_any(struct tensor_list *list, int32_t shard_idx,
                                    struct tensor_shard *shard, const char **name,
                                    struct dr_error *err) DR_MUST_CHECK;

/* Opens a single file: any format except a directory. As tensor_file_open. */
enum dr_code tensor_file_open_one(struct tensor_file *file, const char *path,
                                  struct dr_error *err) DR_MUST_CHECK;

/* Reads a diffusers directory, or the directory of one of its networks, into file, whose path
 * and pool are set; shards that were opened are closed by tensor_file_close. A tensor's name
 * begins with its part's: "unet/conv_in.weight". */
enum dr_code diffusers_folder_read(struct tensor_file *file, struct tensor_list *list,
                                   struct dr_error *err) DR_MUST_CHECK;
/* Adds settings of a network's config.json that its file does not have, as darkroom.*
 * metadata. config is beside path, a file with a name from diffusers; for other files nothing
 * is done. */
enum dr_code diffusers_config_beside(struct tensor_list *list, const char *path,
                                     struct dr_error *err) DR_MUST_CHECK;

/* Read index.json of a sharded set (its text) and all its shards into file, whose path and
 * pool are set; shards that were opened are closed by tensor_file_close. */
enum dr_code shard_index_read(struct tensor_file *file, struct tensor_list *list,
                              const char *text, size_t bytes,
                              struct dr_error *err) DR_MUST_CHECK;

#endif
