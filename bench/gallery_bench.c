/* gallery_bench — how long a page of a large gallery takes.
 *
 *     bench/gallery_bench [PICTURES [FOLDER]]          100000, a new folder below /tmp that goes at the end
 *
 * Fills a data directory with entries (their files are not needed for lists), with prompts of words that are frequent,
 * rare, or in each, of two users. Then each kind of page is asked for ROUNDS times, as the service does; printed are the
 * median and the longest time. The entries are written as a job's end does, many in one transaction.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <darkroom/darkroom.h>

#include "service/gallery.h"
#include "service/store_sql.h"

enum {
    ROUNDS = 51,
    PAGE = 51 /* one more than is shown, to know whether there is another page */
};

static _Noreturn void die(const char *what, const struct dr_error *err)
{
    fprintf(stderr, "gallery_bench: %s: %s\n", what, err->message);
    exit(1);
}

static void write_prompt(char *prompt, size_t bytes, int at)
{
    static const char *const subjects[] = {"lighthouse", "harbour", "forest",
                                           "portrait",   "castle",  "street",
                                           "meadow",     "mountain"};
    (void)snprintf(
        prompt, bytes,
        "masterpiece, best quality, a %s at %s, %s, detailed background, soft "
        "light, sharp focus, word%d, word%d%s",
        subjects[at % 8], at % 3 ? "dusk" : "dawn",
        at % 5 ? "oil painting" : "photograph", at % 1000, at % 77,
        at % 10007 == 5 ? ", zeppelin" : "");
}

static void fill(struct store *store, int count)
{
    struct dr_error err = {0};
    char prompt[512], parameters[1024];
    enum dr_code code = store_begin(store, &err);
    for (int i = 0; code == DR_OK && i < count; ++i) {
        write_prompt(prompt, sizeof prompt, i);
        (void)snprintf(parameters, sizeof parameters,
                       "%s\nNegative prompt: lowres, bad anatomy\nSteps: 20, Sampler: "
                       "Euler a, CFG scale: 7, Seed: %d, Size: 512x512, Model: sd15",
                       prompt, i);
        struct gallery_picture picture = {.is_kept = i % 100 != 0,
                                          .width = 512,
                                          .height = 512,
                                          .seed = (uint64_t)i,
                                          .bytes = 400000,
                                          .prompt = prompt,
                                          .parameters = parameters};
        store_new_id(picture.id);
        store_new_id(picture.job);
        (void)strcpy(picture.user, i % 50 == 0 ? "bob" : "ann");
        code = gallery_insert(store, &picture, &err);
        if (i % 1000 == 999) {
            code = store_commit(store, code, &err);
            if (code == DR_OK) code = store_begin(store, &err);
        }
    }
    if (code == DR_OK) code = store_commit(store, code, &err);
    if (code) die("filling", &err);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(struct store *store, const char *name, const char *user,
                    int64_t before, const char *search)
{
    double ms[ROUNDS];
    int32_t count = 0;
    for (int i = 0; i < ROUNDS; ++i) {
        struct dr_error err = {0};
        struct gallery_picture *pictures = NULL;
        const double start = dr_clock_ms();
        if (gallery_list(store, user, before, PAGE, search, &pictures, &count, &err))
            die(name, &err);
        for (int32_t j = 0; j < count; ++j)
            gallery_picture_finish(&pictures[j]);
        free(pictures);
        ms[i] = dr_clock_ms() - start;
    }
    qsort(ms, ROUNDS, sizeof *ms, compare);
    printf("%-44s %5d entries  median %7.2f ms  longest %7.2f ms\n", name, count,
           ms[ROUNDS / 2], ms[ROUNDS - 1]);
}

int main(int argc, char **argv)
{
    const int count = argc > 1 ? atoi(argv[1]) : 100000;
    char made[] = "/tmp/gallery-bench-XXXXXX", command[64];
    const char *const folder = argc > 2 ? argv[2] : mkdtemp(made);
    struct dr_error err = {0};
    struct store *store = NULL;
    if (count < 1 || !folder || store_open(&store, folder, &err)) die("opening", &err);
    double start = dr_clock_ms();
    fill(store, count);
    printf("%d entries written in %.1f s\n", count, (dr_clock_ms() - start) / 1e3);
    store_close(store);
    char path[512];
    struct stat status = {0};
    (void)snprintf(path, sizeof path, "%s/darkroom.db", folder);
    (void)stat(path, &status);
    start = dr_clock_ms();
    if (store_open(&store, folder, &err)) die("opening again", &err);
    printf("opened in %.0f ms, %.1f MiB that were closed well\n", dr_clock_ms() - start,
           (double)status.st_size / 1048576.0);
    store_close(store);
    (void)snprintf(path, sizeof path, "%s/darkroom.db.clean", folder);
    (void)unlink(path);
    start = dr_clock_ms();
    if (store_open(&store, folder, &err)) die("opening again", &err);
    printf("opened in %.0f ms, with the check of all of it\n", dr_clock_ms() - start);
    measure(store, "the newest", NULL, 0, "");
    measure(store, "in the middle", NULL, count / 2, "");
    measure(store, "the oldest", NULL, 60, "");
    measure(store, "of one user", "bob", 0, "");
    measure(store, "a word that all have", NULL, 0, "masterpiece");
    measure(store, "a word that all have, in the middle", NULL, count / 2,
            "masterpiece");
    measure(store, "the beginning of one", NULL, 0, "m");
    measure(store, "two words that many have", NULL, 0, "castle photograph");
    measure(store, "a rare word", NULL, 0, "zeppelin");
    measure(store, "a rare word of the other user", "bob", 0, "zeppelin");
    measure(store, "a word that none has", NULL, 0, "submarine");
    measure(store, "a frequent word of a user with few pictures", "bob", 0,
            "masterpiece");
    printf("SQLite's memory at most %.2f MiB, of %d MiB\n",
           (double)sqlite3_memory_highwater(0) / 1048576.0, STORE_HEAP_BYTES >> 20);
    store_close(store);
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", made);
    return argc > 2 ? 0 : system(command) != 0;
}
