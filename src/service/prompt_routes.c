/* /api/v1/loras, embeddings, styles, prompt: what prompts can name, and what a prompt means. */
#include <pthread.h>
#include <string.h>

#include "front/member.h"
#include "front/prompt_json.h"
#include "front/style_json.h"
#include "service/extra_networks.h"
#include "service/failure.h"
#include "service/loose_field.h"
#include "service/model_choice.h"
#include "service/route.h"
#include "service/service.h"

enum {
    CHUNK_TOKENS = 75, /* that a text encoder reads at a time */
    MOST_WORDS = 8192  /* of an answer: each is a row of it */
};

static void give_list(struct service *service, enum extra_kind kind,
                      struct http_reply *reply)
{
    struct dr_error err = {0};
    json_t *list;
    if (extra_networks_list(service->networks, kind, &list, &err) == DR_OK)
        http_reply_json(reply, 200, list);
    else
        http_reply_failure(reply, API_OWN, &err);
}

static void get_loras(struct service *service, const struct http_request *request,
                      struct http_reply *reply)
{
    (void)request;
    give_list(service, EXTRA_LORAS, reply);
}

static void get_embeddings(struct service *service, const struct http_request *request,
                           struct http_reply *reply)
{
    (void)request;
    give_list(service, EXTRA_EMBEDDINGS, reply);
}

static void get_styles(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    struct dr_style_list list;
    struct dr_error err = {0};
    (void)request;
    if (extra_networks_styles(service->networks, &list, &err) != DR_OK) {
        http_reply_failure(reply, API_OWN, &err);
        return;
    }
    json_t *const answer = json_object();
    style_list_json_add(answer, &list);
    dr_style_list_free(&list);
    http_reply_json(reply, 200, answer);
}

/* ---- what a prompt means ----------------------------------------------------------------- */

struct question {
    const char *prompt, *model; /* "": the current one */
    bool is_negative;
    int64_t steps;
};

static enum dr_code read_question(const json_t *body, int32_t most_steps,
                                  struct question *question, const char **field,
                                  struct dr_error *err)
{
    *question = (struct question){.prompt = "", .model = "", .steps = 20};
    *field = "prompt";
    enum dr_code code = loose_text(body, *field, &question->prompt, err);
    if (code == DR_OK && strlen(question->prompt) > PICTURE_PROMPT_BYTES)
        code = failure(err, DR_BAD_INPUT,
                       "prompt has %zu bytes; this service takes at most %d",
                       strlen(question->prompt), PICTURE_PROMPT_BYTES);
    if (code != DR_OK) return code;
    *field = "model";
    code = loose_text(body, *field, &question->model, err);
    if (code != DR_OK) return code;
    *field = "is_negative";
    code = loose_flag(body, *field, &question->is_negative, err);
    if (code != DR_OK) return code;
    *field = "steps";
    return loose_integer(body, *field, 1, most_steps, &question->steps, err);
}

/* Without a model a vocabulary may be found all the same. */
static enum dr_code find_model(struct service *service, const char *said,
                               char path[DR_PATH_BYTES], struct dr_error *err)
{
    struct dr_error ignored;
    *path = '\0';
    if (*said) return model_folders_find(service->models, said, path, err);
    if (model_choice_path(service->option_list, service->models, path, &ignored) !=
        DR_OK)
        *path = '\0';
    return DR_OK;
}

/* One at a time: it takes the memory of a vocabulary. */
static enum dr_code describe(const char *prompt, const struct dr_prompt_options *how,
                             struct dr_prompt_info *info, struct dr_error *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    const enum dr_code code = dr_describe_prompt(prompt, how, info, err);
    pthread_mutex_unlock(&lock);
    return code;
}

static void post_prompt(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    struct question question;
    struct dr_prompt_info info = {0};
    struct dr_error err = {0};
    char model[DR_PATH_BYTES];
    const char *field = NULL;
    enum dr_code code = read_question(request->json.value, service->options->most_steps,
                                      &question, &field, &err);
    if (code == DR_OK) {
        field = "model";
        code = find_model(service, question.model, model, &err);
    }
    if (code == DR_OK) {
        const struct dr_prompt_options how = {
            .is_negative = question.is_negative,
            .steps = (int32_t)question.steps,
            .tokenizer_folder = service->options->engine.tokenizer_folder,
            .model = model,
            .embedding_directory =
                extra_networks_directory(service->networks, EXTRA_EMBEDDINGS),
            .most_words = MOST_WORDS};
        field = "prompt";
        code = describe(question.prompt, &how, &info, &err);
        model_folders_hide(service->models, err.message);
        extra_networks_hide(service->networks, err.message);
    }
    if (code != DR_OK) {
        if (code == DR_BAD_INPUT)
            http_reply_error(reply, API_OWN, 422, field, "%s", err.message);
        else
            http_reply_failure(reply, API_OWN, &err);
        return;
    }
    json_t *const answer = json_object();
    prompt_json_add(answer, &info);
    member_set_integer(answer, "chunk_tokens", CHUNK_TOKENS);
    dr_prompt_info_free(&info);
    http_reply_json(reply, 200, answer);
}

const struct route prompt_routes[] = {
    {.method = HTTP_GET,
     .path = "/api/v1/loras",
     .handle = get_loras,
     .shape = API_OWN,
     .summary = "LoRAs, with family, trigger words and bytes",
     .gives = "LoraList"},
    {.method = HTTP_GET,
     .path = "/api/v1/embeddings",
     .handle = get_embeddings,
     .shape = API_OWN,
     .summary = "Embeddings, with family, vectors and bytes",
     .gives = "EmbeddingList"},
    {.method = HTTP_GET,
     .path = "/api/v1/styles",
     .handle = get_styles,
     .shape = API_OWN,
     .summary = "Styles: words that are put around a prompt",
     .gives = "StyleList"},
    {.method = HTTP_POST,
     .path = "/api/v1/prompt",
     .handle = post_prompt,
     .body = ROUTE_BODY_JSON,
     .shape = API_OWN,
     .summary =
         "What a prompt means: its parts, and each word's chunk, tokens and weight", .takes = "Prompt",
     .gives = "PromptMeaning"},
    {.path = NULL                            },
};
