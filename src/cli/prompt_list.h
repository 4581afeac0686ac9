/* prompt_list — the prompts of a command: the one that was typed, or those of a file, one job each.
 *
 *     -p "a lighthouse"   that one
 *     -p @FILE            a line each; lines without any text are left out
 *     -p -                the same, from standard input
 *     -p @@home           "@home"
 *
 * A line is a prompt as it stands: no quotes, no comments. Blanks at its ends are taken off.
 */
#ifndef CLI_PROMPT_LIST_H
#define CLI_PROMPT_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include <darkroom/darkroom.h>

enum {
    PROMPT_LIST_MOST = 10000
};

struct prompt_list {
    char **prompts; /* owned */
    int32_t count;
};

/* Is it the name of a list, rather than a prompt? */
bool prompt_list_is_named(const char *prompt);

/* Errors: DR_NOT_FOUND, DR_IO; DR_BAD_INPUT: there is no prompt in it, or too many or too long ones;
 * DR_CANCELLED where a signal ends the waiting for standard input; DR_NOMEM. */
enum dr_code prompt_list_make(struct prompt_list *list, const char *prompt,
                              struct dr_error *err) DR_MUST_CHECK;
/* That one prompt, whatever it begins with. Errors: DR_NOMEM. */
enum dr_code prompt_list_make_one(struct prompt_list *list, const char *prompt,
                                  struct dr_error *err) DR_MUST_CHECK;
/* A zeroed list is fine. */
void prompt_list_finish(struct prompt_list *list);

#endif
