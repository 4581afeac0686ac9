#include "job/step_list.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "mem/arena_plan.h"
#include "model/latent_space.h"

struct plan *network_plan(const struct network *network)
{
    switch (network->kind) {
    case NETWORK_TEXT: return network->text.plan;
    case NETWORK_ENCODER: return network->encode.plan;
    case NETWORK_UNET: return network->unet.plan;
    case NETWORK_DECODER: return network->decode.plan;
    }
    return NULL;
}

struct step step_init(enum step_kind kind, int32_t width, int32_t height)
{
    return (struct step){.kind = kind,
                         .width = width,
                         .height = height,
                         .network = STEP_NONE,
                         .arena = STEP_NONE,
                         .pixels = STEP_NONE,
                         .moments = STEP_NONE,
                         .latents = STEP_NONE,
                         .state = STEP_NONE,
                         .scratch = STEP_NONE};
}

size_t step_latent_count(const struct step *step)
{
    return latent_space_count(step->width, step->height);
}

/* Room for one more; NULL where there is none. Capacities are powers of two from 16 on, so an array is
 * full where its count is one of them. */
static void *grown(struct step_list *list, void *array, int32_t count, size_t bytes)
{
    const bool is_full = count == 0 || (count >= 16 && (count & (count - 1)) == 0);
    if (!is_full) return array;
    const size_t capacity = count ? 2 * (size_t)count : 16;
    void *const larger = list->has_no_memory ? NULL : realloc(array, capacity * bytes);
    if (!larger) list->has_no_memory = true;
    return larger;
}

int32_t step_list_add_value(struct step_list *list, enum region_tag tag, size_t bytes)
{
    struct step_value *const values =
        grown(list, list->values, list->value_count, sizeof *values);
    if (!values) return 0;
    list->values = values;
    values[list->value_count] = (struct step_value){
        .tag = tag,
        .bytes = bytes,
        .networks = {STEP_NONE, STEP_NONE, STEP_NONE, STEP_NONE},
        .first = INT32_MAX,
        .last = -1
    };
    return list->value_count++;
}

static bool is_network(const struct network *a, const struct network *b)
{
    return a->kind == b->kind && a->slot == b->slot && a->width == b->width &&
           a->height == b->height && a->n == b->n && a->tokens == b->tokens;
}

/* wanted has no plan. */
static int32_t find_or_add(struct step_list *list, const struct network *wanted)
{
    for (int32_t i = 0; i < list->network_count; ++i)
        if (is_network(&list->networks[i], wanted)) return i;
    struct network *const networks =
        grown(list, list->networks, list->network_count, sizeof *networks);
    if (!networks) return 0;
    list->networks = networks;
    networks[list->network_count] = *wanted;
    return list->network_count++;
}

int32_t step_list_network(struct step_list *list, enum network_kind kind,
                          struct slot *slot, int32_t width, int32_t height)
{
    const struct network wanted = {
        .kind = kind, .slot = slot, .width = width, .height = height};
    return find_or_add(list, &wanted);
}

int32_t step_list_unet(struct step_list *list, struct slot *slot,
                       const struct step *step, int32_t n, int32_t tokens)
{
    const struct network wanted = {.kind = NETWORK_UNET,
                                   .slot = slot,
                                   .width = step->width,
                                   .height = step->height,
                                   .n = n,
                                   .tokens = tokens};
    return find_or_add(list, &wanted);
}

int32_t step_list_add_arena(struct step_list *list, int32_t network)
{
    const int32_t value = step_list_add_value(list, REGION_ACTIVATIONS, 0);
    step_list_share_arena(list, value, network);
    return value;
}

void step_list_share_arena(struct step_list *list, int32_t arena, int32_t network)
{
    if (list->has_no_memory) return;
    int32_t *const networks = list->values[arena].networks;
    int32_t i = 0;
    while (networks[i] != STEP_NONE && networks[i] != network) {
        ++i;
        assert(i < STEP_NETWORKS);
    }
    networks[i] = network;
}

static void extend_life(struct step_list *list, int32_t value)
{
    if (value == STEP_NONE || list->has_no_memory) return;
    struct step_value *const it = &list->values[value];
    if (list->step_count < it->first) it->first = list->step_count;
    it->last = list->step_count;
}

