/* One linear layer of compute/plan.h, which is nothing but the library's product in blocks of 128
 * rows: so the yardstick has the same threads and instructions as all layers.
 */
#include "compute/yardstick.h"

#include <string.h>

#include "base/clock.h"
#include "compute/compute.h"
#include "compute/plan.h"
#include "mem/region.h"

enum {
    BLOCK_ROWS = 128, /* of compute/projection.c: one thread's work at a time */
    WIDTH = 512,      /* of both matrices: operand and block fit a core's own cache */
    BLOCKS = 2,       /* a thread */
    FEWEST_RUNS = 3
};
#define MOST_MS 50.0

struct yardstick {
    struct pool pool;
    struct weight weight;
    struct plan *plan;
    struct value input;
    struct region weights, arena;
};

static enum dr_code make(struct yardstick *y, enum dtype dtype)
{
    const struct plan_options options = {.name = "yardstick", .dtype = dtype};
    const struct weight_shape shape = {WEIGHT_LINEAR, dtype, WIDTH, WIDTH, 1, 1};
    const int32_t rows = BLOCK_ROWS * BLOCKS * compute_thread_count();
    enum dr_code code = weight_init(&y->weight, &shape, &y->pool, NULL);
    if (code == DR_OK) code = plan_create(&y->plan, &options, NULL);
    if (code != DR_OK) return code;
    y->input = plan_input(y->plan, (struct shape){1, 1, rows, WIDTH}, dtype);
    (void)plan_output(y->plan,
                      plan_linear(y->plan, y->input,
                                  &(struct linear_options){.weight = &y->weight}),
                      dtype);
    return plan_seal(y->plan, NULL);
}

static void fill_input(struct yardstick *y)
{
    float row[WIDTH]; /* or WIDTH numbers of half the size */
    memset(row, 0x3D, sizeof row);
    const int32_t rows = plan_shape(y->plan, y->input).w;
    for (int32_t i = 0; i < rows; ++i)
        plan_write(y->plan, y->input, (size_t)i * WIDTH, WIDTH, row);
}

static enum dr_code reserve(struct yardstick *y, struct ledger *ledger)
{
    struct region_options options = {.bytes = y->weight.bytes,
                                     .tag = REGION_SCRATCH,
                                     .component = "yardstick"};
    enum dr_code code = region_open(&y->weights, ledger, &options, NULL);
    options.bytes = plan_bytes(y->plan);
    if (code == DR_OK) code = region_open(&y->arena, ledger, &options, NULL);
    if (code != DR_OK) return code;
    /* 0.046 in either type: numbers of a usual size. */
    memset(y->weights.data, 0x3D, y->weight.bytes);
    code =
        plan_bind(y->plan, y->arena.data, (const void *[]){y->weights.data}, 1, NULL);
    if (code == DR_OK) fill_input(y);
    return code;
}

static double best_rate(struct yardstick *y)
{
    const double end_ms = clock_ms() + MOST_MS;
    double best = 0.0;
    for (int run = 0; run < FEWEST_RUNS || clock_ms() < end_ms; ++run) {
        const double before_ms = clock_ms();
        if (plan_run(y->plan, NULL, NULL) != DR_OK) return 0.0;
        const double ms = clock_ms() - before_ms;
        if (ms > 0.0 && plan_flop(y->plan) / ms > best) best = plan_flop(y->plan) / ms;
    }
    return best;
}

double yardstick_flop_per_ms(struct ledger *ledger, enum dtype dtype)
{
    struct yardstick y = {.plan = NULL};
    const bool is_ready = make(&y, dtype) == DR_OK && reserve(&y, ledger) == DR_OK;
    const double rate = is_ready ? best_rate(&y) : 0.0;
    region_close(&y.arena);
    region_close(&y.weights);
    plan_destroy(&y.plan);
    pool_finish(&y.pool);
    return rate;
}
