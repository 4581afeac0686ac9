/* file_kind — recognises files that people have instead of a model or picture: a saved web page,
 * a server's error message, a Git LFS pointer, an archive, an unfinished download.
 *
 *     char words[FILE_KIND_TEXT];
 *     if (file_kind_tell(start, bytes, words)) ... "%s is %s", path, words
 *
 * It is called only after the reader of the expected format has rejected the file, so it need not
 * recognise valid files. Any thread; no memory.
 */
#ifndef BASE_FILE_KIND_H
#define BASE_FILE_KIND_H

#include <stdbool.h>
#include <stddef.h>

enum {
    FILE_KIND_BYTES = 512, /* only the beginning of the file is examined */
    FILE_KIND_TEXT = 256
};

/* "a web page (HTML): download the file itself" into words; false: the kind is unknown, and
 * words is "". */
bool file_kind_tell(const char *start, size_t bytes, char words[static FILE_KIND_TEXT]);

/* For a file that cannot be read: is its download unfinished? The signs are the file name extension, or
 * a file beside it that the download program keeps until it has finished. Writes the sign into words:
 * "its name ends in .part, ..."; false, and "", without a sign. */
bool file_kind_is_unfinished(const char *path, char words[static FILE_KIND_TEXT]);

/* Is there an .aria2 file of the download program beside it? aria2 gives a file its full size from the
 * start, so there is no other sign. */
bool file_kind_has_notes(const char *path, char words[static FILE_KIND_TEXT]);

#endif
