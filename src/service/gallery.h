/* gallery — the pictures that jobs made: a file each under images/, and a row with what it shows.
 *
 * A picture is written to its file first (images/ID.png, by the engine, which renames it into place), then its row is
 * added. The id is made from the job's id and the index, so a job that runs again writes the same files and no second
 * entry; it cannot be guessed by who does not know the job's. A file is removed after its row, and what the process did
 * not get to is noted in the database: gallery_sweep does it. No file is removed because it has no row.
 * A picture that is not kept (`keeps` of its request) is in no list and is removed after GALLERY_UNKEPT_S.
 * Errors of all calls: store.h. Threads: any.
 */
#ifndef SERVICE_GALLERY_H
#define SERVICE_GALLERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/store.h"

enum {
    GALLERY_UNKEPT_S = 60 * 60 /* so long a picture that is not kept can be asked for */
};

struct gallery_picture {
    char id[STORE_ID_BYTES];
    int64_t number; /* of arrival: ascending */
    char job[STORE_ID_BYTES];
    int32_t index; /* in its job */
    char user[64];
    bool is_kept;
    bool is_jpeg;
    double created_s; /* Unix time */
    int32_t width, height;
    uint64_t seed;
    uint64_t bytes;    /* of the file */
    char *prompt;      /* for search and captions; these four: NULL is "" */
    char *model, *vae; /* names */
    char *parameters;  /* A1111's text, as the file has it */
};
void gallery_picture_finish(struct gallery_picture *picture);

/* The id of a job's picture. */
void gallery_id(const char *job, int32_t index, char id[STORE_ID_BYTES]);
/* The path for it: images/ID.png or .jpg, into path [path_bytes]. */
void gallery_path(const struct store *store, const char *id, bool is_jpeg, char *path,
                  size_t path_bytes);

/* Adds a picture whose file is there, and is synced here; id, number, created_s and bytes are set. One of the same job
 * and index is replaced and keeps its number. Errors also: DR_NOT_FOUND: no file. */
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
/* Kept pictures, newest first, before number `before` (0: from the newest). search: beginnings of words that the prompt
 * has, all of them; "" for no search. It is data: nothing in it is syntax. */
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
/* Opens its thumbnail (thumbnails/ID.jpg), which may not be there: DR_NOT_FOUND. */
enum dr_code gallery_open_thumbnail(struct store *store,
                                    const struct gallery_picture *picture, int *file,
                                    struct dr_error *err) DR_MUST_CHECK;
/* Writes it, whole or not at all. Not synced: it can be made again. */
enum dr_code gallery_write_thumbnail(struct store *store, const char *id,
                                     const unsigned char *bytes, size_t byte_count,
                                     struct dr_error *err) DR_MUST_CHECK;

/* Removes pictures that are not kept and older than before_s (Unix time), and files that were to be removed when the
 * process died. */
enum dr_code gallery_sweep(struct store *store, double before_s,
                           struct dr_error *err) DR_MUST_CHECK;

/* ---- for the files of the stores ---- */

/* Syncs a picture's file, and sets id and bytes. Without the lock. DR_NOT_FOUND: there is no file. */
enum dr_code gallery_sync(struct store *store, struct gallery_picture *picture,
                          struct dr_error *err) DR_MUST_CHECK;
/* Adds the entry of a picture that gallery_sync has prepared: inside a transaction. */
enum dr_code gallery_insert(struct store *store, struct gallery_picture *picture,
                            struct dr_error *err) DR_MUST_CHECK;
/* The next gallery_sweep removes what the job has written without an entry, of pictures 0 to count - 1: inside a
 * transaction. */
enum dr_code gallery_doom(struct store *store, const char *job, int32_t count,
                          struct dr_error *err) DR_MUST_CHECK;
/* Removes a picture's file and thumbnail, where they are there. */
void gallery_remove_files(struct store *store, const char *id, bool is_jpeg);

#endif
