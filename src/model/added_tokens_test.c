/* Folders with added tokens against the reference (tests/golden/added-tokens.json, by
 * tools/golden/tokens.py), the search against a naive one, and files that are refused. */
/* For realpath, which POSIX has as part of XSI. */
#define _XOPEN_SOURCE 700
#include "model/added_tokens.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "golden_tokens.h"
#include "model/prompt_text.h"
#include "scratch_folder.h"

static struct dr_error error;

/* Where a link from elsewhere finds it. */
static const char *tiny_file(const char *name)
{
    static char path[4096], real[PATH_MAX];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/data/tiny-tokenizer/%s",
                   source ? source : ".", name);
    if (!realpath(path, real)) abort();
    return real;
}

/* The tiny vocabulary in the scratch folder, and nothing else. */
static void begin(void)
{
    static const char *const others[] = {"added_tokens.json", "tokenizer_config.json",
                                         "special_tokens_map.json", "tokenizer.json"};
    static const char *const own[] = {"vocab.json", "merges.txt"};
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i)
        (void)unlink(scratch_path(others[i]));
    for (size_t i = 0; i < 2; ++i) {
        (void)unlink(scratch_path(own[i]));
        if (symlink(tiny_file(own[i]), scratch_path(own[i])) != 0) abort();
    }
}

static void write_text(const char *name, const char *text)
{
    scratch_write(scratch_path(name), text, strlen(text));
}

static struct tokenizer *open_scratch(void)
{
    struct tokenizer *tokenizer = NULL;
    error = (struct dr_error){0};
    if (tokenizer_open(&tokenizer, scratch_folder(), &error) != DR_OK)
        check_fail_at("%s", error.message);
    return tokenizer;
}

static void refuse(enum dr_code code, const char *part, const char *other_part)
{
    struct tokenizer *tokenizer = NULL;
    error = (struct dr_error){0};
    check_int(tokenizer_open(&tokenizer, scratch_folder(), &error), ==, code);
    check(tokenizer == NULL);
    check_has(error.message, scratch_folder());
    check_has(error.message, part);
    check_has(error.message, other_part);
}

/* ---- the reference ---- */

static void equals_the_reference(void)
{
    json_t *const golden = golden_load("tests/golden/added-tokens.json");
    size_t i, k, count = 0;
    json_t *folder, *content, *golden_case;
    const char *name;
    json_array_foreach(json_object_get(golden, "folders"), i, folder)
    {
        begin();
        json_object_foreach(json_object_get(folder, "files"), name, content)
        {
            char *const text = json_dumps(content, 0);
            write_text(name, text);
            free(text);
        }
        struct tokenizer *tokenizer = open_scratch();
        if (!tokenizer) continue;
        const int before = check_failed_count;
        const json_t *const pad = json_object_get(folder, "pad");
        check_int(tokenizer_pad(tokenizer), ==,
                  json_is_null(pad) ? -1 : json_integer_value(pad));
        json_array_foreach(json_object_get(folder, "cases"), k, golden_case)
            golden_check_case(tokenizer, golden_case, k);
        count += k;
        if (check_failed_count != before) fprintf(stderr, "     folder %zu\n", i);
        tokenizer_close(&tokenizer);
    }
    check_int(i, >=, 8);
    check_int(count, >=, 700);
    json_decref(golden);
}

/* Without them the same strings give other ids: the list can fail. */
static void the_list_can_fail(void)
{
    json_t *const golden = golden_load("tests/golden/added-tokens.json");
    const json_t *const folder = json_array_get(json_object_get(golden, "folders"), 0);
    begin();
    struct tokenizer *tokenizer = open_scratch();
    size_t k;
    int differ = 0;
    const json_t *golden_case;
    json_array_foreach(json_object_get(folder, "cases"), k, golden_case)
    {
        char *const text = golden_text(golden_case);
        const struct token_list tokens = golden_encode(tokenizer, text);
        const json_t *const ids = json_object_get(golden_case, "ids");
        bool same = (size_t)tokens.count == json_array_size(ids);
        for (int32_t i = 0; same && i < tokens.count; ++i)
            same = tokens.ids[i] == json_integer_value(json_array_get(ids, (size_t)i));
        differ += !same;
        free(text);
    }
    check_int(differ, >=, 80);
    tokenizer_close(&tokenizer);
    json_decref(golden);
}

/* ---- what files say ---- */

static void a_token_has_the_id_that_is_given(void)
{
    begin();
    write_text("added_tokens.json", "\xEF\xBB\xBF{\"<my-cat>\": 700,\r\n\"<x>\": 594}");
    struct tokenizer *tokenizer = open_scratch();
    check_int(tokenizer_vocabulary(tokenizer), ==, 594);
    check_int(golden_encode(tokenizer, "a <my-cat> circle").ids[2], ==, 700);
    check_int(golden_encode(tokenizer, "A<MY-CAT>circle").ids[2], ==, 700);
    check_str(tokenizer_added_text(tokenizer, 700), "<my-cat>");
    check(!tokenizer_added_text(tokenizer, 701));
    /* A file that is there beside vocab.json is noticed when it changes, appears or goes. */
    check(tokenizer_is_current(tokenizer, scratch_folder()));
    write_text("tokenizer_config.json", "{}");
    check(!tokenizer_is_current(tokenizer, scratch_folder()));
    (void)unlink(scratch_path("tokenizer_config.json"));
    check(tokenizer_is_current(tokenizer, scratch_folder()));
    write_text("added_tokens.json", "{\"<my-cat>\": 71}");
    check(!tokenizer_is_current(tokenizer, scratch_folder()));
    tokenizer_close(&tokenizer);
}

