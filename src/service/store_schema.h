/* store_schema — the tables, as the steps that lead to them.
 *
 * Step n brings a database of version n to n + 1. A step that has been released is never changed: a new one is added. */
#ifndef SERVICE_STORE_SCHEMA_H
#define SERVICE_STORE_SCHEMA_H

enum {
    STORE_SCHEMA_VERSION = 2
};

extern const char *const store_schema_steps[STORE_SCHEMA_VERSION];

#endif
