#include "front/component_json.h"

#include "check.h"
#include "front/json_fixture.h"

static const struct dr_component_info known = {.kind = DR_COMPONENT_UNET,
                                               .name = "unet",
                                               .tensor_count = 686,
                                               .parameter_count = 859520964,
                                               .stored_bytes = 1719041928,
                                               .weights_bytes = 3438083856,
                                               .stored_types = "F16 F32"};
static const struct dr_component_info bare = {
    .kind = DR_COMPONENT_TEXT, .name = "text2", .tensor_count = 2, .stored_bytes = 8};

static void has_every_field(void)
{
    struct dr_component_info digested = known;
    (void)snprintf(digested.digest, sizeof digested.digest, "ab12");
    check_str(json_text(component_json_list(&digested, 1)),
              "[{'role':'unet','tensor_count':686,'parameter_count':859520964,"
              "'stored_types':'F16 F32','stored_bytes':1719041928,"
              "'weights_bytes':3438083856,'digest':'ab12'}]");
}

static void leaves_out_what_is_unknown(void)
{
    const struct dr_component_info both[] = {bare, known};
    check_str(json_text(component_json_list(both, 2)),
              "[{'role':'text2','tensor_count':2,'stored_bytes':8},"
              "{'role':'unet','tensor_count':686,'parameter_count':859520964,"
              "'stored_types':'F16 F32','stored_bytes':1719041928,"
              "'weights_bytes':3438083856}]");
    check_str(json_text(component_json_list(&bare, 1)),
              "[{'role':'text2','tensor_count':2,'stored_bytes':8}]");
}

static void an_empty_list_is_a_list(void)
{
    check_str(json_text(component_json_list(NULL, 0)), "[]");
}

int main(void)
{
    check_run(has_every_field);
    check_run(leaves_out_what_is_unknown);
    check_run(an_empty_list_is_a_list);
    return check_done();
}
