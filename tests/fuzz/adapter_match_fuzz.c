/* adapter_match_fuzz — adapters of random kinds and shapes on a small UNet: from file to layers to one run.
 *
 * The bytes are choices, not a file: which weights of the network are changed, by what kind of adapter, with which
 * ranks and types; then what is wrong with it: sizes, types, parts that are missing or there twice. The file is opened
 * as a job does. Whatever is refused is so with a sentence, and nothing is left of it. What is taken lies within the
 * network's weights, and runs.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "checkpoint_layout.h"
#include "choices.h"
#include "compute/compute.h"
#include "input_file.h"
#include "mem/arena_plan.h"
#include "model/adapter.h"
#include "model/unet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
    LAYERS_MOST = 4,
    TENSORS_MOST = 64,
    RANK_MOST = 20,
    NAME_BYTES = 300,
    DATA_MAX_BYTES = 4 << 20
};

#define UNET "model.diffusion_model."

/* ---- the network ---------------------------------------------------------------------------- */

static struct ledger ledger;

/* In both types of arithmetic; made once. */
static struct network {
    struct checkpoint checkpoint;
    struct unet_spec *specs[2];
    struct region weights[2];
    struct layout layout;
    int32_t type_count;
} network;

static void must(enum dr_code code, const struct dr_error *err)
{
    if (code == DR_OK) return;
    fprintf(stderr, "%s\n", err->message);
    abort();
}

