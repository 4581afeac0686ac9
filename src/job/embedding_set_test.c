#include "check.h"
#include "scratch_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/embedding_set.h"

static struct dr_error error;
static struct tokenizers tokenizers;

static const char *source(const char *path)
{
    static char text[4096];
    const char *const root = getenv("DARKROOM_SOURCE");
    (void)snprintf(text, sizeof text, "%s/%s", root ? root : ".", path);
    return text;
}

/* A file of the corpus, as name in the directory `folder` of the scratch folder. */
static void put(const char *folder, const char *corpus, const char *name)
{
    char from[200], to[200];
    (void)mkdir(scratch_path(folder), 0700);
    (void)snprintf(from, sizeof from, "tests/corpus/embedding/%s", corpus);
    (void)snprintf(to, sizeof to, "%s/%s", folder, name);
    char bytes[4096];
    FILE *const stream = fopen(source(from), "rb");
    const size_t count = stream ? fread(bytes, 1, sizeof bytes, stream) : 0;
    check_int(count, >, 0);
    if (stream) (void)fclose(stream);
    scratch_write(scratch_path(to), bytes, count);
}

/* The model of a test; width 0: there is none. */
struct meant {
    enum family family;
    int32_t text_count, widths[2];
};
static const struct meant any = {.text_count = 1};
static const struct meant one = {
    FAMILY_SD15, 1, {4, 0}
};
static const struct meant two = {
    FAMILY_SDXL, 2, {4, 6}
};

static enum dr_code find(struct embedding_set *set, const char *folder,
                         const char *prompt, const struct meant *model)
{
    static char directory[4096];
    struct prompt_parts parts;
    const struct prompt_parts_options parse = {.steps = 20};
    (void)snprintf(directory, sizeof directory, "%s", scratch_path(folder));
    error = (struct dr_error){0};
    check_int(prompt_parts_parse(&parts, prompt, &parse, &error), ==, DR_OK);
    const struct embedding_set_options options = {
        .directory = directory,
        .tokenizers = &tokenizers,
        .text_count = model->text_count,
        .widths = {model->widths[0], model->widths[1]},
        .family = model->family,
        .model = "the model",
        .prompts = {&parts               }
    };
    const enum dr_code code = embedding_set_open(set, &options, &error);
    prompt_parts_finish(&parts);
    if (code != DR_OK) check(!set->items && !set->pool.head && error.message[0]);
    return code;
}

static void finds(const char *prompt, const char *names)
{
    struct embedding_set set;
    char found[200] = "";
    check_int(find(&set, "names", prompt, &any), ==, DR_OK);
    for (int32_t i = 0; i < set.count; ++i) {
        const size_t used = strlen(found);
        (void)snprintf(found + used, sizeof found - used, "%s ", set.items[i].name);
    }
    check_str(found, names);
    embedding_set_close(&set);
}

static void names_are_found_by_their_tokens(void)
{
    put("names", "a1111", "Easy.pt");
    put("names", "forge", "easy-neg.safetensors");
    put("names", "learned", "<cat-toy>.bin");
    put("names", "nan", "broken.safetensors");
    finds("a ring", "");
    finds("easy", "Easy ");
    finds("EASY, a ring", "Easy ");
    finds("(easy:1.2)-neg", "Easy ");
    finds("a easy-neg", "easy-neg ");
    finds("easy-neg and easy", "Easy easy-neg ");
    finds("x AND <cat-toy>", "<cat-toy> ");
    finds("[x:easy:0.5]", "Easy ");
    struct embedding_set set;
    check_int(find(&set, "nowhere", "easy", &any), ==, DR_OK);
    check_int(set.count, ==, 0);
    embedding_set_close(&set);
}

static void rows_follow_each_other(void)
{
    struct embedding_set set;
    float rows[16 * 4];
    check_int(find(&set, "names", "easy-neg easy", &one), ==, DR_OK);
    check_int(set.count, ==, 2);
    check_int(set.vector_count, ==, 7);
    check_int(set.items[1].first_vector, ==, 3);
    check_int(set.words[0][1].vector_count, ==, 4);
    const struct weight *const table = embedding_set_table(&set, 0);
    check_int(table->out, ==, 7);
    check_int(table->bytes, ==, 7 * 4 * 4);
    check_int(table->region, ==, EMBEDDING_SET_REGION);
    check_int(embedding_set_read(&set, 0, rows, &error), ==, DR_OK);
    for (int i = 0; i < 12; ++i)
        check(rows[i] == (float)i / 8);
    for (int i = 0; i < 16; ++i)
        check(rows[12 + i] == (float)i / 8);
    embedding_set_close(&set);
}

