#define _DEFAULT_SOURCE /* mincore */

#include "service/thread_stack.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum {
    STACK_BYTES = 256 * 1024,
    DEEP_BYTES = 12 * 1024, /* of one frame */
    DEPTH = 10
};

/* Keeps the compiler from leaving it out. */
static volatile unsigned char sink;

static int go_deep(int depth)
{
    volatile unsigned char bytes[DEEP_BYTES];
    for (size_t i = 0; i < sizeof bytes; ++i)
        bytes[i] = (unsigned char)(depth + (int)i);
    const int sum = depth > 0 ? go_deep(depth - 1) : 0;
    sink = bytes[sum % DEEP_BYTES];
    return sum + bytes[DEEP_BYTES - 1];
}

static size_t resident_bytes(const unsigned char *stack)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char pages[STACK_BYTES / 4096];
    size_t bytes = 0;
    if (mincore((void *)(uintptr_t)stack, STACK_BYTES, pages) != 0) return SIZE_MAX;
    for (size_t i = 0; i < STACK_BYTES / page; ++i)
        bytes += (pages[i] & 1) * page;
    return bytes;
}

static void *use(void *cookie)
{
    const unsigned char *const stack = cookie;
    unsigned char kept[512];
    for (size_t i = 0; i < sizeof kept; ++i)
        kept[i] = (unsigned char)(7 * i);
    for (int turn = 0; turn < 3; ++turn) {
        const int sum = go_deep(DEPTH);
        check_int(resident_bytes(stack), >=, DEPTH * DEEP_BYTES);
        thread_stack_trim();
        check_int(resident_bytes(stack), <=, 16 * 1024);
        check_int(go_deep(DEPTH), ==, sum);
        thread_stack_trim();
        thread_stack_trim();
        for (size_t i = 0; i < sizeof kept; ++i)
            check_int(kept[i], ==, (unsigned char)(7 * i));
    }
    return NULL;
}

static void what_was_deep_is_given_back(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    unsigned char *const stack =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(stack != MAP_FAILED);
    check_int(pthread_attr_init(&attributes), ==, 0);
    check_int(pthread_attr_setstack(&attributes, stack, STACK_BYTES), ==, 0);
    check_int(pthread_create(&thread, &attributes, use, stack), ==, 0);
    check_int(pthread_join(thread, NULL), ==, 0);
    (void)pthread_attr_destroy(&attributes);
    (void)munmap(stack, STACK_BYTES);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__)
    check_run_if(false, what_was_deep_is_given_back,
                 "the sanitizer has stacks of its own");
#else
    check_run_if(true, what_was_deep_is_given_back, "");
#endif
    return check_done();
}
