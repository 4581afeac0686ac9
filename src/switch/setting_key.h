/* setting_key — the keys of the settings that are not about VAEs: their names, types and places.
 *
 *     "model": "sd15"                            the model where none is given
 *     "base": "sd15"                             a complete model: the parts that a UNet alone does not have
 *     "model_dirs": ["~/models", "/data/sd"]     where models are found by name
 *     "output_dir": "~/pictures"
 *     "styles": "~/styles.csv"   "wildcard_dir": "~/wildcards"
 *     "precision": "bf16"   "weights": "f16"   "budget": "8G"   "packs_limit": "20G"
 *     "size": "768x512"   "steps": 25   "cfg": 7.5   "sampler": "dpmpp-2m"   "scheduler": "karras"
 *
 * Those of the last line are also what an entry of "by_model" may have: settings of one model.
 *
 * Threads: any. Memory: of the struct that is filled.
 */
#ifndef SWITCH_SETTING_KEY_H
#define SWITCH_SETTING_KEY_H

#include <jansson.h>
#include <stdbool.h>

#include "darkroom/darkroom.h"

enum setting_kind {
    SETTING_SIZE,
    SETTING_STEPS,
    SETTING_CFG,
    SETTING_SAMPLER,
    SETTING_SCHEDULER,
    SETTING_MODEL,
    SETTING_BASE,
    SETTING_MODEL_DIRS,
    SETTING_OUTPUT_DIR,
    SETTING_STYLES,
    SETTING_WILDCARD_DIR,
    SETTING_PRECISION,
    SETTING_WEIGHTS,
    SETTING_BUDGET,
    SETTING_PACKS_LIMIT
};

struct setting_key {
    const char *name;
    enum setting_kind kind;
};

/* NULL: there is none of that name; of a model: none that a model's entry may have. */
const struct setting_key *setting_key_find(const char *name);
const struct setting_key *setting_key_find_of_model(const char *name);
/* Their names, for messages: "size, steps, ..."; returns text. */
const char *setting_key_names(char text[static DR_TEXT_BYTES]);

/* Take a key's value from the file. defaults: where the keys that a model's entry may have go; settings:
 * where the others go, not needed for those. Errors: DR_BAD_INPUT says what the key takes; DR_NOMEM. */
enum dr_code setting_key_take(const struct setting_key *key, const json_t *value,
                              struct dr_settings *settings,
                              struct dr_defaults *defaults,
                              struct dr_error *err) DR_MUST_CHECK;

/* The value for the file of what a user gives, in the type that the key has; a new reference, NULL where
 * it is not UTF-8 or there is no memory. What setting_key_take would refuse is refused by that. */
json_t *setting_key_json(const struct setting_key *key, const char *text);

#endif
