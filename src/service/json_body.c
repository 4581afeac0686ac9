#include "service/json_body.h"

#include <stdlib.h>
#include <string.h>

#include "service/failure.h"
#include "service/json_scan.h"

static int is_blank(const char *text, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; ++i)
        if (!strchr(" \t\r\n", text[i]) || text[i] == '\0') return 0;
    return 1;
}

static enum dr_code parse_scanned(struct json_body *body, struct json_scan *scan,
                                  struct dr_error *err)
{
    json_error_t problem;
    if (is_blank(scan->text, scan->byte_count)) return DR_OK;
    body->value = json_loadb(scan->text, scan->byte_count, JSON_DECODE_ANY, &problem);
    if (body->value) {
        body->blobs = scan->blobs;
        body->blob_count = scan->blob_count;
        scan->blobs = NULL;
        return DR_OK;
    }
    const int is_no_memory = json_error_code(&problem) == json_error_out_of_memory;
    if (is_no_memory) return failure_memory(err, "the request");
    /* It is the place behind the token. */
    const size_t behind = problem.position > 0 ? (size_t)problem.position : 1;
    const size_t at = behind <= scan->byte_count ? behind - 1 : scan->byte_count;
    return failure(err, DR_BAD_INPUT, "cannot read the JSON at line %d, column %zu: %s",
                   problem.line > 0 ? problem.line : 1, json_scan_column(scan, at),
                   problem.text);
}

enum dr_code json_body_parse(struct json_body *body, char *text, size_t byte_count,
                             struct dr_error *err)
{
    struct json_scan scan;
    *body = (struct json_body){0};
    if (byte_count == 0) return DR_OK; /* text may be NULL */
    enum dr_code code = json_scan_run(&scan, text, byte_count, err);
    if (code == DR_OK) {
        code = parse_scanned(body, &scan, err);
        json_scan_finish(&scan);
    }
    return code;
}

void json_body_finish(struct json_body *body)
{
    json_decref(body->value);
    free(body->blobs);
    *body = (struct json_body){0};
}

const struct json_body_blob *json_body_blob(const struct json_body *body,
                                            const json_t *value)
{
    const char *const name = json_string_value(value);
    if (!name || name[0] != '#') return NULL;
    char *end = NULL;
    const unsigned long idx = strtoul(name + 1, &end, 10);
    return *end == '\0' && end > name + 1 && idx < body->blob_count ? &body->blobs[idx]
                                                                    : NULL;
}
