/* The parts, schedules and weights of a prompt are those of AUTOMATIC1111's own parser
 * (tools/golden/prompt_parts.py), for some hundred prompts, many of them odd; and what has no reference: networks, limits, errors. */
#include "model/prompt_parts.h"

#include <math.h>

#include "check.h"
#include "golden_case.h"

static struct dr_error problem;

static const struct prompt_parts_options ten_steps = {.steps = 10};

static enum dr_code parse(struct prompt_parts *parts, const char *prompt)
{
    problem = (struct dr_error){0};
    return prompt_parts_parse(parts, prompt, &ten_steps, &problem);
}

/* ---- against the reference ------------------------------------------------------------------- */

static bool same_segments(const json_t *expected, const struct prompt_entry *entry)
{
    if (json_array_size(expected) != (size_t)entry->segment_count) return false;
    for (size_t i = 0; i < json_array_size(expected); ++i) {
        const json_t *const segment = json_array_get(expected, i);
        const struct prompt_segment *const own = &entry->segments[i];
        if (strcmp(json_string_value(json_array_get(segment, 0)), own->text) != 0 ||
            json_number_value(json_array_get(segment, 1)) != own->weight)
            return false;
    }
    return true;
}

static bool same_part(const json_t *expected, const struct prompt_part *part)
{
    const json_t *const entries = json_array_get(expected, 1);
    int32_t repeats = 0;
    if (json_number_value(json_array_get(expected, 0)) != part->weight) return false;
    for (int32_t i = 0; i < part->entry_count; ++i)
        repeats += part->entries[i].repeat;
    if (json_array_size(entries) != (size_t)repeats) return false;
    for (size_t i = 0; i < json_array_size(entries); ++i) {
        const json_t *const entry = json_array_get(entries, i);
        const json_int_t end = json_integer_value(json_array_get(entry, 0));
        const struct prompt_entry *const own = prompt_part_at(part, (int32_t)end);
        if (strcmp(json_string_value(json_array_get(entry, 1)), own->text) != 0 ||
            !same_segments(json_array_get(entry, 2), own))
            return false;
    }
    return true;
}

static bool same_parts(const json_t *expected, const struct prompt_parts *parts)
{
    if (json_array_size(expected) != (size_t)parts->part_count) return false;
    for (size_t i = 0; i < json_array_size(expected); ++i)
        if (!same_part(json_array_get(expected, i), &parts->parts[i])) return false;
    return true;
}

/* Has the reference no weights for one of the texts, because a number is none? */
static bool is_refused(const json_t *expected)
{
    for (size_t i = 0; i < json_array_size(expected); ++i) {
        const json_t *const entries = json_array_get(json_array_get(expected, i), 1);
        for (size_t k = 0; k < json_array_size(entries); ++k)
            if (json_is_null(json_array_get(json_array_get(entries, k), 2)))
                return true;
    }
    return false;
}

static void are_those_of_the_reference(void)
{
    json_t *const golden = golden_load("tests/golden/prompt-parts.json");
    const json_t *const cases = json_object_get(golden, "cases");
    int ambiguous = 0, refused = 0;
    check_int(json_array_size(cases), >=, 400);
    check_int(json_integer_value(json_object_get(golden, "steps")), ==, 10);
    for (size_t i = 0; i < json_array_size(cases); ++i) {
        const json_t *const it = json_array_get(cases, i);
        const char *const prompt = json_string_value(json_object_get(it, "prompt"));
        const json_t *const results = json_object_get(it, "results");
        struct prompt_parts parts = {0};
        const enum dr_code code = parse(&parts, prompt);
        bool found = false;
        for (size_t k = 0; k < json_array_size(results); ++k)
            found |=
                is_refused(json_array_get(results, k))
                    ? code == DR_BAD_INPUT
                    : code == DR_OK && same_parts(json_array_get(results, k), &parts);
        if (!found) check_fail_at("not as the reference: %s", prompt);
        ambiguous += json_array_size(results) > 1;
        refused += code == DR_BAD_INPUT;
        prompt_parts_finish(&parts);
    }
    check_int(ambiguous, <, (int)json_array_size(cases) / 5);
    check_int(refused, <, 40);
    json_decref(golden);
}

/* ---- networks -------------------------------------------------------------------------------- */

