#include "service/sampler_fields.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "service/loose_field.h"
#include "service/sampler_names.h"

enum {
    STATUS_NOT_FOUND = 404
};

/* ---- the sampler ------------------------------------------------------------------------- */

static bool means_default(const char *name)
{
    return !*name || strcasecmp(name, "automatic") == 0 ||
           strcasecmp(name, "default") == 0;
}

/* Old clients send the number of a sampler in the list. */
static const struct sampler_entry *sampler_by_index(struct body_reader *fields,
                                                    const json_t *number)
{
    int32_t index = -1;
    if (!json_is_number(number)) return NULL;
    body_integer(fields, "sampler_index", 0, INT32_MAX, &index);
    const struct sampler_entry *const sampler =
        index < 0 ? NULL : sampler_names_at((size_t)index);
    if (!sampler)
        body_refuse(fields, STATUS_NOT_FOUND, DR_NOT_FOUND, "sampler_index",
                    "Sampler not found: there is no sampler number %d", (int)index);
    return sampler;
}

static const struct sampler_entry *read_sampler(struct body_reader *fields,
                                                const struct schedule_entry **schedule)
{
    const char *field = "sampler_name", *name = body_text(fields, field);
    *schedule = NULL;
    if (means_default(name)) {
        const json_t *const index = body_member(fields, "sampler_index");
        const struct sampler_entry *const sampler = sampler_by_index(fields, index);
        if (sampler || json_is_number(index)) return sampler;
        field = "sampler_index";
        name = body_text(fields, field);
    }
    if (fields->code != DR_OK || means_default(name)) return NULL;
    const struct sampler_entry *const sampler = sampler_names_find(name, schedule);
    if (!sampler)
        body_refuse(
            fields, STATUS_NOT_FOUND, DR_NOT_FOUND, field,
            "Sampler not found: \"%.60s\"; GET /sdapi/v1/samplers lists the samplers",
            name);
    return sampler;
}

/* NULL where it is not given. */
static const struct schedule_entry *read_schedule(struct body_reader *fields)
{
    const char *const name = body_text(fields, "scheduler");
    const struct schedule_entry *schedule = NULL;
    if (fields->code != DR_OK || !*name) return NULL;
    switch (schedule_names_find(name, &schedule)) {
    case SCHEDULE_FOUND: break;
    case SCHEDULE_FOREIGN:
        body_warn(fields,
                  "the scheduler \"%.30s\" is not built: the sampler's own was used",
                  name);
        break;
    case SCHEDULE_UNKNOWN:
        body_refuse(
            fields, STATUS_NOT_FOUND, DR_NOT_FOUND, "scheduler",
            "Scheduler not found: \"%.60s\"; GET /sdapi/v1/schedulers lists the "
            "schedulers",
            name);
        break;
    }
    return schedule;
}

/* A scheduler alone: the first sampler that it goes with. */
static const struct sampler_entry *sampler_for(const struct schedule_entry *schedule)
{
    size_t i = 0;
    const struct sampler_entry *sampler;
    while ((sampler = sampler_names_at(i)) != NULL &&
           !sampler_names_accepts(sampler->name, schedule->name))
        ++i;
    return sampler;
}

/* Both stay open where neither is given: the model's own defaults have them. */
static void read_names(struct body_reader *fields, struct picture_request *picture)
{
    const struct schedule_entry *in_name, *schedule;
    const struct sampler_entry *sampler = read_sampler(fields, &in_name);
    schedule = read_schedule(fields);
    const bool is_open = !schedule || schedule == schedule_names_at(0);
    if (in_name && is_open) schedule = in_name;
    if (!sampler && !is_open) sampler = sampler_for(schedule);
    if (fields->code != DR_OK || !sampler) return;
    const char *const used =
        sampler_names_schedule(sampler, schedule ? schedule->name : "");
    const bool is_automatic = !schedule || schedule == schedule_names_at(0);
    if (!is_automatic && strcmp(used, schedule->name) != 0)
        body_warn(fields, "%s does not go with the scheduler %s: %s was used",
                  sampler->label, schedule->label, schedule_names_of(used)->label);
    (void)snprintf(picture->sampler, sizeof picture->sampler, "%s", sampler->name);
    (void)snprintf(picture->scheduler, sizeof picture->scheduler, "%s", used);
}

/* ---- noise ------------------------------------------------------------------------------- */

static double *value_of(struct dr_sampling *sampling,
                        const struct dr_sampling_field *field)
{
    return (double *)(void *)((char *)sampling + field->offset);
}

/* Clients send A1111's eta, and s_churn, whatever the sampler: where it has no use for one, that is said. */
static void drop_unused(struct body_reader *fields, struct picture_request *picture)
{
    struct dr_sampling *const sampling = &picture->sampling;
    /* A sampler that is left to the model is not known yet. */
    const bool is_open = !*picture->sampler;
    const char *const label = is_open ? "a sampler that is not named"
                                      : sampler_names_of(picture->sampler)->label;
    const unsigned uses = is_open ? 0 : dr_sampler_uses(picture->sampler);
    if (sampling->eta >= 0 && !(uses & DR_SAMPLER_USES_ETA)) {
        if (sampling->eta != 0 && sampling->eta != 1)
            body_warn(fields, "eta %g was left out: %s has none", sampling->eta, label);
        sampling->eta = -1;
    }
    if (sampling->s_churn > 0 && !(uses & DR_SAMPLER_USES_CHURN)) {
        body_warn(fields, "s_churn %g was left out: %s has none", sampling->s_churn,
                  label);
        sampling->s_churn = 0;
    }
}

static void read_seeds(struct body_reader *fields, struct dr_sampling *sampling)
{
    int32_t width = 0, height = 0;
    bool is_given = false;
    if (fields->code != DR_OK) return;
    body_take(fields, "subseed",
              loose_seed(fields->body, "subseed", &is_given, &sampling->variation_seed,
                         &fields->refusal->err));
    if (!is_given) sampling->variation_seed = dr_random_seed();
    /* -1 and 0 are none, as in A1111; so is one side alone. */
    body_integer(fields, "seed_resize_from_w", -1, INT32_MAX, &width);
    body_integer(fields, "seed_resize_from_h", -1, INT32_MAX, &height);
    if (width > 0 && height > 0) {
        sampling->seed_resize_width = width;
        sampling->seed_resize_height = height;
    }
    body_integer(fields, "eta_noise_seed_delta", INT32_MIN, INT32_MAX,
                 &sampling->eta_seed_delta);
}

static void read_noise(struct body_reader *fields, struct picture_request *picture)
{
    const struct dr_sampling_field *field;
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i)
        body_real(fields, field->key, field->least, field->most,
                  value_of(&picture->sampling, field));
    read_seeds(fields, &picture->sampling);
    if (fields->code == DR_OK) drop_unused(fields, picture);
}

/* ------------------------------------------------------------------------------------------ */

void sampler_fields_read(struct body_reader *fields, struct picture_request *picture)
{
    read_names(fields, picture);
    read_noise(fields, picture);
}
