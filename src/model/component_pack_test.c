/* Weights by way of a pack: the same bytes as without, no private memory, made once, and never
 * taken when they are not what the checkpoint holds. */
#include "model/component_pack.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"
#include "compute/compute.h"
#include "model/vae.h"
#include "pack_folder.h"
#include "scratch_folder.h"

static struct pack_store store;
static struct dr_error problem;
static char said[4096];

static void hear(void *cookie, const char *line)
{
    (void)cookie;
    const size_t used = strlen(said);
    (void)snprintf(said + used, sizeof said - used, "%s\n", line);
}

/* ---- a VAE in a file ---- */

struct sample {
    struct checkpoint checkpoint;
    struct vae_spec *vae;
    const struct component_spec *spec;
    struct component_pack pack;
};

/* Of a file that changed this very moment nothing is noted (pack_store.h). */
static void wait_for_tick(void)
{
    const struct timespec tick = {.tv_nsec = 25000000};
    (void)nanosleep(&tick, NULL);
}

static void make_file(const char *path, int seed)
{
    char command[1200];
    const char *const build = getenv("DARKROOM_BUILD");
    (void)snprintf(
        command, sizeof command,
        "'%s/tools/random_checkpoint' --family sd15 --size tiny --part vae --seed %d "
        "-o '%s' 2>/dev/null",
        build ? build : "build", seed, path);
    if (system(command) != 0) exit(1);
    wait_for_tick();
}

static void open_sample(struct sample *sample, const char *path)
{
    *sample = (struct sample){0};
    check_int(checkpoint_open(&sample->checkpoint, path, &problem), ==, DR_OK);
    check_int(vae_spec_create(&sample->vae, &sample->checkpoint.components[ROLE_VAE],
                              FAMILY_SD15, DTYPE_F32, &problem),
              ==, DR_OK);
    sample->spec = vae_component(sample->vae);
    component_pack_init(&sample->pack, &store);
}

static void close_sample(struct sample *sample)
{
    component_pack_finish(&sample->pack);
    vae_spec_destroy(&sample->vae);
    checkpoint_close(&sample->checkpoint);
}

static enum dr_code settle(struct sample *sample, enum component_pack_manner manner,
                           const struct component_progress *progress)
{
    struct ledger ledger = {0};
    const struct component_pack_settle how = {
        .ledger = &ledger, .name = "vae", .manner = manner, .progress = progress};
    const enum dr_code code =
        component_pack_settle(&sample->pack, sample->spec, NULL, &how, &problem);
    check_int(ledger.count, ==, 0);
    return code;
}

static enum dr_code load(struct sample *sample, struct ledger *ledger,
                         struct region *weights, uint8_t digest[DIGEST_BYTES],
                         struct component_pack *pack)
{
    const struct component_load_options options = {.ledger = ledger,
                                                   .name = "vae",
                                                   .pack = pack};
    return component_load(sample->spec, &options, weights, digest, &problem);
}

/* The weights as they are without packs; the same for every case. */
static unsigned char *plain;
static size_t plain_bytes;
static uint8_t plain_digest[DIGEST_BYTES];

static void load_plain(const char *path)
{
    struct sample sample;
    struct ledger ledger = {0};
    struct region weights;
    open_sample(&sample, path);
    check_int(load(&sample, &ledger, &weights, plain_digest, NULL), ==, DR_OK);
    plain_bytes = weights.bytes;
    plain = malloc(plain_bytes);
    if (!plain) exit(1);
    memcpy(plain, weights.data, plain_bytes);
    region_close(&weights);
    close_sample(&sample);
}

static const char *the_file(void)
{
    return scratch_path("vae.safetensors");
}

/* Settle, load, and hold the result against the plain weights. Returns the state that it was
 * settled to. */
