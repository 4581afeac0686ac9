/* The folder of packs: who may use it, what is taken on trust, who makes a pack, what goes first. */
#include "weights/pack_store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"
#include "weights/pack_room.h"
#include "weights/pack_store_fixture.h"

/* Longer than the ticks in which some kernels count change times. */
static void wait_for_tick(void)
{
    const struct timespec time = {.tv_nsec = 25000000};
    (void)nanosleep(&time, NULL);
}

static bool is_file(const char *path)
{
    return access(path, F_OK) == 0;
}

static void remove_all(void)
{
    struct pack_prune pruned;
    check_int(pack_room_prune(&store, 0, &pruned, &problem), ==, DR_OK);
    check_int(pruned.kept_count, ==, 0);
}

static void the_folder_must_be_ones_own(void)
{
    struct pack_store other;
    const char *const open_folder = scratch_path("open");
    char deep[700];
    pack_store_open(&other, NULL);
    check(!pack_store_is_on(&other));
    pack_store_open(&other, "");
    check(!pack_store_is_on(&other));
    check(!pack_store_is_on(NULL));
    check_int(mkdir(open_folder, 0777), ==, 0);
    check_int(chmod(open_folder, 0777), ==, 0);
    pack_store_open(&other, open_folder);
    check(!pack_store_is_on(&other));
    check_has(other.off_reason, "other users may write");
    pack_store_open(&other, shard.path);
    check(!pack_store_is_on(&other));
    (void)snprintf(deep, sizeof deep, "%s/a/b/c", pack_folder());
    pack_store_open(&other, deep);
    check(pack_store_is_on(&other));
    struct stat status;
    check_int(stat(deep, &status), ==, 0);
    check_int(status.st_mode & 0777, ==, 0700);
    pack_store_open(&other, "/proc/none/packs");
    check(!pack_store_is_on(&other));
    check_has(other.off_reason, "/proc/none/packs");
    if (access("/dev/shm", W_OK) == 0) {
        char folder[64];
        (void)snprintf(folder, sizeof folder, "/dev/shm/darkroom-packs-%ld",
                       (long)getpid());
        pack_store_open(&other, folder);
        check(!pack_store_is_on(&other));
        check_has(other.off_reason, "memory");
        (void)rmdir(folder);
    }
}

static void an_origin_is_its_files_as_they_are(void)
{
    uint8_t digest[DIGEST_BYTES] = {1, 2, 3}, found[DIGEST_BYTES] = {0};
    look_at_source();
    check(!pack_store_recall(&store, &source, found));
    /* Of a file that changed this very moment nothing is noted. */
    scratch_write(shard.path, "original", 8);
    look_at_source();
    pack_store_remember(&store, &source, digest);
    check(!pack_store_recall(&store, &source, found));
    wait_for_tick();
    pack_store_remember(&store, &source, digest);
    check(pack_store_recall(&store, &source, found));
    check(memcmp(found, digest, sizeof digest) == 0);
    source.role = ROLE_UNET;
    check(!pack_store_recall(&store, &source, found));
    source.role = ROLE_VAE;
    /* Rewritten with the old modification time: the kernel's own time tells. */
    struct stat before;
    check_int(stat(shard.path, &before), ==, 0);
    scratch_write(shard.path, "changed!", 8);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    check_int(utimensat(AT_FDCWD, shard.path, times, 0), ==, 0);
    const int64_t modified_ns = shard.identity.modified_ns;
    look_at_source();
    check_int(shard.identity.modified_ns, ==, modified_ns);
    check(!pack_store_recall(&store, &source, found));
}

static void a_file_has_a_record_of_its_own(void)
{
    uint8_t digest[DIGEST_BYTES] = {4, 5}, of_component[DIGEST_BYTES] = {6},
            found[DIGEST_BYTES];
    scratch_write(shard.path, "complete", 8);
    look_at_source();
    pack_store_remember_file(&store, &shard, digest);
    check(!pack_store_recall_file(&store, &shard, found)); /* it changed just now */
    wait_for_tick();
    pack_store_remember(&store, &source, of_component);
    check(!pack_store_recall_file(&store, &shard, found));
    pack_store_remember_file(&store, &shard, digest);
    check(pack_store_recall_file(&store, &shard, found));
    check_bytes(found, digest, sizeof digest);
    check(pack_store_recall(&store, &source, found));
    check_bytes(found, of_component, sizeof found);
    scratch_write(shard.path, "replaced", 8);
    look_at_source();
    check(!pack_store_recall_file(&store, &shard, found));
    scratch_write(shard.path, "changed!", 8);
    look_at_source();
}

