/* golden_case — reading the files that tools/golden/tokens.py writes.
 *
 * A case has "text" or "hex", and perhaps "times". Included by the tests of the tokenizer.
 */
#ifndef TESTS_GOLDEN_CASE_H
#define TESTS_GOLDEN_CASE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file below the source tree; NULL, and said, where it cannot be read. */
static inline json_t *golden_load(const char *name)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", source ? source : ".", name);
    json_error_t fault;
    json_t *const golden = json_load_file(path, 0, &fault);
    if (!golden) fprintf(stderr, "%s:%d: %s\n", path, fault.line, fault.text);
    return golden;
}

/* The case's string, malloc'd, with a zero after it. */
static inline char *golden_text(const json_t *golden_case)
{
    const json_t *const hex = json_object_get(golden_case, "hex");
    const json_t *const times_value = json_object_get(golden_case, "times");
    const char *const text =
        json_string_value(hex ? hex : json_object_get(golden_case, "text"));
    const size_t times = times_value ? (size_t)json_integer_value(times_value) : 1;
    const size_t bytes = hex ? strlen(text) / 2 : strlen(text);
    char *const whole = malloc(bytes * times + 1);
    if (!whole) abort();
    for (size_t i = 0; i < bytes * times; ++i) {
        const size_t at = i % bytes;
        unsigned value = (unsigned char)text[at];
        if (hex) (void)sscanf(text + 2 * at, "%2x", &value);
        whole[i] = (char)value;
    }
    whole[bytes * times] = '\0';
    return whole;
}

#endif
