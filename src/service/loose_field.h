/* loose_field — the fields of a request as clients send them: numbers as text, whole numbers as floats, null for "not
 * given", true for 1.
 *
 * Each reader leaves *out as it is where the member is missing, null, or empty text. Otherwise it fails with
 * DR_BAD_INPUT, which names the member, the value (shortened) and what it takes. A real number is accepted for a whole
 * one where it has no fraction; true and false are accepted for 1 and 0, and 1, 0, "true" and "false" for flags.
 * object may be NULL: nothing is given. Threads: any.
 */
#ifndef SERVICE_LOOSE_FIELD_H
#define SERVICE_LOOSE_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include <darkroom/error.h>
#include <jansson.h>

enum dr_code loose_integer(const json_t *object, const char *name, int64_t least,
                           int64_t most, int64_t *out,
                           struct dr_error *err) DR_MUST_CHECK;
enum dr_code loose_real(const json_t *object, const char *name, double least,
                        double most, double *out, struct dr_error *err) DR_MUST_CHECK;
enum dr_code loose_flag(const json_t *object, const char *name, bool *out,
                        struct dr_error *err) DR_MUST_CHECK;
/* Text: borrowed from the object. A number is no text. */
enum dr_code loose_text(const json_t *object, const char *name, const char **out,
                        struct dr_error *err) DR_MUST_CHECK;
/* A seed, up to 2^64 - 1; negative, "" or null mean "any": then *is_given is false and *seed is left. JSON numbers
 * above 2^63 - 1 come as text (json_body.h). */
enum dr_code loose_seed(const json_t *object, const char *name, bool *is_given,
                        uint64_t *seed, struct dr_error *err) DR_MUST_CHECK;

#endif
