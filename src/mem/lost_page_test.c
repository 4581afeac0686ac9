/* A mapped file that is cut short: zeros and a mark for who watches, the end of the process for who
 * does not. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "mem/lost_page.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "mem/region.h"

enum {
    PAGES = 4
};

static size_t page;

/* A file of PAGES pages of 0x5A without a name. */
static int make_file(void)
{
    char path[] = "/tmp/lost_page_test_XXXXXX";
    const int descriptor = mkstemp(path);
    if (descriptor < 0) abort();
    (void)unlink(path);
    unsigned char *const block = malloc(page);
    if (!block) abort();
    memset(block, 0x5A, page);
    for (int i = 0; i < PAGES; ++i)
        if (write(descriptor, block, page) != (ssize_t)page) abort();
    free(block);
    return descriptor;
}

static const struct region_options options = {.tag = REGION_WEIGHTS,
                                              .component = "unet"};

static void open_region(struct region *region, struct ledger *ledger, int descriptor,
                        size_t pages)
{
    struct region_options some = options;
    some.bytes = pages * page;
    check_int(region_map(region, ledger, descriptor, 0, &some, NULL), ==, DR_OK);
}

static void a_lost_page_is_zero_and_marked(void)
{
    struct ledger ledger = {0};
    struct region whole = {0}, other = {0};
    const int descriptor = make_file();
    open_region(&whole, &ledger, descriptor, PAGES);
    open_region(&other, &ledger, descriptor, 1);
    check(!region_lost_page(&whole));
    check_int(ftruncate(descriptor, (off_t)page), ==, 0);
    check_int(whole.data[0], ==, 0x5A);
    check(!region_lost_page(&whole)); /* nobody has missed it yet */
    check_int(whole.data[2 * page + 5], ==, 0);
    check(region_lost_page(&whole));
    check_int(other.data[0], ==, 0x5A);
    check(!region_lost_page(&other));
    region_close(&whole);
    region_close(&other);
    check(!region_lost_page(&whole));
    ledger_check(&ledger);
    check_int(ledger.mapped_bytes, ==, 0);
    (void)close(descriptor);
}

static void a_writer_goes_on(void)
{
    struct ledger ledger = {0};
    struct region region = {0};
    const int descriptor = make_file();
    struct region_options all = options;
    all.bytes = PAGES * page;
    check_int(region_map_writable(&region, &ledger, descriptor, 0, &all, NULL), ==,
              DR_OK);
    region.data[7] = 1;
    check_int(ledger.private_bytes, ==, 0);
    check_int(ftruncate(descriptor, 0), ==, 0);
    region.data[page] = 2;
    check_int(region.data[page], ==, 2);
    check(region_lost_page(&region));
    region_close(&region);
    (void)close(descriptor);
}

/* ---- threads, each on a stack for signals ------------------------------------------------ */

struct reader {
    const volatile unsigned char *data;
    bool is_on_own_stack;
};

static void *read_lost_page(void *context)
{
    struct reader *const reader = context;
    stack_t stack;
    lost_page_prepare_thread();
    lost_page_prepare_thread();
    reader->is_on_own_stack =
        sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE);
    (void)reader->data[0];
    return NULL;
}

static void every_thread_may_lose_one(void)
{
    struct ledger ledger = {0};
    struct region region = {0};
    const int descriptor = make_file();
    open_region(&region, &ledger, descriptor, PAGES);
    check_int(ftruncate(descriptor, 0), ==, 0);
    struct reader readers[PAGES];
    pthread_t threads[PAGES];
    for (size_t i = 0; i < PAGES; ++i) {
        readers[i] = (struct reader){.data = region.data + i * page};
        check_int(pthread_create(&threads[i], NULL, read_lost_page, &readers[i]), ==,
                  0);
    }
    for (size_t i = 0; i < PAGES; ++i) {
        check_int(pthread_join(threads[i], NULL), ==, 0);
        check(readers[i].is_on_own_stack);
    }
    check(region_lost_page(&region));
    region_close(&region);
    (void)close(descriptor);
}

/* ---- what is not watched -------------------------------------------------------------------- */

/* How a child ends that reads a page which its file does not have, in a mapping of its own. */
static int end_of_child(void)
{
    const pid_t child = fork();
    if (child == 0) {
        const int descriptor = make_file();
        const volatile unsigned char *const data =
            mmap(NULL, page, PROT_READ, MAP_SHARED, descriptor, 0);
        if (ftruncate(descriptor, 0)) _exit(3);
        (void)data[0];
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    return status;
}

static void elsewhere_it_ends_the_process(void)
{
    struct ledger ledger = {0};
    struct region region = {0};
    const int descriptor = make_file();
    open_region(&region, &ledger, descriptor, 1); /* so that the handler is there */
    const int status = end_of_child();
#ifndef __SANITIZE_ADDRESS__ /* whose own handler exits */
    check(WIFSIGNALED(status));
    check_int(WTERMSIG(status), ==, SIGBUS);
#else
    check(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
#endif
    region_close(&region);
    (void)close(descriptor);
}

/* A SIGBUS that was sent is nobody's page. */
static void one_that_is_sent_ends_the_process(void)
{
    struct ledger ledger = {0};
    struct region region = {0};
    const int descriptor = make_file();
    open_region(&region, &ledger, descriptor, 1);
    const pid_t child = fork();
    if (child == 0) {
        (void)kill(getpid(), SIGBUS);
        _exit(0);
    }
    int status = 0;
    check_int(waitpid(child, &status, 0), ==, child);
    check(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    region_close(&region);
    (void)close(descriptor);
}

static void watches_run_out(void)
{
    static int watches[4096];
    int count = 0;
    for (; count < 4096; ++count) {
        watches[count] = lost_page_watch(&watches, 1, PROT_READ);
        if (watches[count] == LOST_PAGE_NO_WATCH) break;
    }
    check_int(count, >=, 64);
    check_int(count, <, 4096);
    struct ledger ledger = {0};
    struct region region = {0};
    const int descriptor = make_file();
    struct region_options one = options;
    one.bytes = page;
    check_int(region_map(&region, &ledger, descriptor, 0, &one, NULL), ==, DR_NOMEM);
    check_int(ledger.mapped_bytes, ==, 0);
    for (int i = 0; i < count; ++i)
        lost_page_unwatch(watches[i]);
    check_int(region_map(&region, &ledger, descriptor, 0, &one, NULL), ==, DR_OK);
    region_close(&region);
    (void)close(descriptor);
}

int main(void)
{
    page = region_page_bytes();
    check_run(a_lost_page_is_zero_and_marked);
    check_run(a_writer_goes_on);
    check_run(every_thread_may_lose_one);
    check_run(elsewhere_it_ends_the_process);
    check_run(one_that_is_sent_ends_the_process);
    check_run(watches_run_out);
    return check_done();
}
