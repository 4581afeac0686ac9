/* json_scan — the tokens of a JSON text, copied but for the pictures: the first half of json_body.h.
 *
 * It knows strings, words and brackets, and leaves the grammar to the parser that reads the copy: of a text that is no
 * JSON the copy is no JSON either.
 */
#ifndef SERVICE_JSON_SCAN_H
#define SERVICE_JSON_SCAN_H

#include "service/json_body.h"

struct json_scan {
    char *text; /* the copy, malloc'ed */
    size_t byte_count;
    struct json_body_blob *blobs; /* malloc'ed */
    size_t blob_count;
    /* Where in the copy the names of pictures begin, and how many characters shorter than the original they are. */
    struct {
        size_t at, shorter;
    } cuts[JSON_BODY_PICTURES];
};

/* text [byte_count] is changed: pictures are decoded in place. Errors: as json_body_parse; the scan is then empty. */
enum dr_code json_scan_run(struct json_scan *scan, char *text, size_t byte_count,
                           struct dr_error *err) DR_MUST_CHECK;
void json_scan_finish(struct json_scan *scan);

/* The column in the original (1 is the first) of a place in the copy. */
size_t json_scan_column(const struct json_scan *scan, size_t at);

#endif
