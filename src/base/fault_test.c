#include "base/fault_fixture.h"

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

static void sabotage_is_off_until_armed(void)
{
    static const enum fault_sabotage kinds[] = {
        SABOTAGE_KEPT_REGION, SABOTAGE_SKIPPED_UNMAP, SABOTAGE_FLIPPED_BYTE,
        SABOTAGE_HALF_SWITCH, SABOTAGE_STALE_SCALE};
    const size_t count = sizeof kinds / sizeof *kinds;
    for (size_t i = 0; i < count; ++i)
        check(!fault_is_sabotaged(kinds[i]));
    for (size_t i = 0; i < count; ++i) {
        fault_sabotage(kinds[i]);
        for (size_t k = 0; k < count; ++k)
            check_int(fault_is_sabotaged(kinds[k]), ==, k == i);
    }
    fault_sabotage(SABOTAGE_NONE);
    for (size_t i = 0; i < count; ++i)
        check(!fault_is_sabotaged(kinds[i]));
}

int main(void)
{
    check_run(is_off_until_armed);
    check_run(strikes_once);
    check_run(strikes_from_then_on);
    check_run(arming_starts_afresh);
    check_run(sabotage_is_off_until_armed);
    return check_done();
}
