/* Chunks as AUTOMATIC1111's tokenize_line makes them: 75 tokens, the comma rule, BREAK, embeddings; and where each word is. */
#include "model/prompt_chunker.h"

#include <stdlib.h>

#include "check.h"
#include "model/prompt_parts.h"

static struct tokenizer *tokenizer;
static struct dr_error problem;

static struct prompt_chunks chunk(const char *prompt, const struct chunk_word *names,
                                  int32_t name_count, int32_t pad, chunk_report *report,
                                  void *cookie)
{
    const struct prompt_chunker chunker = {tokenizer, pad, names, name_count};
    const struct prompt_parts_options options = {.steps = 1};
    struct prompt_parts parts;
    struct prompt_chunks list = {0};
    enum dr_code code = prompt_parts_parse(&parts, prompt, &options, &problem);
    if (code == DR_OK)
        code = prompt_chunker_add(&chunker, parts.parts[0].entries[0].segments,
                                  parts.parts[0].entries[0].segment_count, &list,
                                  report, cookie, &problem);
    if (code != DR_OK) check_fail_at("%s", problem.message);
    prompt_parts_finish(&parts);
    return list;
}

static int32_t id_of(const char *word)
{
    struct token_list tokens = {0};
    if (tokenizer_encode(tokenizer, word, -1, &tokens, &problem) != DR_OK)
        check_fail_at("%s", problem.message);
    check_int(tokens.count, ==, 3);
    return tokens.ids[1];
}

/* Tokens of a chunk before its EOS. */
static int32_t used(const struct prompt_chunks *list, int32_t idx)
{
    return list->chunks[idx].eos_idx - 1;
}

/* count times the word, and then the rest. */
static char *words(const char *word, int count, const char *rest)
{
    static char text[4000];
    text[0] = '\0';
    for (int i = 0; i < count; ++i)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", word);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s", rest);
    return text;
}

static void a_short_prompt_is_what_the_tokenizer_says(void)
{
    static const char *const prompts[] = {"", "a", "a b , c", "1 2 3 4 5"};
    for (size_t i = 0; i < 4; ++i)
        for (int32_t pad = -1; pad <= 0; ++pad) {
            struct token_list tokens = {0};
            check_int(tokenizer_encode(tokenizer, prompts[i], pad, &tokens, &problem),
                      ==, DR_OK);
            struct prompt_chunks list = chunk(prompts[i], NULL, 0, pad, NULL, NULL);
            check_int(list.count, ==, 1);
            check_bytes(list.chunks[0].ids, tokens.ids, sizeof tokens.ids);
            check_int(list.chunks[0].eos_idx, ==, tokens.eos_idx);
            for (int t = 0; t < TOKENIZER_POSITIONS; ++t)
                check_real(list.chunks[0].weights[t], ==, 1.0F);
            prompt_chunks_finish(&list);
        }
}

static void are_filled_to_75(void)
{
    struct prompt_chunks list = chunk(words("1", 75, ""), NULL, 0, -1, NULL, NULL);
    check_int(list.count, ==, 1);
    check_int(used(&list, 0), ==, 75);
    prompt_chunks_finish(&list);
    list = chunk(words("1", 76, ""), NULL, 0, 0, NULL, NULL);
    check_int(list.count, ==, 2);
    check_int(used(&list, 0), ==, 75);
    check_int(used(&list, 1), ==, 1);
    check_int(list.chunks[1].ids[3], ==, 0); /* the pad */
    prompt_chunks_finish(&list);
}

/* A comma among the last 20 of a full chunk: what follows it goes on. */
static void a_comma_breaks(void)
{
    const struct {
        int before, after; /* words around the comma */
        int first, second; /* tokens of the chunks */
    } cases[] = {
        {60, 20, 61, 20}, /* comma at 60: 15 tokens ago */
        {55, 25, 56, 25}, /* 20 ago: the last that counts */
        {54, 25, 75, 5 }, /* 21 ago */
        {74, 5,  75, 5 }, /* the comma is the chunk's last */
        {75, 5,  75, 6 }, /* ... or the next one's first */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[2000];
        (void)snprintf(text, sizeof text, "%s", words("1", cases[i].before, ", "));
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s",
                       words("2", cases[i].after, ""));
        struct prompt_chunks list = chunk(text, NULL, 0, -1, NULL, NULL);
        check_int(list.count, ==, 2);
        check_int(used(&list, 0), ==, cases[i].first);
        check_int(used(&list, 1), ==, cases[i].second);
        prompt_chunks_finish(&list);
    }
}

static void a_break_ends_a_chunk(void)
{
    struct prompt_chunks list =
        chunk("(1:1.5) BREAK 2 BREAK BREAK 3", NULL, 0, -1, NULL, NULL);
    check_int(list.count, ==, 4);
    check_int(used(&list, 0), ==, 1);
    check_int(used(&list, 2), ==, 0);
    check_int(list.chunks[3].ids[1], ==, id_of("3"));
    check_real(list.chunks[0].weights[0], ==, 1.0F);
    check_real(list.chunks[0].weights[1], ==, 1.5F);
    check_real(list.chunks[0].weights[2], ==, 1.0F);
    prompt_chunks_finish(&list);
    /* A chunk that BREAK ended is not followed by an empty one. */
    list = chunk("1 BREAK", NULL, 0, -1, NULL, NULL);
    check_int(list.count, ==, 1);
    prompt_chunks_finish(&list);
}

/* ---- embeddings ------------------------------------------------------------------------------ */

