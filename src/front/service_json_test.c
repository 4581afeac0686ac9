#include "front/service_json.h"

#include "check.h"

static enum dr_code read_answer(json_t *fields, int status, const char *text,
                                struct dr_error *err)
{
    return service_json_read(fields, status, text, strlen(text), err);
}

static void an_answer_gives_its_members(void)
{
    struct dr_error err = {0};
    json_t *const fields = json_pack("{s:s}", "command", "submit");
    check_int(read_answer(fields, 202, "{\"id\":\"7\",\"position\":1}", &err), ==,
              DR_OK);
    check_str(json_string_value(json_object_get(fields, "id")), "7");
    check_int(json_object_size(fields), ==, 3);
    json_decref(fields);
}

static void an_error_is_the_services(void)
{
    struct dr_error err = {0};
    json_t *const fields = json_object();
    check_int(read_answer(fields, 404,
                          "{\"error\":{\"code\":\"not_found\",\"message\":\"no x\"}}",
                          &err),
              ==, DR_NOT_FOUND);
    check_str(err.message, "the service says: no x");
    check_int(read_answer(
                  fields, 401,
                  "{\"error\":{\"code\":\"unauthorized\",\"message\":\"who?\"}}", &err),
              ==, DR_FAILED);
    static const char *const others[] = {"<html>", "", "[]", "{\"error\":\"x\"}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i) {
        check_int(read_answer(fields, 502, others[i], &err), ==, DR_CORRUPT);
        check_has(err.message, "status 502");
    }
    check_int(read_answer(fields, 200, "[]", &err), ==, DR_CORRUPT);
    check_int(json_object_size(fields), ==, 0);
    json_decref(fields);
}

static void loaded_models_are_found_and_say_until_when(void)
{
    struct dr_error err = {0};
    json_t *const fields = json_object();
    const enum dr_code code = read_answer(
        fields, 200,
        "{\"models\":[{\"model\":\"sd15.safetensors [01]\",\"path\":\"/m/sd15.safetensors\","
        "\"expires\":1010.5}]}",
        &err);
    check_int(code, ==, DR_OK);
    check_int(service_json_show_expiry(fields, 1000), ==, 1);
    const json_t *const model = json_array_get(json_object_get(fields, "models"), 0);
    check_real(json_number_value(json_object_get(model, "expires_in_ms")), ==, 10500);
    check(json_object_get(model, "expires") == NULL);
    check_str(service_json_loaded(fields, "sd15"), "sd15.safetensors [01]");
    check_str(service_json_loaded(fields, "/m/sd15.safetensors"),
              "sd15.safetensors [01]");
    check(service_json_loaded(fields, "sdxl") == NULL);
    check(service_json_loaded(fields, "") == NULL);
    json_decref(fields);
    json_t *const never =
        json_pack("{s:[{s:s,s:n}]}", "models", "model", "a", "expires");
    check_int(service_json_show_expiry(never, 1000), ==, 1);
    check(json_is_null(json_object_get(
        json_array_get(json_object_get(never, "models"), 0), "expires_in_ms")));
    json_decref(never);
}

static void a_job_says_what_was_given(void)
{
    const uint64_t seed = UINT64_MAX;
    const struct service_job full = {.prompt = "a \"cat\"",
                                     .model = "sd15",
                                     .vae = "none",
                                     .width = 64,
                                     .batch = 2,
                                     .cfg = 0,
                                     .seed = &seed};
    char *text = service_json_job(&full);
    json_t *body = json_loads(text, 0, NULL);
    check_str(json_string_value(json_object_get(body, "prompt")), "a \"cat\"");
    check_str(json_string_value(json_object_get(body, "seed")), "18446744073709551615");
    check_int(json_integer_value(json_object_get(body, "batch_size")), ==, 2);
    check(json_object_get(body, "cfg_scale") && !json_object_get(body, "height"));
    check_str(json_string_value(json_object_get(
                  json_object_get(body, "override_settings"), "sd_vae")),
              "none");
    json_decref(body);
    free(text);
    struct dr_sampling sampling = dr_sampling_default();
    const char *const styles[] = {"Ink", "Night", NULL};
    sampling.eta = 0.5;
    sampling.variation_strength = 0.25;
    sampling.variation_seed = UINT64_MAX;
    sampling.seed_resize_width = sampling.seed_resize_height = 64;
    sampling.eta_seed_delta = -3;
    const struct service_job drawn = {.prompt = "a",
                                      .cfg = -1,
                                      .styles = styles,
                                      .sampling = &sampling,
                                      .emphasis = DR_EMPHASIS_NO_NORM,
                                      .pad_prompts = 1};
    text = service_json_job(&drawn);
    check_str(text,
              "{\"prompt\":\"a\",\"eta\":0.5,\"subseed_strength\":0.25,\"subseed\":"
              "\"18446744073709551615\",\"seed_resize_from_w\":64,"
              "\"seed_resize_from_h\":64,\"eta_noise_seed_delta\":-3,"
              "\"styles\":[\"Ink\",\"Night\"],\"override_settings\":{\"emphasis\":"
              "\"No norm\",\"pad_cond_uncond\":true}}");
    free(text);
    const struct service_job least = {.prompt = "a", .cfg = -1};
    text = service_json_job(&least);
    check_str(text, "{\"prompt\":\"a\",\"override_settings\":{}}");
    free(text);
}

int main(void)
{
    check_run(an_answer_gives_its_members);
    check_run(an_error_is_the_services);
    check_run(loaded_models_are_found_and_say_until_when);
    check_run(a_job_says_what_was_given);
    return check_done();
}