void step_list_add(struct step_list *list, const struct step *step)
{
    struct step *const steps =
        grown(list, list->steps, list->step_count, sizeof *steps);
    if (!steps) return;
    list->steps = steps;
    const int32_t values[] = {step->arena,   step->pixels, step->moments,
                              step->latents, step->state,  step->scratch};
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i)
        extend_life(list, values[i]);
    steps[list->step_count++] = *step;
}

bool step_list_has(const struct step_list *list, enum step_kind kind)
{
    for (int32_t i = 0; i < list->step_count; ++i)
        if (list->steps[i].kind == kind) return true;
    return false;
}

struct network *step_list_network_of(const struct step_list *list,
                                     const struct step *step)
{
    return step->network == STEP_NONE ? NULL : &list->networks[step->network];
}

static size_t value_bytes(const struct step_list *list, const struct step_value *value)
{
    size_t bytes = value->bytes;
    for (int i = 0; i < STEP_NETWORKS && value->networks[i] != STEP_NONE; ++i) {
        const struct plan *const plan =
            network_plan(&list->networks[value->networks[i]]);
        if (plan && plan_bytes(plan) > bytes) bytes = plan_bytes(plan);
    }
    return bytes;
}

/* The values of one tag: items and scratch have room for all. */
static enum dr_code place_tag(struct step_list *list, enum region_tag tag,
                              struct arena_item *items, size_t *scratch, size_t *bytes,
                              struct dr_error *err)
{
    size_t count = 0;
    for (int32_t i = 0; i < list->value_count; ++i) {
        const struct step_value *const value = &list->values[i];
        if (value->tag != tag || value->last < 0) continue;
        items[count++] = (struct arena_item){.bytes = value_bytes(list, value),
                                             .first = value->first,
                                             .last = value->last};
    }
    *bytes = 0;
    if (count == 0) return DR_OK;
    const enum dr_code code = arena_plan_place(items, count, scratch, bytes, err);
    if (code != DR_OK) return code;
    count = 0;
    for (int32_t i = 0; i < list->value_count; ++i) {
        struct step_value *const value = &list->values[i];
        if (value->tag == tag && value->last >= 0)
            value->offset = items[count++].offset;
    }
    return DR_OK;
}

enum dr_code step_list_place(struct step_list *list,
                             size_t region_bytes[static REGION_TAG_COUNT],
                             struct dr_error *err)
{
    const size_t count = (size_t)list->value_count + 1;
    struct arena_item *const items =
        list->has_no_memory ? NULL : calloc(count, sizeof *items);
    size_t *const scratch = list->has_no_memory ? NULL : calloc(count, sizeof *scratch);
    enum dr_code code = DR_OK;
    if (!items || !scratch)
        code = error_set(err, DR_NOMEM, "no memory for the layout of a job's values");
    for (int tag = 0; code == DR_OK && tag < REGION_TAG_COUNT; ++tag)
        code = place_tag(list, (enum region_tag)tag, items, scratch, &region_bytes[tag],
                         err);
    free(scratch);
    free(items);
    return code;
}

static void destroy_plan(struct network *network)
{
    switch (network->kind) {
    case NETWORK_TEXT: clip_text_plan_destroy(&network->text); break;
    case NETWORK_ENCODER: vae_encode_plan_destroy(&network->encode); break;
    case NETWORK_UNET: unet_plan_destroy(&network->unet); break;
    case NETWORK_DECODER: vae_decode_plan_destroy(&network->decode); break;
    }
}

/* Memory too: what grown() makes of an array depends on its count. */
void step_list_clear(struct step_list *list)
{
    free(list->values);
    free(list->steps);
    list->values = NULL;
    list->steps = NULL;
    list->value_count = list->step_count = 0;
}

void step_list_finish(struct step_list *list)
{
    for (int32_t i = 0; i < list->network_count; ++i)
        destroy_plan(&list->networks[i]);
    free(list->networks);
    free(list->values);
    free(list->steps);
    *list = (struct step_list){0};
}
