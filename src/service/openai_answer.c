#include "service/openai_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "front/member.h"
#include "service/base64.h"
#include "service/failure.h"

enum dr_code openai_pictures_read(struct openai_pictures *pictures, struct store *store,
                                  const char *job, struct dr_error *err)
{
    *pictures = (struct openai_pictures){0};
    return gallery_of_job(store, job, &pictures->list, &pictures->count, err);
}

void openai_pictures_finish(struct openai_pictures *pictures)
{
    for (int32_t i = 0; i < pictures->count; ++i)
        gallery_picture_finish(&pictures->list[i]);
    free(pictures->list);
    *pictures = (struct openai_pictures){0};
}

void openai_base(const struct http_request *request, char base[OPENAI_BASE_BYTES])
{
    const char *const host = http_request_header(request, "Host");
    const char *const scheme = http_request_header(request, "X-Forwarded-Proto");
    const bool is_encrypted = scheme && strcasecmp(scheme, "https") == 0;
    snprintf(base, OPENAI_BASE_BYTES, "http%s://%s", is_encrypted ? "s" : "",
             host ? host : request->local);
}

/* The whole file of a picture: malloc'ed. */
static enum dr_code read_file(struct store *store,
                              const struct gallery_picture *picture,
                              unsigned char **bytes, struct dr_error *err)
{
    int file = -1;
    size_t done = 0;
    const enum dr_code code = gallery_open(store, picture, &file, err);
    if (code != DR_OK) return code;
    unsigned char *const read_bytes = malloc(picture->bytes ? picture->bytes : 1);
    while (read_bytes && done < picture->bytes) {
        const ssize_t count = read(file, read_bytes + done, picture->bytes - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        done += (size_t)count;
    }
    close(file);
    if (!read_bytes) return failure_memory(err, "a picture");
    if (done == picture->bytes) {
        *bytes = read_bytes;
        return DR_OK;
    }
    free(read_bytes);
    return failure(err, DR_IO, "the picture's file is shorter than its %llu bytes",
                   (unsigned long long)picture->bytes);
}

enum dr_code openai_answer_add_picture(json_t *object, struct store *store,
                                       const struct gallery_picture *picture,
                                       const char *base, struct dr_error *err)
{
    if (base) {
        char url[OPENAI_BASE_BYTES + STORE_ID_BYTES + 24];
        snprintf(url, sizeof url, "%s/v1/images/files/%s", base, picture->id);
        member_set_text(object, "url", url);
        return DR_OK;
    }
    unsigned char *bytes = NULL;
    const enum dr_code code = read_file(store, picture, &bytes, err);
    if (code != DR_OK) return code;
    json_t *const text = base64_json(bytes, picture->bytes);
    free(bytes);
    if (!text) return failure_memory(err, "the answer");
    member_set(object, "b64_json", text);
    return DR_OK;
}

void openai_answer_describe(json_t *object, const char *name,
                            const struct gallery_picture *picture)
{
    char size[32];
    snprintf(size, sizeof size, "%dx%d", (int)picture->width, (int)picture->height);
    member_set_integer(object, name, (int64_t)picture->created_s);
    member_set_text(object, "size", size);
    member_set_text(object, "output_format", picture->is_jpeg ? "jpeg" : "png");
}

enum dr_code openai_answer_error(const struct job_record *record, struct dr_error *err)
{
    switch (record->phase) {
    case JOB_DONE: return DR_OK;
    case JOB_CANCELLED: return failure(err, DR_CANCELLED, "the job was cancelled");
    case JOB_QUEUED:
    case JOB_RUNNING: return failure(err, DR_BUSY, "the job has not ended");
    case JOB_FAILED: break;
    }
    return failure(err, record->code == DR_OK ? DR_FAILED : record->code, "%s",
                   record->error ? record->error : "the job failed");
}
