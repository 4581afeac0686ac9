/* composed_tensor — a tensor that the file stores in another form: in parts, or transposed.
 *
 * For the queries, keys and values of a text encoder diffusers stores three matrices where
 * OpenCLIP has one, and it stores a projection transposed. A composed tensor reads like the
 * tensor of the original layout: the same shape, the same bytes, and so the same digest.
 *
 * A composed tensor has parts instead of a position in the file; tensor_file_read handles it.
 * Parts are borrowed and outlive it.
 */
#ifndef WEIGHTS_COMPOSED_TENSOR_H
#define WEIGHTS_COMPOSED_TENSOR_H

#include "weights/tensor_file.h"

enum {
    COMPOSED_MAX_PARTS = 3
};

/* The rows of part_count tensors, one below the other. parts is borrowed too. Errors: DR_CORRUPT
 * where they differ in type or in the length of a row, DR_UNSUPPORTED where one has no rows. */
enum dr_code composed_tensor_stack(struct tensor *out,
                                   const struct tensor *const parts[],
                                   int32_t part_count,
                                   struct dr_error *err) DR_MUST_CHECK;

/* The transposed matrix parts[0]. Errors: DR_UNSUPPORTED if it is not a matrix, or of a block
 * type. */
enum dr_code composed_tensor_turn(struct tensor *out,
                                  const struct tensor *const parts[],
                                  struct dr_error *err) DR_MUST_CHECK;

/* The implementation of tensor_file_read for a composed tensor: start and bytes are whole
 * elements. A read of a transposed tensor visits each stored row, so read it in large pieces. */
enum dr_code composed_tensor_read(const struct tensor_file *file,
                                  const struct tensor *tensor, uint64_t start,
                                  void *target, size_t bytes,
                                  struct dr_error *err) DR_MUST_CHECK;

#endif
