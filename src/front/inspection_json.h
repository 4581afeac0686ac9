/* inspection_json — what a file is and holds: a checkpoint or a VAE, or a picture.
 *
 *     "path":"...", "family":"sd15", "format":"safetensors", "file_bytes":..., "tensor_count":...,
 *     "components":[...], "ignored":{"tensor_count":..., "bytes":...}, "lacks":"...", "unsupported":"...",
 *     "prediction":{"type":"epsilon", "source":"default"},
 *     "schedule":{"betas":"...", "zero_terminal_snr":false, "source":"..."},
 *     "refused":["..."], "warnings":["..."],
 *     "defaults":{"size":"512x512", "steps":20, "cfg":7.0, "sampler":"euler-a", "scheduler":"normal"}, "digests":{"unet":"...", ...}, "metadata":{...},
 *     "vae_neighbours":["..."], "automatic":{"active":"base", "path":"", "reason":"..."}
 *
 * components: component_json.h, each with its digest where digests were asked for. path, family, format, file_bytes,
 * tensor_count, components and metadata are always there; the rest where there is something to say.
 */
#ifndef FRONT_INSPECTION_JSON_H
#define FRONT_INSPECTION_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

void inspection_json_add(json_t *answer, const struct dr_inspection *inspection);

/* A picture: `path`, `format` ("png", "jpeg") and `parameters`, the text that is stored in it; NULL is null. */
void inspection_json_add_picture(json_t *answer, const char *path, const char *format,
                                 const char *parameters);

#endif
