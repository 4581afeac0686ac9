/* The same bytes come out of a plan whatever is banded, and less memory is taken. */
#include "compute/plan_fixture.h"

#include "base/fault_fixture.h"

enum {
    CHANNELS = 32,
    GROUPS = 8
};

/* What a VAE's halves do: enlarge or halve, residual blocks with and without a shortcut, and
 * other operators in between. Lines are 128 wide and wider. In bfloat16 no block has fewer
 * channels, so that all are Winograd's convolution. */
struct chain {
    struct fixture f;
    struct value in, out;
};

static const struct weight *kernel(struct fixture *f, int32_t in, int32_t out)
{
    return fixture_weight(f,
                          (struct weight_shape){WEIGHT_CONV, f->dtype, out, in, 3, 3},
                          0.5f / sqrtf((float)in), 0);
}

static struct value conv(struct fixture *f, struct value x, int32_t out,
                         struct value residual)
{
    const int32_t in = plan_shape(f->plan, x).c;
    return plan_conv(f->plan, x,
                     &(struct conv_options){.weight = kernel(f, in, out),
                                            .bias = fixture_vector(f, out, 0),
                                            .pad_top = 1,
                                            .pad_left = 1,
                                            .pad_bottom = 1,
                                            .pad_right = 1,
                                            .residual = residual});
}

static struct value norm(struct fixture *f, struct value x)
{
    const int32_t c = plan_shape(f->plan, x).c;
    return plan_group_norm(f->plan, x,
                           &(struct group_norm_options){.scale =
                                                            fixture_vector(f, c, 1),
                                                        .bias = fixture_vector(f, c, 0),
                                                        .groups = GROUPS,
                                                        .epsilon = 1e-6f,
                                                        .silu = true});
}

static struct value resnet(struct fixture *f, struct value x, int32_t out)
{
    const int32_t in = plan_shape(f->plan, x).c;
    struct value shortcut = x;
    if (in != out)
        shortcut = plan_linear(
            f->plan, x,
            &(struct linear_options){
                .weight = fixture_weight(
                    f, (struct weight_shape){WEIGHT_LINEAR, f->dtype, out, in, 1, 1},
                    0.2f, 0)});
    const struct value h = conv(f, norm(f, x), out, VALUE_NONE);
    return conv(f, norm(f, h), out, shortcut);
}

static struct value enlarge(struct fixture *f, struct value x)
{
    return plan_conv(f->plan, x,
                     &(struct conv_options){.weight = kernel(f, CHANNELS, CHANNELS),
                                            .pad_top = 1,
                                            .pad_left = 1,
                                            .pad_bottom = 1,
                                            .pad_right = 1,
                                            .upsample = true});
}

static struct value halve(struct fixture *f, struct value x)
{
    const int32_t c = plan_shape(f->plan, x).c;
    return plan_conv(f->plan, x,
                     &(struct conv_options){.weight = kernel(f, c, c),
                                            .stride = 2,
                                            .pad_bottom = 1,
                                            .pad_right = 1});
}

/* height x width: of the result before the last halving. */
static void begin_within(struct chain *chain, enum dtype dtype, int32_t height,
                         int32_t width, size_t whole_bytes, size_t most_bytes)
{
    struct fixture *const f = &chain->f;
    const struct plan_options options = {.name = "chain",
                                         .dtype = dtype,
                                         .profile = true,
                                         .by_lines = true,
                                         .whole_bytes = whole_bytes,
                                         .most_bytes = most_bytes};
    fixture_begin_with(f, &options);
    struct plan *const plan = f->plan;
    chain->in = plan_input(plan, (struct shape){1, height / 2, width / 2, 4}, dtype);
    const int32_t fewer = dtype == DTYPE_BF16 ? CHANNELS : CHANNELS / 2;
    struct value h = conv(f, chain->in, CHANNELS, VALUE_NONE);
    h = resnet(f, enlarge(f, h), fewer);
    h = resnet(f, h, fewer);
    const struct value active =
        plan_activate(plan, h, ACTIVATION_SILU, plan_dtype(plan, h));
    h = resnet(f, plan_add(plan, h, active), CHANNELS);
    h = resnet(f, halve(f, h), CHANNELS);
    chain->out = plan_output(plan, conv(f, norm(f, h), 3, VALUE_NONE), DTYPE_F32);
    fixture_seal(f);
    const struct shape shape = plan_shape(plan, chain->in);
    float *const numbers = fixture_reals(shape_count(shape), 1, dtype);
    fixture_fill(f, chain->in, numbers);
    free(numbers);
}

static void begin(struct chain *chain, enum dtype dtype, int32_t height, int32_t width,
                  size_t whole_bytes)
{
    begin_within(chain, dtype, height, width, whole_bytes, 0);
}