static void put_header(FILE *stream, const char *name, const char *dtype,
                       const int64_t *dims, int rank, uint64_t from, uint64_t to)
{
    fprintf(stream, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", name, dtype);
    for (int i = 0; i < rank; ++i)
        fprintf(stream, "%s%" PRId64, i ? "," : "", dims[i]);
    fprintf(stream, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", from, to);
}

static FILE *begin_header(char **text, size_t *bytes)
{
    FILE *const stream = open_memstream(text, bytes);
    if (!stream) abort();
    fprintf(stream, "--------{\"__metadata__\":{\"format\":\"pt\"}");
    return stream;
}

/* Header and data, which is one float16 again and again. */
static void write_file(int descriptor, FILE *stream, char **text,
                       const size_t *header_bytes, uint64_t data_bytes, uint16_t fill)
{
    static uint16_t block[1 << 14];
    fprintf(stream, "}");
    if (fclose(stream) != 0) abort();
    for (int i = 0; i < 8; ++i)
        (*text)[i] = (char)((*header_bytes - 8) >> 8 * i & 0xff);
    if (ftruncate(descriptor, 0) != 0 ||
        pwrite(descriptor, *text, *header_bytes, 0) != (ssize_t)*header_bytes ||
        ftruncate(descriptor, (off_t)(*header_bytes + data_bytes)) != 0)
        abort();
    for (size_t i = 0; i < sizeof block / sizeof *block; ++i)
        block[i] = fill;
    for (uint64_t done = 0; done < data_bytes; done += sizeof block) {
        const uint64_t left = data_bytes - done;
        const size_t piece = left < sizeof block ? (size_t)left : sizeof block;
        if (pwrite(descriptor, block, piece, (off_t)(*header_bytes + done)) !=
            (ssize_t)piece)
            abort();
    }
    free(*text);
}

static void make_network(void)
{
    const struct unet_sizes sizes = {
        .model_channels = 32,
        .in_channels = 4,
        .levels = 2,
        .res_blocks = 1,
        .context = 48,
        .multiplier = {1, 2},
        .depth = {1, 0},
        .middle_depth = 1
    };
    char template[] = "/tmp/darkroom-fuzz-network-XXXXXX", *text = NULL;
    size_t header_bytes = 0;
    uint64_t at = 0;
    struct dr_error err = {.message = ""};
    uint8_t digest[DIGEST_BYTES];
    layout_unet(&network.layout, UNET, &sizes);
    const int descriptor = mkstemp(template);
    FILE *const stream = begin_header(&text, &header_bytes);
    if (descriptor < 0) abort();
    for (size_t i = 0; i < network.layout.count; ++i) {
        const struct layout_tensor *const tensor = &network.layout.tensors[i];
        const uint64_t end = at + 2 * (uint64_t)layout_elements(tensor);
        put_header(stream, tensor->name, "F16", tensor->dims, tensor->rank, at, end);
        at = end;
    }
    write_file(descriptor, stream, &text, &header_bytes, at, 0x2400); /* 1/64 */
    must(checkpoint_open(&network.checkpoint, template, &err), &err);
    network.type_count = compute_can_bf16() ? 2 : 1;
    for (int32_t i = 0; i < network.type_count; ++i) {
        must(unet_spec_create(&network.specs[i],
                              &network.checkpoint.components[ROLE_UNET], FAMILY_SD15,
                              i ? DTYPE_BF16 : DTYPE_F32, &err),
             &err);
        must(component_load(unet_component(network.specs[i]),
                            &(struct component_load_options){.ledger = &ledger,
                                                             .name = "unet"},
                            &network.weights[i], digest, &err),
             &err);
    }
    (void)unlink(template);
    (void)close(descriptor);
}

/* ---- the adapter ----------------------------------------------------------------------------- */

struct part {
    char name[NAME_BYTES];
    const char *dtype;
    int rank;
    int64_t dims[4];
};

struct parts {
    struct part items[TENSORS_MOST];
    int count;
};

static void add(struct parts *parts, const char *module, const char *end, int rank,
                int64_t a, int64_t b, int64_t c, int64_t d)
{
    if (parts->count == TENSORS_MOST) return;
    struct part *const part = &parts->items[parts->count++];
    *part = (struct part){
        .dtype = "F16", .rank = rank, .dims = {a, b, c, d}
    };
    (void)snprintf(part->name, sizeof part->name, "%.250s%s", module, end);
}

static void add_layer(struct parts *parts, const char *module,
                      const struct layout_tensor *target, struct choices *choices)
{
    const int64_t out = target->dims[0], in = target->rank > 1 ? target->dims[1] : 1;
    const int64_t kh = target->rank > 2 ? target->dims[2] : 1;
    const int64_t kw = target->rank > 3 ? target->dims[3] : 1;
    const int64_t r = 1 + choose(choices, RANK_MOST),
                  q = 1 + choose(choices, RANK_MOST);
    const int dims = target->rank;
    const int64_t o1 = out % 4 == 0 ? 4 : 1, i1 = in % 2 == 0 ? 2 : 1;
    switch (choose(choices, 8)) {
    case 0: /* LoRA, and with a norm */
    case 1:
        add(parts, module, ".lora_down.weight", dims, r, in, kh, kw);
        add(parts, module, ".lora_up.weight", dims, out, r, 1, 1);
        if (choose(choices, 3) == 2)
            add(parts, module, ".dora_scale", 2, choose(choices, 2) ? 1 : out,
                choose(choices, 2) ? in : 1, 1, 1);
        break;
    case 2: /* with a core */
        add(parts, module, ".lora_down.weight", 4, q, in, 1, 1);
        add(parts, module, ".lora_mid.weight", 4, r, q, kh, kw);
        add(parts, module, ".lora_up.weight", 4, out, r, 1, 1);
        break;
    case 3:
        add(parts, module, ".hada_w1_a", 2, out, r, 1, 1);
        add(parts, module, ".hada_w1_b", 2, r, in * kh * kw, 1, 1);
        add(parts, module, ".hada_w2_a", 2, out, q, 1, 1);
        add(parts, module, ".hada_w2_b", 2, q, in * kh * kw, 1, 1);
        break;
    case 4:
        add(parts, module, ".lokr_w1", 2, o1, i1, 1, 1);
        add(parts, module, ".lokr_w2", dims, out / o1, in / i1, kh, kw);
        break;
    case 5:
        add(parts, module, ".lokr_w1", 2, o1, i1, 1, 1);
        add(parts, module, ".lokr_w2_a", 2, out / o1, r, 1, 1);
        add(parts, module, ".lokr_w2_b", 2, r, in / i1 * kh * kw, 1, 1);
        break;
    case 6:
        add(parts, module, ".diff", dims, out, in, kh, kw);
        if (choose(choices, 2)) add(parts, module, ".diff_b", 1, out, 1, 1, 1);
        break;
    default:
        add(parts, module, ".w_norm", 1, out, 1, 1, 1);
        add(parts, module, ".b_norm", 1, out, 1, 1, 1);
        break;
    }
    if (choose(choices, 3) == 2) add(parts, module, ".alpha", 0, 1, 1, 1, 1);
}

/* A module of the network, as kohya or the checkpoint spells it. */
static void add_some_layer(struct parts *parts, struct choices *choices)
{
    const struct layout *const layout = &network.layout;
    size_t i = (size_t)choose(choices, 256) * 7 % layout->count;
    char module[NAME_BYTES - 40];
    while (strcmp(layout->tensors[i].name + strlen(layout->tensors[i].name) - 7,
                  ".weight") != 0)
        i = (i + 1) % layout->count;
    const char *const name = layout->tensors[i].name + sizeof UNET - 1;
    const bool is_flat = choose(choices, 3) != 2;
    (void)snprintf(module, sizeof module, "%s%.*s", is_flat ? "lora_unet_" : UNET,
                   (int)strlen(name) - 7, name);
    for (char *at = module; is_flat && *at; ++at)
        if (*at == '.') *at = '_';
    add_layer(parts, module, &layout->tensors[i], choices);
}

static void spoil(struct parts *parts, struct choices *choices)
{
    static const char *const types[] = {"F32", "BF16", "F8_E4M3", "I8", "F64", "F16"};
    struct part *const part = &parts->items[choose(choices, parts->count)];
    switch (choose(choices, 6)) {
    case 0: part->dims[choose(choices, 4)] += choose(choices, 3) - 1; break;
    case 1: part->dims[choose(choices, 4)] = choose(choices, 70); break;
    case 2: part->rank = choose(choices, 5); break;
    case 3: part->dtype = types[choose(choices, 6)]; break;
    case 4: *part = parts->items[--parts->count]; break;
    default: part->name[choose(choices, (int)strlen(part->name))] ^= 1; break;
    }
}

static uint64_t bytes_of(const struct part *part)
{
    uint64_t count = strcmp(part->dtype, "F32") == 0    ? 4
                     : strcmp(part->dtype, "F64") == 0  ? 8
                     : strchr(part->dtype, '8') != NULL ? 1
                                                        : 2;
    for (int i = 0; i < part->rank; ++i)
        count *= (uint64_t)part->dims[i];
    return count;
}

/* The path of the file that the choices describe; NULL: it would be too large. */
static const char *write_adapter(struct choices *choices)
{
    static const uint16_t fills[] = {0x2c00, 0x2c00, 0, 0xb800, 0x7bff, 0x7e01};
    static struct parts parts;
    char *text = NULL;
    const char *path;
    size_t header_bytes = 0;
    uint64_t at = 0, all = 0;
    parts.count = 0;
    for (int i = choose(choices, LAYERS_MOST); i >= 0; --i)
        add_some_layer(&parts, choices);
    for (int i = choose(choices, 4) - 1; i > 0 && parts.count > 0; --i)
        spoil(&parts, choices);
    for (int i = 0; i < parts.count; ++i)
        all += bytes_of(&parts.items[i]);
    if (all > DATA_MAX_BYTES) return NULL;
    FILE *const stream = begin_header(&text, &header_bytes);
    for (int i = 0; i < parts.count; ++i) {
        const struct part *const part = &parts.items[i];
        const uint64_t end = at + bytes_of(part);
        put_header(stream, part->name, part->dtype, part->dims, part->rank, at, end);
        at = end;
    }
    const int descriptor = input_file_open(&path);
    write_file(descriptor, stream, &text, &header_bytes, at,
               fills[choose(choices, sizeof fills / sizeof *fills)]);
    return path;
}

/* ---- running -------------------------------------------------------------------------------- */

static void check_deltas(const struct weight_delta *deltas, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        const struct weight_delta *const delta = &deltas[i];
        const struct weight *const target = delta->target;
        assert(target && delta->first_row >= 0 && delta->row_count > 0);
        assert(delta->first_row + delta->row_count <= target->out);
        assert(delta->term_count >= 1 && delta->term_count <= 2);
        for (int32_t k = 0; k < delta->term_count; ++k) {
            const struct delta_term *const term = &delta->terms[k];
            assert((term->full != NULL) != (term->up != NULL));
            assert(!term->up || (term->down && delta_term_rank(term) > 0));
            assert(term->out.step > 0 && term->out.count > 0);
            assert(term->in.step > 0 && term->in.count > 0);
        }
        assert((delta->norm == DELTA_NO_NORM) == (delta->magnitude == NULL));
        if (i > 0 && deltas[i - 1].target == target)
            assert(deltas[i - 1].first_row <= delta->first_row);
    }
}

static void run(const struct unet_spec *spec, const struct region *weights,
                const struct region *tables, const struct weight_deltas *deltas)
{
    const struct unet_shape shape = {
        .n = 1, .height = 4, .width = 3, .tokens = 2, .deltas = deltas};
    struct unet_plan unet = {0};
    struct dr_error err = {.message = ""};
    const float number = 0.5F;
    void *arena = NULL;
    must(unet_plan_create(&unet, spec, &shape, false, &err), &err);
    if (posix_memalign(&arena, ARENA_ALIGN, plan_bytes(unet.plan)) != 0 ||
        plan_bind(unet.plan, arena, (const void *[]){weights->data, tables->data}, 2,
                  NULL) != DR_OK)
        abort();
    plan_check(unet.plan);
    unet_plan_set_time(&unet, 500.5F);
    for (size_t i = 0; i < 4 * 4 * 3; ++i)
        plan_write(unet.plan, unet.latent, i, 1, &number);
    for (size_t i = 0; i < 2 * 48; ++i)
        plan_write(unet.plan, unet.context, i, 1, &number);
    must(plan_run(unet.plan, NULL, &err), &err);
    float result[4 * 4 * 3];
    plan_read(unet.plan, unet.result, 0, 4 * 4 * 3, result);
    unet_plan_destroy(&unet);
    free(arena);
}

static void match(const struct adapter_file *file, int type)
{
    const struct adapter_networks networks = {
        .components = {[ROLE_UNET] = unet_component(network.specs[type])},
        .family = FAMILY_SD15};
    struct adapter_spec *spec = NULL;
    struct region tables = {0};
    struct dr_error err = {.message = ""};
    uint8_t digest[DIGEST_BYTES];
    enum dr_code code = adapter_spec_create(&spec, file, &networks, 1, &err);
    assert((code == DR_OK) == (err.message[0] == '\0') &&
           (code == DR_OK) == (spec != NULL));
    if (code) return;
    size_t count = 0;
    const struct weight_delta *const deltas = adapter_deltas(spec, ROLE_UNET, &count);
    check_deltas(deltas, count);
    const struct component_load_options load = {.ledger = &ledger, .name = "lora"};
    code = component_load(adapter_component(spec), &load, &tables, digest, &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    if (code == DR_OK && count > 0)
        run(network.specs[type], &network.weights[type], &tables,
            &(struct weight_deltas){deltas, count});
    region_close(&tables);
    adapter_spec_destroy(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct choices choices = {data, bytes};
    struct adapter_file file;
    struct dr_error err = {.message = ""};
    if (network.layout.count == 0) {
        if (compute_init(1, NULL) != DR_OK) abort();
        make_network();
    }
    const int type = choose(&choices, network.type_count);
    const uint64_t before = ledger.private_bytes;
    const char *const path = write_adapter(&choices);
    if (!path) return 0;
    if (adapter_file_open(&file, path, &err) == DR_OK) {
        match(&file, type);
        adapter_file_close(&file);
    } else {
        assert(err.message[0]);
    }
    assert(ledger.private_bytes == before);
    return 0;
}
