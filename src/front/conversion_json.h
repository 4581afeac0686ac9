/* conversion_json — struct dr_conversion, a checkpoint that was written in another type.
 *
 *     "path":"...", "output":"...", "format":"GGUF", "weights":"Q8_0", "file_bytes":n, "source_bytes":n,
 *     "tensor_count":n, "parameter_count":n, "in_blocks":{"tensor_count":n, "parameter_count":n}
 *
 * in_blocks only where there are some.
 */
#ifndef FRONT_CONVERSION_JSON_H
#define FRONT_CONVERSION_JSON_H

#include <jansson.h>

#include "darkroom/darkroom.h"

void conversion_json_add(json_t *answer, const struct dr_conversion *conversion);

#endif
