#include "job/seed_noise.h"

#include <math.h>
#include <string.h>

#include "model/latent_space.h"

/* Above it the two are taken for parallel, and the way between them for straight. */
static const double parallel = 0.9995;

uint64_t seed_noise_seed(const struct dr_sampling *sampling, uint64_t first,
                         int32_t image_idx)
{
    return sampling->variation_strength > 0 ? first : first + (uint64_t)image_idx;
}

struct seed_noise seed_noise_of(const struct dr_sampling *sampling, enum dr_rng rng,
                                uint64_t seed, int32_t image_idx, int32_t width,
                                int32_t height)
{
    struct seed_noise noise = {
        .kind = rng == DR_RNG_CPU ? RANDOM_CPU : RANDOM_CUDA,
        .seed = seed,
        .variation_seed = sampling->variation_seed + (uint64_t)image_idx,
        .variation_strength = sampling->variation_strength,
        .width = width,
        .height = height,
        .from_width = sampling->seed_resize_width / LATENT_FACTOR,
        .from_height = sampling->seed_resize_height / LATENT_FACTOR,
        .seed_delta = sampling->eta_seed_delta};
    if (noise.from_width == width && noise.from_height == height)
        noise.from_width = noise.from_height = 0;
    return noise;
}

static size_t count_of(int32_t width, int32_t height)
{
    return (size_t)LATENT_CHANNELS * (size_t)width * (size_t)height;
}

static bool is_resized(const struct seed_noise *noise)
{
    return noise->from_width > 0;
}

static size_t first_count(const struct seed_noise *noise)
{
    return is_resized(noise) ? count_of(noise->from_width, noise->from_height)
                             : count_of(noise->width, noise->height);
}

size_t seed_noise_scratch(const struct seed_noise *noise)
{
    const size_t parts =
        (is_resized(noise) ? 1U : 0U) + (noise->variation_strength > 0 ? 1U : 0U);
    return parts * first_count(noise);
}

static void draw_of(enum random_kind kind, uint64_t seed, float *out, size_t count)
{
    struct random_source random;
    random_init(&random, kind, seed);
    random_normal(&random, out, count);
}

/* ---- slerp: over the rows of one column of one channel ------------------------------------- */

struct column {
    float *low;
    const float *high;
    size_t stride, rows;
};

static double cosine(const struct column *column)
{
    double low = 0, high = 0, both = 0;
    for (size_t i = 0; i < column->rows; ++i) {
        const double a = (double)column->low[i * column->stride],
                     b = (double)column->high[i * column->stride];
        low += a * a;
        high += b * b;
        both += a * b;
    }
    return both / sqrt(low * high);
}

static void turn(const struct column *column, double strength)
{
    const double angle = acos(fmin(fmax(cosine(column), -1), 1)), sine = sin(angle);
    /* One row, or opposite ones, leave no circle: A1111 divides by 0 there. */
    const bool is_straight = !(sine > 1e-7);
    const float of_low = (float)(is_straight ? 1 - strength
                                             : sin((1 - strength) * angle) / sine),
                of_high =
                    (float)(is_straight ? strength : sin(strength * angle) / sine);
    for (size_t i = 0; i < column->rows; ++i) {
        const size_t at = i * column->stride;
        column->low[at] = of_low * column->low[at] + of_high * column->high[at];
    }
}

/* low becomes slerp(strength, low, high), of latents [4, height, width]. */
static void slerp(double strength, float *low, const float *high, int32_t width,
                  int32_t height)
{
    const size_t columns = (size_t)width, rows = (size_t)height;
    double sum = 0;
    for (size_t i = 0; i < LATENT_CHANNELS * columns; ++i) {
        const size_t at = i / columns * columns * rows + i % columns;
        const struct column column = {low + at, high + at, columns, rows};
        sum += cosine(&column);
    }
    if (sum / (double)(LATENT_CHANNELS * columns) > parallel) {
        for (size_t i = 0; i < LATENT_CHANNELS * columns * rows; ++i)
            low[i] = (float)strength * low[i] + (1.0F - (float)strength) * high[i];
        return;
    }
    for (size_t i = 0; i < LATENT_CHANNELS * columns; ++i) {
        const size_t at = i / columns * columns * rows + i % columns;
        turn(&(struct column){low + at, high + at, columns, rows}, strength);
    }
}

/* ---- seed resize --------------------------------------------------------------------------- */

/* How a side of `from` cells lies in one of `to`: where it begins there, what is left out of it, and how much is copied. */
struct span {
    int32_t to, from, length;
};

/* As Python's // does, which rounds towards less. */
static struct span span_of(int32_t to, int32_t from)
{
    const int32_t twice = to - from;
    const int32_t d = (twice - (twice < 0 && twice % 2 != 0)) / 2;
    return (struct span){.to = d > 0 ? d : 0,
                         .from = d < 0 ? -d : 0,
                         .length = d >= 0 ? from : from + 2 * d};
}

static void put_into_the_middle(const struct seed_noise *noise, const float *from,
                                float *out)
{
    const struct span x = span_of(noise->width, noise->from_width),
                      y = span_of(noise->height, noise->from_height);
    for (int32_t c = 0; c < LATENT_CHANNELS; ++c)
        for (int32_t row = 0; row < y.length; ++row) {
            const size_t source =
                ((size_t)c * (size_t)noise->from_height + (size_t)(y.from + row)) *
                    (size_t)noise->from_width +
                (size_t)x.from;
            const size_t target =
                ((size_t)c * (size_t)noise->height + (size_t)(y.to + row)) *
                    (size_t)noise->width +
                (size_t)x.to;
            memcpy(out + target, from + source, sizeof *out * (size_t)x.length);
        }
}

void seed_noise_draw(const struct seed_noise *noise, float *scratch,
                     struct random_source *random, float *out)
{
    const size_t count = count_of(noise->width, noise->height),
                 first = first_count(noise);
    float *const taken = is_resized(noise) ? scratch : out;
    float *const varied = is_resized(noise) ? scratch + first : scratch;
    random_init(random, noise->kind, noise->seed);
    random_normal(random, out, count);
    if (is_resized(noise)) draw_of(noise->kind, noise->seed, taken, first);
    if (noise->variation_strength > 0) {
        draw_of(noise->kind, noise->variation_seed, varied, first);
        slerp(noise->variation_strength, taken, varied,
              is_resized(noise) ? noise->from_width : noise->width,
              is_resized(noise) ? noise->from_height : noise->height);
    }
    if (is_resized(noise)) put_into_the_middle(noise, taken, out);
    if (noise->seed_delta != 0)
        random_init(random, noise->kind, noise->seed + (uint64_t)noise->seed_delta);
}
