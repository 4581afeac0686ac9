/* Every value of the small types, against arithmetic in double by the definition of each
 * format; array conversions against single ones, at odd lengths and odd addresses. */
#include "base/dtype_fixture.h"

#include <math.h>
#include <stdbool.h>

#include "check.h"

/* The value of a small float by the textbook: sign, exponent, mantissa.
 * has_infinity: IEEE's top exponent; else only all ones is NaN. */
static double value_of(unsigned bits, int exponent_bits, int mantissa_bits,
                       bool has_infinity)
{
    const unsigned mantissa = bits & ((1u << mantissa_bits) - 1);
    const unsigned top = (1u << exponent_bits) - 1;
    const unsigned exponent = (bits >> mantissa_bits) & top;
    const double sign = bits >> (exponent_bits + mantissa_bits) ? -1.0 : 1.0;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    if (has_infinity && exponent == top)
        return mantissa ? (double)NAN : sign * (double)INFINITY;
    if (!has_infinity && exponent == top && mantissa == (1u << mantissa_bits) - 1)
        return (double)NAN;
    if (exponent == 0) return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp(1.0 + ldexp(mantissa, -mantissa_bits), (int)exponent - bias);
}

static bool same(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    return a == b && !signbit(a) == !signbit(b);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void expect(const char *what, unsigned bits, double got, double expected)
{
    if (!same(got, expected))
        check_fail_at("%s %04x is %.9g, not %.9g", what, bits, got, expected);
}

static void widens_every_16_bit_value(void)
{
    static uint16_t source[65536];
    static float from_half[65536], from_brain[65536];
    for (unsigned i = 0; i < 65536; ++i)
        source[i] = (uint16_t)i;
    dtype_to_f32(source, DTYPE_F16, from_half, 65536);
    dtype_to_f32(source, DTYPE_BF16, from_brain, 65536);
    for (unsigned i = 0; i < 65536; ++i) {
        const uint16_t bits = (uint16_t)i;
        const double half = value_of(i, 5, 10, true), brain = value_of(i, 8, 7, true);
        expect("f16", i, (double)from_half[i], half);
        expect("f16 alone", i, (double)dtype_f32_from_f16(bits), half);
        expect("bf16", i, (double)from_brain[i], brain);
        expect("bf16 alone", i, (double)dtype_f32_from_bf16(bits), brain);
    }
}

static void widens_every_8_bit_value(void)
{
    uint8_t source[256];
    float e4m3[256], e5m2[256];
    for (unsigned i = 0; i < 256; ++i)
        source[i] = (uint8_t)i;
    dtype_to_f32(source, DTYPE_F8_E4M3, e4m3, 256);
    dtype_to_f32(source, DTYPE_F8_E5M2, e5m2, 256);
    for (unsigned i = 0; i < 256; ++i) {
        expect("e4m3", i, (double)e4m3[i], value_of(i, 4, 3, false));
        expect("e5m2", i, (double)e5m2[i], value_of(i, 5, 2, true));
    }
    check_real(e4m3[0x7E], ==, 448);
    check_real(e4m3[0x01], ==, 0x1p-9);
    check_real(e5m2[0x7B], ==, 57344);
    check_real(e5m2[0x01], ==, 0x1p-16);
    check(isnan(e4m3[0x7F]) && isnan(e4m3[0xFF]));
}

static void narrows_what_it_widened(void)
{
    for (unsigned i = 0; i < 65536; ++i) {
        const uint16_t bits = (uint16_t)i;
        const float half = dtype_f32_from_f16(bits), brain = dtype_f32_from_bf16(bits);
        if (isnan(half))
            check(isnan(dtype_f32_from_f16(dtype_f16_from_f32(half))));
        else
            check_int(dtype_f16_from_f32(half), ==, bits);
        if (isnan(brain))
            check(isnan(dtype_f32_from_bf16(dtype_bf16_from_f32(brain))));
        else
            check_int(dtype_bf16_from_f32(brain), ==, bits);
    }
}

/* Between each two neighbours: below the middle down, above it up, on it to the even. */
static void rounds_to_nearest_even(void)
{
    for (unsigned i = 0; i < 0x7F80; ++i) {
        for (unsigned sign = 0; sign <= 0x8000; sign += 0x8000) {
            const uint32_t low = (uint32_t)(i | sign) << 16, middle = low | 0x8000u;
            const unsigned down = i | sign, up = down + 1, even = i & 1 ? up : down;
            check_int(dtype_bf16_from_f32(float_of(low)), ==, down);
            check_int(dtype_bf16_from_f32(float_of(middle - 1)), ==, down);
            check_int(dtype_bf16_from_f32(float_of(middle)), ==, even);
            check_int(dtype_bf16_from_f32(float_of(middle + 1)), ==, up);
        }
    }
    for (unsigned i = 0; i < 0x7C00; ++i) {
        const double low = value_of(i, 5, 10, true);
        const double high = i == 0x7BFF ? 65536.0 : value_of(i + 1, 5, 10, true);
        const float middle = (float)((low + high) / 2);
        const unsigned even = i & 1 ? i + 1 : i;
        check_int(dtype_f16_from_f32(middle), ==, even);
        check_int(dtype_f16_from_f32(nextafterf(middle, 0)), ==, i);
        check_int(dtype_f16_from_f32(nextafterf(middle, INFINITY)), ==, i + 1);
        check_int(dtype_f16_from_f32(-middle), ==, even | 0x8000u);
    }
}

static void keeps_what_is_not_a_number(void)
{
    static const uint32_t nans[] = {0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFF800001,
                                    0xFFFFFFFF, 0x7F807FFF, 0x7F80FFFF, 0xFFFF8000};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; ++i) {
        const float nan = float_of(nans[i]);
        check_int(dtype_bf16_from_f32(nan), ==, 0x7FC0);
        check(isnan(dtype_f32_from_f16(dtype_f16_from_f32(nan))));
        uint16_t narrow;
        float wide;
        const double nan64 = (double)NAN;
        dtype_to_bf16(&nan, DTYPE_F32, &narrow, 1);
        check_int(narrow, ==, 0x7FC0);
        dtype_to_f32(&nan, DTYPE_F32, &wide, 1);
        check_int(bits_of(wide), ==, nans[i]);
        dtype_to_f32(&nan64, DTYPE_F64, &wide, 1);
        check(isnan(wide));
    }
    check_int(dtype_bf16_from_f32(INFINITY), ==, 0x7F80);
    check_int(dtype_bf16_from_f32(-INFINITY), ==, 0xFF80);
    check_int(dtype_bf16_from_f32(float_of(0x7F7FFFFF)), ==, 0x7F80); /* rounds up */
    check_int(dtype_f16_from_f32(-INFINITY), ==, 0xFC00);
    check_int(dtype_f16_from_f32(1e30f), ==, 0x7C00);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 11 ^ *state >> 33;
}

