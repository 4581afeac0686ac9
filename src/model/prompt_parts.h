/* prompt_parts — a prompt as A1111 and similar programs understand it, without a tokenizer.
 *
 *     "a cat <lora:fur:0.8> AND a [red:blue:0.5] (hat:1.2) :0.7"
 *
 *         networks   lora "fur", weights 0.8 and 0.8; taken out of the text
 *         part 0     weight 1     entry until step 20: "a cat" 1
 *         part 1     weight 0.7   entry until step 10: "a red " 1, "hat" 1.2
 *                                 entry until step 20: "a blue " 1, "hat" 1.2
 *
 * In this order: <kind:name:...> is taken out; AND, as a word of its own, parts the prompt, and a number after the
 * last colon of a part is its weight; each part gets its schedule (prompt_schedule.h), and each text of that its
 * weights (prompt_emphasis.h). A negative prompt has no networks and no AND: both are text there.
 *
 * <lora:name:text:unet>: the first number is the text encoders' weight, the second the UNet's, and the first one for both where
 * there is one; 1 where there is none. Also te= and unet=.
 *
 * Plain: the whole prompt is one segment of weight 1, whatever it contains.
 *
 * Reference: AUTOMATIC1111/stable-diffusion-webui version 1.10: modules/extra_networks.py, extensions-builtin/Lora,
 * modules/prompt_parser.py (get_multicond_prompt_list).
 *
 * Memory: in the struct's pool: some times the prompt's bytes, and its schedules'; more than PROMPT_PARTS_BYTES is
 * an error. parse/finish. Any thread.
 */
#ifndef MODEL_PROMPT_PARTS_H
#define MODEL_PROMPT_PARTS_H

#include "model/prompt_emphasis.h"
#include "model/prompt_schedule.h"

enum {
    PROMPT_PARTS_MAX = 256,
    PROMPT_NETWORKS_MAX = 1024,
    PROMPT_PARTS_BYTES = 64 * 1024 * 1024 /* of memory, for all parts */
};

/* What <kind:name:...> says. A "lyco" is listed as "lora". */
struct prompt_network {
    const char *kind, *name;
    double text_weight, unet_weight; /* of a lora, finite */
};

/* One text of a part. */
struct prompt_entry {
    int32_t end_step, repeat; /* prompt_schedule.h */
    int32_t same_as; /* an earlier entry of the part with the same text; -1: none */
    const char *text;
    struct prompt_segment *segments;
    int32_t segment_count;
};

struct prompt_part {
    double weight; /* finite */
    struct prompt_entry *entries;
    int32_t entry_count; /* at least 1 */
};

struct prompt_parts {
    struct prompt_part *parts;
    int32_t part_count; /* at least 1 */
    struct prompt_network *networks;
    int32_t network_count;
    struct pool pool; /* private */
};

struct prompt_parts_options {
    bool is_plain, is_negative;
    int32_t steps; /* evaluations of the UNet that a schedule is laid over; > 0 */
};

/* On error *parts is as finish leaves it. Errors: DR_BAD_INPUT says what is wrong and what to give instead; DR_NOMEM. */
enum dr_code prompt_parts_parse(struct prompt_parts *parts, const char *prompt,
                                const struct prompt_parts_options *options,
                                struct dr_error *err) DR_MUST_CHECK;
void prompt_parts_finish(struct prompt_parts *parts); /* a zeroed struct is fine */

/* Of a part: the entry of an evaluation, counted from 0. */
const struct prompt_entry *prompt_part_at(const struct prompt_part *part,
                                          int32_t evaluation);

#endif
