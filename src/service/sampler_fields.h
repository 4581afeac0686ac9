/* sampler_fields — how a request says sampler, schedule and noise, in A1111's words, for every API that takes them.
 *
 *     sampler_name, sampler_index, scheduler                       names (sampler_names.h)
 *     eta, s_churn, s_tmin, s_tmax, s_noise, s_min_uncond,
 *     subseed_strength, cfg_rescale, cfg_from, cfg_to              numbers (dr_sampling_field)
 *     subseed, seed_resize_from_w, seed_resize_from_h, eta_noise_seed_delta
 *
 * What the sampler has no use for is left out with a warning.
 */
#ifndef SERVICE_SAMPLER_FIELDS_H
#define SERVICE_SAMPLER_FIELDS_H

#include "service/body_reader.h"
#include "service/picture_request.h"

/* Into picture's sampler, scheduler and sampling, which hold the defaults. A variation seed that is not given is drawn. Refuses
 * unknown names (404) and values out of range (422). */
void sampler_fields_read(struct body_reader *fields, struct picture_request *picture);

#endif
