/* socket_address — an address of a socket as text: "127.0.0.1:7860", "[::1]:7860", "unix".
 *
 * An IPv4 address that came through an IPv6 socket is written as IPv4. Threads: any.
 */
#ifndef SERVICE_SOCKET_ADDRESS_H
#define SERVICE_SOCKET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
    SOCKET_ADDRESS_BYTES = 64
};

void socket_address_text(const struct sockaddr *address,
                         char text[SOCKET_ADDRESS_BYTES]);
/* Without the port and brackets: who it is, in logs. */
void socket_address_host(const struct sockaddr *address,
                         char text[SOCKET_ADDRESS_BYTES]);
/* Both ends of a connected socket: the client's host, and the whole address that it connected to. "" where there is none. */
void socket_address_ends(int file, char peer[SOCKET_ADDRESS_BYTES],
                         char local[SOCKET_ADDRESS_BYTES]);
/* Can only this machine reach it? True for Unix sockets too. */
bool socket_address_is_local(const struct sockaddr *address);

#endif
