/* multipart — a form with files (multipart/form-data, RFC 7578), as the OpenAI images API has it.
 *
 * Parts point into the body, which is not copied. Names of files are read and never used.
 */
#ifndef SERVICE_MULTIPART_H
#define SERVICE_MULTIPART_H

#include <stddef.h>

#include <darkroom/error.h>

enum {
    MULTIPART_PARTS = 64 /* at most */
};

struct multipart_part {
    const char *name; /* terminated */
    int is_file;
    const unsigned char *bytes; /* not terminated */
    size_t byte_count;
};

struct multipart {
    struct multipart_part *parts;
    size_t part_count;
};

/* content_type: the header's value, with the boundary. body is changed and has to stay as long as the parts.
 * Errors: DR_BAD_INPUT, DR_NOMEM. */
enum dr_code multipart_parse(struct multipart *form, const char *content_type,
                             char *body, size_t byte_count,
                             struct dr_error *err) DR_MUST_CHECK;
void multipart_finish(struct multipart *form);

/* The idx-th part of a name; NULL where there are fewer. */
const struct multipart_part *multipart_find(const struct multipart *form,
                                            const char *name, size_t idx);

#endif
