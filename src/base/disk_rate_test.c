#include "base/disk_rate.h"

#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static void small_and_missing_files_are_not_measured(void)
{
    double rate = -1.0;
    scratch_write(scratch_path("small"), "x", 1);
    check(!disk_rate_measure(scratch_path("small"), &rate));
    check(!disk_rate_measure(scratch_path("none"), &rate));
    check(!disk_rate_measure("/", &rate));
    check(!disk_rate_measure("/proc/self/maps", &rate));
    check_real(rate, ==, -1.0);
}

/* Beside the build, since /tmp may lie in memory. */
static void a_file_is_measured(void)
{
    static char data[8 << 20];
    char path[1024];
    double rate = -1.0;
    const char *const build = getenv("DARKROOM_BUILD");
    (void)snprintf(path, sizeof path, "%s/disk-rate-%ld", build ? build : ".",
                   (long)getpid());
    scratch_write(path, data, sizeof data);
    const bool is_measured = disk_rate_measure(path, &rate);
    (void)unlink(path);
    if (!is_measured) {
        check_skip_case("this file system has no reading past the cache");
        return;
    }
    check_real(rate, >, 1e5);
    check_real(rate, <, 1e12);
}

int main(void)
{
    check_run(small_and_missing_files_are_not_measured);
    check_run(a_file_is_measured);
    return check_done();
}
