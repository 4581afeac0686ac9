/* model_folders — models and VAEs in the service's directories, with the names that clients know them by.
 *
 * A model: title "NAME.safetensors [hash]", model_name "NAME", hash (10 digits) and sha256 where they were computed
 * before. Listed again on refresh, and when a directory changed. Names of the page and of `sd_model_checkpoint` are the
 * titles. Threads: any; a list is a snapshot, held by a count.
 */
#ifndef SERVICE_MODEL_FOLDERS_H
#define SERVICE_MODEL_FOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <darkroom/darkroom.h>

struct model_folders; /* opaque */

struct listed_checkpoint {
    char title
        [320]; /* "demo-sd15.safetensors [0123456789]"; without brackets where the hash is not known */
    char name[256]; /* "demo-sd15" */
    char file[300]; /* the path below its directory */
    char path[DR_PATH_BYTES];
    char sha256[65]; /* "" where it is not known; the hash is its first 10 digits */
    char family[16];
    char vae[DR_TEXT_BYTES]; /* the VAE that jobs use by default */
    char problem[DR_TEXT_BYTES];
    uint64_t bytes;
};
struct listed_vae_file {
    char name[256]; /* "sharp.safetensors": what sd_vae is set to */
    char path[DR_PATH_BYTES];
    uint64_t bytes;
};
struct model_snapshot {
    struct listed_checkpoint *models;
    size_t model_count;
    struct listed_vae_file *vaes;
    size_t vae_count;
};

/* The strings stay borrowed. NULL-terminated lists; NULL: the defaults. */
enum dr_code model_folders_create(struct model_folders **out, const char *const *models,
                                  const char *const *vaes,
                                  struct dr_error *err) DR_MUST_CHECK;
void model_folders_destroy(struct model_folders *folders);

enum dr_code model_folders_refresh(struct model_folders *folders,
                                   struct dr_error *err) DR_MUST_CHECK;

const struct model_snapshot *model_folders_hold(struct model_folders *folders);
void model_folders_drop(struct model_folders *folders,
                        const struct model_snapshot *snapshot);

/* A model by title, name, file name, "name [hash]", short hash or SHA-256, in any case, then by a unique beginning.
 * Errors: DR_NOT_FOUND (with the names that there are), DR_BAD_INPUT (several). */
enum dr_code model_folders_find(struct model_folders *folders, const char *said,
                                struct listed_checkpoint *model,
                                struct dr_error *err) DR_MUST_CHECK;
/* What sd_vae says as a choice for the engine: "Automatic", "None", or a name of a VAE ("sharp.safetensors", "sharp"),
 * into choice. Errors: DR_NOT_FOUND. */
enum dr_code model_folders_find_vae(struct model_folders *folders, const char *said,
                                    char choice[DR_PATH_BYTES],
                                    struct dr_error *err) DR_MUST_CHECK;

#endif
