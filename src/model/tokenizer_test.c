/* With the tiny vocabulary, which is in the tree. The lists of strings and ids are the
 * reference's (tools/golden/tokens.py); tokenizer_clip_test.c has CLIP's own vocabulary. */
#include "model/tokenizer.h"

#include "base/fault_fixture.h"
#include "check.h"
#include "golden_tokens.h"

#include <malloc.h>
#include <stdbool.h>
#include <unistd.h>

static struct tokenizer *tiny;
static char tiny_folder[2048];

/* ---- the reference's lists ---- */

static void equals_the_reference_with_the_tiny_vocabulary(void)
{
    golden_check_list(tiny, "tests/golden/tiny-tokens.json");
}

/* The list fails when the tokenizer is wrong: here the tiny one is asked for CLIP's ids. */
static void the_list_can_fail(void)
{
    json_t *const golden = golden_load("tests/golden/tokens.json");
    const int before = check_failed_count;
    int differ = 0;
    size_t i;
    const json_t *golden_case;
    json_array_foreach(json_object_get(golden, "cases"), i, golden_case)
    {
        char *const text = golden_text(golden_case);
        const struct token_list tokens = golden_encode(tiny, text);
        const json_t *const id = json_array_get(json_object_get(golden_case, "ids"), 1);
        differ += tokens.ids[1] != json_integer_value(id);
        free(text);
    }
    check_int(differ, >=, 300);
    check_int(check_failed_count, ==, before);
    json_decref(golden);
}

/* ---- what a list says ---- */

static void pads_as_asked(void)
{
    struct token_list tokens;
    check_int(tokenizer_encode(tiny, "a", 0, &tokens, NULL), ==, DR_OK);
    check_int(tokens.count, ==, 3);
    check_int(tokens.eos_idx, ==, 2);
    check_int(tokens.ids[0], ==, 592);
    check_int(tokens.ids[2], ==, 593);
    for (int i = 3; i < TOKENIZER_POSITIONS; ++i)
        check_int(tokens.ids[i], ==, 0);
    const struct token_list default_pad = golden_encode(tiny, "a");
    check_int(default_pad.ids[3], ==, 593);
    check_int(default_pad.ids[76], ==, 593);
}

static void cuts_at_75_and_counts(void)
{
    for (int words = 70; words <= 85; ++words) {
        char text[256] = "";
        for (int i = 0; i < words; ++i)
            memcpy(text + 2 * (size_t)i, "1 ", 3);
        const struct token_list tokens = golden_encode(tiny, text);
        check_int(tokens.count, ==, words < 75 ? words + 2 : 77);
        check_int(tokens.cut_count, ==, words < 75 ? 0 : words - 75);
        check_int(tokens.ids[tokens.count - 1], ==, 593);
        check_int(tokens.eos_idx, ==, tokens.count - 1);
    }
}

static void first_eos_may_be_a_literal(void)
{
    const struct token_list tokens = golden_encode(tiny, "1<|endoftext|>2");
    check_int(tokens.count, ==, 5);
    check_int(tokens.eos_idx, ==, 2);
}

/* ---- properties of random bytes ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13; /* Marsaglia's xorshift64 */
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Any bytes have ids, the same ids again, and spaces around them change nothing. */
static void random_bytes_hold_the_properties(void)
{
    const uint64_t seed = 0xD42C5EEDu;
    fprintf(stderr, "     seed %#llx\n", (unsigned long long)seed);
    uint64_t state = seed;
    for (int run = 0; run < 2000; ++run) {
        char text[64], padded[80];
        const size_t length = next_random(&state) % 60;
        for (size_t i = 0; i < length; ++i)
            text[i] = (char)(1 + next_random(&state) % (run % 2 ? 255 : 127));
        text[length] = '\0';
        const struct token_list tokens = golden_encode(tiny, text);
        check_int(tokens.count, >=, 2);
        check_int(tokens.count, <=, TOKENIZER_POSITIONS);
        for (int i = 0; i < TOKENIZER_POSITIONS; ++i)
            check(tokens.ids[i] >= 0 && tokens.ids[i] < tokenizer_vocabulary(tiny));
        (void)snprintf(padded, sizeof padded, " \n%s\t ", text);
        const struct token_list again = golden_encode(tiny, padded);
        check_bytes(&tokens, &again, sizeof tokens);
    }
}

/* ---- bad folders ---- */

static char scratch[] = "/tmp/darkroom-tokenizer-XXXXXX";

static void write_file(const char *name, const char *bytes, size_t count)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", scratch, name);
    FILE *const file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) abort();
}

static char *read_tiny(const char *name, size_t *count)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", tiny_folder, name);
    FILE *const file = fopen(path, "rb");
    char *const bytes = calloc(1, 1 << 16);
    if (!file || !bytes) abort();
    *count = fread(bytes, 1, (1 << 16) - 1, file);
    (void)fclose(file);
    return bytes;
}