static enum component_pack_state load_and_compare(struct sample *sample)
{
    struct ledger ledger = {0};
    struct region weights = {0};
    uint8_t digest[DIGEST_BYTES];
    check_int(settle(sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    const enum component_pack_state state = sample->pack.state;
    const bool is_private = state == COMPONENT_PACK_PRIVATE;
    check_int(component_pack_private_bytes(&sample->pack, sample->spec), ==,
              is_private ? plain_bytes : 0);
    check_int(load(sample, &ledger, &weights, digest, &sample->pack), ==, DR_OK);
    check_int(ledger.private_bytes, ==, is_private ? plain_bytes : 0);
    check_int(ledger.mapped_bytes, ==, is_private ? 0 : plain_bytes);
    if (!is_private && state == COMPONENT_PACK_READY)
        check_int(ledger.peak_private_bytes, ==, 0);
    check_int(weights.bytes, ==, plain_bytes);
    check(weights.data && memcmp(weights.data, plain, plain_bytes) == 0);
    check(memcmp(digest, plain_digest, sizeof digest) == 0);
    region_close(&weights);
    ledger_check(&ledger);
    return state;
}

static void remove_all(void)
{
    struct pack_listing *list = NULL;
    size_t count = 0;
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    for (size_t i = 0; i < count; ++i) /* also one that is in use */
        check_int(unlink(list[i].path), ==, 0);
    free(list);
}

static void begin(struct sample *sample)
{
    remove_all();
    said[0] = '\0';
    open_sample(sample, the_file());
}

/* The one pack in the folder. */
static struct pack_listing the_pack(void)
{
    struct pack_listing *list = NULL, one = {0};
    size_t count = 0;
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 1);
    if (count == 1) one = list[0];
    free(list);
    return one;
}

/* ---- cases ---- */

static void the_first_load_makes_it_the_next_maps_it(void)
{
    struct sample sample;
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    check_int(sample.pack.state, ==, COMPONENT_PACK_READY);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_READY);
    close_sample(&sample);
    /* Another process, as it were: it does not know the digest, and reads nothing to learn it. */
    open_sample(&sample, the_file());
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_READY);
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    fault_arm(1U << FAULT_READ, 1, FAULT_FROM_THEN_ON);
    struct ledger ledger = {0};
    struct region weights;
    uint8_t digest[DIGEST_BYTES];
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_OK);
    check(!fault_has_struck());
    fault_disarm();
    region_close(&weights);
    check_str(said, "");
    check_has(the_pack().source, "vae (");
    close_sample(&sample);
}

static void the_same_weights_in_another_file_share_it(void)
{
    struct sample sample, other;
    char command[1200];
    const char *const copy = scratch_path("copy.safetensors");
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", the_file(), copy);
    check_int(system(command), ==, 0);
    wait_for_tick();
    open_sample(&other, copy);
    /* It has to be read once, since nobody knows yet that it is the same. */
    check_int(load_and_compare(&other), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&other);
    (void)the_pack();
    open_sample(&other, copy);
    check_int(load_and_compare(&other), ==, COMPONENT_PACK_READY);
    close_sample(&other);
    close_sample(&sample);
}

static void a_changed_checkpoint_is_not_its_old_pack(void)
{
    struct sample sample;
    struct ledger ledger = {0};
    struct region weights;
    uint8_t digest[DIGEST_BYTES];
    const char *const path = scratch_path("changing.safetensors");
    remove_all();
    make_file(path, 1);
    open_sample(&sample, path);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
    make_file(path, 2);
    open_sample(&sample, path);
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_DRAFTED);
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_OK);
    check(memcmp(weights.data, plain, plain_bytes) != 0);
    region_close(&weights);
    /* Under an open file: the pack is right, and refused all the same. */
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_READY);
    make_file(path, 3);
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_CHANGED);
    check_has(problem.message, path);
    check_int(unlink(path), ==, 0);
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_CHANGED);
    check_int(ledger.mapped_bytes, ==, 0);
    close_sample(&sample);
}

static void a_flipped_byte_is_made_again(void)
{
    struct sample sample;
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
    const struct pack_listing one = the_pack();
    const off_t places[] = {100, 700, (off_t)one.bytes / 2,
                            (off_t)one.bytes - PACK_ALIGN};
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        unsigned char byte;
        const int descriptor = open(one.path, O_RDWR);
        check_int(pread(descriptor, &byte, 1, places[i]), ==, 1);
        byte ^= 4;
        check_int(pwrite(descriptor, &byte, 1, places[i]), ==, 1);
        (void)close(descriptor);
        said[0] = '\0';
        open_sample(&sample, the_file());
        check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
        check_has(said, "made again");
        check_int(load_and_compare(&sample), ==, COMPONENT_PACK_READY);
        close_sample(&sample);
    }
}

