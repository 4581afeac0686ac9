/* style_file — styles as A1111 keeps them: words that are put around a prompt, under a name, in a table (styles.csv).
 *
 *     name,prompt,negative_prompt
 *     night,"{prompt}, at night, under stars",daylight
 *     ink,"ink drawing, on paper",
 *
 * A style with {prompt} has the prompt in that place, each time; any other is put behind it, after ", ". The negative prompt
 * likewise. Several styles are applied one after the other. Columns are found by their names; "text" is the old name of "prompt".
 * A row whose name begins with '#' is a comment. Of two rows with one name the second counts, in the place of the first.
 *
 * Threads: any. Source: modules/styles.py of stable-diffusion-webui 1.10.
 */
#ifndef SWITCH_STYLE_FILE_H
#define SWITCH_STYLE_FILE_H

#include <stdbool.h>

#include "darkroom/darkroom.h"

enum {
    STYLE_FILE_MAX_BYTES = 1 << 22,
    STYLE_FILE_MAX_STYLES = 10000
};

/* Where the styles are: option, else DARKROOM_STYLES, else the setting, else styles.csv in the user's data directory; "" where none
 * gives one. option and setting may be NULL. Returns whether it was named, by one of the first three. */
bool style_file_find(const char *option, const char *setting,
                     char path[static DR_PATH_BYTES]);

/* Adds the styles of a text, which is changed (csv.h), to an empty list. name: of the file, for messages. On error the list is
 * to be freed all the same. Errors: DR_BAD_INPUT names what is missing, or the line; DR_NOMEM. */
enum dr_code style_file_parse(struct dr_style_list *list, const char *name, char *text,
                              size_t bytes, struct dr_error *err) DR_MUST_CHECK;

/* Of the file list->path. Errors: also those of reading it. */
enum dr_code style_file_read(struct dr_style_list *list,
                             struct dr_error *err) DR_MUST_CHECK;

/* The style of that name, else the one with that name in other letters, or NULL. Borrowed. */
const struct dr_style *style_file_match(const struct dr_style_list *list,
                                        const char *name);

/* A prompt under the prompt, or negative prompt, of a style: malloc'ed; NULL where there is no memory, or where it would have
 * more than most_bytes bytes. */
char *style_file_apply(const char *style, const char *prompt, size_t most_bytes);

#endif
