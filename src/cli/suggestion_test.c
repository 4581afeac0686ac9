#include "suggestion.h"

#include "check.h"

static const char *nearest(const char *typed)
{
    static char word[SUGGESTION_MAX_BYTES + 1];
    static const char *const words[] = {"generate", "again",   "encode", "decode",
                                        "vae",      "vaes",    "model",  "models",
                                        "euler",    "euler-a", "ddim",   "memory"};
    struct suggestion suggestion;
    suggestion_begin(&suggestion, typed);
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i)
        suggestion_offer(&suggestion, words[i]);
    (void)snprintf(word, sizeof word, "%s",
                   suggestion_word(&suggestion) ? suggestion_word(&suggestion) : "");
    return word;
}

static void slips_are_recognised(void)
{
    check_str(nearest("genrate"), "generate");
    check_str(nearest("generaet"), "generate");
    check_str(nearest("Generate"), "generate");
    check_str(nearest("gen"), "generate");
    check_str(nearest("enocde"), "encode");
    check_str(nearest("vea"), "vae");
    check_str(nearest("Euler a"), "euler-a");
    check_str(nearest("eulr"), "euler");
    check_str(nearest("mdoels"), "models");
}

static void other_words_are_not(void)
{
    check_str(nearest("quit"), "");
    check_str(nearest("x"), "");
    check_str(nearest(""), "");
    check_str(nearest("photograph"), "");
    check_str(nearest("a very long word that nobody would take for a command at all"),
              "");
}

static void a_text_says_it(void)
{
    char text[SUGGESTION_TEXT_BYTES];
    struct suggestion suggestion;
    suggestion_begin(&suggestion, "modle");
    check_str(suggestion_text(&suggestion, SUGGESTION_ENDS, text), "");
    check_str(suggestion_text(&suggestion, SUGGESTION_GOES_ON, text), "; ");
    suggestion_offer(&suggestion, "model");
    check_str(suggestion_text(&suggestion, SUGGESTION_ENDS, text),
              "; did you mean model?");
    check_str(suggestion_text(&suggestion, SUGGESTION_GOES_ON, text),
              "; did you mean model? ");
}

int main(void)
{
    check_run(slips_are_recognised);
    check_run(other_words_are_not);
    check_run(a_text_says_it);
    return check_done();
}
