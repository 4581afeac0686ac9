#include "sampling/beta_quantile.h"

#include <assert.h>
#include <math.h>

enum {
    FRACTION_TERMS = 60,
    HALVINGS = 54
};

/* The continued fraction, from its end. The odd terms have -, the even ones +. */
static double fraction(double x, double a, double b)
{
    double value = 1;
    for (int i = FRACTION_TERMS; i >= 1; --i) {
        const double m = i / 2;
        const double term =
            i % 2 ? -(a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1))
                  : m * (b - m) / ((a + 2 * m - 1) * (a + 2 * m));
        value = 1 + term * x / value;
    }
    return 1 / value;
}

/* The share below x, for x up to 1/2, where the fraction converges fast. */
static double share_below(double x, double a)
{
    if (!(x > 0)) return 0;
    const double log_beta = 2 * lgamma(a) - lgamma(2 * a);
    const double front = exp(a * log(x) + a * log1p(-x) - log_beta) / a;
    return front * fraction(x, a, a);
}

double beta_quantile(double share, double shape)
{
    assert(share >= 0 && share <= 1 && shape > 0);
    if (share > 0.5) return 1 - beta_quantile(1 - share, shape);
    double low = 0, high = 0.5;
    for (int i = 0; i < HALVINGS; ++i) {
        const double middle = (low + high) / 2;
        if (share_below(middle, shape) < share)
            low = middle;
        else
            high = middle;
    }
    return share > 0 ? (low + high) / 2 : 0;
}
