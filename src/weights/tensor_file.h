/* tensor_file — the tensors of a checkpoint file, by name, read with pread.
 *
 * One interface for every container: .safetensors; .gguf (gguf.h); a sharded checkpoint by its index.json;
 * PyTorch's pickle checkpoints, from which no code is run (pickle_checkpoint.c); diffusers
 * directories (diffusers_folder.c). Each has one reader that fills the same table. A file is never
 * mapped, so a truncated file is an error, not a crash.
 *
 * The safetensors format: u64 little-endian header length, JSON header, data. As the reference
 * reader does, this one rejects holes, overlap, trailing bytes, truncation, sizes that do not
 * match, a header above 100,000,000 bytes, metadata that is not a string; it accepts unsorted keys,
 * padding spaces, scalars, empty tensors, unknown fields, null for no metadata. A string ends at
 * its first NUL character. Beyond that it rejects duplicate names, control characters in names, and
 * JSON that nests deeply or lists more than a table of TENSOR_MAX_COUNT tensors can, before memory
 * is spent on it.
 *
 * A sharded set: index.json maps each name to a shard, a plain file name beside the index.
 * Index and shards must agree in every name.
 *
 * Threads: one at a time per file. Names are in the file's pool and stay valid until close.
 */
#ifndef WEIGHTS_TENSOR_FILE_H
#define WEIGHTS_TENSOR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"
#include "base/pool.h"
#include "weights/file_identity.h"

enum {
    TENSOR_MAX_RANK = 8,
    TENSOR_MAX_COUNT = 100000,
    TENSOR_MAX_NAME_BYTES = 1024,
};

struct tensor {
    const char *name; /* as in the file */
    enum dtype dtype;
    int32_t rank;
    int64_t dims[TENSOR_MAX_RANK]; /* outermost first */
    uint64_t bytes;    /* of a block type whole blocks, one after the other */
    uint64_t offset;   /* in its shard, from the file's start */
    int32_t shard_idx; /* which file */
    /* Only of a composed tensor (composed_tensor.h): what it is read from, instead of a
     * position. */
    const struct tensor *const *parts;
    int32_t part_count;
    bool is_turned;
};

struct tensor_shard {
    const char *path;
    int descriptor;
    struct file_identity identity;
};

/* Where a key and its text are: in the file's own metadata, or in a config beside it. A value of
 * a config is text too: JSON but for strings, which lose their quotes; a value within another
 * has the key "outer.inner". */
enum config_kind {
    CONFIG_NONE,     /* __metadata__ */
    CONFIG_PIPELINE, /* model_index.json */
    CONFIG_UNET,
    CONFIG_VAE,
    CONFIG_TEXT,
    CONFIG_TEXT2,
    CONFIG_SCHEDULER,
    CONFIG_YAML, /* NAME.yaml beside NAME.safetensors */
    CONFIG_KIND_COUNT
};

/* A text of a file's __metadata__. Texts above 4096 bytes (thumbnails, training logs) are left
 * out; a config's are cut. In a sharded set the index's own texts come first, then each shard's; the first of a
 * key counts. */
struct tensor_metadata {
    const char *key, *text;
    enum config_kind config;
    const char *config_path; /* NULL: CONFIG_NONE */
};

struct tensor_file {
    const char *path;       /* as given */
    const char *format;     /* "safetensors", "PyTorch checkpoint", ... */
    struct tensor *tensors; /* sorted by name, bytewise */
    size_t tensor_count;
    struct tensor_metadata *metadata;
    size_t metadata_count;
    struct tensor_shard *shards;
    size_t shard_count;
    struct pool pool; /* private */
};

/* Open and parse. The format is told from the content first, then the name. Errors:
 * DR_NOT_FOUND, DR_IO, DR_CORRUPT (which tensor, which bytes), DR_UNSUPPORTED (a pickle
 * that would have to be run; the message has advice). On error *file is zero. */
enum dr_code tensor_file_open(struct tensor_file *file, const char *path,
                              struct dr_error *err) DR_MUST_CHECK;
void tensor_file_close(struct tensor_file *file); /* zeroed is fine */

/* Binary search; NULL where there is none. */
const struct tensor *tensor_file_find(const struct tensor_file *file, const char *name);
/* Of the file's own metadata, or of a config; NULL where there is none. */
const char *tensor_file_metadata(const struct tensor_file *file, const char *key);
const struct tensor_metadata *tensor_file_config(const struct tensor_file *file,
                                                 enum config_kind config,
                                                 const char *key);

/* The file that this is; NULL: it is a directory, or the index of several. */
const struct tensor_shard *tensor_file_only(const struct tensor_file *file);

/* Read bytes [start, start+bytes) of a tensor's data as stored; of a composed tensor whole elements or blocks. Errors: DR_IO, DR_CHANGED
 * (short read: names file, tensor, offset). Fault place: FAULT_READ. */
enum dr_code tensor_file_read(const struct tensor_file *file,
                              const struct tensor *tensor, uint64_t start, void *target,
                              size_t bytes, struct dr_error *err) DR_MUST_CHECK;

/* Are all shards still the files that were opened? Errors: DR_CHANGED. */
enum dr_code tensor_file_check(const struct tensor_file *file,
                               struct dr_error *err) DR_MUST_CHECK;

/* The number of elements; 1 for a scalar. Cannot overflow: checked when parsed. */
int64_t tensor_element_count(const struct tensor *tensor);

/* "[320, 4, 3, 3]", for messages; returns out. */
#define TENSOR_SHAPE_TEXT (TENSOR_MAX_RANK * 22)
char *tensor_shape_text(const struct tensor *tensor,
                        char out[static TENSOR_SHAPE_TEXT]);

/* The parser on bytes in memory, for the fuzzer: the header's JSON text alone, with as many bytes
 * of data behind it as data_bytes says. The result has no shards and is released by
 * tensor_file_close; it cannot be read from. */
enum dr_code tensor_file_parse_safetensors(struct tensor_file *file, const void *header,
                                           size_t header_bytes, uint64_t data_bytes,
                                           struct dr_error *err) DR_MUST_CHECK;
/* The same of a whole GGUF file in memory. */
enum dr_code tensor_file_parse_gguf(struct tensor_file *file, const void *data,
                                    size_t bytes, struct dr_error *err) DR_MUST_CHECK;

#endif
