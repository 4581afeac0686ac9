/* json_body_fuzz — any bytes as the JSON of a request, with pictures.
 *
 * Read or refused with a sentence; what is read has no zeros in its texts, is nested no deeper than is said, and every
 * string under a picture's name stands for a picture, whose bytes lie within the request.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "service/json_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *text_start;
static size_t text_bytes;

static void check_blob(const struct json_body_blob *blob)
{
    assert(blob->bytes);
    if (blob->problem) return;
    assert(blob->byte_count > 0);
    const char *const at = (const char *)blob->bytes;
    assert(at >= text_start && at + blob->byte_count <= text_start + text_bytes);
}

static void check_value(const struct json_body *body, json_t *value, size_t depth)
{
    const char *key;
    json_t *member;
    size_t idx;
    assert(depth <= JSON_BODY_DEPTH);
    if (json_is_string(value))
        assert(strlen(json_string_value(value)) == json_string_length(value));
    json_object_foreach(value, key, member)
    {
        if (strcmp(key, "mask") == 0 && json_string_length(member) > 0)
            assert(json_body_blob(body, member));
        check_value(body, member,
                    depth + json_is_object(member) + json_is_array(member));
    }
    json_array_foreach(value, idx, member)
        check_value(body, member,
                    depth + json_is_object(member) + json_is_array(member));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct json_body body;
    struct dr_error err = {.message = ""};
    char *const text = malloc(bytes ? bytes : 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    text_start = text;
    text_bytes = bytes;
    const enum dr_code code = json_body_parse(&body, text, bytes, &err);
    assert(code == DR_OK || code == DR_BAD_INPUT);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    assert(code == DR_OK || (!body.value && !body.blobs && body.blob_count == 0));
    for (size_t i = 0; i < body.blob_count; ++i)
        check_blob(&body.blobs[i]);
    if (body.value) check_value(&body, body.value, 1);
    json_body_finish(&body);
    free(text);
    return 0;
}
