/* json_body — a request's JSON, with the pictures in it taken out first.
 *
 * A client sends pictures as base64 inside strings. The JSON library would copy each, so the strings that may hold one
 * are found in the text by a scan of its tokens, decoded in place, and replaced by a short name, "#0", "#1", .... What
 * remains is parsed. Pictures stand under init_images, init_image, mask, mask_image, image and input_image at any
 * depth, and under data inside imageList; every string there is taken out but "", so no text of a client can be
 * mistaken for such a name.
 *
 *     text    {"prompt":"a","init_images":["iVBORw0K..."]}
 *     parsed  {"prompt":"a","init_images":["#0"]}          blobs[0] = the bytes, in text
 *
 * What is parsed is bounded by JSON_BODY_TEXT_BYTES and JSON_BODY_VALUES, whatever the size of the body.
 * Clients' texts are met halfway: a byte order mark is skipped, \u0000 and lone surrogates become U+FFFD, a whole
 * number that only 64 bits without a sign hold (a seed) becomes text, which loose_field.h reads.
 * Of two members of one name the last counts.
 *
 * Errors of a picture's base64 are kept with it, since only the handler knows whether it needs the picture.
 */
#ifndef SERVICE_JSON_BODY_H
#define SERVICE_JSON_BODY_H

#include <stddef.h>

#include <darkroom/error.h>
#include <jansson.h>

enum {
    JSON_BODY_DEPTH = 64, /* brackets within brackets */
    JSON_BODY_PICTURES = 256,
    JSON_BODY_VALUES = 65536,          /* strings, numbers, brackets */
    JSON_BODY_TEXT_BYTES = 8 << 20,    /* without the pictures */
    JSON_BODY_NUMBER_CHARACTERS = 1024 /* of one number */
};

/* The decoded bytes of one such string. */
struct json_body_blob {
    const unsigned char *bytes; /* in the body's own memory */
    size_t byte_count;
    const char *
        problem; /* NULL, or what is wrong: "it is not base64", "it is a URL ...": static */
};

struct json_body {
    json_t *value; /* NULL: there was no body. Of a body "" the string */
    struct json_body_blob *blobs;
    size_t blob_count;
};

/* text [byte_count] is changed and has to stay as long as the body. No bytes at all, or only blanks, are no error.
 * Errors: DR_BAD_INPUT (malformed JSON with its line and column; over a limit above), DR_NOMEM. The body is then empty. */
enum dr_code json_body_parse(struct json_body *body, char *text, size_t byte_count,
                             struct dr_error *err) DR_MUST_CHECK;
void json_body_finish(struct json_body *body);

/* The picture that a string stands for; NULL where the value is not a string that was taken out, or is empty ("" and
 * null mean: no picture). */
const struct json_body_blob *json_body_blob(const struct json_body *body,
                                            const json_t *value);

#endif
