/* Ranges, each with its numbers in the message; what is usual changes nothing. */
#include "job/sampling_tuning.h"

#include <math.h>

#include "check.h"

static void set(struct dr_sampling *sampling, const struct dr_sampling_field *field,
                double value)
{
    memcpy((char *)sampling + field->offset, &value, sizeof value);
}

static void refused(const struct dr_sampling *sampling, const char *part)
{
    struct dr_error err = {0};
    check_int(sampling_tuning_check(sampling, &err), ==, DR_BAD_INPUT);
    check_has(err.message, part);
}

static void the_usual_is_accepted(void)
{
    const struct dr_sampling usual = dr_sampling_default();
    const struct dr_sampling_field *field;
    check_int(sampling_tuning_check(&usual, NULL), ==, DR_OK);
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i)
        check_real(sampling_field_value(&usual, field), ==, field->usual);
    check(dr_sampling_field(-1) == NULL);
}

static void each_range_is_checked(void)
{
    const struct dr_sampling_field *field;
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        struct dr_sampling sampling = dr_sampling_default();
        const double wrong[] = {field->most + 1, -0.5, (double)NAN, (double)INFINITY};
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; ++k) {
            set(&sampling, field, wrong[k]);
            refused(&sampling, field->key);
            refused(&sampling, "it must be from 0 to ");
        }
    }
}

static void pairs_are_checked(void)
{
    struct dr_sampling sampling = dr_sampling_default();
    sampling.cfg_from = 0.5;
    sampling.cfg_to = 0.5;
    refused(&sampling, "guidance from 0.5 to 0.5");
    sampling = dr_sampling_default();
    sampling.s_tmin = 3;
    check_int(sampling_tuning_check(&sampling, NULL), ==, DR_OK); /* no upper limit */
    sampling.s_tmax = 2;
    refused(&sampling, "s_tmin 3 is above s_tmax 2");
    sampling = dr_sampling_default();
    sampling.seed_resize_width = 512;
    refused(&sampling, "512x0 pixels");
    sampling.seed_resize_height = 100000;
    refused(&sampling, "512x100000 pixels");
    sampling.seed_resize_height = 768;
    check_int(sampling_tuning_check(&sampling, NULL), ==, DR_OK);
}

static void a_sampler_is_told(void)
{
    struct dr_sampling sampling = dr_sampling_default();
    sampling.s_churn = 4;
    const struct sampler_tuning tuning = sampling_tuning_of(&sampling);
    check(tuning.is_given);
    check_real(tuning.eta, ==, -1);
    check_real(tuning.s_churn, ==, 4);
    check(isinf(tuning.s_tmax));
}

int main(void)
{
    check_run(the_usual_is_accepted);
    check_run(each_range_is_checked);
    check_run(pairs_are_checked);
    check_run(a_sampler_is_told);
    return check_done();
}
