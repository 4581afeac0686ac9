/* Each context is in one batch, in order; only contexts of one length share one. */
#include "job/context_batch.h"

#include "check.h"

static void is_listed_as(struct context_layout layout, const char *expected)
{
    struct context_batch batches[GUIDANCE_MAX_CONTEXTS];
    char text[256] = "";
    const int32_t count = context_batch_list(&layout, batches);
    for (int32_t i = 0; i < count; ++i) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%d+%d*%d", i ? " " : "",
                       (int)batches[i].first, (int)batches[i].count,
                       (int)batches[i].chunks);
    }
    check_str(text, expected);
}

static void contexts_of_one_length_are_pairs(void)
{
    is_listed_as((struct context_layout){true, true, 1, 1, 1}, "0+2*1");
    is_listed_as((struct context_layout){true, true, 1, 3, 3}, "0+2*3");
    is_listed_as((struct context_layout){true, true, 2, 1, 1}, "0+2*1 2+1*1");
    is_listed_as((struct context_layout){true, true, 3, 1, 1}, "0+2*1 2+2*1");
    is_listed_as((struct context_layout){false, true, 1, 2, 0}, "0+1*2");
}

static void another_length_is_alone(void)
{
    is_listed_as((struct context_layout){true, true, 1, 2, 1}, "0+1*1 1+1*2");
    is_listed_as((struct context_layout){true, true, 3, 1, 4}, "0+1*4 1+2*1 3+1*1");
}

static void as_many_as_there_can_be(void)
{
    struct context_batch batches[GUIDANCE_MAX_CONTEXTS];
    const struct context_layout layout = {true, true, GUIDANCE_MAX_CONTEXTS - 1, 1, 2};
    const int32_t count = context_batch_list(&layout, batches);
    int32_t next = 0;
    for (int32_t i = 0; i < count; ++i) {
        check_int(batches[i].first, ==, next);
        next += batches[i].count;
    }
    check_int(next, ==, context_layout_count(&layout));
}

/* Without the negative prompt, in pairs from the first part on. */
static void parts_run_alone(void)
{
    struct context_batch batches[GUIDANCE_MAX_CONTEXTS];
    struct context_layout layout = {true, true, 3, 2, 1};
    check_int(context_batch_list_alone(&layout, batches), ==, 2);
    check_int(batches[0].first, ==, 1);
    check_int(batches[0].count, ==, 2);
    check_int(batches[1].first, ==, 3);
    check_int(batches[1].chunks, ==, 2);
    layout.rests = false;
    check_int(context_batch_list_alone(&layout, batches), ==, 0);
    layout = (struct context_layout){false, true, 1, 1, 1};
    check_int(context_batch_list_alone(&layout, batches), ==, 0);
}

int main(void)
{
    check_run(parts_run_alone);
    check_run(contexts_of_one_length_are_pairs);
    check_run(another_length_is_alone);
    check_run(as_many_as_there_can_be);
    return check_done();
}