static void the_longest_name_counts(void)
{
    const int32_t one[] = {id_of("1")}, both[] = {id_of("1"), id_of("2")};
    const struct chunk_word names[] = {
        {.name = "one", .ids = one, .id_count = 1, .vector_count = 2, .digest = {1}},
        { .name = "both",
         .ids = both,
         .id_count = 2,
         .vector_count = 3,
         .first_vector = 2,
         .digest = {2}}
    };
    struct prompt_chunks list = chunk("3 1 2 (1:1.5) 2", names, 2, -1, NULL, NULL);
    const int32_t expected[] = {id_of("3"), -3, -4, -5, -1, -2, id_of("2")};
    check_int(list.count, ==, 1);
    check_bytes(list.chunks[0].ids + 1, expected, sizeof expected);
    check_real(list.chunks[0].weights[4], ==, 1.0F);
    check_real(list.chunks[0].weights[5], ==, 1.5F);
    check_real(list.chunks[0].weights[6], ==, 1.5F);
    struct prompt_chunks other = chunk("3 1 2 1 2", names, 2, -1, NULL, NULL);
    check(!prompt_chunk_reads_as(&list.chunks[0], &other.chunks[0]));
    prompt_chunks_finish(&other);
    /* The same places with other contents: another digest. */
    struct chunk_word changed[2] = {names[0], names[1]};
    changed[1].digest[0] = 3;
    other = chunk("3 1 2 (1:1.1) 2", changed, 2, -1, NULL, NULL);
    check_bytes(list.chunks[0].ids, other.chunks[0].ids, sizeof list.chunks[0].ids);
    check(!prompt_chunk_reads_as(&list.chunks[0], &other.chunks[0]));
    prompt_chunks_finish(&other);
    other = chunk("3 1 2 (1:1.1) 2", names, 2, -1, NULL, NULL);
    check(prompt_chunk_reads_as(&list.chunks[0], &other.chunks[0]));
    prompt_chunks_finish(&other);
    prompt_chunks_finish(&list);
}

static void vectors_stay_together(void)
{
    const int32_t one[] = {id_of("1")};
    struct chunk_word name = {
        .name = "one", .ids = one, .id_count = 1, .vector_count = 10, .digest = {1}};
    struct prompt_chunks list = chunk(words("2", 70, "1"), &name, 1, -1, NULL, NULL);
    check_int(list.count, ==, 2);
    check_int(used(&list, 0), ==, 70);
    check_int(used(&list, 1), ==, 10);
    check_int(list.chunks[1].ids[1], ==, -1);
    prompt_chunks_finish(&list);
    /* Moved by a comma, with their digest. */
    list = chunk(words("2", 60, ", 1 2 2 2 2 2 2"), &name, 1, -1, NULL, NULL);
    check_int(list.count, ==, 2);
    check_int(used(&list, 0), ==, 61);
    check_int(list.chunks[1].ids[1], ==, -1);
    check(list.chunks[1].vectors[0] || list.chunks[1].vectors[1]);
    static const uint8_t none[DIGEST_BYTES];
    check_bytes(list.chunks[0].vectors, none, sizeof none);
    prompt_chunks_finish(&list);
    name.vector_count = 76;
    const struct prompt_chunker chunker = {tokenizer, -1, &name, 1};
    const struct prompt_segment segment = {"1", 1.0, false};
    check_int(prompt_chunker_add(&chunker, &segment, 1, &list, NULL, NULL, &problem),
              ==, DR_BAD_INPUT);
    check_has(problem.message, "has 76 vectors");
    prompt_chunks_finish(&list);
}

/* ---- where each word is ---------------------------------------------------------------------- */

static void append_place(void *cookie, const struct chunk_place *place)
{
    char *const text = cookie;
    (void)sprintf(text + strlen(text), "%s@%d.%d+%d*%g ", place->text,
                  (int)place->chunk_idx, (int)place->position, (int)place->tokens,
                  place->weight);
}

static void words_have_places(void)
{
    char text[1000] = "";
    struct prompt_chunks list =
        chunk("1 (23:1.5) BREAK , 2", NULL, 0, -1, append_place, text);
    check_str(text, "1@0.1+1*1 2@0.2+1*1.5 3@0.3+1*1.5 ,@1.1+1*1 2@1.2+1*1 ");
    prompt_chunks_finish(&list);
}

static void a_name_may_be_in_a_word(void)
{
    char text[1000] = "";
    const int32_t ids[] = {id_of("q")};
    const struct chunk_word name = {
        .name = "Q", .ids = ids, .id_count = 1, .vector_count = 3, .digest = {1}};
    struct prompt_chunks list = chunk("zzq qq", &name, 1, -1, append_place, text);
    check_str(text, "zzq@0.1+2*1 Q@0.3+3*1 qq@0.6+1*1 Q@0.7+3*1 ");
    prompt_chunks_finish(&list);
}

int main(void)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s/tests/data/tiny-tokenizer",
                   source ? source : ".");
    if (tokenizer_open(&tokenizer, folder, &problem) != DR_OK) {
        fprintf(stderr, "%s\n", problem.message);
        return 1;
    }
    check_run(a_short_prompt_is_what_the_tokenizer_says);
    check_run(are_filled_to_75);
    check_run(a_comma_breaks);
    check_run(a_break_ends_a_chunk);
    check_run(the_longest_name_counts);
    check_run(vectors_stay_together);
    check_run(words_have_places);
    check_run(a_name_may_be_in_a_word);
    tokenizer_close(&tokenizer);
    return check_done();
}
