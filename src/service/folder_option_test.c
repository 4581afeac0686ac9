#include "check.h"

#include <stdlib.h>

#include "service/folder_option.h"

static void directories_become_one_text(void)
{
    static const char *const one[] = {"/a", NULL}, *const two[] = {"/a", "b c", NULL},
                             *const none[] = {NULL};
    struct dr_error err;
    char *option = NULL;
    check_int(folder_option_join(one, "LoRA", &option, &err), ==, DR_OK);
    check_str(option, "/a");
    free(option);
    check_int(folder_option_join(two, "LoRA", &option, &err), ==, DR_OK);
    check_str(option, "/a:b c");
    free(option);
    check_int(folder_option_join(none, "LoRA", &option, &err), ==, DR_OK);
    check_str(option, "");
    free(option);
    check_int(folder_option_join(NULL, "LoRA", &option, &err), ==, DR_OK);
    check(option == NULL);
}

static void what_separates_them_is_in_no_name(void)
{
    static const char *const bad[] = {"/a", "/b:c", NULL};
    struct dr_error err;
    char *option = NULL;
    check_int(folder_option_join(bad, "LoRA", &option, &err), ==, DR_BAD_INPUT);
    check(strstr(err.message, "the LoRA directory /b:c") != NULL);
    check(option == NULL);
}

int main(void)
{
    check_run(directories_become_one_text);
    check_run(what_separates_them_is_in_no_name);
    return check_done();
}
