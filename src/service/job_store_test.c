/* Jobs against a naive array, their ends, and what is there after the process died.
 *
 * DARKROOM_SEED and DARKROOM_CASES (operations) choose another run of the model. */
#include "service/job_store.h"

#include <math.h>
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

static enum job_phase phase_of(struct store *store, const char *id)
{
    struct job_record record;
    if (job_store_get(store, id, NULL, &record, NULL) != DR_OK)
        return (enum job_phase)9;
    const enum job_phase phase = record.phase;
    job_record_finish(&record);
    return phase;
}

static enum dr_code end_job(struct store *store, const char *id, enum job_phase phase)
{
    const struct job_ending ending = {.phase = phase};
    return job_store_end(store, id, &ending, NULL);
}

/* ---- rows come back as they were -------------------------------------------------------------- */

static void a_job_comes_back_as_it_was(void)
{
    struct store *store = fixture_open("whole");
    struct job_record record = {.user = "ann", .survives = true, .key = "k 'quoted'"};
    store_new_id(record.id);
    for (int i = 0; i < 32; ++i)
        record.body_digest[i] = (unsigned char)(7 * i);
    record.request = picture_request_default();
    free(record.request.prompt);
    record.request.prompt = strdup("a \"quoted\" prompt, \xc3\xa9, <lora:x:1>");
    record.request.seed = UINT64_MAX;
    record.request.width = 513;
    check_int(job_store_add(store, &record, 1, NULL), ==, DR_OK);
    check_int(record.number, ==, 1);
    check(fabs(record.created_s - store_now_s()) < 600);
    store_close(store);

    store = fixture_open("whole");
    struct job_record read;
    check_int(job_store_get(store, record.id, "ann", &read, NULL), ==, DR_OK);
    check_str(read.id, record.id);
    check_str(read.user, "ann");
    check_str(read.key, "k 'quoted'");
    check(read.survives && read.phase == JOB_QUEUED);
    check_bytes(read.body_digest, record.body_digest, 32);
    check_str(read.request.prompt, record.request.prompt);
    check(read.request.seed == UINT64_MAX);
    check_int(read.request.width, ==, 513);
    check(!read.error && !read.answer);
    job_record_finish(&read);

    const struct dr_error error = {.code = DR_OVER_BUDGET, .message = "too large"};
    const struct job_ending ending = {.phase = JOB_FAILED,
                                      .error = &error,
                                      .answer = "{}"};
    check_int(job_store_start(store, record.id, NULL), ==, DR_OK);
    check_int(job_store_end(store, record.id, &ending, NULL), ==, DR_OK);
    check_int(job_store_get(store, record.id, NULL, &read, NULL), ==, DR_OK);
    check_int(read.phase, ==, JOB_FAILED);
    check_int(read.code, ==, DR_OVER_BUDGET);
    check_str(read.error, "too large");
    check_str(read.answer, "{}");
    check(read.started_s >= read.created_s && read.ended_s >= read.started_s);
    job_record_finish(&read);
    job_record_finish(&record);
    store_close(store);
}

static void names_of_phases(void)
{
    check_str(job_phase_name(JOB_QUEUED), "queued");
    check_str(job_phase_name(JOB_RUNNING), "running");
    check_str(job_phase_name(JOB_DONE), "done");
    check_str(job_phase_name(JOB_FAILED), "failed");
    check_str(job_phase_name(JOB_CANCELLED), "cancelled");
}

/* ---- the model -------------------------------------------------------------------------------- */

enum {
    MODEL_JOBS = 400,
    USERS = 3
};

static const char *const users[USERS] = {"", "ann", "bob"};

struct model_job {
    char id[STORE_ID_BYTES];
    int user;
    bool survives, is_forgotten;
    enum job_phase phase;
};

struct model {
    struct store *store;
    struct model_job jobs[MODEL_JOBS];
    int count;
};

static bool has_ended(const struct model_job *job)
{
    return job->phase != JOB_QUEUED && job->phase != JOB_RUNNING;
}

