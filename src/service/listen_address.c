#define _GNU_SOURCE /* SOCK_CLOEXEC */

#include "service/listen_address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/failure.h"

enum {
    BACKLOG = 128,
    FIRST_PASSED = 3 /* systemd's first descriptor */
};

static void describe(struct listener *listener)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr *const address = (struct sockaddr *)&storage;
    socklen_t length = sizeof storage;
    if (getsockname(listener->socket, address, &length) != 0) return;
    listener->is_local = socket_address_is_local(address);
    if (address->sa_family == AF_UNIX) {
        const char *const path = ((struct sockaddr_un *)address)->sun_path;
        (void)snprintf(listener->text, sizeof listener->text, "unix:%s", path);
        return;
    }
    char text[SOCKET_ADDRESS_BYTES];
    socket_address_text(address, text);
    (void)snprintf(listener->text, sizeof listener->text, "http://%s", text);
}

/* ---- systemd ------------------------------------------------------------------------------- */

/* sd_listen_fds(3): the descriptors from 3 on are this process's if LISTEN_PID is its number. */
static enum dr_code take_passed(struct listener *listener, bool *is_passed,
                                struct dr_error *err)
{
    const char *const pid = getenv("LISTEN_PID"), *const count = getenv("LISTEN_FDS");
    int is_listening = 0;
    socklen_t length = sizeof is_listening;
    *is_passed = pid && count && strtol(pid, NULL, 10) == (long)getpid();
    if (!*is_passed) return DR_OK;
    if (strcmp(count, "1") != 0)
        return failure(err, DR_BAD_INPUT,
                       "systemd passed %.20s sockets; darkroom.socket must have one "
                       "ListenStream",
                       count);
    if (getsockopt(FIRST_PASSED, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) !=
            0 ||
        !is_listening)
        return failure(err, DR_BAD_INPUT,
                       "systemd passed a descriptor that is not a listening socket; "
                       "darkroom.socket needs ListenStream and Accept=no");
    (void)fcntl(FIRST_PASSED, F_SETFD, FD_CLOEXEC);
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    listener->socket = FIRST_PASSED;
    return DR_OK;
}

/* ---- Unix ---------------------------------------------------------------------------------- */

/* A socket file that nobody listens on is left over from a process that died. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return;
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno == ECONNREFUSED)
        (void)unlink(address->sun_path);
    (void)close(probe);
}

static enum dr_code open_unix(struct listener *listener, const char *path,
                              struct dr_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        return failure(
            err, DR_BAD_INPUT,
            "--listen unix:PATH takes a path of 1 to %zu bytes; this one has "
            "%zu",
            sizeof address.sun_path - 1, length);
    memcpy(address.sun_path, path, length + 1);
    remove_stale(&address);
    listener->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const mode_t before = umask(0177);
    const bool is_bound =
        listener->socket >= 0 &&
        bind(listener->socket, (struct sockaddr *)&address, sizeof address) == 0;
    const int bind_errno = errno;
    (void)umask(before);
    if (is_bound) (void)snprintf(listener->path, sizeof listener->path, "%s", path);
    if (is_bound && listen(listener->socket, BACKLOG) == 0) return DR_OK;
    const int reason = is_bound ? errno : bind_errno;
    return failure(err, DR_IO, "cannot listen on unix:%.200s: %s%s", path,
                   strerror(reason),
                   reason == EADDRINUSE ? "; another service listens there" : "");
}

/* ---- the internet -------------------------------------------------------------------------- */

/* "HOST:PORT" or "[HOST]:PORT" in parts. */
static bool split(const char *said, char host[256], char port[8])
{
    const char *const colon = strrchr(said, ':');
    if (!colon || strlen(colon + 1) > 5 || !colon[1] ||
        colon[1 + strspn(colon + 1, "0123456789")] || atoi(colon + 1) > 65535)
        return false;
    const bool is_bracketed = said[0] == '[' && colon > said && colon[-1] == ']';
    const char *const from = said + is_bracketed;
    const size_t length = (size_t)(colon - from) - is_bracketed;
    if (length == 0 || length >= 256) return false;
    memcpy(host, from, length);
    host[length] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return is_bracketed || !strchr(host, ':');
}

static bool bind_and_listen(int file, const struct addrinfo *address)
{
    const int yes = 1;
    /* Without it a restart waits for the old connections' TIME_WAIT. */
    (void)setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return bind(file, address->ai_addr, address->ai_addrlen) == 0 &&
           listen(file, BACKLOG) == 0;
}

static enum dr_code open_internet(struct listener *listener, const char *said,
                                  struct dr_error *err)
{
    char host[256], port[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int reason = 0;
    if (!split(said, host, port))
        return failure(
            err, DR_BAD_INPUT,
            "--listen takes ADDR:PORT ([ADDR]:PORT for IPv6) or unix:PATH, not "
            "\"%.80s\"",
            said);
    const int problem = getaddrinfo(host, port, &hints, &found);
    if (problem != 0)
        return failure(err, DR_BAD_INPUT, "--listen %.80s: %s", said,
                       gai_strerror(problem));
    for (const struct addrinfo *at = found; at && listener->socket < 0;
         at = at->ai_next) {
        const int file = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (file >= 0 && bind_and_listen(file, at)) {
            listener->socket = file;
        } else {
            reason = errno;
            if (file >= 0) (void)close(file);
        }
    }
    freeaddrinfo(found);
    if (listener->socket >= 0) return DR_OK;
    return failure(
        err, DR_IO, "cannot listen on %.80s: %s%s", said, strerror(reason),
        reason == EADDRINUSE
            ? "; stop the other program, or choose another port with --listen"
            : "");
}

/* -------------------------------------------------------------------------------------------- */

enum dr_code listen_address_open(struct listener *listener, const char *said,
                                 struct dr_error *err)
{
    bool is_passed = false;
    *listener = (struct listener){.socket = -1};
    enum dr_code code = said ? DR_OK : take_passed(listener, &is_passed, err);
    if (code == DR_OK && !is_passed) {
        if (!said) said = LISTEN_ADDRESS_DEFAULT;
        code = strncmp(said, "unix:", 5) == 0 ? open_unix(listener, said + 5, err)
                                              : open_internet(listener, said, err);
    }
    if (code == DR_OK) {
        describe(listener);
        return DR_OK;
    }
    if (listener->socket >= 0 && !is_passed) (void)close(listener->socket);
    listener->socket = -1;
    listen_address_forget(listener);
    return code;
}

void listen_address_forget(struct listener *listener)
{
    if (listener->path[0]) (void)unlink(listener->path);
    listener->path[0] = '\0';
}
