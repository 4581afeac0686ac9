#include "suggestion.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

static bool is_same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Both at most SUGGESTION_MAX_BYTES long. */
static int distance_of(const char *a, const char *b)
{
    int rows[3][SUGGESTION_MAX_BYTES + 1];
    const int a_bytes = (int)strlen(a), b_bytes = (int)strlen(b);
    for (int k = 0; k <= b_bytes; ++k)
        rows[0][k] = k;
    for (int i = 1; i <= a_bytes; ++i) {
        int *const row = rows[i % 3], *const above = rows[(i + 2) % 3];
        const int *const before = rows[(i + 1) % 3];
        row[0] = i;
        for (int k = 1; k <= b_bytes; ++k) {
            const bool same = is_same(a[i - 1], b[k - 1]);
            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + !same);
            if (i > 1 && k > 1 && is_same(a[i - 1], b[k - 2]) &&
                is_same(a[i - 2], b[k - 1]))
                row[k] = least(row[k], before[k - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

void suggestion_begin(struct suggestion *suggestion, const char *typed)
{
    const int bytes = (int)strlen(typed);
    *suggestion = (struct suggestion){.typed = typed};
    /* What is still near: one letter of a short word, three of a long one. */
    suggestion->distance = bytes < 2 ? 0 : 1 + least(1 + bytes / 4, 3);
}

void suggestion_offer(struct suggestion *suggestion, const char *word)
{
    const char *const typed = suggestion->typed;
    const size_t bytes = strlen(typed);
    if (bytes > SUGGESTION_MAX_BYTES || strlen(word) > SUGGESTION_MAX_BYTES) return;
    const bool is_beginning = bytes >= 3 && strncasecmp(word, typed, bytes) == 0;
    const int distance = is_beginning ? 1 : distance_of(typed, word);
    if (distance >= suggestion->distance) return;
    suggestion->distance = distance;
    (void)snprintf(suggestion->word, sizeof suggestion->word, "%s", word);
}

const char *suggestion_word(const struct suggestion *suggestion)
{
    return suggestion->word[0] ? suggestion->word : NULL;
}

char *suggestion_text(const struct suggestion *suggestion, enum suggestion_place place,
                      char text[static SUGGESTION_TEXT_BYTES])
{
    const bool goes_on = place == SUGGESTION_GOES_ON;
    if (suggestion->word[0])
        (void)snprintf(text, SUGGESTION_TEXT_BYTES, "; did you mean %s?%s",
                       suggestion->word, goes_on ? " " : "");
    else
        (void)snprintf(text, SUGGESTION_TEXT_BYTES, "%s", goes_on ? "; " : "");
    return text;
}