static void add(struct model *model)
{
    if (model->count == MODEL_JOBS) return;
    struct model_job *const job = &model->jobs[model->count++];
    job->user = (int)random_below(USERS);
    job->survives = random_below(2) != 0;
    check_int(fixture_add_job(model->store, users[job->user], job->survives, job->id,
                              NULL),
              ==, DR_OK);
}

/* One of the calls that change a job, on any of them: only from the right phase does it work. */
static void change(struct model *model)
{
    if (model->count == 0) return;
    struct model_job *const job = &model->jobs[random_below((uint32_t)model->count)];
    const bool is_there = !job->is_forgotten;
    const enum job_phase end = (enum job_phase)(JOB_DONE + random_below(3));
    switch (random_below(4)) {
    case 0: {
        const bool is_right = is_there && job->phase == JOB_QUEUED;
        check_int(job_store_start(model->store, job->id, NULL), ==,
                  is_right ? DR_OK : DR_NOT_FOUND);
        if (is_right) job->phase = JOB_RUNNING;
        break;
    }
    case 1: {
        const bool is_right = is_there && job->phase == JOB_RUNNING;
        check_int(job_store_requeue(model->store, job->id, NULL), ==,
                  is_right ? DR_OK : DR_NOT_FOUND);
        if (is_right) job->phase = JOB_QUEUED;
        break;
    }
    case 2: {
        const bool is_right = is_there && !has_ended(job);
        check_int(end_job(model->store, job->id, end), ==,
                  is_right ? DR_OK : DR_NOT_FOUND);
        if (is_right) job->phase = end;
        break;
    }
    default:
        check_int(job_store_forget(model->store, job->id, NULL), ==,
                  !is_there        ? DR_NOT_FOUND
                  : has_ended(job) ? DR_OK
                                   : DR_BUSY);
        if (is_there && has_ended(job)) job->is_forgotten = true;
    }
}

/* The process dies and comes back. */
static void restart(struct model *model)
{
    int32_t queued = -1, cancelled = -1, queued_model = 0, cancelled_model = 0;
    store_close(model->store);
    model->store = fixture_open("model");
    check_int(job_store_recover(model->store, &queued, &cancelled, NULL), ==, DR_OK);
    for (int i = 0; i < model->count; ++i) {
        struct model_job *const job = &model->jobs[i];
        if (job->is_forgotten || has_ended(job)) continue;
        if (!job->survives) {
            job->phase = JOB_CANCELLED;
            ++cancelled_model;
        } else if (job->phase == JOB_RUNNING) {
            job->phase = JOB_QUEUED;
            ++queued_model;
        }
    }
    check_int(queued, ==, queued_model);
    check_int(cancelled, ==, cancelled_model);
}

static void compare_queue(struct model *model)
{
    struct job_waiting *jobs;
    int32_t count, counted = -1, at = 0;
    check_int(job_store_waiting(model->store, &jobs, &count, NULL), ==, DR_OK);
    check_int(job_store_count_waiting(model->store, &counted, NULL), ==, DR_OK);
    check_int(counted, ==, count);
    for (int i = 0; i < model->count; ++i) {
        const struct model_job *const job = &model->jobs[i];
        if (job->is_forgotten || job->phase != JOB_QUEUED) continue;
        check(at < count);
        if (at == count) break;
        check_str(jobs[at].id, job->id);
        check_str(jobs[at].user, users[job->user]);
        ++at;
    }
    check_int(at, ==, count);
    free(jobs);
}

/* Newest first, a page at a time, of one user or all. */
static void compare_list(struct model *model)
{
    const int user = (int)random_below(USERS + 1) - 1;
    const int32_t page = 1 + (int32_t)random_below(7);
    int64_t before = 0;
    int at = model->count - 1;
    for (int32_t count = page; count == page;) {
        struct job_record *records;
        check_int(job_store_list(model->store, user < 0 ? NULL : users[user], before,
                                 page, &records, &count, NULL),
                  ==, DR_OK);
        for (int32_t i = 0; i < count; ++i) {
            while (at >= 0 && (model->jobs[at].is_forgotten ||
                               (user >= 0 && model->jobs[at].user != user)))
                --at;
            check(at >= 0);
            if (at < 0) break;
            check_str(records[i].id, model->jobs[at].id);
            check_int(records[i].phase, ==, model->jobs[at].phase);
            before = records[i].number;
            --at;
        }
        for (int32_t i = 0; i < count; ++i)
            job_record_finish(&records[i]);
        free(records);
    }
    while (at >= 0 && (model->jobs[at].is_forgotten ||
                       (user >= 0 && model->jobs[at].user != user)))
        --at;
    check_int(at, ==, -1);
}

