/* answer — what a command answers: one JSON object on one line.
 *
 *     {"ok":true,"command":"vae","ms":12.5,"vae":{...},"receipt":{...}}
 *     {"ok":false,"command":"vae","ms":0.3,"error":{"code":"not_found","message":"..."}}
 *
 * The members after `ms` are the answer's fields. They come from the modules beside this one, one for each noun
 * (receipt_json, vae_json, memory_json, ...): each turns one of darkroom.h's structs into a new value that the caller
 * owns, or adds its members to an object. Where memory runs out a member or an object is missing.
 */
#ifndef FRONT_ANSWER_H
#define FRONT_ANSWER_H

#include <stdbool.h>
#include <stdio.h>

#include <darkroom/error.h>
#include <jansson.h>

/* No fields yet: an empty object, to be filled while a command runs. NULL where memory runs out. */
json_t *answer_fields(void);
/* Release fields or an answer. NULL is fine. */
void answer_free(json_t *value);

/* A new answer with the fields in it; where err is not NULL after the error, since they tell what was done or found
 * until then. */
json_t *answer_create(const char *command, double ms, const struct dr_error *err,
                      json_t *fields);

/* `code` (a name of error.h) and `message`. */
json_t *answer_error(const struct dr_error *err);

/* One line, flushed; NULL prints that memory ran out. False where it could not be written whole. */
bool answer_print(const json_t *answer, FILE *stream);

#endif
