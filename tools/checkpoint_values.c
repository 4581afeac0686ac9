#include "checkpoint_values.h"

#include <math.h>
#include <string.h>

static uint64_t mix(
    uint64_t x) /* the finaliser of splitmix64 (Steele, Lea, Flood 2014) */
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t tensor_key(const struct layout_tensor *tensor, uint64_t seed)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a over the name without its prefix */
    for (const char *c = tensor->name + tensor->prefix_bytes; *c; ++c)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return mix(hash ^ mix(seed + 0x9e3779b97f4a7c15u));
}

/* The elements of a run: centre + unit * (an integer with mean 0, sd 37837.23). */
static void normal(uint64_t key, const struct value_run *run, float centre, float unit,
                   float *target)
{
    for (int64_t i = 0; i < run->count; ++i) {
        const uint64_t x = mix(key + (uint64_t)(run->start + i) * 0x9e3779b97f4a7c15u);
        const int32_t sum = (int32_t)(x & 0xffff) + (int32_t)(x >> 16 & 0xffff) +
                            (int32_t)(x >> 32 & 0xffff) + (int32_t)(x >> 48);
        target[i] = centre + unit * (float)(sum - 2 * 0xffff);
    }
}

/* Sums and square roots only, so the buffers too are the same everywhere. */
static void schedule(enum fill fill, float *target, int64_t count)
{
    double alpha_bar = 1.0;
    for (int64_t i = 0; i < count; ++i) {
        const double low = sqrt(0.00085), high = sqrt(0.012), before = alpha_bar;
        const double root = low + (high - low) * (double)i / (double)(count - 1);
        alpha_bar *= 1.0 - root * root;
        target[i] = (float)(fill == FILL_BETA               ? root * root
                            : fill == FILL_ALPHA_BAR        ? alpha_bar
                            : fill == FILL_ALPHA_BAR_BEFORE ? before
                            : fill == FILL_SQRT_ALPHA_BAR   ? sqrt(alpha_bar)
                                                            : sqrt(1.0 - alpha_bar));
    }
}

void values_fill(const struct layout_tensor *tensor, uint64_t seed,
                 const struct value_run *run, float *target)
{
    const double unit = 1.0 / 37837.23; /* sqrt(4 * (2^32 - 1) / 12) */
    double deviation = 0.02;
    switch (tensor->fill) {
    case FILL_WEIGHT: deviation = 0.7 / sqrt((double)tensor->fan_in); break;
    case FILL_NORM: deviation = 0.05; break;
    case FILL_SMALL: break;
    case FILL_CONSTANT: *target = (float)tensor->constant; return;
    case FILL_BETA:
    case FILL_ALPHA_BAR:
    case FILL_ALPHA_BAR_BEFORE:
    case FILL_SQRT_ALPHA_BAR:
    case FILL_SQRT_BETA_BAR: schedule(tensor->fill, target, run->count); return;
    case FILL_POSITIONS: return;
    }
    normal(tensor_key(tensor, seed), run, tensor->fill == FILL_NORM ? 1.0F : 0.0F,
           (float)(deviation * unit), target);
}

/* Round to nearest even. Values are far below float16's largest. */
static uint16_t half_from(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (size <
        0x38800000) { /* below 2^-14: 0.5 has the step 2^-24 that subnormals have */
        const float moved = fabsf(value) + 0.5F;
        memcpy(&bits, &moved, 4);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    return (uint16_t)(sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}

static uint16_t brain_from(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void values_convert(const float *floats, const struct value_run *run, enum type type,
                    void *target)
{
    uint16_t *const shorts = target;
    int64_t *const longs = target;
    switch (type) {
    case TYPE_F32: memcpy(target, floats, (size_t)run->count * 4); break;
    case TYPE_F16:
        for (int64_t i = 0; i < run->count; ++i)
            shorts[i] = half_from(floats[i]);
        break;
    case TYPE_BF16:
        for (int64_t i = 0; i < run->count; ++i)
            shorts[i] = brain_from(floats[i]);
        break;
    case TYPE_I64:
        for (int64_t i = 0; i < run->count; ++i)
            longs[i] = run->start + i;
        break;
    }
}
