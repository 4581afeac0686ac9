/* wildcard — "__name__" in a prompt is replaced by a line of the file name.txt in the wildcard directory.
 *
 *     a __colour__ cat                one of the lines of colour.txt
 *     a __animals/bird__              of animals/bird.txt
 *
 * Which line, a seed decides: in the order of the text each wildcard takes one, as random.choice of Python's random.Random(seed)
 * does over the file's lines; so A1111's extension takes the same ones. Here empty lines, and those that begin with '#', do not
 * count, and a line may have wildcards of its own, which are replaced next.
 *
 * A name has letters, digits, '_', '-', '.', '/' and what is not ASCII; no part of it begins with a dot, so it stays in the
 * directory. "__" counts where no letter, digit or '_' is before the first, or behind the second. All else is text.
 *
 * Threads: any. Source: scripts/wildcards.py of stable-diffusion-webui-wildcards.
 */
#ifndef SWITCH_WILDCARD_H
#define SWITCH_WILDCARD_H

#include <stdbool.h>

#include "darkroom/darkroom.h"

enum {
    WILDCARD_MAX_COUNT = 256, /* replaced in one prompt, those in lines among them */
    WILDCARD_MAX_FILE_BYTES = 1 << 22,
    WILDCARD_MAX_TEXT_BYTES = 1 << 20 /* of a prompt that has any */
};

/* The directory: option, else DARKROOM_WILDCARD_DIR, else the setting, else wildcards/ in the user's data directory; "" where none
 * gives one. option and setting may be NULL. */
void wildcard_folder_find(const char *option, const char *setting,
                          char folder[static DR_PATH_BYTES]);

/* Has the text any? */
bool wildcard_any(const char *text);

/* The text with its wildcards replaced: malloc'ed, NULL after an error. *count: how many they were. Errors: DR_NOT_FOUND (no such
 * file), DR_BAD_INPUT (a file without lines, or that is no text; too many wildcards, or a file that names itself; a text that
 * becomes too long), DR_IO, DR_NOMEM. */
enum dr_code wildcard_expand(const char *text, const char *folder, uint64_t seed,
                             char **out, int32_t *count,
                             struct dr_error *err) DR_MUST_CHECK;

#endif
