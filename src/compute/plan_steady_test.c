/* What is made of steady inputs is computed once or in each run: the same bytes, with the memory that was planned. */
#include "base/cancel.h"
#include "compute/plan_fixture.h"

enum {
    WIDTH = 32,
    CONTEXT = 24,
    TOKENS = 11
};

struct network {
    struct fixture f;
    struct value map, context, out;
};

static const struct weight *linear_weight(struct fixture *f, int32_t out, int32_t in)
{
    return fixture_weight(f,
                          (struct weight_shape){WEIGHT_LINEAR, f->dtype, out, in, 1, 1},
                          0.7f / sqrtf((float)in), 0);
}

/* Two cross attentions, as in a UNet: the keys and values of both are made of the context. */
static struct value cross_attend(struct network *net, struct value x)
{
    struct plan *const plan = net->f.plan;
    const struct value both = plan_linear(
        plan, net->context,
        &(struct linear_options){.weight = linear_weight(&net->f, 2 * WIDTH, CONTEXT)});
    const struct attention_options options = {
        .q = plan_linear(plan, x,
                         &(struct linear_options){
                             .weight = linear_weight(&net->f, WIDTH, WIDTH)}),
        .k = both,
        .v = both,
        .v_column = WIDTH,
        .heads = 2,
        .head_dim = WIDTH / 2,
        .scale = 0.25f,
    };
    return plan_add(plan, plan_attention(plan, &options), x);
}

static void begin(struct network *net, bool keep)
{
    struct dr_error err = {0};
    fixture_begin(&net->f, DTYPE_F32);
    struct plan *const plan = net->f.plan;
    net->map = plan_input(plan, (struct shape){2, 9, 7, WIDTH}, DTYPE_F32);
    net->context =
        plan_steady_input(plan, (struct shape){2, 1, TOKENS, CONTEXT}, DTYPE_F32);
    const struct value once = cross_attend(net, net->map);
    net->out = plan_output(plan, cross_attend(net, once), DTYPE_F32);
    fixture_seal(&net->f);
    if (!keep) return;
    check_int(plan_keep_steady(plan, true, &err), ==, DR_OK);
    guarded_close(&net->f.arena);
    net->f.arena = guarded_open(plan_bytes(plan));
    fixture_bind(&net->f, net->f.arena.data);
}

static void write_reals(const struct network *net, struct value input, float *numbers)
{
    plan_write(net->f.plan, input, 0, shape_count(plan_shape(net->f.plan, input)),
               numbers);
}

static float *reals_for(const struct network *net, struct value input)
{
    return fixture_reals(shape_count(plan_shape(net->f.plan, input)), 1, DTYPE_F32);
}

static void check_same(const struct network *a, const struct network *b)
{
    const size_t bytes = shape_count(plan_shape(a->f.plan, a->out)) * sizeof(float);
    check_bytes(fixture_data(a->f.plan, a->out), fixture_data(b->f.plan, b->out),
                bytes);
}

/* Runs with other maps, then another context, then another arena. */
static void kept_values_give_the_same_bytes(void)
{
    struct network each, once;
    const uint64_t state = fixture_state;
    begin(&each, false);
    fixture_state = state;
    begin(&once, true);
    for (int i = 0; i < 9; ++i) {
        float *const map = reals_for(&each, each.map);
        float *const context = reals_for(&each, each.context);
        write_reals(&each, each.map, map);
        write_reals(&once, once.map, map);
        if (i % 3 == 0) {
            write_reals(&each, each.context, context);
            write_reals(&once, once.context, context);
        }
        if (i == 5) fixture_bind(&once.f, once.f.arena.data);
        fixture_run(&each.f);
        fixture_run(&once.f);
        check_same(&each, &once);
        free(map);
        free(context);
    }
    fixture_end(&each.f);
    fixture_end(&once.f);
}

/* A context that is changed behind the plan's back is not seen: so the values are kept, and plan_write is what says
 * that they are no longer right. */
static void nothing_is_computed_again(void)
{
    struct network net, fresh;
    const uint64_t state = fixture_state;
    begin(&net, true);
    fixture_state = state;
    begin(&fresh, false);
    float *const map = reals_for(&net, net.map);
    float *const context = reals_for(&net, net.context);
    float *const other = reals_for(&net, net.context);
    const size_t bytes =
        shape_count(plan_shape(net.f.plan, net.context)) * sizeof(float);
    write_reals(&net, net.map, map);
    write_reals(&fresh, fresh.map, map);
    write_reals(&net, net.context, context);
    write_reals(&fresh, fresh.context, context);
    fixture_run(&net.f);
    fixture_run(&fresh.f);
    memcpy(fixture_data(net.f.plan, net.context), other, bytes);
    fixture_run(&net.f);
    check_same(&net, &fresh);
    write_reals(&net, net.context, other);
    write_reals(&fresh, fresh.context, other);
    fixture_run(&net.f);
    fixture_run(&fresh.f);
    check_same(&net, &fresh);
    free(map);
    free(context);
    free(other);
    fixture_end(&net.f);
    fixture_end(&fresh.f);
}

/* A run that was cancelled has not made them all. */
static void a_cancelled_run_keeps_nothing(void)
{
    struct dr_error err = {0};
    struct network net, fresh;
    const uint64_t state = fixture_state;
    begin(&net, true);
    fixture_state = state;
    begin(&fresh, false);
    float *const map = reals_for(&net, net.map);
    float *const context = reals_for(&net, net.context);
    struct cancel cancel = {0};
    cancel_request(&cancel);
    const struct plan_progress progress = {.cancel = &cancel};
    write_reals(&net, net.map, map);
    write_reals(&fresh, fresh.map, map);
    write_reals(&net, net.context, context);
    write_reals(&fresh, fresh.context, context);
    memset(plan_address(net.f.plan, net.f.plan->ops[0].result), 0x7F, 64);
    check_int(plan_run(net.f.plan, &progress, &err), ==, DR_CANCELLED);
    fixture_run(&net.f);
    fixture_run(&fresh.f);
    check_same(&net, &fresh);
    free(map);
    free(context);
    fixture_end(&net.f);
    fixture_end(&fresh.f);
}

static void its_bytes_are_planned(void)
{
    struct dr_error err = {0};
    struct network net;
    begin(&net, false);
    struct plan *const plan = net.f.plan;
    const size_t kept = (size_t)2 * 2 * TOKENS * 2 * WIDTH * sizeof(float);
    const size_t before = plan_bytes(plan);
    check_int(plan_steady_bytes(plan), ==, kept);
    check_int(plan_keep_steady(plan, true, &err), ==, DR_OK);
    check_int(plan_bytes(plan), >, before);
    check_int(plan_bytes(plan), <=, before + kept);
    check_int(plan_keep_steady(plan, false, &err), ==, DR_OK);
    check_int(plan_bytes(plan), ==, before);
    fixture_end(&net.f);
}

int main(void)
{
    struct dr_error err;
    if (compute_init(0, &err) != DR_OK) return 1;
    fixture_seed(4111);
    check_run(kept_values_give_the_same_bytes);
    check_run(nothing_is_computed_again);
    check_run(a_cancelled_run_keeps_nothing);
    check_run(its_bytes_are_planned);
    return check_done();
}