static void a_damaged_origin_is_none(void)
{
    uint8_t digest[DIGEST_BYTES] = {9}, found[DIGEST_BYTES];
    wait_for_tick();
    char command[PACK_PATH_BYTES + 200];
    pack_store_remember(&store, &source, digest);
    check(pack_store_recall(&store, &source, found));
    (void)snprintf(command, sizeof command,
                   "for f in '%s'/*.origin; do printf 'zz' | dd of=\"$f\" conv=notrunc "
                   "2>/dev/null; done",
                   store.folder);
    check_int(system(command), ==, 0);
    check(!pack_store_recall(&store, &source, found));
    (void)snprintf(command, sizeof command,
                   "for f in '%s'/*.origin; do : > \"$f\"; done", store.folder);
    check_int(system(command), ==, 0);
    check(!pack_store_recall(&store, &source, found));
}

static void a_pack_is_found_and_trusted(void)
{
    struct pack pack;
    bool is_checked = false;
    const struct pack_key key = key_number(1), other = key_number(2);
    check_int(pack_store_find(&store, &key, &pack, &is_checked, &problem), ==,
              DR_NOT_FOUND);
    make_pack(1, DATA_BYTES);
    check_int(pack_store_find(&store, &key, &pack, &is_checked, &problem), ==, DR_OK);
    check(is_checked);
    pack_close(&pack);
    check_int(pack_store_find(&store, &other, &pack, &is_checked, &problem), ==,
              DR_NOT_FOUND);
    pack_store_distrust(&store, &key);
    check_int(pack_store_find(&store, &key, &pack, &is_checked, &problem), ==, DR_OK);
    check(!is_checked);
    pack_store_trust(&store, &pack);
    pack_close(&pack);
    /* After a restart of the machine nothing is trusted. */
    struct pack_store later = store;
    later.boot[0] = later.boot[0] == 'x' ? 'y' : 'x';
    check_int(pack_store_find(&later, &key, &pack, &is_checked, &problem), ==, DR_OK);
    check(!is_checked);
    pack_close(&pack);
    /* Nor where the kernel does not say which start it is. */
    later.boot[0] = '\0';
    check_int(pack_store_find(&later, &key, &pack, &is_checked, &problem), ==, DR_OK);
    check(!is_checked);
    pack_close(&pack);
    remove_all();
}

static void a_written_pack_is_not_trusted(void)
{
    struct pack pack;
    bool is_checked = true;
    char path[PACK_PATH_BYTES];
    const struct pack_key key = key_number(1);
    make_pack(1, DATA_BYTES);
    pack_store_path(&store, &key, path);
    struct stat before;
    check_int(stat(path, &before), ==, 0);
    const int descriptor = open(path, O_WRONLY);
    check_int(pwrite(descriptor, "\1", 1, 200000 - 7000), ==, 1);
    (void)close(descriptor);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    check_int(utimensat(AT_FDCWD, path, times, 0), ==, 0);
    check_int(pack_store_find(&store, &key, &pack, &is_checked, &problem), ==, DR_OK);
    check(!is_checked);
    pack_close(&pack);
    remove_all();
}

/* One that is there by now stays, and what was made beside it goes. */
static void a_good_pack_is_not_replaced(void)
{
    char path[PACK_PATH_BYTES];
    struct stat before, after;
    const struct pack_key key = key_number(1);
    make_pack(1, DATA_BYTES);
    pack_store_path(&store, &key, path);
    check_int(stat(path, &before), ==, 0);
    make_pack(1, DATA_BYTES);
    check_int(stat(path, &after), ==, 0);
    check_int(before.st_ino, ==, after.st_ino);
    remove_all();
}

