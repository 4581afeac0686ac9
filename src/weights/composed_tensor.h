/* composed_tensor — a tensor that the file stores in another form: in parts, or transposed.
 *
 * diffusers stores the queries, keys and values of a text encoder apart where OpenCLIP has one
 * matrix, and a projection transposed. Composed, they are read as the tensor of the original
 * layout is: the same shape, the same bytes, and so the same digest.
 *
 * A composed tensor has parts instead of a place in the file; tensor_file_read knows what to do.
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

/* parts[0], a matrix, transposed. Errors: DR_UNSUPPORTED where it is none. */
enum dr_code composed_tensor_turn(struct tensor *out,
                                  const struct tensor *const parts[],
                                  struct dr_error *err) DR_MUST_CHECK;

/* What tensor_file_read does for one: start and bytes are whole elements. Of a transposed one each
 * stored row is visited, so read it in large pieces. */
enum dr_code composed_tensor_read(const struct tensor_file *file,
                                  const struct tensor *tensor, uint64_t start,
                                  void *target, size_t bytes,
                                  struct dr_error *err) DR_MUST_CHECK;

#endif
