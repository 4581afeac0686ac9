#include "compute/kernels.h"

#include <dnnl.h>

extern const struct kernels kernels_baseline;
#ifdef __x86_64__
#include <cpuid.h>

extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512_bf16;

/* Not by __builtin_cpu_supports: clang 14 does not know it. */
static bool has_f16c(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}
#endif

/* The library's own limit (ONEDNN_MAX_CPU_ISA) holds here too, so that a test on a new
 * processor shows what an old one would do. */
static void list_tables(const struct kernels *tables[static 5])
{
    size_t count = 0;
#ifdef __x86_64__
    const unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    const unsigned bf16 = dnnl_cpu_isa_avx512_core_bf16;
    const unsigned avx512 = dnnl_cpu_isa_avx512_core, avx2 = dnnl_cpu_isa_avx2;
    if ((isa & bf16) == bf16) tables[count++] = &kernels_avx512_bf16;
    if ((isa & avx512) == avx512) tables[count++] = &kernels_avx512;
    if ((isa & avx2) == avx2 && has_f16c()) tables[count++] = &kernels_avx2;
#endif
    tables[count] = &kernels_baseline;
}

const struct kernels *const *kernels_all(void)
{
    static const struct kernels *tables[5];
    if (!tables[0]) list_tables(tables);
    return tables;
}

const struct kernels *kernels_choose(void)
{
    return kernels_all()[0];
}
