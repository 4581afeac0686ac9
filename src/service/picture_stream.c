#include "service/picture_stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base64.h"
#include "service/failure.h"

enum {
    FILE_BYTES = PICTURE_STREAM_BLOCK_BYTES / 4 * 3 /* whole groups of base64 */
};

struct piece {
    char *text; /* NULL: a picture */
    size_t length;
    struct gallery_picture picture; /* what gallery_open needs of it: no texts */
};

struct picture_stream {
    struct store *store;
    struct piece *pieces;
    size_t piece_count;
    /* Where it is. */
    size_t piece, offset;
    int file; /* of the piece; -1 */
    uint64_t file_left;
    char block[PICTURE_STREAM_BLOCK_BYTES];
    size_t block_used, block_bytes;
};

struct picture_stream *picture_stream_create(struct store *store)
{
    struct picture_stream *const stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    stream->store = store;
    stream->file = -1;
    return stream;
}

void picture_stream_destroy(struct picture_stream *stream)
{
    if (!stream) return;
    for (size_t i = 0; i < stream->piece_count; ++i)
        free(stream->pieces[i].text);
    if (stream->file >= 0) (void)close(stream->file);
    free(stream->pieces);
    free(stream);
}

/* ---- what it has ------------------------------------------------------------------------- */

static enum dr_code add(struct picture_stream *stream, const struct piece *piece,
                        struct dr_error *err)
{
    struct piece *const grown =
        realloc(stream->pieces, (stream->piece_count + 1) * sizeof *grown);
    if (!grown) return failure_memory(err, "the answer");
    stream->pieces = grown;
    grown[stream->piece_count++] = *piece;
    return DR_OK;
}

enum dr_code picture_stream_add_take(struct picture_stream *stream, char *text_take,
                                     struct dr_error *err)
{
    if (!text_take) return failure_memory(err, "the answer");
    const struct piece piece = {.text = text_take, .length = strlen(text_take)};
    const enum dr_code code = add(stream, &piece, err);
    if (code != DR_OK) free(text_take);
    return code;
}

enum dr_code picture_stream_add(struct picture_stream *stream, const char *text,
                                struct dr_error *err)
{
    return picture_stream_add_take(stream, strdup(text), err);
}

enum dr_code picture_stream_add_picture(struct picture_stream *stream,
                                        const struct gallery_picture *picture,
                                        struct dr_error *err)
{
    int file = -1;
    enum dr_code code = gallery_open(stream->store, picture, &file, err);
    if (code != DR_OK) return code;
    (void)close(file);
    struct piece piece = {.length = base64_length((size_t)picture->bytes),
                          .picture = *picture};
    piece.picture.prompt = piece.picture.model = piece.picture.vae = NULL;
    piece.picture.parameters = NULL;
    return add(stream, &piece, err);
}

/* ---- sending ----------------------------------------------------------------------------- */

static bool read_whole(int file, unsigned char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        const ssize_t got = read(file, bytes + done, count - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

/* The next block of the picture's text; false where its file is gone or too short. */
static bool fill_block(struct picture_stream *stream, const struct piece *piece)
{
    unsigned char bytes[FILE_BYTES];
    if (stream->file < 0) {
        if (gallery_open(stream->store, &piece->picture, &stream->file, NULL) != DR_OK)
            return false;
        stream->file_left = piece->picture.bytes;
    }
    const size_t count =
        stream->file_left < sizeof bytes ? (size_t)stream->file_left : sizeof bytes;
    if (!read_whole(stream->file, bytes, count)) return false;
    base64_encode_into(bytes, count, stream->block);
    stream->file_left -= count;
    stream->block_bytes = base64_length(count);
    stream->block_used = 0;
    return true;
}

static void end_piece(struct picture_stream *stream)
{
    if (stream->file >= 0) (void)close(stream->file);
    stream->file = -1;
    stream->offset = 0;
    ++stream->piece;
}

/* At most capacity bytes of the piece that is being sent; 0: it cannot be read. */
static size_t copy_some(struct picture_stream *stream, char *bytes, size_t capacity)
{
    const struct piece *const piece = &stream->pieces[stream->piece];
    const char *from = piece->text ? piece->text + stream->offset : NULL;
    size_t count = piece->length - stream->offset;
    if (!piece->text) {
        if (stream->block_used == stream->block_bytes && !fill_block(stream, piece))
            return 0;
        from = stream->block + stream->block_used;
        count = stream->block_bytes - stream->block_used;
    }
    if (count > capacity) count = capacity;
    memcpy(bytes, from, count);
    if (!piece->text) stream->block_used += count;
    stream->offset += count;
    if (stream->offset == piece->length) end_piece(stream);
    return count;
}

static size_t read_stream(void *cookie, char *bytes, size_t capacity)
{
    struct picture_stream *const stream = cookie;
    size_t done = 0;
    while (done < capacity && stream->piece < stream->piece_count) {
        const size_t count = copy_some(stream, bytes + done, capacity - done);
        if (count == 0) break;
        done += count;
    }
    return done;
}

static void close_stream(void *cookie)
{
    picture_stream_destroy(cookie);
}

void picture_stream_reply_take(struct picture_stream *stream_take,
                               struct http_reply *reply)
{
    http_reply_finish(reply);
    reply->status = 200;
    reply->content_type = "application/json";
    reply->kind = HTTP_BODY_STREAM;
    reply->byte_count = 0;
    for (size_t i = 0; i < stream_take->piece_count; ++i)
        reply->byte_count += stream_take->pieces[i].length;
    reply->read = read_stream;
    reply->close = close_stream;
    reply->cookie = stream_take;
}
