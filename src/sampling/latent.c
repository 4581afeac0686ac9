#include "sampling/latent.h"

#include <string.h>

#include "weights/tensor_file.h"
#include "weights/tensor_writer.h"

void latent_block_to_channels_last(const float *source, float *target, size_t cells,
                                   size_t first, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        for (size_t c = 0; c < LATENT_CHANNELS; ++c)
            target[i * LATENT_CHANNELS + c] = source[c * cells + first + i];
}

void latent_block_to_channels_first(const float *source, float *target, size_t cells,
                                    size_t first, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        for (size_t c = 0; c < LATENT_CHANNELS; ++c)
            target[c * cells + first + i] = source[i * LATENT_CHANNELS + c];
}

size_t latent_block_cells(size_t first, size_t cells)
{
    return cells - first < LATENT_BLOCK_CELLS ? cells - first : LATENT_BLOCK_CELLS;
}

void latent_to_channels_last(const float *source, float *target, size_t cells)
{
    latent_block_to_channels_last(source, target, cells, 0, cells);
}

void latent_to_channels_first(const float *source, float *target, size_t cells)
{
    latent_block_to_channels_first(source, target, cells, 0, cells);
}

bool latent_is_finite(const float *values, size_t count)
{
    /* An exponent of all ones is NaN or infinity; the integer form vectorises. */
    uint32_t found = 0;
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
    }
    return found == 0;
}

bool latent_is_finite_in(const struct plan *plan, struct value value, size_t first,
                         size_t count)
{
    float part[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    const size_t most = sizeof part / sizeof *part;
    for (size_t done = 0, each; done < count; done += each) {
        each = count - done < most ? count - done : most;
        plan_read(plan, value, first + done, each, part);
        if (!latent_is_finite(part, each)) return false;
    }
    return true;
}

enum dr_code latent_file_write(const char *path, const float *latents, int32_t n,
                               int32_t height, int32_t width, struct dr_error *err)
{
    const struct tensor_writer_item item = {
        .name = "latent",
        .dtype = DTYPE_F32,
        .rank = 4,
        .dims = {n, LATENT_CHANNELS, height, width}
    };
    const size_t bytes =
        sizeof(float) * LATENT_CHANNELS * (size_t)n * (size_t)height * (size_t)width;
    struct tensor_writer *writer = NULL;
    enum dr_code code = tensor_writer_open(&writer, path, &item, 1, NULL, 0, err);
    if (code == DR_OK) code = tensor_writer_add(writer, latents, bytes, err);
    if (code == DR_OK) code = tensor_writer_commit(&writer, err);
    tensor_writer_discard(&writer);
    return code;
}

static enum dr_code read_head(const struct tensor_file *file, const char *path,
                              struct latent_head *head, struct dr_error *err)
{
    const struct tensor *const tensor = tensor_file_find(file, "latent");
    if (!tensor)
        return error_set(
            err, DR_BAD_INPUT,
            "%.600s has no tensor \"latent\"; use a file written by encode or by "
            "generate -o x.safetensors",
            path);
    const bool fits = tensor->rank == 4 && tensor->dtype == DTYPE_F32 &&
                      tensor->dims[1] == LATENT_CHANNELS && tensor->dims[0] >= 1 &&
                      tensor->dims[0] <= 1024 && tensor->dims[2] >= 1 &&
                      tensor->dims[2] <= 4096 && tensor->dims[3] >= 1 &&
                      tensor->dims[3] <= 4096;
    if (!fits)
        return error_set(
            err, DR_BAD_INPUT,
            "%.600s: the tensor \"latent\" is not float32 [n,%d,height/%d,width/%d] "
            "with sides up to 4096",
            path, LATENT_CHANNELS, LATENT_FACTOR, LATENT_FACTOR);
    *head = (struct latent_head){.n = (int32_t)tensor->dims[0],
                                 .height = (int32_t)tensor->dims[2],
                                 .width = (int32_t)tensor->dims[3]};
    return DR_OK;
}

enum dr_code latent_file_head(const char *path, struct latent_head *head,
                              struct dr_error *err)
{
    struct tensor_file file;
    enum dr_code code = tensor_file_open(&file, path, err);
    if (code != DR_OK) return code;
    code = read_head(&file, path, head, err);
    tensor_file_close(&file);
    return code;
}

enum dr_code latent_file_read(const char *path, const struct latent_head *head,
                              float *latents, struct dr_error *err)
{
    struct tensor_file file;
    struct latent_head now = {0};
    enum dr_code code = tensor_file_open(&file, path, err);
    if (code != DR_OK) return code;
    code = read_head(&file, path, &now, err);
    if (code == DR_OK &&
        (now.n != head->n || now.height != head->height || now.width != head->width))
        code =
            error_set(err, DR_CHANGED, "%.800s changed while it was being read", path);
    if (code == DR_OK) {
        const struct tensor *const tensor = tensor_file_find(&file, "latent");
        code = tensor_file_read(&file, tensor, 0, latents, (size_t)tensor->bytes, err);
    }
    tensor_file_close(&file);
    return code;
}
