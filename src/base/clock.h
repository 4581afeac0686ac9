/* clock — monotonic time for measuring durations. It does not jump when the date is set.
 * Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Since some fixed moment before the process started. */
double clock_ms(void);

#endif
