#include "embeddings_command.h"

#include "front/embedding_json.h"

enum dr_code run_embeddings(struct session *session, const struct options *options,
                            json_t *fields, struct dr_error *err)
{
    struct dr_embedding_list list;
    (void)session;
    const enum dr_code code = dr_list_embeddings(options->embedding_dir, &list, err);
    if (code != DR_OK) return code;
    embedding_list_json_add(fields, &list);
    dr_embedding_list_free(&list);
    return DR_OK;
}
