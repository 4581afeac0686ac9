/* store — the service's data directory: darkroom.db (SQLite, WAL), images/, inputs/.
 *
 * One connection and one lock: every call of job_store, gallery and option_store holds the lock for one transaction. The
 * database has one owner: a second service on the same directory is refused (a lock file).
 * The schema has a version (PRAGMA user_version) and is brought forward when it is opened; one from a newer program is
 * refused. SQLite's own heap is bounded (STORE_HEAP_BYTES), a number of the memory plan.
 * Errors of all calls: DR_IO (full disk, locked, damaged: SQLite's words, the file, and what to do), DR_NOMEM.
 */
#ifndef SERVICE_STORE_H
#define SERVICE_STORE_H

#include <darkroom/error.h>

enum {
    STORE_HEAP_BYTES = 4 * 1024 * 1024,
    STORE_ID_BYTES =
        33 /* of a job or a picture: 128 random bits in hexadecimal, and the end */
};

struct store; /* opaque */

/* Opens or creates the directory (mode 0700) and the database. Errors also: DR_BUSY (another service has it),
 * DR_UNSUPPORTED (a newer schema, with both versions), DR_CORRUPT. */
enum dr_code store_open(struct store **out, const char *folder,
                        struct dr_error *err) DR_MUST_CHECK;
void store_close(struct store *store);

/* The path of the folder of pictures and of inputs, absolute. Borrowed. */
const char *store_image_folder(const struct store *store);
const char *store_input_folder(const struct store *store);

/* A new id that cannot be guessed. */
void store_new_id(char id[STORE_ID_BYTES]);
/* Is it text of that form? Anything else names nothing. */
int store_is_id(const char *id);

#endif
