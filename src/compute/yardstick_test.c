#include "compute/yardstick.h"

#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "check.h"
#include "compute/compute.h"
#include "mem/region.h"

/* Multiply-adds of plain loops over two small matrices, on one thread: FLOP a millisecond, the best
 * of some runs. The loops have no shape that a compiler turns into a library's kernel. */
static double plain_rate(void)
{
    enum {
        SIDE = 64,
        RUNS = 20
    };
    static float a[SIDE * SIDE], b[SIDE * SIDE];
    static volatile float result;
    double best = 0.0;
    for (int i = 0; i < SIDE * SIDE; ++i)
        a[i] = b[i] = (float)(i % 7) * 0.125F;
    for (int run = 0; run < RUNS; ++run) {
        const double before_ms = clock_ms();
        float total = 0.0F;
        for (int row = 0; row < SIDE; ++row)
            for (int column = 0; column < SIDE; ++column)
                for (int k = 0; k < SIDE; ++k)
                    total += a[row * SIDE + k] * b[k * SIDE + column];
        result = total;
        const double ms = clock_ms() - before_ms;
        if (ms > 0.0 && 2.0 * SIDE * SIDE * SIDE / ms > best)
            best = 2.0 * SIDE * SIDE * SIDE / ms;
    }
    (void)result;
    return best;
}

/* The most that a core does today: 2 units of 16 lanes, a multiply-add each, at 6 GHz. */
#define MOST_A_THREAD 3.84e8

/* A rate of float32 that this machine can have: of each thread at least a quarter of plain loops
 * (other programs may hold the core that all wait for), at most what a core can do. The bounds are less
 * than 1000 apart, so that a wrong unit is outside. */
static bool is_plausible(double rate, double plain)
{
    const double a_thread = rate / compute_thread_count();
    return a_thread > plain / 4.0 && a_thread < MOST_A_THREAD;
}

static void is_what_the_machine_can_do(void)
{
    struct ledger ledger = {0};
    const double plain = plain_rate();
    double f32 = 0.0;
    for (int tries = 0; tries < 20 && !is_plausible(f32, plain); ++tries)
        f32 = yardstick_flop_per_ms(&ledger, DTYPE_F32);
    fprintf(stderr, "float32 %.1f GFLOP/s, plain loops %.3f\n", f32 / 1e6, plain / 1e6);
    check(is_plausible(f32, plain));
    /* The controls: a second for a millisecond, the other way round, nothing at all. */
    check(!is_plausible(f32 * 1000.0, plain));
    check(!is_plausible(f32 / 1000.0, plain));
    check(!is_plausible(0.0, plain));
}

static void is_faster_with_less_precision_or_as_fast(void)
{
    if (!compute_has_bf16()) {
        check_skip_case("this processor has no bfloat16");
        return;
    }
    struct ledger ledger = {0};
    /* Twice and more; other programs may take a core for a while. */
    double f32 = 1.0, bf16 = 0.0;
    for (int tries = 0; tries < 50 && bf16 <= 0.5 * f32; ++tries) {
        f32 = yardstick_flop_per_ms(&ledger, DTYPE_F32);
        bf16 = yardstick_flop_per_ms(&ledger, DTYPE_BF16);
    }
    fprintf(stderr, "bfloat16 %.1f GFLOP/s\n", bf16 / 1e6);
    check_real(bf16, >, 0.5 * f32);
}

static void gives_its_memory_back(void)
{
    struct ledger ledger = {0};
    check_real(yardstick_flop_per_ms(&ledger, DTYPE_F32), >, 0.0);
    check_int(ledger.private_bytes, ==, 0);
    check_int(ledger.peak_private_bytes, >=, 4 * 512 * 512);
    check_int(ledger.peak_private_bytes, <,
              ((size_t)compute_thread_count() + 1) * (3u << 20));
    check(ledger.first == NULL);
}

/* No room for the first region, and none for the second. */
static void is_zero_where_there_is_no_room(void)
{
    const size_t limits[] = {region_page_bytes(), (4 * 512 * 512) + 65536};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; ++i) {
        struct ledger ledger = {.limit_bytes = limits[i]};
        check_real(yardstick_flop_per_ms(&ledger, DTYPE_F32), ==, 0.0);
        check_int(ledger.private_bytes, ==, 0);
        check_int(ledger.peak_private_bytes > 0, ==, i > 0);
    }
}

/* The processor's time, which other programs on the machine do not lengthen: all threads'. */
static double processor_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) return 0.0;
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void is_short(void)
{
    struct ledger ledger = {0};
    double best_ms = 1e9;
    for (int i = 0; i < 5; ++i) {
        const double before_ms = processor_ms();
        (void)yardstick_flop_per_ms(&ledger, DTYPE_F32);
        const double ms = processor_ms() - before_ms;
        if (ms < best_ms) best_ms = ms;
    }
    best_ms /= compute_thread_count();
    fprintf(stderr, "%.1f ms of each thread\n", best_ms);
    check_real(best_ms, >, 1.0);   /* it does measure */
    check_real(best_ms, <, 300.0); /* 60 or so; under a sanitizer longer */
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    check_run(is_what_the_machine_can_do);
    check_run(is_faster_with_less_precision_or_as_fast);
    check_run(gives_its_memory_back);
    check_run(is_zero_where_there_is_no_room);
    check_run(is_short);
    return check_done();
}
