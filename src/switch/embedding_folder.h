/* embedding_folder — the embeddings in a directory and below. A prompt names one by its file's name without
 * extension.
 *
 * Threads: any.
 */
#ifndef SWITCH_EMBEDDING_FOLDER_H
#define SWITCH_EMBEDDING_FOLDER_H

#include "switch/folder_listing.h"

#define EMBEDDING_FOLDER_WHAT "embedding directory" /* for messages */

/* The directory: option, else DARKROOM_EMBEDDING_DIR, else embeddings/ in the user's data directory; "" where none
 * gives one. option may be NULL. */
void embedding_folder_find(const char *option, char folder[static DR_PATH_BYTES]);

/* Errors: DR_NOMEM. On error *folder is empty. */
enum dr_code embedding_folder_read(struct folder_listing *folder, const char *path,
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
