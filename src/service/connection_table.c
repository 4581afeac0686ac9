#include "service/connection_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <darkroom/darkroom.h>

#include "service/socket_address.h"
#include "service/wait_clock.h"

struct connection {
    struct connection *next, *previous;
    int socket;
    char peer[SOCKET_ADDRESS_BYTES];
    enum connection_stage stage;
    bool
        had_request; /* a request has been answered: between two, clients may be idle */
    bool is_shut;
    double since_ms;
    uint64_t bytes; /* of the body that came, or of the reply */
};

enum {
    SWEEP_MS = 500
};

struct connection_table {
    struct connection_limits limits;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the thread: there are connections, or it has to end */
    struct connection *first;
    pthread_t watcher;
    bool is_watched, is_ending;
};

struct connection_limits connection_limits_default(void)
{
    return (struct connection_limits){.first_head_ms = 10e3,
                                      .idle_ms = 75e3,
                                      .grace_ms = 20e3,
                                      .least_bytes_per_s = 4096.0};
}

struct connection_table *connection_table_create(const struct connection_limits *limits)
{
    struct connection_table *const table = calloc(1, sizeof *table);
    if (!table) return NULL;
    table->limits = *limits;
    (void)pthread_mutex_init(&table->lock, NULL);
    wait_clock_init(&table->wake);
    return table;
}

void connection_table_destroy(struct connection_table *table)
{
    if (!table) return;
    (void)pthread_mutex_lock(&table->lock);
    table->is_ending = true;
    (void)pthread_cond_signal(&table->wake);
    (void)pthread_mutex_unlock(&table->lock);
    if (table->is_watched) (void)pthread_join(table->watcher, NULL);
    (void)pthread_cond_destroy(&table->wake);
    (void)pthread_mutex_destroy(&table->lock);
    free(table);
}

struct connection *connection_table_add(struct connection_table *table, int socket,
                                        const char *peer, double now_ms)
{
    struct connection *const connection = calloc(1, sizeof *connection);
    if (!connection) return NULL;
    connection->socket = socket;
    connection->since_ms = now_ms;
    (void)snprintf(connection->peer, sizeof connection->peer, "%s", peer);
    (void)pthread_mutex_lock(&table->lock);
    connection->next = table->first;
    if (table->first) table->first->previous = connection;
    table->first = connection;
    (void)pthread_cond_signal(&table->wake);
    (void)pthread_mutex_unlock(&table->lock);
    return connection;
}

void connection_table_remove(struct connection_table *table,
                             struct connection *connection)
{
    if (!connection) return;
    (void)pthread_mutex_lock(&table->lock);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        table->first = connection->next;
    if (connection->next) connection->next->previous = connection->previous;
    (void)pthread_mutex_unlock(&table->lock);
    free(connection);
}

size_t connection_table_count(struct connection_table *table, const char *peer)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&table->lock);
    for (const struct connection *at = table->first; at; at = at->next)
        count += !peer || strcmp(at->peer, peer) == 0;
    (void)pthread_mutex_unlock(&table->lock);
    return count;
}

size_t connection_table_busy(struct connection_table *table)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&table->lock);
    for (const struct connection *at = table->first; at; at = at->next)
        count += at->stage == CONNECTION_HANDLER || at->stage == CONNECTION_REPLY;
    (void)pthread_mutex_unlock(&table->lock);
    return count;
}

void connection_table_enter(struct connection_table *table,
                            struct connection *connection, enum connection_stage stage,
                            uint64_t bytes, double now_ms)
{
    if (!connection) return;
    (void)pthread_mutex_lock(&table->lock);
    if (stage == CONNECTION_HEAD) connection->had_request = true;
    connection->stage = stage;
    connection->since_ms = now_ms;
    connection->bytes = bytes;
    (void)pthread_mutex_unlock(&table->lock);
}

void connection_table_progress(struct connection_table *table,
                               struct connection *connection, size_t bytes)
{
    if (!connection) return;
    (void)pthread_mutex_lock(&table->lock);
    connection->bytes += bytes;
    (void)pthread_mutex_unlock(&table->lock);
}

static bool is_late(const struct connection *connection,
                    const struct connection_limits *limits, double now_ms)
{
    const double taken_ms = now_ms - connection->since_ms;
    switch (connection->stage) {
    case CONNECTION_HEAD:
        return taken_ms >
               (connection->had_request ? limits->idle_ms : limits->first_head_ms);
    case CONNECTION_BODY:
    case CONNECTION_REPLY:
        return taken_ms > limits->grace_ms + (double)connection->bytes * 1e3 /
                                                 limits->least_bytes_per_s;
    case CONNECTION_HANDLER: break;
    }
    return false;
}

/* The lock is held. */
static size_t sweep(struct connection_table *table, double now_ms)
{
    size_t count = 0;
    for (struct connection *at = table->first; at; at = at->next)
        if (!at->is_shut && is_late(at, &table->limits, now_ms)) {
            (void)shutdown(at->socket, SHUT_RDWR);
            at->is_shut = true;
            ++count;
        }
    return count;
}

size_t connection_table_sweep(struct connection_table *table, double now_ms)
{
    (void)pthread_mutex_lock(&table->lock);
    const size_t count = sweep(table, now_ms);
    (void)pthread_mutex_unlock(&table->lock);
    return count;
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void wait_for_sweep(struct connection_table *table)
{
    const struct timespec until = wait_clock_after(SWEEP_MS);
    while (!table->is_ending &&
           pthread_cond_timedwait(&table->wake, &table->lock, &until) != ETIMEDOUT)
        continue;
}

static void *watch(void *cookie)
{
    struct connection_table *const table = cookie;
    (void)pthread_mutex_lock(&table->lock);
    while (!table->is_ending) {
        if (table->first) {
            wait_for_sweep(table);
            (void)sweep(table, dr_clock_ms());
        } else {
            (void)pthread_cond_wait(&table->wake, &table->lock);
        }
    }
    (void)pthread_mutex_unlock(&table->lock);
    return NULL;
}

bool connection_table_watch(struct connection_table *table)
{
    table->is_watched = pthread_create(&table->watcher, NULL, watch, table) == 0;
    return table->is_watched;
}
