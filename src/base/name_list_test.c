#include "base/name_list.h"

#include "check.h"

static void finds_whole_names_only(void)
{
    static const char *const names[] = {"euler", "euler-a", "heun"};
    check_int(name_list_find(names, 3, "euler"), ==, 0);
    check_int(name_list_find(names, 3, "euler-a"), ==, 1);
    check_int(name_list_find(names, 3, "heun"), ==, 2);
    check_int(name_list_find(names, 2, "heun"), ==, 2);
    check_int(name_list_find(names, 3, "eul"), ==, 3);
    check_int(name_list_find(names, 3, "Heun"), ==, 3);
    check_int(name_list_find(names, 0, "heun"), ==, 0);
}

int main(void)
{
    check_run(finds_whole_names_only);
    return check_done();
}
