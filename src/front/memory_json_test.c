#include "front/memory_json.h"

#include "check.h"
#include "front/json_fixture.h"

static const char *answered(const struct dr_memory *memory)
{
    json_t *const answer = json_object();
    memory_json_add(answer, memory);
    return json_text(answer);
}

static void has_every_field(void)
{
    struct dr_region_info region = {.start = UINT64_C(139637976727552),
                                    .bytes = 4096,
                                    .tag = "weights",
                                    .kind = "private",
                                    .component = "unet"};
    struct dr_component_memory parts[] = {
        {.kind = DR_COMPONENT_UNET,
         .slot = "unet",
         .name = "unet",
         .state = DR_SLOT_RESIDENT,
         .path = "/m/a\xFF.sft",
         .private_bytes = 1,
         .mapped_bytes = 2},
        {.kind = DR_COMPONENT_VAE,
         .slot = "vae",
         .name = "vae (override)",
         .state = DR_SLOT_RELEASED,
         .path = "v.sft"}
    };
    struct dr_memory memory = {
        .pid = 77,
        .component_count = 2,
        .components = parts,
        .regions = &region,
        .region_count = 1,
        .ledger = {3,  4, 5},
        .kernel = { 6, 7, 8, 9},
        .regions_agree = 0,
        .disagreement = "weights of unet",
        .budget_bytes = 20,
        .budget_reason = "--budget"
    };
    memory.residual.total_bytes = 10;
    memory.residual.image_bytes = 11;
    memory.residual.heap_bytes = 12;
    memory.residual.stack_bytes = 13;
    memory.residual.jit_bytes = 14;
    memory.residual.shmem_bytes = 15;
    memory.residual.other_bytes = 16;
    memory.residual.heap_used_bytes = 17;
    memory.residual.heap_retained_bytes = 18;
    memory.residual.baseline_bytes = 19;
    check_str(
        answered(&memory),
        "{'pid':77,'components':["
        "{'name':'unet','role':'unet','state':'resident','path':'/m/a\xEF\xBF\xBD.sft',"
        "'private_bytes':1,'mapped_bytes':2},"
        "{'name':'vae (override)','role':'vae','state':'released','path':'v.sft',"
        "'private_bytes':0,'mapped_bytes':0}],"
        "'regions':[{'start':139637976727552,'bytes':4096,'tag':'weights',"
        "'component':'unet','kind':'private'}],"
        "'ledger':{'private_bytes':3,'mapped_bytes':4,'peak_private_bytes':5},"
        "'kernel':{'private_bytes':6,'mapped_resident_bytes':7,'rss_bytes':8,"
        "'pss_bytes':9},"
        "'residual':{'total_bytes':10,'image_bytes':11,'heap_bytes':12,"
        "'heap_used_bytes':17,'heap_retained_bytes':18,'stack_bytes':13,'jit_bytes':14,"
        "'shmem_bytes':15,'other_bytes':16,'baseline_bytes':19},"
        "'regions_agree':false,'disagreement':'weights of unet',"
        "'budget':{'bytes':20,'reason':'--budget'}}");
}

/* Nothing is loaded, and the kernel tells nothing. */
static void unknown_figures_are_null(void)
{
    const uint64_t none = DR_UNKNOWN_BYTES;
    const struct dr_memory memory = {
        .pid = 1,
        .kernel = {none,  none, none, none},
        .residual = { none, none, none, none, none, none, none, none, none, none},
        .regions_agree = -1,
    };
    check_str(
        answered(&memory),
        "{'pid':1,'components':[],'regions':[],"
        "'ledger':{'private_bytes':0,'mapped_bytes':0,'peak_private_bytes':0},"
        "'kernel':{'private_bytes':null,'mapped_resident_bytes':null,'rss_bytes':null,"
        "'pss_bytes':null},"
        "'residual':{'total_bytes':null,'image_bytes':null,'heap_bytes':null,"
        "'heap_used_bytes':null,'heap_retained_bytes':null,'stack_bytes':null,"
        "'jit_bytes':null,'shmem_bytes':null,'other_bytes':null,'baseline_bytes':null},"
        "'regions_agree':null,'budget':{'bytes':0,'reason':''}}");
}

static void agreement_is_true(void)
{
    const struct dr_memory memory = {.regions_agree = 1};
    check_has(answered(&memory), "'regions_agree':true,'budget':");
}

static void a_budget_stands_alone(void)
{
    check_str(json_text(memory_json_budget(1 << 20, "free memory")),
              "{'bytes':1048576,'reason':'free memory'}");
}

int main(void)
{
    check_run(has_every_field);
    check_run(unknown_figures_are_null);
    check_run(agreement_is_true);
    check_run(a_budget_stands_alone);
    return check_done();
}
