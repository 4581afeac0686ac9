/* gallery — the pictures that jobs made: a file each under images/, and a row with what it shows.
 *
 * A picture is written to its file first (images/ID.png, by the engine, which renames it into place), then its row is
 * added. A file without a row is removed at the next start; (job, index) is unique, so a job that runs again replaces.
 * A picture that is not kept (`keeps` of its request) is in no list and is removed some minutes after its job.
 */
#ifndef SERVICE_GALLERY_H
#define SERVICE_GALLERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/store.h"

struct gallery_picture {
    char id[STORE_ID_BYTES];
    int64_t number; /* ascending with time */
    char job[STORE_ID_BYTES];
    int32_t index; /* in its job */
    char user[64];
    bool is_kept;
    bool is_jpeg;
    double created_s; /* Unix time */
    int32_t width, height;
    uint64_t seed;
    uint64_t bytes;    /* of the file */
    char *prompt;      /* for search and captions */
    char *model, *vae; /* names */
    char *parameters;  /* A1111's text, as the file has it */
};
void gallery_picture_finish(struct gallery_picture *picture);

/* Adds a picture whose file is there; picture->number is set. One of the same job and index is replaced, and its file
 * removed. */
enum dr_code gallery_add(struct store *store, struct gallery_picture *picture,
                         struct dr_error *err) DR_MUST_CHECK;

/* user: only that user's; NULL: anybody's. DR_NOT_FOUND. */
enum dr_code gallery_get(struct store *store, const char *id, const char *user,
                         struct gallery_picture *picture,
                         struct dr_error *err) DR_MUST_CHECK;
/* Those of a job, by index, kept or not: malloc'ed, the caller finishes each and frees. */
enum dr_code gallery_of_job(struct store *store, const char *job,
                            struct gallery_picture **pictures, int32_t *count,
                            struct dr_error *err) DR_MUST_CHECK;
/* Kept pictures, newest first, before number `before` (0: from the newest). search: words that the prompt has, all of
 * them; "" for no search. */
enum dr_code gallery_list(struct store *store, const char *user, int64_t before,
                          int32_t limit, const char *search,
                          struct gallery_picture **pictures, int32_t *count,
                          struct dr_error *err) DR_MUST_CHECK;
/* Removes row and files. DR_NOT_FOUND. */
enum dr_code gallery_remove(struct store *store, const char *id, const char *user,
                            struct dr_error *err) DR_MUST_CHECK;
/* Keep a picture that was not to be kept, or no longer. */
enum dr_code gallery_keep(struct store *store, const char *id, bool is_kept,
                          struct dr_error *err) DR_MUST_CHECK;

/* Opens a picture's file by its row: O_NOFOLLOW, under images/. Returns a descriptor. DR_NOT_FOUND where the file is gone. */
enum dr_code gallery_open(struct store *store, const struct gallery_picture *picture,
                          int *file, struct dr_error *err) DR_MUST_CHECK;
/* The path for a new picture: images/ID.png or .jpg, into path [path_bytes]. */
void gallery_path(const struct store *store, const char *id, bool is_jpeg, char *path,
                  size_t path_bytes);

/* Removes what is not kept and older than before_s, and, when the service starts (all), files without a row. */
enum dr_code gallery_sweep(struct store *store, double before_s, bool all,
                           struct dr_error *err) DR_MUST_CHECK;

#endif
