/* LoRAs of real directories: what is listed, how long, and what clients are told of a prompt that names them. */
#include "service/extra_networks.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "service/extra_networks_fixture.h"

static struct dr_error problem;
static const char *paths[3];
static double now_ms;

static double clock_ms(void)
{
    return now_ms;
}

static struct extra_networks *open_networks(void)
{
    const struct extra_networks_options options = {.folders = {paths},
                                                   .clock_ms = clock_ms};
    struct extra_networks *networks = NULL;
    check_int(extra_networks_create(&networks, &options, &problem), ==, DR_OK);
    return networks;
}

static size_t count(struct extra_networks *networks)
{
    json_t *list = NULL;
    check_int(extra_networks_list(networks, EXTRA_LORAS, &list, &problem), ==, DR_OK);
    const size_t count = json_array_size(json_object_get(list, "loras"));
    json_decref(list);
    return count;
}

static void what_is_there_is_listed(void)
{
    struct extra_networks *const networks = open_networks();
    json_t *list = NULL;
    check_int(extra_networks_list(networks, EXTRA_LORAS, &list, &problem), ==, DR_OK);
    const json_t *const loras = json_object_get(list, "loras");
    check_int(json_array_size(loras), ==, 3);
    const json_t *const ink = json_array_get(loras, 0);
    check_str(json_string_value(json_object_get(ink, "name")), "ink");
    check_str(json_string_value(json_object_get(ink, "family")), "sd15");
    check_str(json_string_value(json_object_get(ink, "trigger_words")), "ink");
    check_str(json_string_value(json_object_get(ink, "problem")), "");
    check(json_string_length(json_object_get(json_array_get(loras, 1), "problem")) > 0);
    check_str(json_string_value(json_object_get(json_array_get(loras, 2), "file")),
              "wash/chalk.safetensors");
    json_decref(list);
    extra_networks_destroy(networks);
}

static void a_list_is_kept_for_a_while(void)
{
    struct extra_networks *const networks = open_networks();
    check_int(count(networks), ==, 3);
    put_lora("one/new.safetensors");
    now_ms += EXTRA_NETWORKS_KEEP_MS - 1;
    check_int(count(networks), ==, 3);
    now_ms += 1;
    check_int(count(networks), ==, 4);
    check_int(unlink(scratch_path("one/new.safetensors")), ==, 0);
    check_int(count(networks), ==, 4);
    extra_networks_refresh(networks);
    check_int(count(networks), ==, 3);
    /* A clock that went back. */
    put_lora("one/new.safetensors");
    now_ms -= 1;
    check_int(count(networks), ==, 4);
    check_int(unlink(scratch_path("one/new.safetensors")), ==, 0);
    extra_networks_destroy(networks);
}

static void a_file_of_the_list_has_a_name(void)
{
    struct extra_networks *const networks = open_networks();
    char name[256];
    check_int(extra_networks_find_lora(networks, "wash/chalk.safetensors", name,
                                       &problem),
              ==, DR_OK);
    check_str(name, "chalk");
    check_int(extra_networks_find_lora(networks, "../one/ink.safetensors", name,
                                       &problem),
              ==, DR_NOT_FOUND);
    check_int(extra_networks_find_lora(networks, scratch_path("one/ink.safetensors"),
                                       name, &problem),
              ==, DR_NOT_FOUND);
    extra_networks_destroy(networks);
}

static void a_prompt_is_checked_and_no_path_is_told(void)
{
    struct extra_networks *const networks = open_networks();
    check_int(extra_networks_check(networks, "<lora:ink:1> <lora:chalk:0.5>", "",
                                   &problem),
              ==, DR_OK);
    check_int(extra_networks_check(networks, "<lora:brush:1>", "", &problem), ==,
              DR_NOT_FOUND);
    check(strstr(problem.message, "brush") != NULL);
    check(strstr(problem.message, scratch_folder()) == NULL);
    check_int(extra_networks_check(networks, "a", "(b:1.2.3)", &problem), ==,
              DR_BAD_INPUT);
    char text[2 * DR_PATH_BYTES];
    (void)snprintf(text, sizeof text, "%s is broken",
                   scratch_path("two/wash/chalk.safetensors"));
    extra_networks_hide(networks, text);
    check_str(text, "wash/chalk.safetensors is broken");
    extra_networks_destroy(networks);
}

static void the_default_directory_is_hidden_too(void)
{
    const struct extra_networks_options options = {.clock_ms = clock_ms};
    struct extra_networks *networks = NULL;
    char text[2 * DR_PATH_BYTES];
    check_int(setenv("DARKROOM_LORA_DIR", scratch_path("one"), 1), ==, 0);
    check_int(extra_networks_create(&networks, &options, &problem), ==, DR_OK);
    check(extra_networks_directory(networks, EXTRA_LORAS) == NULL);
    (void)snprintf(text, sizeof text, "%s", scratch_path("one/ink.safetensors"));
    extra_networks_hide(networks, text);
    check_str(text, "ink.safetensors");
    extra_networks_destroy(networks);
}

int main(void)
{
    static char first[DR_PATH_BYTES], second[DR_PATH_BYTES];
    (void)mkdir(scratch_path("one"), 0700);
    (void)mkdir(scratch_path("two"), 0700);
    (void)mkdir(scratch_path("two/wash"), 0700);
    (void)snprintf(first, sizeof first, "%s", scratch_path("one"));
    (void)snprintf(second, sizeof second, "%s", scratch_path("two"));
    paths[0] = first;
    paths[1] = second;
    put_lora("one/ink.safetensors");
    put_lora("two/wash/chalk.safetensors");
    scratch_write(scratch_path("two/wash/broken.safetensors"), "hello", 5);
    check_run(what_is_there_is_listed);
    check_run(a_list_is_kept_for_a_while);
    check_run(a_file_of_the_list_has_a_name);
    check_run(a_prompt_is_checked_and_no_path_is_told);
    check_run(the_default_directory_is_hidden_too);
    return check_done();
}
