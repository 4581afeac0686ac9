/* model_names — which model or VAE of a list a client's text means. Pure functions of the list. Threads: any.
 */
#ifndef SERVICE_MODEL_NAMES_H
#define SERVICE_MODEL_NAMES_H

#include "service/model_folders.h"

/* The file's name in a path: the part that a client may see. Borrowed from the path. */
const char *model_names_file(const char *path);

/* In a text, in place: a file below the folder is named from there on, the folder by its own name. A folder that is not
 * an absolute path hides nothing. */
void model_names_hide(const char *folder, char *text);

/* See model_folders_find. */
enum dr_code model_names_find(const struct model_snapshot *list, const char *said,
                              const struct listed_checkpoint **model,
                              struct dr_error *err) DR_MUST_CHECK;

enum vae_meaning {
    VAE_MEANS_AUTOMATIC,
    VAE_MEANS_NONE,
    VAE_MEANS_FILE
};
/* See model_folders_find_vae. *vae is set with VAE_MEANS_FILE. */
enum dr_code model_names_find_vae(const struct model_snapshot *list, const char *said,
                                  enum vae_meaning *meaning,
                                  const struct listed_vae_file **vae,
                                  struct dr_error *err) DR_MUST_CHECK;

#endif
