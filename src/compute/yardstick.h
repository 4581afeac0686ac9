/* yardstick — the GEMM baseline: the rate of the compute library on this machine now, for profiles.
 *
 * Machines differ and are noisy: the rate of a layer says little without the rate that the
 * library reaches at the same time. The baseline is one GEMM of two matrices that fit the
 * caches, on all threads: an upper bound for a layer, not the expected rate for its shape.
 * bench/ compares darkroom's convolutions with the library's, which takes seconds.
 */
#ifndef COMPUTE_YARDSTICK_H
#define COMPUTE_YARDSTICK_H

#include "base/dtype.h"
#include "mem/ledger.h"

/* FLOP a millisecond, the best of some runs within 60 ms or so. The matrices lie in private regions
 * (about 1 MiB a thread and 1 MiB more) that are closed when it returns, before a job's peak
 * is measured. 0 if the regions are refused or the library fails; a job does not fail because of that.
 * After compute_init. */
double yardstick_flop_per_ms(struct ledger *ledger, enum dtype dtype);

#endif
