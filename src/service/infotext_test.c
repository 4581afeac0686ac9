#include "service/infotext.h"

#include "check.h"

/* The object as text, with keys in order. */
static const char *parts(const char *text)
{
    static char shown[2048];
    json_t *const object = infotext_json(text);
    char *const json = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    (void)snprintf(shown, sizeof shown, "%s", json ? json : "");
    free(json);
    json_decref(object);
    return shown;
}

static void all_parts_are_texts(void)
{
    check_str(
        parts("a lighthouse\nat dusk\nNegative prompt: fog,\nrain\n"
              "Steps: 20, Sampler: Euler a, CFG scale: 7.5, Size: 512x768, "
              "Model: \"a, b: c\", Version: darkroom 0.1.0"),
        "{\"CFG scale\":\"7.5\",\"Model\":\"a, b: c\","
        "\"Negative prompt\":\"fog,\\nrain\",\"Prompt\":\"a lighthouse\\nat dusk\","
        "\"Sampler\":\"Euler a\",\"Size-1\":\"512\",\"Size-2\":\"768\","
        "\"Steps\":\"20\",\"Version\":\"darkroom 0.1.0\"}");
}

static void parts_may_be_missing(void)
{
    check_str(parts(""), "{\"Negative prompt\":\"\",\"Prompt\":\"\"}");
    check_str(parts("only words: and more"),
              "{\"Negative prompt\":\"\",\"Prompt\":\"only words: and more\"}");
    check_str(
        parts("Steps: 2, Seed: 5"),
        "{\"Negative prompt\":\"\",\"Prompt\":\"\",\"Seed\":\"5\",\"Steps\":\"2\"}");
    check_str(parts("Negative prompt: fog"),
              "{\"Negative prompt\":\"fog\",\"Prompt\":\"\"}");
    check_str(parts("p\nSteps: 2"),
              "{\"Negative prompt\":\"\",\"Prompt\":\"p\",\"Steps\":\"2\"}");
}

/* Whatever is in a picture's text, the parts are texts. */
static void damaged_texts_have_parts_too(void)
{
    check_str(parts("p\nSteps: 2, Model: \"open, Size: x5, A: 5x, B"),
              "{\"A\":\"5x\",\"Model\":\"\\\"open\",\"Negative prompt\":\"\","
              "\"Prompt\":\"p\",\"Size\":\"x5\",\"Steps\":\"2\"}");
    check_str(parts("p\xFF\nSteps: \"\xFF"),
              "{\"Negative prompt\":\"\",\"Prompt\":\"p\xEF\xBF\xBD\","
              "\"Steps\":\"\\\"\xEF\xBF\xBD\"}");
}

int main(void)
{
    check_run(all_parts_are_texts);
    check_run(parts_may_be_missing);
    check_run(damaged_texts_have_parts_too);
    return check_done();
}
