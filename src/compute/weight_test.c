#include "compute/plan_fixture.h"

#include "compute/layout.h"

static struct weight_shape random_shape(void)
{
    static const int32_t often[] = {3, 4, 32, 64, 96, 128, 320};
    struct weight_shape s = {
        .kind = (enum weight_kind)fixture_int(0, 3),
        .dtype = fixture_int(0, 1) && compute_can_bf16() ? DTYPE_BF16 : DTYPE_F32,
        .out = fixture_int(0, 1) ? often[fixture_int(0, 6)] : fixture_int(1, 150),
        .in = fixture_int(0, 1) ? often[fixture_int(0, 6)] : fixture_int(1, 150),
        .kernel_height = 1,
        .kernel_width = 1};
    if (s.kind == WEIGHT_CONV) s.kernel_height = s.kernel_width = fixture_int(1, 3);
    if (s.kind == WEIGHT_VECTOR) {
        s.dtype = DTYPE_F32;
        s.in = 1;
    }
    return s;
}

/* Where the plain element (out, in, tap) lies, counted in elements. */
static size_t place_of(const struct weight *w, int32_t out, int32_t in, int32_t tap)
{
    if (!w->layout) return (size_t)out * (size_t)w->in + (size_t)in;
    return layout_in(w->layout, tap * w->in + in) + layout_out(w->layout, out);
}

/* Every element is found at one place, and all else is zero: so the stored form has the same
 * content, and equal sources give equal bytes. */
static void stores_every_element_once(void)
{
    for (int round = 0; round < 200; ++round) {
        struct pool pool = {.head = NULL};
        struct dr_error err = {0};
        struct weight w;
        const struct weight_shape shape = random_shape();
        check_int(weight_init(&w, &shape, &pool, &err), ==, DR_OK);
        const size_t element = dtype_bytes(w.dtype),
                     plain_bytes = weight_plain_bytes(&w);
        check_int(w.bytes, >=, plain_bytes);
        unsigned char *const plain = malloc(plain_bytes);
        for (size_t i = 0; i < plain_bytes; ++i)
            plain[i] = (unsigned char)(fixture_bits() % 255 + 1); /* never zero */
        struct guarded stored = guarded_open((w.bytes + 63) / 64 * 64);
        struct guarded again = guarded_open((w.bytes + 63) / 64 * 64);
        memset(again.data, 0x11, again.bytes);
        weight_store(&w, plain, stored.data);
        weight_store(&w, plain, again.data);
        check_bytes(stored.data, again.data, w.bytes);
        const int32_t window = w.kernel_height * w.kernel_width;
        for (int32_t o = 0; o < w.out; ++o)
            for (int32_t i = 0; i < w.in; ++i)
                for (int32_t tap = 0; tap < window; ++tap) {
                    const size_t from =
                        ((size_t)o * (size_t)w.in + (size_t)i) * (size_t)window +
                        (size_t)tap;
                    unsigned char *const to =
                        stored.data + place_of(&w, o, i, tap) * element;
                    if (memcmp(plain + from * element, to, element) != 0) {
                        check_fail_at("element %d %d %d of kind %d", o, i, tap,
                                      (int)w.kind);
                        o = w.out;
                        i = w.in;
                        break;
                    }
                    memset(to, 0, element);
                }
        size_t left = 0;
        for (size_t i = 0; i < w.bytes; ++i)
            left += stored.data[i] != 0;
        check_int(left, ==, 0);
        free(plain);
        guarded_close(&stored);
        guarded_close(&again);
        pool_finish(&pool);
    }
}

