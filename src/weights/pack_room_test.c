/* Room for packs: the limit, who goes and who stays, other processes, and one that is killed. */
#include "weights/pack_room.h"

#include <dirent.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

#include "weights/pack_store_fixture.h"

enum {
    MANY = 8,
    KILLS = 15
};

static uint64_t each; /* bytes of a pack's file */
static char noted[4][1024];
static int noted_count;

static void take_note(void *cookie, const char *line)
{
    (void)cookie;
    if (noted_count < 4)
        (void)snprintf(noted[noted_count], sizeof noted[0], "%s", line);
    ++noted_count;
}

static bool has(int number)
{
    const struct pack_key key = key_number(number);
    return pack_store_has(&store, &key, DATA_BYTES);
}

static void remove_all(void)
{
    struct pack_prune pruned;
    store.limit_bytes = 0;
    check_int(pack_room_prune(&store, 0, &pruned, &problem), ==, DR_OK);
    check_int(pruned.kept_count, ==, 0);
}

/* Packs 1 to count: the higher the number, the later it was used. */
static void make_packs(int count)
{
    store.limit_bytes = 0;
    for (int i = 1; i <= count; ++i) {
        make_pack(i, DATA_BYTES);
        use_at(i, 1000000 + i);
    }
}

static enum dr_code draft_one(struct pack_draft *draft)
{
    return pack_store_draft(&store, &source, layout, DATA_BYTES, draft, &problem);
}

/* Make room for one more, as a job does. */
static enum dr_code make_room(void)
{
    struct pack_draft draft;
    const enum dr_code code = draft_one(&draft);
    if (code == DR_OK) pack_draft_discard(&draft);
    return code;
}

static void the_limit_is_a_quarter_or_what_is_set(void)
{
    char text[PACK_ROOM_TEXT_BYTES];
    struct statvfs disk;
    check_int(statvfs(store.folder, &disk), ==, 0);
    const uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    const uint64_t packs = (uint64_t)1 << 30;
    const uint64_t limit = pack_room_limit(&store, packs, text);
    const uint64_t quarter = (free_bytes + packs) / 4;
    if (quarter > PACK_ROOM_LIMIT_MOST + packs)
        check_int(limit, ==, PACK_ROOM_LIMIT_MOST);
    else if (quarter <
             PACK_ROOM_LIMIT_MOST - packs) /* others write to this disk, too */
        check(limit > quarter - packs && limit < quarter + packs);
    /* Where packs alone make up more than four times the most. */
    check_int(pack_room_limit(&store, (uint64_t)1 << 40, text), ==,
              PACK_ROOM_LIMIT_MOST);
    check_has(text, "40.0 GiB, the default");
    store.limit_bytes = 5 << 20;
    check_int(pack_room_limit(&store, packs, text), ==, 5 << 20);
    check_has(text, "5.00 MiB, as the settings have it");
    store.limit_bytes = 0;
}

/* A pure function of the list. */
static void what_goes_is_used_longest_ago(void)
{
    struct pack_listing list[6] = {0};
    for (int i = 0; i < 6; ++i)
        list[i].bytes = 10U << i;
    list[2].is_in_use = true;
    list[4].is_being_made = true;
    list[5].is_leftover = true;
    check_int(pack_room_choose(list, 6, 0), ==, 320);
    check(list[5].goes && !list[3].goes);
    check_int(pack_room_choose(list, 6, 321), ==, 400);
    check(list[3].goes && !list[2].goes && !list[1].goes);
    check_int(pack_room_choose(list, 6, 401), ==, 420);
    check(list[1].goes && !list[0].goes);
    check_int(pack_room_choose(list, 6, 10000), ==, 430);
    check(list[0].goes && !list[2].goes && !list[4].goes);
}

static void a_new_pack_takes_the_place_of_the_oldest(void)
{
    make_packs(4);
    store.limit_bytes = 4 * each;
    noted_count = 0;
    check_int(make_room(), ==, DR_OK);
    check(!has(1) && has(2) && has(3) && has(4));
    check_int(noted_count, ==, 1);
    check_has(noted[0], "removed 1 pack used least recently");
    /* Using one makes it the youngest. */
    struct pack pack;
    bool is_checked;
    const struct pack_key second = key_number(2);
    check_int(pack_store_find(&store, &second, &pack, &is_checked, &problem), ==,
              DR_OK);
    pack_close(&pack);
    store.limit_bytes = 3 * each;
    check_int(make_room(), ==, DR_OK);
    check(has(2) && !has(3) && has(4));
    /* With room for all nothing goes. */
    store.limit_bytes = 3 * each;
    check_int(make_room(), ==, DR_OK);
    check(has(2) && has(4));
    /* A smaller limit counts from the next pack on. */
    store.limit_bytes = each;
    check_int(make_room(), ==, DR_OK);
    check(!has(2) && !has(4));
    remove_all();
}

