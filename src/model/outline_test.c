#include "model/outline.h"

#include "check.h"

/* An index made by hand; names sorted bytewise as the loader keeps them. */
enum {
    NAME_COUNT = 9
};
static const char *const names[NAME_COUNT] = {
    "decoder.up.0.block.0.conv1.weight",
    "decoder.up.10.block.0.conv1.weight",
    "decoder.up.2.block.0.conv1.weight",
    "decoder.up.x.weight",
    "encoder.conv_in.bias",
    "encoder.conv_in.weight",
    "encoder.down",
    "encoder.down.300.weight",
    "quant_conv.weight",
};

static struct tensor tensors[NAME_COUNT];
static struct component_tensor entries[NAME_COUNT];

static struct component_index make_index(void)
{
    for (int i = 0; i < NAME_COUNT; ++i) {
        tensors[i] = (struct tensor){
            .name = names[i], .rank = 2, .dims = {10 + i, 20 + i}
        };
        entries[i] = (struct component_tensor){.name = names[i], .tensor = &tensors[i]};
    }
    return (struct component_index){.tensors = entries, .count = NAME_COUNT};
}

static void finds_prefixes(void)
{
    const struct component_index index = make_index();
    check(outline_has(&index, "decoder."));
    check(outline_has(&index, "decoder.up.%d.", 10));
    check(!outline_has(&index, "decoder.up.%d.", 1)); /* 10 is not 1 */
    check(outline_has(&index, "quant_conv.weight"));
    check(!outline_has(&index, "quant_conv.weights"));
    check(!outline_has(&index, "zzz"));
    check(!outline_has(&index, "aaa"));
    check(outline_has(&index, "%s", ""));

    const struct component_index empty = {0};
    check(!outline_has(&empty, "decoder."));
}

static void counts_to_the_highest(void)
{
    const struct component_index index = make_index();
    check_int(outline_count(&index, "decoder.up."), ==, 11); /* with gaps */
    check_int(outline_count(&index, "encoder."), ==, 0);
    check_int(outline_count(&index, "encoder.down."), ==, 0); /* beyond the bound */
}

static void reads_dims(void)
{
    const struct component_index index = make_index();
    check_int(outline_dim(&index, 0, "quant_conv.weight"), ==, 18);
    check_int(outline_dim(&index, 1, "%s.weight", "quant_conv"), ==, 28);
    check_int(outline_dim(&index, 2, "quant_conv.weight"), ==, -1);
    check_int(outline_dim(&index, 0, "quant_conv"), ==, -1);
    tensors[NAME_COUNT - 1].dims[0] = (int64_t)INT32_MAX + 1;
    check_int(outline_dim(&index, 0, "quant_conv.weight"), ==, -1);
}

int main(void)
{
    check_run(finds_prefixes);
    check_run(counts_to_the_highest);
    check_run(reads_dims);
    return check_done();
}
