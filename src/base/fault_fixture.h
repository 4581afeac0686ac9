/* fault_fixture — tests that inject faults, in both builds.
 *
 *     check_run_with_faults(every_fault_leaves_nothing);
 *
 * runs the case where faults are built, and skips it elsewhere. To arm a fault in a build without
 * them is a mistake of the test, and ends it.
 */
#ifndef BASE_FAULT_FIXTURE_H
#define BASE_FAULT_FIXTURE_H

#include "base/fault.h"
#include "check.h"

/* Also runs where only the cases with faults are wanted (check.h). */
#define check_run_with_faults(function)                                   \
    do {                                                                  \
        check_has_faults = 1;                                             \
        check_run_if(FAULTS_ARE_BUILT, function, "built without faults"); \
        check_has_faults = 0;                                             \
    } while (0)

#ifndef DARKROOM_FAULTS
static inline void fault_refuse(void)
{
    (void)fputs("a fault is armed in a build without faults\n", stderr);
    abort();
}

static inline void fault_arm(unsigned place_mask, int64_t nth, enum fault_mode mode)
{
    (void)place_mask;
    (void)nth;
    (void)mode;
    fault_refuse();
}

static inline void fault_disarm(void)
{
}

static inline bool fault_has_struck(void)
{
    return false;
}

static inline int64_t fault_visits(void)
{
    return 0;
}

static inline void fault_sabotage(enum fault_sabotage kind)
{
    if (kind != SABOTAGE_NONE) fault_refuse();
}
#endif

#endif
