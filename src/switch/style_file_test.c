#include "check.h"
#include "scratch_folder.h"

#include "switch/style_file.h"

static enum dr_code parse(struct dr_style_list *list, const char *text,
                          struct dr_error *err)
{
    char copy[1024];
    *list = (struct dr_style_list){0};
    memcpy(copy, text, strlen(text));
    return style_file_parse(list, "styles.csv", copy, strlen(text), err);
}

static void is_style(const struct dr_style *style, const char *name, const char *prompt,
                     const char *negative)
{
    check_str(style->name, name);
    check_str(style->prompt, prompt);
    check_str(style->negative, negative);
}

static void a_table_is_read(void)
{
    struct dr_style_list list;
    struct dr_error err;
    check_int(parse(&list,
                    "name,prompt,negative_prompt\r\n"
                    "night,\"{prompt}, at \"\"night\"\"\",daylight\r\n"
                    "# not one,x,y\n\n"
                    "ink,\"ink,\non paper\"\n"
                    ",nobody can choose it,\n"
                    "night,second,\n",
                    &err),
              ==, DR_OK);
    check_int(list.count, ==, 2);
    is_style(&list.styles[0], "night", "second", "");
    is_style(&list.styles[1], "ink", "ink,\non paper", "");
    check(style_file_match(&list, "ink") == &list.styles[1]);
    check(style_file_match(&list, "INK") == &list.styles[1]);
    check(!style_file_match(&list, "in"));
    dr_style_list_free(&list);
}

static void columns_have_names(void)
{
    struct dr_style_list list;
    struct dr_error err;
    check_int(parse(&list, "\nnegative_prompt,extra,text,name\nn,e,t,old\n", &err), ==,
              DR_OK);
    check_int(list.count, ==, 1);
    is_style(&list.styles[0], "old", "t", "n");
    dr_style_list_free(&list);
    check_int(parse(&list, "", &err), ==, DR_OK);
    check_int(list.count, ==, 0);
    dr_style_list_free(&list);
    check_int(parse(&list, "night,dark\n", &err), ==, DR_BAD_INPUT);
    check_has(err.message, "styles.csv has no column \"name\"");
    dr_style_list_free(&list);
    check_int(parse(&list, "name;prompt\n", &err), ==, DR_BAD_INPUT);
    dr_style_list_free(&list);
    check_int(parse(&list, "name,negative_prompt\n", &err), ==, DR_BAD_INPUT);
    check_has(err.message, "no column \"prompt\"");
    dr_style_list_free(&list);
}

static void too_many_are_refused(void)
{
    struct dr_style_list list = {0};
    struct dr_error err;
    const size_t room = 16 * (STYLE_FILE_MAX_STYLES + 2);
    char *const text = malloc(room);
    size_t bytes = (size_t)snprintf(text, room, "name,prompt\n");
    for (int i = 0; i <= STYLE_FILE_MAX_STYLES; ++i)
        bytes += (size_t)snprintf(text + bytes, room - bytes, "%d,x\n", i);
    check_int(style_file_parse(&list, "many.csv", text, bytes, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "more than 10000 styles");
    dr_style_list_free(&list);
    free(text);
}

static void files_are_found_and_read(void)
{
    struct dr_style_list list = {0};
    struct dr_error err;
    static const char text[] = "\xEF\xBB\xBFname,prompt\nink,in ink\n";
    scratch_write(scratch_path("s.csv"), text, sizeof text - 1);
    check(style_file_find(scratch_path("s.csv"), "/by/setting.csv", list.path));
    check_int(style_file_read(&list, &err), ==, DR_OK);
    is_style(&list.styles[0], "ink", "in ink", "");
    dr_style_list_free(&list);
    check(style_file_find(scratch_path("gone.csv"), NULL, list.path));
    check_int(style_file_read(&list, &err), ==, DR_NOT_FOUND);
    dr_style_list_free(&list);
    setenv("DARKROOM_STYLES", "/by/environment.csv", 1);
    check(style_file_find(NULL, "/by/setting.csv", list.path));
    check_str(list.path, "/by/environment.csv");
    unsetenv("DARKROOM_STYLES");
    check(style_file_find(NULL, "/by/setting.csv", list.path));
    check_str(list.path, "/by/setting.csv");
    setenv("XDG_DATA_HOME", "/data", 1);
    check(!style_file_find(NULL, "", list.path));
    check_str(list.path, "/data/darkroom/styles.csv");
}

static void applied(const char *style, const char *prompt, const char *expected)
{
    char *const text = style_file_apply(style, prompt, 1000);
    check_str(text, expected);
    free(text);
}

/* As merge_prompts of A1111's modules/styles.py gives it. */
static void styles_are_applied(void)
{
    applied("at night", "a cat", "a cat, at night");
    applied(" at night ", " a cat\n", "a cat, at night");
    applied("", " a cat ", "a cat");
    applied("at night", "", "at night");
    applied("  ", "", "");
    applied("{prompt}, at night", " a cat ", " a cat , at night");
    applied("{prompt} and {prompt}", "a cat", "a cat and a cat");
    applied("{prompt}", "", "");
    applied("{promp} {prompt", "a", "a, {promp} {prompt");
    applied("<{prompt}>", "{prompt}", "<{prompt}>");
}

static void what_grows_is_bounded(void)
{
    check(!style_file_apply("{prompt}{prompt}", "12345", 9));
    char *text = style_file_apply("{prompt}{prompt}", "12345", 10);
    check_str(text, "1234512345");
    free(text);
    check(!style_file_apply("123", "12345", 9));
    check(!style_file_apply("", "12345", 4));
    text = style_file_apply("123", "12345", 10);
    check_str(text, "12345, 123");
    free(text);
}

int main(void)
{
    check_run(a_table_is_read);
    check_run(columns_have_names);
    check_run(too_many_are_refused);
    check_run(files_are_found_and_read);
    check_run(styles_are_applied);
    check_run(what_grows_is_bounded);
    return check_done();
}