/* A pack that cannot have room drives none away. */
static void what_does_not_fit_removes_nothing(void)
{
    struct pack_draft draft;
    make_packs(2);
    store.limit_bytes = each - 1;
    check_int(draft_one(&draft), ==, DR_IO);
    check_has(problem.message, "no space for a pack");
    check_has(problem.message, "--packs-limit");
    check(has(1) && has(2));
    check_int(draft.descriptor, ==, -1);
    store.limit_bytes = 0;
    check_int(pack_store_draft(&store, &source, layout, (size_t)1 << 55, &draft,
                               &problem),
              ==, DR_IO);
    check(has(1) && has(2));
    /* Nor where the limit would allow it, and the disk does not. */
    store.limit_bytes = (uint64_t)1 << 60;
    check_int(pack_store_draft(&store, &source, layout, (size_t)1 << 55, &draft,
                               &problem),
              ==, DR_IO);
    check_has(problem.message, "the disk can spare");
    check(has(1) && has(2));
    remove_all();
}

/* ---- other processes ---- */

/* A process that has a pack open until it is killed. */
static pid_t start_user(int number)
{
    int ready[2];
    check_int(pipe(ready), ==, 0);
    const pid_t child = fork();
    if (child == 0) {
        struct pack pack;
        bool is_checked;
        const struct pack_key key = key_number(number);
        if (pack_store_find(&store, &key, &pack, &is_checked, NULL) != DR_OK) _exit(1);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        for (;;)
            (void)pause();
    }
    char byte;
    check_int(read(ready[0], &byte, 1), ==, 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return child;
}

static void end(pid_t child)
{
    check_int(kill(child, SIGKILL), ==, 0);
    check_int(waitpid(child, NULL, 0), ==, child);
}

static void a_pack_that_a_process_uses_stays(void)
{
    struct pack_prune pruned;
    struct pack_listing *list = NULL;
    size_t count = 0;
    make_packs(3);
    const pid_t user = start_user(1);
    use_at(1, 1000000); /* the oldest all the same */
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 3);
    check(!list[0].is_in_use && !list[1].is_in_use && list[2].is_in_use);
    check_int(pack_room_remove(&list[2], &problem), ==, DR_BUSY);
    check_has(problem.message, "in use by a process");
    free(list);
    store.limit_bytes = 3 * each;
    check_int(make_room(), ==, DR_OK);
    check(has(1) && !has(2) && has(3));
    store.limit_bytes = each; /* it alone takes that */
    check_int(make_room(), ==, DR_IO);
    check_has(problem.message, "in use");
    check(has(1) && has(3));
    check_int(pack_room_prune(&store, 0, &pruned, &problem), ==, DR_OK);
    check(has(1) && !has(3));
    check_int(pruned.in_use_count, ==, 1);
    check_int(pruned.kept_bytes, ==, each);
    end(user);
    /* The control: without its user it goes. */
    check_int(make_room(), ==, DR_OK);
    check(!has(1));
    remove_all();
}

/* What this process has open itself, a job's own packs, counts as well. */
static void what_the_job_holds_stays(void)
{
    struct pack pack;
    bool is_checked;
    const struct pack_key key = key_number(1);
    make_packs(2);
    check_int(pack_store_find(&store, &key, &pack, &is_checked, &problem), ==, DR_OK);
    use_at(1, 1000000);
    store.limit_bytes = 2 * each;
    check_int(make_room(), ==, DR_OK);
    check(has(1) && !has(2));
    pack_close(&pack);
    remove_all();
}

/* One that was just made is held, too, without a gap. */
static void what_was_just_made_stays(void)
{
    struct pack_draft draft;
    struct pack pack;
    const struct pack_key key = key_number(1);
    static const unsigned char data[DATA_BYTES];
    check_int(draft_one(&draft), ==, DR_OK);
    pack_section_digest(data, DATA_BYTES, 0, digests[0]);
    check_int(pack_store_commit(&store, &draft, &key,
                                (const uint8_t(*)[DIGEST_BYTES])digests, &source, &pack,
                                &problem),
              ==, DR_OK);
    store.limit_bytes = each;
    check_int(make_room(), ==, DR_IO);
    check(has(1));
    pack_close(&pack);
    check_int(make_room(), ==, DR_OK);
    check(!has(1));
    remove_all();
}

/* Remove until one pack is left, again and again. */
static void evict_in_child(void)
{
    struct pack_prune pruned;
    for (uint64_t keep = MANY; keep-- > 1;)
        if (pack_room_prune(&store, keep * each, &pruned, NULL) != DR_OK) _exit(1);
    _exit(0);
}

static void two_at_once_remove_what_they_need(void)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    for (int turn = 0; turn < 5; ++turn) {
        pid_t children[2];
        make_packs(MANY);
        for (int i = 0; i < 2; ++i) {
            children[i] = fork();
            if (children[i] == 0) evict_in_child();
        }
        for (int i = 0; i < 2; ++i) {
            int status = -1;
            check_int(waitpid(children[i], &status, 0), ==, children[i]);
            check_int(status, ==, 0);
        }
        /* The one used last, and no more than that. */
        check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
        check_int(count, ==, 1);
        check(has(MANY));
        free(list);
    }
    remove_all();
}

