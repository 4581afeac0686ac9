/* multipart_fuzz — any bytes as a form: its Content-Type up to the first line feed, and its body.
 *
 * Read or refused with a sentence; parts lie within the body, in order, and end with a zero.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "service/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_form(const struct multipart *form, const char *body, size_t bytes)
{
    const char *from = body;
    assert(form->part_count <= MULTIPART_PARTS);
    for (size_t i = 0; i < form->part_count; ++i) {
        const struct multipart_part *const part = &form->parts[i];
        const char *const at = (const char *)part->bytes;
        assert(part->name > from && part->name + strlen(part->name) < at);
        assert(at + part->byte_count < body + bytes && at[part->byte_count] == '\0');
        from = at + part->byte_count;
        assert(multipart_find(form, part->name, 0));
        assert(!multipart_find(form, part->name, form->part_count));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *const line_end = bytes ? memchr(data, '\n', bytes) : NULL;
    if (!line_end) return 0;
    const size_t type_bytes = (size_t)(line_end - data);
    const size_t body_bytes = bytes - type_bytes - 1;
    char *const type = malloc(type_bytes + 1);
    char *const body = malloc(body_bytes ? body_bytes : 1);
    if (!type || !body) abort();
    memcpy(type, data, type_bytes);
    type[type_bytes] = '\0';
    memcpy(body, line_end + 1, body_bytes);
    struct multipart form;
    struct dr_error err = {.message = ""};
    const enum dr_code code = multipart_parse(&form, type, body, body_bytes, &err);
    assert(code == DR_OK || code == DR_BAD_INPUT);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    assert(code == DR_OK || (!form.parts && form.part_count == 0));
    check_form(&form, body, body_bytes);
    multipart_finish(&form);
    free(type);
    free(body);
    return 0;
}
