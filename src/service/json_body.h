/* json_body — a request's JSON, with the pictures in it taken out first.
 *
 * A client sends pictures as base64 inside strings. The JSON library would copy each, so the strings that may hold one
 * (the values of init_images, mask, image, imageList[].data, and others of the same names at any depth) are found in
 * the text by a scan of its tokens, decoded in place, and replaced by a short name, "#0", "#1", .... What remains is
 * parsed. A body takes at most its own bytes, twice the text without the pictures, and the parsed values.
 *
 * Errors of a picture's base64 are kept with it, since only the handler knows whether it needs the picture.
 */
#ifndef SERVICE_JSON_BODY_H
#define SERVICE_JSON_BODY_H

#include <stddef.h>

#include <darkroom/error.h>
#include <jansson.h>

/* The decoded bytes of one such string. */
struct json_body_blob {
    const unsigned char *bytes; /* in the body's own memory */
    size_t byte_count;
    const char
        *problem; /* NULL, or what is wrong: "not base64", "a URL: ...": static */
};

struct json_body {
    json_t *value; /* NULL: there was no body. Of a body "" the string */
    struct json_body_blob *blobs;
    size_t blob_count;
};

/* A whole number beyond 2^63 - 1 is no value of the JSON library: up to 20 digits it becomes text, for seeds
 * (loose_field.h). */

/* text [byte_count] is changed and has to stay as long as the body. No bytes at all are no error. Errors: DR_BAD_INPUT
 * (malformed JSON with its line and column; nested deeper than 64), DR_NOMEM. */
enum dr_code json_body_parse(struct json_body *body, char *text, size_t byte_count,
                             struct dr_error *err) DR_MUST_CHECK;
void json_body_finish(struct json_body *body);

/* The picture that a string stands for; NULL where the value is not a string that was taken out, or is empty ("" and
 * null mean: no picture). */
const struct json_body_blob *json_body_blob(const struct json_body *body,
                                            const json_t *value);

#endif