static void what_cannot_be_used_is_said(void)
{
    struct embedding_set set;
    check_int(find(&set, "names", "broken", &any), ==, DR_NOT_FINITE);
    check_has(error.message, "the embedding \"broken\" in the prompt");
    /* Of no family, and not as wide. */
    put("wide", "xl", "easy.safetensors");
    check_int(find(&set, "wide", "easy", &two), ==, DR_OK);
    embedding_set_close(&set);
    const struct meant wider = {
        FAMILY_SDXL, 2, {4, 8}
    };
    check_int(find(&set, "wide", "easy", &wider), ==, DR_BAD_INPUT);
    check_has(error.message,
              "has vectors of 4 and 6 values, and the model takes 4 and 8");
    const struct meant narrow = {
        FAMILY_SD15, 1, {3, 0}
    };
    check_int(find(&set, "names", "easy", &narrow), ==, DR_BAD_INPUT);
    check_has(error.message, "has vectors of 4 values, and the model takes 3");
    /* Two files of one name. */
    put("twice", "forge", "easy.safetensors");
    put("twice", "a1111", "EASY.pt");
    check_int(find(&set, "twice", "easy", &one), ==, DR_BAD_INPUT);
    check_has(error.message, "could be");
}

static void another_familys_name_stays_text(void)
{
    struct embedding_set set;
    check_int(find(&set, "wide", "easy", &one), ==, DR_OK);
    check_int(set.count, ==, 0);
    check_has(set.warning,
              "is for sdxl, with vectors of 4 and 6 values; this model takes "
              "4: its name is encoded as text.");
    embedding_set_close(&set);
    /* The other file of the name, or a shorter name, takes its place, and nothing is said. */
    put("both", "xl", "easy.safetensors");
    put("both", "a1111", "Easy.pt");
    check_int(find(&set, "both", "easy", &one), ==, DR_OK);
    check_int(set.count, ==, 1);
    check_str(set.items[0].name, "Easy");
    check_str(set.warning, "");
    embedding_set_close(&set);
    put("shorter", "xl", "easy-neg.safetensors");
    put("shorter", "a1111", "easy.pt");
    check_int(find(&set, "shorter", "easy-neg", &one), ==, DR_OK);
    check_int(set.count, ==, 1);
    check_str(set.items[0].name, "easy");
    check_has(set.warning, "\"easy-neg\" is for sdxl");
    embedding_set_close(&set);
}

static void a_word_that_is_a_name_is_said(void)
{
    struct embedding_set set;
    put("word", "a1111", "a.pt");
    check_int(find(&set, "word", "a ring", &one), ==, DR_OK);
    check_int(set.count, ==, 1);
    check_has(set.warning, "The word \"a\" in the prompt is taken for the embedding");
    embedding_set_close(&set);
}

static void there_may_be_so_many(void)
{
    struct embedding_set set;
    char prompt[1000] = "";
    for (int i = 0; i <= EMBEDDING_SET_MOST; ++i) {
        char name[32];
        const size_t used = strlen(prompt);
        (void)snprintf(name, sizeof name, "e%d%d.pt", i / 10, i % 10);
        put("many", "a1111", name);
        (void)snprintf(prompt + used, sizeof prompt - used, "%.3s, ", name);
    }
    check_int(find(&set, "many", prompt, &one), ==, DR_BAD_INPUT);
    check_has(error.message, "name 65 embeddings; at most 64");
    prompt[strlen(prompt) - 5] = '\0';
    check_int(find(&set, "many", prompt, &one), ==, DR_OK);
    check_int(set.count, ==, EMBEDDING_SET_MOST);
    embedding_set_close(&set);
}

int main(void)
{
    const struct tokenizer_places places = {.said = source("tests/data/tiny-tokenizer"),
                                            .model = "",
                                            .data = ""};
    if (tokenizers_open(&tokenizers, &places, &error) != DR_OK) return 1;
    check_run(names_are_found_by_their_tokens);
    check_run(rows_follow_each_other);
    check_run(what_cannot_be_used_is_said);
    check_run(another_familys_name_stays_text);
    check_run(a_word_that_is_a_name_is_said);
    check_run(there_may_be_so_many);
    tokenizers_close(&tokenizers);
    return check_done();
}
