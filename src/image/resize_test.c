#include "image/resize.h"

#include <math.h>
#include <stdbool.h>

#include "check.h"

static float *new_floats(size_t count)
{
    float *const values = malloc(count * sizeof *values);
    if (!values) abort();
    return values;
}

/* The formula of tools/golden/resize.py. */
static float *new_source(int32_t width, int32_t height)
{
    float *const source = new_floats(3 * (size_t)width * (size_t)height);
    float *out = source;
    for (int32_t y = 0; y < height; ++y)
        for (int32_t x = 0; x < width; ++x)
            for (int32_t c = 0; c < 3; ++c)
                *out++ =
                    (float)((x * 37 + y * 101 + c * 59 + x * y * 7) % 256) / 255.0f;
    return source;
}

/* A whole map, filled in order; what is handed out is spoilt, which nothing may notice. */
struct map {
    float *rgb;
    size_t done;
};

static void put(void *cookie, size_t first, size_t count, float *samples)
{
    struct map *const map = cookie;
    check_int(first, ==, map->done);
    check(count > 0 && count <= RESIZE_MOST_SAMPLES);
    memcpy(map->rgb + first, samples, count * sizeof *samples);
    memset(samples, 0xff, count * sizeof *samples);
    map->done += count;
}

static void run(const struct resize_shape *shape, const float *source, float *target,
                void *scratch)
{
    struct map map = {.rgb = target};
    resize_run(shape, source, &(struct resize_target){put, &map}, scratch);
    check_int(map.done, ==,
              3 * (size_t)shape->target_width * (size_t)shape->target_height);
}

static float *resized(const struct resize_shape *shape, const float *source)
{
    float *const target =
        new_floats(3 * (size_t)shape->target_width * (size_t)shape->target_height);
    void *const scratch = aligned_alloc(16, resize_scratch_bytes(shape));
    if (!scratch) abort();
    run(shape, source, target, scratch);
    free(scratch);
    return target;
}

/* Pillow's own results. Both sum doubles in one order, so that they differ at most where a
 * sine of another library's last bit moves a float's. */
static void equals_pillow(void)
{
    char path[4096];
    const char *const root = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/golden/image/resize.bin",
                   root ? root : ".");
    FILE *const file = fopen(path, "rb");
    check(file != NULL);
    if (!file) return;
    int32_t count = 0;
    check_int(fread(&count, sizeof count, 1, file), ==, 1);
    check_int(count, >=, 15);
    double most = 0;
    size_t unequal = 0, values = 0;
    for (int32_t i = 0; i < count; ++i) {
        struct resize_shape shape;
        check_int(fread(&shape, sizeof shape, 1, file), ==, 1);
        const size_t n = 3 * (size_t)shape.target_width * (size_t)shape.target_height;
        float *const wanted = new_floats(n);
        check_int(fread(wanted, sizeof *wanted, n, file), ==, n);
        float *const source = new_source(shape.source_width, shape.source_height);
        float *const found = resized(&shape, source);
        for (size_t v = 0; v < n; ++v) {
            const double difference = fabs((double)found[v] - (double)wanted[v]);
            if (difference > most) most = difference;
            unequal += found[v] != wanted[v];
        }
        values += n;
        free(found);
        free(source);
        free(wanted);
    }
    fclose(file);
    fprintf(stderr, "%zu of %zu values differ, by at most %g\n", unequal, values, most);
    check_real(most, <=, 2e-7);
}

static void identity_is_exact(void)
{
    for (int32_t side = 1; side < 20; ++side) {
        const struct resize_shape shape = {side, 20 - side, side, 20 - side};
        const size_t n = 3 * (size_t)side * (size_t)(20 - side);
        float *const source = new_source(side, 20 - side);
        source[0] = -5.5f; /* nothing is clamped */
        float *const target = resized(&shape, source);
        check_bytes(source, target, n * sizeof *source);
        free(target);
        free(source);
    }
}

/* Weights sum to 1 everywhere, also at the edges: a flat picture stays flat. */
static void flat_stays_flat(void)
{
    for (int32_t from = 1; from <= 40; from += 3)
        for (int32_t to = 1; to <= 40; to += 4) {
            const struct resize_shape shape = {from, 41 - from, to, 41 - to};
            const size_t n = 3 * (size_t)from * (size_t)(41 - from);
            const size_t m = 3 * (size_t)to * (size_t)(41 - to);
            float *const source = new_floats(n);
            for (size_t i = 0; i < n; ++i)
                source[i] = 0.7f;
            float *const target = resized(&shape, source);
            for (size_t i = 0; i < m; ++i)
                if (fabsf(target[i] - 0.7f) > 1e-6f)
                    check_fail_at("%d to %d: %.9g", from, to, (double)target[i]);
            free(target);
            free(source);
        }
}

/* A mirrored source gives the mirrored result, and turned axes the turned result. */
static void is_symmetric(void)
{
    const struct resize_shape shape = {23, 11, 15, 30}, turned = {11, 23, 30, 15};
    float *const source = new_source(23, 11);
    float *const mirrored = new_floats(3 * 23 * 11), *const swapped =
                                                         new_floats(3 * 23 * 11);
    for (size_t y = 0; y < 11; ++y)
        for (size_t x = 0; x < 23; ++x) {
            memcpy(mirrored + 3 * (y * 23 + 22 - x), source + 3 * (y * 23 + x), 12);
            memcpy(swapped + 3 * (x * 11 + y), source + 3 * (y * 23 + x), 12);
        }
    float *const plain = resized(&shape, source),
                 *const mirror = resized(&shape, mirrored),
                 *const turn = resized(&turned, swapped);
    for (size_t y = 0; y < 30; ++y)
        for (size_t x = 0; x < 15; ++x)
            for (size_t c = 0; c < 3; ++c) {
                const float value = plain[3 * (y * 15 + x) + c];
                check_real(fabsf(mirror[3 * (y * 15 + 14 - x) + c] - value), <, 1e-6);
                check_real(fabsf(turn[3 * (x * 30 + y) + c] - value), <, 1e-6);
            }
    free(turn);
    free(mirror);
    free(plain);
    free(swapped);
    free(mirrored);
    free(source);
}

/* Scratch is used within its size: the sanitizer's walls stand right behind it, and here a
 * pattern does. Extremes of both kinds. */
static void scratch_is_enough(void)
{
    static const struct resize_shape shapes[] = {
        {1,    1,    1,    1   },
        {4000, 1,    1,    1   },
        {1,    4000, 1,    1   },
        {1,    1,    4000, 1   },
        {1,    1,    1,    4000},
        {999,  3,    1000, 2   },
        {3,    999,  2,    1000},
        {17,   400,  400,  17  },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; ++i) {
        const struct resize_shape *const shape = &shapes[i];
        const size_t bytes = resize_scratch_bytes(shape);
        check_int(bytes % 16, ==, 0);
        uint8_t *const scratch = aligned_alloc(16, bytes + 64);
        float *const source = new_source(shape->source_width, shape->source_height);
        float *const target =
            new_floats(3 * (size_t)shape->target_width * (size_t)shape->target_height);
        if (!scratch) abort();
        memset(scratch, 0xA5, bytes + 64);
        run(shape, source, target, scratch);
        for (size_t j = 0; j < 64; ++j)
            check_int(scratch[bytes + j], ==, 0xA5);
        free(target);
        free(source);
        free(scratch);
    }
}

int main(void)
{
    check_run(equals_pillow);
    check_run(identity_is_exact);
    check_run(flat_stays_flat);
    check_run(is_symmetric);
    check_run(scratch_is_enough);
    return check_done();
}