static int count_files(const char *end)
{
    int count = 0;
    DIR *const folder = opendir(store.folder);
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        count += strstr(entry->d_name, end) != NULL;
    (void)closedir(folder);
    return count;
}

/* Killed at any moment: what is left is whole, the oldest are gone first, and the next one goes on. */
static void a_killed_one_is_followed(void)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    bool was_between = false;
    for (int turn = 0; turn < KILLS; ++turn) {
        make_packs(MANY);
        const pid_t child = fork();
        if (child == 0) evict_in_child();
        const struct timespec moment = {.tv_nsec = turn * 60000};
        (void)nanosleep(&moment, NULL);
        end(child);
        check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
        check(count >= 1 && count <= MANY);
        was_between |= count > 1 && count < MANY;
        for (size_t i = 0; i < count;
             ++i) { /* MANY first: each that is left is younger */
            check_int(list[i].key.content[0], ==, MANY - (int)i);
            check(!list[i].problem[0] && !list[i].is_in_use && list[i].is_checked);
        }
        free(list);
        store.limit_bytes = MANY * each;
        check_int(make_room(), ==, DR_OK);
    }
    if (!was_between) printf("no kill came in the middle\n");
    remove_all();
    check_int(count_files(".checked"), ==, 0);
}

/* ---- before they are made ---- */

static void large_ones_are_said_each_time(void)
{
    noted_count = 0;
    pack_room_announce(&store, "small", 0);
    pack_room_announce(&store, "small", PACK_ROOM_QUIET_BYTES - 1);
    check_int(noted_count, ==, 0);
    pack_room_announce(&store, "first", (uint64_t)3 << 30);
    pack_room_announce(&store, "second", (uint64_t)5 << 30);
    check_int(noted_count, ==, 2);
    check_has(noted[0], "3.00 GiB of weights");
    check_has(noted[1], "5.00 GiB of weights");
    check_has(noted[1], store.folder);
    check_has(noted[1], "later runs of second");
    check_has(noted[1], "--packs off");
    struct pack_store off = store;
    off.folder[0] = '\0';
    pack_room_announce(&off, "off", (uint64_t)3 << 30);
    pack_room_announce(NULL, "none", (uint64_t)3 << 30);
    check_int(noted_count, ==, 2);
}

/* A pack of an earlier version is no damage: it is said once what they take, and they go first. */
static void those_of_earlier_versions_are_said_once(void)
{
    char path[PACK_PATH_BYTES];
    struct pack_listing *list = NULL;
    size_t count = 0;
    make_packs(1);
    const struct pack_key key = key_number(9);
    pack_store_path(&store, &key, path);
    scratch_write(path, "darkroom pack 1", 16);
    check_int(truncate(path, 3 * (off_t)PACK_ROOM_QUIET_BYTES), ==, 0);
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 2);
    for (size_t i = 0; i < count; ++i) {
        const bool is_old = strcmp(list[i].path, path) == 0;
        check(list[i].is_outdated == is_old && !list[i].is_damaged);
        if (is_old) check_has(list[i].problem, "an earlier version");
    }
    (void)pack_room_choose(list, count, 1);
    for (size_t i = 0; i < count; ++i)
        check(list[i].goes == list[i].is_outdated);
    free(list);
    noted_count = 0;
    pack_room_announce(&store, "first", 0);
    check_int(noted_count, ==, 1);
    check_has(noted[0], "96.0 MiB of packs");
    check_has(noted[0], "an earlier version");
    check_has(noted[0], store.folder);
    check_has(noted[0], "darkroom packs prune");
    pack_room_announce(&store, "second", 0);
    check_int(noted_count, ==, 1);
    struct pack_prune pruned;
    check_int(pack_room_prune(&store, 1 << 30, &pruned, &problem), ==, DR_OK);
    check_int(pruned.removed_count, ==, 1);
    check(access(path, F_OK) != 0 && has(1));
    remove_all();
}

int main(void)
{
    pack_store_open(&store, pack_folder());
    if (strstr(store.off_reason, "in memory")) return check_skip(store.off_reason);
    check_str(store.off_reason, "");
    store.note = take_note;
    size_t data_offset, file_bytes;
    check(pack_extent(DATA_BYTES, &data_offset, &file_bytes));
    each = file_bytes;
    begin_source();
    check_run(the_limit_is_a_quarter_or_what_is_set);
    check_run(what_goes_is_used_longest_ago);
    check_run(a_new_pack_takes_the_place_of_the_oldest);
    check_run(what_does_not_fit_removes_nothing);
    check_run(a_pack_that_a_process_uses_stays);
    check_run(what_the_job_holds_stays);
    check_run(what_was_just_made_stays);
    check_run(two_at_once_remove_what_they_need);
    check_run(a_killed_one_is_followed);
    check_run(large_ones_are_said_each_time);
    check_run(those_of_earlier_versions_are_said_once);
    return check_done();
}
