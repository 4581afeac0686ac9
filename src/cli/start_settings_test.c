/* What a program finds in its environment after start_settings_apply, and how often it began. Each case
 * is this program, started again as a child that writes down what it finds. */
#define _DEFAULT_SOURCE /* clearenv */

#include "start_settings.h"

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char answer[512];

static const char *value_of(const char *variable)
{
    const char *const value = getenv(variable);
    return value ? value : "-";
}

/* The child: each begin is counted in the environment, which goes along. */
static int tell(char **words)
{
    char begins[16];
    const char *const before = getenv("BEGINS");
    (void)snprintf(begins, sizeof begins, "%d", before ? atoi(before) + 1 : 1);
    (void)setenv("BEGINS", begins, 1);
    start_settings_apply(words);
    printf("%s %s %s %s %s", begins, value_of("GOMP_SPINCOUNT"),
           value_of("OMP_WAIT_POLICY"), value_of("GLIBC_TUNABLES"), words[2]);
    return fflush(stdout) == 0 ? 0 : 1;
}

struct setting {
    const char *variable, *value;
};

static void begin_child(const struct setting *settings)
{
    if (clearenv() != 0) _exit(2);
    for (; settings->variable; ++settings)
        if (setenv(settings->variable, settings->value, 1) != 0) _exit(2);
    (void)execl("/proc/self/exe", "start_settings_test", "tell", "a word",
                (char *)NULL);
    _exit(2);
}

/* "begins spin policy tunables word" */
static const char *answer_of(const struct setting *settings)
{
    int ends[2], status = 0;
    size_t length = 0;
    if (pipe(ends) != 0) abort();
    const pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        begin_child(settings);
    }
    (void)close(ends[1]);
    for (ssize_t got;
         (got = read(ends[0], answer + length, sizeof answer - 1 - length)) > 0;)
        length += (size_t)got;
    answer[length] = '\0';
    (void)close(ends[0]);
    check(waitpid(child, &status, 0) == child);
    check_int(status, ==, 0);
    return answer;
}

#define TUNABLE "glibc.malloc.tcache_count="

static void what_is_missing_is_set_at_one_more_begin(void)
{
    const struct setting none[] = {
        {NULL, NULL}
    };
    check_str(answer_of(none), "2 " START_SETTINGS_SPIN " - " TUNABLE "0 a word");
    const struct setting empty[] = {
        {"GLIBC_TUNABLES", ""  },
        {NULL,             NULL}
    };
    check_str(answer_of(empty), "2 " START_SETTINGS_SPIN " - " TUNABLE "0 a word");
    const struct setting spin[] = {
        {"GOMP_SPINCOUNT", "7" },
        {NULL,             NULL}
    };
    check_str(answer_of(spin), "2 7 - " TUNABLE "0 a word");
    const struct setting tcache[] = {
        {"GLIBC_TUNABLES", TUNABLE "3"},
        {NULL,             NULL       }
    };
    check_str(answer_of(tcache), "2 " START_SETTINGS_SPIN " - " TUNABLE "3 a word");
}

static void what_the_user_set_stays(void)
{
    const struct setting spin[] = {
        {"GOMP_SPINCOUNT", "infinity" },
        {"GLIBC_TUNABLES", TUNABLE "0"},
        {NULL,             NULL       }
    };
    check_str(answer_of(spin), "1 infinity - " TUNABLE "0 a word");
    const struct setting policy[] = {
        {"OMP_WAIT_POLICY", "active"   },
        {"GLIBC_TUNABLES",  TUNABLE "0"},
        {NULL,              NULL       }
    };
    check_str(answer_of(policy), "1 - active " TUNABLE "0 a word");
    const struct setting other[] = {
        {"OMP_WAIT_POLICY", "passive"               },
        {"GLIBC_TUNABLES",  "glibc.malloc.perturb=1"},
        {NULL,              NULL                    }
    };
    check_str(answer_of(other),
              "2 - passive glibc.malloc.perturb=1:" TUNABLE "0 a word");
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "tell") == 0) return tell(words);
    check_run(what_is_missing_is_set_at_one_more_begin);
    check_run(what_the_user_set_stays);
    return check_done();
}
