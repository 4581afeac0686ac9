#include "front/member.h"

#include <darkroom/darkroom.h>

#include "check.h"
#include "front/json_fixture.h"

static const char *text_of(json_t *value_take)
{
    static char text[8192];
    const char *const got = json_string_value(value_take);
    (void)snprintf(text, sizeof text, "%s", got ? got : "(none)");
    json_decref(value_take);
    return text;
}

static void mends_text_that_is_not_utf8(void)
{
    check_str(text_of(member_text("plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80")),
              "plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80");
    check_str(text_of(member_text("a\xFFz")), "a\xEF\xBF\xBDz");
    check_str(text_of(member_text("a\xC3")), "a\xEF\xBF\xBD");
    check_str(text_of(member_text("\xED\xA0\x80")), /* a surrogate */
              "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    check_str(text_of(member_text("\xC0\xAF")), "\xEF\xBF\xBD\xEF\xBF\xBD");
    check_str(text_of(member_text("\xF0\x9F\x98z")),
              "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
    check_str(text_of(member_text("")), "");
}

/* Every byte string becomes text that JSON takes. */
static void mends_any_bytes(void)
{
    const unsigned seed = 777;
    fprintf(stderr, "seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 2000; ++round) {
        char bytes[24];
        const int length = rand() % 23;
        for (int i = 0; i < length; ++i)
            bytes[i] = (char)(1 + rand() % 255);
        bytes[length] = '\0';
        json_t *const value = member_text(bytes);
        check(json_is_string(value));
        json_t *const again = json_string(json_string_value(value));
        check(again != NULL);
        json_decref(again);
        json_decref(value);
    }
}

static void sets_every_kind(void)
{
    json_t *const object = json_object();
    member_set_text(object, "text", "a/\xC3.png");
    member_set_bytes(object, "bytes", (uint64_t)1 << 60);
    member_set_bytes(object, "no_bytes", 0);
    member_set_bytes(object, "unknown_bytes", DR_UNKNOWN_BYTES);
    member_set_integer(object, "integer", -3);
    member_set_real(object, "real", 0.5);
    member_set_flag(object, "yes", 4);
    member_set_flag(object, "no", 0);
    member_set_seed(object, 7);
    member_set(object, "list", json_array());
    check_str(json_text(object),
              "{'text':'a/\xEF\xBF\xBD.png','bytes':1152921504606846976,'no_bytes':0,"
              "'unknown_bytes':null,'integer':-3,'real':0.5,'yes':true,'no':false,"
              "'seed':7,'list':[]}");
}

/* What could not be made is left out, and the rest stays. */
static void leaves_out_what_is_not_there(void)
{
    json_t *const object = json_object();
    member_set(object, "list", NULL);
    member_set_integer(object, "pid", 1);
    check_str(json_text(object), "{'pid':1}");
    member_set_integer(NULL, "pid", 1);
}

int main(void)
{
    check_run(mends_text_that_is_not_utf8);
    check_run(mends_any_bytes);
    check_run(sets_every_kind);
    check_run(leaves_out_what_is_not_there);
    return check_done();
}
