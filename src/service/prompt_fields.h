/* prompt_fields — the prompts of a request, with what other fields add to them.
 *
 *     prompt, negative_prompt
 *     styles     ["Ink"]: words that are put around both; a name that is not there is left out with a warning, as A1111 does
 *                without one. The prompts are then what they became, and the names are kept
 *     lora       [{"path": "style/ink.safetensors", "multiplier": 0.8}], as stable-diffusion.cpp's clients send it: each becomes
 *                <lora:ink:0.8> at the end of the prompt, so that the picture's text has it
 */
#ifndef SERVICE_PROMPT_FIELDS_H
#define SERVICE_PROMPT_FIELDS_H

#include "service/body_reader.h"
#include "service/extra_networks.h"
#include "service/picture_request.h"

/* Replaces picture's prompt, negative and styles.  Refuses a LoRA that is not listed
 * (404), or is not named as above (422); a table of styles that cannot be read. */
void prompt_fields_read(struct body_reader *fields, struct extra_networks *networks,
                        struct picture_request *picture);

#endif
