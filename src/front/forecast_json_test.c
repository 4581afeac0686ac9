#include "front/forecast_json.h"

#include "check.h"
#include "front/json_fixture.h"

static const char *answered(const struct dr_forecast *forecast)
{
    json_t *const answer = json_object();
    forecast_json_add(answer, forecast);
    return json_text(answer);
}

static void has_every_field(void)
{
    struct dr_component_info part = {.kind = DR_COMPONENT_UNET,
                                     .name = "unet",
                                     .tensor_count = 3,
                                     .stored_bytes = 6,
                                     .weights_bytes = 12};
    const struct dr_forecast forecast = {
        .width = 512,
        .height = 768,
        .components = &part,
        .component_count = 1,
        .text_arena_bytes = 1,
        .unet_arena_bytes = 2,
        .vae_arena_bytes = 3,
        .load_scratch_bytes = 4,
        .resident_peak_bytes = 5,
        .phased_peak_bytes = 6,
        .levels =
            {{.peak_bytes = 7,
              .budget_bytes = 8,
              .work = 1.0,
              .manner = "all components resident"},
                     {.peak_bytes = 9, .budget_bytes = 10, .work = 1.25, .manner = "in bands"}},
        .level_count = 2,
        .budget_bytes = 11,
        .budget_reason = "--budget",
        .verdict = "fits",
        .fits = 1,
        .unet_flop = 1607e9,
        .vae_flop = 2.5e12,
        .ram = { .private_bytes = 12,
                     .mapped_bytes = 13,
                     .step_bytes = 14,
                     .machine_bytes = 16,
                     .available_bytes = 15,
                     .reason = "MemAvailable",
                     .verdict = "fits"},
    };
    check_str(
        answered(&forecast),
        "{'forecast':{'width':512,'height':768,"
        "'components':[{'role':'unet','tensor_count':3,'stored_bytes':6,"
        "'weights_bytes':12}],"
        "'text_arena_bytes':1,'unet_arena_bytes':2,'vae_arena_bytes':3,"
        "'load_scratch_bytes':4,'resident_peak_bytes':5,'phased_peak_bytes':6,"
        "'levels':[{'manner':'all components resident','budget_bytes':8,'peak_bytes':7,"
        "'work':1.0},{'manner':'in bands','budget_bytes':10,'peak_bytes':9,"
        "'work':1.25}],"
        "'unet_flop':1.607e12,'vae_flop':2.5e12,'fits':true,"
        "'verdict':'fits',"
        "'ram':{'private_bytes':12,'mapped_bytes':13,'step_bytes':14,'machine_bytes':16,"
        "'available_bytes':15,'reason':'MemAvailable','fit':'fits','verdict':'fits'}},"
        "'budget':{'bytes':11,'reason':'--budget'}}");
}

static void a_slow_step_has_its_reasons(void)
{
    struct dr_forecast forecast = {
        .ram = {.fit = DR_RAM_REREADS,
                .reread_bytes = 1000000,
                .reread_s = 0.5,
                .disk_bytes_per_s = 2e6,
                .disk_is_measured = 1,
                .verdict = "fits, but"}
    };
    check_has(answered(&forecast), "'machine_bytes':null,");
    check_has(
        answered(&forecast),
        "'fit':'rereads','reread_bytes':1000000,'reread_ms':500.0,"
        "'disk_bytes_per_s':2000000.0,'disk_rate':'measured','verdict':'fits, but'}");
    forecast.ram.disk_is_measured = 0;
    check_has(answered(&forecast), "'disk_rate':'assumed'");
    forecast.ram.fit = DR_RAM_TOO_SMALL;
    check_has(answered(&forecast), "'fit':'does_not_fit','verdict'");
}

static void empty_lists_are_lists(void)
{
    const struct dr_forecast forecast = {.verdict = "does not fit"};
    check_has(answered(&forecast), "'components':[],");
    check_has(answered(&forecast), "'levels':[],");
    check_has(answered(&forecast), "'fits':false,'verdict':'does not fit',");
}

int main(void)
{
    check_run(has_every_field);
    check_run(a_slow_step_has_its_reasons);
    check_run(empty_lists_are_lists);
    return check_done();
}
