#include "base/cancel.h"

#include "base/fault_fixture.h"
#include "check.h"

static void says_what_the_flag_says(void)
{
    struct cancel flag = {0};
    check(!cancel_requested(NULL));
    check(!cancel_requested(&flag));
    cancel_request(&flag);
    check(cancel_requested(&flag));
    check(cancel_requested(&flag));
    cancel_withdraw(&flag);
    check(!cancel_requested(&flag));
}

/* A request above stops all that is below it; one below stops nothing else. */
static void asks_above(void)
{
    struct cancel engine = {0};
    struct cancel one = {.above = &engine}, other = {.above = &engine};
    cancel_request(&one);
    check(cancel_requested(&one));
    check(!cancel_requested(&other));
    check(!cancel_requested(&engine));
    cancel_request(&engine);
    cancel_withdraw(&one);
    check(cancel_requested(&one));
    check(cancel_requested(&other));
    cancel_withdraw(&engine);
    check(!cancel_requested(&one));
}

/* What a request lets end is stopped by insistence, at any height above. */
static void lets_end_until_insisted(void)
{
    struct cancel engine = {0};
    struct cancel job = {.above = &engine};
    const struct cancel saving = {.above = &job, .heeds_insistence_alone = true};
    struct cancel *const flags[] = {&engine, &job};
    for (int i = 0; i < 2; ++i) {
        cancel_request(flags[i]);
        check(cancel_requested(&job));
        check(!cancel_requested(&saving));
        cancel_insist(flags[i]);
        check(cancel_requested(&saving));
        check(cancel_requested(&job));
        cancel_withdraw(flags[i]);
        check(!cancel_requested(&saving));
        check(!cancel_requested(&job));
    }
}

/* As a user's cancel would: seen at the N-th look, and at each after it. Who cannot be cancelled is
 * no look. */
static void a_test_can_set_it_at_the_nth_look(void)
{
    const struct cancel above = {0};
    const struct cancel flag = {.above = &above}; /* two flags, one look */
    fault_arm(1u << FAULT_CANCEL, 3, FAULT_FROM_THEN_ON);
    check(!cancel_requested(&flag));
    check(!cancel_requested(NULL));
    check(!cancel_requested(&flag));
    check_int(fault_visits(), ==, 2);
    check(cancel_requested(&flag));
    check(cancel_requested(&flag));
    check(!cancel_requested(NULL));
    check_int(fault_visits(), ==, 4);
    fault_disarm();
    check(!cancel_requested(&flag));
}

int main(void)
{
    check_run(says_what_the_flag_says);
    check_run(asks_above);
    check_run(lets_end_until_insisted);
    check_run_with_faults(a_test_can_set_it_at_the_nth_look);
    return check_done();
}
