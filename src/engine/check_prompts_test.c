/* dr_check_prompts: what is wrong with prompts is known before a model is there. */
#include "check.h"
#include "scratch_folder.h"

#include <string.h>
#include <sys/stat.h>

#include <darkroom/darkroom.h>

static struct dr_error err;

static enum dr_code look(const char *prompt, const char *negative)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = prompt;
    options.negative = negative;
    options.lora_directory = scratch_folder();
    return dr_check_prompts(&options, &err);
}

static void put(const char *name)
{
    scratch_write(scratch_path(name), "x", 1);
}

static void loras_are_looked_for(void)
{
    put("ink.safetensors");
    (void)mkdir(scratch_path("a"), 0700);
    put("a/twin.safetensors");
    put("twin.safetensors");
    check_int(look("a ring", NULL), ==, DR_OK);
    check_int(look("a ring <lora:Ink:0.5> <lora:ink:1:2>", "dark"), ==, DR_OK);
    check_int(look("<lora:brush:1>", NULL), ==, DR_NOT_FOUND);
    check(strstr(err.message, "\"brush\"") != NULL);
    check_int(look("<lora:twin:1>", NULL), ==, DR_BAD_INPUT);
    check_int(look("<lora:../ink:1>", NULL), ==, DR_NOT_FOUND);
    check_int(look("<hypernet:ink:1>", NULL), ==, DR_UNSUPPORTED);
    /* In a negative prompt it is text. */
    check_int(look("a ring", "<lora:brush:1>"), ==, DR_OK);
}

static void prompts_are_read(void)
{
    check_int(look("(red:1.2.3)", NULL), ==, DR_BAD_INPUT);
    check_int(look("red", "(red:1.2.3)"), ==, DR_BAD_INPUT);
    check_int(look("<lora:ink:nan>", NULL), ==, DR_BAD_INPUT);
    check_int(look("[[red|blue]:(green:1.5):0.3] AND x :0.5", "(dark"), ==, DR_OK);
    check_int(look("", NULL), ==, DR_OK);
}

static void plain_text_names_nothing(void)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "(red:1.2.3) <lora:brush:1>";
    options.prompt_syntax = DR_PROMPT_PLAIN;
    options.lora_directory = scratch_folder();
    check_int(dr_check_prompts(&options, &err), ==, DR_OK);
}

static void more_than_there_can_be_are_refused(void)
{
    char prompt[16 * (DR_MAX_LORAS + 1) + 1] = "";
    for (int i = 0; i < DR_MAX_LORAS; ++i)
        strcat(prompt, "<lora:ink:0.1>");
    check_int(look(prompt, NULL), ==, DR_OK);
    strcat(prompt, "<lora:ink:0.1>");
    check_int(look(prompt, NULL), ==, DR_BAD_INPUT);
}

int main(void)
{
    check_run(loras_are_looked_for);
    check_run(prompts_are_read);
    check_run(plain_text_names_nothing);
    check_run(more_than_there_can_be_are_refused);
    return check_done();
}
