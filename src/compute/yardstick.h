/* yardstick — how fast the compute library multiplies here and now: what layers are held against.
 *
 * Machines differ and are noisy: a rate alone says little about a layer, its share of what the
 * library reaches in the same minute does. The measure is one product of two matrices that the
 * caches hold, over all threads: the best that a layer can be, not what a layer of its shape should
 * be. bench/ measures the library's convolutions beside darkroom's, which takes seconds.
 */
#ifndef COMPUTE_YARDSTICK_H
#define COMPUTE_YARDSTICK_H

#include "base/dtype.h"
#include "mem/ledger.h"

/* FLOP a millisecond, the best of some runs within 60 ms or so. The matrices lie in private regions
 * (about 1 MiB a thread and 1 MiB more) that are closed when it returns: before a job's peak
 * counts. 0 where they are refused, or the library fails: no reason for a job to fail.
 * After compute_init. */
double yardstick_flop_per_ms(struct ledger *ledger, enum dtype dtype);

#endif
