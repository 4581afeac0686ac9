/* plan_fixture — what the tests of operators share: seeded numbers, weights, and a plan whose
 * arena ends where memory ends, so that a byte past it is a fault.
 */
#ifndef COMPUTE_PLAN_FIXTURE_H
#define COMPUTE_PLAN_FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS; include this header first */
#endif

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/block_codec.h"
#include "base/dtype_fixture.h"
#include "check.h"
#include "compute/compute.h"
#include "compute/grid.h"
#include "compute/plan_private.h"
#include "compute/reference_fixture.h"
#include "compute/weight_fixture.h"

/* ---- numbers ---- */

static uint64_t fixture_state = 1;

static inline void fixture_seed(uint64_t fallback)
{
    const char *const text = getenv("DARKROOM_SEED");
    fixture_state = text ? strtoull(text, NULL, 10) : fallback;
    fprintf(stderr, "seed %llu\n", (unsigned long long)fixture_state);
}

static inline uint64_t fixture_bits(void) /* splitmix64 */
{
    uint64_t z = (fixture_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline int32_t fixture_int(int32_t low, int32_t high) /* both included */
{
    return low + (int32_t)(fixture_bits() % (uint64_t)(high - low + 1));
}

static inline float fixture_real(void) /* about normal: mean 0, spread 1 */
{
    double sum = 0;
    for (int i = 0; i < 6; ++i)
        sum += (double)(fixture_bits() >> 11) * 0x1p-53 - 0.5;
    return (float)(sum * 1.41421356);
}

/* Numbers that dtype holds exactly, as float32. */
static inline float *fixture_reals(size_t count, float spread, enum dtype dtype)
{
    float *const numbers = malloc(count * sizeof *numbers + 1);
    for (size_t i = 0; i < count; ++i) {
        numbers[i] = spread * fixture_real();
        if (dtype == DTYPE_BF16)
            numbers[i] = dtype_f32_from_bf16(dtype_bf16_from_f32(numbers[i]));
    }
    return numbers;
}

static inline size_t shape_count(struct shape s)
{
    return (size_t)s.n * (size_t)s.h * (size_t)s.w * (size_t)s.c;
}

/* Relative L2 distance of got (in dtype) from want. */
static inline double fixture_distance(const void *got, enum dtype dtype,
                                      const float *want, size_t count)
{
    double away = 0, size = 1e-30;
    for (size_t i = 0; i < count; ++i) {
        const double g = dtype == DTYPE_F32
                             ? (double)((const float *)got)[i]
                             : (double)dtype_f32_from_bf16(((const uint16_t *)got)[i]);
        away += (g - (double)want[i]) * (g - (double)want[i]);
        size += (double)want[i] * (double)want[i];
    }
    return sqrt(away / size);
}

/* bfloat16 keeps 8 bits: rounding moves a number in [1, 2) by up to 2^-8, in the mean square
 * by 2^-8 / sqrt(3) = 2.3e-3 of 1 or 1.1e-3 of 2: 1.7e-3 over many numbers. */
#define ROUNDING_BF16 2.4e-3
#define ROUNDING_F32  3e-6

static inline double fixture_tolerance(enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? ROUNDING_BF16 : ROUNDING_F32;
}

/* ---- memory that ends at a page that cannot be touched ---- */

struct guarded {
    unsigned char *map, *data;
    size_t map_bytes, bytes;
};

static inline struct guarded guarded_open(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded g = {.bytes = bytes};
    const size_t body = (bytes + page - 1) / page * page;
    g.map_bytes = body + 2 * page;
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
    if (g.map == MAP_FAILED) abort();
    if (mprotect(g.map, page, PROT_NONE) ||
        mprotect(g.map + page + body, page, PROT_NONE))
        abort();
    g.data = g.map + page + body - bytes;
    memset(g.map + page, 0xA5,
           body); /* what is not written shows: not zero, and NaN-like */
    return g;
}

static inline void guarded_close(struct guarded *g)
{
    if (g->map) munmap(g->map, g->map_bytes);
    *g = (struct guarded){0};
}

/* ---- a plan with weights ---- */

#define FIXTURE_WEIGHTS 64
#define FIXTURE_REGIONS 2

/* Regions that weights are dealt out to, one after the other: 1, or 2 for a test of both. */
static int32_t fixture_region_count = 1;

struct fixture {
    enum dtype dtype, stored; /* of the weights, where it can be */
    struct pool pool;
    struct weight weights[FIXTURE_WEIGHTS];
    float *plain[FIXTURE_WEIGHTS];
    size_t weight_count;
    struct plan *plan;
    struct guarded arena, regions[FIXTURE_REGIONS];
};

/* Products in bfloat16 need a processor that has them, or one that can emulate them, which takes too
 * long under a sanitizer; elsewhere the case that asks is skipped. */
static inline bool fixture_lacks(enum dtype dtype)
{
#ifdef __SANITIZE_ADDRESS__
    const bool can_bf16 = compute_has_bf16();
#else
    const bool can_bf16 = compute_can_bf16();
#endif
    const bool lacks = dtype == DTYPE_BF16 && !can_bf16;
    if (lacks) check_skip_case("this processor has no bfloat16, its part is left out");
    return lacks;
}

static inline void fixture_begin_with(struct fixture *f,
                                      const struct plan_options *options)
{
    *f = (struct fixture){.dtype = options->dtype, .stored = options->dtype};
    struct dr_error err = {0};
    check_int(plan_create(&f->plan, options, &err), ==, DR_OK);
}

static inline void fixture_begin(struct fixture *f, enum dtype dtype)
{
    fixture_begin_with(f, &(struct plan_options){.name = "test", .dtype = dtype});
}

/* ---- stored types ---- */

/* The nearest number, or one beside it, that the type holds. */
static inline float fixture_round(float x, enum dtype type)
{
    uint32_t bits;
    switch ((int)type) {
    case DTYPE_BF16: return dtype_f32_from_bf16(dtype_bf16_from_f32(x));
    case DTYPE_F16: return dtype_f32_from_f16(dtype_f16_from_f32(x));
    case DTYPE_F8_E5M2: return dtype_f32_from_f16(dtype_f16_from_f32(x) & 0xFF00u);
    case DTYPE_F8_E4M3:
        if (fabsf(x) < 0x1p-6f) return rintf(x * 512) / 512;
        memcpy(&bits, &x, sizeof bits);
        bits &= 0xFFF00000u;
        memcpy(&x, &bits, sizeof x);
        return x;
    default: return x;
    }
}

static inline uint8_t fixture_e4m3(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t normal = ((bits & 0x7FFFFFFFu) >> 20) - ((127u - 7u) << 3);
    const uint32_t small = (uint32_t)fabsf(x * 512);
    return (uint8_t)((fabsf(x) < 0x1p-6f ? small : normal) | (bits >> 31) << 7);
}

/* Numbers that can be stored in this type become ones that it holds; of block types whole groups. */
static inline void fixture_hold(float *numbers, enum dtype type, size_t count)
{
    if (!dtype_is_block(type)) {
        for (size_t i = 0; i < count; ++i)
            numbers[i] = fixture_round(numbers[i], type);
        return;
    }
    if (count % 32 != 0) return; /* it is not stored so */
    void *const blocks = malloc(count * 2);
    check(block_codec_encode(numbers, type, blocks, count));
    dtype_to_f32(blocks, type, numbers, count);
    free(blocks);
}

/* The plain form of a weight in blocks (grid.h): encoding what was decoded gives the same blocks. */
static inline void fixture_encode_blocks(const struct weight *weight,
                                         const float *numbers, void *target,
                                         size_t count)
{
    const struct grid_plain to = grid_plain(weight);
    void *const blocks = malloc(count * 2);
    check(block_codec_encode(numbers, weight->stored, blocks, count));
    block_codec_split(blocks, weight->stored, target,
                      (struct block_scale *)(void *)((unsigned char *)target + to.a),
                      NULL, count);
    free(blocks);
}

static inline size_t fixture_count(const struct weight *weight)
{
    return (size_t)weight->out * (size_t)weight->in * (size_t)weight->kernel_height *
           (size_t)weight->kernel_width;
}

/* Numbers that the type holds, as it holds them. */
static inline void fixture_encode(const float *numbers, enum dtype type, void *target,
                                  size_t count)
{
    uint8_t *const octets = target;
    uint16_t *const halves = target;
    for (size_t i = 0; i < count; ++i)
        switch ((int)type) {
        case DTYPE_F32: ((float *)target)[i] = numbers[i]; break;
        case DTYPE_BF16: halves[i] = dtype_bf16_from_f32(numbers[i]); break;
        case DTYPE_F16: halves[i] = dtype_f16_from_f32(numbers[i]); break;
        case DTYPE_F8_E5M2:
            octets[i] = (uint8_t)(dtype_f16_from_f32(numbers[i]) >> 8);
            break;
        case DTYPE_F8_E4M3: octets[i] = fixture_e4m3(numbers[i]); break;
        default: abort();
        }
}

/* A weight of random numbers that its stored type holds, kept as float32 in f->plain[]. */
static inline const struct weight *fixture_weight(struct fixture *f,
                                                  struct weight_shape shape,
                                                  float spread, float centre)
{
    struct dr_error err = {0};
    struct weight *const weight = &f->weights[f->weight_count];
    check_int(weight_init(weight, &shape, &f->pool, &err), ==, DR_OK);
    (void)weight_store_as(weight, f->stored);
    weight->region = (int32_t)f->weight_count % fixture_region_count;
    const size_t count = fixture_count(weight);
    float *const plain = fixture_reals(count, spread, weight->dtype);
    for (size_t i = 0; i < count; ++i)
        plain[i] += centre;
    if (weight->stored != weight->dtype) fixture_hold(plain, weight->stored, count);
    f->plain[f->weight_count++] = plain;
    return weight;
}

static inline const struct weight *fixture_vector(struct fixture *f, int32_t n,
                                                  float centre)
{
    return fixture_weight(f,
                          (struct weight_shape){WEIGHT_VECTOR, DTYPE_F32, n, 1, 1, 1},
                          0.3f, centre);
}

static inline float *fixture_plain(const struct fixture *f, const struct weight *weight)
{
    return weight ? f->plain[weight - f->weights] : NULL;
}

/* Bind the plan to an arena and to the fixture's own regions. */
static inline void fixture_bind(const struct fixture *f, void *arena)
{
    struct dr_error err = {0};
    const void *const regions[FIXTURE_REGIONS] = {f->regions[0].data,
                                                  f->regions[1].data};
    check_int(plan_bind(f->plan, arena, regions, FIXTURE_REGIONS, &err), ==, DR_OK);
}

static inline void fixture_place_weights(struct fixture *f)
{
    size_t bytes[FIXTURE_REGIONS] = {0};
    for (size_t i = 0; i < f->weight_count; ++i) {
        size_t *const end = &bytes[f->weights[i].region];
        f->weights[i].offset = *end;
        *end += (f->weights[i].bytes + 63) / 64 * 64;
    }
    for (size_t i = 0; i < FIXTURE_REGIONS; ++i)
        f->regions[i] = guarded_open(bytes[i]);
    for (size_t i = 0; i < f->weight_count; ++i) {
        struct weight *const weight = &f->weights[i];
        const size_t count = fixture_count(weight);
        void *const plain =
            aligned_alloc(64, (weight_plain_bytes(weight) + 63) / 64 * 64);
        if (dtype_is_block(weight->stored))
            fixture_encode_blocks(weight, f->plain[i], plain, count);
        else
            fixture_encode(f->plain[i], weight->stored, plain, count);
        weight_store(weight, plain, f->regions[weight->region].data + weight->offset);
        free(plain);
    }
    for (size_t i = 0; i < FIXTURE_REGIONS; ++i) /* read-only, as in the engine */
        mprotect(f->regions[i].map, f->regions[i].map_bytes, PROT_READ);
}

/* Seal, place the weights and the arena. */
static inline void fixture_seal(struct fixture *f)
{
    struct dr_error err = {0};
    if (plan_seal(f->plan, &err) != DR_OK) {
        check_fail_at("seal: %s", err.message);
        abort();
    }
    fixture_place_weights(f);
    f->arena = guarded_open(plan_bytes(f->plan));
    fixture_bind(f, f->arena.data);
    plan_check(f->plan);
}

/* Where an input or output lies: for these tests alone, which compare in place. */
static inline void *fixture_data(const struct plan *plan, struct value value)
{
    assert(plan->buffers[plan->values[value.id].buffer].pinned);
    return plan_address(plan, value);
}

static inline void fixture_fill(const struct fixture *f, struct value input,
                                const float *numbers)
{
    const size_t count = shape_count(plan_shape(f->plan, input));
    if (plan_dtype(f->plan, input) == DTYPE_BF16)
        dtype_to_bf16(numbers, DTYPE_F32, fixture_data(f->plan, input), count);
    else
        memcpy(fixture_data(f->plan, input), numbers, count * sizeof *numbers);
}

static inline void fixture_run(const struct fixture *f)
{
    struct dr_error err = {0};
    if (plan_run(f->plan, NULL, &err) != DR_OK) check_fail_at("run: %s", err.message);
}

/* Hold an output against what it should be. */
static inline void fixture_compare(const struct fixture *f, struct value output,
                                   const float *want, double tolerance,
                                   const char *what)
{
    const size_t count = shape_count(plan_shape(f->plan, output));
    const double distance = fixture_distance(fixture_data(f->plan, output),
                                             plan_dtype(f->plan, output), want, count);
    if (!(distance <= tolerance))
        check_fail_at("%s: relative distance %.3g, at most %.3g", what, distance,
                      tolerance);
}

static inline void fixture_end(struct fixture *f)
{
    plan_destroy(&f->plan);
    for (size_t i = 0; i < f->weight_count; ++i)
        free(f->plain[i]);
    pool_finish(&f->pool);
    guarded_close(&f->arena);
    for (size_t i = 0; i < FIXTURE_REGIONS; ++i)
        guarded_close(&f->regions[i]);
}

#endif
