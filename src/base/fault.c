/* One process-wide switch, so atomic: places may be visited on any thread, while arming
 * and disarming is one test's affair.
 */
#include "base/fault.h"

#include <stdatomic.h>

static atomic_uint armed_mask;    /* 0: disarmed, and nothing below is looked at */
static atomic_llong visits_left;  /* the visit that brings it to 0 strikes */
static atomic_llong visits_armed; /* what it was at first */
static atomic_int armed_mode;
static atomic_bool struck;
static atomic_int armed_sabotage; /* SABOTAGE_NONE: none */

void fault_arm(unsigned place_mask, int64_t nth, enum fault_mode mode)
{
    atomic_store(&armed_mask, 0);
    atomic_store(&visits_left, nth);
    atomic_store(&visits_armed, nth);
    atomic_store(&armed_mode, (int)mode);
    atomic_store(&struck, false);
    atomic_store(&armed_mask, place_mask);
}

void fault_disarm(void)
{
    atomic_store(&armed_mask, 0);
}

bool fault_has_struck(void)
{
    return atomic_load(&struck);
}

int64_t fault_visits(void)
{
    return atomic_load(&visits_armed) - atomic_load(&visits_left);
}

bool fault_strikes(enum fault_place place)
{
    if (!(atomic_load(&armed_mask) & 1u << place)) return false;
    const long long left = atomic_fetch_sub(&visits_left, 1) - 1;
    const bool strikes =
        left == 0 || (left < 0 && atomic_load(&armed_mode) == FAULT_FROM_THEN_ON);
    if (strikes) atomic_store(&struck, true);
    return strikes;
}

void fault_sabotage(enum fault_sabotage kind)
{
    atomic_store(&armed_sabotage, (int)kind);
}

bool fault_is_sabotaged(enum fault_sabotage kind)
{
    return atomic_load(&armed_sabotage) == (int)kind;
}
