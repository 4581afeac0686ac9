/* json_fixture — a JSON value as one text, for tests that compare whole answers: every name, type, value and the order.
 */
#ifndef FRONT_JSON_FIXTURE_H
#define FRONT_JSON_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

/* With ' in the place of ", so that expectations can be read. Valid until the next call. */
static inline const char *json_text(json_t *value_take)
{
    static char text[16384];
    char *const dumped =
        value_take ? json_dumps(value_take, JSON_COMPACT | JSON_REAL_PRECISION(7))
                   : NULL;
    (void)snprintf(text, sizeof text, "%s", dumped ? dumped : "(none)");
    for (char *c = text; *c; ++c)
        if (*c == '"') *c = '\'';
    free(dumped);
    json_decref(value_take);
    return text;
}

#endif
