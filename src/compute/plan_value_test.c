/* Numbers in and out of a plan: what is written is what is read, and nothing beside it is touched. */
#include "compute/plan_fixture.h"

#include <signal.h>
#include <sys/wait.h>

enum {
    IMAGES = 2,
    CHANNELS = 8,
    COUNT = IMAGES * 3 * 5 * CHANNELS
};

/* result = x + x, of integers: exact in either type. */
struct doubling {
    struct fixture f;
    struct value in, out;
};

static void begin(struct doubling *d)
{
    fixture_begin(&d->f, DTYPE_F32);
    d->in = plan_input(d->f.plan, (struct shape){IMAGES, 3, 5, CHANNELS}, DTYPE_F32);
    d->out = plan_output(d->f.plan, plan_add(d->f.plan, d->in, d->in), DTYPE_F32);
    fixture_seal(&d->f);
}

static void numbers_go_in_and_come_out(void)
{
    struct doubling d;
    float want[COUNT], got[COUNT];
    begin(&d);
    for (int i = 0; i < COUNT; ++i)
        want[i] = (float)i;
    plan_write(d.f.plan, d.in, 0, COUNT, want);
    for (int i = 0; i < 200; ++i) {
        const size_t first = (size_t)fixture_int(0, COUNT);
        const size_t count = (size_t)fixture_int(0, COUNT - (int32_t)first);
        float part[COUNT];
        for (size_t k = 0; k < count; ++k)
            part[k] = i % 3 == 0 ? 0.0f : (float)fixture_int(-1000, 1000);
        if (i % 3 == 0)
            plan_clear(d.f.plan, d.in, first, count);
        else
            plan_write(d.f.plan, d.in, first, count, part);
        memcpy(want + first, part, count * sizeof *part);
        plan_read(d.f.plan, d.in, 0, COUNT, got);
        check_bytes(got, want, sizeof want);
    }
    fixture_run(&d.f);
    for (int i = 0; i < COUNT; ++i)
        want[i] *= 2;
    plan_read(d.f.plan, d.out, 0, COUNT, got);
    check_bytes(got, want, sizeof want);
    for (int i = 0; i < 50; ++i) {
        const size_t first = (size_t)fixture_int(0, COUNT);
        const size_t count = (size_t)fixture_int(0, COUNT - (int32_t)first);
        memset(got, 0x5a, sizeof got);
        plan_read(d.f.plan, d.out, first, count, got);
        check_bytes(got, want + first, count * sizeof *got);
        if (count < COUNT) {
            uint32_t after;
            memcpy(&after, got + count, sizeof after);
            check_int(after, ==, 0x5a5a5a5a);
        }
    }
    fixture_end(&d.f);
}

/* Elements are of the value's own type. */
static void counts_in_the_types_of_values(void)
{
    struct fixture f;
    fixture_begin(&f, DTYPE_F32);
    const struct value ids = plan_input(f.plan, (struct shape){1, 1, 6, 1}, DTYPE_I32);
    const struct value half =
        plan_input(f.plan, (struct shape){1, 1, 3, 8}, DTYPE_BF16);
    const struct weight *const table =
        fixture_weight(&f, (struct weight_shape){WEIGHT_TABLE, DTYPE_F32, 9, 4, 1, 1},
                       1, 0);
    const struct value rows =
        plan_output(f.plan,
                    plan_embed(f.plan, ids, &(struct embed_options){.table = table}),
                    DTYPE_F32);
    const struct value wide = plan_output(f.plan, half, DTYPE_F32);
    fixture_seal(&f);
    static const int32_t numbers[] = {8, 0, 3, 3, 7, 1};
    uint16_t narrow[24];
    for (int i = 0; i < 24; ++i)
        narrow[i] = dtype_bf16_from_f32((float)i);
    plan_write(f.plan, ids, 0, 6, numbers);
    plan_write(f.plan, half, 0, 12, narrow);
    plan_write(f.plan, half, 12, 12, narrow + 12);
    fixture_run(&f);
    for (size_t i = 0; i < 6; ++i) {
        float row[4];
        plan_read(f.plan, rows, i * 4, 4, row);
        check_bytes(row, fixture_plain(&f, table) + 4 * numbers[i], sizeof row);
    }
    for (size_t i = 0; i < 24; ++i) {
        float number = -1;
        plan_read(f.plan, wide, i, 1, &number);
        check(number == (float)i);
    }
    fixture_end(&f);
}

