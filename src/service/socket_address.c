#include "service/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* An internet address in parts. */
struct parts {
    int family; /* AF_INET, AF_INET6, or anything else */
    struct in_addr four;
    struct in6_addr six;
    uint16_t port;
};

static struct parts split(const struct sockaddr *address)
{
    struct parts parts = {.family = address->sa_family};
    if (parts.family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        parts.four = in.sin_addr;
        parts.port = ntohs(in.sin_port);
    } else if (parts.family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof in);
        parts.six = in.sin6_addr;
        parts.port = ntohs(in.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
            parts.family = AF_INET;
            memcpy(&parts.four, in.sin6_addr.s6_addr + 12, sizeof parts.four);
        }
    }
    return parts;
}

static const char *host_of(const struct parts *parts, char text[INET6_ADDRSTRLEN])
{
    if (parts->family == AF_INET)
        return inet_ntop(AF_INET, &parts->four, text, INET6_ADDRSTRLEN);
    if (parts->family == AF_INET6)
        return inet_ntop(AF_INET6, &parts->six, text, INET6_ADDRSTRLEN);
    return "unix";
}

void socket_address_text(const struct sockaddr *address,
                         char text[SOCKET_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    const struct parts parts = split(address);
    const char *const name = host_of(&parts, host);
    if (parts.family == AF_INET6)
        (void)snprintf(text, SOCKET_ADDRESS_BYTES, "[%s]:%u", name, parts.port);
    else if (parts.family == AF_INET)
        (void)snprintf(text, SOCKET_ADDRESS_BYTES, "%s:%u", name, parts.port);
    else
        (void)snprintf(text, SOCKET_ADDRESS_BYTES, "%s", name);
}

void socket_address_host(const struct sockaddr *address,
                         char text[SOCKET_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    const struct parts parts = split(address);
    (void)snprintf(text, SOCKET_ADDRESS_BYTES, "%s", host_of(&parts, host));
}

void socket_address_ends(int file, char peer[SOCKET_ADDRESS_BYTES],
                         char local[SOCKET_ADDRESS_BYTES])
{
    struct sockaddr_storage storage = {.ss_family = AF_UNIX};
    struct sockaddr *const address = (struct sockaddr *)&storage;
    socklen_t length = sizeof storage;
    peer[0] = local[0] = '\0';
    if (getpeername(file, address, &length) == 0) socket_address_host(address, peer);
    length = sizeof storage;
    if (getsockname(file, address, &length) == 0) socket_address_text(address, local);
}

bool socket_address_is_local(const struct sockaddr *address)
{
    const struct parts parts = split(address);
    if (parts.family == AF_INET) return ntohl(parts.four.s_addr) >> 24 == 127;
    if (parts.family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&parts.six);
    return parts.family == AF_UNIX;
}
