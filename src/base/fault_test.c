#include "base/fault.h"

#include "check.h"

static void is_off_until_armed(void)
{
    for (int place = 0; place < FAULT_PLACES; ++place)
        check(!fault_strikes((enum fault_place)place));
    check(!fault_has_struck());
}

static void strikes_once(void)
{
    fault_arm(1u << FAULT_READ, 3, FAULT_ONCE);
    for (int visit = 1; visit <= 10; ++visit) {
        check(!fault_strikes(FAULT_MAP)); /* another place is not counted */
        check_int(fault_has_struck(), ==, visit > 3);
        check_int(fault_strikes(FAULT_READ), ==, visit == 3);
    }
    fault_disarm();
}

static void strikes_from_then_on(void)
{
    fault_arm(1u << FAULT_REGION | 1u << FAULT_MAP, 2, FAULT_FROM_THEN_ON);
    check(!fault_strikes(FAULT_REGION));
    check(fault_strikes(FAULT_MAP));
    check(fault_strikes(FAULT_REGION));
    check(fault_strikes(FAULT_MAP));
    check(!fault_strikes(FAULT_WRITE));
    fault_disarm();
    check(!fault_strikes(FAULT_MAP));
    check(fault_has_struck());
}

static void arming_starts_afresh(void)
{
    fault_arm(1u << FAULT_VERIFY, 1, FAULT_ONCE);
    check(fault_strikes(FAULT_VERIFY));
    fault_arm(1u << FAULT_VERIFY, 2, FAULT_ONCE);
    check(!fault_has_struck());
    check(!fault_strikes(FAULT_VERIFY));
    check(fault_strikes(FAULT_VERIFY));
    fault_disarm();
}

int main(void)
{
    check_run(is_off_until_armed);
    check_run(strikes_once);
    check_run(strikes_from_then_on);
    check_run(arming_starts_afresh);
    return check_done();
}
