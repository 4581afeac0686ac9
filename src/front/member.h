/* member — one member of a JSON object, from what darkroom.h has: text, bytes, a seed.
 *
 * Numbers stay exact (bytes, addresses, seeds). Text that is not valid UTF-8, which a file name may hold, is shown
 * with U+FFFD for each byte that is not valid. Where memory runs out the member is missing; answer_print then
 * prints an error where the whole object is missing.
 */
#ifndef FRONT_MEMBER_H
#define FRONT_MEMBER_H

#include <stdint.h>

#include <jansson.h>

/* Text as a JSON string, made valid UTF-8. NULL where memory runs out. */
json_t *member_text(const char *text);

/* object[key] = value, which is taken. NULL leaves the member out. */
void member_set(json_t *object, const char *key, json_t *value_take);

void member_set_text(json_t *object, const char *key, const char *text);
/* null for DR_UNKNOWN_BYTES. Also for addresses. */
void member_set_bytes(json_t *object, const char *key, uint64_t bytes);
void member_set_integer(json_t *object, const char *key, int64_t value);
void member_set_real(json_t *object, const char *key, double value);
/* true for anything but 0. */
void member_set_flag(json_t *object, const char *key, int value);

/* object["seed"]. jansson has no integer above 2^63 - 1: a larger seed is negative in memory. member_seed gives
 * the seed back, and answer_print prints it as it is. */
void member_set_seed(json_t *object, uint64_t seed);
uint64_t member_seed(const json_t *value);

#endif
