/* hidden_files.h for a program that is already built: a library for LD_PRELOAD. HIDDEN_FILES names the
 * paths, with colons between; where HIDDEN_ERRNO is a number, opening them fails with it. */
#include "hidden_files.h"

#include <stdlib.h>

__attribute__((constructor)) static void read_environment(void)
{
    const char *const files = getenv("HIDDEN_FILES");
    const char *const number = getenv("HIDDEN_ERRNO");
    if (files) hidden_files = files;
    if (number) hidden_errno = atoi(number);
}
