#include "model/prompt_text.h"

#include "base/utf8.h"
#include "check.h"
#include "golden_case.h"
#include "model/added_tokens.h"
#include "model/code_point.h"

#include <stdbool.h>
#include <time.h>

static uint64_t hash_add(uint64_t hash, uint32_t word)
{
    for (int i = 0; i < 4; ++i)
        hash = (hash ^ (word >> 8 * i & 0xFF)) * 0x100000001B3u;
    return hash;
}

/* What tools/golden/tokens.py hashes of one code point. */
static uint64_t hash_point(uint64_t hash, int32_t point)
{
    char utf8[16] = "q\xCD\x85";
    const size_t length = utf8_encode((uint32_t)point, utf8 + 3);
    memcpy(utf8 + 3 + length, "\xCC\x81", 3);
    struct prompt_text text;
    if (prompt_text_init(&text, utf8, NULL, NULL) != DR_OK) abort();
    for (size_t i = 0; i < text.count; ++i) {
        const enum code_point_class class = code_point_class(text.points[i]);
        const uint32_t shown =
            class == CODE_POINT_SPACE ? ' ' : (uint32_t)text.points[i];
        hash = hash_add(hash, shown | (uint32_t) class << 24);
    }
    prompt_text_finish(&text);
    return hash;
}

static json_t *golden;

static void knows_every_code_point_as_the_reference_does(void)
{
    const json_t *const blocks = json_object_get(golden, "blocks");
    check_int(json_array_size(blocks), ==, 0x110000 / 4096);
    for (int32_t first = 0; first < 0x110000; first += 4096) {
        uint64_t hash = 0xCBF29CE484222325u;
        for (int32_t point = first; point < first + 4096; ++point)
            if (point != 0 && (point < 0xD800 || point >= 0xE000))
                hash = hash_point(hash, point);
        char text[17];
        (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
        const char *const expected =
            json_string_value(json_array_get(blocks, (size_t)first / 4096));
        if (!expected || strcmp(text, expected) != 0)
            check_fail_at("a code point from U+%04X on differs", (unsigned)first);
    }
}

/* UTF-8 of a text, runs of white space made one. */
static void write_normal(const struct prompt_text *text, char *out)
{
    bool was_space = false;
    for (size_t i = 0; i < text->count; ++i) {
        const bool is_space = code_point_class(text->points[i]) == CODE_POINT_SPACE;
        if (is_space && !was_space) *out++ = ' ';
        if (!is_space) out += utf8_encode((uint32_t)text->points[i], out);
        was_space = is_space;
    }
    *out = '\0';
}

static void normalises_as_the_reference_does(void)
{
    size_t i;
    const json_t *golden_case;
    json_array_foreach(json_object_get(golden, "cases"), i, golden_case)
    {
        char *const utf8 = golden_text(golden_case);
        struct prompt_text text;
        check_int(prompt_text_init(&text, utf8, NULL, NULL), ==, DR_OK);
        char *const normal = malloc(4 * text.count + 1);
        if (!normal) abort();
        write_normal(&text, normal);
        check_str(normal, json_string_value(json_object_get(golden_case, "normal")));
        free(normal);
        prompt_text_finish(&text);
        free(utf8);
    }
    check_int(i, >=, 300);
}

/* The default ones: the end of text as written, the begin of text normalised. */
static void takes_the_tokens_out(void)
{
    struct added_tokens tokens;
    check_int(added_tokens_read(&tokens, "/nowhere", NULL), ==, DR_OK);
    check_int(added_tokens_build(&tokens, NULL), ==, DR_OK);
    check_int(tokens.count, ==, 2);
    struct prompt_text text;
    check_int(prompt_text_init(&text, "A<|endoftext|><|StartOfText|><|EndOfText|>",
                               &tokens, NULL),
              ==, DR_OK);
    check_int(text.count, ==, 3 + 13);
    check_int(text.points[0], ==, 'a');
    check_int(text.points[1], >=, PROMPT_TEXT_TOKEN);
    check_str(tokens.items[text.points[1] - PROMPT_TEXT_TOKEN].text, EOS_SYMBOL);
    check_str(tokens.items[text.points[2] - PROMPT_TEXT_TOKEN].text, BOS_SYMBOL);
    check_int(text.points[3], ==, '<');
    check_int(text.points[15], ==, '>');
    prompt_text_finish(&text);
    added_tokens_finish(&tokens);
}

static void empty_is_empty(void)
{
    struct prompt_text text;
    check_int(prompt_text_init(&text, "", NULL, NULL), ==, DR_OK);
    check_int(text.count, ==, 0);
    prompt_text_finish(&text);
    prompt_text_finish(&text); /* a finished one is fine */
}

static char *repeat(const char *part, size_t bytes)
{
    const size_t length = strlen(part);
    char *const text = malloc(bytes + 1);
    if (!text) abort();
    for (size_t i = 0; i < bytes; ++i)
        text[i] = part[i % length];
    text[bytes] = '\0';
    return text;
}

static void refuses_what_is_too_long(void)
{
    char *const utf8 = repeat("a", PROMPT_TEXT_MAX_BYTES + 1);
    struct prompt_text text;
    struct dr_error err = {0};
    check_int(prompt_text_init(&text, utf8, NULL, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "1048577");
    check_has(err.message, "1048576");
    check(text.points == NULL);
    utf8[PROMPT_TEXT_MAX_BYTES] = '\0';
    check_int(prompt_text_init(&text, utf8, NULL, &err), ==, DR_OK);
    check_int(text.count, ==, PROMPT_TEXT_MAX_BYTES);
    prompt_text_finish(&text);
    free(utf8);
}

/* A run of marks in the worst order: would take a quarter of a million million swaps. */
static void orders_a_million_marks_in_linear_time(void)
{
    char *const utf8 = repeat("\xCC\x81\xCC\xA3", PROMPT_TEXT_MAX_BYTES);
    struct prompt_text text;
    const clock_t start = clock();
    check_int(prompt_text_init(&text, utf8, NULL, NULL), ==, DR_OK);
    const double seconds = (double)(clock() - start) / (double)CLOCKS_PER_SEC;
    fprintf(stderr, "     1 MiB of marks: %.3f s\n", seconds);
    check_real(seconds, <, 5.0);
    check_int(text.count, ==, PROMPT_TEXT_MAX_BYTES / 2);
    check_int(text.points[0], ==, 0x323);
    check_int(text.points[text.count - 1], ==, 0x301);
    prompt_text_finish(&text);
    free(utf8);
}

int main(void)
{
    golden = golden_load("tests/golden/prompt-text.json");
    if (!golden) return 1;
    check_run(knows_every_code_point_as_the_reference_does);
    check_run(normalises_as_the_reference_does);
    check_run(takes_the_tokens_out);
    check_run(empty_is_empty);
    check_run(refuses_what_is_too_long);
    check_run(orders_a_million_marks_in_linear_time);
    json_decref(golden);
    return check_done();
}