/* The negative control: with the mark forged for the damaged file its bytes are believed. */
static void without_the_check_it_would_be_taken(void)
{
    struct sample sample;
    struct ledger ledger = {0};
    struct region weights;
    struct pack pack;
    uint8_t digest[DIGEST_BYTES];
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
    const struct pack_listing one = the_pack();
    const int descriptor = open(one.path, O_RDWR);
    check_int(pwrite(descriptor, "\1\2\3", 3, (off_t)one.bytes / 2), ==, 3);
    (void)close(descriptor);
    wait_for_tick();
    check_int(pack_open(&pack, one.path, &one.key, &problem), ==, DR_OK);
    pack_store_trust(&store, &pack);
    pack_close(&pack);
    open_sample(&sample, the_file());
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_READY);
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_OK);
    check(memcmp(weights.data, plain, plain_bytes) != 0);
    region_close(&weights);
    close_sample(&sample);
}

static void cut_short_while_it_is_mapped(void)
{
    struct sample sample;
    struct ledger ledger = {0};
    struct region weights;
    uint8_t digest[DIGEST_BYTES];
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_OK);
    const struct pack_listing one = the_pack();
    check_int(truncate(one.path, (off_t)(one.bytes / 2)), ==, 0);
    unsigned sum = 0;
    for (size_t i = 0; i < weights.bytes; i += 512)
        sum += weights.data[i + 3];
    check(sum > 0);
    check(region_lost_page(&weights));
    check_int(component_pack_lost(&sample.pack, "vae", &problem), ==, DR_IO);
    check_has(problem.message, one.path);
    region_close(&weights);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
}

/* A pack that was written to is none any more; one that was removed serves whoever has it open. */
static void changed_between_settling_and_loading(void)
{
    struct sample sample;
    struct ledger ledger = {0};
    struct region weights;
    uint8_t digest[DIGEST_BYTES];
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    remove_all();
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_OK);
    check(memcmp(weights.data, plain, plain_bytes) == 0);
    region_close(&weights);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(truncate(the_pack().path, 70000), ==, 0);
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_CHANGED);
    check_int(sample.pack.state, ==, COMPONENT_PACK_UNSETTLED);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
}

static ino_t inode_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

/* At each look at the flag while a pack is checked: a cancel is neither a finding nor a reason to
 * make another one. */
static void a_cancelled_check_leaves_the_pack(void)
{
    struct sample sample;
    const struct cancel cancel = {0};
    const struct component_progress progress = {.cancel = &cancel};
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
    const struct pack_listing one = the_pack();
    const ino_t inode = inode_of(one.path);
    enum dr_code code = DR_CANCELLED;
    int cancelled = 0;
    for (int nth = 1; code == DR_CANCELLED && nth < 100; ++nth) {
        pack_store_distrust(&store, &one.key);
        open_sample(&sample, the_file());
        fault_arm(1U << FAULT_CANCEL, nth, FAULT_FROM_THEN_ON);
        code = settle(&sample, COMPONENT_PACK_WAIT, &progress);
        fault_disarm();
        if (code == DR_CANCELLED) {
            ++cancelled;
            check_int(sample.pack.state, ==, COMPONENT_PACK_UNSETTLED);
            check_int(sample.pack.draft.descriptor, ==, -1);
        }
        close_sample(&sample);
        check_str(said, "");
        check_str(the_pack().path, one.path);
        check_int(inode_of(one.path), ==, inode);
    }
    check_int(code, ==, DR_OK);
    check_int(cancelled, >=, 1);
    fprintf(stderr, "     cancelled %d times\n", cancelled);
    open_sample(&sample, the_file());
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_READY);
    close_sample(&sample);
}

static void without_room_weights_are_private(void)
{
    struct sample sample;
    begin(&sample);
    fault_arm(1U << FAULT_WRITE, 1, FAULT_ONCE);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_PRIVATE);
    fault_disarm();
    check_has(said, "will be private memory");
    check_has(said, "no space");
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
    /* Turned off. */
    struct pack_store off;
    pack_store_open(&off, "");
    open_sample(&sample, the_file());
    component_pack_init(&sample.pack, &off);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_PRIVATE);
    close_sample(&sample);
}

/* Its name cannot be given: the weights are there all the same, for this process also a second time,
 * and it is made anew when it is settled next. */
