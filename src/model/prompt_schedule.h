/* prompt_schedule — a prompt that changes while a picture is made: [from:to:when], [to:when], [from::when], [a|b].
 *
 *     "a [mountain:lake:0.25] [red|blue]", 4 steps   ->   1 "a mountain red"   2 "a lake blue"   3 "a lake red"   4 "a lake blue"
 *
 * when: a step, or with a point in it a share of all steps. Each entry ends at its step, and an evaluation of the UNet,
 * counted from 0, uses the first entry whose end is not before it. [a|b] takes another one at each
 * step. Everything can be nested in each other, and in brackets with weights, which stay for prompt_emphasis.h.
 *
 * Brackets that are no such thing are text, with all brackets around them: [a:b:c:0.5], or one without partner. A text with
 * a | outside of [a|b], or with a backslash at its end, has no schedule at all: it is one entry, as it stands.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/prompt_parser.py, version 1.10: a grammar for the Lark parser
 * (get_learned_conditioning_prompt_schedules). Where brackets without partner make that grammar ambiguous, its result depends on
 * the order of a hash table, which differs from run to run; here every bracket that can be one is one, which is among those results.
 *
 * Memory: in the pool, the texts, at most PROMPT_SCHEDULE_BYTES in all. Time: the text's bytes times the steps. No
 * recursion. Any thread.
 */
#ifndef MODEL_PROMPT_SCHEDULE_H
#define MODEL_PROMPT_SCHEDULE_H

#include "base/error.h"
#include "base/pool.h"

#include <stdint.h>

enum {
    PROMPT_SCHEDULE_BYTES = 16 * 1024 * 1024
};

struct prompt_schedule_entry {
    int32_t end_step; /* ascending; the last one's is the number of steps */
    int32_t
        repeat; /* how many of the reference's entries it stands for: neighbours with the same text are one here */
    const char *text; /* in the pool; the same text has the same address */
};

/* steps: > 0. Errors: DR_BAD_INPUT (the texts are too many or too long), DR_NOMEM. */
enum dr_code prompt_schedule_parse(const char *text, int32_t steps, struct pool *pool,
                                   struct prompt_schedule_entry **entries,
                                   int32_t *count, struct dr_error *err) DR_MUST_CHECK;

#endif
