#include "completion.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

/* The candidates, with a blank between. */
static const char *offered(const char *line)
{
    static char text[8192];
    struct completion completion;
    text[0] = '\0';
    completion_make(&completion, line, strlen(line));
    for (size_t i = 0; i < completion.count; ++i) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                       completion.list[i]);
    }
    completion_finish(&completion);
    return text;
}

/* The line after Tab, where it changes. */
static const char *completed(const char *line)
{
    static char text[1024];
    struct completion completion;
    completion_make(&completion, line, strlen(line));
    char *const word =
        completion.count
            ? completion_text(&completion, completion.list[0],
                              completion_common(&completion), completion.count == 1)
            : NULL;
    (void)snprintf(text, sizeof text, "%.*s%s", (int)completion.start, line,
                   word ? word : line + completion.start);
    free(word);
    completion_finish(&completion);
    return text;
}

static void commands_come_first(void)
{
    check_str(completed("gen"), "generate ");
    check_has(offered(""), "generate");
    check_has(offered("  "), "vae vaes");
    check_str(offered("nonsense"), "");
    check_str(offered("nonsense "), "");
    check_str(completed("help enc"), "help encode ");
    check_str(offered("shel"), ""); /* not a command of the shell */
}

static void options_are_the_commands_own(void)
{
    check_str(completed("generate --sam"), "generate --sampler ");
    check_str(offered("encode --sam"), "");
    check_has(offered("generate -"), "--width");
    check_has(offered("generate -"), "-W");
    check_str(offered("generate --precision"), ""); /* fixed when the shell starts */
    check_has(offered("generate -p \"a -\" --w"), "--width");
    check(!strstr(offered("generate -- --w"), "--width"));
}

static void values_are_the_options_own(void)
{
    check_str(offered("generate --sampler eu"), "euler euler-a");
    check_str(completed("generate --sampler eul"), "generate --sampler euler");
    check_str(completed("generate --sampler=ddi"), "generate --sampler=ddim ");
    check_has(offered("generate --scheduler "), "karras");
    check_str(offered("generate --rng "), "cpu cuda");
    check_str(offered("generate --seed "), "");
    check_str(offered("unload "), "model vae");
    check_has(offered("packs "), "list");
    check_str(completed("vae au"), "vae automatic ");
    check_str(offered("budget "), "default");
}

static void files_are_found(void)
{
    check_int(chdir(scratch_folder()), ==, 0);
    check_int(mkdir("models", 0700), ==, 0);
    check_int(mkdir("my folder", 0700), ==, 0);
    scratch_write("models/a.safetensors", "", 0);
    scratch_write("models/a.txt", "", 0);
    scratch_write("m.ckpt", "", 0);
    scratch_write(".hidden.ckpt", "", 0);
    scratch_write("it's \"one\".png", "", 0);
    scratch_write("l\xC3\xA4ng.png", "", 0);
    scratch_write("l\xC3\xB6ng.png", "", 0);
    check_str(offered("model "), "m.ckpt models/ my folder/");
    check_str(offered("generate -m m"), "m.ckpt models/ my folder/");
    check_str(completed("model mo"), "model models/");
    check_str(completed("model models/"), "model models/a.safetensors ");
    check_str(completed("inspect models/a.t"), "inspect models/a.txt ");
    check_str(completed("model .h"), "model .hidden.ckpt ");
    check_str(completed("generate -o my"), "generate -o my\\ folder/");
    check_str(completed("generate -o 'my"), "generate -o 'my folder/");
    check_str(completed("inspect it"), "inspect it\\'s\\ \\\"one\\\".png ");
    check_str(completed("inspect \"it"), "inspect \"it's \\\"one\\\".png\" ");
    check_str(completed("inspect it\\'s\\ \\\"o"), "inspect it\\'s\\ \\\"one\\\".png ");
    /* No half of a character is typed. */
    check_str(completed("inspect l"), "inspect l");
    check_str(completed("inspect l\xC3\xA4"), "inspect l\xC3\xA4ng.png ");
    check_str(offered("inspect missing/"), "");
    check_str(completed("generate --output=models/a.t"),
              "generate --output=models/a.txt ");
}

static void models_have_names(void)
{
    check_int(setenv("DARKROOM_MODELS", scratch_path("models"), 1), ==, 0);
    check_int(setenv("XDG_CONFIG_HOME", scratch_path("none"), 1), ==, 0);
    scratch_write("models/paintings-xl.safetensors", "", 0);
    check_str(completed("model pain"), "model paintings-xl ");
    check_str(completed("generate -m pain"), "generate -m paintings-xl ");
    check_str(completed("generate --model=pain"), "generate --model=paintings-xl ");
    check_str(offered("inspect pain"), "");
    check_int(unlink("models/paintings-xl.safetensors"), ==, 0);
}

static void labels_are_last_parts(void)
{
    struct completion completion;
    static const char line[] = "inspect models/a";
    completion_make(&completion, line, sizeof line - 1);
    check_int(completion.count, ==, 2);
    check_str(completion_label(&completion, completion.list[0]), "a.safetensors");
    check_str(completion_label(&completion, "models/"), "models/");
    completion_finish(&completion);
}

static void a_comment_has_none(void)
{
    check_str(offered("# gen"), "");
    check_str(offered("generate # --w"), "");
}

static void many_words_are_no_matter(void)
{
    static char line[4096];
    for (int i = 0; i < 1000; ++i)
        memcpy(line + 2 * i, "a ", 3);
    check_str(offered(line), "");
}

int main(void)
{
    check_run(commands_come_first);
    check_run(options_are_the_commands_own);
    check_run(values_are_the_options_own);
    check_run(files_are_found);
    check_run(models_have_names);
    check_run(labels_are_last_parts);
    check_run(a_comment_has_none);
    check_run(many_words_are_no_matter);
    return check_done();
}
