/* listen_address — where the service listens: "127.0.0.1:7860", "[::1]:0", "localhost:7860", "unix:PATH", or the socket that systemd passes.
 *
 * A Unix socket is made with mode 0600; a socket file that no process listens on is replaced.
 */
#ifndef SERVICE_LISTEN_ADDRESS_H
#define SERVICE_LISTEN_ADDRESS_H

#include <stdbool.h>

#include <darkroom/error.h>

#include "service/socket_address.h"

#define LISTEN_ADDRESS_DEFAULT "127.0.0.1:7860"

struct listener {
    int socket;                            /* listening; -1: closed */
    bool is_local;                         /* only this machine can connect */
    char text[SOCKET_ADDRESS_BYTES + 128]; /* "http://127.0.0.1:7860", "unix:PATH" */
    char path[108]; /* of a Unix socket that was made here; "": none */
};

/* said: as above; NULL: systemd's socket where there is one (LISTEN_FDS), else LISTEN_ADDRESS_DEFAULT. A port of 0 takes
 * any that is free. Errors: DR_BAD_INPUT (not an address), DR_IO (in use, not allowed; what to do). */
enum dr_code listen_address_open(struct listener *listener, const char *said,
                                 struct dr_error *err) DR_MUST_CHECK;
/* Removes the file of a Unix socket. The socket itself is the server's, which closes it. */
void listen_address_forget(struct listener *listener);

#endif
