#include "front/again_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void says_what_differs(void)
{
    const struct dr_difference differences[] = {
        {.what = "model hash", .was = "a\xFF", .is = "b"}
    };
    json_t *const answer = json_object();
    check(again_json_made(answer) == NULL);
    again_json_add(answer, &(struct again_answer){.picture = "star.png",
                                                  .differences = differences,
                                                  .count = 1});
    check_str(json_text(answer),
              "{'again':'star.png','identical':false,'differences':["
              "{'what':'model hash','was':'a\xEF\xBF\xBD','is':'b'}]}");
}

int main(void)
{
    check_run(says_what_differs);
    return check_done();
}