static void random_operations_agree_with_an_array(void)
{
    static struct model model;
    const uint64_t seed = number_from("DARKROOM_SEED", 1);
    const int operations = (int)number_from("DARKROOM_CASES", 600);
    state = seed;
    fprintf(stderr, "seed %llu, %d operations\n", (unsigned long long)seed, operations);
    model = (struct model){.store = fixture_open("model")};
    for (int i = 0; i < operations && check_failed_count == 0; ++i) {
        const uint32_t choice = random_below(100);
        if (choice < 35)
            add(&model);
        else if (choice < 95)
            change(&model);
        else if (choice < 97)
            restart(&model);
        else
            compare_list(&model);
        compare_queue(&model);
    }
    for (int i = 0; i < 8; ++i)
        compare_list(&model);
    store_close(model.store);
}

/* ---- ends --------------------------------------------------------------------------------------- */

/* With ever more memory until it works: before that, each time nothing. */
static void an_end_without_memory_is_none(void)
{
    struct store *const store = fixture_open("memory");
    char id[STORE_ID_BYTES];
    int refused = 0;
    struct dr_error err = {0};
    enum dr_code code = DR_NOMEM;
    check_int(fixture_add_job(store, "", true, id, NULL), ==, DR_OK);
    const struct job_ending ending = {.phase = JOB_DONE, .answer = "{}"};
    for (int64_t more = 0; code != DR_OK && more < STORE_HEAP_BYTES; more += 256) {
        (void)sqlite3_db_release_memory(store->database);
        (void)sqlite3_hard_heap_limit64(sqlite3_memory_used() + more + 1);
        code = job_store_end(store, id, &ending, &err);
        (void)sqlite3_hard_heap_limit64(STORE_HEAP_BYTES);
        if (code == DR_OK) break;
        if (code != DR_NOMEM) check_has(err.message, "memory");
        ++refused;
        check_int(phase_of(store, id), ==, JOB_QUEUED);
    }
    check_int(code, ==, DR_OK);
    check_int(refused, >, 3);
    check_int(phase_of(store, id), ==, JOB_DONE);
    store_close(store);
}

/* Changed by hand, or of another version: it is listed, and so are the others. */
static void a_job_that_cannot_be_read_hides_no_other(void)
{
    struct store *const store = fixture_open("unreadable");
    char bad[STORE_ID_BYTES], good[STORE_ID_BYTES];
    struct job_record record, *records;
    struct dr_error err = {0};
    int32_t count;
    check_int(fixture_add_job(store, "", true, good, NULL), ==, DR_OK);
    check_int(fixture_add_job(store, "", true, bad, NULL), ==, DR_OK);
    for (int i = 0; i < 2; ++i) {
        fixture_sql(store,
                    i == 0
                        ? "UPDATE job SET request = 'nonsense' WHERE number = 2"
                        : "UPDATE job SET request = '{\"seed\":[]}' WHERE number = 2");
        check_int(job_store_get(store, bad, NULL, &record, &err), ==, DR_CORRUPT);
        check_int(job_store_list(store, NULL, 0, 10, &records, &count, &err), ==,
                  DR_OK);
        check_int(count, ==, 2);
        check_str(records[0].id, bad);
        check_str(records[0].request.prompt, "");
        check_str(records[1].id, good);
        for (int32_t j = 0; j < count; ++j)
            job_record_finish(&records[j]);
        free(records);
    }
    check_int(end_job(store, bad, JOB_FAILED), ==, DR_OK);
    store_close(store);
}

/* ---- several threads ------------------------------------------------------------------------------ */

enum {
    THREADS = 4,
    JOBS_OF_THREAD = 25
};

