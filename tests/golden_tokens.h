/* golden_tokens — checking a tokenizer against a list of strings and ids.
 *
 * What the tests with the tiny and with CLIP's vocabulary share. Included once by each.
 */
#ifndef TESTS_GOLDEN_TOKENS_H
#define TESTS_GOLDEN_TOKENS_H

#include "check.h"
#include "golden_case.h"
#include "model/tokenizer.h"

#include <malloc.h>
#include <stdbool.h>
#include <time.h>

static inline struct token_list golden_encode(const struct tokenizer *tokenizer,
                                              const char *text)
{
    struct token_list tokens = {0};
    struct dr_error err = {0};
    if (tokenizer_encode(tokenizer, text, -1, &tokens, &err) != DR_OK)
        check_fail_at("%s", err.message);
    return tokens;
}

/* malloc'd: part said again and again until there are so many bytes. */
static inline char *golden_repeat(const char *part, size_t bytes)
{
    const size_t length = strlen(part);
    char *const text = malloc(bytes + 1);
    if (!text) abort();
    for (size_t i = 0; i < bytes; ++i)
        text[i] = part[i % length];
    text[bytes] = '\0';
    return text;
}

static inline double golden_seconds_since(const struct timespec *start)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) +
           1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

static inline void golden_check_case(const struct tokenizer *tokenizer,
                                     const json_t *golden_case, size_t i)
{
    char *const text = golden_text(golden_case);
    const struct token_list tokens = golden_encode(tokenizer, text);
    const json_t *const ids = json_object_get(golden_case, "ids");
    const json_t *const cut = json_object_get(golden_case, "cut");
    const int before = check_failed_count;
    check_int(tokens.count, ==, json_array_size(ids));
    check_int(tokens.cut_count, ==, cut ? json_integer_value(cut) : 0);
    bool is_eos_seen = false;
    for (int32_t k = 0; k < TOKENIZER_POSITIONS; ++k) {
        const int32_t eos = tokens.ids[tokens.count - 1];
        if (k < tokens.count)
            check_int(tokens.ids[k], ==,
                      json_integer_value(json_array_get(ids, (size_t)k)));
        else
            check_int(tokens.ids[k], ==, eos);
        if (tokens.ids[k] == eos && !is_eos_seen) check_int(tokens.eos_idx, ==, k);
        is_eos_seen = is_eos_seen || tokens.ids[k] == eos;
    }
    if (check_failed_count != before)
        fprintf(stderr, "     case %zu: \"%.200s\"\n", i, text);
    free(text);
}

/* All of a list. */
static inline void golden_check_list(const struct tokenizer *tokenizer,
                                     const char *name)
{
    json_t *const golden = golden_load(name);
    size_t i = 0;
    const json_t *golden_case;
    json_array_foreach(json_object_get(golden, "cases"), i, golden_case)
        golden_check_case(tokenizer, golden_case, i);
    check_int(i, >=, 300);
    json_decref(golden);
}

/* The longest prompt of each kind takes no noticeable time. */
static inline void golden_check_mebibytes(const struct tokenizer *tokenizer)
{
    static const char *const parts[] = {"a",
                                        "ab",
                                        "thing",
                                        "a lighthouse at dusk, ",
                                        "\xE4\xB8\xAD",
                                        "!",
                                        "7",
                                        "e\xCC\x81",
                                        "\xCC\x81\xCC\xA3",
                                        "\xF0\x9F\x98\x80",
                                        "<|endoftext|>",
                                        "\xFF",
                                        "'s",
                                        " ",
                                        "\xC3\x9F"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
        char *const text = golden_repeat(parts[i], 1024 * 1024);
        struct timespec start;
        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        const struct token_list tokens = golden_encode(tokenizer, text);
        const double seconds = golden_seconds_since(&start);
        fprintf(stderr, "     1 MiB of \"%s\": %.3f s, %d cut\n", parts[i], seconds,
                (int)tokens.cut_count);
        check_real(seconds, <,
                   10.0); /* below 1 on a quiet machine; quadratic takes hours */
        free(text);
    }
}

/* Opens fast, holds at most so many bytes, and gives them all back. */
static inline void golden_check_memory(const char *folder, size_t most_bytes)
{
    (void)malloc_trim(0);
    const struct mallinfo2 before = mallinfo2();
    struct timespec start;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    struct tokenizer *tokenizer = NULL;
    check_int(tokenizer_open(&tokenizer, folder, NULL), ==, DR_OK);
    const double seconds = golden_seconds_since(&start);
    const struct mallinfo2 open = mallinfo2();
    fprintf(stderr, "     opened in %.1f ms, %zu bytes\n", 1e3 * seconds,
            open.uordblks + open.hblkhd - before.uordblks - before.hblkhd);
    check_real(seconds, <, 5.0);
    check_int(open.uordblks + open.hblkhd - before.uordblks - before.hblkhd, <,
              most_bytes);
    (void)golden_encode(tokenizer, "a lighthouse at dusk");
    tokenizer_close(&tokenizer);
    check(tokenizer == NULL);
    tokenizer_close(&tokenizer);
    const struct mallinfo2 after = mallinfo2();
    check_int(after.uordblks + after.hblkhd, ==, before.uordblks + before.hblkhd);
}

#endif
