/* service_manager — what systemd is told about this process: sd_notify(3) and sd_watchdog_enabled(3), without libsystemd.
 *
 * Where nobody asked (NOTIFY_SOCKET is not set), nothing is sent. Threads: any.
 */
#ifndef SERVICE_SERVICE_MANAGER_H
#define SERVICE_SERVICE_MANAGER_H

/* state: lines such as "READY=1\nSTATUS=listening". */
void service_manager_notify(const char *state);
void service_manager_status(const char *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How often "WATCHDOG=1" is to be sent, in ms: half of what systemd allows. 0: never. */
double service_manager_watchdog_ms(void);

#endif
