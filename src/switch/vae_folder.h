/* vae_folder — a list of the VAEs in the VAE directory and below, read once.
 *
 * A name selects one of these entries (vae_resolution.h): a file with the extension of a VAE, or a directory
 * that is a VAE, whose files are not listed. Whether an entry can be used is checked later.
 */
#ifndef SWITCH_VAE_FOLDER_H
#define SWITCH_VAE_FOLDER_H

#include <stdbool.h>

#include "switch/folder_listing.h"

/* path NULL or "": an empty one. A folder that is not there is empty, and refused with ENOENT.
 * cancel may be NULL. On error *folder is empty. Errors: DR_CANCELLED, DR_NOMEM. */
enum dr_code vae_folder_read(struct folder_listing *folder, const char *path,
                             const struct cancel *cancel,
                             struct dr_error *err) DR_MUST_CHECK;

/* "only the first 20000 files and folders of the VAE folder were looked at", or "". Returns text. */
const char *vae_folder_left_out(const struct folder_listing *folder,
                                char text[static DR_TEXT_BYTES]);

/* ---- what counts as a VAE ---- */

/* The extension of a VAE file name that is one of ours, within name; or NULL. */
const char *vae_extension(const char *name);

/* Does the file exist? A link to nothing counts as existing: opening it gives the error, and it is not
 * mistaken for a missing file. */
bool vae_is_file(const char *path);

/* The VAE that a folder is: itself, or vae/ in it, or in the snapshot that it stands for (hub_cache.h),
 * into path; false where it is none. */
bool vae_find_in(const char *folder, char path[static DR_PATH_BYTES]);

/* The VAE folder: option, else DARKROOM_VAE_DIR, else setting ("" for none), else vae/ in the user's
 * data folder; "" where none of them gives one. option may be NULL. */
void vae_folder_find(const char *option, const char *setting, char *folder,
                     size_t folder_bytes);

#endif
