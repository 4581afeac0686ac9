#include "mem/smaps.h"

#include <errno.h>
#include <unistd.h>

#include "check.h"

static char path[] = "/tmp/smaps_test_XXXXXX";

/* Read a text to its end; returns what closing says. The last entry is in *entry. */
static int read_text(const char *text, struct smaps_entry *entry, size_t *count)
{
    FILE *const file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file)) abort();
    struct smaps smaps;
    if (!smaps_open(&smaps, path)) abort();
    *count = 0;
    while (smaps_next(&smaps, entry))
        ++*count;
    return smaps_close(&smaps);
}

static void reads_what_the_kernel_writes(void)
{
    struct smaps_entry entry;
    size_t count;
    check_int(read_text("7f77dae8e000-7f77dae92000 r--p 001cf000 fe:00 332835      "
                        "/opt/a b/lib c.so (deleted)\n"
                        "Size:  16 kB\nRss:  12 kB\nPss:  6 kB\nAnonymous:  8 kB\n"
                        "Swap:  4 kB\nTHPeligible:    0\nVmFlags: rd mr mw me ac sd \n",
                        &entry, &count),
              ==, 0);
    check_int(count, ==, 1);
    check_int(entry.start, ==, 0x7f77dae8e000);
    check_int(entry.end, ==, 0x7f77dae92000);
    check_str(entry.permissions, "r--p");
    check_str(entry.name, "/opt/a b/lib c.so (deleted)");
    check(entry.has_inode && entry.on_device && !entry.has_pss_anonymous);
    check_int(entry.rss_bytes, ==, 12288);
    check_int(entry.pss_bytes, ==, 6144);
    check_int(entry.anonymous_bytes, ==, 8192);
    check_int(entry.swap_bytes, ==, 4096);
}

static void reads_rollups_and_high_addresses(void)
{
    struct smaps_entry entry;
    size_t count;
    check_int(read_text("56055a929000-7ffd18c25000 ---p 00000000 00:00 0   [rollup]\n"
                        "Rss: 40 kB\nPss_Anon: 12 kB\nPss_Shmem: 3 kB\n",
                        &entry, &count),
              ==, 0);
    check(entry.has_pss_anonymous && !entry.has_inode && !entry.on_device);
    check_int(entry.pss_anonymous_bytes, ==, 12288);
    check_int(entry.pss_shmem_bytes, ==, 3072);
    check_int(read_text("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  "
                        "[vsyscall]\n",
                        &entry, &count),
              ==, 0);
    check_int(count, ==, 1);
    check(entry.start == 0xffffffffff600000);
    check_str(entry.name, "[vsyscall]");
}

static void cuts_long_names(void)
{
    struct smaps_entry entry;
    size_t count;
    char text[6000];
    const int head = snprintf(text, sizeof text, "1000-2000 r--p 0 0:0 7 /");
    memset(text + head, 'n', 5000);
    snprintf(text + head + 5000, sizeof text - (size_t)head - 5000, "\nRss: 4 kB\n");
    check_int(read_text(text, &entry, &count), ==, 0);
    check_int(count, ==, 1);
    check_int(strlen(entry.name), ==, sizeof entry.name - 1);
    check_int(entry.rss_bytes, ==, 4096);
}

static void refuses_other_text(void)
{
    static const char *const texts[] = {
        "hello\n",
        "Rss: 4 kB\n",
        "1000-3000\n",
        "3000-1000 rw-p 00000000 00:00 0\n",
        "1000-3000 rw-p 00000000 00:00 0\nRss: many kB\n",
        "1000-3000 rw-p 00000000 00:00 0\nRss: 4 MB\n",
        "1000-3000 rw-p 00000000 00:00 0\nRss: 99999999999999999999 kB\n",
        "1000-3000 rw-p 00000000 00:00 0\nRss 4 kB\n",
        "1000-3000 rw-p 00000000 00:00 0\n2000-4000 rw-p 00000000 00:00 0\n",
        "1000-3000 rw-p 00000000 00:00 0\n\nmore\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        struct smaps_entry entry;
        size_t count;
        if (read_text(texts[i], &entry, &count) != EBADMSG)
            check_fail_at("text %zu was accepted", i);
    }
}

/* The live files: ascending, every mapping of this process, the sums those of the rollup. */
static void reads_its_own_process(void)
{
    struct smaps smaps;
    struct smaps_entry entry, rollup;
    size_t rss = 0, anonymous = 0, count = 0;
    uintptr_t end = 0;
    bool has_stack = false;
    check(smaps_open(&smaps, "/proc/self/smaps"));
    while (smaps_next(&smaps, &entry)) {
        check(entry.start >= end);
        end = entry.end;
        rss += entry.rss_bytes;
        anonymous += entry.anonymous_bytes;
        const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
        if (here >= entry.start && here < entry.end)
            has_stack = strcmp(entry.name, "[stack]") == 0;
        ++count;
    }
    check_int(smaps_close(&smaps), ==, 0);
    check(has_stack);
    check_int(count, >, 10);
    check(smaps_open(&smaps, "/proc/self/smaps_rollup"));
    check(smaps_next(&smaps, &rollup));
    check(!smaps_next(&smaps, &entry));
    check_int(smaps_close(&smaps), ==, 0);
    check_int(llabs((long long)rollup.rss_bytes - (long long)rss), <=, 1 << 20);
    check_int(llabs((long long)rollup.anonymous_bytes - (long long)anonymous), <=,
              1 << 20);
}

int main(void)
{
    const int descriptor = mkstemp(path);
    if (descriptor < 0) return check_skip("no temporary file can be made");
    close(descriptor);
    check_run(reads_what_the_kernel_writes);
    check_run(reads_rollups_and_high_addresses);
    check_run(cuts_long_names);
    check_run(refuses_other_text);
    check_run(reads_its_own_process);
    unlink(path);
    return check_done();
}
