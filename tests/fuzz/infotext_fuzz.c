/* infotext_fuzz — any bytes as a picture's text: its parts are texts, and the prompt is one of them. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "service/infotext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *key;
    json_t *value;
    char *const text = malloc(bytes + 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    json_t *const parts = infotext_json(text);
    assert(json_is_string(json_object_get(parts, "Prompt")));
    assert(json_is_string(json_object_get(parts, "Negative prompt")));
    json_object_foreach(parts, key, value)
    {
        assert(json_is_string(value));
    }
    char *const printed = json_dumps(parts, 0);
    assert(printed);
    free(printed);
    json_decref(parts);
    free(text);
    return 0;
}
