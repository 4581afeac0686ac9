/* check.h — the test harness. A test is a plain program:
 *
 *     static void rejects_truncated(void) { check_int(open_short(), ==, DR_CORRUPT); }
 *     int main(void) { check_run(rejects_truncated); return check_done(); }
 *
 * A failed check prints where, what, and both operands, and the test goes on to its next case.
 * Checks survive NDEBUG. `check_skip("reason")` as the last act of main skips a whole program;
 * `check_skip_case("reason")` says that the running case, or a part of it, cannot run here. Such a
 * case counts as skipped, never as passed: tools/test_summary.py counts the lines "skip NAME: reason".
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHECK_SKIPPED = 77 /* meson's exit code of a test that is skipped */
};

static int check_failed_count;
static int check_case_count;
static int check_skipped_count;
static int check_has_faults; /* the running case injects some: base/fault_fixture.h */
static const char *check_skip_reason; /* of the running case; NULL: it runs */

#define check_fail_at(...)                                                         \
    (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), \
     fputc('\n', stderr), ++check_failed_count)

#define check(condition)                                             \
    do {                                                             \
        if (!(condition)) check_fail_at("not true: %s", #condition); \
    } while (0)

#define check_int(a, op, b)                                                    \
    do {                                                                       \
        const long long check_a = (long long)(a), check_b = (long long)(b);    \
        if (!(check_a op check_b))                                             \
            check_fail_at("%s %s %s: %lld against %lld", #a, #op, #b, check_a, \
                          check_b);                                            \
    } while (0)

#define check_real(a, op, b)                                                   \
    do {                                                                       \
        const double check_a = (double)(a), check_b = (double)(b);             \
        if (!(check_a op check_b))                                             \
            check_fail_at("%s %s %s: %.9g against %.9g", #a, #op, #b, check_a, \
                          check_b);                                            \
    } while (0)

#define check_str(a, b)                                                                \
    do {                                                                               \
        const char *const check_a = (a), *const check_b = (b);                         \
        if (!check_a || !check_b || strcmp(check_a, check_b) != 0)                     \
            check_fail_at("%s is \"%s\", not \"%s\"", #a,                              \
                          check_a ? check_a : "(null)", check_b ? check_b : "(null)"); \
    } while (0)

/* text contains part: for error messages. */
#define check_has(text, part)                                        \
    do {                                                             \
        const char *const check_a = (text), *const check_b = (part); \
        if (!check_a || !strstr(check_a, check_b))                   \
            check_fail_at("%s is \"%s\", without \"%s\"", #text,     \
                          check_a ? check_a : "(null)", check_b);    \
    } while (0)

#define check_bytes(a, b, bytes)                                       \
    do {                                                               \
        if (memcmp((a), (b), (bytes)) != 0)                            \
            check_fail_at("%s and %s differ within %zu bytes", #a, #b, \
                          (size_t)(bytes));                            \
    } while (0)

/* DARKROOM_ONLY_FAULTS in the environment: the cases that inject faults, and no others. */
static inline int check_is_left_out(void)
{
    return !check_has_faults && getenv("DARKROOM_ONLY_FAULTS") != NULL;
}

#define check_run(function)                                            \
    do {                                                               \
        const int check_before = check_failed_count;                   \
        if (check_is_left_out()) break;                                \
        check_skip_reason = NULL;                                      \
        function();                                                    \
        check_end_case(#function, check_failed_count == check_before); \
    } while (0)

/* Runs the case where the condition holds; elsewhere it is skipped. */
#define check_run_if(condition, function, reason) \
    do {                                          \
        if (condition) {                          \
            check_run(function);                  \
        } else {                                  \
            check_skip_reason = (reason);         \
            check_end_case(#function, 1);         \
        }                                         \
    } while (0)

/* reason: a text that lasts until the case ends. The case returns, or goes on with what it can. */
static inline void check_skip_case(const char *reason)
{
    check_skip_reason = reason;
}

static inline void check_end_case(const char *name, int passed)
{
    ++check_case_count;
    if (!passed)
        fprintf(stderr, "FAIL %s\n", name);
    else if (!check_skip_reason)
        fprintf(stderr, "ok   %s\n", name);
    else {
        ++check_skipped_count;
        fprintf(stderr, "skip %s: %s\n", name, check_skip_reason);
    }
}

static inline int check_done(void)
{
    fprintf(stderr, "%d cases, %d failed checks, %d skipped\n", check_case_count,
            check_failed_count, check_skipped_count);
    if (check_failed_count) return 1;
    return check_case_count > 0 && check_skipped_count == check_case_count
               ? CHECK_SKIPPED
               : 0;
}

static inline int check_skip(const char *reason)
{
    fprintf(stderr, "skipped: %s\n", reason);
    return CHECK_SKIPPED;
}

#endif
