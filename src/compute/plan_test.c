#include "compute/plan_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static enum dtype best_dtype(void)
{
    return compute_can_bf16() ? DTYPE_BF16 : DTYPE_F32;
}

/* A little network with every operator: two levels of a UNet in small. */
struct network {
    struct fixture f;
    struct value map, context, shift, out;
};

static const struct weight *conv_weight(struct fixture *f, int32_t in, int32_t out)
{
    return fixture_weight(f,
                          (struct weight_shape){WEIGHT_CONV, f->dtype, out, in, 3, 3},
                          0.3f / sqrtf((float)in), 0);
}

static const struct weight *linear_weight(struct fixture *f, int32_t in, int32_t out)
{
    return fixture_weight(f,
                          (struct weight_shape){WEIGHT_LINEAR, f->dtype, out, in, 1, 1},
                          0.7f / sqrtf((float)in), 0);
}

static struct value norm(struct fixture *f, struct value x, struct value second,
                         struct value shift)
{
    const int32_t c = plan_shape(f->plan, x).c + plan_shape(f->plan, second).c;
    return plan_group_norm(f->plan, x,
                           &(struct group_norm_options){.scale =
                                                            fixture_vector(f, c, 1),
                                                        .bias = fixture_vector(f, c, 0),
                                                        .groups = 8,
                                                        .epsilon = 1e-5f,
                                                        .silu = true,
                                                        .second = second,
                                                        .shift = shift});
}

static struct value same_conv(struct fixture *f, struct value x, int32_t out,
                              struct value residual)
{
    const int32_t in = plan_shape(f->plan, x).c;
    return plan_conv(f->plan, x,
                     &(struct conv_options){.weight = conv_weight(f, in, out),
                                            .bias = fixture_vector(f, out, 0),
                                            .pad_top = 1,
                                            .pad_left = 1,
                                            .pad_bottom = 1,
                                            .pad_right = 1,
                                            .residual = residual});
}

static struct value transformer(struct fixture *f, struct value x, struct value context)
{
    struct plan *const plan = f->plan;
    const int32_t c = plan_shape(plan, x).c;
    const struct value normed =
        plan_layer_norm(plan, x,
                        &(struct layer_norm_options){.scale = fixture_vector(f, c, 1),
                                                     .bias = fixture_vector(f, c, 0),
                                                     .epsilon = 1e-5f});
    const struct value q =
        plan_linear(plan, normed,
                    &(struct linear_options){.weight = linear_weight(f, c, c)});
    const struct value kv =
        plan_linear(plan, context,
                    &(struct linear_options){
                        .weight =
                            linear_weight(f, plan_shape(plan, context).c, 2 * c)});
    const struct value seen =
        plan_attention(plan, &(struct attention_options){.q = q,
                                                         .k = kv,
                                                         .v = kv,
                                                         .v_column = c,
                                                         .heads = 4,
                                                         .head_dim = c / 4,
                                                         .scale = 0.35f});
    const struct value y =
        plan_linear(plan, seen,
                    &(struct linear_options){.weight = linear_weight(f, c, c),
                                             .residual = x});
    const struct value wide =
        plan_linear(plan, y,
                    &(struct linear_options){.weight = linear_weight(f, c, 8 * c)});
    return plan_linear(plan, plan_geglu(plan, wide),
                       &(struct linear_options){.weight = linear_weight(f, 4 * c, c),
                                                .residual = y});
}

static void network_begin(struct network *net, enum dtype dtype, int32_t n, int32_t h,
                          int32_t w)
{
    struct fixture *const f = &net->f;
    fixture_begin(f, dtype);
    struct plan *const plan = f->plan;
    const int32_t c = 32;
    net->map = plan_input(plan, (struct shape){n, h, w, 4}, dtype);
    net->context = plan_input(plan, (struct shape){n, 1, 11, 24}, dtype);
    net->shift = plan_input(plan, (struct shape){n, 1, 1, c}, DTYPE_F32);
    const struct value first = same_conv(f, net->map, c, VALUE_NONE);
    const struct value one =
        same_conv(f, norm(f, first, VALUE_NONE, net->shift), c, first);
    const struct value half =
        plan_conv(plan, one,
                  &(struct conv_options){.weight = conv_weight(f, c, c),
                                         .stride = 2,
                                         .pad_top = 1,
                                         .pad_left = 1,
                                         .pad_bottom = 1,
                                         .pad_right = 1});
    const struct value mixed = transformer(f, half, net->context);
    const struct value up =
        plan_conv(plan, mixed,
                  &(struct conv_options){.weight = conv_weight(f, c, c),
                                         .pad_top = 1,
                                         .pad_left = 1,
                                         .pad_bottom = 1,
                                         .pad_right = 1,
                                         .upsample = true,
                                         .upsample_height = h,
                                         .upsample_width = w});
    const struct value joined = norm(f, up, one, VALUE_NONE);
    net->out = plan_output(plan, same_conv(f, joined, 4, VALUE_NONE), DTYPE_F32);
}

