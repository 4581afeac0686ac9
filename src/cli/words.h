/* words — one line of the shell, split as a POSIX shell would: blanks separate, '...' keeps all,
 * "..." keeps all but \" \\ \$ \`, a backslash keeps the next character, # begins a comment at the
 * start of a word. No expansion of any kind.
 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include <darkroom/error.h>

enum {
    WORDS_MAX_COUNT = 256
};

struct words {
    const char *list[WORDS_MAX_COUNT + 1]; /* NULL-terminated; pointers into the line */
    int count;
};

/* line is changed: words are unquoted in place and terminated. Errors: DR_BAD_INPUT (a quote
 * that is not closed, a backslash at the end, too many words). */
enum dr_code words_split(struct words *words, char *line,
                         struct dr_error *err) DR_MUST_CHECK;

#endif