static void check_refused(enum dr_code code, const char *part, const char *other_part)
{
    struct tokenizer *tokenizer = NULL;
    struct dr_error err = {0};
    check_int(tokenizer_open(&tokenizer, scratch, &err), ==, code);
    check(tokenizer == NULL);
    check_int(err.code, ==, code);
    check_has(err.message, scratch);
    check_has(err.message, part);
    check_has(err.message, other_part);
}

static void refuses_a_folder_without_the_files(void)
{
    check_refused(DR_NOT_FOUND, "vocab.json and merges.txt", "darkroom vocabulary");
    size_t count;
    char *const symbols = read_tiny("vocab.json", &count);
    write_file("vocab.json", symbols, count);
    check_refused(DR_NOT_FOUND, "vocab.json and merges.txt", "darkroom vocabulary");
    free(symbols);
}

static void says_why_a_file_is_not_read(void)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/vocab.json", scratch);
    (void)unlink(path);
    if (symlink("../blobs/0123", path) != 0) abort();
    check_refused(DR_IO, "cannot open",
                  "is a symbolic link to ../blobs/0123, which is missing");
    (void)unlink(path);
    if (symlink("vocab.json", path) != 0) abort();
    check_refused(DR_IO, "cannot open", "Too many levels");
    (void)unlink(path);
    static const char *const files[][2] = {
        {"<!DOCTYPE html><html>",                           "a web page"     },
        {"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"   },
        {"Entry not found",                                 "Entry not found"}
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; ++i) {
        write_file("vocab.json", files[i][0], strlen(files[i][0]));
        check_refused(DR_CORRUPT, "vocab.json is ", files[i][1]);
    }
}

static void refuses_broken_symbols(void)
{
    static const struct {
        const char *text, *part, *other_part;
    } broken[] = {
        {"",                       "vocab.json", "line 1"                               },
        {"[1, 2]",                 "vocab.json", "not a JSON object"                    },
        {"{\"a\": 1,\n \"a\": 2}", "vocab.json", "line 2"                               },
        {"{\"a\": -1}",            "\"a\"",      "not a whole number"                   },
        {"{\"a\": 1.5}",           "\"a\"",      "not a whole number"                   },
        {"{\"a\": \"1\"}",         "\"a\"",      "not a whole number"                   },
        {"{\"a\": 99999999}",      "\"a\"",      "not a whole number"                   },
        {"{\"a\": 1}",             "vocab.json", "does not have the symbol \"\xC4\x80\""},
        {"{\"a\\u0000b\": 1}",     "vocab.json", "line 1"                               },
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; ++i) {
        write_file("vocab.json", broken[i].text, strlen(broken[i].text));
        check_refused(DR_CORRUPT, broken[i].part, broken[i].other_part);
    }
    char *const deep = golden_repeat("[", 10000);
    write_file("vocab.json", deep, 10000);
    check_refused(DR_CORRUPT, "vocab.json", "depth");
    free(deep);
}

static void refuses_broken_merges(void)
{
    static const struct {
        const char *text, *part, *other_part;
    } broken[] = {
        {"#version: 0.2\no u\nou\n", "line 3", "\"ou\""    },
        {"o u\nx y\n",               "line 2", "\"x y\""   },
        {"o u extra\n",              "line 1", "o u extra" },
        {" u\n",                     "line 1", "merges.txt"},
        {"o \n",                     "line 1", "merges.txt"},
    };
    size_t count;
    char *const symbols = read_tiny("vocab.json", &count);
    write_file("vocab.json", symbols, count);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; ++i) {
        write_file("merges.txt", broken[i].text, strlen(broken[i].text));
        check_refused(DR_CORRUPT, broken[i].part, broken[i].other_part);
    }
    write_file("merges.txt", "o u\0a b\n", 8);
    check_refused(DR_CORRUPT, "merges.txt", "zero byte at 3");
    char *const line = golden_repeat("o", 100000);
    write_file("merges.txt", line, 100000);
    check_refused(DR_CORRUPT, "merges.txt", "line 1");
    free(line);
    free(symbols);
}

/* Every prefix of the symbols' file is refused, none crashes; no merges at all is fine. */
static void refuses_every_truncation(void)
{
    size_t count;
    char *const symbols = read_tiny("vocab.json", &count);
    write_file("merges.txt", "", 0);
    for (size_t length = 0; length + 2 < count; length += 7) {
        write_file("vocab.json", symbols, length);
        check_refused(DR_CORRUPT, "vocab.json", "");
    }
    write_file("vocab.json", symbols, count);
    struct tokenizer *tokenizer = NULL;
    check_int(tokenizer_open(&tokenizer, scratch, NULL), ==, DR_OK);
    check_int(golden_encode(tokenizer, "photo").count, ==, 2 + 5);
    check_int(golden_encode(tiny, "photo").count, <, 2 + 5);
    tokenizer_close(&tokenizer);
    free(symbols);
}