/* One value at an aligned address, the slow and plain way. */
static float widen_one(const unsigned char *at, enum dtype type)
{
    double wide;
    float value;
    memcpy(&value, at, type == DTYPE_F32 ? 4 : 0);
    if (type == DTYPE_F32) return value;
    if (type == DTYPE_F64) {
        memcpy(&wide, at, sizeof wide);
        return (float)wide;
    }
    uint16_t bits = at[0];
    if (dtype_bytes(type) == 2) memcpy(&bits, at, 2);
    if (type == DTYPE_F16) return (float)value_of(bits, 5, 10, true);
    if (type == DTYPE_BF16) return (float)value_of(bits, 8, 7, true);
    if (type == DTYPE_F8_E5M2) return (float)value_of(bits, 5, 2, true);
    return (float)value_of(bits, 4, 3, false);
}

static void converts_arrays_of_any_length_at_any_address(void)
{
    static const enum dtype floats[] = {DTYPE_F32, DTYPE_BF16,    DTYPE_F16,
                                        DTYPE_F64, DTYPE_F8_E4M3, DTYPE_F8_E5M2};
    enum {
        MOST = 75,
        SHIFTS = 9
    };
    unsigned char source[MOST * 8 + SHIFTS];
    uint64_t state = 20240229;
    for (size_t t = 0; t < sizeof floats / sizeof *floats; ++t) {
        const size_t bytes = dtype_bytes(floats[t]);
        for (size_t i = 0; i < sizeof source; ++i)
            source[i] = (unsigned char)next_random(&state);
        for (size_t count = 0; count <= MOST; ++count) {
            const unsigned char *const from = source + count % SHIFTS;
            float wide[MOST + 1];
            uint16_t narrow[MOST + 1];
            wide[count] = 12345;
            narrow[count] = 12345;
            dtype_to_f32(from, floats[t], wide, count);
            dtype_to_bf16(from, floats[t], narrow, count);
            for (size_t i = 0; i < count; ++i) {
                const float value = widen_one(from + i * bytes, floats[t]);
                check(same((double)wide[i], (double)value));
                if (floats[t] == DTYPE_BF16)
                    check(memcmp(&narrow[i], from + i * bytes, 2) == 0);
                else
                    check_int(narrow[i], ==, dtype_bf16_from_f32(value));
            }
            check_real(wide[count], ==, 12345);
            check_int(narrow[count], ==, 12345);
        }
    }
}

static void knows_names_and_bytes(void)
{
    check_str(dtype_name(DTYPE_F8_E4M3), "F8_E4M3");
    check_str(dtype_name(DTYPE_BOOL), "BOOL");
    check_int(dtype_bytes(DTYPE_F64), ==, 8);
    check_int(dtype_bytes(DTYPE_BF16), ==, 2);
    check(dtype_is_float(DTYPE_F8_E5M2) && !dtype_is_float(DTYPE_I64));
}

int main(void)
{
    check_run(widens_every_16_bit_value);
    check_run(widens_every_8_bit_value);
    check_run(narrows_what_it_widened);
    check_run(rounds_to_nearest_even);
    check_run(keeps_what_is_not_a_number);
    check_run(converts_arrays_of_any_length_at_any_address);
    check_run(knows_names_and_bytes);
    return check_done();
}
