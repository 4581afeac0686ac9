#include "front/conversion_json.h"

#include "front/member.h"

void conversion_json_add(json_t *answer, const struct dr_conversion *conversion)
{
    member_set_text(answer, "path", conversion->path);
    member_set_text(answer, "output", conversion->output);
    member_set_text(answer, "format", conversion->format);
    member_set_text(answer, "weights", conversion->type);
    member_set_bytes(answer, "file_bytes", conversion->file_bytes);
    member_set_bytes(answer, "source_bytes", conversion->source_bytes);
    member_set_integer(answer, "tensor_count", (int64_t)conversion->tensor_count);
    member_set_integer(answer, "parameter_count", (int64_t)conversion->parameter_count);
    if (conversion->block_tensor_count == 0) return;
    json_t *const blocks = json_object();
    member_set_integer(blocks, "tensor_count", (int64_t)conversion->block_tensor_count);
    member_set_integer(blocks, "parameter_count",
                       (int64_t)conversion->block_parameter_count);
    member_set(answer, "in_blocks", blocks);
}