/* text with each line feed made CRLF; malloc'ed. */
static char *with_returns(const char *text, size_t *count)
{
    char *const out = malloc(2 * *count + 1);
    if (!out) abort();
    size_t used = 0;
    for (size_t i = 0; i < *count; ++i) {
        if (text[i] == '\n') out[used++] = '\r';
        out[used++] = text[i];
    }
    *count = used;
    return out;
}

static char *with_mark(const char *text, size_t *count)
{
    char *const out = malloc(*count + 3);
    if (!out) abort();
    memcpy(out, "\xEF\xBB\xBF", 3);
    memcpy(out + 3, text, *count);
    *count += 3;
    return out;
}

/* As Git on Windows and some editors leave the files. */
static void reads_files_of_other_systems(void)
{
    static const char *const names[] = {"vocab.json", "merges.txt"};
    char *(*const changes[])(const char *, size_t *) = {with_returns, with_mark};
    for (int which = 1; which <= 3; ++which) { /* CRLF, a mark, both */
        for (int i = 0; i < 2; ++i) {
            size_t count;
            char *text = read_tiny(names[i], &count);
            for (int k = 0; k < 2; ++k) {
                if (!(which & 1 << k)) continue;
                char *const changed = changes[k](text, &count);
                free(text);
                text = changed;
            }
            write_file(names[i], text, count);
            free(text);
        }
        struct tokenizer *tokenizer = NULL;
        struct dr_error err = {0};
        check_int(tokenizer_open(&tokenizer, scratch, &err), ==, DR_OK);
        if (!tokenizer) check_fail_at("%d: %s", which, err.message);
        if (!tokenizer) continue;
        check_int(tokenizer_vocabulary(tokenizer), ==, 594);
        golden_check_list(tokenizer, "tests/golden/tiny-tokens.json");
        tokenizer_close(&tokenizer);
    }
}

static void a_mebibyte_is_no_trouble(void)
{
    golden_check_mebibytes(tiny);
}

static void gives_its_memory_back(void)
{
    golden_check_memory(tiny_folder, 1 << 16);
}

static void failed_reads_leave_nothing(void)
{
    const struct mallinfo2 before = mallinfo2();
    for (int nth = 1;; ++nth) {
        struct tokenizer *tokenizer = NULL;
        struct dr_error err = {0};
        fault_arm(1u << FAULT_READ, nth, FAULT_ONCE);
        const enum dr_code code = tokenizer_open(&tokenizer, tiny_folder, &err);
        const bool has_struck = fault_has_struck();
        fault_disarm();
        if (!has_struck) {
            check_int(code, ==, DR_OK);
            check_int(nth, ==, 3); /* two files, each read once */
            tokenizer_close(&tokenizer);
            break;
        }
        check_int(code, ==, DR_IO);
        check_has(err.message, nth == 1 ? "vocab.json" : "merges.txt");
        check(tokenizer == NULL);
    }
    check_int(mallinfo2().uordblks, ==, before.uordblks);
}

static void check_bad_folders(void)
{
    if (!mkdtemp(scratch)) abort();
    check_run(refuses_a_folder_without_the_files);
    check_run(says_why_a_file_is_not_read);
    check_run(refuses_broken_symbols);
    check_run(refuses_broken_merges);
    check_run(refuses_every_truncation);
    check_run(reads_files_of_other_systems);
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/vocab.json", scratch);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/merges.txt", scratch);
    (void)unlink(path);
    (void)rmdir(scratch);
}

int main(void)
{
    (void)snprintf(tiny_folder, sizeof tiny_folder, "%s/tests/data/tiny-tokenizer",
                   getenv("DARKROOM_SOURCE") ? getenv("DARKROOM_SOURCE") : ".");
    struct dr_error err;
    if (tokenizer_open(&tiny, tiny_folder, &err) != DR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    check_int(tokenizer_vocabulary(tiny), ==, 594);
    check_run(equals_the_reference_with_the_tiny_vocabulary);
    check_run(the_list_can_fail);
    check_run(pads_as_asked);
    check_run(cuts_at_75_and_counts);
    check_run(first_eos_may_be_a_literal);
    check_run(random_bytes_hold_the_properties);
    check_run(a_mebibyte_is_no_trouble);
    check_run(gives_its_memory_back);
    check_run_with_faults(failed_reads_leave_nothing);
    check_bad_folders();
    tokenizer_close(&tiny);
    return check_done();
}
