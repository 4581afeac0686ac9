/* body_reader — the fields of an A1111 request's body, one after the other: the first that is wrong ends the reading, and
 * what comes after it is as if nothing were given.
 *
 * Types are loose (loose_field.h). A field's name is static text.
 */
#ifndef SERVICE_BODY_READER_H
#define SERVICE_BODY_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <darkroom/error.h>
#include <jansson.h>

/* Why a request is refused. */
struct a1111_refusal {
    int status;        /* 404, 422, 500, 501 */
    const char *field; /* NULL: none in particular */
    struct dr_error err;
};

struct body_reader {
    const json_t *body; /* an object; NULL: nothing is given */
    char *warnings;     /* sentences, "; " between them */
    size_t warnings_bytes;
    struct a1111_refusal *refusal;
    enum dr_code code;
};

/* value: a body's; NULL and null: nothing is given. Refuses what is no object. */
struct body_reader body_reader_init(const json_t *value, char *warnings,
                                    size_t warnings_bytes,
                                    struct a1111_refusal *refusal);

void body_refuse(struct body_reader *reader, int status, enum dr_code code,
                 const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Takes an error that has been put into refusal->err; DR_OK changes nothing. */
void body_take(struct body_reader *reader, const char *field, enum dr_code code);
/* One more sentence about what was left out, if there is room. */
void body_warn(struct body_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* NULL where it is missing or null, or after an error. */
const json_t *body_member(const struct body_reader *reader, const char *name);
/* *out stays where the field is not given. */
void body_integer(struct body_reader *reader, const char *name, int32_t least,
                  int32_t most, int32_t *out);
void body_real(struct body_reader *reader, const char *name, double least, double most,
               double *out);
bool body_flag(struct body_reader *reader, const char *name, bool fallback);
/* Borrowed from the body; "" where it is not given. */
const char *body_text(struct body_reader *reader, const char *name);

#endif
