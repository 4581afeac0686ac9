/* model_folder — the models that lie in the model directories, and which of them a name means.
 *
 *     sd15                     the file sd15.safetensors, or the diffusers directory sd15
 *     sd15.safetensors         the file of that name
 *     sd1                      the beginning of one name alone
 *
 * The directories: an option, else DARKROOM_MODELS, else the settings' (several: "DIR:DIR"), else models/ in
 * the user's data directory. One of them may be a model itself. Files with a model's extension and diffusers pipelines count; what they hold is
 * not looked at here.
 *
 * Threads: any. Memory: model_folder_free.
 */
#ifndef SWITCH_MODEL_FOLDER_H
#define SWITCH_MODEL_FOLDER_H

#include "switch/folder_listing.h"

struct model_folder {
    char **paths; /* of the directories */
    size_t path_count;
    struct folder_listing *listings; /* of each */
};

/* option may be NULL. On error *folder is empty. Errors: DR_NOMEM. */
enum dr_code model_folder_read(struct model_folder *folder, const char *option,
                               const struct dr_settings *settings,
                               struct dr_error *err) DR_MUST_CHECK;
void model_folder_free(struct model_folder *folder); /* zeroed is fine */

/* Entries in the order of the directories; NULL beyond the last. */
const struct folder_entry *model_folder_at(const struct model_folder *folder,
                                           size_t idx);
/* "DIR, DIR": for messages; returns text. */
const char *model_folder_describe(const struct model_folder *folder,
                                  char text[static DR_TEXT_BYTES]);

/* How well a name means an entry; the most is meant. */
enum model_match {
    MODEL_NO_MATCH,
    MODEL_PREFIX,
    MODEL_NAME
};
enum model_match model_folder_match(const struct folder_entry *entry, const char *name);

/* A model's name without its extension, as pictures and lists have it. Returns out. */
char *model_folder_stem(const char *name, char *out, size_t out_bytes);

#endif
