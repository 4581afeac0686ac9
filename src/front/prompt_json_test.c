#include "front/prompt_json.h"

#include <stdlib.h>

#include "check.h"

static void all_of_it(void)
{
    char red[] = "red", whole[] = "a (red:1.5)", lora[] = "lora", fur[] = "fur";
    struct dr_prompt_word word = {red, 1, 2, 1, 1.5, 1};
    struct dr_prompt_text text = {whole, 20, 1, 2, &word, 1};
    struct dr_prompt_part part = {0.5, &text, 1};
    struct dr_prompt_network network = {lora, fur, 0.25, 0.75};
    const struct dr_prompt_info info = {&part, 1, &network, 1};
    json_t *const object = json_object();
    prompt_json_add(object, &info);
    char *const shown = json_dumps(object, JSON_COMPACT);
    check_str(
        shown,
        "{\"texts\":[{\"part\":1,\"until_step\":20,\"weight\":0.5,\"chunks\":1,"
        "\"tokens\":2,\"text\":\"a (red:1.5)\"}],\"words\":[{\"part\":1,"
        "\"until_step\":20,\"chunk\":1,\"position\":2,\"tokens\":1,\"weight\":"
        "1.5,\"word\":\"red\",\"embedding\":true}],\"networks\":[{\"kind\":\"lora\",\"name\":"
        "\"fur\",\"unet_weight\":0.75,\"text_weight\":0.25}]}");
    free(shown);
    json_decref(object);
}

static void without_networks(void)
{
    const struct dr_prompt_info info = {0};
    json_t *const object = json_object();
    prompt_json_add(object, &info);
    check(json_object_get(object, "texts") && !json_object_get(object, "networks"));
    json_decref(object);
}

int main(void)
{
    check_run(all_of_it);
    check_run(without_networks);
    return check_done();
}
