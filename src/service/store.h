/* store — the service's data directory.
 *
 *     darkroom.db   SQLite, WAL: jobs, entries of pictures, options; and a note that it was closed well (clean_end.h)
 *     images/       ID.png, ID.jpg
 *     thumbnails/   ID.jpg: a cache, may be removed at any time
 *     inputs/       pictures that jobs start from, until these have ended
 *     lock          held by the one service that owns the directory
 *
 * One connection and one lock: every call of job_store, gallery and option_store holds the lock for one transaction,
 * which survives the end of the process when the call returns (and a loss of power: see store_sql.h). All of a call is
 * done, or nothing.
 * The schema has a version (PRAGMA user_version) and is brought forward when it is opened; one from a newer program is
 * refused. SQLite's own heap is bounded (STORE_HEAP_BYTES, for the whole process), a number of the memory plan.
 * Errors of all calls: DR_IO (full disk, locked, damaged: SQLite's words, the file, and what to do), DR_NOMEM,
 * DR_BAD_INPUT (a text above STORE_TEXT_BYTES). Threads: any, after store_open and before store_close.
 */
#ifndef SERVICE_STORE_H
#define SERVICE_STORE_H

#include <darkroom/error.h>

enum {
    STORE_HEAP_BYTES = 4 * 1024 * 1024,
    STORE_PAGE_CACHE_BYTES = 144 * 4400, /* beside the heap, and there from the start */
    STORE_TEXT_BYTES = 1024 * 1024,      /* of one value */
    STORE_ID_BYTES =
        33 /* of a job or a picture: 128 random bits in hexadecimal, and the end */
};

struct store; /* opaque */

/* Opens or creates the directory (mode 0700) and the database. Errors also: DR_BUSY (another service has it, with its
 * process), DR_UNSUPPORTED (a newer schema, with both versions), DR_CORRUPT (damaged: the whole
 * file is read, unless it is as the last service closed it, which read it within a week). */
enum dr_code store_open(struct store **out, const char *folder,
                        struct dr_error *err) DR_MUST_CHECK;
/* NULL is fine. */
void store_close(struct store *store);

/* The paths of images/ and inputs/. Borrowed. */
const char *store_image_folder(const struct store *store);
const char *store_input_folder(const struct store *store);

/* Unix time in seconds, as rows have it. */
double store_now_s(void);

/* A new id that cannot be guessed. */
void store_new_id(char id[STORE_ID_BYTES]);
/* Is it text of that form? Anything else names nothing. */
int store_is_id(const char *id);

#endif
