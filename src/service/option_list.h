/* option_list — the service's settings by A1111's names: what GET options shows and POST options changes.
 *
 * A table gives each option its name, type, default, and what it does: chooses the model or VAE, changes a default of
 * requests (CLIP_stop_at_last_layers, samples_format), or is there because clients read it. Options that could name paths,
 * commands, hosts or secrets do not exist.
 * Values are loosely typed, as clients send them; unknown names and null change nothing. Threads: any.
 */
#ifndef SERVICE_OPTION_LIST_H
#define SERVICE_OPTION_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <darkroom/error.h>
#include <jansson.h>

#include "service/picture_request.h"
#include "service/store.h"

struct option_list; /* opaque */

/* A setting that differs from what is set. */
struct option_change {
    const char *name; /* static */
    char *value;      /* as text; malloc'ed */
};
void option_changes_free(struct option_change *changes, size_t count);

/* Reads what the store has. store may be NULL: nothing is kept. */
enum dr_code option_list_create(struct option_list **out, struct store *store,
                                struct dr_error *err) DR_MUST_CHECK;
void option_list_destroy(struct option_list *list);

/* All, as GET options shows them: a new object. */
json_t *option_list_json(struct option_list *list);
/* One, as text, into value [bytes]: "" where it is not set. */
void option_list_get(struct option_list *list, const char *name, char *value,
                     size_t bytes);
/* Reads an object of values (POST options, override_settings): which would change. ignored: names that were not taken,
 * into a new array; may be NULL. Errors: DR_BAD_INPUT (names the option). */
enum dr_code option_list_read(struct option_list *list, const json_t *values,
                              struct option_change **changes, size_t *count,
                              json_t *ignored, struct dr_error *err) DR_MUST_CHECK;
/* Sets them, and writes them to the store. The engine is not touched: worker_apply does both. */
enum dr_code option_list_set(struct option_list *list,
                             const struct option_change *changes, size_t count,
                             struct dr_error *err) DR_MUST_CHECK;

#endif
