/* Where the time goes: the operators of compute/ at the shapes of an SD1.5 guided step at
 * 512x512 (batch 2) and of its VAE decoder, each beside the library's own rates: that of its
 * convolutions, measured once, and that of its GEMM, measured before and after the operator.
 *
 *     compute_bench [f32] [f16] [single] [gemm] [PART OF A NAME]
 *
 * `f16` stores weights in float16, as the packs of most checkpoints do: they are converted when they are multiplied.
 * `gemm` leaves the convolutions' rate out, which takes some seconds.
 * `single` runs on one thread and counts its processor time instead of the clock's: the
 * shares are then right on a busy machine too, but say nothing about how threads share work.
 *
 * Each figure is the best of several runs: what the code can do, not what a busy machine made
 * of it. Numbers are small and random, so that nothing overflows or is denormal.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compute/compute.h"
#include "compute/plan.h"
#include "library_rate.h"
#include "mem/region.h"

enum kind {
    CONV,
    UPSAMPLE,
    LINEAR,
    LINEAR_ADD,
    GEGLU,
    ATTENTION,
    GROUP_NORM,
    LAYER_NORM,
    ADD
};

struct bench {
    const char *name;
    enum kind kind;
    int n, side, in,
        out;    /* rows = n side side; attention: in = heads, out = head_dim */
    int keys;   /* attention: of other tokens; 0: its own */
    int stride; /* conv */
};

static const struct bench benches[] = {
    {"conv 320->320 @64",            CONV,       2, 64,  320,  320,   0,  1},
    {"conv 640->640 @32",            CONV,       2, 32,  640,  640,   0,  1},
    {"conv 1280->1280 @16",          CONV,       2, 16,  1280, 1280,  0,  1},
    {"conv 1280->1280 @8",           CONV,       2, 8,   1280, 1280,  0,  1},
    {"conv 2560->1280 @16",          CONV,       2, 16,  2560, 1280,  0,  1},
    {"conv 960->320 @64",            CONV,       2, 64,  960,  320,   0,  1},
    {"conv 320->320 @64 stride 2",   CONV,       2, 64,  320,  320,   0,  2},
    {"conv 4->320 @64",              CONV,       2, 64,  4,    320,   0,  1},
    {"conv 320->4 @64",              CONV,       2, 64,  320,  4,     0,  1},
    {"vae conv 512->512 @64",        CONV,       1, 64,  512,  512,   0,  1},
    {"vae conv 512->512 @128",       CONV,       1, 128, 512,  512,   0,  1},
    {"vae conv 256->256 @256",       CONV,       1, 256, 256,  256,   0,  1},
    {"vae conv 128->128 @512",       CONV,       1, 512, 128,  128,   0,  1},
    {"vae conv 256->128 @512",       CONV,       1, 512, 256,  128,   0,  1},
    {"vae conv 128->3 @512",         CONV,       1, 512, 128,  3,     0,  1},
    {"vae up 512->512 @128",         UPSAMPLE,   1, 64,  512,  512,   0,  1},
    {"vae up 256->256 @512",         UPSAMPLE,   1, 256, 256,  256,   0,  1},
    {"linear 320->320 @64",          LINEAR,     2, 64,  320,  320,   0,  0},
    {"linear 320->320 @64 + x",      LINEAR_ADD, 2, 64,  320,  320,   0,  0},
    {"linear 320->960 @64",          LINEAR,     2, 64,  320,  960,   0,  0},
    {"linear 1280->320 @64 + x",     LINEAR_ADD, 2, 64,  1280, 320,   0,  0},
    {"linear 640->640 @32",          LINEAR,     2, 32,  640,  640,   0,  0},
    {"linear 2560->640 @32 + x",     LINEAR_ADD, 2, 32,  2560, 640,   0,  0},
    {"linear 1280->1280 @16",        LINEAR,     2, 16,  1280, 1280,  0,  0},
    {"linear 5120->1280 @16 + x",    LINEAR_ADD, 2, 16,  5120, 1280,  0,  0},
    {"linear 960->320 @64",          LINEAR,     2, 64,  960,  320,   0,  0},
    {"linear 1280->1280, 2 rows",    LINEAR,     2, 1,   1280, 1280,  0,  0},
    {"geglu 320->2560 @64",          GEGLU,      2, 64,  320,  2560,  0,  0},
    {"geglu 640->5120 @32",          GEGLU,      2, 32,  640,  5120,  0,  0},
    {"geglu 1280->10240 @16",        GEGLU,      2, 16,  1280, 10240, 0,  0},
    {"attention 4096, 8 x 40",       ATTENTION,  2, 64,  8,    40,    0,  0},
    {"attention 1024, 8 x 80",       ATTENTION,  2, 32,  8,    80,    0,  0},
    {"attention 256, 8 x 160",       ATTENTION,  2, 16,  8,    160,   0,  0},
    {"attention 64, 8 x 160",        ATTENTION,  2, 8,   8,    160,   0,  0},
    {"attention 4096 x 77, 8 x 40",  ATTENTION,  2, 64,  8,    40,    77, 0},
    {"attention 1024 x 77, 8 x 80",  ATTENTION,  2, 32,  8,    80,    77, 0},
    {"vae attention 4096, 1 x 512",  ATTENTION,  1, 64,  1,    512,   0,  0},
    {"attention 4096, 10 x 64",      ATTENTION,  1, 64,  10,   64,    0,  0},
    {"attention 1024, 20 x 64",      ATTENTION,  2, 32,  20,   64,    0,  0},
    {"attention 4096 x 77, 10 x 64", ATTENTION,  1, 64,  10,   64,    77, 0},
    {"attention 1024 x 77, 20 x 64", ATTENTION,  2, 32,  20,   64,    77, 0},
    {"group norm 320 @64",           GROUP_NORM, 2, 64,  320,  0,     0,  0},
    {"group norm 640 @32",           GROUP_NORM, 2, 32,  640,  0,     0,  0},
    {"group norm 1280 @16",          GROUP_NORM, 2, 16,  1280, 0,     0,  0},
    {"vae group norm 128 @512",      GROUP_NORM, 1, 512, 128,  0,     0,  0},
    {"vae group norm 512 @128",      GROUP_NORM, 1, 128, 512,  0,     0,  0},
    {"layer norm 320 @64",           LAYER_NORM, 2, 64,  320,  0,     0,  0},
    {"sum 320 @64",                  ADD,        2, 64,  320,  0,     0,  0},
};