static void *add_and_end(void *cookie)
{
    struct store *const store = cookie;
    for (int i = 0; i < JOBS_OF_THREAD; ++i) {
        char id[STORE_ID_BYTES];
        struct job_record *records = NULL;
        int32_t count = 0;
        bool is_good =
            fixture_add_job(store, "", true, id, NULL) == DR_OK &&
            job_store_start(store, id, NULL) == DR_OK &&
            job_store_list(store, NULL, 0, 5, &records, &count, NULL) == DR_OK;
        for (int32_t j = 0; j < count; ++j)
            job_record_finish(&records[j]);
        free(records);
        is_good = is_good && end_job(store, id, JOB_DONE) == DR_OK;
        if (!is_good) return store;
    }
    return NULL;
}

static void threads_share_a_store(void)
{
    struct store *const store = fixture_open("threads");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; ++i)
        check_int(pthread_create(&threads[i], NULL, add_and_end, store), ==, 0);
    for (int i = 0; i < THREADS; ++i) {
        void *failed = store;
        check_int(pthread_join(threads[i], &failed), ==, 0);
        check(!failed);
    }
    check_int(fixture_number(store, "SELECT count(*) FROM job WHERE phase = 'done'"),
              ==, THREADS * JOBS_OF_THREAD);
    store_close(store);
}

/* ---- limits, keys, order ------------------------------------------------------------------------ */

static void a_full_queue_is_busy(void)
{
    struct store *const store = fixture_open("queue");
    struct dr_error err = {0};
    for (int i = 0; i < 3; ++i) {
        struct job_record record = {.request = picture_request_default()};
        store_new_id(record.id);
        check_int(job_store_add(store, &record, 2, &err), ==, i < 2 ? DR_OK : DR_BUSY);
        job_record_finish(&record);
    }
    check_has(err.message, "2 jobs wait");
    check_int(fixture_number(store, "SELECT count(*) FROM job"), ==, 2);
    store_close(store);
}

static void add_with(struct store *store, const char *user, const char *key,
                     unsigned char digest, char id[STORE_ID_BYTES])
{
    struct job_record record = {.request = picture_request_default()};
    store_new_id(record.id);
    memcpy(id, record.id, STORE_ID_BYTES);
    (void)snprintf(record.user, sizeof record.user, "%s", user);
    (void)snprintf(record.key, sizeof record.key, "%s", key);
    memset(record.body_digest, digest, sizeof record.body_digest);
    check_int(job_store_add(store, &record, 100, NULL), ==, DR_OK);
    job_record_finish(&record);
}

static void a_retry_finds_its_job(void)
{
    struct store *const store = fixture_open("match");
    unsigned char digest[32];
    char first[STORE_ID_BYTES], second[STORE_ID_BYTES], keyed[STORE_ID_BYTES],
        found[STORE_ID_BYTES];
    memset(digest, 5, sizeof digest);
    add_with(store, "ann", "", 5, first);
    add_with(store, "ann", "", 5, second);
    add_with(store, "ann", "key", 6, keyed);
    check_int(job_store_match(store, "ann", "", digest, 1e12, found, NULL), ==, DR_OK);
    check_str(found, second);
    check_int(job_store_match(store, "bob", "", digest, 0, found, NULL), ==,
              DR_NOT_FOUND);
    check_int(job_store_match(store, "ann", "key", digest, 1e12, found, NULL), ==,
              DR_OK);
    check_str(found, keyed);
    check_int(job_store_match(store, "bob", "key", digest, 0, found, NULL), ==,
              DR_NOT_FOUND);
    check_int(job_store_match(store, "ann", "ke", digest, 0, found, NULL), ==,
              DR_NOT_FOUND);
    /* What has ended is found by its digest for a while, by its key always. */
    check_int(end_job(store, second, JOB_DONE), ==, DR_OK);
    check_int(end_job(store, first, JOB_DONE), ==, DR_OK);
    check_int(end_job(store, keyed, JOB_DONE), ==, DR_OK);
    check_int(job_store_match(store, "ann", "", digest, store_now_s() - 100, found,
                              NULL),
              ==, DR_OK);
    check_str(found, second);
    check_int(job_store_match(store, "ann", "", digest, store_now_s() + 100, found,
                              NULL),
              ==, DR_NOT_FOUND);
    check_int(job_store_match(store, "ann", "key", digest, 1e12, found, NULL), ==,
              DR_OK);
    store_close(store);
}

