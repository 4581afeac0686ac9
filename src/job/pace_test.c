#include "job/pace.h"

#include "check.h"

static void nothing_is_known_before_anything_ran(void)
{
    struct pace pace = {0};
    check_real(pace_share(&pace, 0.0), ==, 0.0);
    check_real(pace_left_ms(&pace, 0.0, 5.0), <, 0.0);
    pace_count(&pace, NETWORK_UNET, 100.0);
    check_real(pace_left_ms(&pace, 0.0, 5.0), <, 0.0);
    pace_begin(&pace, NETWORK_UNET, 100.0, 5.0);
    check_real(pace_left_ms(&pace, 0.0, 6.0), <, 0.0);
    pace_end(&pace, PACE_FAILED, 7.0);
    check_real(pace_left_ms(&pace, 0.0, 7.0), <, 0.0);
    check_real(pace_share(&pace, 0.0), ==, 0.0);
}

/* Two pictures: 100 of the UNet at 1 an ms, and 50 of the decoder, which is half as fast. */
static void each_kind_has_its_pace(void)
{
    struct pace pace = {0};
    for (int i = 0; i < 2; ++i) {
        pace_count(&pace, NETWORK_UNET, 100.0);
        pace_count(&pace, NETWORK_DECODER, 50.0);
    }
    pace_begin(&pace, NETWORK_UNET, 100.0, 0.0);
    check_real(pace_left_ms(&pace, 0.5, 50.0), ==, 250.0);
    check_real(pace_share(&pace, 0.5), ==, 50.0 / 300.0);
    pace_end(&pace, PACE_DONE, 100.0);
    /* the decoder is taken to be as fast until it has run */
    check_real(pace_left_ms(&pace, 0.0, 100.0), ==, 200.0);
    pace_begin(&pace, NETWORK_DECODER, 50.0, 100.0);
    check_real(pace_left_ms(&pace, 0.02, 190.0), ==, 199.0); /* too early to tell */
    check_real(pace_left_ms(&pace, 0.5, 150.0), ==, 50.0 + 100.0 + 100.0);
    pace_end(&pace, PACE_DONE, 200.0);
    check_real(pace_left_ms(&pace, 0.0, 200.0), ==, 200.0);
    check_real(pace_share(&pace, 0.0), ==, 0.5);
    /* what ends early leaves a decode alone */
    pace_forget_rest(&pace);
    check_real(pace_left_ms(&pace, 0.0, 200.0), ==, 0.0);
    pace_expect(&pace, NETWORK_DECODER, 50.0);
    check_real(pace_left_ms(&pace, 0.0, 200.0), ==, 100.0);
    check_real(pace_share(&pace, 0.0), ==, 0.5);
}

/* A text encoder's work is small, and its pace that of a start; so are the first layers of a network. */
static void nothing_is_estimated_from_a_moment(void)
{
    struct pace pace = {0};
    pace_count(&pace, NETWORK_TEXT, 1.0);
    pace_count(&pace, NETWORK_UNET, 1000.0);
    pace_count(&pace, NETWORK_DECODER, 500.0);
    pace_begin(&pace, NETWORK_TEXT, 1.0, 0.0);
    pace_end(&pace, PACE_DONE, 100.0);
    check_real(pace_left_ms(&pace, 0.0, 100.0), <, 0.0);
    pace_begin(&pace, NETWORK_UNET, 1000.0, 100.0);
    check_real(pace_left_ms(&pace, 0.001, 200.0), <, 0.0);
    check_real(pace_left_ms(&pace, 0.5, 600.0), ==, 500.0 + 500.0);
    pace_end(&pace, PACE_DONE, 1100.0);
    pace_begin(&pace, NETWORK_DECODER, 500.0, 1100.0);
    /* at the UNet's pace, less what is done */
    check_real(pace_left_ms(&pace, 0.01, 1200.0), ==, 495.0);
    check_real(pace_left_ms(&pace, 0.5, 1600.0), ==, 500.0);
}

int main(void)
{
    check_run(nothing_is_known_before_anything_ran);
    check_run(each_kind_has_its_pace);
    check_run(nothing_is_estimated_from_a_moment);
    return check_done();
}