static void networks_are_taken_out(void)
{
    struct prompt_parts parts;
    check_int(parse(&parts, "a <lora:fur:0.8>cat<lyco:my style:0.5:0.25> <hypernet:h:1>"
                            "<lora:x:te=0.1:unet=-2> <lora:y> < lora:z:1> <lora:>"),
              ==, DR_OK);
    check_str(parts.parts[0].entries[0].text, "a cat   < lora:z:1> <lora:>");
    check_int(parts.network_count, ==, 5);
    static const struct prompt_network expected[] = {
        {"lora",     "fur",      0.8, 0.8 },
        {"lora",     "my style", 0.5, 0.25},
        {"hypernet", "h:1",      0.0, 0.0 },
        {"lora",     "x",        0.1, -2.0},
        {"lora",     "y",        1.0, 1.0 },
    };
    for (int i = 0; i < 5; ++i) {
        check_str(parts.networks[i].kind, expected[i].kind);
        check_str(parts.networks[i].name, expected[i].name);
        check_real(parts.networks[i].text_weight, ==, expected[i].text_weight);
        check_real(parts.networks[i].unet_weight, ==, expected[i].unet_weight);
    }
    prompt_parts_finish(&parts);
}

static void is_refused_because(const char *prompt, const char *reason)
{
    struct prompt_parts parts;
    check_int(parse(&parts, prompt), ==, DR_BAD_INPUT);
    check_has(problem.message, reason);
    check_int(parts.part_count, ==, 0);
}

static void bad_numbers_are_said(void)
{
    is_refused_because("<lora:a:nan>", "\"nan\" is not a weight for the LoRA \"a\"");
    is_refused_because("<lora:a:1:inf>", "\"inf\" is not a weight");
    is_refused_because("<lora:a:0.8x>", "\"0.8x\" is not a weight");
    is_refused_because("<lora::1>", "has no name");
    is_refused_because("(a:1.2.3)", "\"1.2.3\" in the prompt is not a weight");
    is_refused_because("(a:.)", "\".\" in the prompt is not a weight");
}

/* ---- a negative prompt, and a plain one ---------------------------------------------------------- */

static void a_negative_prompt_is_one_part(void)
{
    const struct prompt_parts_options options = {.is_negative = true, .steps = 10};
    struct prompt_parts parts;
    check_int(prompt_parts_parse(&parts, "(a:1.5) AND <lora:b:1> [c:d:3] 16:9 ",
                                 &options, &problem),
              ==, DR_OK);
    check_int(parts.part_count, ==, 1);
    check_int(parts.network_count, ==, 0);
    check_real(parts.parts[0].weight, ==, 1.0);
    check_int(parts.parts[0].entry_count, ==, 2);
    check_str(parts.parts[0].entries[0].text, "(a:1.5) AND <lora:b:1> c 16:9 ");
    prompt_parts_finish(&parts);
}

static void a_plain_prompt_is_itself(void)
{
    static const char prompt[] = "(a:1.5) AND b [c:d:3] BREAK <lora:e:1> \\( 16:9 ";
    const struct prompt_parts_options options = {.is_plain = true, .steps = 10};
    struct prompt_parts parts;
    check_int(prompt_parts_parse(&parts, prompt, &options, &problem), ==, DR_OK);
    check_int(parts.part_count, ==, 1);
    check_int(parts.parts[0].entry_count, ==, 1);
    check_int(parts.parts[0].entries[0].segment_count, ==, 1);
    check_str(parts.parts[0].entries[0].segments[0].text, prompt);
    check_real(parts.parts[0].entries[0].segments[0].weight, ==, 1.0);
    prompt_parts_finish(&parts);
}

/* ---- bounds ------------------------------------------------------------------------------------ */

static char *repeated(const char *text, int count)
{
    char *const whole = calloc(strlen(text) * (size_t)count + 1, 1);
    if (!whole) abort();
    for (int i = 0; i < count; ++i)
        memcpy(whole + strlen(text) * (size_t)i, text, strlen(text));
    return whole;
}

