#define _GNU_SOURCE /* SOCK_CLOEXEC */

#include "service/service_manager.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void service_manager_notify(const char *state)
{
    const char *const path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof address.sun_path ||
        (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    /* "@NAME" is a name that no file has: it begins with a NUL. */
    if (path[0] == '@') address.sun_path[0] = '\0';
    const int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (file < 0) return;
    (void)!sendto(file, state, strlen(state), MSG_NOSIGNAL,
                  (const struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    (void)close(file);
}

void service_manager_status(const char *state, const char *format, ...)
{
    char text[512];
    va_list arguments;
    const int length = snprintf(text, sizeof text, "%sSTATUS=", state);
    if (length < 0 || (size_t)length >= sizeof text) return;
    va_start(arguments, format);
    (void)vsnprintf(text + length, sizeof text - (size_t)length, format, arguments);
    va_end(arguments);
    service_manager_notify(text);
}

double service_manager_watchdog_ms(void)
{
    const char *const time = getenv("WATCHDOG_USEC");
    const char *const process = getenv("WATCHDOG_PID");
    if (!time || (process && strtol(process, NULL, 10) != (long)getpid())) return 0.0;
    const double microseconds = strtod(time, NULL);
    return microseconds > 0.0 && microseconds < 1e15 ? microseconds / 2e3 : 0.0;
}
