/* model_folders — models and VAEs in the service's directories, with the names that clients know them by.
 *
 *     title    "xl/base.safetensors [0123456789]"   the file below its directory, and its hash where that was computed before
 *     name     "xl_base"                            A1111's model_name
 *     file     "xl/base.safetensors"
 *     VAE      "sharp.safetensors"                  what sd_vae is set to; with its subdirectory where two have one name
 *
 * All is in a snapshot: a list that does not change while it is held. A new one is made by model_folders_refresh, and by
 * model_folders_hold where a directory has changed since (looked at once a second at most). Files may come and go: a model
 * that is gone is an error of whoever loads it.
 * Clients name models and VAEs by these names, never by a path on disk. Threads: any.
 */
#ifndef SERVICE_MODEL_FOLDERS_H
#define SERVICE_MODEL_FOLDERS_H

#include <stddef.h>
#include <stdint.h>

#include <darkroom/darkroom.h>

struct model_folders; /* opaque */

enum {
    MODEL_HASH_CHARS = 11,   /* ten digits of the SHA-256, and the end */
    MODEL_TITLE_BYTES = 1024 /* longer titles are cut in copies; names of VAEs too */
};

/* Texts are the snapshot's, never NULL. */
struct listed_checkpoint {
    const char *title, *name, *file, *path;
    const char *sha256;  /* "" where it is not known; the hash is its first 10 digits */
    const char *family;  /* "sd15", "sdxl"; "" where it cannot be read */
    const char *vae;     /* that jobs use by default: a path, "its own", "none" */
    const char *problem; /* "" or why it cannot be read */
    uint64_t bytes;
};
struct listed_vae_file {
    const char *name, *path;
    uint64_t bytes; /* 0 for a directory */
};
struct model_snapshot {
    const struct listed_checkpoint *models;
    size_t model_count;
    const struct listed_vae_file *vaes;
    size_t vae_count;
    const char *folders; /* those of models that were searched, as text */
};

/* Strings stay borrowed. NULL: the defaults, as in dr_models_options and dr_engine_options. */
struct model_folders_options {
    const char *const *models, *const *vaes; /* NULL-terminated */
    const char *model;                       /* one that lies elsewhere: its path */
    const char *pack_folder;                 /* hashes are remembered there */
    const char *settings_path;
};
/* Lists for the first time. Errors: dr_models_list's, DR_BAD_INPUT (a directory with ":" in its name). */
enum dr_code model_folders_create(struct model_folders **out,
                                  const struct model_folders_options *options,
                                  struct dr_error *err) DR_MUST_CHECK;
void model_folders_destroy(struct model_folders *folders);

/* On error the old list stays. */
enum dr_code model_folders_refresh(struct model_folders *folders,
                                   struct dr_error *err) DR_MUST_CHECK;

const struct model_snapshot *model_folders_hold(struct model_folders *folders);
void model_folders_drop(struct model_folders *folders,
                        const struct model_snapshot *snapshot);

/* The path of a model by title, file, name, file name with or without extension, "name [hash]", the hash or the SHA-256,
 * then by the same in any case, then by the beginning of one title alone. Errors: DR_NOT_FOUND (with names that there
 * are), DR_BAD_INPUT (several: they are listed). */
enum dr_code model_folders_find(struct model_folders *folders, const char *said,
                                char path[DR_PATH_BYTES],
                                struct dr_error *err) DR_MUST_CHECK;
/* What sd_vae says as a choice for the engine: "automatic", "none", or a path. It is "Automatic", "None" ("Default",
 * "Baked") or a VAE's name, with or without extension, in any case. Errors as above. */
enum dr_code model_folders_find_vae(struct model_folders *folders, const char *said,
                                    char choice[DR_PATH_BYTES],
                                    struct dr_error *err) DR_MUST_CHECK;

/* What sd_vae is before anybody has set it, as a choice: the VAE of the user's settings for all models, else "automatic". */
void model_folders_vae_setting(struct model_folders *folders,
                               char choice[DR_PATH_BYTES]);

/* And back: the title of a path, the name of a choice. What is not listed is named by its file name; "" stays "". */
void model_folders_title(struct model_folders *folders, const char *path,
                         char title[MODEL_TITLE_BYTES]);
void model_folders_vae_name(struct model_folders *folders, const char *choice,
                            char name[MODEL_TITLE_BYTES]);
/* In a text of the engine, in place: what lies below a directory of the lists is named from there on, and no longer by its
 * path on this machine. */
void model_folders_hide(struct model_folders *folders, char *text);
/* The SHA-256 of the model at a path; "" where it is not known. */
void model_folders_sha256(struct model_folders *folders, const char *path,
                          char sha256[DR_DIGEST_CHARS]);

#endif
