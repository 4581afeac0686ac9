/* darkroom — the command line program. It is built on include/darkroom/ and on src/front,
 * which makes the answers: what it can do, any program that embeds the library can.
 *
 *     main      what was asked: help, version, completion, one command, or the shell
 *     options   the table of options; words: a shell line split
 *     commands  each command once (switch_commands, picture_commands, generate_command with
 *               prompt_list, output_names and stdout_picture); session: one command run, timed,
 *               answered
 *     listing   an answer as text for people; profile_table: a job's profile
 *     shell     a session that reads lines (line_input, or line_editor with completion and history);
 *               talk: progress and log; interrupt: signals
 *     memory_log       regions as they come and go
 *     start_settings   what the C library reads before main
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <darkroom/darkroom.h>

#include "commands.h"
#include "interrupt.h"
#include "session.h"
#include "shell.h"
#include "start_settings.h"

static const char intro[] =
    "darkroom makes pictures with Stable Diffusion checkpoints, and checks its memory use against the\n"
    "kernel's figures.\n"
    "\n"
    "usage: darkroom COMMAND [option...]\n"
    "       darkroom --help | --version\n"
    "\n";
static const char outro[] =
    "\n"
    "darkroom COMMAND --help lists the options of a command; the man page darkroom(1) describes\n"
    "everything.\n"
    "\n"
    "  darkroom generate -m sd15.safetensors -p \"a lighthouse at dusk\" -o dusk.png\n"
    "  darkroom generate -m sd15.safetensors --vae my-vae.safetensors -p \"a lighthouse\" --seed 7\n"
    "  darkroom memory -m sd15.safetensors -W 768 -H 768\n";

static int print_intro(FILE *stream)
{
    fputs(intro, stream);
    command_print_list(stream, ON_COMMAND_LINE);
    fputs(outro, stream);
    return fflush(stream) == 0 ? 0 : dr_code_exit(DR_IO);
}

/* What bash completion asks: `--complete` lists commands, `--complete COMMAND` its options,
 * `--complete COMMAND OPTION` the values of one. Not for people, so not in the help. */
static int complete(int count, const char *const *words)
{
    const struct command *const command =
        count > 0 ? command_find(words[0], ON_COMMAND_LINE) : NULL;
    if (count == 0) {
        for (int i = 0; command_at(i); ++i)
            if (command_at(i)->where & ON_COMMAND_LINE) puts(command_at(i)->name);
    } else if (command && count == 1) {
        options_print_names(stdout, command->bit);
    } else if (command) {
        options_print_values(stdout, words[1]);
    }
    return fflush(stdout) == 0 ? 0 : dr_code_exit(DR_IO);
}

static int run_one_shot(const char *name, int count, const char *const *words)
{
    struct session session;
    const struct options start = options_default();
    session_init(&session, SESSION_ONE_SHOT, &start);
    const enum dr_code code = session_run(&session, name, count, words);
    session_finish(&session);
    return session.output_failed ? dr_code_exit(DR_IO) : dr_code_exit(code);
}

/* A standard stream that is closed would lend its number to the first file that is opened, and
 * then be written to. */
static void open_standard_streams(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; ++fd)
        if (fcntl(fd, F_GETFD) == -1) (void)!open("/dev/null", O_RDWR);
}

int main(int count, char **words)
{
    struct dr_error err = {0};
    open_standard_streams();
    const char *const *const all = (const char *const *)words;
    const char *const first = count > 1 ? all[1] : "--help";
    if (count < 2) {
        (void)print_intro(stderr);
        return dr_code_exit(DR_BAD_INPUT);
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 ||
        (strcmp(first, "help") == 0 && count == 2))
        return print_intro(stdout);
    if (strcmp(first, "--version") == 0) {
        printf("darkroom %s\n", dr_version());
        return fflush(stdout) == 0 ? 0 : dr_code_exit(DR_IO);
    }
    if (strcmp(first, "--complete") == 0) return complete(count - 2, all + 2);
    start_settings_apply(words);
    if (interrupt_install(&err) != DR_OK) {
        fprintf(stderr, "darkroom: %s\n", err.message);
        return dr_code_exit(err.code);
    }
    if (strcmp(first, "shell") == 0) return shell_run(count - 2, all + 2);
    return run_one_shot(first, count - 2, all + 2);
}
