/* folder_option — directories that were given one by one, as the engine takes them: "DIR:DIR".
 *
 * Pure; any thread.
 */
#ifndef SERVICE_FOLDER_OPTION_H
#define SERVICE_FOLDER_OPTION_H

#include <darkroom/error.h>

/* folders: NULL-terminated; NULL: none were given, and *option is NULL. what: "model", for the message. *option is malloc'ed.
 * Errors: DR_BAD_INPUT (a directory with ":" in its name), DR_NOMEM. */
enum dr_code folder_option_join(const char *const *folders, const char *what,
                                char **option, struct dr_error *err) DR_MUST_CHECK;

#endif
