/* folder_listing — what lies in a folder and below that counts as one thing: VAEs, or models. Looked at once.
 *
 * Folders are looked into once each, however many links lead to them; so links in a circle end.
 * What is on the disk decides how much there is, so there are limits: levels, and files and folders
 * in all. What a limit left out is said (folder_listing_left_out).
 */
#ifndef SWITCH_FOLDER_LISTING_H
#define SWITCH_FOLDER_LISTING_H

#include <stdbool.h>

#include "base/cancel.h"
#include "darkroom/darkroom.h"

struct folder_entry {
    char *path; /* of the file; of the folder that counts as one */
    char *name; /* "x.safetensors", "folder" */
    bool is_folder;
};

struct folder_listing {
    struct folder_entry
        *entries; /* in the order of the walk: names in byte order, level by
                   * level, so that messages are the same everywhere */
    size_t count;
    bool has_more, has_deeper; /* than was looked at */
    /* The first folder that could not be looked into, and why; 0: all could. */
    int refused;
    char refused_path[DR_PATH_BYTES];
};

enum folder_verdict {
    FOLDER_ENTER, /* look into it */
    FOLDER_TAKE,  /* it is one, and is not looked into */
    FOLDER_SKIP
};

/* What counts. */
struct folder_walk {
    const char *what; /* "VAE directory": for messages */
    bool
        takes_several; /* the path may be "DIR:DIR": they are looked into as if they were one */
    bool (*is_file)(const char *path, const char *name);
    /* NULL: each is looked into. taken: where one that is taken lies. */
    enum folder_verdict (*judge_folder)(const char *path,
                                        char taken[static DR_PATH_BYTES]);
    const struct cancel *cancel; /* may be NULL */
};

/* path NULL or "": an empty one. A folder that is not there is empty, and refused with ENOENT.
 * On error *folder is empty. Errors: DR_CANCELLED, DR_NOMEM. */
enum dr_code folder_listing_read(struct folder_listing *folder, const char *path,
                                 const struct folder_walk *how,
                                 struct dr_error *err) DR_MUST_CHECK;
void folder_listing_free(struct folder_listing *folder); /* a zeroed one is fine */

/* The part of an entry's path that is below one of the directories "DIR:DIR"; the whole path where it is below none. */
const char *folder_listing_below(const char *directories, const char *path);

/* "only the first 20000 files and directories of the VAE directory were searched", or "". Returns text. */
const char *folder_listing_left_out(const struct folder_listing *folder,
                                    const char *what, char text[static DR_TEXT_BYTES]);

#endif
