#include "weights/tensor_scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool tensor_scale_weight_name(const char *name, char *out, size_t out_bytes)
{
    static const char first[] = ".scale_weight", second[] = "weight_scale";
    const size_t bytes = strlen(name);
    int written = -1;
    if (bytes > strlen(first) && strcmp(name + bytes - strlen(first), first) == 0)
        written =
            snprintf(out, out_bytes, "%.*s.weight", (int)(bytes - strlen(first)), name);
    else if (bytes > strlen(second) &&
             strcmp(name + bytes - strlen(second), second) == 0)
        written =
            snprintf(out, out_bytes, "%.*s", (int)(bytes - strlen("_scale")), name);
    return written > 0 && (size_t)written < out_bytes;
}

bool tensor_scale_fits(const struct tensor *scale, const struct tensor *weight)
{
    const int64_t count = tensor_element_count(scale);
    const int64_t rows = weight->rank > 0 ? weight->dims[0] : 1;
    const bool is_number = dtype_is_float(weight->dtype) || weight->dtype == DTYPE_I8;
    if (!dtype_is_float(scale->dtype) || dtype_is_block(scale->dtype) || !is_number)
        return false;
    if (count == 1) return true;
    return count == rows && scale->rank > 0 && scale->dims[0] == rows;
}

enum dr_code tensor_scale_read(const struct tensor_file *file,
                               const struct tensor *scale, size_t rows, void *raw,
                               float *out, struct dr_error *err)
{
    const size_t count = (size_t)tensor_element_count(scale);
    const enum dr_code code =
        tensor_file_read(file, scale, 0, raw, (size_t)scale->bytes, err);
    if (code) return code;
    dtype_to_f32(raw, scale->dtype, out, count);
    for (size_t i = 0; i < count; ++i)
        if (!isfinite(out[i]))
            return error_set(err, DR_NOT_FINITE,
                             "scale %.160s of %.600s has values that are NaN or "
                             "infinite",
                             scale->name, file->path);
    for (size_t i = count; i < rows; ++i)
        out[i] = out[0];
    return DR_OK;
}
