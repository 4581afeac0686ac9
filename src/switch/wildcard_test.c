#include "check.h"
#include "scratch_folder.h"

#include <sys/stat.h>

#include "switch/wildcard.h"

static void put(const char *name, const char *text)
{
    scratch_write(scratch_path(name), text, strlen(text));
}

static void put_all(void)
{
    (void)mkdir(scratch_path("birds"), 0700);
    put("one.txt", "red\n");
    put("colour.txt", "\n# a comment\n red \t\r\ngreen\n\n#\nblue");
    put("birds/sea-bird.txt", "gull");
    put("deep.txt", "a __colour__ __one__");
    put("loop.txt", "x __loop__");
    put("empty.txt", "\n# nothing\n  \n");
    put("_a.txt", "under");
    put("\xC3\xA9t\xC3\xA9.txt", "summer");
}

static void becomes(const char *text, const char *expected, int32_t replaced)
{
    struct dr_error err;
    char *out;
    int32_t count;
    check_int(wildcard_expand(text, scratch_folder(), 0, &out, &count, &err), ==,
              DR_OK);
    if (!out) return;
    check_str(out, expected);
    check_int(count, ==, replaced);
    free(out);
}

static void names_are_replaced(void)
{
    becomes("", "", 0);
    becomes("a __one__ cat", "a red cat", 1);
    becomes("__one__", "red", 1);
    becomes("(__one__:1.2), __birds/sea-bird__!", "(red:1.2), gull!", 2);
    becomes("__one__ __one__", "red red", 2);
    becomes("___a__", "under", 1);
    becomes("__\xC3\xA9t\xC3\xA9__", "summer", 1);
    becomes("[__one__:__one__:0.5]", "[red:red:0.5]", 2);
}

static void all_else_is_text(void)
{
    becomes("__", "__", 0);
    becomes("____", "____", 0);
    becomes("a__one__b", "a__one__b", 0);
    becomes("a __one__b", "a __one__b", 0);
    becomes("__no name__", "__no name__", 0);
    becomes("__../one__", "__../one__", 0);
    becomes("__birds/../one__", "__birds/../one__", 0);
    becomes("__/one__", "__/one__", 0);
    becomes("__one/__", "__one/__", 0);
    becomes("_one_ snake_case", "_one_ snake_case", 0);
    becomes("__open", "__open", 0);
    becomes("__no name__one__", "__no name__one__", 0);
}

/* What Python chooses: random.Random(seed).choice(["red", "green", "blue"]). */
static void the_seed_chooses(void)
{
    static const char *const chosen[] = {"green", "red",  "red",   "red", "red",
                                         "blue",  "blue", "green", "red", "green"};
    struct dr_error err;
    char *out;
    int32_t count;
    for (uint64_t seed = 0; seed < 10; ++seed) {
        check_int(wildcard_expand("__colour__", scratch_folder(), seed, &out, &count,
                                  &err),
                  ==, DR_OK);
        check_str(out, chosen[seed]);
        free(out);
    }
    /* random.Random(5).choices in the order of the text. */
    check_int(wildcard_expand("__colour__ __colour__ __colour__", scratch_folder(), 5,
                              &out, &count, &err),
              ==, DR_OK);
    check_str(out, "blue green blue");
    free(out);
}

static void refused(const char *text, enum dr_code code, const char *part)
{
    struct dr_error err;
    char *out;
    int32_t count;
    check_int(wildcard_expand(text, scratch_folder(), 0, &out, &count, &err), ==, code);
    check(!out);
    check_has(err.message, part);
}

static void lines_may_have_their_own(void)
{
    becomes("__deep__.", "a green red.", 3);
    refused("__loop__", DR_BAD_INPUT, "more than 256 wildcards, at __loop__");
}

static void what_is_missing_is_named(void)
{
    refused("a __gone__", DR_NOT_FOUND, "/gone.txt: write that file");
    refused("a __birds/gone__", DR_NOT_FOUND, "birds/gone.txt");
    refused("__empty__", DR_BAD_INPUT, "empty.txt has no line to choose from");
    put("latin.txt", "\xE9t\xE9");
    refused("__latin__", DR_BAD_INPUT, "is not UTF-8");
}

static void a_long_line_is_bounded(void)
{
    const size_t bytes = WILDCARD_MAX_TEXT_BYTES / 2 + 1;
    char *const text = malloc(bytes);
    memset(text, 'x', bytes);
    scratch_write(scratch_path("long.txt"), text, bytes);
    refused("__long__ __long__", DR_BAD_INPUT, "more than 1048576");
    free(text);
}

static void a_folder_is_found(void)
{
    char folder[DR_PATH_BYTES];
    wildcard_folder_find("here", "/by/setting", folder);
    check_str(folder, "here");
    setenv("DARKROOM_WILDCARD_DIR", "/by/environment", 1);
    wildcard_folder_find(NULL, "/by/setting", folder);
    check_str(folder, "/by/environment");
    unsetenv("DARKROOM_WILDCARD_DIR");
    wildcard_folder_find(NULL, "/by/setting", folder);
    check_str(folder, "/by/setting");
    setenv("XDG_DATA_HOME", "/data", 1);
    wildcard_folder_find(NULL, NULL, folder);
    check_str(folder, "/data/darkroom/wildcards");
}

int main(void)
{
    put_all();
    check_run(names_are_replaced);
    check_run(all_else_is_text);
    check_run(the_seed_chooses);
    check_run(lines_may_have_their_own);
    check_run(what_is_missing_is_named);
    check_run(a_long_line_is_bounded);
    check_run(a_folder_is_found);
    return check_done();
}
