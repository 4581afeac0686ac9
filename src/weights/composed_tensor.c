#include "weights/composed_tensor.h"

#include <assert.h>
#include <string.h>

enum {
    BLOCK_BYTES = 4096 /* of a stored row, on the way to its places */
};

static bool has_rows_of(const struct tensor *a, const struct tensor *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    for (int32_t i = 1; i < a->rank; ++i)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

enum dr_code composed_tensor_stack(struct tensor *out,
                                   const struct tensor *const parts[],
                                   int32_t part_count, struct dr_error *err)
{
    assert(part_count >= 1 && part_count <= COMPOSED_MAX_PARTS);
    if (parts[0]->rank < 1)
        return error_set(err, DR_UNSUPPORTED, "tensor %.160s is a single value",
                         parts[0]->name);
    *out = *parts[0];
    out->parts = parts;
    out->part_count = part_count;
    for (int32_t i = 1; i < part_count; ++i) {
        char first[TENSOR_SHAPE_TEXT], other[TENSOR_SHAPE_TEXT];
        if (!has_rows_of(parts[0], parts[i]))
            return error_set(err, DR_CORRUPT,
                             "tensors %.160s (%s %s) and %.160s (%s %s) belong to "
                             "one matrix, but their row lengths differ",
                             parts[0]->name, dtype_name(parts[0]->dtype),
                             tensor_shape_text(parts[0], first), parts[i]->name,
                             dtype_name(parts[i]->dtype),
                             tensor_shape_text(parts[i], other));
        if (parts[i]->dims[0] > INT64_MAX / 2 - out->dims[0])
            return error_set(err, DR_CORRUPT, "tensor %.160s has too many rows",
                             parts[i]->name);
        out->dims[0] += parts[i]->dims[0];
        out->bytes += parts[i]->bytes; /* they lie in files: no overflow */
    }
    return DR_OK;
}

enum dr_code composed_tensor_turn(struct tensor *out,
                                  const struct tensor *const parts[],
                                  struct dr_error *err)
{
    char shape[TENSOR_SHAPE_TEXT];
    if (parts[0]->rank != 2)
        return error_set(err, DR_UNSUPPORTED, "tensor %.160s is %s, not a matrix",
                         parts[0]->name, tensor_shape_text(parts[0], shape));
    if (dtype_is_block(parts[0]->dtype))
        return error_set(err, DR_UNSUPPORTED,
                         "tensor %.160s is to be transposed, which is not possible in "
                         "the blocks of %s",
                         parts[0]->name, dtype_name(parts[0]->dtype));
    *out = *parts[0];
    out->parts = parts;
    out->part_count = 1;
    out->is_turned = true;
    out->dims[0] = parts[0]->dims[1];
    out->dims[1] = parts[0]->dims[0];
    return DR_OK;
}

/* ---- reading ---- */

static enum dr_code read_stacked(const struct tensor_file *file,
                                 const struct tensor *tensor, uint64_t start,
                                 unsigned char *target, size_t bytes,
                                 struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; !code && i < tensor->part_count && bytes > 0; ++i) {
        const struct tensor *const part = tensor->parts[i];
        if (start >= part->bytes) {
            start -= part->bytes;
            continue;
        }
        const uint64_t left = part->bytes - start;
        const size_t piece = left < bytes ? (size_t)left : bytes;
        code = tensor_file_read(file, part, start, target, piece, err);
        start = 0;
        target += piece;
        bytes -= piece;
    }
    return code;
}

/* Elements [first, end) of the transposed matrix, into target. */
struct window {
    uint64_t first, end;
    unsigned char *target;
};

/* How many of the stored row's elements come before element `end` of the transposed matrix: that
 * of column c is element c * rows + row there. */
static uint64_t columns_before(uint64_t end, uint64_t row, uint64_t rows)
{
    return end > row ? (end - row + rows - 1) / rows : 0;
}

static enum dr_code read_row(const struct tensor_file *file,
                             const struct tensor *stored, uint64_t row,
                             const struct window *window, struct dr_error *err)
{
    unsigned char block[BLOCK_BYTES];
    const size_t element = dtype_bytes(stored->dtype);
    const uint64_t rows = (uint64_t)stored->dims[0],
                   columns = (uint64_t)stored->dims[1];
    const uint64_t end = columns_before(window->end, row, rows);
    uint64_t column = columns_before(window->first, row, rows);
    enum dr_code code = DR_OK;
    while (!code && column < end) {
        const uint64_t left = end - column;
        const uint64_t count =
            left < BLOCK_BYTES / element ? left : BLOCK_BYTES / element;
        code = tensor_file_read(file, stored, (row * columns + column) * element, block,
                                (size_t)count * element, err);
        for (uint64_t i = 0; !code && i < count; ++i)
            memcpy(window->target +
                       ((column + i) * rows + row - window->first) * element,
                   block + i * element, element);
        column += count;
    }
    return code;
}

static enum dr_code read_turned(const struct tensor_file *file,
                                const struct tensor *tensor, uint64_t start,
                                void *target, size_t bytes, struct dr_error *err)
{
    const struct tensor *const stored = tensor->parts[0];
    const size_t element = dtype_bytes(tensor->dtype);
    const struct window window = {start / element, (start + bytes) / element, target};
    enum dr_code code = DR_OK;
    assert(start % element == 0 && bytes % element == 0);
    for (uint64_t row = 0; !code && row < (uint64_t)stored->dims[0]; ++row)
        code = read_row(file, stored, row, &window, err);
    return code;
}

enum dr_code composed_tensor_read(const struct tensor_file *file,
                                  const struct tensor *tensor, uint64_t start,
                                  void *target, size_t bytes, struct dr_error *err)
{
    return tensor->is_turned ? read_turned(file, tensor, start, target, bytes, err)
                             : read_stacked(file, tensor, start, target, bytes, err);
}
