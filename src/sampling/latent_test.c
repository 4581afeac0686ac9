/* The two layouts of a latent, whole and in blocks, and values that are not finite. */
#include "sampling/latent.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "compute/compute.h"

enum {
    MOST_CELLS = 3 * LATENT_BLOCK_CELLS,
    MOST = LATENT_CHANNELS * MOST_CELLS
};

static const size_t cell_counts[] = {
    1,          3, LATENT_BLOCK_CELLS - 1, LATENT_BLOCK_CELLS, LATENT_BLOCK_CELLS + 1,
    MOST_CELLS,
};

static void blocks_are_parts_of_the_whole(void)
{
    static float planes[MOST], whole[MOST], back[MOST];
    for (size_t i = 0; i < MOST; ++i)
        planes[i] = (float)i;
    for (size_t k = 0; k < sizeof cell_counts / sizeof *cell_counts; ++k) {
        const size_t cells = cell_counts[k];
        size_t done = 0;
        latent_to_channels_last(planes, whole, cells);
        for (size_t i = 0; i < cells; ++i)
            for (size_t c = 0; c < LATENT_CHANNELS; ++c)
                check(whole[i * LATENT_CHANNELS + c] == planes[c * cells + i]);
        memset(back, 0, sizeof back);
        for (size_t count; done < cells; done += count) {
            float block[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
            count = latent_block_cells(done, cells);
            check(count > 0 && count <= LATENT_BLOCK_CELLS);
            latent_block_to_channels_last(planes, block, cells, done, count);
            check_bytes(block, whole + LATENT_CHANNELS * done,
                        LATENT_CHANNELS * count * sizeof *block);
            latent_block_to_channels_first(block, back, cells, done, count);
        }
        check_int(done, ==, cells);
        check_bytes(back, planes, LATENT_CHANNELS * cells * sizeof *back);
        latent_to_channels_first(whole, back, cells);
        check_bytes(back, planes, LATENT_CHANNELS * cells * sizeof *back);
    }
}

/* Wherever it stands: in the range it is found, beside the range it is not. */
static void one_value_that_is_not_finite_is_found(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct dr_error err = {0};
    struct plan *plan = NULL;
    const struct plan_options options = {.name = "test", .dtype = DTYPE_F32};
    check_int(plan_create(&plan, &options, &err), ==, DR_OK);
    const struct value in =
        plan_input(plan, (struct shape){1, 1, MOST_CELLS, LATENT_CHANNELS}, DTYPE_F32);
    check_int(plan_seal(plan, &err), ==, DR_OK);
    void *const arena = aligned_alloc(64, (plan_bytes(plan) + 63) & ~(size_t)63);
    check_int(plan_bind(plan, arena, NULL, 0, &err), ==, DR_OK);
    plan_clear(plan, in, 0, MOST);
    check(latent_is_finite_in(plan, in, 0, MOST));
    for (size_t place = 0; place < MOST; place += 127) {
        plan_write(plan, in, place, 1, &bad[place % 3]);
        check(!latent_is_finite_in(plan, in, 0, MOST));
        check(!latent_is_finite_in(plan, in, place, 1));
        check(!latent_is_finite_in(plan, in, place, MOST - place));
        check(!latent_is_finite_in(plan, in, 0, place + 1));
        check(latent_is_finite_in(plan, in, 0, place));
        check(latent_is_finite_in(plan, in, place + 1, MOST - place - 1));
        plan_clear(plan, in, place, 1);
    }
    plan_destroy(&plan);
    free(arena);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(1, &err) != DR_OK) return 1;
    check_run(blocks_are_parts_of_the_whole);
    check_run(one_value_that_is_not_finite_is_found);
    return check_done();
}