/* ---- what waits for the disk ------------------------------------------------------------------ */

static int durable_count, other_count;

static int note_commit(void *cookie)
{
    const struct store *const store = cookie;
    ++*(store->is_durable ? &durable_count : &other_count);
    return 0;
}

/* The acceptance of a job that survives, and every end: what was promised to somebody. */
static void promises_wait_for_the_disk(void)
{
    struct store *const store = fixture_open("promises");
    (void)sqlite3_commit_hook(store->database, note_commit, store);
    for (int survives = 0; survives < 2; ++survives) {
        struct job_record record = {.survives = survives == 1};
        store_new_id(record.id);
        record.request = picture_request_default();
        durable_count = other_count = 0;
        check_int(job_store_add(store, &record, 9, NULL), ==, DR_OK);
        check_int(durable_count, ==, survives);
        check_int(job_store_start(store, record.id, NULL), ==, DR_OK);
        check_int(durable_count, ==, survives);
        check_int(end_job(store, record.id, JOB_DONE), ==, DR_OK);
        check_int(durable_count, ==, survives + 1);
        check_int(durable_count + other_count, ==, 3);
        job_record_finish(&record);
    }
    store_close(store);
}

static void users_see_their_own(void)
{
    struct store *const store = fixture_open("users");
    char ann[STORE_ID_BYTES], bob[STORE_ID_BYTES];
    struct job_record record;
    check_int(fixture_add_job(store, "ann", true, ann, NULL), ==, DR_OK);
    check_int(fixture_add_job(store, "bob", true, bob, NULL), ==, DR_OK);
    check_int(job_store_get(store, ann, "bob", &record, NULL), ==, DR_NOT_FOUND);
    check_int(job_store_get(store, ann, "", &record, NULL), ==, DR_NOT_FOUND);
    check_int(job_store_get(store, ann, "ann", &record, NULL), ==, DR_OK);
    job_record_finish(&record);
    check_int(job_store_get(store, ann, NULL, &record, NULL), ==, DR_OK);
    job_record_finish(&record);
    check_int(job_store_get(store, "' OR 1", NULL, &record, NULL), ==, DR_NOT_FOUND);
    store_close(store);
}

/* The clock jumps back by a year after the first job. */
static void order_is_by_number_when_the_clock_jumps(void)
{
    struct store *const store = fixture_open("clock");
    char first[STORE_ID_BYTES], second[STORE_ID_BYTES];
    struct job_waiting *jobs;
    struct job_record *records;
    int32_t count;
    check_int(fixture_add_job(store, "", true, first, NULL), ==, DR_OK);
    fixture_sql(store, "UPDATE job SET created_s = created_s + 31536000");
    check_int(fixture_add_job(store, "", true, second, NULL), ==, DR_OK);
    check_int(job_store_waiting(store, &jobs, &count, NULL), ==, DR_OK);
    check_int(count, ==, 2);
    check_str(jobs[0].id, first);
    check_str(jobs[1].id, second);
    free(jobs);
    check_int(job_store_list(store, NULL, 0, 10, &records, &count, NULL), ==, DR_OK);
    check_int(count, ==, 2);
    check_str(records[0].id, second);
    for (int i = 0; i < count; ++i)
        job_record_finish(&records[i]);
    free(records);
    store_close(store);
}

/* Numbers far apart stand for ten thousand jobs between them. */
static void old_ended_jobs_are_forgotten(void)
{
    struct store *const store = fixture_open("old");
    char ended[STORE_ID_BYTES], waits[STORE_ID_BYTES], newest[STORE_ID_BYTES];
    check_int(fixture_add_job(store, "", true, ended, NULL), ==, DR_OK);
    check_int(fixture_add_job(store, "", true, waits, NULL), ==, DR_OK);
    check_int(end_job(store, ended, JOB_DONE), ==, DR_OK);
    fixture_sql(store, "UPDATE sqlite_sequence SET seq = 9999 WHERE name = 'job'");
    check_int(fixture_add_job(store, "", true, newest, NULL), ==, DR_OK);
    check_int(fixture_number(store, "SELECT max(number) FROM job"), ==,
              JOB_STORE_ENDED);
    check_int(phase_of(store, ended), ==, JOB_DONE);
    check_int(fixture_add_job(store, "", true, newest, NULL), ==, DR_OK);
    check_int(phase_of(store, ended), ==, 9);
    check_int(phase_of(store, waits), ==, JOB_QUEUED);
    store_close(store);
}