static void a_borrowed_value_is_whole(void)
{
    struct doubling d;
    float numbers[COUNT], got[COUNT];
    begin(&d);
    for (int i = 0; i < COUNT; ++i)
        numbers[i] = (float)i;
    plan_write(d.f.plan, d.in, 0, COUNT, numbers);
    fixture_run(&d.f);
    float *const whole = plan_borrow(d.f.plan, d.out);
    for (int i = 0; i < COUNT; ++i) {
        check(whole[i] == 2 * numbers[i]);
        whole[i] += 1;
    }
    plan_return(d.f.plan);
    plan_read(d.f.plan, d.out, 0, COUNT, got);
    for (int i = 0; i < COUNT; ++i)
        check(got[i] == 2 * numbers[i] + 1);
    fixture_run(&d.f); /* makes it anew */
    plan_read(d.f.plan, d.out, 0, COUNT, got);
    for (int i = 0; i < COUNT; ++i)
        check(got[i] == 2 * numbers[i]);
    fixture_end(&d.f);
}

enum misuse {
    NO_MISUSE,
    WRITE_BEYOND,
    WRITE_FROM_BEYOND,
    READ_BEYOND,
    CLEAR_BEYOND,
    WRITE_OUTPUT,
    CLEAR_OUTPUT,
    READ_BETWEEN,
    RUN_BORROWED,
    READ_BORROWED,
    BIND_BORROWED,
    DESTROY_BORROWED,
    BORROW_TWICE,
    RETURN_UNBORROWED,
    MISUSES
};

static void misuse(struct doubling *d, struct value between, enum misuse how)
{
    float numbers[COUNT + 1] = {0};
    struct plan *plan = d->f.plan;
    if (how >= RUN_BORROWED && how <= BORROW_TWICE) (void)plan_borrow(plan, d->out);
    switch (how) {
    case WRITE_BEYOND: plan_write(plan, d->in, 1, COUNT, numbers); break;
    case WRITE_FROM_BEYOND: plan_write(plan, d->in, COUNT + 1, 0, numbers); break;
    case READ_BEYOND: plan_read(plan, d->out, COUNT, 1, numbers); break;
    case CLEAR_BEYOND: plan_clear(plan, d->in, 0, COUNT + 1); break;
    case WRITE_OUTPUT: plan_write(plan, d->out, 0, 1, numbers); break;
    case CLEAR_OUTPUT: plan_clear(plan, d->out, 0, 1); break;
    case READ_BETWEEN: plan_read(plan, between, 0, 1, numbers); break;
    case RUN_BORROWED: fixture_run(&d->f); break;
    case READ_BORROWED: plan_read(plan, d->out, 0, 1, numbers); break;
    case BIND_BORROWED: fixture_bind(&d->f, d->f.arena.data); break;
    case DESTROY_BORROWED: plan_destroy(&plan); break;
    case BORROW_TWICE: (void)plan_borrow(plan, d->in); break;
    case RETURN_UNBORROWED: plan_return(plan); break;
    case NO_MISUSE:
    case MISUSES: plan_read(plan, d->out, COUNT, 0, numbers); break;
    }
}

/* Each in a child of its own, which an assertion ends. */
static void misuse_is_asserted(void)
{
    for (int how = NO_MISUSE; how < MISUSES; ++how) {
        struct doubling d;
        fixture_begin(&d.f, DTYPE_F32);
        struct plan *const plan = d.f.plan;
        d.in = plan_input(plan, (struct shape){IMAGES, 3, 5, CHANNELS}, DTYPE_F32);
        const struct value between = plan_add(plan, d.in, d.in);
        d.out = plan_output(plan, plan_add(plan, between, d.in), DTYPE_F32);
        fixture_seal(&d.f);
        int status = 0;
        const pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stderr)) _exit(1);
            misuse(&d, between, (enum misuse)how);
            _exit(0);
        }
        check(child > 0 && waitpid(child, &status, 0) == child);
        if (how == NO_MISUSE)
            check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            check_fail_at("misuse %d is not asserted", how);
        fixture_end(&d.f);
    }
}

int main(void)
{
    struct dr_error err;
    if (compute_init(1, &err) != DR_OK) return 1; /* a child has no team */
    fixture_seed(3021);
    check_run(numbers_go_in_and_come_out);
    check_run(counts_in_the_types_of_values);
    check_run(a_borrowed_value_is_whole);
    check_run(misuse_is_asserted);
    return check_done();
}
