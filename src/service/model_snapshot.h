/* model_snapshot — makes the list of models and VAEs that model_folders shows, and notices when it is old.
 *
 * It keeps the lists of the library, which own most texts, and the titles and names that are made of them.
 */
#ifndef SERVICE_MODEL_SNAPSHOT_H
#define SERVICE_MODEL_SNAPSHOT_H

#include <stdbool.h>

#include "service/model_folders.h"

struct snapshot; /* opaque */

/* model_option: "DIR:DIR"; NULL: the default. before: an earlier one, whose files are not read again where they are as
 * they were; NULL: none. Errors: dr_models_list's and dr_vae_files_list's. */
enum dr_code snapshot_create(struct snapshot **out,
                             const struct model_folders_options *options,
                             const char *model_option, const struct snapshot *before,
                             struct dr_error *err) DR_MUST_CHECK;
/* One that shows nothing, for the time before the first list. NULL: no memory. */
struct snapshot *snapshot_create_empty(void);
void snapshot_destroy(struct snapshot *snapshot); /* NULL is fine */

/* See model_folders_hide. */
void snapshot_hide_folders(const struct snapshot *snapshot, char *text);

/* What it shows: valid as long as it is. */
const struct model_snapshot *snapshot_shown(const struct snapshot *snapshot);
/* Has one of its directories changed since? It looks at the times of directories only: a file that is written over in
 * place is seen by the next refresh. */
bool snapshot_is_old(const struct snapshot *snapshot);

#endif