/* ---- after the process died ---------------------------------------------------------------------- */

static void write_input(struct store *store, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", store_input_folder(store), name);
    scratch_write(path, "x", 1);
}

static bool has_input(struct store *store, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", store_input_folder(store), name);
    return access(path, F_OK) == 0;
}

static void add_with_input(struct store *store, const char *name, bool survives,
                           char id[STORE_ID_BYTES])
{
    struct job_record record = {.survives = survives,
                                .request = picture_request_default()};
    record.request.kind = PICTURE_IMG2IMG;
    record.request.init = strdup(name);
    store_new_id(record.id);
    memcpy(id, record.id, STORE_ID_BYTES);
    write_input(store, name);
    check_int(job_store_add(store, &record, 100, NULL), ==, DR_OK);
    job_record_finish(&record);
}

static void inputs_go_with_their_jobs(void)
{
    struct store *const store = fixture_open("inputs");
    char ended[STORE_ID_BYTES], lost[STORE_ID_BYTES], waits[STORE_ID_BYTES];
    int32_t queued, cancelled;
    add_with_input(store, "ended.png", true, ended);
    add_with_input(store, "lost.png", false, lost);
    add_with_input(store, "waits.png", true, waits);
    write_input(store, "stray.png");
    check_int(end_job(store, ended, JOB_DONE), ==, DR_OK);
    check(!has_input(store, "ended.png"));
    check(has_input(store, "lost.png") && has_input(store, "waits.png"));
    check_int(job_store_recover(store, &queued, &cancelled, NULL), ==, DR_OK);
    check(has_input(store, "waits.png"));
    check(!has_input(store, "lost.png") && !has_input(store, "stray.png"));
    store_close(store);
}

/* Of a job that is not run again, the files without an entry go; of one that is, they stay, and so do strangers. */
static void pictures_of_a_job_that_was_cut_off_go(void)
{
    struct store *const store = fixture_open("cut");
    char lost[STORE_ID_BYTES], again[STORE_ID_BYTES], prompt[] = "p";
    int32_t queued, cancelled;
    check_int(fixture_add_job(store, "", false, lost, NULL), ==, DR_OK);
    check_int(fixture_add_job(store, "", true, again, NULL), ==, DR_OK);
    fixture_sql(store, "UPDATE job SET request = json_set(request, '$.batch_size', 2)");
    check_int(job_store_start(store, lost, NULL), ==, DR_OK);
    check_int(job_store_start(store, again, NULL), ==, DR_OK);
    struct gallery_picture added = fixture_picture(lost, 0, "", prompt),
                           partial = fixture_picture(lost, 1, "", prompt),
                           kept = fixture_picture(again, 0, "", prompt),
                           strange = fixture_picture("nobody's", 0, "", prompt);
    fixture_write(store, &added);
    fixture_write(store, &partial);
    fixture_write(store, &kept);
    fixture_write(store, &strange);
    check_int(gallery_add(store, &added, NULL), ==, DR_OK);
    check_int(job_store_recover(store, &queued, &cancelled, NULL), ==, DR_OK);
    check_int(queued, ==, 1);
    check_int(cancelled, ==, 1);
    check_int(gallery_sweep(store, 0, NULL), ==, DR_OK);
    check_int(access(fixture_path(store, lost, 0, false), F_OK), ==, 0);
    check_int(access(fixture_path(store, lost, 1, false), F_OK), !=, 0);
    check_int(access(fixture_path(store, again, 0, false), F_OK), ==, 0);
    check_int(access(fixture_path(store, "nobody's", 0, false), F_OK), ==, 0);
    check_int(fixture_number(store, "SELECT count(*) FROM doomed"), ==, 0);
    store_close(store);
}

