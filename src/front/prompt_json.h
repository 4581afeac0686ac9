/* prompt_json — what dr_describe_prompt says, as JSON. */
#ifndef FRONT_PROMPT_JSON_H
#define FRONT_PROMPT_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

/* Adds the members "texts", a row for each text of each part, "words", a row for each word of each text, and
 * "networks" (left out where there are none). */
void prompt_json_add(json_t *object, const struct dr_prompt_info *info);

#endif
