/* sampling_tuning_fuzz — any numbers as the options of sampling.
 *
 * The bytes are the struct itself: whatever is taken is within the ranges that the list of fields says, and a sampler can be
 * told of it; whatever is refused is named. Each field is also set alone: then its range alone decides.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "job/sampling_tuning.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool is_within(const struct dr_sampling_field *field, double value)
{
    return value == field->usual || (value >= field->least && value <= field->most);
}

static void check_all(const struct dr_sampling *sampling)
{
    struct dr_error err = {.message = ""};
    const enum dr_code code = sampling_tuning_check(sampling, &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    if (code) {
        assert(code == DR_BAD_INPUT);
        return;
    }
    for (int32_t i = 0; dr_sampling_field(i); ++i)
        assert(is_within(dr_sampling_field(i),
                         sampling_field_value(sampling, dr_sampling_field(i))));
    assert(sampling->cfg_from < sampling->cfg_to);
    const struct sampler_tuning tuning = sampling_tuning_of(sampling);
    assert(tuning.is_given && isfinite(tuning.eta) && isfinite(tuning.s_churn) &&
           isfinite(tuning.s_noise) && tuning.s_tmin <= tuning.s_tmax);
}

static void check_one(int32_t index, double value)
{
    const struct dr_sampling_field *const field = dr_sampling_field(index);
    struct dr_sampling sampling = dr_sampling_default();
    struct dr_error err = {.message = ""};
    memcpy((char *)&sampling + field->offset, &value, sizeof value);
    const enum dr_code code = sampling_tuning_check(&sampling, &err);
    if (!is_within(field, value)) assert(code == DR_BAD_INPUT);
    if (code && !is_within(field, value)) assert(strstr(err.message, field->key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct dr_sampling sampling = dr_sampling_default();
    double value;
    memcpy(&sampling, data, bytes < sizeof sampling ? bytes : sizeof sampling);
    check_all(&sampling);
    for (int32_t i = 0; dr_sampling_field(i); ++i)
        if (bytes >= ((size_t)i + 1) * sizeof value) {
            memcpy(&value, data + (size_t)i * sizeof value, sizeof value);
            check_one(i, value);
        }
    return 0;
}
