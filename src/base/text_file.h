/* text_file — a small text that a person wrote, read whole.
 *
 *     char *text;
 *     size_t bytes;
 *     enum dr_code code = text_file_read("styles.csv", 1 << 20, &text, &bytes, err);
 *     free(text);
 *
 * It has to be UTF-8 without zeros; the mark (BOM) that some editors put before it is left out. Threads: any.
 */
#ifndef BASE_TEXT_FILE_H
#define BASE_TEXT_FILE_H

#include <stddef.h>

#include "base/error.h"

/* A regular file of at most most_bytes bytes. *text is malloc'ed, and has a zero behind its bytes; NULL after an error.
 * Errors: DR_NOT_FOUND (there is none), DR_IO, DR_NOMEM, DR_BAD_INPUT names the file and, of a byte that is no UTF-8, the line. */
enum dr_code text_file_read(const char *path, size_t most_bytes, char **text,
                            size_t *bytes, struct dr_error *err) DR_MUST_CHECK;

#endif
