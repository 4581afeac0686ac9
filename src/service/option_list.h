/* option_list — the service's settings by A1111's names: what GET options shows and POST options changes.
 *
 * A table gives each option its name, type and default, and what it does: chooses the model or VAE, changes a default of
 * requests (CLIP_stop_at_last_layers, samples_format), or is only shown because clients read it; then it has one value.
 * Options that could name paths, commands, hosts or secrets do not exist, or are always "".
 * Values are loosely typed, as clients send them; unknown names and null change nothing.
 *
 * sd_model_checkpoint and sd_vae are kept as the engine takes them: a path ("" where none is set), and a choice
 * ("automatic", "none", a path; what the user's settings say where none is set). Clients see and give titles and names (model_folders.h): option_list_json and option_list_read
 * translate, option_list_get and struct option_change have the engine's. Threads: any.
 */
#ifndef SERVICE_OPTION_LIST_H
#define SERVICE_OPTION_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <darkroom/error.h>
#include <jansson.h>

#include "service/model_folders.h"
#include "service/store.h"

struct option_list; /* opaque */

/* A setting that differs from what is set. */
struct option_change {
    const char *name; /* static */
    char *value;      /* as text, for the engine; malloc'ed */
};
void option_changes_free(struct option_change *changes, size_t count);

/* Reads what the store has. store may be NULL: nothing is kept. Both are borrowed. */
enum dr_code option_list_create(struct option_list **out, struct store *store,
                                struct model_folders *folders,
                                struct dr_error *err) DR_MUST_CHECK;
void option_list_destroy(struct option_list *list);

/* All, as GET options shows them: a new object. */
json_t *option_list_json(struct option_list *list);
/* One, as text, into value [bytes]: "" where it is not set. */
void option_list_get(struct option_list *list, const char *name, char *value,
                     size_t bytes);
/* Reads an object of values (POST options, override_settings): which would change. ignored: an array that gets the names
 * that were not taken, 64 at most; may be NULL. Errors: DR_BAD_INPUT (names the option), DR_NOT_FOUND (a model or VAE),
 * DR_NOMEM. */
enum dr_code option_list_read(struct option_list *list, json_t *values,
                              struct option_change **changes, size_t *count,
                              json_t *ignored, struct dr_error *err) DR_MUST_CHECK;
/* Sets them, and writes them to the store: all or none. The engine is not touched: worker_apply does both. */
enum dr_code option_list_set(struct option_list *list,
                             const struct option_change *changes, size_t count,
                             struct dr_error *err) DR_MUST_CHECK;

#endif