static void a_job_that_kills_the_process_is_given_up(void)
{
    struct store *const store = fixture_open("poison");
    char id[STORE_ID_BYTES];
    int32_t queued, cancelled;
    struct job_record record;
    check_int(fixture_add_job(store, "", true, id, NULL), ==, DR_OK);
    for (int i = 1; i <= JOB_STORE_STARTS; ++i) {
        check_int(job_store_start(store, id, NULL), ==, DR_OK);
        if (i == 3) { /* a stop in order does not count */
            check_int(job_store_requeue(store, id, NULL), ==, DR_OK);
            check_int(job_store_start(store, id, NULL), ==, DR_OK);
        }
        check_int(job_store_recover(store, &queued, &cancelled, NULL), ==, DR_OK);
        check_int(queued, ==, i < JOB_STORE_STARTS);
    }
    check_int(job_store_get(store, id, NULL, &record, NULL), ==, DR_OK);
    check_int(record.phase, ==, JOB_FAILED);
    check_int(record.code, ==, DR_FAILED);
    check_has(record.error, "died 10 times");
    job_record_finish(&record);
    store_close(store);
}

/* ---- plans -------------------------------------------------------------------------------------- */

static void calls_use_indexes(void)
{
    static struct fixture_trace trace;
    static const char *const allowed[] = {NULL};
    static const char *const needed[] = {"INDEX job_phase (phase=?)",
                                         "INDEX job_user (user=? AND rowid<?)",
                                         "INDEX job_key (key=? AND user=?)",
                                         "INDEX job_digest (digest=? AND user=?)",
                                         NULL};
    struct store *const store = fixture_open("plans");
    char id[STORE_ID_BYTES], found[STORE_ID_BYTES];
    unsigned char digest[32] = {0};
    struct job_record record, *records;
    struct job_waiting *jobs;
    int32_t count, cancelled;
    fixture_trace(store, &trace);
    check_int(fixture_add_job(store, "", true, id, NULL), ==, DR_OK);
    check_int(job_store_start(store, id, NULL), ==, DR_OK);
    check_int(job_store_requeue(store, id, NULL), ==, DR_OK);
    check_int(job_store_get(store, id, "", &record, NULL), ==, DR_OK);
    job_record_finish(&record);
    check_int(job_store_match(store, "", "k", digest, 0, found, NULL), ==,
              DR_NOT_FOUND);
    check_int(job_store_match(store, "", "", digest, 0, found, NULL), ==, DR_NOT_FOUND);
    for (int i = 0; i < 2; ++i) {
        check_int(job_store_list(store, i == 0 ? NULL : "ann", 0, 10, &records, &count,
                                 NULL),
                  ==, DR_OK);
        for (int32_t j = 0; j < count; ++j)
            job_record_finish(&records[j]);
        free(records);
    }
    check_int(job_store_waiting(store, &jobs, &count, NULL), ==, DR_OK);
    free(jobs);
    write_input(store, "x.png");
    check_int(job_store_recover(store, &count, &cancelled, NULL), ==, DR_OK);
    check_int(end_job(store, id, JOB_DONE), ==, DR_OK);
    check_int(job_store_forget(store, id, NULL), ==, DR_OK);
    check_int(trace.count, >, 15);
    check_int(fixture_slow_steps(store, &trace, allowed, needed), ==, 0);
    store_close(store);
}

int main(void)
{
    check_run(a_job_comes_back_as_it_was);
    check_run(names_of_phases);
    check_run(random_operations_agree_with_an_array);
    check_run(an_end_without_memory_is_none);
    check_run(a_job_that_cannot_be_read_hides_no_other);
    check_run(threads_share_a_store);
    check_run(a_full_queue_is_busy);
    check_run(a_retry_finds_its_job);
    check_run(users_see_their_own);
    check_run(promises_wait_for_the_disk);
    check_run(order_is_by_number_when_the_clock_jumps);
    check_run(old_ended_jobs_are_forgotten);
    check_run(inputs_go_with_their_jobs);
    check_run(pictures_of_a_job_that_was_cut_off_go);
    check_run(a_job_that_kills_the_process_is_given_up);
    check_run(calls_use_indexes);
    return check_done();
}
