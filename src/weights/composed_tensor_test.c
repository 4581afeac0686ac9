/* Composed tensors against the same numbers put together here, read whole and in every window. */
#include "check.h"
#include "scratch_folder.h"

#include "weights/composed_tensor.h"
#include "weights/tensor_writer.h"

enum {
    ROWS = 5,
    COLUMNS = 7,
    COUNT = ROWS * COLUMNS
};

static struct dr_error error;
static struct tensor_file file;

/* q, k, v: [5, 7] float16; wide: [2, 5000] float32; row: [5, 6]; other: [5, 7] float32; one: [] */
static void open_file(void)
{
    static const struct tensor_writer_item items[] = {
        {"q",     DTYPE_F16, 2, {ROWS, COLUMNS}    },
        {"k",     DTYPE_F16, 2, {ROWS, COLUMNS}    },
        {"v",     DTYPE_F16, 2, {1, COLUMNS}       },
        {"wide",  DTYPE_F32, 2, {2, 5000}          },
        {"row",   DTYPE_F16, 2, {ROWS, COLUMNS - 1}},
        {"other", DTYPE_F32, 2, {ROWS, COLUMNS}    },
        {"one",   DTYPE_F32, 0, {0}                },
    };
    struct tensor_writer *writer = NULL;
    const char *const path = scratch_path("parts.safetensors");
    unsigned char byte = 0;
    size_t bytes = 0;
    check_int(tensor_writer_open(&writer, path, items, sizeof items / sizeof items[0],
                                 NULL, 0, &error),
              ==, DR_OK);
    for (size_t i = 0; i < sizeof items / sizeof items[0]; ++i) {
        size_t item_bytes = dtype_bytes(items[i].dtype);
        for (int32_t k = 0; k < items[i].rank; ++k)
            item_bytes *= (size_t)items[i].dims[k];
        bytes += item_bytes;
    }
    for (; bytes > 0; --bytes, byte = (unsigned char)(byte * 5 + 1))
        check_int(tensor_writer_add(writer, &byte, 1, &error), ==, DR_OK);
    check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
    check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
}

static void read_whole(const char *name, unsigned char *out)
{
    const struct tensor *const tensor = tensor_file_find(&file, name);
    check_int(tensor_file_read(&file, tensor, 0, out, (size_t)tensor->bytes, &error),
              ==, DR_OK);
}

/* Every run of whole elements of `element` bytes is that part of the expected bytes. */
static void reads_every_window(const struct tensor *tensor,
                               const unsigned char *expected, size_t element)
{
    unsigned char window[256];
    for (size_t start = 0; start <= tensor->bytes; start += element)
        for (size_t end = start; end <= tensor->bytes; end += element) {
            memset(window, 0x55, sizeof window);
            check_int(tensor_file_read(&file, tensor, start, window, end - start,
                                       &error),
                      ==, DR_OK);
            check_bytes(window, expected + start, end - start);
            check_int(window[end - start], ==, 0x55); /* and not a byte more */
        }
}

static void stacks_rows(void)
{
    unsigned char expected[2 * COUNT * 2 + 2 * COLUMNS];
    const struct tensor *const parts[] = {tensor_file_find(&file, "q"),
                                          tensor_file_find(&file, "k"),
                                          tensor_file_find(&file, "v")};
    struct tensor stacked;
    check_int(composed_tensor_stack(&stacked, parts, 3, &error), ==, DR_OK);
    check_int(stacked.rank, ==, 2);
    check_int(stacked.dims[0], ==, 2 * ROWS + 1);
    check_int(stacked.dims[1], ==, COLUMNS);
    check_int(stacked.bytes, ==, sizeof expected);
    read_whole("q", expected);
    read_whole("k", expected + sizeof(uint16_t[COUNT]));
    read_whole("v", expected + 2 * sizeof(uint16_t[COUNT]));
    check(memcmp(expected, expected + sizeof(uint16_t[COUNT]), 32) != 0);
    reads_every_window(&stacked, expected, 1);
}

static void turns_matrices(void)
{
    uint16_t stored[COUNT], expected[COUNT];
    const struct tensor *const parts[] = {tensor_file_find(&file, "q")};
    struct tensor turned;
    check_int(composed_tensor_turn(&turned, parts, &error), ==, DR_OK);
    check_int(turned.dims[0], ==, COLUMNS);
    check_int(turned.dims[1], ==, ROWS);
    read_whole("q", (unsigned char *)stored);
    for (size_t row = 0; row < ROWS; ++row)
        for (size_t column = 0; column < COLUMNS; ++column)
            expected[column * ROWS + row] = stored[row * COLUMNS + column];
    check(memcmp(expected, stored, sizeof stored) != 0);
    reads_every_window(&turned, (const unsigned char *)expected, sizeof stored[0]);
}

/* Rows that are longer than a block. */
static void turns_long_rows(void)
{
    static float stored[10000], found[10000];
    const struct tensor *const parts[] = {tensor_file_find(&file, "wide")};
    struct tensor turned;
    check_int(composed_tensor_turn(&turned, parts, &error), ==, DR_OK);
    read_whole("wide", (unsigned char *)stored);
    check_int(tensor_file_read(&file, &turned, 0, found, sizeof found, &error), ==,
              DR_OK);
    for (size_t i = 0; i < 5000; ++i) {
        check_bytes(&found[2 * i], &stored[i], sizeof stored[0]);
        check_bytes(&found[2 * i + 1], &stored[5000 + i], sizeof stored[0]);
    }
}

static void refuses_what_does_not_go(void)
{
    const struct tensor *const shapes[] = {tensor_file_find(&file, "q"),
                                           tensor_file_find(&file, "row")};
    const struct tensor *const types[] = {tensor_file_find(&file, "q"),
                                          tensor_file_find(&file, "other")};
    const struct tensor *const one[] = {tensor_file_find(&file, "one")};
    struct tensor composed;
    check_int(composed_tensor_stack(&composed, shapes, 2, &error), ==, DR_CORRUPT);
    check_has(error.message, "q (F16 [5, 7]) and row (F16 [5, 6])");
    check_int(composed_tensor_stack(&composed, types, 2, &error), ==, DR_CORRUPT);
    check_has(error.message, "other (F32 [5, 7])");
    check_int(composed_tensor_stack(&composed, one, 1, &error), ==, DR_UNSUPPORTED);
    check_int(composed_tensor_turn(&composed, one, &error), ==, DR_UNSUPPORTED);
    check_has(error.message, "not a matrix");
}

int main(void)
{
    open_file();
    check_run(stacks_rows);
    check_run(turns_matrices);
    check_run(turns_long_rows);
    check_run(refuses_what_does_not_go);
    tensor_file_close(&file);
    return check_done();
}
