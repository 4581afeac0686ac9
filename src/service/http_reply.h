/* http_reply — what is answered: a status, a type, and a body that is bytes, a file or a stream of events.
 *
 * A handler fills a reply that http_reply_init has prepared. Headers that every answer has (nosniff, the CSP of HTML,
 * Cache-Control) are added where replies are sent (http_server.h), and so are CORS headers.
 */
#ifndef SERVICE_HTTP_REPLY_H
#define SERVICE_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <darkroom/error.h>
#include <jansson.h>

enum {
    HTTP_REPLY_HEADERS = 6,
    HTTP_REPLY_TEXT = 160
};

/* How an error looks to the clients of an API. */
enum api_shape {
    API_OWN,   /* {"error":{"code","message"}} */
    API_A1111, /* {"error":"HTTPException","detail","body":"","errors","message"} */
    API_OPENAI /* {"error":{"message","type","param","code"}} */
};

enum http_body {
    HTTP_BODY_BYTES,
    HTTP_BODY_FILE,
    HTTP_BODY_STREAM
};

/* Writes the next bytes of a stream into at most capacity bytes, and may wait for them. Returns how many; 0: the
 * stream has ended, or cannot go on where less than byte_count has come: then the connection is closed, so that the
 * client sees that something is missing. It is called in the thread of the connection. */
typedef size_t http_stream_read(void *cookie, char *bytes, size_t capacity);

struct http_reply {
    int status;
    const char *content_type; /* static */
    struct {
        const char *name; /* static */
        char value[HTTP_REPLY_TEXT];
    } headers[HTTP_REPLY_HEADERS];
    size_t header_count;
    enum http_body kind;
    void *bytes; /* malloc'ed, or static where is_static; the reply's */
    size_t byte_count;
    bool is_static;
    int file; /* open for reading, the reply's; with byte_count its size */
    http_stream_read
        *read; /* of a stream; byte_count: its length, 0 where it is not known */
    void (*close)(
        void *
            cookie); /* of the stream, when it has ended or the client has gone; may be NULL */
    void *cookie;
    bool closes; /* the connection, after the reply */
};

/* 500 without a body, until a handler says otherwise. */
void http_reply_init(struct http_reply *reply);
/* Frees the body, closes the file or stream. */
void http_reply_finish(struct http_reply *reply);

/* A value as JSON, which is taken. NULL, or one that cannot be printed, gives 500 with an error. `<` is escaped. */
void http_reply_json(struct http_reply *reply, int status, json_t *value_take);
/* A value as such text, for a reply that is put together; the value is taken. malloc'ed; NULL: no memory. */
char *http_reply_print(json_t *value_take);
/* Bytes that stay: a page's file. */
void http_reply_static(struct http_reply *reply, const char *content_type,
                       const void *bytes, size_t count);
/* One more header; value is copied, and cut at HTTP_REPLY_TEXT. A value with a control character is left out. */
void http_reply_header(struct http_reply *reply, const char *name, const char *value);

/* An error in the shape of an API. With 429 and 503 Retry-After is added; with API_OPENAI `x-should-retry: false`
 * where asking again gives the same. param: the field that is wrong; NULL for none. */
void http_reply_error(struct http_reply *reply, enum api_shape shape, int status,
                      const char *param, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The engine's error: status by dr_code_http, its message, code and figures. */
void http_reply_failure(struct http_reply *reply, enum api_shape shape,
                        const struct dr_error *err);

#endif
