/* answer — what a command answers, as JSON by the names of the manual.
 *
 * Each function turns one of darkroom.h's structs into a new JSON object that the caller owns.
 * Numbers stay exact (bytes, addresses, seeds); text that is not UTF-8, which a file name may
 * hold, is shown with U+FFFD for what is not. Where memory runs out a member or an object is
 * missing, and answer_print says so.
 *
 *     {"ok":true,"command":"vae","ms":12.5,"vae":{...},"receipt":{...}}
 *     {"ok":false,"command":"vae","ms":0.3,"error":{"code":"not_found","message":"..."}}
 */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include <stdbool.h>
#include <stdio.h>

#include <darkroom/darkroom.h>
#include <jansson.h>

/* object[key] = text, made UTF-8. */
void answer_set_text(json_t *object, const char *key, const char *text);
/* null for DR_UNKNOWN_BYTES */
void answer_set_bytes(json_t *object, const char *key, uint64_t bytes);
/* object["seed"]: from 2^63 on negative in memory, which has no larger numbers; answer_seed tells
 * which one was meant, and answer_print prints that. */
void answer_set_seed(json_t *object, uint64_t seed);
uint64_t answer_seed(const json_t *value);

json_t *answer_text(const char *text);
json_t *answer_error(const struct dr_error *err);
json_t *answer_receipt(const struct dr_receipt *receipt);
json_t *answer_model(const struct dr_model_info *model);
json_t *answer_vae(const struct dr_vae_info *vae);
json_t *answer_images(const struct dr_image_info *images, int32_t count);
json_t *answer_timings(const struct dr_generate_result *result);
json_t *answer_budget(uint64_t bytes, const char *reason);
json_t *answer_forecast(const struct dr_forecast *forecast);

/* These add their members to the answer itself. */
void answer_add_memory(json_t *answer, const struct dr_memory *memory);
/* `packs`, with the folder and the sum of their bytes. */
void answer_add_pack_list(json_t *answer, const struct dr_pack_list *list);

/* `vaes` and `choices`, with the folder. */
void answer_add_vae_list(json_t *answer, const struct dr_vae_list *list);
/* The settings' file and what it says. */
void answer_add_settings(json_t *answer, const struct dr_settings *settings);
void answer_add_inspection(json_t *answer, const struct dr_inspection *inspection);

/* One line, flushed. False where it could not be written whole. */
bool answer_print(const json_t *answer, FILE *stream);

#endif
