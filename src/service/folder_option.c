#include "service/folder_option.h"

#include <stdlib.h>
#include <string.h>

#include "service/failure.h"

enum dr_code folder_option_join(const char *const *folders, const char *what,
                                char **option, struct dr_error *err)
{
    size_t bytes = 1;
    *option = NULL;
    if (!folders) return DR_OK;
    for (size_t i = 0; folders[i]; ++i) {
        if (strchr(folders[i], ':'))
            return failure(err, DR_BAD_INPUT,
                           "the %s directory %.200s has a \":\" in its name, which "
                           "separates directories: use a link to it",
                           what, folders[i]);
        bytes += strlen(folders[i]) + 1;
    }
    char *const text = calloc(1, bytes);
    if (!text) return failure_memory(err, "the directories");
    for (size_t i = 0; folders[i]; ++i) {
        if (i) strcat(text, ":");
        strcat(text, folders[i]);
    }
    *option = text;
    return DR_OK;
}
