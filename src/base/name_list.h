/* name_list — which of a list of names is this one? For the names of samplers, schedules and the like,
 * which lie in an array in the order of their enumerators.
 */
#ifndef BASE_NAME_LIST_H
#define BASE_NAME_LIST_H

#include <stddef.h>

/* The index of the first of count names that equals name, letter for letter; count where none does. */
size_t name_list_find(const char *const *names, size_t count, const char *name);

#endif
