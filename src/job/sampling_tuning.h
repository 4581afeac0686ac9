/* sampling_tuning — the options of struct dr_sampling: their ranges, their names in a picture's text, and what they mean to a sampler.
 */
#ifndef JOB_SAMPLING_TUNING_H
#define JOB_SAMPLING_TUNING_H

#include "darkroom/darkroom.h"
#include "sampling/sampler.h"

/* Errors: DR_BAD_INPUT names the option, the value and the range. */
enum dr_code sampling_tuning_check(const struct dr_sampling *sampling,
                                   struct dr_error *err) DR_MUST_CHECK;

/* What a sampler is told of them. */
struct sampler_tuning sampling_tuning_of(const struct dr_sampling *sampling);

/* The double that a field has. */
double sampling_field_value(const struct dr_sampling *sampling,
                            const struct dr_sampling_field *field);

#endif