/* tokenizer.json is read where the config says nothing; what two files say is one list. */
static void files_are_one_list(void)
{
    begin();
    write_text("tokenizer.json",
               "{\"added_tokens\": [{\"id\": 594, \"content\": \"<x>\", "
               "\"normalized\": false, \"special\": false}]}");
    struct tokenizer *tokenizer = open_scratch();
    check_int(golden_encode(tokenizer, "<x>").ids[1], ==, 594);
    check_int(golden_encode(tokenizer, "<X>").ids[1], !=, 594);
    tokenizer_close(&tokenizer);
    write_text("tokenizer_config.json",
               "{\"added_tokens_decoder\": {\"594\": {\"content\": \"<y>\"}}}");
    write_text("added_tokens.json", "{\"<y>\": 594, \"<z>\": 595}");
    tokenizer = open_scratch();
    check_int(golden_encode(tokenizer, "<y>").ids[1], ==, 594);
    check_int(golden_encode(tokenizer, "<z>").ids[1], ==, 595);
    check_int(golden_encode(tokenizer, "<x>").count, >, 3);
    tokenizer_close(&tokenizer);
}

static void refuses_what_it_cannot_obey(void)
{
    static const struct {
        const char *name, *text, *part, *other_part;
        enum dr_code code;
    } bad[] = {
        {"added_tokens.json",       "{\"<x>\": \"594\"}",                             "added_tokens.json", "\"<x>\"",
         DR_CORRUPT                                                                                                                              },
        {"added_tokens.json",       "{\"<x>\": -1}",                                  "\"<x>\"",           "whole number",         DR_CORRUPT    },
        {"added_tokens.json",       "{\"<x>\": 594.5}",                               "\"<x>\"",           "whole number",
         DR_CORRUPT                                                                                                                              },
        {"added_tokens.json",       "{\"<x>\": 16777216}",                            "\"<x>\"",           "16777215",             DR_CORRUPT    },
        {"added_tokens.json",       "[594]",                                          "added_tokens.json", "not a JSON object",
         DR_CORRUPT                                                                                                                              },
        {"added_tokens.json",       "{\"<x>\": 594,\n",                               "added_tokens.json", "line 2",
         DR_CORRUPT                                                                                                                              },
        {"added_tokens.json",       "{\"ait</w>\": 594}",                             "\"ait</w>\"",       "vocab.json",
         DR_CORRUPT                                                                                                                              },
        {"tokenizer_config.json",   "{\"added_tokens_decoder\": {\"594\": \"<x>\"}}", "",
         "",                                                                                                                       DR_OK         },
        {"tokenizer_config.json",   "{\"added_tokens_decoder\": {\"594\": 7}}",
         "tokenizer_config.json",                                                                          "\"594\"",              DR_CORRUPT    },
        {"tokenizer_config.json",
         "{\"added_tokens_decoder\": {\"x\": {\"content\": \"<x>\"}}}",               "\"<x>\"",
         "whole number",                                                                                                           DR_CORRUPT    },
        {"tokenizer_config.json",
         "{\"added_tokens_decoder\": {\"594\": {\"content\": \"<x>\", \"single_word\": "
         "true}}}",                                                                   "\"<x>\"",           "single_word",          DR_UNSUPPORTED},
        {"tokenizer_config.json",
         "{\"added_tokens_decoder\": {\"594\": {\"content\": \"<x>\"}, \"595\": "
         "{\"content\": \"<x>\"}}}",                                                  "\"<x>\"",           "594",                  DR_CORRUPT    },
        {"tokenizer_config.json",   "{\"split_special_tokens\": true}",
         "tokenizer_config.json",                                                                          "split_special_tokens", DR_UNSUPPORTED},
        {"tokenizer_config.json",   "{\"bos_token\": \"<s>\"}",                       "bos_token",         "\"<s>\"",
         DR_UNSUPPORTED                                                                                                                          },
        {"special_tokens_map.json", "{\"eos_token\": {\"content\": \"</s>\"}}",
         "special_tokens_map.json",                                                                        "\"</s>\"",             DR_UNSUPPORTED},
        {"special_tokens_map.json", "{\"pad_token\": \"<pad>\"}",                     "\"<pad>\"",
         "has no id",                                                                                                              DR_CORRUPT    },
        {"tokenizer_config.json",   "{\"extra_special_tokens\": [\"<new>\"]}",
         "\"<new>\"",                                                                                      "has no id",            DR_CORRUPT    },
        {"tokenizer.json",          "{\"added_tokens\": [{\"content\": \"<x>\"}]}",
         "tokenizer.json",                                                                                 "\"<x>\"",              DR_CORRUPT    },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        begin();
        write_text(bad[i].name, bad[i].text);
        if (bad[i].code == DR_OK) {
            struct tokenizer *tokenizer = open_scratch();
            tokenizer_close(&tokenizer);
        } else {
            refuse(bad[i].code, bad[i].part, bad[i].other_part);
        }
    }
    begin();
    if (mkdir(scratch_path("added_tokens.json"), 0700) != 0) abort();
    refuse(DR_CORRUPT, "added_tokens.json", "not a regular file");
    if (rmdir(scratch_path("added_tokens.json")) != 0) abort();
}

