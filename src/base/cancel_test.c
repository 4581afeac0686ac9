#include "base/cancel.h"

#include "base/fault.h"
#include "check.h"

static void says_what_the_flag_says(void)
{
    atomic_bool flag = false;
    check(!cancel_requested(NULL));
    check(!cancel_requested(&flag));
    atomic_store(&flag, true);
    check(cancel_requested(&flag));
    check(cancel_requested(&flag));
    atomic_store(&flag, false);
    check(!cancel_requested(&flag));
}

/* As a user's cancel would: seen at the N-th look, and at each after it. Who cannot be cancelled is
 * no look. */
static void a_test_can_set_it_at_the_nth_look(void)
{
    const atomic_bool flag = false;
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
    check_run(a_test_can_set_it_at_the_nth_look);
    return check_done();
}
