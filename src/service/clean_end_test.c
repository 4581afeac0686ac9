#define _GNU_SOURCE /* utimensat with nanoseconds */

#include "service/clean_end.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

enum {
    READ_S = 1000000
};

static const char *database(void)
{
    return scratch_path("a.db");
}

/* A database that was closed well. */
static void close_well(void)
{
    scratch_write(database(), "12345", 5);
    clean_end_note(database(), READ_S);
}

static bool is_clean(double now_s)
{
    double read_s = 0;
    const bool is_good = clean_end_take(database(), now_s, &read_s);
    if (is_good) check_real(read_s, ==, READ_S);
    check_int(access(scratch_path("a.db.clean"), F_OK), ==, -1);
    return is_good;
}

static void a_note_counts_once(void)
{
    check(!is_clean(READ_S));
    close_well();
    check(is_clean(READ_S));
    check(!is_clean(READ_S));
}

static void it_counts_for_a_time(void)
{
    close_well();
    check(is_clean(READ_S + CLEAN_END_TRUST_S - 1));
    close_well();
    check(!is_clean(READ_S + CLEAN_END_TRUST_S));
    close_well();
    check(!is_clean(READ_S - 1)); /* the clock went back */
}

static void another_file_is_none(void)
{
    close_well();
    scratch_write(database(), "123456", 6);
    check(!is_clean(READ_S));
    close_well();
    const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 5}};
    check_int(utimensat(AT_FDCWD, database(), times, 0), ==, 0);
    check(!is_clean(READ_S));
    close_well();
    check_int(unlink(database()), ==, 0);
    check(!is_clean(READ_S));
}

static void a_wal_says_that_it_was_not_closed(void)
{
    close_well();
    scratch_write(scratch_path("a.db-wal"), "x", 1);
    check(!is_clean(READ_S));
    clean_end_note(database(), READ_S);
    check_int(access(scratch_path("a.db.clean"), F_OK), ==, -1);
    scratch_write(scratch_path("a.db-wal"), "", 0);
    close_well();
    check(is_clean(READ_S));
    check_int(unlink(scratch_path("a.db-wal")), ==, 0);
}

static void a_damaged_note_is_none(void)
{
    static const char *const texts[] = {"",       "\n",
                                        "5",      "5 1.000000000 7\n1000000\n",
                                        "\n\n\n", "x\ny\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        close_well();
        scratch_write(scratch_path("a.db.clean"), texts[i], strlen(texts[i]));
        check(!is_clean(READ_S));
    }
    close_well();
    char text[200] = "";
    FILE *const file = fopen(scratch_path("a.db.clean"), "r+");
    const size_t count = file ? fread(text, 1, sizeof text - 1, file) : 0;
    check_int(count, >, 10);
    for (size_t cut = 0; file && cut + 8 < count; ++cut) {
        scratch_write(scratch_path("a.db.clean"), text, cut);
        check(!is_clean(READ_S));
    }
    if (file) (void)fclose(file);
}

int main(void)
{
    check_run(a_note_counts_once);
    check_run(it_counts_for_a_time);
    check_run(another_file_is_none);
    check_run(a_wal_says_that_it_was_not_closed);
    check_run(a_damaged_note_is_none);
    return check_done();
}
