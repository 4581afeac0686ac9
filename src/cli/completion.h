/* completion — what Tab offers on a line of the shell: commands, options, their values, and files.
 *
 *     generate --sam|          --sampler
 *     generate --sampler eu|   euler, euler-a
 *     model mod|               models/ (for a model: directories, and files that look like one)
 *     vae n|                   none
 *
 * Commands, options and values come from the tables that the parser and the help use. The line is read as the
 * shell reads it (words.h); a candidate is written in the quotes that the word has.
 */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>

enum {
    COMPLETION_MAX_COUNT = 1000 /* candidates; more are not listed */
};

struct completion {
    char **list; /* sorted; each is a whole word, unquoted */
    size_t count;
    size_t start; /* in the line: of the word that they take the place of */
    char quote;   /* that is open at the cursor; '\0': none */
    bool of_files;
    /* private below */
    size_t capacity;
};

/* cursor: bytes of the line before it. No memory: fewer candidates. */
void completion_make(struct completion *completion, const char *line, size_t cursor);
void completion_finish(struct completion *completion);

/* The bytes that all candidates begin with; 0 where there is none. */
size_t completion_common(const struct completion *completion);

/* A candidate's first `bytes` bytes as they are typed, malloc'ed; NULL: no memory. is_whole: the word ends here, with
 * its quote closed and a blank after it, unless it is a directory or waits for its value ("--steps="). */
char *completion_text(const struct completion *completion, const char *candidate,
                      size_t bytes, bool is_whole);

/* What is shown of a candidate in a list: of a path its last part. Points into it. */
const char *completion_label(const struct completion *completion,
                             const char *candidate);

#endif
