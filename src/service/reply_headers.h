/* reply_headers — the headers that every answer has beside its own: what keeps a browser from reading it as something else,
 * framing it, or showing it to another site.
 */
#ifndef SERVICE_REPLY_HEADERS_H
#define SERVICE_REPLY_HEADERS_H

#include "service/http_reply.h"

typedef void reply_headers_take(void *cookie, const char *name, const char *value);

/* Calls take for each header of a reply, its own ones last. cors_origin: as the gate's verdict has it; NULL: none.
 * varies: there are origins that would be allowed, so caches must keep answers apart. */
void reply_headers_each(const struct http_reply *reply, const char *cors_origin,
                        bool varies, reply_headers_take *take, void *cookie);

/* The head of a reply, with its status line, length and the blank line, as text. Returns its length; what does not fit is
 * left out. Of a reply that is bytes. */
size_t reply_headers_text(const struct http_reply *reply, const char *cors_origin,
                          char *text, size_t text_bytes);

#endif
