#include "front/vae_json.h"

#include "front/member.h"

json_t *vae_json(const struct dr_vae_info *vae)
{
    json_t *const object = json_object();
    member_set_text(object, "choice", vae->choice);
    member_set_text(object, "source", vae->source);
    member_set_text(object, "reason", vae->reason);
    member_set_text(object, "active", vae->override_active ? "override" : "base");
    member_set_text(object, "name", vae->name);
    member_set_text(object, "path", vae->path);
    member_set_text(object, "digest", vae->digest);
    member_set_flag(object, "verified", vae->verified);
    member_set_flag(object, "resident", vae->resident);
    member_set_real(object, "scale_factor", (double)vae->scale_factor);
    member_set_text(object, "probe", vae->probe);
    return object;
}
