/* clock — how long things take. Monotonic: no date, and no jump when the date is set. Any
 * thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Since some fixed moment before the process started. */
double clock_ms(void);

#endif