static void network_fill(const struct network *net)
{
    const struct value inputs[] = {net->map, net->context, net->shift};
    for (size_t i = 0; i < 3; ++i) {
        const struct fixture *const f = &net->f;
        float *const numbers =
            fixture_reals(shape_count(plan_shape(f->plan, inputs[i])), 1,
                          plan_dtype(f->plan, inputs[i]));
        fixture_fill(f, inputs[i], numbers);
        free(numbers);
    }
}

static size_t out_bytes(const struct network *net)
{
    return shape_count(plan_shape(net->f.plan, net->out)) * sizeof(float);
}

/* Two runs of one plan, and a second plan in another arena: the same bytes. The arena ends at
 * a page that cannot be touched, so plan_bytes is not too small either. */
static void gives_the_same_bytes(void)
{
    for (int i = 0; i < 6; ++i) {
        const enum dtype dtype = i & 1 ? best_dtype() : DTYPE_F32;
        const int32_t h = fixture_int(2, 21), w = fixture_int(2, 21),
                      n = fixture_int(1, 2);
        const uint64_t state = fixture_state;
        struct network net;
        network_begin(&net, dtype, n, h, w);
        fixture_seal(&net.f);
        network_fill(&net);
        fixture_run(&net.f);
        const size_t bytes = out_bytes(&net);
        float *const kept = malloc(bytes);
        memcpy(kept, fixture_data(net.f.plan, net.out), bytes);
        for (size_t k = 0; k < bytes / sizeof *kept; ++k)
            if (!isfinite(kept[k])) check_fail_at("not finite at %zu", k);
        fixture_run(&net.f); /* inputs keep their place: no filling again */
        check_bytes(kept, fixture_data(net.f.plan, net.out), bytes);
        fixture_end(&net.f);

        fixture_state = state;
        network_begin(&net, dtype, n, h, w);
        fixture_seal(&net.f);
        network_fill(&net);
        /* moved to another arena */
        struct guarded other = guarded_open(plan_bytes(net.f.plan));
        memcpy(other.data, net.f.arena.data, other.bytes);
        fixture_bind(&net.f, other.data);
        fixture_run(&net.f);
        check_bytes(kept, fixture_data(net.f.plan, net.out), bytes);
        guarded_close(&other);
        free(kept);
        fixture_end(&net.f);
    }
}

/* The number of threads changes who computes what, not what is computed. (Promised where
 * the library takes blocked layouts whole: its older products sum by the shape of all rows.) */
static void threads_change_nothing(void)
{
    if (!compute_can_bf16()) {
        check_skip_case("this processor has no bfloat16");
        return;
    }
    const uint64_t state = fixture_state;
    struct dr_error err = {0};
    float *kept = NULL;
    static const int counts[] = {1, 3, 5, 8, 64};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
        fixture_state = state;
        check_int(compute_init(counts[i], &err), ==, DR_OK);
        struct network net;
        network_begin(&net, best_dtype(), 2, 24, 20);
        fixture_seal(&net.f);
        network_fill(&net);
        fixture_run(&net.f);
        const size_t bytes = out_bytes(&net);
        if (!kept) {
            kept = malloc(bytes);
            memcpy(kept, fixture_data(net.f.plan, net.out), bytes);
        }
        check_bytes(kept, fixture_data(net.f.plan, net.out), bytes);
        fixture_end(&net.f);
    }
    free(kept);
    check_int(compute_init(0, &err), ==, DR_OK);
}

/* ---- several regions of weights ---- */

/* A whole network, its weights dealt out to two regions: the bytes of one region's. Where a region
 * holds other weights, other bytes. */
