#include "prompt_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "interrupt.h"
#include "line_input.h"

bool prompt_list_is_named(const char *prompt)
{
    return strcmp(prompt, "-") == 0 || (prompt[0] == '@' && prompt[1] != '@');
}

static enum dr_code add(struct prompt_list *list, const char *text, size_t bytes,
                        struct dr_error *err)
{
    char *const copy = strndup(text, bytes);
    char **const more =
        copy ? realloc(list->prompts, ((size_t)list->count + 1) * sizeof *more) : NULL;
    if (!more) {
        free(copy);
        return command_fail(err, DR_NOMEM, "out of memory for the prompts");
    }
    list->prompts = more;
    list->prompts[list->count++] = copy;
    return DR_OK;
}

/* A line without the blanks at its ends, and the mark that some editors put before the first. */
static enum dr_code add_line(struct prompt_list *list, const char *line, int number,
                             const char *name, struct dr_error *err)
{
    static const char blanks[] = " \t\r\f\v", mark[] = "\xEF\xBB\xBF";
    if (number == 1 && strncmp(line, mark, sizeof mark - 1) == 0)
        line += sizeof mark - 1;
    line += strspn(line, blanks);
    size_t bytes = strlen(line);
    while (bytes > 0 && strchr(blanks, line[bytes - 1]))
        --bytes;
    if (bytes == 0) return DR_OK;
    if (list->count == PROMPT_LIST_MOST)
        return command_fail(err, DR_BAD_INPUT, "%.400s has more than %d prompts", name,
                            PROMPT_LIST_MOST);
    return add(list, line, bytes, err);
}

static enum dr_code read_lines(struct prompt_list *list, struct line_input *input,
                               const char *name, struct dr_error *err)
{
    for (int number = 1;; ++number) {
        char *line = NULL;
        enum dr_code code = DR_OK;
        switch (line_input_next(input, &line)) {
        case LINE_READY: code = add_line(list, line, number, name, err); break;
        case LINE_END:
            return list->count > 0
                       ? DR_OK
                       : command_fail(err, DR_BAD_INPUT,
                                      "%.400s has no prompt; write one per line", name);
        case LINE_STOPPED:
            if (interrupt_seen())
                return command_fail(err, DR_CANCELLED, "cancelled before it started");
            --number;
            break;
        case LINE_TOO_LONG:
        case LINE_HAS_NUL:
            return command_fail(
                err, DR_BAD_INPUT,
                "line %d of %.400s is not a prompt: it is longer than 1 "
                "MiB or has a NUL byte",
                number, name);
        case LINE_FAILED:
            return command_fail(err, DR_IO, "cannot read %.400s: %s", name,
                                strerror(errno));
        }
        if (code != DR_OK) return code;
    }
}

static enum dr_code read_list(struct prompt_list *list, int fd, int wake_fd,
                              const char *name, struct dr_error *err)
{
    struct line_input input;
    line_input_init(&input, fd, wake_fd);
    const enum dr_code code = read_lines(list, &input, name, err);
    line_input_finish(&input);
    return code;
}

static enum dr_code read_file(struct prompt_list *list, const char *path,
                              struct dr_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return command_fail(err, errno == ENOENT ? DR_NOT_FOUND : DR_IO,
                            "cannot open the file of prompts %.400s: %s (a prompt that "
                            "begins with @ is written @@)",
                            path, strerror(errno));
    const enum dr_code code = read_list(list, fd, -1, path, err);
    (void)close(fd);
    return code;
}

enum dr_code prompt_list_make(struct prompt_list *list, const char *prompt,
                              struct dr_error *err)
{
    enum dr_code code = DR_OK;
    *list = (struct prompt_list){0};
    if (strcmp(prompt, "-") == 0) {
        if (isatty(STDIN_FILENO))
            fputs("Type prompts, one per line; Ctrl-D ends the list.\n", stderr);
        code = read_list(list, STDIN_FILENO, interrupt_fd(), "standard input", err);
    } else if (prompt_list_is_named(prompt)) {
        code = read_file(list, prompt + 1, err);
    } else {
        const char *const text = prompt[0] == '@' ? prompt + 1 : prompt;
        code = add(list, text, strlen(text), err);
    }
    if (code != DR_OK) prompt_list_finish(list);
    return code;
}

enum dr_code prompt_list_make_one(struct prompt_list *list, const char *prompt,
                                  struct dr_error *err)
{
    *list = (struct prompt_list){0};
    const enum dr_code code = add(list, prompt, strlen(prompt), err);
    if (code != DR_OK) prompt_list_finish(list);
    return code;
}

void prompt_list_finish(struct prompt_list *list)
{
    for (int32_t i = 0; i < list->count; ++i)
        free(list->prompts[i]);
    free(list->prompts);
    *list = (struct prompt_list){0};
}
