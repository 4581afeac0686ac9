#include "job/prompt_syntax.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static const char *found(const char *prompt)
{
    static char text[256];
    (void)prompt_syntax_find(prompt, text, sizeof text);
    return text;
}

static void each_kind_is_found(void)
{
    check_str(found("a (red:1.2) circle"), "\"(red:1.2)\"");
    check_str(found("a (red) circle"), "\"(red)\"");
    check_str(found("a ((red)) circle"), "\"((red))\"");
    check_str(found("a [red] circle"), "\"[red]\"");
    check_str(found("[a:b:0.5]"), "\"[a:b:0.5]\"");
    check_str(found("a circle <lora:round:0.8>"), "\"<lora:round:0.8>\"");
    check_str(found("a circle BREAK a ring"), "\"BREAK\"");
    check_str(found("a circle AND a ring"), "\"AND\"");
    check_str(found("(a) (b) BREAK BREAK [c]"), "\"(a)\", \"BREAK\", \"[c]\"");
    check_int(prompt_syntax_find("(a) [b] AND", NULL, 0), ==, 3);
}

static void plain_text_is_not(void)
{
    static const char *const plain[] = {"",
                                        "a red circle, left of a blue square",
                                        "a smile :)",
                                        "a \\(b\\)",
                                        "a [b",
                                        "BREAKFAST at 8",
                                        "SAND AND_",
                                        "and break",
                                        "a <b> c",
                                        "x < y > z",
                                        "<lora:open",
                                        "\\",
                                        "\xC3\xA4"
                                        "AND"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; ++i)
        check_str(found(plain[i]), "");
}

static void a_long_example_is_cut(void)
{
    const char *const text =
        found("(an emphasis that goes on and on and on and on \xC3\xA4\xC3\xA4)");
    check_has(text, "...\"");
    check_int(strlen(text), <=, 48);
}

static void a_small_text_has_whole_examples(void)
{
    char text[12];
    check_int(prompt_syntax_find("(a) [b] BREAK", text, sizeof text), ==, 3);
    check_str(text, "\"(a)\"");
}

/* Each of these would take hours if every sign looked for its partner. */
static void a_long_prompt_is_read_once(void)
{
    enum {
        BYTES = 1 << 20
    };
    char *const prompt = malloc(BYTES + 8);
    static const char signs[] = "([<";
    check(prompt != NULL);
    for (size_t i = 0; prompt && signs[i]; ++i) {
        memset(prompt, signs[i], BYTES);
        (void)snprintf(prompt + BYTES, 8, "%s", "");
        check_str(found(prompt), "");
        (void)snprintf(prompt + BYTES, 8, "%s", "(a)");
        check_str(found(prompt), "\"(a)\"");
    }
    for (size_t i = 0; prompt && i + 6 <= BYTES; i += 6)
        memcpy(prompt + i, "<lora:", 6);
    if (prompt) (void)snprintf(prompt + BYTES, 8, "%s", "[b]");
    check_str(prompt ? found(prompt) : "", "\"[b]\"");
    free(prompt);
}

/* The first that has a partner, escapes and all, found the slow way. */
static void the_first_pair_is_the_example(void)
{
    static const char signs[] = "()\\a";
    for (int number = 0; number < 4 * 4 * 4 * 4 * 4 * 4 * 4; ++number) {
        char prompt[8] = "", expected[16] = "";
        for (int i = 0, rest = number; i < 7; ++i, rest /= 4)
            prompt[i] = signs[rest % 4];
        for (const char *at = prompt; *at && !expected[0]; ++at) {
            int depth = 0;
            if (*at == '\\' && at[1]) {
                ++at;
                continue;
            }
            for (const char *c = at; *at == '(' && *c; ++c) {
                if (*c == '\\' && c[1]) {
                    ++c;
                    continue;
                }
                depth += *c == '(' ? 1 : *c == ')' ? -1 : 0;
                if (depth > 0) continue;
                (void)snprintf(expected, sizeof expected, "\"%.*s\"", (int)(c - at) + 1,
                               at);
                break;
            }
        }
        check_str(found(prompt), expected);
    }
}

int main(void)
{
    check_run(each_kind_is_found);
    check_run(plain_text_is_not);
    check_run(a_long_example_is_cut);
    check_run(a_small_text_has_whole_examples);
    check_run(a_long_prompt_is_read_once);
    check_run(the_first_pair_is_the_example);
    return check_done();
}