static size_t out_bytes(const struct chain *chain)
{
    return shape_count(plan_shape(chain->f.plan, chain->out)) * sizeof(float);
}

static bool differs(const struct chain *chain, const void *kept)
{
    return memcmp(kept, fixture_data(chain->f.plan, chain->out), out_bytes(chain)) != 0;
}

static int32_t count_of(const struct plan *plan, const char *kind)
{
    size_t count = 0;
    int32_t found = 0;
    const struct plan_op_profile *const profile = plan_profile(plan, &count);
    for (size_t i = 0; i < count; ++i)
        found += strcmp(profile[i].kind, kind) == 0;
    return found;
}

/* An operator that works several times in a run of the plan has one run. */
static void check_one_run(const struct plan *plan)
{
    size_t count = 0;
    const struct plan_op_profile *const profile = plan_profile(plan, &count);
    for (size_t i = 0; i < count; ++i)
        check_int(profile[i].runs, ==, 1);
}

/* Every level of one size against the whole. */
static void try_size(enum dtype dtype, int32_t height, int32_t width)
{
    const uint64_t state = fixture_state;
    struct chain whole;
    begin(&whole, dtype, height, width, 0);
    fixture_run(&whole.f);
    void *const kept = malloc(out_bytes(&whole));
    memcpy(kept, fixture_data(whole.f.plan, whole.out), out_bytes(&whole));
    const size_t bytes = plan_bytes(whole.f.plan);
    const double flop = plan_flop(whole.f.plan);
    check_int(count_of(whole.f.plan, "conv 3x3 Winograd") +
                  count_of(whole.f.plan, "conv 3x3 Winograd 4x4"),
              ==, dtype == DTYPE_BF16 ? 8 : 3);
    check(flop == plan_whole_flop(whole.f.plan));
    size_t next = plan_next_whole_bytes(whole.f.plan), least = bytes;
    fixture_end(&whole.f);

    int levels = 0;
    double most_flop = flop;
    while (next > 0 && levels < 40) {
        fixture_state = state;
        struct chain banded;
        begin(&banded, dtype, height, width, next);
        fixture_run(&banded.f);
        if (differs(&banded, kept))
            check_fail_at("%d x %d, at most %zu bytes whole: other bytes", height,
                          width, next);
        fixture_run(&banded.f); /* nothing is left of the first run */
        check(!differs(&banded, kept));
        check(plan_whole_flop(banded.f.plan) == flop);
        check(plan_flop(banded.f.plan) >= flop);
        if (plan_flop(banded.f.plan) > most_flop) most_flop = plan_flop(banded.f.plan);
        if (plan_bytes(banded.f.plan) < least) least = plan_bytes(banded.f.plan);
        const size_t before = next;
        next = plan_next_whole_bytes(banded.f.plan);
        check(next < before);
        ++levels;
        fixture_end(&banded.f);
    }
    fprintf(
        stderr,
        "     %d x %d: %d levels, %zu bytes whole, %zu at least, %.1f times the work\n",
        height, width, levels, bytes, least, most_flop / flop);
    check_int(levels, >=, 3);
    check(most_flop > flop);
    if (height > 200) check_int(least, <, bytes / 2);
    free(kept);
}

/* Weights of a banded plan in two regions: the bytes of a whole plan's in one. */
static void bands_read_two_weight_regions(void)
{
    const uint64_t state = fixture_state;
    struct dr_error err = {0};
    struct chain whole, banded;
    begin(&whole, DTYPE_F32, 40, 256, 0);
    fixture_run(&whole.f);
    const void *const want = fixture_data(whole.f.plan, whole.out);
    fixture_state = state;
    fixture_region_count = 2;
    begin(&banded, DTYPE_F32, 40, 256, 1);
    fixture_region_count = 1;
    check_int(plan_region_count(banded.f.plan), ==, 2);
    check(plan_flop(banded.f.plan) > plan_flop(whole.f.plan));
    fixture_run(&banded.f);
    check(!differs(&banded, want));
    struct guarded zeros = guarded_open(banded.f.regions[1].bytes);
    memset(zeros.data, 0, zeros.bytes);
    const void *const regions[] = {banded.f.regions[0].data, zeros.data};
    check_int(plan_bind(banded.f.plan, banded.f.arena.data, regions, 2, &err), ==,
              DR_OK);
    fixture_run(&banded.f);
    check(differs(&banded, want));
    guarded_close(&zeros);
    fixture_end(&banded.f);
    fixture_end(&whole.f);
}

static void bands_give_the_same_bytes(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which takes long */
    try_size(DTYPE_F32, 320, 256);
#endif
    try_size(DTYPE_F32, 72, 328); /* no power of two: pieces of norms go across lines */
    try_size(DTYPE_F32, 2, 640);
    if (!fixture_lacks(DTYPE_BF16)) try_size(DTYPE_BF16, 38, 266);
}