static void a_pack_of_another_key_is_removed(void)
{
    struct pack pack;
    bool is_checked;
    char path[PACK_PATH_BYTES], other_path[PACK_PATH_BYTES];
    const struct pack_key key = key_number(1), other = key_number(2);
    make_pack(1, DATA_BYTES);
    pack_store_path(&store, &key, path);
    pack_store_path(&store, &other, other_path);
    check_int(rename(path, other_path), ==, 0);
    check_int(pack_store_find(&store, &other, &pack, &is_checked, &problem), ==,
              DR_CORRUPT);
    check(!is_file(other_path));
    check_int(pack_store_find(&store, &other, &pack, &is_checked, &problem), ==,
              DR_NOT_FOUND);
    remove_all();
}

/* ---- making ---- */

static void one_makes_a_pack_at_a_time(void)
{
    struct pack_draft draft, second;
    check_int(pack_store_draft(&store, &source, layout, DATA_BYTES, &draft, &problem),
              ==, DR_OK);
    check_int(pack_store_draft(&store, &source, layout, DATA_BYTES, &second, &problem),
              ==, DR_BUSY);
    check_int(second.descriptor, ==, -1);
    uint8_t other_layout[DIGEST_BYTES] = {8};
    check_int(pack_store_draft(&store, &source, other_layout, DATA_BYTES, &second,
                               &problem),
              ==, DR_OK);
    pack_draft_discard(&second);
    pack_draft_discard(&draft);
    pack_draft_discard(&draft);
    check_int(pack_store_draft(&store, &source, layout, DATA_BYTES, &draft, &problem),
              ==, DR_OK);
    pack_draft_discard(&draft);
}

/* A process that is killed while it makes a pack leaves a draft that the next one takes over. */
static void a_killed_maker_is_followed(void)
{
    struct pack_draft draft;
    struct pack_listing *list = NULL;
    size_t count = 0;
    int ready[2];
    check_int(pipe(ready), ==, 0);
    const pid_t child = fork();
    if (child == 0) {
        if (pack_store_draft(&store, &source, layout, DATA_BYTES, &draft, NULL) !=
            DR_OK)
            _exit(1);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        for (;;)
            (void)pause();
    }
    char byte;
    check_int(read(ready[0], &byte, 1), ==, 1);
    check_int(pack_store_draft(&store, &source, layout, DATA_BYTES, &draft, &problem),
              ==, DR_BUSY);
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 1);
    check(list[0].is_being_made && !list[0].is_leftover);
    free(list);
    check_int(kill(child, SIGKILL), ==, 0);
    check_int(waitpid(child, NULL, 0), ==, child);
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 1);
    check(list[0].is_leftover);
    free(list);
    make_pack(3, DATA_BYTES);
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 1);
    check(!list[0].is_leftover);
    check_has(list[0].source, "vae of /");
    free(list);
    remove_all();
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* No room is known before a byte of data is written, and every failure leaves the folder as it
 * was. */
static void every_failure_leaves_nothing(void)
{
    struct pack_draft draft;
    struct pack pack = PACK_INIT;
    struct pack_listing *list = NULL;
    size_t count = 0;
    const struct pack_key key = key_number(1);
    check_int(pack_store_draft(&store, &source, layout, (size_t)1 << 55, &draft,
                               &problem),
              ==, DR_IO);
    check_has(problem.message, "no space");
    for (int nth = 1; nth < 20; ++nth) {
        fault_arm(1U << FAULT_WRITE, nth, FAULT_ONCE);
        enum dr_code code =
            pack_store_draft(&store, &source, layout, DATA_BYTES, &draft, &problem);
        if (code == DR_OK) {
            code = pack_store_commit(&store, &draft, &key,
                                     (const uint8_t(*)[DIGEST_BYTES])digests, &source,
                                     &pack, &problem);
            pack_close(&pack);
        }
        const bool has_struck = fault_has_struck();
        fault_disarm();
        if (!has_struck) {
            check_int(nth, >, 3);
            check_int(code, ==, DR_OK);
            break;
        }
        check_int(draft.descriptor, ==, -1);
        if (code == DR_OK) { /* the mark alone: the pack is read whole next time */
            remove_all();
            continue;
        }
        check_int(code, ==, DR_IO);
        check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
        check_int(count, ==, 0);
        free(list);
    }
    remove_all();
}

/* ---- looking after it ---- */

