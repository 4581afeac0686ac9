/* again_command — `again PICTURE`: makes a picture once more from what it says of itself, and tells what differs.
 *
 * Its options are those of generate. What the words do not give is the picture's: so a picture is read before the
 * engine opens (again_fill), and its words are read a second time, over the picture's options.
 */
#ifndef CLI_AGAIN_COMMAND_H
#define CLI_AGAIN_COMMAND_H

#include "commands.h"

command_run run_again;

/* A picture's parameters, and the texts that options borrow. */
struct again;
void again_free(struct again *again); /* NULL is fine */

struct again_words {
    unsigned command; /* for options_parse */
    int count;
    const char *const *words;
};
/* options: as they were parsed; becomes `defaults` with what the picture says, then with the words; its `picture`
 * is *again's. *again: for
 * again_free when the command is over. Errors: of the picture, DR_NOT_FOUND (its model: what was looked for and where),
 * DR_BAD_INPUT. */
enum dr_code again_fill(struct options *options, const struct options *defaults,
                        const struct again_words *words, struct again **again,
                        struct dr_error *err) DR_MUST_CHECK;

#endif
