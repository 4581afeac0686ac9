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
    FAULT_IDENTITY, /* a look at a file's identity that sees nothing: for negative controls */
    FAULT_PROBE,  /* the latent probe finds no difference: for negative controls */
    FAULT_CANCEL, /* a look at a cancel flag finds it set (cancel.h) */
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

/* How often the armed places were visited since fault_arm. */
int64_t fault_visits(void);

/* Asked by the places. True: fail now. */
bool fault_strikes(enum fault_place place);

/* ---- sabotage: wrong on purpose ---------------------------------------------------------
 *
 * A fault is an error that the code sees and answers; a sabotage is a mistake that it does not
 * see. Tests commit one to show that their checkers would: each is a mistake that some program
 * really made. Off unless a test calls fault_sabotage; there is no other way to arm one. */
enum fault_sabotage {
    SABOTAGE_NONE,
    SABOTAGE_KEPT_REGION, /* somebody still refers to the first weights that are closed */
    SABOTAGE_SKIPPED_UNMAP, /* closed weights are struck off the ledger and stay mapped */
    SABOTAGE_FLIPPED_BYTE, /* one byte of a component differs from the file's */
    SABOTAGE_HALF_SWITCH, /* a slot names its new source and keeps the old one's weights */
    SABOTAGE_STALE_SCALE, /* the VAE scale factor that was used first stays */
    SABOTAGE_UNMOVED_BAND /* a band of a map is made below lines of another */
};

/* One at a time, from now on; SABOTAGE_NONE ends it. */
void fault_sabotage(enum fault_sabotage kind);

/* Asked by the places: is this the mistake to make? */
bool fault_is_sabotaged(enum fault_sabotage kind);

#endif
