/* file_kind — what a file is that people have in place of a model or a picture: a saved web
 * page, a server's answer, a pointer of Git LFS, an archive, a download that was not finished.
 *
 *     char words[FILE_KIND_TEXT];
 *     if (file_kind_tell(start, bytes, words)) ... "%s is %s", path, words
 *
 * It is asked only where the reader of the expected format has refused or does not know the first
 * bytes, so it need not be careful with what is right. Any thread; no memory.
 */
#ifndef BASE_FILE_KIND_H
#define BASE_FILE_KIND_H

#include <stdbool.h>
#include <stddef.h>

enum {
    FILE_KIND_BYTES = 512, /* of the beginning: more is not looked at */
    FILE_KIND_TEXT = 256
};

/* "a web page (HTML): download the file itself" into words; false: nothing is known of it, and
 * words is "". */
bool file_kind_tell(const char *start, size_t bytes, char words[static FILE_KIND_TEXT]);

/* Beside a file that is not what it should be: is its download unfinished, by its name's ending or by
 * a file beside it that its download program keeps until it is done? What tells it into words: "its name
 * ends in .part, ..."; false, and "", where nothing does. */
bool file_kind_is_unfinished(const char *path, char words[static FILE_KIND_TEXT]);

/* Does the download program's file of notes lie beside it (.aria2)? Such a file has its full size from
 * the start, so that nothing else tells. */
bool file_kind_has_notes(const char *path, char words[static FILE_KIND_TEXT]);

#endif
