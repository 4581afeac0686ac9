/* fault — failing on purpose, so that a test can see what happens then.
 *
 * A process-wide test switch, documented as such: off unless a test arms it. Places that can
 * fail ask fault_strikes() first; when it says so they fail as the system would. Each place
 * asks once an operation (a mapping, a read), never once a byte, so the cost is nothing.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum fault_place {
    FAULT_REGION,
    FAULT_MAP,
    FAULT_READ,
    FAULT_VERIFY,
    FAULT_WRITE,
    FAULT_PROBE,
    FAULT_PLACES
};

enum fault_mode {
    FAULT_ONCE,
    FAULT_FROM_THEN_ON
};

/* Arm: the nth visit (1 is the next) of any place in the mask (bit 1 << place) strikes. */
void fault_arm(unsigned place_mask, int64_t nth, enum fault_mode mode);
void fault_disarm(void);

/* Has an armed fault struck since fault_arm? */
bool fault_has_struck(void);

/* Asked by the places. True: fail now. */
bool fault_strikes(enum fault_place place);

#endif
