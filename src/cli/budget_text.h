/* budget_text — a budget in the unit that a person typed: "1500M" is 1500 MiB, not 1.46 GiB.
 *
 * The library counts bytes. Where its answer or its refusal speaks of a budget that was typed, the same is said in
 * the typed unit too.
 */
#ifndef CLI_BUDGET_TEXT_H
#define CLI_BUDGET_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum {
    BUDGET_TEXT_BYTES = 32
};

/* "1500M" -> "1500 MiB", "1.5g" -> "1.5 GiB", "500000" -> "500000 B". */
char *budget_text_of(const char *typed, char text[static BUDGET_TEXT_BYTES]);

/* What to type for at least so many bytes, in the unit that was typed: "1179M". */
char *budget_text_for(uint64_t bytes, const char *typed,
                      char text[static BUDGET_TEXT_BYTES]);

/* A message that says which budget "of N bytes is sufficient" also says what to type; the one that was typed, "a budget of N
 * bytes", is named as it was typed. typed: NULL for none. */
void budget_text_complete(char *message, size_t message_bytes, const char *typed);

#endif
