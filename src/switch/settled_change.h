/* settled_change — a change of the settings that does not depend on the working directory: relative paths of
 * existing files become absolute.
 *
 * Threads: any. Memory: settled_change_finish releases it.
 */
#ifndef SWITCH_SETTLED_CHANGE_H
#define SWITCH_SETTLED_CHANGE_H

#include "darkroom/darkroom.h"

/* The change with absolute paths: the strings of `plain` are stored in this struct. */
struct settled_change {
    struct dr_settings_change plain;
    char model[DR_PATH_BYTES], vae[DR_PATH_BYTES], folder[DR_PATH_BYTES];
    char warning[DR_TEXT_BYTES];
    struct dr_setting *settings; /* paths in them are whole */
    char **texts;                /* of those */
};

/* now: the settings before the change. Into a zeroed struct; finish it also after an error. Errors:
 * DR_BAD_INPUT, DR_IO, DR_NOMEM. */
enum dr_code settled_change_make(struct settled_change *settled,
                                 const struct dr_settings_change *change,
                                 const struct dr_settings *now,
                                 struct dr_error *err) DR_MUST_CHECK;
void settled_change_finish(struct settled_change *settled); /* zeroed is fine */

#endif