static void reads_weights_from_two_regions(enum dtype dtype)
{
    const uint64_t state = fixture_state;
    struct network one, two;
    network_begin(&one, dtype, 2, 9, 12);
    fixture_seal(&one.f);
    network_fill(&one);
    fixture_run(&one.f);
    check_int(plan_region_count(one.f.plan), ==, 1);
    fixture_state = state;
    fixture_region_count = 2;
    network_begin(&two, dtype, 2, 9, 12);
    fixture_region_count = 1;
    fixture_seal(&two.f);
    network_fill(&two);
    fixture_run(&two.f);
    check_int(plan_region_count(two.f.plan), ==, 2);
    check_int(plan_bytes(two.f.plan), ==, plan_bytes(one.f.plan));
    const size_t bytes = out_bytes(&one);
    const void *const want = fixture_data(one.f.plan, one.out);
    check_bytes(want, fixture_data(two.f.plan, two.out), bytes);

    for (int i = 0; i < 2; ++i) {
        struct dr_error err = {0};
        struct guarded zeros = guarded_open(two.f.regions[i].bytes);
        memset(zeros.data, 0, zeros.bytes);
        const void *regions[] = {two.f.regions[0].data, two.f.regions[1].data};
        regions[i] = zeros.data;
        check_int(plan_bind(two.f.plan, two.f.arena.data, regions, 2, &err), ==, DR_OK);
        fixture_run(&two.f);
        check(memcmp(want, fixture_data(two.f.plan, two.out), bytes) != 0);
        guarded_close(&zeros);
    }
    fixture_bind(&two.f, two.f.arena.data);
    fixture_run(&two.f);
    check_bytes(want, fixture_data(two.f.plan, two.out), bytes);
    fixture_end(&two.f);
    fixture_end(&one.f);
}

static void splits_a_network_over_two_regions(void)
{
    reads_weights_from_two_regions(DTYPE_F32);
    reads_weights_from_two_regions(best_dtype());
}

/* target[i] = sum of matrix[i][k] source[k]. */
static void multiply(const float *matrix, const float *source, int32_t width,
                     float *target)
{
    for (int32_t i = 0; i < width; ++i) {
        double sum = 0;
        for (int32_t k = 0; k < width; ++k)
            sum += (double)matrix[i * width + k] * (double)source[k];
        target[i] = (float)sum;
    }
}

/* Two linears of one shape, each in a region of its own: regions in the other order are the
 * linears in the other order. */
static void each_weight_is_of_its_own_region(void)
{
    enum {
        WIDTH = 32
    };
    struct fixture f;
    struct dr_error err = {0};
    fixture_region_count = 2;
    fixture_begin(&f, DTYPE_F32);
    const struct value x =
        plan_input(f.plan, (struct shape){1, 1, 1, WIDTH}, DTYPE_F32);
    const struct weight *const weights[] = {linear_weight(&f, WIDTH, WIDTH),
                                            linear_weight(&f, WIDTH, WIDTH)};
    fixture_region_count = 1;
    const struct value y =
        plan_linear(f.plan, x, &(struct linear_options){.weight = weights[0]});
    const struct value out = plan_output(
        f.plan, plan_linear(f.plan, y, &(struct linear_options){.weight = weights[1]}),
        DTYPE_F32);
    fixture_seal(&f);
    float *const numbers = fixture_reals(WIDTH, 1, DTYPE_F32);
    fixture_fill(&f, x, numbers);
    for (int order = 0; order < 2; ++order) {
        float between[WIDTH], want[WIDTH];
        const void *const regions[] = {f.regions[order].data, f.regions[!order].data};
        check_int(plan_bind(f.plan, f.arena.data, regions, 2, &err), ==, DR_OK);
        fixture_run(&f);
        multiply(fixture_plain(&f, weights[order]), numbers, WIDTH, between);
        multiply(fixture_plain(&f, weights[!order]), between, WIDTH, want);
        fixture_compare(&f, out, want, 1e-5, "two linears");
        multiply(fixture_plain(&f, weights[!order]), numbers, WIDTH, between);
        multiply(fixture_plain(&f, weights[order]), between, WIDTH, want);
        check_real(fixture_distance(fixture_data(f.plan, out), DTYPE_F32, want, WIDTH),
                   >, 0.1);
    }
    free(numbers);
    fixture_end(&f);
}