/* All runs of all parts, put into their places, are the weight as it is stored in parts. */
static void runs_are_the_parts(void)
{
    static const enum dtype stored[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16,
                                        DTYPE_F8_E4M3};
    int with_runs = 0;
    for (int round = 0; round < 200; ++round) {
        struct pool pool = {.head = NULL};
        struct dr_error err = {0};
        struct weight w;
        struct weight_shape shape = random_shape();
        if (round % 20 == 0) shape.in = 2500; /* several runs of a part */
        check_int(weight_init(&w, &shape, &pool, &err), ==, DR_OK);
        (void)weight_store_as(&w, stored[round % 4]);
        const int32_t runs = weight_run_count(&w);
        const size_t plain_bytes = weight_plain_bytes(&w);
        unsigned char *const plain = malloc(plain_bytes);
        unsigned char *const parts = calloc(1, w.bytes), *const made = malloc(w.bytes);
        for (size_t i = 0; i < plain_bytes; ++i)
            plain[i] = (unsigned char)fixture_bits();
        weight_store(&w, plain, parts);
        memset(made, 0x11, w.bytes);
        for (int32_t part = 0; part < weight_part_count(&w); ++part)
            for (int32_t run = 0; run < runs; ++run) {
                size_t place;
                struct guarded target = guarded_open(weight_run_bytes(&w));
                const size_t bytes =
                    weight_store_run(&w, plain, part, run, target.data, &place);
                check_int(bytes, <=, target.bytes);
                check_int(place + bytes, <=, w.bytes);
                memcpy(made + place, target.data, bytes);
                guarded_close(&target);
            }
        if (runs > 0) check_bytes(made, parts, w.bytes);
        with_runs += runs > 0;
        free(plain);
        free(parts);
        free(made);
        pool_finish(&pool);
    }
    check_int(with_runs, >, 50);
}

/* The layout of some outputs alone is that part of the whole's bytes. */
static void slices_are_parts(void)
{
    struct dr_error err = {0};
    for (int i = 0; i < 2; ++i) {
        struct weight_layout whole, slice, alone;
        size_t offset = 0;
        const enum dtype dtype = i && compute_can_bf16() ? DTYPE_BF16 : DTYPE_F32;
        check_int(layout_choose(&whole, dtype, 96, 320, &err), ==, DR_OK);
        check_int(layout_choose(&alone, dtype, 96, 128, &err), ==, DR_OK);
        if (!layout_slice(&whole, 64, 128, &slice, &offset))
            continue; /* plain layouts */
        check_int(slice.bytes, ==, alone.bytes);
        check_int(offset, ==, layout_out(&whole, 64) * dtype_bytes(dtype));
        check(dnnl_memory_desc_equal(&slice.desc, &alone.desc));
        check(!layout_slice(&whole, 8, 128, &slice, &offset));
    }
}

static void refuses_what_cannot_be(void)
{
    struct pool pool = {.head = NULL};
    struct dr_error err = {0};
    struct weight w;
    struct weight_shape shape = {WEIGHT_LINEAR, DTYPE_F16, 4, 4, 1, 1};
    check_int(weight_init(&w, &shape, &pool, &err), ==, DR_UNSUPPORTED);
    check_has(err.message, "F16");
    shape = (struct weight_shape){WEIGHT_LINEAR, DTYPE_F32, 0, 4, 1, 1};
    check_int(weight_init(&w, &shape, &pool, &err), ==, DR_BAD_INPUT);
    shape = (struct weight_shape){WEIGHT_CONV, DTYPE_F32, INT32_MAX, INT32_MAX, 3, 3};
    check_int(weight_init(&w, &shape, &pool, &err), ==, DR_UNSUPPORTED);
    pool_finish(&pool);
}

/* A pack is found by the digest: it serves a component in whichever region that lies. */
static void the_digest_is_of_the_place_in_the_region(void)
{
    struct pool pool = {.head = NULL};
    struct dr_error err = {0};
    struct weight w;
    const struct weight_shape shape = {WEIGHT_VECTOR, DTYPE_F32, 4, 1, 1, 1};
    check_int(weight_init(&w, &shape, &pool, &err), ==, DR_OK);
    check_int(w.region, ==, 0);
    uint8_t digests[3][DIGEST_BYTES];
    for (int i = 0; i < 3; ++i) {
        struct digest digest;
        w.region = i == 1;
        w.offset = i == 2 ? 64 : 0;
        digest_init(&digest);
        weight_add_to_digest(&w, &digest);
        digest_end(&digest, digests[i]);
    }
    check_bytes(digests[0], digests[1], DIGEST_BYTES);
    check(memcmp(digests[0], digests[2], DIGEST_BYTES) != 0);
    pool_finish(&pool);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(3006);
    check_run(stores_every_element_once);
    check_run(runs_are_the_parts);
    check_run(slices_are_parts);
    check_run(refuses_what_cannot_be);
    check_run(the_digest_is_of_the_place_in_the_region);
    return check_done();
}
