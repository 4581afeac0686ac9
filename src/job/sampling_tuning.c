#include "job/sampling_tuning.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "job/defaults.h"

#define AT(field) offsetof(struct dr_sampling, field)

/* Keys and labels are A1111's (modules/processing.py, shared_options.py); it has no names for the last ones. */
static const struct dr_sampling_field fields[] = {
    {"eta",              "Eta",                     AT(eta),                0, 1,    -1},
    {"s_churn",          "Sigma churn",             AT(s_churn),            0, 1000, 0 },
    {"s_tmin",           "Sigma tmin",              AT(s_tmin),             0, 5000, 0 },
    {"s_tmax",           "Sigma tmax",              AT(s_tmax),             0, 5000, 0 },
    {"s_noise",          "Sigma noise",             AT(s_noise),            0, 10,   1 },
    {"subseed_strength", "Variation seed strength", AT(variation_strength), 0, 1,    0 },
    {"s_min_uncond",     "NGMS",                    AT(s_min_uncond),       0, 5000, 0 },
    {"cfg_rescale",      "CFG rescale",             AT(cfg_rescale),        0, 1,    0 },
    {"cfg_from",         "CFG interval start",      AT(cfg_from),           0, 1,    0 },
    {"cfg_to",           "CFG interval end",        AT(cfg_to),             0, 1,    1 },
};

const struct dr_sampling_field *dr_sampling_field(int32_t index)
{
    const int32_t count = (int32_t)(sizeof fields / sizeof *fields);
    return index >= 0 && index < count ? &fields[index] : NULL;
}

struct dr_sampling dr_sampling_default(void)
{
    return (struct dr_sampling){
        .eta = -1, .s_noise = 1, .variation_seed = dr_random_seed(), .cfg_to = 1};
}

double sampling_field_value(const struct dr_sampling *sampling,
                            const struct dr_sampling_field *field)
{
    double value;
    memcpy(&value, (const char *)sampling + field->offset, sizeof value);
    return value;
}

static enum dr_code check_field(const struct dr_sampling *sampling,
                                const struct dr_sampling_field *field,
                                struct dr_error *err)
{
    const double value = sampling_field_value(sampling, field);
    if (value == field->usual || (value >= field->least && value <= field->most))
        return DR_OK;
    return error_set(err, DR_BAD_INPUT, "%s is %g: it must be from %g to %g",
                     field->key, value, field->least, field->most);
}

static enum dr_code check_sizes(const struct dr_sampling *sampling,
                                struct dr_error *err)
{
    const int32_t width = sampling->seed_resize_width,
                  height = sampling->seed_resize_height;
    const bool is_none = width == 0 && height == 0;
    const bool fits = width >= JOB_LEAST_SIDE && width <= JOB_MAX_SIDE &&
                      height >= JOB_LEAST_SIDE && height <= JOB_MAX_SIDE;
    if (is_none || fits) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the noise of a picture of %dx%d pixels: give sides of %d to %d",
                     (int)width, (int)height, JOB_LEAST_SIDE, JOB_MAX_SIDE);
}

enum dr_code sampling_tuning_check(const struct dr_sampling *sampling,
                                   struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (size_t i = 0; code == DR_OK && i < sizeof fields / sizeof *fields; ++i)
        code = check_field(sampling, &fields[i], err);
    if (code == DR_OK) code = check_sizes(sampling, err);
    if (code != DR_OK) return code;
    if (sampling->s_tmax > 0 && sampling->s_tmin > sampling->s_tmax)
        return error_set(err, DR_BAD_INPUT,
                         "s_tmin %g is above s_tmax %g: no step is between them",
                         sampling->s_tmin, sampling->s_tmax);
    if (sampling->cfg_from >= sampling->cfg_to)
        return error_set(err, DR_BAD_INPUT,
                         "guidance from %g to %g of the steps: the end must be later "
                         "than the start; a cfg of 1 turns guidance off",
                         sampling->cfg_from, sampling->cfg_to);
    return DR_OK;
}

struct sampler_tuning sampling_tuning_of(const struct dr_sampling *sampling)
{
    return (struct sampler_tuning){.is_given = true,
                                   .eta = sampling->eta,
                                   .s_churn = sampling->s_churn,
                                   .s_tmin = sampling->s_tmin,
                                   .s_tmax = sampling->s_tmax > 0 ? sampling->s_tmax
                                                                  : (double)INFINITY,
                                   .s_noise = sampling->s_noise};
}
