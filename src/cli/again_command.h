/* again_command — `again PICTURE`: makes a picture once more from what it says of itself, and tells what differs. And
 * `generate --like PICTURE`: a new picture with its settings.
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

enum again_manner {
    AGAIN_EXACT, /* what cannot be as it was is an error */
    AGAIN_LIKE   /* it is left out, and options.not_restored says so */
};

struct again_words {
    unsigned command; /* for options_parse */
    int count;
    const char *const *words;
    const char *picture;
    enum again_manner manner;
};
/* options: as they were parsed; becomes `defaults` with what the picture says, then with the words; its `picture`
 * is *again's. *again: for
 * again_free when the command is over. Errors: of the picture, DR_NOT_FOUND (its model: what was looked for and where),
 * DR_BAD_INPUT. */
enum dr_code again_fill(struct options *options, const struct options *defaults,
                        const struct again_words *words, struct again **again,
                        struct dr_error *err) DR_MUST_CHECK;

/* Of `generate --like`: what was not restored, before the job; which LoRAs and embeddings are not those of the picture,
 * after it. Does nothing without --like. */
void again_warn_before(struct session *session, const struct options *options);
void again_warn_after(struct session *session, const struct options *options,
                      const json_t *answer);

#endif
