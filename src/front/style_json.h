/* style_json — the styles of a file.
 *
 *     {"styles_file": "...", "styles": [{"name": "night", "prompt": "{prompt}, at night", "negative": "day"}, ...]}
 */
#ifndef FRONT_STYLE_JSON_H
#define FRONT_STYLE_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void style_list_json_add(json_t *answer, const struct dr_style_list *list);

#endif
