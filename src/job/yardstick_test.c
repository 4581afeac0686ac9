#include "job/yardstick.h"

#include "base/clock.h"
#include "check.h"
#include "compute/compute.h"
#include "mem/region.h"

static void is_faster_with_less_precision_or_as_fast(void)
{
    struct ledger ledger = {0};
    const double f32 = yardstick_flop_per_ms(&ledger, DTYPE_F32);
    fprintf(stderr, "float32 %.1f GFLOP/s\n", f32 / 1e6);
    check_real(f32, >, 1e4); /* 10 MFLOP/s */
    check_real(f32, <, 1e12);
    if (!compute_has_bf16()) return;
    const double bf16 = yardstick_flop_per_ms(&ledger, DTYPE_BF16);
    fprintf(stderr, "bfloat16 %.1f GFLOP/s\n", bf16 / 1e6);
    check_real(bf16, >, 0.5 * f32); /* twice and more; the machine is busy */
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

static void is_short(void)
{
    struct ledger ledger = {0};
    double best_ms = 1e9;
    for (int i = 0; i < 5; ++i) {
        const double before_ms = clock_ms();
        (void)yardstick_flop_per_ms(&ledger, DTYPE_F32);
        const double ms = clock_ms() - before_ms;
        if (ms < best_ms) best_ms = ms;
    }
    fprintf(stderr, "%.1f ms\n", best_ms);
    check_real(best_ms, <,
               1000.0); /* 60 or so; sanitized and busy machines take longer */
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    check_run(is_faster_with_less_precision_or_as_fast);
    check_run(gives_its_memory_back);
    check_run(is_zero_where_there_is_no_room);
    check_run(is_short);
    return check_done();
}
