/* Embeddings as PyTorch 2.15 and safetensors wrote them (tests/corpus/embedding), and files that are none. */
#include "check.h"
#include "scratch_folder.h"

#include <stdio.h>
#include <stdlib.h>

#include "weights/embedding_file.h"

static struct dr_error error;

static const char *corpus(const char *name)
{
    static char path[4096];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/corpus/embedding/%s",
                   source ? source : ".", name);
    return path;
}

/* The numbers of the files count up in eighths. */
static void check_vectors(const struct embedding_file *embedding, int32_t text_idx,
                          int32_t width, float first)
{
    float numbers[64];
    check_int(embedding->widths[text_idx], ==, width);
    check_int(embedding_file_read(embedding, text_idx, numbers, &error), ==, DR_OK);
    for (int32_t i = 0; i < embedding->vector_count * width; ++i)
        check(numbers[i] == first + (float)i / 8);
}

static void every_layout_is_read(void)
{
    static const struct {
        const char *name;
        int count;
    } cases[] = {
        {"a1111",     3},
        {"original",  1},
        {"legacy",    1},
        {"learned",   1},
        {"diffusers", 2},
        {"forge",     4}
    };
    struct embedding_file embedding;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const enum dr_code code =
            embedding_file_open(&embedding, corpus(cases[i].name), NULL, &error);
        if (code != DR_OK) check_fail_at("%s: %s", cases[i].name, error.message);
        if (code != DR_OK) continue;
        check_int(embedding.vector_count, ==, cases[i].count);
        check_int(embedding.family, ==, FAMILY_UNKNOWN);
        check(embedding.vectors[1] == NULL);
        check_vectors(&embedding, 0, 4, 0);
        embedding_file_close(&embedding);
    }
    check_int(embedding_file_open(&embedding, corpus("xl"), NULL, &error), ==, DR_OK);
    check_int(embedding.vector_count, ==, 2);
    check_int(embedding.family, ==, FAMILY_SDXL);
    check_int(embedding.bytes, ==, 2 * (4 + 6) * 4);
    check_vectors(&embedding, 0, 4, 0);
    check_vectors(&embedding, 1, 6, 1);
    embedding_file_close(&embedding);
}

static void what_it_says_is_there(void)
{
    struct embedding_file embedding;
    char hash[EMBEDDING_HASH_BYTES];
    check_int(embedding_file_open(&embedding, corpus("a1111"), NULL, &error), ==,
              DR_OK);
    check_str(embedding.base_model, "v1-5");
    check_str(embedding.base_hash, "6ce0161689");
    check_str(embedding.step, "500");
    embedding_file_close(&embedding);
    /* sha256sum tests/corpus/embedding/forge */
    check_int(embedding_file_open(&embedding, corpus("forge"), NULL, &error), ==,
              DR_OK);
    check_str(embedding_file_hash(&embedding, hash), "9be8b7848b58");
    check(embedding.base_model == NULL && embedding.step == NULL);
    embedding_file_close(&embedding);
}

static void what_is_not_one_is_refused(void)
{
    static const struct {
        const char *name;
        enum dr_code code;
        const char *part;
    } cases[] = {
        {"uneven",       DR_CORRUPT,     "2 vectors for the first text encoder (clip_l) and 3"},
        {"nan",          DR_NOT_FINITE,  "number 3 of its vector 2 is nan"                    },
        {"two",          DR_UNSUPPORTED, "it has 2 tensors (a, b, ...)"                       },
        {"many",         DR_UNSUPPORTED,
         "it has 76 vectors; a chunk of a prompt has room for 75"                             },
        {"cube",         DR_UNSUPPORTED, "emb_params is [2, 2, 4]"                            },
        {"whole",        DR_UNSUPPORTED, "floating-point numbers"                             },
        {"none",         DR_UNSUPPORTED, "it has no tensors"                                  },
        {"evil-vectors", DR_UNSUPPORTED, "is created by calling posix.system"                 },
        {"evil-dict",    DR_UNSUPPORTED, "is created by calling posix.system"                 },
        {"cut",          DR_CORRUPT,     "it is truncated"                                    },
        {"not there",    DR_NOT_FOUND,   "not there"                                          },
    };
    struct embedding_file embedding;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        error = (struct dr_error){0};
        check_int(embedding_file_open(&embedding, corpus(cases[i].name), NULL, &error),
                  ==, cases[i].code);
        check_has(error.message, cases[i].part);
        check(!embedding.file.tensors && !embedding.file.pool.head);
    }
    /* What lies beside the vectors is not looked at, and not run. */
    check_int(embedding_file_open(&embedding, corpus("evil-beside"), NULL, &error), ==,
              DR_OK);
    embedding_file_close(&embedding);
}

static void a_file_that_changes_is_noticed(void)
{
    struct embedding_file embedding;
    float numbers[64];
    char bytes[4096];
    const char *const path = scratch_path("e.safetensors");
    FILE *const stream = fopen(corpus("forge"), "rb");
    const size_t count = stream ? fread(bytes, 1, sizeof bytes, stream) : 0;
    if (stream) (void)fclose(stream);
    scratch_write(path, bytes, count);
    check_int(embedding_file_open(&embedding, path, NULL, &error), ==, DR_OK);
    scratch_write(path, bytes, count - 1);
    check_int(embedding_file_read(&embedding, 0, numbers, &error), ==, DR_CHANGED);
    embedding_file_close(&embedding);
}

static void a_cancel_ends_it(void)
{
    struct embedding_file embedding;
    struct cancel cancel = {0};
    cancel_request(&cancel);
    check_int(embedding_file_open(&embedding, corpus("forge"), &cancel, &error), ==,
              DR_CANCELLED);
}

int main(void)
{
    check_run(every_layout_is_read);
    check_run(what_it_says_is_there);
    check_run(what_is_not_one_is_refused);
    check_run(a_file_that_changes_is_noticed);
    check_run(a_cancel_ends_it);
    return check_done();
}