static void parse_repeated(const char *first, int count, const char *second,
                           int second_count, enum dr_code expected)
{
    char *const a = repeated(first, count), *const b = repeated(second, second_count);
    char *const prompt = calloc(strlen(a) + strlen(b) + 2, 1);
    struct prompt_parts parts;
    if (!prompt) abort();
    (void)sprintf(prompt, "%sa%s", a, b);
    check_int(parse(&parts, prompt), ==, expected);
    if (expected != DR_OK) check(problem.message[0]);
    prompt_parts_finish(&parts);
    free(prompt);
    free(a);
    free(b);
}

static void many_brackets_are_bounded(void)
{
    parse_repeated("(", 20000, "", 0, DR_BAD_INPUT); /* 1.1^20000 */
    parse_repeated("(", 500, ")", 500, DR_OK);
    parse_repeated("[", 20000, "]", 20000, DR_OK); /* a weight of 0 */
    parse_repeated("(", 20000, ")", 20000, DR_BAD_INPUT);
    parse_repeated("(a", 1000, ")", 1000, DR_BAD_INPUT);
    parse_repeated("([", 10000, "])", 10000, DR_OK);
    parse_repeated("(]", 10000, "[)", 10000, DR_BAD_INPUT);
    parse_repeated(")", 20000, "]", 20000, DR_OK);
    parse_repeated("[a", 200000, "", 0, DR_BAD_INPUT); /* too much work */
    parse_repeated("[", 1000, ":b:3]", 1000, DR_OK);
    parse_repeated("[x|", 1000, "]", 1000, DR_OK);
    parse_repeated("a AND ", 255, "", 0, DR_OK);
    parse_repeated("a AND ", 256, "", 0, DR_BAD_INPUT);
    parse_repeated("<lora:a:1>", 1024, "", 0, DR_OK);
    parse_repeated("<lora:a:1>", 1025, "", 0, DR_BAD_INPUT);
    parse_repeated("<a:", 100000, "", 0, DR_OK);
    parse_repeated("word ", 300000, "", 0, DR_BAD_INPUT); /* more than 1 MiB */
}

static void many_texts_are_bounded(void)
{
    const struct prompt_parts_options options = {.steps = 1000};
    char *const text = repeated("long text ", 5000);
    char *const prompt = calloc(strlen(text) + 8000, 1);
    struct prompt_parts parts;
    if (!prompt) abort();
    strcpy(prompt, text);
    for (int i = 0; i < 600; ++i)
        (void)sprintf(prompt + strlen(prompt), "[b:%d]", i + 1);
    check_int(prompt_parts_parse(&parts, prompt, &options, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "too many long texts");
    free(prompt);
    free(text);
}

/* Neighbours with the same text are one entry; the same text again is found as such. */
static void the_same_text_is_one(void)
{
    struct prompt_parts parts;
    check_int(parse(&parts, "[a|b] [c:c:5]"), ==, DR_OK);
    const struct prompt_part *const part = &parts.parts[0];
    check_int(part->entry_count, ==, 10);
    check_int(part->entries[2].same_as, ==, 0);
    check_int(part->entries[3].same_as, ==, 1);
    check(part->entries[2].segments == part->entries[0].segments);
    prompt_parts_finish(&parts);
    check_int(parse(&parts, "[a|a] b"), ==, DR_OK);
    check_int(parts.parts[0].entry_count, ==, 1);
    check_int(parts.parts[0].entries[0].repeat, ==, 10);
    check_int(parts.parts[0].entries[0].end_step, ==, 10);
    prompt_parts_finish(&parts);
}

/* An entry ends at its step: evaluations 0 to E use it. */
static void an_evaluation_uses_the_first_that_has_not_ended(void)
{
    struct prompt_parts parts;
    check_int(parse(&parts, "[a:b:3]"), ==, DR_OK);
    for (int32_t i = 0; i < 10; ++i)
        check_str(prompt_part_at(&parts.parts[0], i)->text, i <= 3 ? "a" : "b");
    prompt_parts_finish(&parts);
}

int main(void)
{
    check_run(are_those_of_the_reference);
    check_run(networks_are_taken_out);
    check_run(bad_numbers_are_said);
    check_run(a_negative_prompt_is_one_part);
    check_run(a_plain_prompt_is_itself);
    check_run(many_brackets_are_bounded);
    check_run(many_texts_are_bounded);
    check_run(the_same_text_is_one);
    check_run(an_evaluation_uses_the_first_that_has_not_ended);
    return check_done();
}
