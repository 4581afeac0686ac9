#include "words.h"

#include <stdlib.h>

#include "check.h"

static char buffer[4096];
static struct words words;
static struct dr_error err;

static enum dr_code split(const char *line)
{
    (void)snprintf(buffer, sizeof buffer, "%s", line);
    err = (struct dr_error){0};
    return words_split(&words, buffer, &err);
}

/* The words of a line as "[a][b]". */
static const char *shown(const char *line)
{
    static char text[4096];
    size_t used = 0;
    if (split(line) != DR_OK) return err.message;
    text[0] = '\0';
    for (int i = 0; i < words.count; ++i)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "[%s]", words.list[i]);
    check(words.list[words.count] == NULL);
    return text;
}

static void splits_at_blanks(void)
{
    check_str(shown(""), "");
    check_str(shown("   \t "), "");
    check_str(shown("one"), "[one]");
    check_str(shown("  one   two\tthree  "), "[one][two][three]");
    check_str(shown("quit\r"), "[quit]");
    check_str(shown("a b\r\n"), "[a][b]");
}

static void keeps_quoted_text(void)
{
    check_str(shown("-p 'a  b'"), "[-p][a  b]");
    check_str(shown("-p \"a  b\""), "[-p][a  b]");
    check_str(shown("''"), "[]");
    check_str(shown("a '' b \"\""), "[a][][b][]");
    check_str(shown("a'b c'd\"e f\"g"), "[ab cde fg]");
    check_str(shown("'\"' \"'\""), "[\"][']");
}

static void obeys_backslashes(void)
{
    check_str(shown("a\\ b"), "[a b]");
    check_str(shown("\\'a\\\""), "['a\"]");
    check_str(shown("'a\\b'"), "[a\\b]");
    check_str(shown("\"a\\b\\\\c\\\"d\\$e\\`f\""), "[a\\b\\c\"d$e`f]");
    check_str(shown("\\#a"), "[#a]");
}

static void leaves_comments_out(void)
{
    check_str(shown("# all of it"), "");
    check_str(shown("a # the rest"), "[a]");
    check_str(shown("a#b"), "[a#b]");
    check_str(shown("'#' b"), "[#][b]");
}

static void expands_nothing(void)
{
    check_str(shown("$HOME *.png ~ `ls` a;b|c&d>e"),
              "[$HOME][*.png][~][`ls`][a;b|c&d>e]");
}

static void says_what_is_wrong(void)
{
    check_int(split("-p 'abc"), ==, DR_BAD_INPUT);
    check_has(err.message, "single quote");
    check_int(split("-p \"abc"), ==, DR_BAD_INPUT);
    check_has(err.message, "double quote");
    check_int(split("abc\\"), ==, DR_BAD_INPUT);
    check_has(err.message, "backslash");
    check_int(split("\"abc\\"), ==, DR_BAD_INPUT);
}

static void counts_words(void)
{
    char line[2 * WORDS_MAX_COUNT + 8] = "";
    for (int i = 0; i < WORDS_MAX_COUNT; ++i)
        strcat(line, "a ");
    check_int(split(line), ==, DR_OK);
    check_int(words.count, ==, WORDS_MAX_COUNT);
    strcat(line, "b");
    check_int(split(line), ==, DR_BAD_INPUT);
    check_has(err.message, "256");
}

/* Any words, quoted in one of three ways, come back as they were. */
static void round_trips(void)
{
    static const char alphabet[] = "ab '\"\\#$`\t-=\xC3\xA4";
    const unsigned seed = 12345;
    fprintf(stderr, "seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 500; ++round) {
        char expected[8][16], line[1024] = "";
        const int count = rand() % 8;
        for (int i = 0; i < count; ++i) {
            const int length = rand() % 15;
            size_t used = strlen(line);
            for (int k = 0; k < length; ++k)
                expected[i][k] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
            expected[i][length] = '\0';
            const int manner = rand() % 3;
            const char *const quote = manner == 0 ? "'" : manner == 1 ? "\"" : "";
            used += (size_t)snprintf(line + used, sizeof line - used, " %s", quote);
            if (length == 0 && manner == 2)
                used += (size_t)snprintf(line + used, sizeof line - used, "''");
            for (const char *c = expected[i]; *c; ++c) {
                const char *form = "%c";
                if (manner == 0 && *c == '\'') form = "'\\%c'";
                if (manner == 1 && strchr("\"\\$`", *c)) form = "\\%c";
                if (manner == 2) form = "\\%c";
                /* One of the three forms above. */
                char piece[8];
                const int prefix = (int)(strchr(form, '%') - form);
                (void)snprintf(piece, sizeof piece, "%.*s%c%s", prefix, form, *c,
                               form + prefix + 2);
                used += (size_t)snprintf(line + used, sizeof line - used, "%s", piece);
            }
            (void)snprintf(line + used, sizeof line - used, "%s", quote);
        }
        check_int(split(line), ==, DR_OK);
        check_int(words.count, ==, count);
        for (int i = 0; i < count && i < words.count; ++i)
            check_str(words.list[i], expected[i]);
    }
}

int main(void)
{
    check_run(splits_at_blanks);
    check_run(keeps_quoted_text);
    check_run(obeys_backslashes);
    check_run(leaves_comments_out);
    check_run(expands_nothing);
    check_run(says_what_is_wrong);
    check_run(counts_words);
    check_run(round_trips);
    return check_done();
}
