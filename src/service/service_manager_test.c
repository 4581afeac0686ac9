#include "service/service_manager.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

/* A socket as systemd has it, at a path or at a name that begins with "@". */
static int bind_to(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@') address.sun_path[0] = '\0';
    const int file = socket(AF_UNIX, SOCK_DGRAM, 0);
    check_int(bind(file, (struct sockaddr *)&address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
              ==, 0);
    (void)setenv("NOTIFY_SOCKET", name, 1);
    return file;
}

static void receive(int file, char text[600])
{
    const ssize_t count = recv(file, text, 599, MSG_DONTWAIT);
    text[count > 0 ? count : 0] = '\0';
}

static void a_state_is_one_message(void)
{
    char text[600], name[64];
    int file = bind_to(scratch_path("notify"));
    service_manager_notify("READY=1");
    receive(file, text);
    check_str(text, "READY=1");
    service_manager_status("STOPPING=1\n", "%d jobs wait", 3);
    receive(file, text);
    check_str(text, "STOPPING=1\nSTATUS=3 jobs wait");
    (void)close(file);
    (void)snprintf(name, sizeof name, "@darkroom-test-%d", (int)getpid());
    file = bind_to(name);
    service_manager_notify("WATCHDOG=1");
    receive(file, text);
    check_str(text, "WATCHDOG=1");
    (void)close(file);
}

static void where_nobody_asked_nothing_is_sent(void)
{
    (void)unsetenv("NOTIFY_SOCKET");
    service_manager_notify("READY=1");
    (void)setenv("NOTIFY_SOCKET", "", 1);
    service_manager_notify("READY=1");
    (void)setenv("NOTIFY_SOCKET", "relative", 1);
    service_manager_notify("READY=1");
    char path[200];
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    (void)setenv("NOTIFY_SOCKET", path, 1);
    service_manager_notify("READY=1");
    (void)unsetenv("NOTIFY_SOCKET");
}

static void the_watchdog_is_fed_twice_as_often_as_it_asks(void)
{
    char process[16];
    (void)unsetenv("WATCHDOG_PID");
    (void)unsetenv("WATCHDOG_USEC");
    check_real(service_manager_watchdog_ms(), ==, 0.0);
    (void)setenv("WATCHDOG_USEC", "30000000", 1);
    check_real(service_manager_watchdog_ms(), ==, 15000.0);
    (void)setenv("WATCHDOG_PID", "1", 1);
    check_real(service_manager_watchdog_ms(), ==, 0.0);
    (void)snprintf(process, sizeof process, "%d", (int)getpid());
    (void)setenv("WATCHDOG_PID", process, 1);
    check_real(service_manager_watchdog_ms(), ==, 15000.0);
    (void)setenv("WATCHDOG_USEC", "-5", 1);
    check_real(service_manager_watchdog_ms(), ==, 0.0);
    (void)setenv("WATCHDOG_USEC", "x", 1);
    check_real(service_manager_watchdog_ms(), ==, 0.0);
}

int main(void)
{
    check_run(a_state_is_one_message);
    check_run(where_nobody_asked_nothing_is_sent);
    check_run(the_watchdog_is_fed_twice_as_often_as_it_asks);
    return check_done();
}
