#include "service_commands.h"

#include <stdlib.h>
#include <time.h>

#include "front/service_json.h"
#include "service_client.h"

static enum dr_code ask(const struct service_request *request, json_t *fields,
                        struct dr_error *err)
{
    struct service_reply reply;
    enum dr_code code = service_client_ask(request, &reply, err);
    if (code != DR_OK) return code;
    code = service_json_read(fields, reply.status, reply.body, reply.byte_count, err);
    service_reply_finish(&reply);
    return code;
}

static enum dr_code ask_loaded(json_t *fields, struct dr_error *err)
{
    const struct service_request request = {.method = "GET", .path = "/api/v1/ps"};
    return ask(&request, fields, err);
}

enum dr_code run_ps(struct session *session, const struct options *options,
                    json_t *fields, struct dr_error *err)
{
    struct timespec now;
    (void)options;
    const enum dr_code code = ask_loaded(fields, err);
    if (code != DR_OK) return code;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (service_json_show_expiry(fields,
                                 (double)now.tv_sec + (double)now.tv_nsec / 1e9) == 0)
        talk_log(&session->talk, DR_LOG_NOTICE, "no model is loaded");
    return DR_OK;
}

static enum dr_code check_loaded(const char *said, struct dr_error *err)
{
    json_t *const loaded = answer_fields();
    if (!loaded) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    enum dr_code code = ask_loaded(loaded, err);
    if (code == DR_OK && !service_json_loaded(loaded, said))
        code = command_fail(err, DR_NOT_FOUND,
                            "the service has no model \"%.200s\" loaded; darkroom ps "
                            "shows what it has",
                            said);
    answer_free(loaded);
    return code;
}

enum dr_code run_stop(struct session *session, const struct options *options,
                      json_t *fields, struct dr_error *err)
{
    const struct service_request request = {.method = "POST",
                                            .path = "/api/v1/unload",
                                            .body = "{\"what\":\"all\"}"};
    (void)session;
    if (options->operand_count > 0) {
        const enum dr_code code = check_loaded(options->operands[0], err);
        if (code != DR_OK) return code;
    }
    return ask(&request, fields, err);
}

enum dr_code run_submit(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    const struct service_job job = {
        .prompt = options->prompt,
        .negative = options->negative,
        .model = options->model,
        .vae = options->vae,
        .sampler = options->sampler,
        .scheduler = options->scheduler,
        .width = options->width,
        .height = options->height,
        .steps = options->steps,
        .clip_skip = options->clip_skip,
        .batch = options->batch,
        .cfg = options->cfg,
        .seed = options->seed_given ? &options->seed : NULL,
        .styles = options->styles.list,
        .sampling = &options->sampling,
        .emphasis = (enum dr_emphasis)options->emphasis,
        .pad_prompts = options->pad_prompts,
    };
    (void)session;
    if (!options->prompt_given)
        return command_fail(err, DR_BAD_INPUT, "submit needs a prompt: -p TEXT");
    char *const body = service_json_job(&job);
    if (!body) return command_fail(err, DR_NOMEM, "out of memory for the request");
    const struct service_request request = {.method = "POST",
                                            .path = "/api/v1/jobs",
                                            .body = body};
    const enum dr_code code = ask(&request, fields, err);
    free(body);
    return code;
}
