/* infotext — the parts of a picture's text, as A1111 shows them: {"Prompt": "...", "Negative prompt": "...", "Steps": "20",
 * "Size-1": "512", "Size-2": "768", ...}. All values are texts.
 *
 * What is read for making the picture again is dr_parse_parameters; this keeps what that does not know.
 */
#ifndef SERVICE_INFOTEXT_H
#define SERVICE_INFOTEXT_H

#include <jansson.h>

/* A new object. */
json_t *infotext_json(const char *text);

#endif
