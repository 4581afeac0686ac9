#define _GNU_SOURCE /* pthread_getattr_np, madvise */

#include "service/thread_stack.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    CALL_BYTES = 1024 /* of stack that the calls below take */
};

/* The lowest address of the thread's stack; 0: not known. Asked once, since it costs a system call. */
static uintptr_t lowest(void)
{
    static _Thread_local uintptr_t low;
    static _Thread_local bool is_asked;
    pthread_attr_t attributes;
    void *address = NULL;
    size_t bytes = 0;
    if (is_asked) return low;
    is_asked = true;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
    if (pthread_attr_getstack(&attributes, &address, &bytes) == 0)
        low = (uintptr_t)address;
    (void)pthread_attr_destroy(&attributes);
    return low;
}

void thread_stack_trim(void)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t low = lowest();
    const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    if (low == 0 || frame < low + CALL_BYTES) return;
    const uintptr_t free_end = (frame - CALL_BYTES) / page * page;
    if (free_end > low) (void)madvise((void *)low, free_end - low, MADV_DONTNEED);
}