static void what_was_used_longest_ago_goes_first(void)
{
    struct pack_listing *list = NULL;
    struct pack_prune pruned;
    size_t count = 0;
    for (int i = 1; i <= 4; ++i) {
        make_pack(i, DATA_BYTES);
        use_at(i, 1000000 + i % 3 * 1000); /* 3, then 1 and 4, then 2 */
    }
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 4);
    check_int(list[0].key.content[0], ==, 2);
    check_int(list[3].key.content[0], ==, 3);
    const uint64_t each = list[0].bytes;
    for (size_t i = 0; i < count; ++i)
        check(list[i].is_checked && !list[i].problem[0] && list[i].bytes == each);
    free(list);
    check_int(pack_room_prune(&store, 3 * each + 1, &pruned, &problem), ==, DR_OK);
    check_int(pruned.removed_count, ==, 1);
    check_int(pruned.removed_bytes, ==, each);
    check_int(pruned.kept_bytes, ==, 3 * each);
    const struct pack_key third = key_number(3), second = key_number(2);
    char path[PACK_PATH_BYTES];
    pack_store_path(&store, &third, path);
    check(!is_file(path));
    check_int(pack_room_prune(&store, each, &pruned, &problem), ==, DR_OK);
    check_int(pruned.kept_count, ==, 1);
    pack_store_path(&store, &second, path);
    check(is_file(path));
    remove_all();
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 0);
    free(list);
}

static void what_is_no_good_goes_always(void)
{
    struct pack_prune pruned;
    struct pack_listing *list = NULL;
    size_t count = 0;
    char path[PACK_PATH_BYTES], stray[PACK_PATH_BYTES + 64],
        strange[PACK_PATH_BYTES + 64];
    const struct pack_key key = key_number(1);
    make_pack(1, DATA_BYTES);
    make_pack(2, DATA_BYTES);
    pack_store_path(&store, &key, path);
    check_int(truncate(path, 5000), ==, 0);
    (void)snprintf(stray, sizeof stray, "%s/%040d.checked", store.folder, 7);
    (void)snprintf(strange, sizeof strange, "%s/holiday.pack", store.folder);
    scratch_write(stray, "x", 1);
    scratch_write(strange, "x", 1);
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 2);
    for (size_t i = 0; i < count; ++i)
        if (strcmp(list[i].path, path) == 0)
            check_has(list[i].problem, "has 5000 bytes instead of");
    free(list);
    check(is_file(path)); /* looking removes nothing */
    check_int(pack_room_prune(&store, UINT64_MAX, &pruned, &problem), ==, DR_OK);
    check_int(pruned.removed_count, ==, 1);
    check_int(pruned.kept_count, ==, 1);
    check(!is_file(path) && !is_file(stray));
    remove_all();
    check(is_file(strange)); /* not one of ours */
    check_int(unlink(strange), ==, 0);
}

/* What the disk would not read now may be a good pack all the same. */
static void what_cannot_be_read_is_not_pruned(void)
{
    struct pack_prune pruned;
    char path[PACK_PATH_BYTES];
    const struct pack_key key = key_number(1);
    make_pack(1, DATA_BYTES);
    pack_store_path(&store, &key, path);
    fault_arm(1U << FAULT_READ, 1, FAULT_FROM_THEN_ON);
    check_int(pack_room_prune(&store, UINT64_MAX, &pruned, &problem), ==, DR_OK);
    check(fault_has_struck());
    fault_disarm();
    check_int(pruned.removed_count, ==, 0);
    check_int(pruned.kept_count, ==, 1);
    check(is_file(path));
    remove_all();
}

int main(void)
{
    pack_store_open(&store, pack_folder());
    if (strstr(store.off_reason, "lies in memory")) return check_skip(store.off_reason);
    check_str(store.off_reason, "");
    begin_source();
    check_run(the_folder_must_be_ones_own);
    check_run(an_origin_is_its_files_as_they_are);
    check_run(a_file_has_a_record_of_its_own);
    check_run(a_damaged_origin_is_none);
    check_run(a_pack_is_found_and_trusted);
    check_run(a_written_pack_is_not_trusted);
    check_run(a_good_pack_is_not_replaced);
    check_run(a_pack_of_another_key_is_removed);
    check_run(one_makes_a_pack_at_a_time);
    check_run(a_killed_maker_is_followed);
    check_run_with_faults(every_failure_leaves_nothing);
    check_run(what_was_used_longest_ago_goes_first);
    check_run(what_is_no_good_goes_always);
    check_run_with_faults(what_cannot_be_read_is_not_pruned);
    return check_done();
}
