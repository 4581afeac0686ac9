#include "service/http_reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/member.h"

void http_reply_init(struct http_reply *reply)
{
    *reply = (struct http_reply){.status = 500,
                                 .content_type = "application/json",
                                 .file = -1};
}

static void finish_body(struct http_reply *reply)
{
    if (reply->kind == HTTP_BODY_STREAM && reply->close) reply->close(reply->cookie);
    if (reply->kind == HTTP_BODY_FILE && reply->file >= 0) close(reply->file);
    if (!reply->is_static) free(reply->bytes);
    reply->bytes = NULL;
    reply->byte_count = 0;
    reply->is_static = false;
    reply->file = -1;
    reply->kind = HTTP_BODY_BYTES;
}

void http_reply_finish(struct http_reply *reply)
{
    finish_body(reply);
}

/* `<` inside strings, so that no answer can be taken for a page: it stands in no other place of JSON. */
static char *escape_less_than(char *text_take)
{
    size_t count = 0;
    for (const char *c = text_take; *c; ++c)
        count += *c == '<';
    if (count == 0) return text_take;
    char *const escaped = malloc(strlen(text_take) + 5 * count + 1);
    char *out = escaped;
    for (const char *c = text_take; escaped && *c; ++c) {
        if (*c != '<')
            *out++ = *c;
        else
            out = (char *)memcpy(out, "\\u003c", 6) + 6;
    }
    if (escaped) *out = '\0';
    free(text_take);
    return escaped;
}

static void set_static(struct http_reply *reply, const void *bytes, size_t count)
{
    finish_body(reply);
    /* It is not written to: is_static keeps it from being freed. */
    memcpy(&reply->bytes, &bytes, sizeof bytes);
    reply->byte_count = count;
    reply->is_static = true;
}

char *http_reply_print(json_t *value_take)
{
    char *const text =
        value_take ? json_dumps(value_take, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value_take);
    return text ? escape_less_than(text) : NULL;
}

void http_reply_json(struct http_reply *reply, int status, json_t *value_take)
{
    static const char no_memory[] =
        "{\"error\":{\"code\":\"no_memory\",\"message\":\"there is no memory for the answer\"}}";
    char *const text = http_reply_print(value_take);
    reply->content_type = "application/json";
    if (!text) {
        reply->status = 500;
        set_static(reply, no_memory, sizeof no_memory - 1);
        return;
    }
    finish_body(reply);
    reply->status = status;
    reply->bytes = text;
    reply->byte_count = strlen(text);
    reply->is_static = false;
}

void http_reply_static(struct http_reply *reply, const char *content_type,
                       const void *bytes, size_t count)
{
    set_static(reply, bytes, count);
    reply->status = 200;
    reply->content_type = content_type;
}

void http_reply_header(struct http_reply *reply, const char *name, const char *value)
{
    if (reply->header_count == HTTP_REPLY_HEADERS) return;
    for (const char *c = value; *c; ++c)
        if ((unsigned char)*c < ' ' || *c == 0x7f) return;
    reply->headers[reply->header_count].name = name;
    snprintf(reply->headers[reply->header_count].value, HTTP_REPLY_TEXT, "%s", value);
    ++reply->header_count;
}

/* ---- errors ------------------------------------------------------------------------------ */

static const char *openai_type(int status)
{
    if (status == 401) return "authentication_error";
    if (status == 429) return "rate_limit_error";
    return status < 500 ? "invalid_request_error" : "server_error";
}

static json_t *openai_error(int status, const char *code, const char *param,
                            const char *message)
{
    json_t *const error = json_object();
    member_set_text(error, "message", message);
    member_set_text(error, "type", openai_type(status));
    if (param)
        member_set_text(error, "param", param);
    else
        member_set(error, "param", json_null());
    /* Clients look for this one. */
    if (status == 404 && param && strcmp(param, "model") == 0) code = "model_not_found";
    if (code)
        member_set_text(error, "code", code);
    else
        member_set(error, "code", json_null());
    json_t *const value = json_object();
    member_set(value, "error", error);
    return value;
}

static json_t *a1111_error(const char *message)
{
    json_t *const value = json_object();
    member_set_text(value, "error", "HTTPException");
    member_set_text(value, "detail", message);
    member_set_text(value, "body", "");
    member_set_text(value, "errors", message);
    member_set_text(value, "message", message);
    return value;
}

static json_t *own_error(const char *code, const char *param, const char *message)
{
    json_t *const error = json_object();
    member_set_text(error, "code", code);
    member_set_text(error, "message", message);
    if (param) member_set_text(error, "field", param);
    json_t *const value = json_object();
    member_set(value, "error", error);
    return value;
}

static const char *code_of_status(int status)
{
    switch (status) {
    case 400: return "bad_input";
    case 401: return "unauthorized";
    case 403: return "forbidden";
    case 404: return "not_found";
    case 405: return "method_not_allowed";
    case 413: return "too_large";
    case 415: return "unsupported_media_type";
    case 422: return "bad_input";
    case 429: return "queue_full";
    case 501: return "not_implemented";
    case 503: return "busy";
    default: return "failed";
    }
}

static void set_error(struct http_reply *reply, enum api_shape shape, int status,
                      const char *code, const char *param, const char *message)
{
    switch (shape) {
    case API_OWN:
        http_reply_json(reply, status, own_error(code, param, message));
        break;
    case API_A1111: http_reply_json(reply, status, a1111_error(message)); break;
    case API_OPENAI:
        http_reply_json(reply, status, openai_error(status, code, param, message));
        /* Its clients repeat every 5xx twice unless they are told not to. */
        if (status != 429 && status != 503)
            http_reply_header(reply, "x-should-retry", "false");
        break;
    }
    if (status == 429 || status == 503) http_reply_header(reply, "Retry-After", "5");
}

void http_reply_error(struct http_reply *reply, enum api_shape shape, int status,
                      const char *param, const char *format, ...)
{
    char message[sizeof((struct dr_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    set_error(reply, shape, status, code_of_status(status), param, message);
}

void http_reply_failure(struct http_reply *reply, enum api_shape shape,
                        const struct dr_error *err)
{
    set_error(reply, shape, dr_code_http(err->code), dr_code_name(err->code), NULL,
              err->message);
}