/* More room is taken up to what is given, for taller bands and for values that are kept whole: the same
 * bytes, for no more work, and in the end for hardly more than the whole plan's. */
static void more_room_gives_the_same_bytes_for_less_work(void)
{
    enum {
        HEIGHT = 256,
        WIDTH = 256
    };
    const uint64_t state = fixture_state;
    struct chain lowest;
    begin(&lowest, DTYPE_F32, HEIGHT, WIDTH, 1);
    fixture_run(&lowest.f);
    const size_t least = plan_bytes(lowest.f.plan);
    const double most_flop = plan_flop(lowest.f.plan);
    size_t before = 0;
    double work = 0, work_before = 0;
    int taller = 0, fewer = 0;
    for (size_t most = least - 1; most < 4 * least; most += least / 4) {
        struct chain chain;
        fixture_state = state;
        begin_within(&chain, DTYPE_F32, HEIGHT, WIDTH, 1, most);
        const size_t bytes = plan_bytes(chain.f.plan);
        work = plan_flop(chain.f.plan);
        check_int(bytes, <=, most < least ? least : most);
        check(work <= most_flop);
        if (bytes != before) {
            taller += work == work_before;
            fewer += work < work_before;
            fixture_run(&chain.f);
            check_one_run(chain.f.plan);
            check(!differs(&chain, fixture_data(lowest.f.plan, lowest.out)));
        }
        before = bytes;
        work_before = work;
        fixture_end(&chain.f);
    }
    check_int(taller, >=, 1);
    check_int(fewer, >=, 3);
    check(work < 1.1 * plan_whole_flop(lowest.f.plan));
    fprintf(stderr, "     %.1f, with room for all %.2f times the work\n",
            most_flop / plan_whole_flop(lowest.f.plan),
            work / plan_whole_flop(lowest.f.plan));
    fixture_end(&lowest.f);
}

/* Nothing can be saved at narrow maps, whatever is asked for. */
static void narrow_maps_are_whole(void)
{
    struct chain narrow;
    begin(&narrow, DTYPE_F32, 64, 64, 0);
    check_int(plan_next_whole_bytes(narrow.f.plan), ==, 0);
    fixture_end(&narrow.f);
    begin(&narrow, DTYPE_F32, 64, 64, 1);
    check(plan_flop(narrow.f.plan) == plan_whole_flop(narrow.f.plan));
    check_int(plan_next_whole_bytes(narrow.f.plan), ==, 0);
    fixture_run(&narrow.f);
    fixture_end(&narrow.f);
}

static void cancel_at(void *cookie, double share)
{
    struct cancel *const cancel = cookie;
    check(!cancel_requested(cancel)); /* nothing more is done then */
    check(share > 0 && share <= 1);
    if (share > 0.4) cancel_request(cancel);
}

static void a_cancel_is_seen_between_bands(void)
{
    struct chain banded;
    struct dr_error err = {0};
    struct cancel cancel = {0};
    const struct plan_progress progress = {cancel_at, &cancel, &cancel};
    begin(&banded, DTYPE_F32, 160, 256, 1);
    check_int(plan_run(banded.f.plan, &progress, &err), ==, DR_CANCELLED);
    fixture_end(&banded.f);
}

/* The control: a mistake at a band's seam is seen. */
static void see_a_wrong_seam(enum dtype dtype, int32_t height)
{
    const uint64_t state = fixture_state;
    struct chain whole, banded;
    begin(&whole, dtype, height, 256, 0);
    fixture_run(&whole.f);
    fixture_state = state;
    begin(&banded, dtype, height, 256, 1);
    fault_sabotage(SABOTAGE_UNMOVED_BAND);
    fixture_run(&banded.f);
    fault_sabotage(SABOTAGE_NONE);
    check(differs(&banded, fixture_data(whole.f.plan, whole.out)));
    fixture_end(&banded.f);
    fixture_end(&whole.f);
}

static void a_wrong_seam_is_seen(void)
{
    see_a_wrong_seam(DTYPE_F32, 160);
    if (!fixture_lacks(DTYPE_BF16)) see_a_wrong_seam(DTYPE_BF16, 18);
}

int main(void)
{
    struct dr_error err = {0};
    fixture_seed(20261125);
    check_int(compute_init(2, &err), ==, DR_OK);
    check_run(bands_give_the_same_bytes);
    check_run(bands_read_two_weight_regions);
    check_run(more_room_gives_the_same_bytes_for_less_work);
    check_run(narrow_maps_are_whole);
    check_run(a_cancel_is_seen_between_bands);
    check_run_with_faults(a_wrong_seam_is_seen);
    return check_done();
}
