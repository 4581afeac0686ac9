/* suggestion — "did you mean": of the words that go, the one that is nearest to what was typed.
 *
 *     struct suggestion nearest;
 *     suggestion_begin(&nearest, "genrate");
 *     suggestion_offer(&nearest, "generate");   ... each
 *     if (suggestion_word(&nearest)) ...         NULL: none is near
 *
 * Near means a few letters missing, added, changed or exchanged (optimal string alignment; capitals do not matter), or the
 * beginning of the word.
 */
#ifndef CLI_SUGGESTION_H
#define CLI_SUGGESTION_H

enum {
    SUGGESTION_MAX_BYTES = 32 /* a longer word is compared with nothing */
};

struct suggestion {
    /* private */
    const char *typed;
    int distance;
    char word[SUGGESTION_MAX_BYTES + 1];
};

void suggestion_begin(struct suggestion *suggestion, const char *typed);
void suggestion_offer(struct suggestion *suggestion, const char *word);
const char *suggestion_word(const struct suggestion *suggestion);

/* "; did you mean WORD?" or "". With SUGGESTION_GOES_ON more of the sentence follows: "; did you mean WORD? " or "; ". The
 * text is the caller's. */
enum {
    SUGGESTION_TEXT_BYTES = SUGGESTION_MAX_BYTES + 32
};
enum suggestion_place {
    SUGGESTION_ENDS,
    SUGGESTION_GOES_ON
};
char *suggestion_text(const struct suggestion *suggestion, enum suggestion_place place,
                      char text[static SUGGESTION_TEXT_BYTES]);

#endif
