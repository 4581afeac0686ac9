#include "prompt_list.h"

#include <string.h>
#include <unistd.h>

#include "check.h"
#include "interrupt.h"
#include "scratch_folder.h"

static struct dr_error problem;

/* The prompts, each in brackets; or the message. */
static const char *prompts_of(const char *prompt)
{
    static char text[1024];
    struct prompt_list list;
    problem = (struct dr_error){0};
    if (prompt_list_make(&list, prompt, &problem) != DR_OK) return problem.message;
    text[0] = '\0';
    for (int32_t i = 0; i < list.count; ++i)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "[%s]",
                       list.prompts[i]);
    prompt_list_finish(&list);
    prompt_list_finish(&list);
    return text;
}

static const char *in_file(const void *data, size_t bytes)
{
    static char name[600];
    const char *const path = scratch_path("prompts.txt");
    scratch_write(path, data, bytes);
    (void)snprintf(name, sizeof name, "@%s", path);
    return name;
}

static void a_prompt_is_itself(void)
{
    check_str(prompts_of("a cat"), "[a cat]");
    check_str(prompts_of(""), "[]");
    check_str(prompts_of("@@home"), "[@home]");
    check_str(prompts_of("--"), "[--]");
    check(!prompt_list_is_named("@@x") && !prompt_list_is_named("x"));
    check(prompt_list_is_named("@x") && prompt_list_is_named("-"));
}

static void lines_are_prompts(void)
{
    static const char lines[] =
        "\xEF\xBB\xBFone\r\n\n \t\n  two \"words\" \n# three\nlast";
    check_str(prompts_of(in_file(lines, sizeof lines - 1)),
              "[one][two \"words\"][# three][last]");
    FILE *const stream = freopen(in_file(lines, sizeof lines - 1) + 1, "r", stdin);
    check(stream != NULL);
    check_str(prompts_of("-"), "[one][two \"words\"][# three][last]");
}

static void what_is_no_list_is_named(void)
{
    check_has(prompts_of("@"), "cannot open the file of prompts");
    check_has(prompts_of("@/nowhere/x"), "No such file");
    check_int(problem.code, ==, DR_NOT_FOUND);
    check_has(problem.message, "written @@");
    check_has(prompts_of("@/"), "Is a directory");
    check_int(problem.code, ==, DR_IO);
    check_has(prompts_of(in_file("\n \n", 3)), "has no prompt");
    check_has(prompts_of(in_file("", 0)), "has no prompt");
    check_int(problem.code, ==, DR_BAD_INPUT);
    check_has(prompts_of(in_file("a\nb\0c\n", 6)), "line 2 of");
}

static void there_is_a_most(void)
{
    static char lines[2 * PROMPT_LIST_MOST + 2];
    for (size_t i = 0; i < sizeof lines; i += 2)
        memcpy(lines + i, "x\n", 2);
    check_has(prompts_of(in_file(lines, sizeof lines)), "more than 10000 prompts");
    struct prompt_list list;
    check_int(prompt_list_make(&list, in_file(lines, sizeof lines - 2), &problem), ==,
              DR_OK);
    check_int(list.count, ==, PROMPT_LIST_MOST);
    prompt_list_finish(&list);
}

int main(void)
{
    if (interrupt_install(&problem) != DR_OK) return 1;
    check_run(a_prompt_is_itself);
    check_run(lines_are_prompts);
    check_run(what_is_no_list_is_named);
    check_run(there_is_a_most);
    return check_done();
}
