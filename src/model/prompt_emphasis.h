/* prompt_emphasis — which words of a prompt have which weight: (word), ((word)), [word], (word:1.3), BREAK.
 *
 *     "a (((house:1.3)) [on] a hill"  ->  "a " 1   "house" 1.573   " " 1.1   "on" 1   " a hill" 1.1
 *
 * ( ) multiply the weight of what is inside by 1.1, [ ] divide by it, and a number before ) takes the place
 * of 1.1. A bracket that is never closed counts to the end; one that was never opened is text. A backslash before
 * a bracket or a backslash makes it text; any other backslash is dropped. BREAK, as a word of its own, ends a chunk; white
 * space around it is dropped. Inside brackets it is a word, because their weight counts for it too.
 *
 * Segments of the same weight are one. Arithmetic is in float64, each factor in its turn, from the inside out,
 * so that equal weights are found as equal as they are in the reference.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui modules/prompt_parser.py, version 1.10
 * (parse_prompt_attention). There a number such as 1.2.3 is an exception; here an error says so.
 *
 * Memory: in the pool, twice the text and 24 bytes a segment. Time: brackets times segments, at most
 * PROMPT_EMPHASIS_WORK; beyond it is an error. No recursion. Any thread.
 */
#ifndef MODEL_PROMPT_EMPHASIS_H
#define MODEL_PROMPT_EMPHASIS_H

#include "base/error.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PROMPT_EMPHASIS_WORK = 1 << 28 /* multiplications, below a second */
};

struct prompt_segment {
    const char *text; /* in the pool */
    double weight;    /* finite */
    bool is_break;    /* a chunk ends here; text is "BREAK" */
};

/* Never zero segments: an empty text is one segment "". Errors: DR_BAD_INPUT (a number that is none; a weight that is not
 * finite as a float32; too many brackets), DR_NOMEM. */
enum dr_code prompt_emphasis_parse(const char *text, struct pool *pool,
                                   struct prompt_segment **segments, int32_t *count,
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
