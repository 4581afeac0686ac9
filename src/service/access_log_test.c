#include "service/access_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static void read_text(const char *path, char *text, size_t bytes)
{
    FILE *const file = fopen(path, "r");
    const size_t count = file ? fread(text, 1, bytes - 1, file) : 0;
    text[count] = '\0';
    if (file) (void)fclose(file);
}

static const struct access_entry entry = {.peer = "10.0.0.1",
                                          .method = HTTP_POST,
                                          .route = "/api/v1/images/{id}",
                                          .status = 200,
                                          .bytes = 1234,
                                          .seconds = 0.0129};

static void R33_a_line_has_the_route_and_no_more(void)
{
    struct access_log *log = NULL;
    struct dr_error err = {0};
    char path[600], text[1000];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/log", scratch_folder());
    check_int(access_log_open(&log, path, &err), ==, DR_OK);
    access_log_add(log, &entry);
    access_log_add(log, &(struct access_entry){
                            .peer = "unix", .method = HTTP_OTHER, .status = 404});
    read_text(path, text, sizeof text);
    /* "2026-11-30T15:04:05Z", then the rest of two lines. */
    check_int(strlen(text), >, 20u);
    char *const second = strchr(text, '\n') + 1;
    check_str(second + 20, " unix - - 404 0 0.000\n");
    *second = '\0';
    check_str(text + 20, " 10.0.0.1 POST /api/v1/images/{id} 200 1234 0.013\n");
    check(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
    access_log_close(log);
}

static void a_file_that_was_moved_is_opened_again(void)
{
    struct access_log *log = NULL;
    struct dr_error err = {0};
    char path[600], moved[600], text[1000];
    (void)snprintf(path, sizeof path, "%s/turned", scratch_folder());
    (void)snprintf(moved, sizeof moved, "%s/turned.1", scratch_folder());
    check_int(access_log_open(&log, path, &err), ==, DR_OK);
    access_log_add(log, &entry);
    check_int(rename(path, moved), ==, 0);
    access_log_add(log, &entry);
    check(access_log_reopen(log));
    access_log_add(log, &entry);
    read_text(moved, text, sizeof text);
    check_int(strchr(strchr(text, '\n') + 1, '\n') - text + 1, ==, strlen(text));
    read_text(path, text, sizeof text);
    check_int(strchr(text, '\n') - text + 1, ==, strlen(text));
    access_log_close(log);
}

static void a_log_that_cannot_be_written_is_an_error(void)
{
    struct access_log *log = NULL;
    struct dr_error err = {0};
    check_int(access_log_open(&log, "/nowhere/at/all", &err), ==, DR_IO);
    check_has(err.message, "/nowhere/at/all");
    check(!log);
    access_log_add(NULL, &entry);
    check(!access_log_reopen(NULL));
    check_int(access_log_open(&log, "-", &err), ==, DR_OK);
    check(!access_log_reopen(log));
    access_log_close(log);
    access_log_close(NULL);
}

int main(void)
{
    check_run(R33_a_line_has_the_route_and_no_more);
    check_run(a_file_that_was_moved_is_opened_again);
    check_run(a_log_that_cannot_be_written_is_an_error);
    return check_done();
}
