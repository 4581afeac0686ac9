/* picture_stream — a reply of text with pictures in it as base64, read from their files while it is sent.
 *
 *     {"images":["            text
 *     iVBORw0KGgo...          a picture
 *     "],"info":"..."}        text
 *
 * So a reply takes the memory of its texts and one block (PICTURE_STREAM_BLOCK_BYTES), however large its pictures are. Its
 * length is known before. A picture that is removed meanwhile ends the connection before that length. One thread.
 */
#ifndef SERVICE_PICTURE_STREAM_H
#define SERVICE_PICTURE_STREAM_H

#include "service/gallery.h"
#include "service/http_reply.h"

enum {
    PICTURE_STREAM_BLOCK_BYTES = 16 * 1024
};

struct picture_stream; /* opaque */

/* NULL: no memory. */
struct picture_stream *picture_stream_create(struct store *store);
void picture_stream_destroy(struct picture_stream *stream); /* NULL is fine */

/* Added in order. What goes in is copied, but for text of picture_stream_add_take, which is malloc'ed and taken also on
 * failure, with NULL for no memory. Errors: DR_NOMEM. */
enum dr_code picture_stream_add(struct picture_stream *stream, const char *text,
                                struct dr_error *err) DR_MUST_CHECK;
enum dr_code picture_stream_add_take(struct picture_stream *stream, char *text_take,
                                     struct dr_error *err) DR_MUST_CHECK;
/* Errors also: DR_NOT_FOUND, where its file is gone. */
enum dr_code picture_stream_add_picture(struct picture_stream *stream,
                                        const struct gallery_picture *picture,
                                        struct dr_error *err) DR_MUST_CHECK;

/* The stream becomes the body of the reply, which is JSON with status 200. */
void picture_stream_reply_take(struct picture_stream *stream_take,
                               struct http_reply *reply);

#endif
