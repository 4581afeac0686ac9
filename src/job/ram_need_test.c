#include "job/ram_need.h"

#include "check.h"

static void a_job_is_held_against_the_ram(void)
{
    static const struct {
        struct ram_need need;
        size_t private_limit, ram;
        enum ram_state state;
    } rows[] = {
        {{.private_bytes = 50, .step_bytes = 90, .reread_bytes = 40},
         100,  100,
         RAM_FITS     },
        {{.private_bytes = 50, .step_bytes = 100, .reread_bytes = 60},
         100,  100,
         RAM_FITS     },
        {{.private_bytes = 50, .step_bytes = 101, .reread_bytes = 60},
         100,  100,
         RAM_REREADS  },
        {{.private_bytes = 101, .step_bytes = 101, .reread_bytes = 0},
         100,  100,
         RAM_TOO_SMALL},
        {{.private_bytes = 95, .step_bytes = 90, .reread_bytes = 1},
         90,   100,
         RAM_TOO_SMALL},
 /* nothing is mapped: what is private has its limit */
        {{.private_bytes = 95, .step_bytes = 95, .reread_bytes = 0},
         1000, 90,
         RAM_FITS     },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
        check_int(ram_need_judge(&rows[i].need, rows[i].private_limit, rows[i].ram), ==,
                  rows[i].state);
}

int main(void)
{
    check_run(a_job_is_held_against_the_ram);
    return check_done();
}