static void a_pack_that_cannot_be_kept_is_said(void)
{
    struct sample sample;
    struct ledger ledger = {0};
    struct region weights;
    uint8_t digest[DIGEST_BYTES];
    for (int nth = 2; nth <= 4; ++nth) { /* the first is the record of the digest */
        begin(&sample);
        check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
        fault_arm(1U << FAULT_WRITE, nth, FAULT_ONCE);
        check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_OK);
        fault_disarm();
        check_has(said, "could not be stored");
        check(memcmp(weights.data, plain, plain_bytes) == 0);
        check_int(ledger.private_bytes, ==, 0);
        region_close(&weights);
        check_int(sample.pack.state, ==, COMPONENT_PACK_READY);
        check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_OK);
        check_int(ledger.private_bytes, ==, 0);
        check(memcmp(weights.data, plain, plain_bytes) == 0);
        region_close(&weights);
        check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
        close_sample(&sample);
    }
}

/* The disk, or a limit on the size of files, stops the writing in the middle: an error that names it, and nothing
 * stays. */
static void a_pack_that_cannot_be_written_is_an_error(void)
{
    struct sample sample;
    struct ledger ledger = {0};
    struct region weights = {0};
    uint8_t digest[DIGEST_BYTES];
    struct rlimit before;
    begin(&sample);
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_DRAFTED);
    check_int(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
    check_int(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    check_int(load(&sample, &ledger, &weights, digest, &sample.pack), ==, DR_IO);
    check_int(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    check_has(problem.message, "cannot write the pack of vae");
    check_int(ledger.count, ==, 0);
    component_pack_unsettle(&sample.pack);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
}

static void looking_holds_nothing(void)
{
    struct sample sample;
    struct pack_listing *list = NULL;
    size_t count = 1;
    begin(&sample);
    check_int(settle(&sample, COMPONENT_PACK_LOOK, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_WANTED);
    check_int(component_pack_private_bytes(&sample.pack, sample.spec), ==, 0);
    check(component_pack_reads(&sample.pack));
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 0);
    free(list);
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_DRAFTED);
    component_pack_unsettle(&sample.pack);
    check_int(pack_store_list(&store, &list, &count, &problem), ==, DR_OK);
    check_int(count, ==, 0);
    free(list);
    close_sample(&sample);
}

/* A pack that was not checked since the machine started: a look takes the head for it, and leaves the
 * checking, and what follows from it, to who uses it. */
static void looking_reads_no_pack(void)
{
    struct sample sample;
    begin(&sample);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
    const struct pack_listing one = the_pack();
    const int file = open(one.path, O_WRONLY);
    check_int(pwrite(file, "\xff\x01", 2, (off_t)one.bytes / 2), ==, 2);
    check_int(close(file), ==, 0);
    open_sample(&sample, the_file());
    check_int(settle(&sample, COMPONENT_PACK_LOOK, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_FOUND);
    check_int(component_pack_private_bytes(&sample.pack, sample.spec), ==, 0);
    check(!component_pack_reads(&sample.pack));
    check_str(said, "");
    check_str(the_pack().path, one.path);
    check(!the_pack().is_checked);
    component_pack_unsettle(&sample.pack);
    check_int(settle(&sample, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(sample.pack.state, ==, COMPONENT_PACK_DRAFTED);
    check_has(said, "damaged");
    close_sample(&sample);
}

/* ---- several at once ---- */

static void two_do_not_make_the_same(void)
{
    struct sample one, two;
    begin(&one);
    open_sample(&two, the_file());
    check_int(settle(&one, COMPONENT_PACK_WAIT, NULL), ==, DR_OK);
    check_int(settle(&two, COMPONENT_PACK_NO_WAIT, NULL), ==, DR_OK);
    check_int(two.pack.state, ==, COMPONENT_PACK_PRIVATE);
    check_has(said, "another process is making");
    const struct cancel cancel = {.requested = true};
    const struct component_progress progress = {.cancel = &cancel};
    check_int(settle(&two, COMPONENT_PACK_WAIT, &progress), ==, DR_CANCELLED);
    close_sample(&two);
    close_sample(&one);
}

static void of_many_processes_one_makes_it(void)
{
    enum {
        PROCESSES = 4
    };
    struct sample sample;
    pid_t children[PROCESSES];
    remove_all();
    for (int i = 0; i < PROCESSES; ++i) {
        children[i] = fork();
        if (children[i] != 0) continue;
        open_sample(&sample, the_file());
        const enum component_pack_state state = load_and_compare(&sample);
        _exit(check_failed_count ? 99 : state == COMPONENT_PACK_DRAFTED ? 1 : 0);
    }
    int made = 0;
    for (int i = 0; i < PROCESSES; ++i) {
        int status = 0;
        check_int(waitpid(children[i], &status, 0), ==, children[i]);
        check(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        made += WEXITSTATUS(status);
    }
    check_int(made, ==, 1);
    (void)the_pack();
}

static void killed_while_it_is_made(void)
{
    struct sample sample;
    int ready[2];
    begin(&sample);
    check_int(pipe(ready), ==, 0);
    const pid_t child = fork();
    if (child == 0) {
        struct ledger ledger = {0};
        struct region weights;
        if (settle(&sample, COMPONENT_PACK_WAIT, NULL) != DR_OK ||
            component_pack_map_draft(&sample.pack, sample.spec, &ledger, "vae",
                                     &weights, NULL) != DR_OK)
            _exit(1);
        memset(weights.data, 0xEE, weights.bytes / 2);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        for (;;)
            (void)pause();
    }
    char byte;
    check_int(read(ready[0], &byte, 1), ==, 1);
    check_int(kill(child, SIGKILL), ==, 0);
    check_int(waitpid(child, NULL, 0), ==, child);
    check_int(load_and_compare(&sample), ==, COMPONENT_PACK_DRAFTED);
    close_sample(&sample);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* What decides where the bytes lie decides the key. */
static void another_precision_is_another_pack(void)
{
    struct sample sample;
    struct vae_spec *narrow = NULL;
    struct component_pack pack;
    struct ledger ledger = {0};
    const struct component_pack_settle how = {.ledger = &ledger,
                                              .name = "vae",
                                              .manner = COMPONENT_PACK_LOOK};
    begin(&sample);
    check_int(settle(&sample, COMPONENT_PACK_LOOK, NULL), ==, DR_OK);
    if (compute_can_bf16()) {
        check_int(vae_spec_create(&narrow, &sample.checkpoint.components[ROLE_VAE],
                                  FAMILY_SD15, DTYPE_BF16, &problem),
                  ==, DR_OK);
        component_pack_init(&pack, &store);
        check_int(component_pack_settle(&pack, vae_component(narrow), NULL, &how,
                                        &problem),
                  ==, DR_OK);
        check(memcmp(pack.layout, sample.pack.layout, DIGEST_BYTES) != 0);
        component_pack_finish(&pack);
        vae_spec_destroy(&narrow);
    }
    struct sample again;
    open_sample(&again, the_file());
    check_int(settle(&again, COMPONENT_PACK_LOOK, NULL), ==, DR_OK);
    check(memcmp(again.pack.layout, sample.pack.layout, DIGEST_BYTES) == 0);
    close_sample(&again);
    close_sample(&sample);
}

int main(void)
{
    if (compute_init(1, &problem) != DR_OK) return 1;
    pack_store_open(&store, pack_folder());
    if (strstr(store.off_reason, "lies in memory")) return check_skip(store.off_reason);
    check_str(store.off_reason, "");
    store.say = hear;
    make_file(the_file(), 1);
    load_plain(the_file());
    check_run_with_faults(the_first_load_makes_it_the_next_maps_it);
    check_run(the_same_weights_in_another_file_share_it);
    check_run(a_changed_checkpoint_is_not_its_old_pack);
    check_run(a_flipped_byte_is_made_again);
    check_run(without_the_check_it_would_be_taken);
    check_run(cut_short_while_it_is_mapped);
    check_run(changed_between_settling_and_loading);
    check_run_with_faults(a_cancelled_check_leaves_the_pack);
    check_run_with_faults(without_room_weights_are_private);
    check_run_with_faults(a_pack_that_cannot_be_kept_is_said);
    check_run(a_pack_that_cannot_be_written_is_an_error);
    check_run(looking_holds_nothing);
    check_run(looking_reads_no_pack);
    check_run(two_do_not_make_the_same);
    check_run(of_many_processes_one_makes_it);
    check_run(killed_while_it_is_made);
    check_run(another_precision_is_another_pack);
    free(plain);
    return check_done();
}
