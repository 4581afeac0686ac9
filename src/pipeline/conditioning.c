#include "pipeline/conditioning.h"

#include <assert.h>

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
            "%.400s: its text encoder%s %d values per token, its UNet expects %d",
            pipeline->path, pipeline->text_count > 1 ? "s give" : " gives", context,
            (int)unet.context_width);
    const int pooled = (int)pooled_width(pipeline);
    const int sizes = CONDITIONING_SIZES * CONDITIONING_SIZE_WIDTH;
    const int vector = pooled ? pooled + sizes : 0;
    if (vector != unet.vector_width)
        return error_set(
            err, DR_INCOMPLETE,
            "%.400s: its second text encoder has %d values and the sizes have %d, "
            "but its UNet expects %d in all",
            pipeline->path, pooled, sizes, (int)unet.vector_width);
    return DR_OK;
}

/* Numbers of one encoder's row. */
static size_t row_count(const struct clip_text_info *info)
{
    return (size_t)TOKENIZER_POSITIONS * (size_t)info->width + (size_t)info->pooled;
}

struct prompt_cache_shape conditioning_cache_shape(const struct pipeline *pipeline,
                                                   int32_t row_least)
{
    struct prompt_cache_shape shape = {.text_count = pipeline->text_count,
                                       .row_count = row_least > PROMPT_CACHE_ROWS
                                                        ? row_least
                                                        : PROMPT_CACHE_ROWS};
    for (int32_t i = 0; i < pipeline->text_count; ++i) {
        const struct clip_text_info info = clip_text_info(pipeline->text[i]);
        shape.row_bytes[i] = sizeof(float) * row_count(&info);
    }
    return shape;
}

void conditioning_store(const struct clip_text_plan *plan,
                        const struct clip_text_info *info, int32_t eos_idx, float *row)
{
    plan_expect(plan->plan, plan->context,
                (struct shape){1, 1, TOKENIZER_POSITIONS, info->width}, DTYPE_F32);
    const size_t count = (size_t)TOKENIZER_POSITIONS * (size_t)info->width;
    plan_read(plan->plan, plan->context, 0, count, row);
    if (info->pooled) clip_text_read_pooled(plan, 0, eos_idx, row + count);
}

void conditioning_sums(const float *row, size_t width,
                       double sums[static TOKENIZER_POSITIONS])
{
    for (size_t t = 0; t < TOKENIZER_POSITIONS; ++t) {
        sums[t] = 0.0;
        for (size_t i = 0; i < width; ++i)
            sums[t] += (double)row[t * width + i];
    }
}

static void write_or_clear(struct plan *plan, struct value input, size_t first,
                           const float *source, size_t count)
{
    if (source)
        plan_write(plan, input, first, count, source);
    else
        plan_clear(plan, input, first, count);
}

enum {
    WEIGH_BLOCK = 256
};

/* One token's vector, multiplied by its weight and then by the scale, as the reference does. */
static void write_weighed(struct plan *plan, struct value input, size_t first,
                          const float *source, size_t count, float weight, float scale)
{
    float block[WEIGH_BLOCK];
    if (!source || (weight == 1.0F && scale == 1.0F)) {
        write_or_clear(plan, input, first, source, count);
        return;
    }
    for (size_t done = 0, n; done < count; done += n) {
        n = count - done < WEIGH_BLOCK ? count - done : WEIGH_BLOCK;
        for (size_t i = 0; i < n; ++i)
            block[i] = source[done + i] * weight * scale;
        plan_write(plan, input, first + done, n, block);
    }
}

/* The first element of one image's vector: [pooled | sizes]. */
static size_t vector_at(const struct pipeline *pipeline, const struct unet_plan *unet,
                        int32_t image_idx)
{
    const int32_t images = plan_shape(unet->plan, unet->latent).n;
    const size_t width =
        pooled_width(pipeline) + (size_t)CONDITIONING_SIZES * CONDITIONING_SIZE_WIDTH;
    assert(image_idx >= 0 && image_idx < images);
    plan_expect(unet->plan, unet->vector, (struct shape){images, 1, 1, (int32_t)width},
                DTYPE_F32);
    return (size_t)image_idx * width;
}

void conditioning_apply(const struct pipeline *pipeline, const struct unet_plan *unet,
                        struct conditioning_place place,
                        const struct conditioning_row *row)
{
    const size_t stride = context_width(pipeline);
    const struct shape shape = plan_shape(unet->plan, unet->context);
    const int32_t chunks = shape.w / TOKENIZER_POSITIONS;
    const struct clip_text_info info = clip_text_info(pipeline->text[place.text_idx]);
    const size_t width = (size_t)info.width;
    assert(place.image_idx >= 0 && place.image_idx < shape.n);
    assert(place.chunk_idx >= 0 && place.chunk_idx < chunks);
    plan_expect(unet->plan, unet->context,
                (struct shape){plan_shape(unet->plan, unet->latent).n, 1,
                               chunks * TOKENIZER_POSITIONS, (int32_t)stride},
                DTYPE_F32);
    const size_t token =
        ((size_t)place.image_idx * (size_t)chunks + (size_t)place.chunk_idx) *
        TOKENIZER_POSITIONS;
    size_t first = token * stride;
    for (int32_t i = 0; i < place.text_idx; ++i)
        first += (size_t)clip_text_info(pipeline->text[i]).width;
    for (size_t t = 0; t < TOKENIZER_POSITIONS; ++t) {
        const size_t from = row->repeats_last ? TOKENIZER_POSITIONS - 1 : t;
        write_weighed(unet->plan, unet->context, first + t * stride,
                      row->values ? row->values + from * width : NULL, width,
                      row->weights ? row->weights[from] : 1.0F, row->scale);
    }
    if (info.pooled && place.chunk_idx == 0)
        write_or_clear(unet->plan, unet->vector,
                       vector_at(pipeline, unet, place.image_idx),
                       row->values ? row->values + TOKENIZER_POSITIONS * width : NULL,
                       (size_t)info.pooled);
}

void conditioning_apply_sizes(const struct pipeline *pipeline,
                              const struct unet_plan *unet, int32_t image_idx,
                              const struct size_conditioning *sizes)
{
    const size_t pooled = pooled_width(pipeline);
    if (!pooled) return;
    const size_t first = vector_at(pipeline, unet, image_idx) + pooled;
    const int32_t values[CONDITIONING_SIZES] = {
        sizes->original_height, sizes->original_width, sizes->crop_top,
        sizes->crop_left,       sizes->target_height,  sizes->target_width};
    for (size_t i = 0; i < CONDITIONING_SIZES; ++i) {
        float waves[CONDITIONING_SIZE_WIDTH];
        unet_time_embedding((float)values[i], CONDITIONING_SIZE_WIDTH, waves);
        plan_write(unet->plan, unet->vector, first + i * CONDITIONING_SIZE_WIDTH,
                   CONDITIONING_SIZE_WIDTH, waves);
    }
}
