#include "job/step_list.h"

#include "check.h"
#include "mem/arena_plan.h"

static struct slot unet = {.kind = DR_COMPONENT_UNET, .name = "unet"};
static struct slot vae = {.kind = DR_COMPONENT_VAE, .name = "vae"};

static size_t bytes_of(struct step_list *list, enum region_tag tag)
{
    size_t bytes[REGION_TAG_COUNT];
    check_int(step_list_place(list, bytes, NULL), ==, DR_OK);
    return bytes[tag];
}

static void add_use(struct step_list *list, int32_t latents, int32_t scratch)
{
    struct step step = step_init(STEP_NOISE, 64, 64);
    step.latents = latents;
    step.scratch = scratch;
    step_list_add(list, &step);
}

static void values_share_where_their_lives_do_not_touch(void)
{
    struct step_list list = {0};
    const int32_t kept = step_list_add_value(&list, REGION_LATENTS, 1024);
    const int32_t one = step_list_add_value(&list, REGION_LATENTS, 512);
    const int32_t two = step_list_add_value(&list, REGION_LATENTS, 256);
    const int32_t other = step_list_add_value(&list, REGION_IMAGE, 64);
    const int32_t unused = step_list_add_value(&list, REGION_LATENTS, 1 << 20);
    add_use(&list, kept, one);
    add_use(&list, kept, two);
    add_use(&list, other, STEP_NONE);
    check_int(bytes_of(&list, REGION_LATENTS), ==, 1024 + 512);
    check_int(bytes_of(&list, REGION_IMAGE), ==, 64);
    check_int(bytes_of(&list, REGION_ACTIVATIONS), ==, 0);
    check_int(list.values[one].offset, ==, list.values[two].offset);
    check_int(list.values[unused].last, <, 0);
    /* A step that names both makes their lives touch. */
    add_use(&list, one, two);
    check_int(bytes_of(&list, REGION_LATENTS), ==, 1024 + 512 + 256);
    check(list.values[one].offset != list.values[two].offset);
    step_list_finish(&list);
}

static void networks_are_shared_by_kind_slot_and_size(void)
{
    struct step_list list = {0};
    const int32_t first = step_list_network(&list, NETWORK_UNET, &unet, 64, 64);
    check_int(step_list_network(&list, NETWORK_UNET, &unet, 64, 64), ==, first);
    const int32_t wide = step_list_network(&list, NETWORK_UNET, &unet, 96, 64);
    const int32_t decoder = step_list_network(&list, NETWORK_DECODER, &vae, 64, 64);
    const int32_t encoder = step_list_network(&list, NETWORK_ENCODER, &vae, 64, 64);
    check_int(list.network_count, ==, 4);
    check(wide != first && decoder != encoder);
    /* Another model half way is another slot. */
    struct slot refiner = {.kind = DR_COMPONENT_UNET, .kind_idx = 1, .name = "refiner"};
    check_int(step_list_network(&list, NETWORK_UNET, &refiner, 64, 64), ==, 4);
    step_list_finish(&list);
    check_int(list.network_count, ==, 0);
}

static void lists_are_as_long_as_needed(void)
{
    enum {
        COUNT = 1000
    };
    struct step_list list = {0};
    const int32_t latents = step_list_add_value(&list, REGION_LATENTS, 4096);
    for (int32_t i = 0; i < COUNT; ++i)
        add_use(&list, latents, step_list_add_value(&list, REGION_LATENTS, 128));
    check_int(list.step_count, ==, COUNT);
    check_int(list.value_count, ==, COUNT + 1);
    check_int(list.values[latents].first, ==, 0);
    check_int(list.values[latents].last, ==, COUNT - 1);
    /* All scratch shares one place. */
    check_int(bytes_of(&list, REGION_LATENTS), ==, 4096 + 128);
    check(step_list_has(&list, STEP_NOISE) && !step_list_has(&list, STEP_SAMPLE));
    step_list_finish(&list);
}

static void a_list_without_memory_is_refused(void)
{
    struct step_list list = {.has_no_memory = true};
    size_t bytes[REGION_TAG_COUNT];
    const int32_t value = step_list_add_value(&list, REGION_LATENTS, 64);
    add_use(&list, value, STEP_NONE);
    check_int(list.step_count, ==, 0);
    check_int(step_list_place(&list, bytes, NULL), ==, DR_NOMEM);
    step_list_finish(&list);
}

int main(void)
{
    check_run(values_share_where_their_lives_do_not_touch);
    check_run(networks_are_shared_by_kind_slot_and_size);
    check_run(lists_are_as_long_as_needed);
    check_run(a_list_without_memory_is_refused);
    return check_done();
}
