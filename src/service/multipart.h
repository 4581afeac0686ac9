/* multipart — a form with files (multipart/form-data, RFC 7578), as the OpenAI images API has it.
 *
 * Parts point into the body, which is not copied. They may come in any order; names of files are read and never used.
 *
 *     --BOUNDARY CRLF  headers CRLF  CRLF  bytes CRLF  --BOUNDARY ... CRLF  --BOUNDARY--
 */
#ifndef SERVICE_MULTIPART_H
#define SERVICE_MULTIPART_H

#include <stddef.h>

#include <darkroom/error.h>

enum {
    MULTIPART_PARTS = 64,           /* at most */
    MULTIPART_HEADER_BYTES = 4096,  /* of one part, all its headers */
    MULTIPART_BOUNDARY_BYTES = 200, /* RFC 2046 allows 70 */
};

struct multipart_part {
    const char *name; /* terminated */
    int is_file;
    const unsigned char *bytes; /* a zero follows, which is not counted */
    size_t byte_count;
};

struct multipart {
    struct multipart_part *parts;
    size_t part_count;
};

/* content_type: the header's value, with the boundary. body is changed and has to stay as long as the parts.
 * Errors: DR_BAD_INPUT (what is wrong, and of which part), DR_NOMEM. The form is then empty. */
enum dr_code multipart_parse(struct multipart *form, const char *content_type,
                             char *body, size_t byte_count,
                             struct dr_error *err) DR_MUST_CHECK;
void multipart_finish(struct multipart *form);

/* The idx-th part of a name; NULL where there are fewer. */
const struct multipart_part *multipart_find(const struct multipart *form,
                                            const char *name, size_t idx);

#endif
