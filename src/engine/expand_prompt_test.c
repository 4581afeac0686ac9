#include "check.h"
#include "scratch_folder.h"

#include <unistd.h>

#include <darkroom/darkroom.h>

static struct dr_expansion expansion(const char *prompt, const char *negative)
{
    static const char styles[] =
        "name,prompt,negative_prompt\n"
        "night,\"{prompt}, at night\",day\n"
        "ink,in __one__ ink,\n"
        "many,\"{prompt}{prompt}{prompt}{prompt}{prompt}{prompt}\",\n";
    scratch_write(scratch_path("styles.csv"), styles, sizeof styles - 1);
    scratch_write(scratch_path("one.txt"), "red", 3);
    scratch_write(scratch_path("two.txt"), "a\nb", 3);
    return (struct dr_expansion){.prompt = prompt,
                                 .negative = negative,
                                 .styles_path = scratch_path("styles.csv"),
                                 .wildcard_directory = scratch_folder()};
}

static void becomes(const struct dr_expansion *how, const char *prompt,
                    const char *negative, int32_t wildcards)
{
    struct dr_expanded is;
    struct dr_error err;
    check_int(dr_expand_prompt(how, &is, &err), ==, DR_OK);
    check_str(is.prompt, prompt);
    check(!is.negative == !negative);
    if (is.negative && negative) check_str(is.negative, negative);
    check_int(is.wildcard_count, ==, wildcards);
    dr_expanded_free(&is);
}

static void styles_then_wildcards(void)
{
    static const char *const both[] = {"night", "Ink"};
    struct dr_expansion how = expansion("a __one__ cat", NULL);
    becomes(&how, "a red cat", NULL, 1);
    how.keeps_wildcards = 1;
    becomes(&how, "a __one__ cat", NULL, 0);
    how.keeps_wildcards = 0;
    how.styles = both;
    how.style_count = 1;
    becomes(&how, "a red cat, at night", "day", 1);
    how.style_count = 2;
    becomes(&how, "a red cat, at night, in red ink", "day", 2);
    how.negative = "";
    becomes(&how, "a red cat, at night, in red ink", "day", 2);
    how.negative = "__one__ dog";
    becomes(&how, "a red cat, at night, in red ink", "red dog, day", 3);
    how.style_count = 0;
    how.negative = "";
    becomes(&how, "a red cat", "", 1);
}

/* random.Random(seed).choice("ab"): a for 1, b for 0. Prompt and negative prompt begin alike. */
static void the_seed_chooses(void)
{
    struct dr_expansion how = expansion("__two__", "__two__");
    becomes(&how, "b", "b", 2);
    how.seed = 1;
    becomes(&how, "a", "a", 2);
}

static void refused(const struct dr_expansion *how, enum dr_code code, const char *part)
{
    struct dr_expanded is;
    struct dr_error err;
    check_int(dr_expand_prompt(how, &is, &err), ==, code);
    check_has(err.message, part);
    check(!is.prompt && !is.negative);
}

static void what_is_wrong_is_said(void)
{
    const char *names[30] = {"noon"};
    struct dr_expansion how = expansion("a cat", NULL);
    how.styles = names;
    how.style_count = 1;
    refused(&how, DR_NOT_FOUND, "no style \"noon\"");
    for (size_t i = 0; i < 30; ++i)
        names[i] = "many";
    how.style_count = 30;
    refused(&how, DR_BAD_INPUT, "more than 1048576 bytes");
    how.styles_path = "/nowhere/styles.csv";
    refused(&how, DR_NOT_FOUND, "/nowhere/styles.csv");
    how.style_count = 0;
    how.prompt = "__none__";
    refused(&how, DR_NOT_FOUND, "none.txt");
}

static void a_default_may_be_missing(void)
{
    struct dr_style_list list;
    struct dr_error err;
    setenv("XDG_DATA_HOME", scratch_folder(), 1);
    check_int(dr_list_styles(NULL, &list, &err), ==, DR_OK);
    check_int(list.count, ==, 0);
    check_has(list.path, "/darkroom/styles.csv");
    dr_style_list_free(&list);
    check_int(dr_list_styles("/nowhere/styles.csv", &list, &err), ==, DR_NOT_FOUND);
    check_int(list.count, ==, 0);
    const struct dr_expansion how = {.prompt = "a cat"};
    becomes(&how, "a cat", NULL, 0);
}

static void settings_name_the_places(void)
{
    static const struct dr_setting places[] = {
        {"styles",       "styles.csv"},
        {"wildcard_dir", "."         }
    };
    static const char *const styles[] = {"ink"};
    const struct dr_settings_change change = {.settings = places, .setting_count = 2};
    const struct dr_expansion how = {.prompt = "a __one__ cat",
                                     .styles = styles,
                                     .style_count = 1};
    struct dr_settings settings;
    struct dr_error err;
    (void)expansion("", NULL); /* writes the files */
    setenv("XDG_CONFIG_HOME", scratch_path("config"), 1);
    check_int(chdir(scratch_folder()), ==, 0);
    check_int(dr_settings_change(NULL, &change, &settings, &err), ==, DR_OK);
    check_str(settings.styles_file, scratch_path("styles.csv"));
    check_str(settings.wildcard_folder, scratch_folder());
    check_str(settings.warnings, "");
    dr_settings_free(&settings);
    becomes(&how, "a red cat, in red ink", NULL, 2);
}

int main(void)
{
    setenv("XDG_CONFIG_HOME", "/nowhere", 1);
    check_run(styles_then_wildcards);
    check_run(the_seed_chooses);
    check_run(what_is_wrong_is_said);
    check_run(a_default_may_be_missing);
    check_run(settings_name_the_places);
    return check_done();
}
