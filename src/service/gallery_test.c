/* The gallery against a naive array, its files, and its search.
 *
 * DARKROOM_SEED and DARKROOM_CASES (operations) choose another run of the model. */
#include "service/gallery.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/store_fixture.h"

static uint64_t state;

static uint32_t random_below(uint32_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % limit;
}

static uint64_t number_from(const char *name, uint64_t fallback)
{
    const char *const text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static bool has_file(const struct store *store, const char *job, int32_t index)
{
    return access(fixture_path(store, job, index, false), F_OK) == 0;
}

/* Writes and adds; the id is in the result. */
static struct gallery_picture put(struct store *store, const char *job, int32_t index,
                                  const char *user, char *prompt)
{
    struct gallery_picture picture = fixture_picture(job, index, user, prompt);
    struct dr_error err = {0};
    fixture_write(store, &picture);
    if (gallery_add(store, &picture, &err) != DR_OK)
        check_fail_at("gallery_add: %s", err.message);
    return picture;
}

static void free_list(struct gallery_picture *pictures, int32_t count)
{
    for (int32_t i = 0; i < count; ++i)
        gallery_picture_finish(&pictures[i]);
    free(pictures);
}

static void a_picture_comes_back_as_it_was(void)
{
    struct store *store = fixture_open("whole");
    struct gallery_picture added = {.job = "j",
                                    .index = 3,
                                    .user = "ann",
                                    .is_kept = true,
                                    .is_jpeg = true,
                                    .width = 512,
                                    .height = 768,
                                    .seed = UINT64_MAX,
                                    .prompt = strdup("a 'quoted' \xc3\xa9"),
                                    .model = strdup("sd15"),
                                    .vae = strdup("sharp"),
                                    .parameters = strdup("Steps: 2\n")};
    struct gallery_picture read;
    fixture_write(store, &added);
    check_int(gallery_add(store, &added, NULL), ==, DR_OK);
    check(store_is_id(added.id));
    store_close(store);
    store = fixture_open("whole");
    check_int(gallery_get(store, added.id, "ann", &read, NULL), ==, DR_OK);
    check_str(read.id, added.id);
    check_str(read.job, "j");
    check_str(read.user, "ann");
    check_int(read.index, ==, 3);
    check(read.is_kept && read.is_jpeg && read.seed == UINT64_MAX);
    check_int(read.width, ==, 512);
    check_int(read.height, ==, 768);
    check_int(read.bytes, ==, strlen("picture 3 of job j\n"));
    check_real(read.created_s, ==, added.created_s);
    check_str(read.prompt, "a 'quoted' \xc3\xa9");
    check_str(read.model, "sd15");
    check_str(read.vae, "sharp");
    check_str(read.parameters, "Steps: 2\n");
    gallery_picture_finish(&read);
    gallery_picture_finish(&added);
    store_close(store);
}

/* ---- the model -------------------------------------------------------------------------------- */

enum {
    JOBS = 60,
    INDICES = 3,
    USERS = 2
};

static const char *const users[USERS] = {"ann", "bob"};
static char words[4][24] = {"red house", "blue house, tree", "Red tree", "nothing"};
static char jobs[JOBS][STORE_ID_BYTES];

struct model_picture {
    bool is_there, is_kept;
    int user, words;
    int64_t number;
};
static struct model_picture model[JOBS][INDICES];

static void add_one(struct store *store)
{
    const uint32_t job = random_below(JOBS), index = random_below(INDICES);
    struct model_picture *const entry = &model[job][index];
    if (!entry->is_there) entry->number = 0;
    entry->user = (int)random_below(USERS);
    entry->words = (int)random_below(4);
    entry->is_kept = random_below(4) != 0;
    struct gallery_picture picture =
        fixture_picture(jobs[job], (int32_t)index, users[entry->user],
                        words[entry->words]);
    picture.is_kept = entry->is_kept;
    fixture_write(store, &picture);
    check_int(gallery_add(store, &picture, NULL), ==, DR_OK);
    if (entry->is_there) check_int(picture.number, ==, entry->number);
    entry->number = picture.number;
    entry->is_there = true;
}

static void remove_one(struct store *store)
{
    const uint32_t job = random_below(JOBS), index = random_below(INDICES);
    struct model_picture *const entry = &model[job][index];
    const int user = (int)random_below(USERS + 1) - 1;
    const bool is_right = entry->is_there && (user < 0 || user == entry->user);
    char id[STORE_ID_BYTES];
    gallery_id(jobs[job], (int32_t)index, id);
    check_int(gallery_remove(store, id, user < 0 ? NULL : users[user], NULL), ==,
              is_right ? DR_OK : DR_NOT_FOUND);
    if (is_right) entry->is_there = false;
    check_int(has_file(store, jobs[job], (int32_t)index), ==, entry->is_there);
}

static void keep_one(struct store *store)
{
    const uint32_t job = random_below(JOBS), index = random_below(INDICES);
    struct model_picture *const entry = &model[job][index];
    char id[STORE_ID_BYTES];
    gallery_id(jobs[job], (int32_t)index, id);
    check_int(gallery_keep(store, id, !entry->is_kept, NULL), ==,
              entry->is_there ? DR_OK : DR_NOT_FOUND);
    entry->is_kept = !entry->is_kept;
}

/* The newest entry of the model below a number that a list would have. */
static const struct model_picture *next_of(int64_t before, int user, bool has_red)
{
    const struct model_picture *next = NULL;
    for (int i = 0; i < JOBS * INDICES; ++i) {
        const struct model_picture *const entry = &model[i / INDICES][i % INDICES];
        if (entry->is_there && entry->is_kept && entry->number < before &&
            (user < 0 || entry->user == user) && (!has_red || entry->words % 2 == 0) &&
            (!next || entry->number > next->number))
            next = entry;
    }
    return next;
}

static void compare(struct store *store)
{
    const int user = (int)random_below(USERS + 1) - 1;
    const bool has_red = random_below(2) != 0;
    const int32_t page = 1 + (int32_t)random_below(9);
    int64_t before = 0, at = INT64_MAX;
    for (int32_t count = page; count == page;) {
        struct gallery_picture *list = NULL;
        check_int(gallery_list(store, user < 0 ? NULL : users[user], before, page,
                               has_red ? "red" : "", &list, &count, NULL),
                  ==, DR_OK);
        for (int32_t i = 0; i < count; ++i) {
            const struct model_picture *const entry = next_of(at, user, has_red);
            check(entry && entry->number == list[i].number);
            if (!entry) break;
            check_str(list[i].prompt, words[entry->words]);
            check_str(list[i].user, users[entry->user]);
            before = at = entry->number;
        }
        free_list(list, count);
    }
    check(!next_of(at, user, has_red));
}

static void random_operations_agree_with_an_array(void)
{
    struct store *store = fixture_open("model");
    const uint64_t seed = number_from("DARKROOM_SEED", 1);
    const int operations = (int)number_from("DARKROOM_CASES", 600);
    state = seed;
    fprintf(stderr, "seed %llu, %d operations\n", (unsigned long long)seed, operations);
    for (int i = 0; i < JOBS; ++i)
        store_new_id(jobs[i]);
    for (int i = 0; i < operations && check_failed_count == 0; ++i) {
        const uint32_t choice = random_below(100);
        if (choice < 50)
            add_one(store);
        else if (choice < 75)
            remove_one(store);
        else if (choice < 85)
            keep_one(store);
        else if (choice < 98)
            compare(store);
        else {
            store_close(store);
            store = fixture_open("model");
        }
    }
    check_int(fixture_number(store, "SELECT count(*) FROM doomed"), ==, 0);
    fixture_sql(store, "INSERT INTO word (word) VALUES ('integrity-check')");
    store_close(store);
}

/* ---- search ----------------------------------------------------------------------------------- */

static int32_t found(struct store *store, const char *search)
{
    struct gallery_picture *list = NULL;
    int32_t count = -1;
    struct dr_error err = {0};
    if (gallery_list(store, NULL, 0, 100, search, &list, &count, &err) != DR_OK) {
        check_fail_at("searching for %s: %s", search, err.message);
        return -1;
    }
    free_list(list, count);
    return count;
}

static void a_search_finds_all_its_words(void)
{
    struct store *const store = fixture_open("search");
    char first[] = "Sunset over the sea, (masterpiece:1.2), blue-eyed caf\xc3\xa9",
         second[] = "a blue house at sunrise";
    (void)put(store, "1", 0, "", first);
    (void)put(store, "2", 0, "", second);
    check_int(found(store, ""), ==, 2);
    check_int(found(store, " \t"), ==, 2);
    check_int(found(store, "sunset"), ==, 1);
    check_int(found(store, "SUN"), ==, 2);
    check_int(found(store, "sun blue"), ==, 2);
    check_int(found(store, "blue sea"), ==, 1);
    check_int(found(store, "blue nothing"), ==, 0);
    check_int(found(store, "cafe"), ==, 1);
    check_int(found(store, "blue-eyed"), ==, 1);
    check_int(found(store, "nset"), ==, 0);
    store_close(store);
}

static void nothing_in_a_search_is_syntax(void)
{
    static const char *const hostile[] = {"\"",
                                          "\"\"",
                                          "sea OR nothing",
                                          "NOT sea",
                                          "sea AND",
                                          "prompt: x",
                                          "{prompt}: x",
                                          "^sea",
                                          "sea*x",
                                          "*",
                                          "NEAR(sea a)",
                                          "(",
                                          ")",
                                          "a)) OR ((",
                                          "'; DROP TABLE job;--",
                                          "sea -nothing",
                                          "+",
                                          "--",
                                          "\\",
                                          "%",
                                          "_",
                                          "\x01\x7f",
                                          "\xc3\xa9\"x"};
    struct store *const store = fixture_open("hostile");
    char prompt[] = "the sea";
    (void)put(store, "1", 0, "", prompt);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; ++i)
        check_int(found(store, hostile[i]), >=, 0);
    check_int(found(store, "sea OR nothing"), ==, 0);
    check_int(found(store, "NOT nothing"), ==, 0);
    check_int(found(store, "s%"), ==, 1); /* the word s... */
    check_int(found(store, "%ea"), ==, 0);
    char longest[4096];
    memset(longest, '"', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    check_int(found(store, longest), >=, 0);
    for (size_t i = 1; i < sizeof longest - 1; i += 2)
        longest[i] = ' ';
    check_int(found(store, longest), >=, 0);
    check_int(found(store, "sea"), ==, 1);
    store_close(store);
}

/* A letter that very many words begin with: with little memory only whole words are found, and that is no error. */
static void a_search_that_takes_too_much_memory_finds_words(void)
{
    struct store *const store = fixture_open("broad");
    char prompt[512];
    int32_t with_prefixes = 0;
    bool fell_back = false;
    fixture_sql(store, "BEGIN");
    for (int i = 0; i < 3000; ++i) {
        size_t used = (size_t)snprintf(prompt, sizeof prompt, "match");
        for (int word = 0; word < 40; ++word)
            used += (size_t)snprintf(prompt + used, sizeof prompt - used, " mat%d",
                                     (i * 7 + word) % 100);
        struct gallery_picture picture = fixture_picture("1", i, "", prompt);
        store_new_id(picture.id);
        check_int(gallery_insert(store, &picture, NULL), ==, DR_OK);
    }
    fixture_sql(store, "COMMIT");
    for (int64_t more = 0; more < STORE_HEAP_BYTES && with_prefixes == 0;
         more += 8192) {
        struct gallery_picture *list = NULL;
        (void)sqlite3_db_release_memory(store->database);
        (void)sqlite3_hard_heap_limit64(sqlite3_memory_used() + more + 1);
        const enum dr_code code =
            gallery_list(store, NULL, 0, 10, "mat", &list, &with_prefixes, NULL);
        (void)sqlite3_hard_heap_limit64(STORE_HEAP_BYTES);
        if (code) with_prefixes = 0;
        fell_back = fell_back || (code == DR_OK && with_prefixes == 0);
        free_list(list, with_prefixes);
    }
    check(fell_back);
    check_int(with_prefixes, ==, 10);
    check_int(found(store, "match mat99"), >, 0);
    store_close(store);
}

/* ---- entries ------------------------------------------------------------------------------------ */

/* With ever more memory until it works: before that, each time nothing, neither the entry nor its words. */
static void an_entry_without_memory_is_none(void)
{
    struct store *const store = fixture_open("memory");
    char prompt[] = "some words for the index";
    int refused = 0;
    struct dr_error err = {0};
    enum dr_code code = DR_NOMEM;
    struct gallery_picture picture = fixture_picture("1", 0, "", prompt);
    fixture_write(store, &picture);
    for (int64_t more = 0; code != DR_OK && more < STORE_HEAP_BYTES; more += 512) {
        (void)sqlite3_db_release_memory(store->database);
        (void)sqlite3_hard_heap_limit64(sqlite3_memory_used() + more + 1);
        code = gallery_add(store, &picture, &err);
        (void)sqlite3_hard_heap_limit64(STORE_HEAP_BYTES);
        if (code == DR_OK) break;
        if (code != DR_NOMEM) check_has(err.message, "memory");
        ++refused;
        check_int(found(store, ""), ==, 0);
        check_int(found(store, "some"), ==, 0);
    }
    check_int(code, ==, DR_OK);
    check_int(refused, >, 3);
    check_int(found(store, ""), ==, 1);
    check_int(found(store, "some"), ==, 1);
    fixture_sql(store, "INSERT INTO word (word) VALUES ('integrity-check')");
    store_close(store);
}

/* ---- files ------------------------------------------------------------------------------------ */

static void a_picture_without_a_file_is_not_added(void)
{
    struct store *const store = fixture_open("missing");
    char prompt[] = "p";
    struct gallery_picture picture = fixture_picture("1", 0, "", prompt);
    struct dr_error err = {0};
    check_int(gallery_add(store, &picture, &err), ==, DR_NOT_FOUND);
    check_int(found(store, ""), ==, 0);
    store_close(store);
}

static void links_are_not_followed(void)
{
    struct store *const store = fixture_open("links");
    char prompt[] = "p";
    struct gallery_picture picture = put(store, "1", 0, "", prompt);
    const char *const path = fixture_path(store, "1", 0, false);
    struct dr_error err = {0};
    int file = -1;
    check_int(gallery_open(store, &picture, &file, &err), ==, DR_OK);
    char text[32] = "";
    check_int(read(file, text, sizeof text - 1), ==, picture.bytes);
    check_str(text, "picture 0 of job 1\n");
    (void)close(file);
    check_int(unlink(path), ==, 0);
    check_int(gallery_open(store, &picture, &file, &err), ==, DR_NOT_FOUND);
    check_int(symlink("/etc/passwd", path), ==, 0);
    check_int(gallery_open(store, &picture, &file, &err), ==, DR_NOT_FOUND);
    check_int(gallery_add(store, &picture, &err), ==, DR_NOT_FOUND);
    check_int(unlink(path), ==, 0);
    check_int(mkfifo(path, 0600), ==, 0);
    check_int(gallery_open(store, &picture, &file, &err), ==, DR_NOT_FOUND);
    check_int(unlink(path), ==, 0);
    check_int(mkdir(path, 0700), ==, 0);
    check_int(gallery_open(store, &picture, &file, &err), ==, DR_NOT_FOUND);
    store_close(store);
}

static void thumbnails_go_with_their_pictures(void)
{
    struct store *const store = fixture_open("thumbnails");
    char prompt[] = "p", text[8] = "";
    struct gallery_picture picture = put(store, "1", 0, "", prompt);
    int file = -1;
    check_int(gallery_open_thumbnail(store, &picture, &file, NULL), ==, DR_NOT_FOUND);
    const unsigned char bytes[] = "small", larger[] = "larger";
    check_int(gallery_write_thumbnail(store, picture.id, larger, 6, NULL), ==, DR_OK);
    check_int(gallery_write_thumbnail(store, picture.id, bytes, 5, NULL), ==, DR_OK);
    check_int(gallery_open_thumbnail(store, &picture, &file, NULL), ==, DR_OK);
    check_int(read(file, text, sizeof text), ==, 5);
    check_str(text, "small");
    (void)close(file);
    check_int(gallery_remove(store, picture.id, NULL, NULL), ==, DR_OK);
    check_int(gallery_open_thumbnail(store, &picture, &file, NULL), ==, DR_NOT_FOUND);
    check_int(rmdir(scratch_path("thumbnails/thumbnails")), ==,
              0); /* nothing is left */
    store_close(store);
}

/* ---- sweeping ---------------------------------------------------------------------------------- */

static void what_is_not_kept_goes_after_a_while(void)
{
    struct store *const store = fixture_open("sweep");
    char prompt[] = "p";
    for (int32_t i = 0; i < 4; ++i) {
        struct gallery_picture picture = fixture_picture("1", i, "", prompt);
        picture.is_kept = i == 0;
        fixture_write(store, &picture);
        check_int(gallery_add(store, &picture, NULL), ==, DR_OK);
        if (i == 2) check_int(gallery_keep(store, picture.id, true, NULL), ==, DR_OK);
    }
    fixture_sql(store,
                "UPDATE picture SET created_s = created_s - 1000 WHERE idx <> 3");
    check_int(gallery_sweep(store, store_now_s() - 500, NULL), ==, DR_OK);
    check(has_file(store, "1", 0) && !has_file(store, "1", 1));
    check(has_file(store, "1", 2) && has_file(store, "1", 3));
    check_int(fixture_number(store, "SELECT count(*) FROM picture"), ==, 3);
    check_int(found(store, ""), ==, 2);
    store_close(store);
}

/* The process died after the rows had gone and before the files. */
static void files_that_were_to_go_go_at_the_next_start(void)
{
    struct store *store = fixture_open("doomed");
    char prompt[] = "p";
    for (int32_t i = 0; i < 300; ++i)
        (void)put(store, i < 299 ? "1" : "2", i, "", prompt);
    fixture_sql(store, "DELETE FROM picture WHERE job = '1'");
    check(has_file(store, "1", 0));
    /* One of them is made again meanwhile. */
    (void)put(store, "1", 5, "", prompt);
    store_close(store);
    store = fixture_open("doomed");
    check_int(gallery_sweep(store, 0, NULL), ==, DR_OK);
    for (int32_t i = 0; i < 299; ++i)
        check_int(has_file(store, "1", i), ==, i == 5);
    check(has_file(store, "2", 299));
    check_int(fixture_number(store, "SELECT count(*) FROM doomed"), ==, 0);
    store_close(store);
}

/* ---- plans ------------------------------------------------------------------------------------- */

static void calls_use_indexes(void)
{
    static struct fixture_trace trace;
    /* The index of words is read by words and numbers; of what is doomed, all is read. */
    static const char *const allowed[] = {"SCAN word VIRTUAL TABLE INDEX",
                                          "SCAN doomed", NULL};
    static const char *const needed[] = {
        "INDEX picture_kept (kept=? AND rowid<?)",
        "INDEX picture_user (user=? AND kept=? AND rowid<?)", NULL};
    struct store *const store = fixture_open("plans");
    char prompt[] = "sea";
    fixture_trace(store, &trace);
    struct gallery_picture picture = put(store, "1", 0, "ann", prompt), read;
    for (int i = 0; i < 4; ++i) {
        struct gallery_picture *list;
        int32_t count;
        check_int(gallery_list(store, i % 2 ? "ann" : NULL, 0, 10, i / 2 ? "sea" : "",
                               &list, &count, NULL),
                  ==, DR_OK);
        check_int(count, ==, 1);
        free_list(list, count);
    }
    struct gallery_picture *list;
    int32_t count;
    check_int(gallery_of_job(store, "1", &list, &count, NULL), ==, DR_OK);
    free_list(list, count);
    check_int(gallery_get(store, picture.id, "ann", &read, NULL), ==, DR_OK);
    gallery_picture_finish(&read);
    check_int(gallery_keep(store, picture.id, false, NULL), ==, DR_OK);
    check_int(gallery_sweep(store, 1e12, NULL), ==, DR_OK);
    picture = put(store, "1", 0, "ann", prompt);
    check_int(gallery_remove(store, picture.id, "ann", NULL), ==, DR_OK);
    check_int(trace.count, >, 12);
    check_int(fixture_slow_steps(store, &trace, allowed, needed), ==, 0);
    store_close(store);
}

int main(void)
{
    check_run(a_picture_comes_back_as_it_was);
    check_run(random_operations_agree_with_an_array);
    check_run(a_search_finds_all_its_words);
    check_run(nothing_in_a_search_is_syntax);
    check_run(a_search_that_takes_too_much_memory_finds_words);
    check_run(an_entry_without_memory_is_none);
    check_run(a_picture_without_a_file_is_not_added);
    check_run(links_are_not_followed);
    check_run(thumbnails_go_with_their_pictures);
    check_run(what_is_not_kept_goes_after_a_while);
    check_run(files_that_were_to_go_go_at_the_next_start);
    check_run(calls_use_indexes);
    return check_done();
}
