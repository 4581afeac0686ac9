#include "service/connection_table.h"

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static const struct connection_limits limits = {.first_head_ms = 100.0,
                                                .idle_ms = 1000.0,
                                                .grace_ms = 200.0,
                                                .least_bytes_per_s = 1000.0};

/* A connection of a table: is its socket shut when time goes on? */
struct line {
    struct connection_table *table;
    struct connection *connection;
    int sockets[2];
};

static void line_init(struct line *line)
{
    line->table = connection_table_create(&limits);
    check_int(socketpair(AF_UNIX, SOCK_STREAM, 0, line->sockets), ==, 0);
    line->connection =
        connection_table_add(line->table, line->sockets[0], "10.0.0.1", 0.0);
}

static void line_finish(struct line *line)
{
    connection_table_remove(line->table, line->connection);
    connection_table_destroy(line->table);
    (void)close(line->sockets[0]);
    (void)close(line->sockets[1]);
}

static bool is_shut(const struct line *line)
{
    char byte;
    return recv(line->sockets[1], &byte, 1, MSG_DONTWAIT) == 0;
}

static void R23_a_head_has_to_come_in_time(void)
{
    struct line line;
    line_init(&line);
    check_int(connection_table_sweep(line.table, 99.0), ==, 0u);
    check(!is_shut(&line));
    check_int(connection_table_sweep(line.table, 101.0), ==, 1u);
    check(is_shut(&line));
    check_int(connection_table_sweep(line.table, 500.0), ==, 0u);
    line_finish(&line);
}

static void between_requests_a_client_may_be_idle_for_longer(void)
{
    struct line line;
    line_init(&line);
    connection_table_enter(line.table, line.connection, CONNECTION_HEAD, 0, 50.0);
    check_int(connection_table_sweep(line.table, 1049.0), ==, 0u);
    check_int(connection_table_sweep(line.table, 1051.0), ==, 1u);
    line_finish(&line);
}

static void R23_a_body_has_to_keep_its_rate(void)
{
    struct line line;
    line_init(&line);
    connection_table_enter(line.table, line.connection, CONNECTION_BODY, 0, 0.0);
    connection_table_progress(line.table, line.connection, 300);
    connection_table_progress(line.table, line.connection, 200);
    /* 200 ms, and 500 bytes of 1000 a second. */
    check_int(connection_table_sweep(line.table, 699.0), ==, 0u);
    check_int(connection_table_sweep(line.table, 701.0), ==, 1u);
    line_finish(&line);
}

static void R23_a_reply_has_to_be_read_in_time(void)
{
    struct line line;
    line_init(&line);
    connection_table_enter(line.table, line.connection, CONNECTION_REPLY, 1000, 0.0);
    check_int(connection_table_sweep(line.table, 1199.0), ==, 0u);
    check_int(connection_table_sweep(line.table, 1201.0), ==, 1u);
    line_finish(&line);
}

static void a_handler_may_take_as_long_as_it_takes(void)
{
    struct line line;
    line_init(&line);
    connection_table_enter(line.table, line.connection, CONNECTION_HANDLER, 0, 0.0);
    check_int(connection_table_sweep(line.table, 1e12), ==, 0u);
    check(!is_shut(&line));
    check_int(connection_table_busy(line.table), ==, 1u);
    connection_table_enter(line.table, line.connection, CONNECTION_REPLY, 0, 0.0);
    check_int(connection_table_busy(line.table), ==, 1u);
    connection_table_enter(line.table, line.connection, CONNECTION_HEAD, 0, 0.0);
    check_int(connection_table_busy(line.table), ==, 0u);
    line_finish(&line);
}

static void a_peers_connections_are_counted(void)
{
    struct connection_table *const table = connection_table_create(&limits);
    struct connection *made[5];
    for (size_t i = 0; i < 5; ++i)
        made[i] = connection_table_add(table, -1, i % 2 ? "10.0.0.1" : "10.0.0.2", 0.0);
    check_int(connection_table_count(table, "10.0.0.1"), ==, 2u);
    check_int(connection_table_count(table, "10.0.0.2"), ==, 3u);
    check_int(connection_table_count(table, NULL), ==, 5u);
    /* From the middle, the end and the beginning of the list. */
    connection_table_remove(table, made[2]);
    connection_table_remove(table, made[0]);
    connection_table_remove(table, made[4]);
    check_int(connection_table_count(table, "10.0.0.2"), ==, 0u);
    check_int(connection_table_count(table, "10.0.0.1"), ==, 2u);
    connection_table_remove(table, made[1]);
    connection_table_remove(table, made[3]);
    check_int(connection_table_sweep(table, 1e12), ==, 0u);
    connection_table_destroy(table);
}

/* A client that is long past its time is found without anybody who asks. */
static void R23_the_thread_ends_late_connections(void)
{
    struct line line;
    char byte;
    line_init(&line);
    check(connection_table_watch(line.table));
    check_int(recv(line.sockets[1], &byte, 1, 0), ==, 0);
    line_finish(&line);
}

int main(void)
{
    check_run(R23_the_thread_ends_late_connections);
    check_run(R23_a_head_has_to_come_in_time);
    check_run(between_requests_a_client_may_be_idle_for_longer);
    check_run(R23_a_body_has_to_keep_its_rate);
    check_run(R23_a_reply_has_to_be_read_in_time);
    check_run(a_handler_may_take_as_long_as_it_takes);
    check_run(a_peers_connections_are_counted);
    return check_done();
}