struct made {
    struct plan *plan;
    struct pool pool;
    struct weight weights[3];
    size_t weight_count, weight_bytes;
    struct ledger ledger;
    struct region arena; /* in huge pages, as the engine's */
    unsigned char *region;
    double bytes; /* read and written by a norm or a sum */
};

static bool is_stored_f16;
static clockid_t clock_used = CLOCK_MONOTONIC;

static double now_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(clock_used, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void die(const struct dr_error *err)
{
    fprintf(stderr, "compute_bench: %s\n", err->message);
    exit(1);
}

static const struct weight *weight_of(struct made *m, enum weight_kind kind,
                                      enum dtype dtype, int out, int in, int kernel)
{
    struct dr_error err;
    struct weight *const weight = &m->weights[m->weight_count++];
    const struct weight_shape shape = {
        kind, kind == WEIGHT_VECTOR ? DTYPE_F32 : dtype, out, in, kernel, kernel};
    if (weight_init(weight, &shape, &m->pool, &err) != DR_OK) die(&err);
    if (is_stored_f16) (void)weight_store_as(weight, DTYPE_F16);
    weight->offset = m->weight_bytes;
    m->weight_bytes += (weight->bytes + 63) / 64 * 64;
    return weight;
}

static struct value build_product(struct made *m, const struct bench *b,
                                  enum dtype dtype)
{
    const struct value x =
        plan_input(m->plan, (struct shape){b->n, b->side, b->side, b->in}, dtype);
    if (b->kind == CONV || b->kind == UPSAMPLE)
        return plan_conv(m->plan, x,
                         &(struct conv_options){
                             .weight =
                                 weight_of(m, WEIGHT_CONV, dtype, b->out, b->in, 3),
                             .bias = weight_of(m, WEIGHT_VECTOR, dtype, b->out, 1, 1),
                             .stride = b->stride,
                             .pad_top = 1,
                             .pad_left = 1,
                             .pad_bottom = 1,
                             .pad_right = 1,
                             .upsample = b->kind == UPSAMPLE});
    struct linear_options options = {
        .weight = weight_of(m, WEIGHT_LINEAR, dtype, b->out, b->in, 1),
        .bias = weight_of(m, WEIGHT_VECTOR, dtype, b->out, 1, 1)};
    if (b->kind == LINEAR_ADD)
        options.residual =
            plan_input(m->plan, (struct shape){b->n, b->side, b->side, b->out}, dtype);
    const struct value y = plan_linear(m->plan, x, &options);
    return b->kind == GEGLU ? plan_geglu(m->plan, y) : y;
}

static struct value build_attention(struct made *m, const struct bench *b,
                                    enum dtype dtype)
{
    const int width = b->in * b->out;
    struct attention_options options = {.heads = b->in,
                                        .head_dim = b->out,
                                        .scale = 0.125f,
                                        .k_column = width,
                                        .v_column = 2 * width};
    options.q =
        plan_input(m->plan,
                   (struct shape){b->n, b->side, b->side, b->keys ? width : 3 * width},
                   dtype);
    options.k = options.v = options.q;
    if (b->keys) {
        options.k_column = 0;
        options.v_column = width;
        options.k = options.v =
            plan_input(m->plan, (struct shape){b->n, 1, b->keys, 2 * width}, dtype);
    }
    return plan_attention(m->plan, &options);
}

static struct value build_rest(struct made *m, const struct bench *b, enum dtype dtype)
{
    const struct shape shape = {b->n, b->side, b->side, b->in};
    const struct value x = plan_input(m->plan, shape, dtype);
    const double once =
        (double)b->n * b->side * b->side * b->in * (double)dtype_bytes(dtype);
    m->bytes = 2 * once;
    if (b->kind == ADD) {
        m->bytes = 3 * once;
        return plan_add(m->plan, x, plan_input(m->plan, shape, dtype));
    }
    const struct weight *const scale = weight_of(m, WEIGHT_VECTOR, dtype, b->in, 1, 1);
    const struct weight *const bias = weight_of(m, WEIGHT_VECTOR, dtype, b->in, 1, 1);
    if (b->kind == LAYER_NORM)
        return plan_layer_norm(m->plan, x,
                               &(struct layer_norm_options){scale, bias, 1e-5f});
    return plan_group_norm(m->plan, x,
                           &(struct group_norm_options){.scale = scale,
                                                        .bias = bias,
                                                        .groups = 32,
                                                        .epsilon = 1e-5f,
                                                        .silu = true});
}

/* Numbers of about +-0.1 in either type. */
static void fill(unsigned char *data, size_t bytes, enum dtype dtype)
{
    uint32_t state = 1;
    const size_t step = dtype_bytes(dtype);
    for (size_t i = 0; i + step <= bytes; i += step) {
        state = state * 1664525u + 1013904223u;
        const float x = (float)(int32_t)state * 0x1p-34f;
        if (dtype == DTYPE_F32) {
            memcpy(data + i, &x, sizeof x);
        } else {
            uint16_t half;
            if (dtype == DTYPE_F16)
                dtype_to_f16(&x, &half, 1);
            else
                dtype_to_bf16(&x, DTYPE_F32, &half, 1);
            memcpy(data + i, &half, sizeof half);
        }
    }
}

static void fill_weights(struct made *m)
{
    for (size_t i = 0; i < m->weight_count; ++i)
        fill(m->region + m->weights[i].offset, m->weights[i].bytes,
             m->weights[i].stored);
}

static void make(struct made *m, const struct bench *b, enum dtype dtype)
{
    struct dr_error err;
    *m = (struct made){.plan = NULL};
    const struct plan_options options = {.name = b->name, .dtype = dtype};
    if (plan_create(&m->plan, &options, &err) != DR_OK) die(&err);
    struct value y;
    if (b->kind == ATTENTION)
        y = build_attention(m, b, dtype);
    else if (b->kind >= GROUP_NORM)
        y = build_rest(m, b, dtype);
    else
        y = build_product(m, b, dtype);
    (void)plan_output(m->plan, y, dtype);
    if (plan_seal(m->plan, &err) != DR_OK) die(&err);
    const struct region_options arena = {.bytes = plan_bytes(m->plan),
                                         .tag = REGION_ACTIVATIONS,
                                         .component = "bench"};
    if (region_open(&m->arena, &m->ledger, &arena, &err) != DR_OK) die(&err);
    m->region = aligned_alloc(64, m->weight_bytes + 64);
    if (!m->region) exit(1);
    fill(m->arena.data, plan_bytes(m->plan), dtype);
    fill_weights(m);
    if (plan_bind(m->plan, m->arena.data, (const void *[]){m->region}, 1, &err) !=
        DR_OK)
        die(&err);
}

static void drop(struct made *m)
{
    plan_destroy(&m->plan);
    pool_finish(&m->pool);
    region_close(&m->arena);
    free(m->region);
}

static double best_seconds(struct made *m)
{
    struct dr_error err;
    double best = 1e9, spent = 0;
    for (int i = 0; i < 200 && (i < 4 || spent < 0.4); ++i) {
        const double before = now_seconds();
        if (plan_run(m->plan, NULL, &err) != DR_OK) die(&err);
        const double taken = now_seconds() - before;
        if (taken < best) best = taken;
        spent += taken;
    }
    return best;
}

static double library_rate(int bf16)
{
    double rates[6];
    for (int i = 0; i < 6; ++i) {
        rates[i] = library_conv_rate(&library_convs[i], bf16, 5, clock_used);
        printf("  library's conv %4d->%-4d @%-3d %*s%7.1f GFLOP/s\n",
               library_convs[i].in, library_convs[i].out, library_convs[i].side, 15, "",
               rates[i] * 1e-9);
    }
    const double median = library_median(rates);
    printf("  median = 1.00 %30s%7.1f GFLOP/s\n\n", "", median * 1e-9);
    return median;
}

static double gemm_rate(enum dtype dtype)
{
    return library_gemm_rate(dtype == DTYPE_BF16, compute_thread_count(), 20,
                             clock_used);
}

int main(int count, char **arguments)
{
    struct dr_error err;
    enum dtype dtype = compute_has_bf16() ? DTYPE_BF16 : DTYPE_F32;
    const char *part = "";
    bool gemm_only = false;
    for (int i = 1; i < count; ++i)
        if (strcmp(arguments[i], "f32") == 0)
            dtype = DTYPE_F32;
        else if (strcmp(arguments[i], "f16") == 0)
            is_stored_f16 = true;
        else if (strcmp(arguments[i], "single") == 0)
            clock_used = CLOCK_PROCESS_CPUTIME_ID;
        else if (strcmp(arguments[i], "gemm") == 0)
            gemm_only = true;
        else
            part = arguments[i];
    if (compute_init(clock_used == CLOCK_MONOTONIC ? 0 : 1, &err) != DR_OK) die(&err);
    printf("%s, %s\n", compute_description(), dtype_name(dtype));
    const double rate = gemm_only ? (double)NAN : library_rate(dtype == DTYPE_BF16);
    for (size_t i = 0; i < sizeof benches / sizeof *benches; ++i) {
        if (!strstr(benches[i].name, part)) continue;
        struct made m;
        make(&m, &benches[i], dtype);
        double gemm = gemm_rate(dtype);
        const double seconds = best_seconds(&m);
        gemm = fmax(gemm, gemm_rate(dtype));
        const double flop = plan_flop(m.plan);
        if (flop > 0)
            printf(
                "  %-32s %9.3f ms %7.1f GFLOP/s  %.2f; GEMM %7.1f, %.2f   arena %.1f "
                "MiB\n",
                benches[i].name, 1e3 * seconds, 1e-9 * flop / seconds,
                flop / seconds / rate, 1e-9 * gemm, flop / seconds / gemm,
                (double)plan_bytes(m.plan) / 1048576.0);
        else
            printf("  %-32s %9.3f ms %7.1f GB/s\n", benches[i].name, 1e3 * seconds,
                   1e-9 * m.bytes / seconds);
        (void)fflush(stdout);
        drop(&m);
    }
    return 0;
}
