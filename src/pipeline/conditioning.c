#include "pipeline/conditioning.h"

#include <assert.h>
#include <string.h>

/* Numbers of a token in the context, and of the pooled vector. */
static size_t context_width(const struct pipeline *pipeline)
{
    size_t width = 0;
    for (int32_t i = 0; i < pipeline->text_count; ++i)
        width += (size_t)clip_text_info(pipeline->text[i]).width;
    return width;
}

static size_t pooled_width(const struct pipeline *pipeline)
{
    return (size_t)clip_text_info(pipeline->text[pipeline->text_count - 1]).pooled;
}

enum dr_code conditioning_check(const struct pipeline *pipeline, struct dr_error *err)
{
    const struct unet_info unet = unet_info(pipeline->unet);
    const int context = (int)context_width(pipeline);
    if (context != unet.context_width)
        return error_set(
            err, DR_INCOMPLETE,
            "%.400s: its text encoder%s %d numbers a token, its UNet takes %d",
            pipeline->path, pipeline->text_count > 1 ? "s give" : " gives", context,
            (int)unet.context_width);
    const int pooled = (int)pooled_width(pipeline);
    const int sizes = CONDITIONING_SIZES * CONDITIONING_SIZE_WIDTH;
    const int vector = pooled ? pooled + sizes : 0;
    if (vector != unet.vector_width)
        return error_set(
            err, DR_INCOMPLETE,
            "%.400s: its second text encoder's %d numbers and those of the sizes, %d, "
            "are not the %d that its UNet takes",
            pipeline->path, pooled, sizes, (int)unet.vector_width);
    return DR_OK;
}

size_t conditioning_row_bytes(const struct pipeline *pipeline)
{
    return sizeof(float) *
           (TOKENIZER_POSITIONS * context_width(pipeline) + pooled_width(pipeline));
}

void conditioning_store(const struct pipeline *pipeline, int32_t text_idx,
                        const struct clip_text_plan *plan, int32_t eos_idx, float *row)
{
    const size_t stride = context_width(pipeline);
    const struct clip_text_info info = clip_text_info(pipeline->text[text_idx]);
    plan_expect(plan->plan, plan->context,
                (struct shape){1, 1, TOKENIZER_POSITIONS, info.width}, DTYPE_F32);
    const float *const context = plan_data(plan->plan, plan->context);
    const size_t width = (size_t)info.width;
    size_t column = 0;
    for (int32_t i = 0; i < text_idx; ++i)
        column += (size_t)clip_text_info(pipeline->text[i]).width;
    for (size_t t = 0; t < TOKENIZER_POSITIONS; ++t)
        memcpy(row + t * stride + column, context + t * width, sizeof(float) * width);
    if (info.pooled)
        memcpy(row + TOKENIZER_POSITIONS * stride, clip_text_pooled(plan, 0, eos_idx),
               sizeof(float) * (size_t)info.pooled);
}

void conditioning_apply(const struct pipeline *pipeline, const struct unet_plan *unet,
                        int32_t n_idx, const float *row,
                        const struct size_conditioning *sizes)
{
    const size_t count = TOKENIZER_POSITIONS * context_width(pipeline);
    const size_t pooled = pooled_width(pipeline);
    const int32_t images = plan_shape(unet->plan, unet->latent).n;
    assert(n_idx >= 0 && n_idx < images);
    plan_expect(unet->plan, unet->context,
                (struct shape){images, 1, TOKENIZER_POSITIONS,
                               (int32_t)context_width(pipeline)},
                DTYPE_F32);
    float *const context =
        (float *)plan_data(unet->plan, unet->context) + (size_t)n_idx * count;
    if (row)
        memcpy(context, row, sizeof(float) * count);
    else
        memset(context, 0, sizeof(float) * count);
    if (!pooled) return;

    const size_t width =
        pooled + (size_t)CONDITIONING_SIZES * (size_t)CONDITIONING_SIZE_WIDTH;
    plan_expect(unet->plan, unet->vector, (struct shape){images, 1, 1, (int32_t)width},
                DTYPE_F32);
    float *const vector =
        (float *)plan_data(unet->plan, unet->vector) + (size_t)n_idx * width;
    if (row)
        memcpy(vector, row + count, sizeof(float) * pooled);
    else
        memset(vector, 0, sizeof(float) * pooled);
    const int32_t values[CONDITIONING_SIZES] = {
        sizes->original_height, sizes->original_width, sizes->crop_top,
        sizes->crop_left,       sizes->target_height,  sizes->target_width};
    for (size_t i = 0; i < CONDITIONING_SIZES; ++i)
        unet_time_embedding((float)values[i], CONDITIONING_SIZE_WIDTH,
                            vector + pooled + i * CONDITIONING_SIZE_WIDTH);
}
