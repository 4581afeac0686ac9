#include "compute/compute.h"

#include <malloc.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/core_count.h"
#include "compute/kernels.h"
#include "compute/library.h"
#include "mem/headroom.h"

/* More than is mapped for one product: four primitives, of which the largest that was seen took 4.4 MiB
 * of addresses, and the heap's growth. */
#define LIBRARY_ROOM_BYTES ((size_t)32 << 20)

/* Facts of the process, set by compute_init: the engine is never destroyed, and what is said of it
 * never changes. The lock is held where the counts change; anybody reads the number of threads, which
 * stays while there is a plan. */
static struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    atomic_int thread_count;
    atomic_int refused_count; /* threads that were wanted when that was set */
    int plan_count;
    char platform[64];
} library;
static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

dnnl_engine_t library_engine(void)
{
    return library.engine;
}

dnnl_stream_t library_stream(void)
{
    return library.stream;
}

dnnl_data_type_t library_type(enum dtype type)
{
    return type == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

int library_begin_single(void)
{
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
}

void library_end_single(int before)
{
    omp_set_num_threads(before);
}

int library_begin_plan(void)
{
    (void)pthread_mutex_lock(&library_lock);
    ++library.plan_count;
    const int thread_count = library.thread_count;
    (void)pthread_mutex_unlock(&library_lock);
    return thread_count;
}

void library_end_plan(void)
{
    (void)pthread_mutex_lock(&library_lock);
    --library.plan_count;
    (void)pthread_mutex_unlock(&library_lock);
}

enum dr_code library_check(dnnl_status_t status, const char *what, struct dr_error *err)
{
    if (status == dnnl_success) return DR_OK;
    if (status == dnnl_out_of_memory)
        return error_set(err, DR_NOMEM, "%s: the system refused memory", what);
    if (status == dnnl_unimplemented)
        return error_set(err, DR_UNSUPPORTED,
                         "%s: oneDNN does not support this on "
                         "this machine",
                         what);
    return error_set(err, DR_FAILED, "%s: oneDNN failed with status %d", what,
                     (int)status);
}

enum dr_code library_room(const char *what, struct dr_error *err)
{
    return headroom_check(LIBRARY_ROOM_BYTES, what, err);
}

static const char *instruction_set(void)
{
    const unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    const struct {
        unsigned isa;
        const char *name;
    } names[] = {
        {dnnl_cpu_isa_avx512_core_amx,  "AMX"        },
        {dnnl_cpu_isa_avx512_core_bf16, "AVX512-BF16"},
        {dnnl_cpu_isa_avx512_core,      "AVX512"     },
        {dnnl_cpu_isa_avx2,             "AVX2"       },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if ((isa & names[i].isa) == names[i].isa) return names[i].name;
    return "SSE4.1";
}

static void describe_platform(void)
{
    const dnnl_version_t *const version = dnnl_version();
    (void)snprintf(library.platform, sizeof library.platform, "oneDNN %d.%d.%d, %s",
                   version->major, version->minor, version->patch, instruction_set());
}

static enum dr_code open_library(struct dr_error *err)
{
    if (library.engine) return DR_OK;
    enum dr_code code = library_room("the compute library", err);
    if (code == DR_OK)
        code =
            library_check(dnnl_set_primitive_cache_capacity(0), "primitive cache", err);
    if (code == DR_OK)
        code = library_check(dnnl_engine_create(&library.engine, dnnl_cpu, 0), "engine",
                             err);
    if (code == DR_OK)
        code = library_check(dnnl_stream_create(&library.stream, library.engine,
                                                dnnl_stream_default_flags),
                             "stream", err);
    if (code == DR_OK) describe_platform();
    return code;
}

static enum dr_code set_threads(int wanted, struct dr_error *err)
{
    const int now = library.thread_count;
    const int count = wanted > 0 ? wanted : core_count();
    if (library.plan_count > 0 && wanted > 0 && wanted != now)
        return error_set(err, DR_BUSY,
                         "another engine of this process is running with %d "
                         "thread%s, which all engines share: use %d, or wait until "
                         "it has finished",
                         now, now == 1 ? "" : "s", now);
    if (library.plan_count == 0) {
        if (count != now) library.thread_count = 1 + headroom_threads(count - 1);
        library.refused_count = count - library.thread_count;
    }
    omp_set_num_threads(library.thread_count);
    omp_set_dynamic(0);
    return DR_OK;
}

enum dr_code compute_init(int thread_count, struct dr_error *err)
{
    if (thread_count < 0 || thread_count > 1024)
        return error_set(
            err, DR_BAD_INPUT,
            "%d threads are out of range: give 1 to 1024, or 0 for one per core",
            thread_count);
    (void)pthread_mutex_lock(&library_lock);
    enum dr_code code = set_threads(thread_count, err);
    if (code == DR_OK) code = open_library(err);
    (void)pthread_mutex_unlock(&library_lock);
    return code;
}

int compute_refused_threads(void)
{
    return library.refused_count;
}

int compute_thread_count(void)
{
    return library.thread_count;
}

bool library_has_amx(void)
{
    const unsigned amx = dnnl_cpu_isa_avx512_core_amx;
    return ((unsigned)dnnl_get_effective_cpu_isa() & amx) == amx;
}

bool compute_has_bf16(void)
{
    const unsigned bf16 = dnnl_cpu_isa_avx512_core_bf16;
    return ((unsigned)dnnl_get_effective_cpu_isa() & bf16) == bf16;
}

bool compute_can_bf16(void)
{
    const unsigned avx512 = dnnl_cpu_isa_avx512_core;
    return ((unsigned)dnnl_get_effective_cpu_isa() & avx512) == avx512;
}

const char *compute_description(void)
{
    static _Thread_local char description[96];
    (void)snprintf(description, sizeof description, "%s, %d threads", library.platform,
                   compute_thread_count());
    return description;
}

const char *compute_platform(void)
{
    return library.platform;
}

void compute_trim(void)
{
    (void)malloc_trim(0);
}
