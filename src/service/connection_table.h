/* connection_table — connections that are open, and how long each may take for what it does.
 *
 *     HEAD       waits for a request line and its headers: first_head_ms, and idle_ms between two requests
 *     BODY       sends a body: grace_ms, and beyond it at least least_bytes_per_s
 *     HANDLER    the handler works or waits: no limit; it asks by itself whether the client is there
 *     REPLY      reads the reply: as for a body
 *
 * A connection past its time has its socket shut, so that the thread that waits for it ends. A slow client costs its
 * thread for that long and no longer. Threads: any; one lock.
 */
#ifndef SERVICE_CONNECTION_TABLE_H
#define SERVICE_CONNECTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum connection_stage {
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_HANDLER,
    CONNECTION_REPLY
};

struct connection_limits {
    double first_head_ms, idle_ms, grace_ms;
    double least_bytes_per_s;
};
struct connection_limits connection_limits_default(void);

struct connection_table; /* opaque */
struct connection;       /* opaque: one of its entries */

struct connection_table *connection_table_create(
    const struct connection_limits *limits); /* NULL: no memory */
/* All connections have been removed. Ends the thread of connection_table_watch. NULL is fine. */
void connection_table_destroy(struct connection_table *table);

/* The socket stays the caller's, which must not close it before connection_table_remove. peer is copied. NULL: no memory. */
struct connection *connection_table_add(struct connection_table *table, int socket,
                                        const char *peer, double now_ms);
void connection_table_remove(struct connection_table *table,
                             struct connection *connection);
/* How many a peer has; NULL: all. */
size_t connection_table_count(struct connection_table *table, const char *peer);

/* How many have a request that is being worked on or answered. */
size_t connection_table_busy(struct connection_table *table);

/* bytes: of the reply, if they are known; 0 else. */
void connection_table_enter(struct connection_table *table,
                            struct connection *connection, enum connection_stage stage,
                            uint64_t bytes, double now_ms);
/* More of the body came. */
void connection_table_progress(struct connection_table *table,
                               struct connection *connection, size_t bytes);

/* Starts a thread that sweeps twice a second while there are connections. False: no memory. */
bool connection_table_watch(struct connection_table *table);
/* Shuts the sockets of those past their time. Returns how many. */
size_t connection_table_sweep(struct connection_table *table, double now_ms);

#endif
