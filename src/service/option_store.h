/* option_store — settings of the service that survive a restart, as names and texts: model, vae, samples_format, ... What each
 * means is in option_list.h.
 */
#ifndef SERVICE_OPTION_STORE_H
#define SERVICE_OPTION_STORE_H

#include "service/store.h"

/* Called for each, by name; the lock is held: it must not call a store. */
enum dr_code option_store_read(struct store *store,
                               void (*each)(void *cookie, const char *name,
                                            const char *value),
                               void *cookie, struct dr_error *err) DR_MUST_CHECK;
/* value NULL: forget it. */
enum dr_code option_store_write(struct store *store, const char *name,
                                const char *value, struct dr_error *err) DR_MUST_CHECK;

#endif