/* ---- the search ---- */

static uint64_t random_state = 20261129;

static int32_t draw(int32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((random_state >> 33) % (uint64_t)below);
}

/* Letters of a small alphabet, so that many begin alike. */
static void draw_text(char *text, int32_t most)
{
    const int32_t count = 1 + draw(most);
    for (int32_t i = 0; i < count; ++i)
        text[i] = (char)('a' + draw(3));
    text[count] = '\0';
}

/* The longest token that a text begins with, asked one by one. */
static const char *naive(const struct added_tokens *tokens, const char *text)
{
    const char *best = NULL;
    for (int32_t i = 0; i < tokens->count; ++i) {
        const char *const token = tokens->items[i].text;
        if (strncmp(text, token, strlen(token)) == 0 &&
            (!best || strlen(token) > strlen(best)))
            best = token;
    }
    return best;
}

static void finds_the_longest(void)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)random_state);
    for (int round = 0; round < 200; ++round) {
        char list[2048] = "{", text[40];
        const int32_t count = 1 + draw(40);
        for (int32_t i = 0; i < count; ++i) {
            char item[64];
            draw_text(text, 6);
            (void)snprintf(item, sizeof item, "\"%s\"", text);
            if (!strstr(list, item)) /* a name twice is an error */
                (void)snprintf(list + strlen(list), sizeof list - strlen(list),
                               "%s%s: %d", list[1] ? ", " : "", item, 1000 + i);
        }
        strcat(list, "}");
        begin();
        write_text("added_tokens.json", list);
        struct added_tokens tokens;
        check_int(added_tokens_read(&tokens, scratch_folder(), &error), ==, DR_OK);
        check_int(added_tokens_build(&tokens, &error), ==, DR_OK);
        for (int k = 0; k < 50; ++k) {
            draw_text(text, 12);
            struct token_search search = token_search_normalized(&tokens);
            for (int32_t at = 0; text[at]; ++at)
                if (!token_search_step(&search, &tokens, text[at])) break;
            const char *const best = naive(&tokens, text);
            if (!best) check_int(search.found, ==, -1);
            if (best && search.found < 0) check_fail_at("\"%s\" not found", best);
            if (best && search.found >= 0) {
                check_str(tokens.items[search.found].text, best);
                check_int(search.found_points, ==, strlen(best));
            }
        }
        added_tokens_finish(&tokens);
    }
}

/* Thousands of tokens that begin alike, and a prompt of nothing but beginnings. */
static void many_tokens_are_no_trouble(void)
{
    char *const list = malloc(1 << 20);
    if (!list) abort();
    size_t used = (size_t)snprintf(list, 8, "{");
    for (int i = 0; i < 9000; ++i)
        used += (size_t)snprintf(list + used, 64, "%s\"<<<<<<<<token-%d>\": %d",
                                 i ? "," : "", i, 594 + i);
    (void)snprintf(list + used, 8, "}");
    begin();
    write_text("added_tokens.json", list);
    free(list);
    struct tokenizer *tokenizer = open_scratch();
    check_int(golden_encode(tokenizer, "a<<<<<<<<token-8999>").ids[2], ==, 594 + 8999);
    check_int(golden_encode(tokenizer, "<<<<<<<<<token-89>").ids[2], ==, 594 + 89);
    char *const text = golden_repeat("<", PROMPT_TEXT_MAX_BYTES);
    struct timespec start;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    check_int(golden_encode(tokenizer, text).count, ==, 77);
    const double seconds = golden_seconds_since(&start);
    fprintf(stderr, "     1 MiB beside 9000 tokens: %.3f s\n", seconds);
    check_real(seconds, <, 10.0);
    free(text);
    tokenizer_close(&tokenizer);
    begin();
    char *const many = golden_repeat("x", 20 * 10002);
    used = (size_t)snprintf(many, 8, "{");
    for (int i = 0; i < 10001; ++i)
        used += (size_t)snprintf(many + used, 20, "%s\"t%d\":%d", i ? "," : "", i, i);
    (void)snprintf(many + used, 8, "}");
    write_text("added_tokens.json", many);
    free(many);
    refuse(DR_UNSUPPORTED, "added_tokens.json", "more than 10000 tokens");
}

int main(void)
{
    check_run(equals_the_reference);
    check_run(the_list_can_fail);
    check_run(a_token_has_the_id_that_is_given);
    check_run(files_are_one_list);
    check_run(refuses_what_it_cannot_obey);
    check_run(finds_the_longest);
    check_run(many_tokens_are_no_trouble);
    return check_done();
}
