#include "words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static enum dr_code fail(struct dr_error *err, const char *message)
{
    err->code = DR_BAD_INPUT;
    (void)snprintf(err->message, sizeof err->message, "%s", message);
    return DR_BAD_INPUT;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one word from *read to *write, unquoted. Reading is never behind writing. */
static enum dr_code take_word(char **read, char **write, struct dr_error *err)
{
    char *from = *read, *to = *write;
    char quote = '\0';
    for (; *from && (quote || !is_blank(*from)); ++from) {
        if (quote == '\'') {
            if (*from == '\'')
                quote = '\0';
            else
                *to++ = *from;
        } else if (*from == '\\' && (!quote || strchr("\"\\$`", from[1]))) {
            if (!from[1]) return fail(err, "the line ends with a backslash");
            *to++ = *++from;
        } else if (*from == '"' || (*from == '\'' && !quote)) {
            quote = quote ? '\0' : *from;
        } else {
            *to++ = *from;
        }
    }
    if (quote)
        return fail(err, quote == '"' ? "a double quote is not closed"
                                      : "a single quote is not closed");
    *read = from;
    *write = to;
    return DR_OK;
}

enum dr_code words_split(struct words *words, char *line, struct dr_error *err)
{
    char *read = line, *write = line;
    words->count = 0;
    for (;;) {
        while (is_blank(*read))
            ++read;
        if (!*read || *read == '#') break;
        if (words->count == WORDS_MAX_COUNT)
            return fail(err, "the line has more than 256 words");
        char *const word = write;
        const enum dr_code code = take_word(&read, &write, err);
        if (code != DR_OK) return code;
        const bool at_end = !*read;
        *write++ = '\0';
        words->list[words->count++] = word;
        if (at_end) break;
        ++read;
    }
    words->list[words->count] = NULL;
    return DR_OK;
}
