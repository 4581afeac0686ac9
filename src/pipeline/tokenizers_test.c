/* Which folder is whose, and tokens that a text encoder has no row for. */
#include "pipeline/tokenizers.h"

#include <sys/stat.h>

#include "check.h"
#include "scratch_folder.h"

static struct dr_error error;
static struct tokenizers tokenizers;

/* A folder below the scratch folder with the tiny vocabulary, and one more file where name says. */
static const char *folder(const char *path, const char *name, const char *text)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    char command[6000];
    (void)snprintf(command, sizeof command,
                   "mkdir -p '%s' && cp '%s/tests/data/tiny-tokenizer/'* '%s'",
                   scratch_path(path), source ? source : ".", scratch_path(path));
    if (system(command) != 0) abort();
    if (name) {
        char whole[256];
        (void)snprintf(whole, sizeof whole, "%s/%s", path, name);
        scratch_write(scratch_path(whole), text, strlen(text));
    }
    return scratch_path(path);
}

static enum dr_code try_open(const char *said, const char *model, const char *data)
{
    const struct tokenizer_places places = {said, model, data};
    error = (struct dr_error){0};
    return tokenizers_open(&tokenizers, &places, &error);
}

static enum dr_code add(int32_t idx, int32_t rows, const char *text,
                        struct prompt_chunks *list)
{
    const struct prompt_segment segment = {text, 1.0, false};
    const struct tokenizers_text whole = {.segments = &segment, .segment_count = 1};
    return tokenizers_add(&tokenizers, idx, rows, &whole, list, &error);
}

/* The only chunk of a text. */
static struct prompt_chunk encode(int32_t idx, const char *text)
{
    struct prompt_chunks list = {0};
    struct prompt_chunk chunk = {0};
    error = (struct dr_error){0};
    if (add(idx, 2000, text, &list) != DR_OK) check_fail_at("%s", error.message);
    check_int(list.count, ==, 1);
    if (list.count == 1) chunk = list.chunks[0];
    prompt_chunks_finish(&list);
    return chunk;
}

static void places_go_in_order(void)
{
    const char *const data = folder("data/tokenizer", NULL, NULL);
    const char *const model = scratch_path("models/m.safetensors");
    check_int(try_open("", model, ""), ==, DR_NOT_FOUND);
    check_has(error.message, model);
    check_int(try_open("", model, data), ==, DR_OK);
    check_str(tokenizers_path(&tokenizers, 0), data);
    check_str(tokenizers_path(&tokenizers, 1), data);
    const char *const beside = folder("models/tokenizer", NULL, NULL);
    check_int(try_open("", model, data), ==, DR_OK);
    check_str(tokenizers_path(&tokenizers, 0), beside);
    const char *const own = folder("models/m/tokenizer", NULL, NULL);
    check_int(try_open("", scratch_path("models/m"), data), ==, DR_OK);
    check_str(tokenizers_path(&tokenizers, 0), own);
    const char *const said = folder("said", NULL, NULL);
    check_int(try_open(said, scratch_path("models/m"), data), ==, DR_OK);
    check_str(tokenizers_path(&tokenizers, 0), said);
    /* What was said and is not there is an error; what was open stays. */
    check_int(try_open(scratch_path("nowhere"), scratch_path("models/m"), data), ==,
              DR_NOT_FOUND);
    check_str(tokenizers_path(&tokenizers, 0), said);
}

static void the_second_encoder_has_its_own(void)
{
    (void)folder("xl/tokenizer", NULL, NULL);
    const char *const second =
        folder("xl/tokenizer_2", "tokenizer_config.json", "{\"pad_token\": \"!\"}");
    check_int(try_open("", scratch_path("xl"), ""), ==, DR_OK);
    check_str(tokenizers_path(&tokenizers, 1), second);
    struct prompt_chunk one = encode(0, "a!"), two = encode(1, "a!");
    check_int(one.ids[2], !=, 0); /* the word "!" */
    check_int(one.ids[10], ==, 593);
    check_int(two.ids[2], ==, 0); /* the token "!", which pads */
    check_int(two.ids[10], ==, 0);
    (void)folder("xl/tokenizer_2", "tokenizer_config.json",
                 "{\"pad_token\": \"<|endoftext|>\"}");
    check_int(try_open("", scratch_path("xl"), ""), ==, DR_OK); /* read again */
    two = encode(1, "a!");
    check_int(two.ids[2], ==, one.ids[2]);
    check_int(two.ids[10], ==, 593);
    /* One vocabulary for both: the second pads with 0, whatever it names. */
    check_int(try_open(second, scratch_path("xl"), ""), ==, DR_OK);
    check_int(encode(0, "a!").ids[10], ==, 593);
    check_int(encode(1, "a!").ids[10], ==, 0);
}

static void a_token_without_a_row_is_refused(void)
{
    const char *const path =
        folder("added", "added_tokens.json", "{\"<my-cat>\": 594, \"<far>\": 700}");
    struct prompt_chunks list = {0};
    check_int(try_open(path, "m", ""), ==, DR_OK);
    check_int(add(0, 595, "a <my-cat>", &list), ==, DR_OK);
    check_int(list.count, ==, 1);
    check_int(list.chunks[0].ids[2], ==, 594);
    prompt_chunks_finish(&list);
    check_int(add(0, 595, "a <far>", &list), ==, DR_BAD_INPUT);
    check_has(error.message, "\"<far>\" has id 700 in ");
    check_has(error.message, path);
    check_has(error.message, "595 rows");
    prompt_chunks_finish(&list);
    check_int(add(0, 593, "a", &list), ==, DR_BAD_INPUT);
    check_has(error.message, "has 594 tokens, but the text encoder has 593");
    prompt_chunks_finish(&list);
}

static void padding_is_the_empty_prompt(void)
{
    const struct prompt_chunk word = encode(1, "a"), empty = encode(1, "");
    struct prompt_chunks list = {0};
    check_int(prompt_chunks_add(&list, &word, &error), ==, DR_OK);
    check_int(tokenizers_pad(&tokenizers, 1, 2000, 3, &list, &error), ==, DR_OK);
    check_int(list.count, ==, 3);
    check_bytes(&list.chunks[0], &word, sizeof word);
    check_bytes(&list.chunks[1], &empty, sizeof empty);
    check_bytes(&list.chunks[2], &empty, sizeof empty);
    check(memcmp(&word, &empty, sizeof empty) != 0);
    /* A list that is as long already stays as it is. */
    check_int(tokenizers_pad(&tokenizers, 1, 2000, 2, &list, &error), ==, DR_OK);
    check_int(list.count, ==, 3);
    prompt_chunks_finish(&list);
}

int main(void)
{
    (void)unsetenv("DARKROOM_TOKENIZER");
    check_run(places_go_in_order);
    check_run(the_second_encoder_has_its_own);
    check_run(a_token_without_a_row_is_refused);
    check_run(padding_is_the_empty_prompt);
    tokenizers_close(&tokenizers);
    return check_done();
}
