/* prompt_text — a prompt as the code points that the tokenizer splits into words.
 *
 *     bytes --decode--> --tokens as written taken out--> --NFC--> --lower case-->
 *           --normalised tokens taken out--> points
 *
 * Which texts are one token each, and whether they are looked for before or after normalising,
 * is added_tokens.h's matter. So with CLIP's own two "<|StartOfText|>" is a BOS while
 * "<|EndOfText|>" is plain text, and a literal EOS parts an accent from its letter. White space stays as it
 * is: the words are the same as with runs of it made one.
 *
 * Memory: 4 bytes a code point of the decomposed prompt, at most 1 MiB * 4 * 1.5.
 * Time: linear (the canonical order is found by counting where a run of marks is long).
 * Ownership: init/finish; the caller's struct. One thread at a time.
 */
#ifndef MODEL_PROMPT_TEXT_H
#define MODEL_PROMPT_TEXT_H

#include "base/error.h"
#include "base/pool.h"

#include <stddef.h>
#include <stdint.h>

/* Points above Unicode: a token's index in the table of added tokens, on top of this. */
enum {
    PROMPT_TEXT_TOKEN = 0x110000
};

enum {
    PROMPT_TEXT_MAX_BYTES = 1024 * 1024
};

struct prompt_text {
    int32_t *points;
    size_t count;
    struct pool pool; /* private */
};

struct added_tokens;

/* utf8 is decoded as Python's errors="replace" does. tokens: NULL for none. On error *text is as
 * finish leaves it. Errors: DR_BAD_INPUT above PROMPT_TEXT_MAX_BYTES, DR_NOMEM. */
enum dr_code prompt_text_init(struct prompt_text *text, const char *utf8,
                              const struct added_tokens *tokens,
                              struct dr_error *err) DR_MUST_CHECK;
/* Only decoded. Errors: the same. */
enum dr_code prompt_text_decode(struct prompt_text *text, const char *utf8,
                                struct dr_error *err) DR_MUST_CHECK;
void prompt_text_finish(struct prompt_text *text);

#endif
