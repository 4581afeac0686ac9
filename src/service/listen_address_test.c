#include "service/listen_address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static void addresses_are_written_as_URLs_have_them(void)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(7860)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    char text[SOCKET_ADDRESS_BYTES];
    (void)inet_pton(AF_INET, "127.0.0.1", &four.sin_addr);
    socket_address_text((struct sockaddr *)&four, text);
    check_str(text, "127.0.0.1:7860");
    socket_address_host((struct sockaddr *)&four, text);
    check_str(text, "127.0.0.1");
    check(socket_address_is_local((struct sockaddr *)&four));
    (void)inet_pton(AF_INET, "0.0.0.0", &four.sin_addr);
    check(!socket_address_is_local((struct sockaddr *)&four));
    (void)inet_pton(AF_INET6, "::1", &six.sin6_addr);
    socket_address_text((struct sockaddr *)&six, text);
    check_str(text, "[::1]:80");
    socket_address_host((struct sockaddr *)&six, text);
    check_str(text, "::1");
    check(socket_address_is_local((struct sockaddr *)&six));
    (void)inet_pton(AF_INET6, "::", &six.sin6_addr);
    check(!socket_address_is_local((struct sockaddr *)&six));
    (void)inet_pton(AF_INET6, "::ffff:10.1.2.3", &six.sin6_addr);
    socket_address_text((struct sockaddr *)&six, text);
    check_str(text, "10.1.2.3:80");
    check(!socket_address_is_local((struct sockaddr *)&six));
    (void)inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
    check(socket_address_is_local((struct sockaddr *)&six));
    socket_address_text((const struct sockaddr *)&local, text);
    check_str(text, "unix");
    check(socket_address_is_local((const struct sockaddr *)&local));
}

static void a_free_port_is_taken_and_said(void)
{
    struct listener first, second;
    struct dr_error err = {0};
    check_int(listen_address_open(&first, "127.0.0.1:0", &err), ==, DR_OK);
    check(first.is_local);
    check(strncmp(first.text, "http://127.0.0.1:", 17) == 0);
    check_int(atoi(first.text + 17), >, 0);
    check_int(fcntl(first.socket, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    check_int(listen_address_open(&second, first.text + 7, &err), ==, DR_IO);
    check_has(err.message, "another port");
    check_int(second.socket, ==, -1);
    (void)close(first.socket);
    check_int(listen_address_open(&first, "0.0.0.0:0", &err), ==, DR_OK);
    check(!first.is_local);
    (void)close(first.socket);
}

static void what_is_not_an_address_is_refused(void)
{
    static const char *const wrong[] = {
        "",           "7860",         ":7860",           "127.0.0.1",
        "127.0.0.1:", "127.0.0.1:x",  "127.0.0.1:65536", "127.0.0.1:-1",
        "::1:7860",   "[::1]7860",    "[::1]",           "256.0.0.1:1x",
        "unix:",      "127.0.0.1:1 ", "[]:7860"};
    struct listener listener;
    struct dr_error err = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i)
        if (listen_address_open(&listener, wrong[i], &err) != DR_BAD_INPUT)
            check_fail_at("\"%s\" was taken", wrong[i]);
    char path[300] = "unix:";
    memset(path + 5, 'x', 200);
    check_int(listen_address_open(&listener, path, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "this one has 200");
}

static void a_unix_socket_replaces_no_file(void)
{
    const char *const path = scratch_path("file");
    char said[600];
    struct listener listener;
    struct dr_error err = {0};
    struct stat status;
    scratch_write(path, "text", 4);
    (void)snprintf(said, sizeof said, "unix:%s", path);
    check_int(listen_address_open(&listener, said, &err), ==, DR_IO);
    check(stat(path, &status) == 0 && S_ISREG(status.st_mode));
    (void)unlink(path);
    check_int(listen_address_open(&listener, said, &err), ==, DR_OK);
    check(listener.is_local && stat(path, &status) == 0 && S_ISSOCK(status.st_mode));
    check_int(status.st_mode & 0777, ==, 0600);
    check_str(listener.text, said);
    (void)close(listener.socket);
    listen_address_forget(&listener);
    check(stat(path, &status) != 0);
}

static void systemds_variables_of_another_process_are_not_ours(void)
{
    struct listener listener;
    struct dr_error err = {0};
    char pid[16];
    (void)setenv("LISTEN_FDS", "1", 1);
    (void)setenv("LISTEN_PID", "1", 1);
    check_int(listen_address_open(&listener, "127.0.0.1:0", &err), ==, DR_OK);
    (void)close(listener.socket);
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    (void)setenv("LISTEN_PID", pid, 1);
    (void)setenv("LISTEN_FDS", "2", 1);
    check_int(listen_address_open(&listener, NULL, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "one ListenStream");
    /* Descriptor 3 is no socket. */
    const int file = open("/dev/null", O_RDONLY);
    if (file != 3) (void)dup2(file, 3);
    (void)setenv("LISTEN_FDS", "1", 1);
    check_int(listen_address_open(&listener, NULL, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "not a listening socket");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
}

int main(void)
{
    check_run(addresses_are_written_as_URLs_have_them);
    check_run(a_free_port_is_taken_and_said);
    check_run(what_is_not_an_address_is_refused);
    check_run(a_unix_socket_replaces_no_file);
    check_run(systemds_variables_of_another_process_are_not_ours);
    return check_done();
}
