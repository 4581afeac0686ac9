/* prompt_request — the prompts of a request: parsed, tokenized, and made into what the UNet is to be given
 * (prompt_contexts.h).
 */
#ifndef JOB_PROMPT_REQUEST_H
#define JOB_PROMPT_REQUEST_H

#include "job/job.h"
#include "switch/current_model.h"

/* Fills want->prompts and want->embeddings, and what depends on them: guided, pads, prompt_syntax. The sampler of want is complete. only_looks: without a
 * vocabulary each text counts as one chunk, for a forecast. Errors: DR_BAD_INPUT and DR_UNSUPPORTED say what in the prompt
 * is wrong; the tokenizers'; embedding_set_open's. Both are then to be finished, too. */
enum dr_code prompt_request_make(struct current_model *model,
                                 const struct dr_generate_options *options,
                                 bool only_looks, struct job_request *want,
                                 struct dr_error *err) DR_MUST_CHECK;

/* Parses the prompts of a job that has no model yet: want has the LoRAs that they name, and nothing else. Errors: as above. */
enum dr_code prompt_request_check(const struct dr_generate_options *options,
                                  struct job_request *want,
                                  struct dr_error *err) DR_MUST_CHECK;

#endif
