/* gguf — the GGUF container: little endian, versions 2 and 3. Private to weights/.
 *
 *   "GGUF" u32 version, u64 tensors, u64 pairs
 *   pairs     string key, u32 type, value; a string is u64 bytes and its text; an array is u32 type of
 *             its elements (never an array), u64 elements, and these
 *   tensors   string name, u32 dims, u64 dims innermost first, u32 type, u64 offset in the data
 *   padding   to general.alignment (32 unless a pair has another power of two)
 *   data      each tensor begins where the one before ends, rounded up to the alignment
 *
 * Types that darkroom knows are read (gguf_types in gguf.c), among them the block types
 * (base/block_codec.h); others are refused by name and number. Pairs that are strings become metadata
 * of the file; of the others only general.alignment and comfy.gguf.orig_shape.NAME count: ComfyUI-GGUF
 * stores tensors whose rows are not whole blocks as rows of 256, and there says the shape that they
 * have. The header may have HEADER_MAX_BYTES.
 * Source: ggml's gguf specification; reference: the Python package gguf, gguf_reader.py.
 */
#ifndef WEIGHTS_GGUF_H
#define WEIGHTS_GGUF_H

#include "weights/tensor_reader.h"

/* Does a file that begins with these bytes claim to be one? */
bool gguf_is_beginning(const char *start, size_t bytes);

/* Tensors and metadata of an open file, into the list; fills identity.header. Errors: DR_CORRUPT
 * (which tensor or key, which bytes), DR_UNSUPPORTED (a version, a byte order, a type), DR_NOMEM, and
 * tensor_shard_read's. */
enum dr_code gguf_parse(struct tensor_list *list, int32_t shard_idx,
                        struct tensor_shard *shard, struct dr_error *err) DR_MUST_CHECK;

/* The same of a file in memory, for the fuzzer. */
enum dr_code gguf_parse_memory(struct tensor_list *list, const void *data, size_t bytes,
                               struct dr_error *err) DR_MUST_CHECK;

/* ggml's number of a type that a file can have; -1 for one that it cannot. */
int gguf_type_number(enum dtype type);

#endif
