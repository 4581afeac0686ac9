/* listing — an answer as text for people: the same object that --json prints, in columns.
 *
 *     model
 *       path        sd15.safetensors
 *       components
 *         role  tensors  parameters  stored types  stored
 *         text      196     123.1 M  F16           234.8 MiB
 *
 * What a number is shows in its name: `_bytes` are sizes, `_ms` times, `_flop` work, `start` an
 * address. A receipt and a VAE are short sentences unless `detail` is LISTING_FULL. Empty text is
 * left out, and control characters in text from files are shown as '?'.
 */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum listing_detail {
    LISTING_BRIEF,
    LISTING_FULL
};

/* The text of an answer to `help`, which is to be printed as it is; NULL for any other. */
const char *listing_help(const json_t *answer);

/* Does the answer end with a receipt? */
bool listing_has_receipt(const json_t *answer);

/* Show a budget that was given as `text`, not as a number of bytes. */
void listing_name_budget(json_t *answer, const char *text);

/* Text from a file or a user: control characters as '?', later lines indented. */
void listing_print_text(const char *text, int indent, FILE *stream);

/* Characters that a terminal shows: continuation bytes of UTF-8 take no column. */
int listing_columns(const char *text);

/* Flushed. False where it could not be written whole. */
bool listing_print(json_t *answer, enum listing_detail detail, FILE *stream);

#endif
