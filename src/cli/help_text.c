#include "help_text.h"

#include <string.h>

void help_text_print_row(FILE *stream, const char *left, int column, const char *text)
{
    int at = (int)strlen(left);
    fputs(left, stream);
    if (at + 1 > column) {
        fputc('\n', stream);
        at = 0;
    }
    fprintf(stream, "%*s", column - at, "");
    at = column;
    while (*text) {
        const size_t word = strcspn(text, " ");
        if (at > column && at + 1 + (int)word > HELP_TEXT_COLUMNS) {
            fprintf(stream, "\n%*s", column, "");
            at = column;
        }
        if (at > column) {
            fputc(' ', stream);
            ++at;
        }
        fprintf(stream, "%.*s", (int)word, text);
        at += (int)word;
        text += word + strspn(text + word, " ");
    }
    fputc('\n', stream);
}
