/* The harness itself: what ends as passed, failed and skipped, and the lines that
 * tools/test_summary.py counts. Each part is this program, run again. */
#include "check.h"

#include <sys/wait.h>

static void runs(void)
{
    check(1);
}

static void cannot_run(void)
{
    check_skip_case("no such processor");
}

static void fails(void)
{
    check_skip_case("a failure counts all the same");
    check_int(1, ==, 2);
}

static int play(const char *part)
{
    check_run(cannot_run);
    check_run_if(0, runs, "left out");
    if (strcmp(part, "all skipped") != 0) check_run(runs);
    if (strcmp(part, "failed") == 0) check_run(fails);
    return check_done();
}

static char said[4096];
static const char *program;

/* What a part ends with; what it says is in said. */
static int run_part(const char *part)
{
    char command[4096];
    (void)snprintf(command, sizeof command, "'%s' '%s' 2>&1", program, part);
    FILE *const output = popen(command, "r");
    if (!output) return -1;
    said[fread(said, 1, sizeof said - 1, output)] = '\0';
    const int status = pclose(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_skipped_case_is_not_ok(void)
{
    check_int(run_part("some skipped"), ==, 0);
    check_has(said,
              "skip cannot_run: no such processor\nskip runs: left out\nok   runs\n");
    check_has(said, "3 cases, 0 failed checks, 2 skipped");
    check(!strstr(said, "ok   cannot_run"));
}

static void a_program_of_skipped_cases_is_skipped(void)
{
    check_int(run_part("all skipped"), ==, CHECK_SKIPPED);
    check_has(said, "2 cases, 0 failed checks, 2 skipped");
}

static void a_failed_check_goes_before(void)
{
    check_int(run_part("failed"), ==, 1);
    check_has(said, "FAIL fails\n");
    check_has(said, "4 cases, 1 failed checks, 2 skipped");
}

int main(int count, char **arguments)
{
    program = arguments[0];
    if (count > 1) return play(arguments[1]);
    check_run(a_skipped_case_is_not_ok);
    check_run(a_program_of_skipped_cases_is_skipped);
    check_run(a_failed_check_goes_before);
    return check_done();
}
