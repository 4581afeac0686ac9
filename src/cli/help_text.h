/* help_text — two columns of at most HELP_TEXT_COLUMNS: what can be typed, and what it does.
 *
 *       -W, --width PIXELS             width, a multiple of 8 (default: the
 *                                      checkpoint's, else 512)
 */
#ifndef CLI_HELP_TEXT_H
#define CLI_HELP_TEXT_H

#include <stdio.h>

enum {
    HELP_TEXT_COLUMNS = 100
};

/* column: where the text begins; on a line of its own where `left` is too long for that. */
void help_text_print_row(FILE *stream, const char *left, int column, const char *text);

#endif
