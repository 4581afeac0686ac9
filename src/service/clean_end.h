/* clean_end — a note beside a database that it was closed well, so that it need not be read whole when it is next opened.
 *
 *     DATABASE.clean    size, time of change and inode of the database, and when it was last read whole
 *
 * The note is taken away when the database is opened and written when it has been closed: after any other end there is
 * none. It counts only while the database is the very file that was closed, without a WAL, and was read whole within
 * CLEAN_END_TRUST_S. Whatever speaks against it, or cannot be read, means that the database has to be read. Threads: the
 * caller's matter.
 */
#ifndef SERVICE_CLEAN_END_H
#define SERVICE_CLEAN_END_H

#include <stdbool.h>

enum {
    CLEAN_END_TRUST_S = 7 * 24 * 3600
};

/* Takes the note away. True: the database is as it was closed; *read_s: when it was last read whole, Unix time. */
bool clean_end_take(const char *database_path, double now_s, double *read_s);
/* The database is closed, and all is well with it. What cannot be written is no loss. */
void clean_end_note(const char *database_path, double read_s);

#endif
