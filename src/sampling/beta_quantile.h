/* beta_quantile — the quantile of the symmetric beta distribution, for the schedule of that name.
 *
 * Pure function; any thread. Source: the distribution's density is x^(a-1) (1-x)^(a-1); its integral is evaluated by the
 * continued fraction of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.8, and inverted by bisection.
 */
#ifndef SAMPLING_BETA_QUANTILE_H
#define SAMPLING_BETA_QUANTILE_H

/* The x of 0..1 below which a share of 0..1 lies, to about 1e-14. shape: both parameters, more than 0. */
double beta_quantile(double share, double shape);

#endif
