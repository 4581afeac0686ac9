#include "library_rate.h"

#include <dnnl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct library_conv library_convs[6] = {
    {2, 320,  320,  64 },
    {2, 640,  640,  32 },
    {2, 1280, 1280, 16 },
    {1, 512,  512,  128},
    {1, 256,  256,  256},
    {1, 128,  128,  512},
};

static double now_seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Memory of the library's, filled with the number 1/16 in either type. */
static dnnl_memory_t filled(const dnnl_memory_desc_t *desc, dnnl_engine_t engine)
{
    dnnl_memory_t memory = NULL;
    void *data = NULL;
    if (dnnl_memory_create(&memory, desc, engine, DNNL_MEMORY_ALLOCATE) != dnnl_success)
        return NULL;
    if (dnnl_memory_get_data_handle(memory, &data) == dnnl_success)
        memset(data, 0x3D, dnnl_memory_desc_get_size(desc));
    return memory;
}

struct made {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[4];
};

/* The memory of what was made; the weight in the layout that the library chose. */
static int fill(struct made *m, const dnnl_memory_desc_t *source,
                const dnnl_memory_desc_t *bias, const dnnl_memory_desc_t *result)
{
    m->memory[0] = filled(source, m->engine);
    m->memory[1] =
        filled(dnnl_primitive_desc_query_md(m->description, dnnl_query_weights_md, 0),
               m->engine);
    m->memory[2] = filled(bias, m->engine);
    m->memory[3] = filled(result, m->engine);
    return m->memory[0] && m->memory[1] && m->memory[2] && m->memory[3];
}

static int make(struct made *m, const struct library_conv *c, int bf16)
{
    const dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t source, weight, bias, result;
    const dnnl_dims_t source_dims = {c->n, c->in, c->side, c->side};
    const dnnl_dims_t weight_dims = {c->out, c->in, 3, 3}, bias_dims = {c->out};
    const dnnl_dims_t result_dims = {c->n, c->out, c->side, c->side}, ones = {1, 1};
    dnnl_convolution_desc_t conv;
    if (dnnl_engine_create(&m->engine, dnnl_cpu, 0) ||
        dnnl_stream_create(&m->stream, m->engine, dnnl_stream_default_flags) ||
        dnnl_memory_desc_init_by_tag(&source, 4, source_dims, type, dnnl_nhwc) ||
        dnnl_memory_desc_init_by_tag(&weight, 4, weight_dims, type,
                                     dnnl_format_tag_any) ||
        dnnl_memory_desc_init_by_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_x) ||
        dnnl_memory_desc_init_by_tag(&result, 4, result_dims, type, dnnl_nhwc) ||
        dnnl_convolution_forward_desc_init(&conv, dnnl_forward_inference,
                                           dnnl_convolution_direct, &source, &weight,
                                           &bias, &result, ones, ones, ones) ||
        dnnl_primitive_desc_create(&m->description, &conv, NULL, m->engine, NULL) ||
        dnnl_primitive_create(&m->primitive, m->description))
        return 0;
    return fill(m, &source, &bias, &result);
}

static void drop(struct made *m)
{
    for (int i = 0; i < 4; ++i)
        (void)dnnl_memory_destroy(m->memory[i]);
    (void)dnnl_primitive_destroy(m->primitive);
    (void)dnnl_primitive_desc_destroy(m->description);
    (void)dnnl_stream_destroy(m->stream);
    (void)dnnl_engine_destroy(m->engine);
}

/* FLOP/s: the best of the runs. */
static double rate_of(const struct made *m, double flop, int runs, clockid_t clock)
{
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC,     m->memory[0]},
        {DNNL_ARG_WEIGHTS, m->memory[1]},
        {DNNL_ARG_BIAS,    m->memory[2]},
        {DNNL_ARG_DST,     m->memory[3]},
    };
    double best = 0;
    for (int i = 0; i < runs; ++i) {
        const double before = now_seconds(clock);
        if (dnnl_primitive_execute(m->primitive, m->stream, 4, arguments)) break;
        (void)dnnl_stream_wait(m->stream);
        const double rate = flop / (now_seconds(clock) - before);
        if (rate > best) best = rate;
    }
    return best;
}

double library_conv_rate(const struct library_conv *conv, int bf16, int runs,
                         clockid_t clock)
{
    struct made m = {.engine = NULL};
    double best = 0;
    if (make(&m, conv, bf16))
        best = rate_of(&m,
                       18.0 * conv->n * conv->side * conv->side * (double)conv->in *
                           (double)conv->out,
                       runs, clock);
    drop(&m);
    return best;
}

enum {
    GEMM_SIDE = 480
};

static int make_gemm(struct made *m, int rows, int bf16)
{
    const dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t many = {rows, GEMM_SIDE}, square = {GEMM_SIDE, GEMM_SIDE};
    const dnnl_dims_t one = {1, GEMM_SIDE};
    dnnl_memory_desc_t source, weight, bias, result;
    dnnl_matmul_desc_t gemm;
    if (dnnl_engine_create(&m->engine, dnnl_cpu, 0) ||
        dnnl_stream_create(&m->stream, m->engine, dnnl_stream_default_flags) ||
        dnnl_memory_desc_init_by_tag(&source, 2, many, type, dnnl_ab) ||
        dnnl_memory_desc_init_by_tag(&weight, 2, square, type, dnnl_format_tag_any) ||
        dnnl_memory_desc_init_by_tag(&bias, 2, one, dnnl_f32, dnnl_ab) ||
        dnnl_memory_desc_init_by_tag(&result, 2, many, dnnl_f32, dnnl_ab) ||
        dnnl_matmul_desc_init(&gemm, &source, &weight, &bias, &result) ||
        dnnl_primitive_desc_create(&m->description, &gemm, NULL, m->engine, NULL) ||
        dnnl_primitive_create(&m->primitive, m->description))
        return 0;
    return fill(m, &source, &bias, &result);
}

double library_gemm_rate(int bf16, int threads, int runs, clockid_t clock)
{
    struct made m = {.engine = NULL};
    const int rows = GEMM_SIDE * threads;
    double best = 0;
    if (make_gemm(&m, rows, bf16))
        best = rate_of(&m, 2.0 * rows * GEMM_SIDE * GEMM_SIDE, runs, clock);
    drop(&m);
    return best;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double library_median(const double rates[static 6])
{
    double sorted[6];
    memcpy(sorted, rates, sizeof sorted);
    qsort(sorted, 6, sizeof *sorted, compare);
    return 0.5 * (sorted[2] + sorted[3]);
}