/* What a plan reads and was not given is refused, and the plan stays bound as it was. */
static void refuses_to_lack_a_region(void)
{
    struct network net;
    struct dr_error err = {0};
    fixture_region_count = 2;
    network_begin(&net, DTYPE_F32, 1, 6, 7);
    fixture_region_count = 1;
    fixture_seal(&net.f);
    network_fill(&net);
    const void *regions[] = {net.f.regions[0].data, net.f.regions[1].data};
    void *const arena = net.f.arena.data;
    check_int(plan_bind(net.f.plan, arena, regions, 1, &err), ==, DR_BAD_INPUT);
    check_has(err.message,
              "test: it reads weights in region 1, which is not among the 1");
    check_int(plan_bind(net.f.plan, arena, NULL, 0, &err), ==, DR_BAD_INPUT);
    regions[0] = NULL;
    check_int(plan_bind(net.f.plan, arena, regions, 2, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "region 0");
    fixture_run(&net.f);
    fixture_end(&net.f);

    static const int32_t places[] = {-1, WEIGHT_MOST_REGIONS, WEIGHT_MOST_REGIONS - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        struct fixture f;
        fixture_begin(&f, DTYPE_F32);
        const struct value x =
            plan_input(f.plan, (struct shape){1, 1, 1, 16}, DTYPE_F32);
        (void)linear_weight(&f, 16, 16);
        f.weights[0].region = places[i];
        (void)plan_linear(f.plan, x, &(struct linear_options){.weight = &f.weights[0]});
        const bool is_good = places[i] == WEIGHT_MOST_REGIONS - 1;
        check_int(plan_seal(f.plan, &err), ==, is_good ? DR_OK : DR_BAD_INPUT);
        check_int(plan_region_count(f.plan), ==, is_good ? WEIGHT_MOST_REGIONS : 0);
        fixture_end(&f);
    }
}

static void takes_over_buffers(void)
{
    struct fixture f;
    fixture_begin(&f, DTYPE_F32);
    const struct shape shape = {1, 8, 8, 64};
    const size_t bytes = shape_count(shape) * sizeof(float);
    const struct value x = plan_input(f.plan, shape, DTYPE_F32);
    struct value y = plan_activate(f.plan, x, ACTIVATION_SILU, DTYPE_F32);
    for (int i = 0; i < 10; ++i)
        y = plan_activate(f.plan, y, ACTIVATION_SILU, DTYPE_F32);
    (void)plan_output(f.plan, plan_add(f.plan, y, x), DTYPE_F32);
    fixture_seal(&f);
    check_int(plan_bytes(f.plan), ==, 3 * bytes); /* input, output, and one between */
    fixture_end(&f);
}

struct watch {
    double last;
    int reports;
    int cancel_after;
    struct cancel cancel;
};

static void report(void *cookie, double share)
{
    struct watch *const watch = cookie;
    check_real(share, >=, watch->last);
    watch->last = share;
    if (++watch->reports == watch->cancel_after) cancel_request(&watch->cancel);
}

static void reports_and_cancels(void)
{
    struct network net;
    network_begin(&net, best_dtype(), 1, 8, 8);
    fixture_seal(&net.f);
    network_fill(&net);
    struct dr_error err = {0};
    struct watch watch = {.last = 0};
    struct plan_progress progress = {.report = report,
                                     .cookie = &watch,
                                     .cancel = &watch.cancel};
    check_int(plan_run(net.f.plan, &progress, &err), ==, DR_OK);
    check_real(watch.last, >, 0.999999);
    check_real(watch.last, <, 1.000001);
    const int all = watch.reports;
    watch = (struct watch){.cancel_after = 5};
    check_int(plan_run(net.f.plan, &progress, &err), ==, DR_CANCELLED);
    check_int(watch.reports, ==, 5);
    check_int(all, >, 5);
    watch = (struct watch){.last = 0};
    check_int(plan_run(net.f.plan, &progress, &err), ==, DR_OK); /* as good as new */
    double flop = 0;
    size_t count = 0;
    const struct plan_op_profile *const profile = plan_profile(net.f.plan, &count);
    for (size_t i = 0; i < count; ++i)
        flop += profile[i].flop;
    check_real(fabs(flop - plan_flop(net.f.plan)), <, 1e-6 * flop);
    fixture_end(&net.f);
}

static void keeps_its_first_error(void)
{
    struct fixture f;
    struct dr_error err = {0};
    fixture_begin(&f, DTYPE_F32);
    const struct value x = plan_input(f.plan, (struct shape){1, 4, 4, 6}, DTYPE_F32);
    const struct value wide = plan_input(f.plan, (struct shape){1, 4, 4, 7}, DTYPE_F32);
    check_int(plan_add(f.plan, x, wide).id, ==, 0);
    plan_fail(f.plan, DR_UNSUPPORTED, "another");
    check_int(plan_add(f.plan, x, x).id, ==, 0);
    check_int(plan_shape(f.plan, x).c, ==, 0);
    check_int(plan_seal(f.plan, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "test: a sum of 1 x 4 x 4 x 6 and 1 x 4 x 4 x 7");
    fixture_end(&f);

    fixture_begin(&f, DTYPE_F32);
    (void)plan_input(f.plan, (struct shape){1 << 20, 1 << 20, 1 << 20, 6}, DTYPE_F32);
    check_int(plan_seal(f.plan, &err), ==, DR_BAD_INPUT);
    fixture_end(&f);

    fixture_begin(&f, DTYPE_F32);
    const struct value y = plan_input(f.plan, (struct shape){1, 4, 4, 6}, DTYPE_F32);
    (void)plan_group_norm(f.plan, y,
                          &(struct group_norm_options){.groups = 4, .epsilon = 1e-5f});
    check_int(plan_seal(f.plan, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "6 channels in 4 groups");
    fixture_end(&f);

    struct plan *none = NULL;
    check_int(plan_create(&none,
                          &(struct plan_options){.name = "half", .dtype = DTYPE_F16},
                          &err),
              ==, DR_BAD_INPUT);
    check(none == NULL);
    plan_destroy(&none);
    plan_destroy(NULL);
}

/* Anonymous bytes of this process. */
static inline size_t private_bytes(void)
{
    FILE *const file = fopen("/proc/self/smaps_rollup", "r");
    if (!file) return 0;
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Pss_Anon: %zu", &kib) == 1) break;
    (void)fclose(file);
    return kib * 1024;
}

static inline void make_and_destroy(void)
{
    struct network net;
    network_begin(&net, best_dtype(), 2, 24, 24);
    fixture_seal(&net.f);
    network_fill(&net);
    fixture_run(&net.f);
    fixture_end(&net.f);
}

/* Does the assertion end the process? In a child of its own. */
static bool expects(const struct plan *plan, struct value value, struct shape shape,
                    enum dtype dtype)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        plan_expect(plan, value, shape, dtype);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    if (WIFEXITED(status)) return WEXITSTATUS(status) == 0;
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return false;
}

static void asserts_what_its_user_expects(void)
{
    const struct shape shape = {1, 4, 5, 3};
    struct plan *plan = NULL;
    struct dr_error err;
    const struct plan_options options = {.name = "test", .dtype = DTYPE_F32};
    check_int(plan_create(&plan, &options, &err), ==, DR_OK);
    const struct value in = plan_input(plan, shape, DTYPE_F32);
    (void)plan_output(plan, plan_activate(plan, in, ACTIVATION_SILU, DTYPE_F32),
                      DTYPE_F32);
    check_int(plan_seal(plan, &err), ==, DR_OK);
    check(expects(plan, in, shape, DTYPE_F32));
    check(!expects(plan, in, (struct shape){2, 4, 5, 3}, DTYPE_F32));
    check(!expects(plan, in, (struct shape){1, 8, 5, 3}, DTYPE_F32));
    check(!expects(plan, in, (struct shape){1, 4, 10, 3}, DTYPE_F32));
    check(!expects(plan, in, (struct shape){1, 4, 5, 4}, DTYPE_F32));
    check(!expects(plan, in, shape, DTYPE_I32));
    check(!expects(plan, VALUE_NONE, shape, DTYPE_F32));
    plan_destroy(&plan);
}

/* What a plan makes goes with it: fifty more leave no more than one did. */
static void leaves_nothing(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed, to notice its use */
    for (int i = 0; i < 3; ++i)
        make_and_destroy();
    compute_trim();
    const size_t before = private_bytes();
    for (int i = 0; i < 50; ++i)
        make_and_destroy();
    compute_trim();
    const size_t after = private_bytes();
    fprintf(stderr, "private bytes %zu, after 50 more plans %zu\n", before, after);
    check_int(after, <, before + (256 << 10));
#endif
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fprintf(stderr, "%s\n", compute_description());
    fixture_seed(3007);
    check_run(gives_the_same_bytes);
    check_run(threads_change_nothing);
    check_run(splits_a_network_over_two_regions);
    check_run(each_weight_is_of_its_own_region);
    check_run(refuses_to_lack_a_region);
    check_run(takes_over_buffers);
    check_run(reports_and_cancels);
    check_run(keeps_its_first_error);
    check_run(asserts_what_its_user_expects);
    check_run(leaves_nothing);
    return check_done();
}
