/* fault — fault injection for tests.
 *
 * Built with -Dfaults=true only (docs/decisions/0008-faults.md). In the shipped build fault_strikes
 * and fault_is_sabotaged are constants, nothing can be armed, and fault.c is not compiled.
 *
 * A process-wide test switch: off unless a test arms it by a call; no environment variable does.
 * Places that can fail call fault_strikes() first and, if it returns true, fail as the system
 * would. Each place asks once per operation (a mapping, a read), never once per byte. Tests
 * include base/fault_fixture.h.
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
    FAULT_IDENTITY, /* a check of a file's identity finds no change: for negative
                     * controls */
    FAULT_PROBE,    /* the latent probe finds no difference: for negative controls */
    FAULT_CANCEL,   /* a read of a cancel flag finds it set (cancel.h) */
    FAULT_PLACES
};

enum fault_mode {
    FAULT_ONCE,
    FAULT_FROM_THEN_ON
};

/* ---- sabotage: wrong on purpose ---------------------------------------------------------
 *
 * A fault is an error that the code detects and handles; a sabotage is a mistake that it does
 * not detect. Tests enable one to show that their checks detect it. Each is a mistake that
 * some program really made. Off unless a test calls fault_sabotage. */
enum fault_sabotage {
    SABOTAGE_NONE,
    SABOTAGE_KEPT_REGION,   /* the first weights that are closed stay referenced */
    SABOTAGE_SKIPPED_UNMAP, /* closed weights are removed from the ledger but stay
                             * mapped */
    SABOTAGE_FLIPPED_BYTE,  /* one byte of a component differs from the file's */
    SABOTAGE_HALF_SWITCH,   /* a slot names its new source but keeps the old weights */
    SABOTAGE_STALE_SCALE,   /* the first VAE scale factor stays in use */
    SABOTAGE_UNMOVED_BAND,  /* a band is computed below rows of another activation */
    SABOTAGE_KEPT_ADAPTER   /* the adapters of a job stay in the model when it ends */
};

#ifdef DARKROOM_FAULTS
enum {
    FAULTS_ARE_BUILT = 1
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

/* One at a time, from now on; SABOTAGE_NONE ends it. */
void fault_sabotage(enum fault_sabotage kind);

/* Asked by the places: is this the mistake to make? */
bool fault_is_sabotaged(enum fault_sabotage kind);

#else
enum {
    FAULTS_ARE_BUILT = 0
};

static inline bool fault_strikes(enum fault_place place)
{
    (void)place;
    return false;
}

static inline bool fault_is_sabotaged(enum fault_sabotage kind)
{
    (void)kind;
    return false;
}
#endif

#endif
