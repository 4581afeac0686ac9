#include "front/forecast_json.h"

#include <stdbool.h>

#include "front/component_json.h"
#include "front/member.h"
#include "front/memory_json.h"

static json_t *levels_of(const struct dr_forecast *forecast)
{
    json_t *const levels = json_array();
    for (int32_t i = 0; i < forecast->level_count; ++i) {
        const struct dr_forecast_level *const level = &forecast->levels[i];
        json_t *const object = json_object();
        member_set_text(object, "manner", level->manner);
        member_set_bytes(object, "budget_bytes", level->budget_bytes);
        member_set_bytes(object, "peak_bytes", level->peak_bytes);
        member_set_real(object, "work", level->work);
        (void)json_array_append_new(levels, object);
    }
    return levels;
}

static json_t *ram_of(const struct dr_ram_forecast *ram)
{
    json_t *const object = json_object();
    const bool rereads = ram->fit == DR_RAM_REREADS;
    member_set_bytes(object, "private_bytes", ram->private_bytes);
    member_set_bytes(object, "mapped_bytes", ram->mapped_bytes);
    member_set_bytes(object, "step_bytes", ram->step_bytes);
    member_set_bytes(object, "machine_bytes",
                     ram->machine_bytes ? ram->machine_bytes : DR_UNKNOWN_BYTES);
    member_set_bytes(object, "available_bytes", ram->available_bytes);
    member_set_text(object, "reason", ram->reason);
    member_set_text(object, "fit", dr_ram_fit_name(ram->fit));
    if (rereads) {
        member_set_bytes(object, "reread_bytes", ram->reread_bytes);
        member_set_real(object, "reread_ms", ram->reread_s * 1000.0);
        member_set_real(object, "disk_bytes_per_s", ram->disk_bytes_per_s);
        member_set_text(object, "disk_rate",
                        ram->disk_is_measured ? "measured" : "assumed");
    }
    member_set_text(object, "verdict", ram->verdict);
    return object;
}

void forecast_json_add(json_t *answer, const struct dr_forecast *forecast)
{
    json_t *const object = json_object();
    member_set_integer(object, "width", forecast->width);
    member_set_integer(object, "height", forecast->height);
    member_set(object, "components",
               component_json_list(forecast->components, forecast->component_count));
    member_set_bytes(object, "text_arena_bytes", forecast->text_arena_bytes);
    member_set_bytes(object, "unet_arena_bytes", forecast->unet_arena_bytes);
    member_set_bytes(object, "vae_arena_bytes", forecast->vae_arena_bytes);
    member_set_bytes(object, "load_scratch_bytes", forecast->load_scratch_bytes);
    member_set_bytes(object, "resident_peak_bytes", forecast->resident_peak_bytes);
    member_set_bytes(object, "phased_peak_bytes", forecast->phased_peak_bytes);
    member_set(object, "levels", levels_of(forecast));
    member_set_real(object, "unet_flop", forecast->unet_flop);
    member_set_real(object, "vae_flop", forecast->vae_flop);
    member_set_flag(object, "fits", forecast->fits);
    member_set_text(object, "verdict", forecast->verdict);
    member_set(object, "ram", ram_of(&forecast->ram));
    member_set(answer, "forecast", object);
    member_set(answer, "budget",
               memory_json_budget(forecast->budget_bytes, forecast->budget_reason));
}
