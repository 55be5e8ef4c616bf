/* SPDX-License-Identifier: MIT */
/* Patterns: what is read, what is refused by name, and the pieces that come out. */
#include "base/status.h"
#include "text/splitter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

typedef struct pieces {
    char text[4096]; /* the pieces, each in front of a | */
    size_t n, count;
} pieces;

static mote_status take(void *arg, const uint8_t *piece, size_t n)
{
    pieces *p = arg;
    if (p->n + n + 2 < sizeof p->text) {
        memcpy(p->text + p->n, piece, n);
        p->text[p->n + n] = '|';
        p->n += n + 1;
        p->text[p->n] = '\0';
    }
    p->count++;
    return MOTE_OK;
}

/* Split with up to three patterns (NULL ends them). */
static void split(pieces *out, const char *const *patterns, const char *text, size_t n)
{
    mote__splitter s;
    mote_error err;
    memset(out, 0, sizeof *out);
    mote__splitter_init(&s, NULL);
    for (size_t i = 0; patterns[i]; i++)
        if (mote__splitter_add(&s, patterns[i], strlen(patterns[i]), false, &err) < 0)
            fail_msg("%s: %s", patterns[i], err.message);
    if (mote__splitter_freeze(&s, &err) < 0)
        fail_msg("%s: %s", patterns[0], err.message);
    mote__split_run run = {.splitter = &s, .piece = take, .arg = out, .err = &err};
    if (mote__split_text(&run, (const uint8_t *)text, n) < 0)
        fail_msg("%s: %s", patterns[0], err.message);
    /* Without executable memory the result is the same. */
    pieces again = {0};
    for (size_t i = 0; i < s.n_stages; i++)
        s.stages[i].jit = false;
    run.arg = &again;
    assert_int_equal(mote__split_text(&run, (const uint8_t *)text, n), 0);
    assert_string_equal(again.text, out->text);
    assert_int_equal(again.count, out->count);
    mote__split_run_free(&run);
    mote__splitter_free(&s);
}

static void check(const char *pattern, const char *text, const char *expected)
{
    const char *const patterns[] = {pattern, NULL};
    pieces p;
    split(&p, patterns, text, strlen(text));
    assert_string_equal(p.text, expected);
}

static void test_pieces(void **state)
{
    (void)state;
    check("\\d", "a12b", "a|1|2|b|");
    check("\\d+", "a12b", "a|12|b|");
    check("\\d{1,3}", "12345", "123|45|");
    check("\\d{2}", "12345", "12|34|5|");
    check("\\d{2,}", "1 234", "1 |234|");
    check("a|ab", "abab", "a|b|a|b|"); /* the first alternative that matches */
    check("ab|a", "aab", "a|ab|");
    check("(ab)+", "xababa", "x|abab|a|");
    check("(?:a|b)*c", "abcab", "abc|ab|");
    check("a+?b", "aab", "aab|");
    check("a++b", "aab", "aab|");
    check("[^a-c]+", "xyabz", "xy|ab|z|");
    check("[\\d\\-]+", "a-1b", "a|-1|b|");
    check("[-a]+", "a-b", "a-|b|");
    check("[a-]+", "a-b", "a-|b|");
    check("[\\]\\[^]+", "a[^]b", "a|[^]|b|");
    check("\\x41|\\x{42}|\\u0043", "xABCx", "x|A|B|C|x|");
    check("\\.\\*", "a.*b", "a|.*|b|");
    check("a.c", "abc a\nc", "abc| a\nc|");
    check("\\s+(?!\\S)|\\s+", "a   b", "a|  | |b|");
    check("(?=b)b", "abc", "a|b|c|");
    check("(?i:'s|'LL)", "it'S he'll it'\xc5\xbf", "it|'S| he|'ll| it|'\xc5\xbf|");
    check("\\p{L}+", "caf\xc3\xa9 1", "caf\xc3\xa9| 1|");
    check("\\P{L}+", "a 1b", "a| 1|b|");
    check("\\p{^L}+", "a 1b", "a| 1|b|");
    check("[\\p{L}\\p{N}]+", "a1-b2", "a1|-|b2|");
    check("\xe4\xb8\xad",
            "a\xe4\xb8\xad"
            "b",
            "a|\xe4\xb8\xad|b|");
    check("\\A.", "aab", "a|ab|");
    check(".\\z", "aab", "aa|b|");
    check("[^\\s\\S]a|b", "ab", "a|b|"); /* a class with no member */
    check("\\p{Lu}\\p{Ll}*", "oneTwoTHree", "one|Two|T|Hree|");
    check("[\\p{Lt}\\p{Lm}]", "a\xc7\x85\xca\xb0", "a|\xc7\x85|\xca\xb0|");
    check("\\p{Lo}+", "a\xd7\x90\xc2\xaa-", "a|\xd7\x90\xc2\xaa|-|");
    check("\\p{Han}+", "a\xe4\xbd\xa0\xe3\x80\x85\xe3\x81\xae", /* a 你 々 の */
            "a|\xe4\xbd\xa0\xe3\x80\x85|\xe3\x81\xae|");
    check("[a-f&&[^c]]+", "abcde", "ab|c|de|");
    check("[^a-f&&[^c]]+", "xcade", "xc|ade|");
    check("[a-cx&&b-y&&[^y]]+", "abcxy", "a|bcx|y|");
    check("[[ab][^c-z]&&\\p{L}]+", "abc1A", "ab|c1|A|");
    check("[a&]+", "a&b", "a&|b|");
    check("\\D+|[\\D]", "12ab3", "12|ab|3|");
    check("\\f|\\v|\\e|\\a", "x\f\v\x1b\ax", "x|\f|\v|\x1b|\a|x|");
    check("(?i:k)", "aKk\xe2\x84\xaa", "a|K|k|\xe2\x84\xaa|");
}

/* Ruby's $ matches before every newline, and ^ after every one but the last. */
static void test_line_ends(void **state)
{
    (void)state;
    check("\\s+$", "a  b  ", "a  b|  |");
    check("\\s+$", "a  \nb", "a|  |\nb|");
    check("\\s+$", "a \n \n b", "a| \n |\n b|");
    check("\\s+$", "a\n", "a|\n|");
    check("\\s+$", "a\n\nb", "a|\n|\nb|");
    check("b+$", "bb\nbab", "bb|\nba|b|");
    check("(?:b)+$", "bb\nbab", "bb|\nba|b|");
    check("(?:\\s)+$", "a \n \n b", "a| \n |\n b|");
    check("^a", "aa\naa\n", "a|a\n|a|a\n|");
}

static void test_invalid_bytes(void **state)
{
    (void)state;
    /* One unit each, of no class and not a space. */
    check("[^a]",
            "a\xff\xfe"
            "b",
            "a|\xff|\xfe|b|");
    check("\\S", "\x80 ", "\x80| |");
    check("\\s+", "\x80 ", "\x80| |");
    check("\\p{L}+",
            "a\xc3"
            "b",
            "a|\xc3|b|");
    check("[^\\p{L}]", "\xe4\xb8", "\xe4|\xb8|");
    check("[\\x{0}-\\x{10FFFF}]",
            "a\xff"
            "b",
            "a|\xff|b|");
}

/* The patterns matched here and by PCRE2 agree: C+ against (?:C)+, which is not plain.
 */
static void test_plain_agrees(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"[ab]", "(?:[ab])"}, {"[ab]+", "(?:[ab])+"},
            {"[ab]{1,3}", "(?:[ab]){1,3}"}, {"[ab]+$", "(?:[ab])+$"},
            {"[a\n]+$", "(?:[a\n])+$"}, {"[^a]+$", "(?:[^a])+$"}};
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        char text[24];
        size_t n = (size_t)(round % 20);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = "aab\n "[seed >> 24 & 3];
        }
        const char *const *pair = pairs[(size_t)round % (sizeof pairs / sizeof *pairs)];
        pieces a, b;
        split(&a, (const char *const[]){pair[0], NULL}, text, n);
        split(&b, (const char *const[]){pair[1], NULL}, text, n);
        assert_string_equal(a.text, b.text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *named;
        mote_status status;
    } cases[] = {
            {"\\p{Greek}", "\\p{Greek}", MOTE_E_UNSUPPORTED},
            {"[a\\p{Lul}]", "\\p{Lul}", MOTE_E_UNSUPPORTED},
            {"a\\w+", "\\w", MOTE_E_UNSUPPORTED},
            {"\\bx", "\\b", MOTE_E_UNSUPPORTED},
            {"\\Z", "\\Z", MOTE_E_UNSUPPORTED},
            {"(a)\\1", "\\1", MOTE_E_UNSUPPORTED},
            {"(?<=a)b", "(?<=", MOTE_E_UNSUPPORTED},
            {"(?<name>a)", "(?<name>", MOTE_E_UNSUPPORTED},
            {"(?i)a", "(?i)", MOTE_E_UNSUPPORTED},
            {"(?i:ss)", "s)", MOTE_E_UNSUPPORTED},
            {"(?i:[a])", "[a]", MOTE_E_UNSUPPORTED},
            {"(?#x)a", "(?#", MOTE_E_UNSUPPORTED},
            {"[[:alpha:]]", "[:alpha:]", MOTE_E_UNSUPPORTED},
            {"[&&a]", "&&", MOTE_E_UNSUPPORTED},
            {"[a&&]", "]", MOTE_E_UNSUPPORTED},
            {"[a&&&&b]", "&&", MOTE_E_UNSUPPORTED},
            {"[a&&-b]", "-b", MOTE_E_UNSUPPORTED},
            {"[a-&&b]", "a-&&", MOTE_E_UNSUPPORTED},
            {"[ab~~b]", "~~", MOTE_E_UNSUPPORTED},
            {"[a[b]", "not closed", MOTE_E_FORMAT},
            {"[a&&[b]", "not closed", MOTE_E_FORMAT},
            {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
                    "nesting", MOTE_E_UNSUPPORTED},
            {"[]a]", "]a]", MOTE_E_UNSUPPORTED},
            {"[a-\\d]", "a-\\d", MOTE_E_UNSUPPORTED},
            {"[z-a]", "z-a", MOTE_E_UNSUPPORTED},
            {"[a-c-e]", "-e", MOTE_E_UNSUPPORTED},
            {"a**", "*", MOTE_E_UNSUPPORTED},
            {"*a", "*a", MOTE_E_UNSUPPORTED},
            {"(?=a)+", "+", MOTE_E_UNSUPPORTED},
            {"a{2}?", "{2}?", MOTE_E_UNSUPPORTED},
            {"a{1,2}+", "{1,2}+", MOTE_E_UNSUPPORTED},
            {"a{2,1}", "{2,1}", MOTE_E_UNSUPPORTED},
            {"a{5000}", "{5000}", MOTE_E_UNSUPPORTED},
            {"a{", "{", MOTE_E_UNSUPPORTED},
            {"a{x}", "{x}", MOTE_E_UNSUPPORTED},
            {"\\x80", "\\x80", MOTE_E_UNSUPPORTED},
            {"\\ud800", "\\ud800", MOTE_E_UNSUPPORTED},
            {"a\\", "backslash", MOTE_E_UNSUPPORTED},
            {"[a", "not closed", MOTE_E_FORMAT},
            {"(a", "not closed", MOTE_E_FORMAT},
            {"(?i:a", "not closed", MOTE_E_FORMAT},
            {"a)", "unmatched", MOTE_E_FORMAT},
            {"\xff", "UTF-8", MOTE_E_FORMAT},
            {"((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))",
                    "nesting", MOTE_E_UNSUPPORTED},
            {"a*", "empty text", MOTE_E_UNSUPPORTED},
            {"()", "empty text", MOTE_E_UNSUPPORTED},
            {"", "empty text", MOTE_E_UNSUPPORTED},
            {"(((((a{1000}){1000}){1000}){1000}){1000}){1000}", "too large",
                    MOTE_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote__splitter s;
        mote_error err = {0};
        mote__splitter_init(&s, NULL);
        mote_status st = mote__splitter_add(
                &s, cases[i].pattern, strlen(cases[i].pattern), false, &err);
        if (st >= 0)
            st = mote__splitter_freeze(&s, &err);
        mote__splitter_free(&s);
        if (st != cases[i].status || !strstr(err.message, cases[i].named))
            fail_msg("%s: %d: %s", cases[i].pattern, (int)st, err.message);
    }
}

/* 257 characters that a pattern tells apart do not fit one byte. */
static void test_too_many_classes(void **state)
{
    (void)state;
    char pattern[4096];
    size_t n = 0;
    for (uint32_t c = 0x4E00; c < 0x4E00 + 257; c++) {
        pattern[n++] = (char)(0xE0 | c >> 12);
        pattern[n++] = (char)(0x80 | (c >> 6 & 0x3F));
        pattern[n++] = (char)(0x80 | (c & 0x3F));
    }
    mote__splitter s;
    mote_error err;
    mote__splitter_init(&s, NULL);
    assert_int_equal(mote__splitter_add(&s, pattern, n, true, &err), 0);
    assert_int_equal(mote__splitter_freeze(&s, &err), MOTE_E_UNSUPPORTED);
    mote__splitter_free(&s);
}

/* The longest run of one class, and a backtracking engine's worst cases: none may take
 * more than time in proportion to the text. */
static void test_linear(void **state)
{
    (void)state;
    static const char *const v2[] = {"[\r\n]", "\\s?[A-Za-z]+", "\\s+$", NULL};
    static const char *const v3[] = {"\\p{N}{1,3}",
            "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
            "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|"
            "\\s+(?!\\S)|\\s+",
            NULL};
    enum { N = 1000000 };
    char *text = malloc(N);
    pieces p;
    clock_t begin = clock();
    memset(text, ' ', N);
    text[N - 1] = '!';
    split(&p, v2, text, N);
    assert_int_equal(p.count, 1);
    split(&p, v3, text, N);
    assert_int_equal(p.count, 2);
    for (size_t i = 0; i < N; i++)
        text[i] = i % 2 ? '\n' : ' ';
    split(&p, (const char *const[]){"\\s+$", NULL}, text, N);
    split(&p, v3, text, N);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
    free(text);
}

static uint32_t random_below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*seed * n >> 32);
}

/* Sets against plain tables of bits; ranges stay sorted and apart. */
static void test_code_sets(void **state)
{
    (void)state;
    enum { N = 60 };
    uint32_t seed = 7;
    for (int round = 0; round < 4000; round++) {
        mote__code_set set = {0}, other = {0};
        bool in[2][N + 1] = {{false}}, bits[N + 1];
        bool both = round & 2;
        for (uint32_t k = random_below(&seed, 9); k > 0; k--) {
            uint32_t lo = random_below(&seed, N), hi = lo + random_below(&seed, N - lo);
            assert_int_equal(mote__code_set_add(k & 1 ? &set : &other, lo, hi), 0);
            for (uint32_t i = lo; i <= hi; i++)
                in[k & 1][i] = true;
        }
        for (uint32_t i = 0; i <= N; i++)
            bits[i] = both ? in[0][i] && in[1][i] : in[0][i] || in[1][i];
        if (both)
            assert_int_equal(mote__code_set_intersect(&set, &other), 0);
        else
            assert_int_equal(mote__code_set_add_set(&set, &other), 0);
        if (round & 1) {
            assert_int_equal(mote__code_set_invert(&set), 0);
            assert_true(mote__code_set_has(&set, MOTE__UNIT_INVALID));
        }
        for (uint32_t i = 0; i <= N; i++)
            assert_int_equal(mote__code_set_has(&set, i), bits[i] != (round & 1));
        for (size_t i = 0; i < set.n; i++) {
            assert_true(set.ranges[i][0] <= set.ranges[i][1]);
            assert_true(i == 0 || set.ranges[i][0] > set.ranges[i - 1][1] + 1);
        }
        mote__code_set_free(&set);
        mote__code_set_free(&other);
    }
}

/* Code points of each class in Unicode 16.0, as the reference engine counts them. */
static void test_classes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n;
    } classes[] = {{"L", 141028}, {"Lu", 1858}, {"Ll", 2258}, {"Lt", 31}, {"Lm", 404},
            {"Lo", 136477}, {"M", 2501}, {"N", 1911}, {"Nd", 760}, {"P", 855},
            {"S", 8514}, {"Han", 99030}, {"space", 25}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        mote__code_set set = {0};
        size_t n = 0;
        assert_int_equal(mote__code_set_add_class(&set, classes[i].name), 0);
        for (size_t k = 0; k < set.n; k++)
            n += set.ranges[k][1] - set.ranges[k][0] + 1;
        if (n != classes[i].n)
            fail_msg("%s has %zu members, expected %zu", classes[i].name, n,
                    classes[i].n);
        mote__code_set_free(&set);
    }
    mote__code_set set = {0};
    assert_int_equal(mote__code_set_add_class(&set, "Greek"), 1);
}

/* The longest pattern that is read, full of the largest classes, in every stage. */
static void test_long_patterns(void **state)
{
    (void)state;
    enum { N = 1 << 14 };
    static const char *const units[] = {"\\p{L}", "\\P{M}", "\\S"};
    char *pattern = malloc(N);
    clock_t begin = clock();
    mote__splitter s;
    mote_error err = {0};
    mote__splitter_init(&s, NULL);
    for (size_t k = 0; k < MOTE__STAGES_MAX; k++) {
        const char *unit = units[k % 3];
        size_t n = 0, step = strlen(unit);
        pattern[n++] = '[';
        for (; n + step + 1 < N; n += step)
            memcpy(pattern + n, unit, step);
        pattern[n++] = ']';
        if (mote__splitter_add(&s, pattern, n, false, &err) < 0)
            fail_msg("%s", err.message);
    }
    assert_int_equal(mote__splitter_add(&s, "a", 1, false, &err), MOTE_E_UNSUPPORTED);
    assert_int_equal(mote__splitter_freeze(&s, &err), 0);
    mote__splitter_free(&s);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
    free(pattern);
}

/* A pattern that explodes ends with a sentence, with and without executable memory. */
static void test_explosion(void **state)
{
    (void)state;
    static const char *const patterns[] = {
            "(a+)+b", "(?:a|a)*b", "a*a*a*a*a*b", "(?:(?:a+)+)+\\z", "(?:a|aa)+(?!a)b"};
    char text[20002];
    memset(text, 'a', 20000);
    memcpy(text + 20000, "cb", 2);
    clock_t begin = clock();
    for (size_t i = 0; i < 2 * sizeof patterns / sizeof *patterns; i++) {
        mote__splitter s;
        mote_error err = {0};
        pieces p = {0};
        const char *pattern = patterns[i / 2];
        mote__splitter_init(&s, NULL);
        assert_int_equal(
                mote__splitter_add(&s, pattern, strlen(pattern), false, &err), 0);
        assert_int_equal(mote__splitter_freeze(&s, &err), 0);
        if (i % 2)
            s.stages[0].jit = false;
        mote__split_run run = {.splitter = &s, .piece = take, .arg = &p, .err = &err};
        mote_status st = mote__split_text(&run, (const uint8_t *)text, sizeof text);
        if (st != MOTE_E_UNSUPPORTED || !strstr(err.message, "too many steps"))
            fail_msg("%s: %d: %s", pattern, (int)st, err.message);
        mote__split_run_free(&run);
        mote__splitter_free(&s);
    }
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pieces),
            cmocka_unit_test(test_line_ends),
            cmocka_unit_test(test_invalid_bytes),
            cmocka_unit_test(test_plain_agrees),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_too_many_classes),
            cmocka_unit_test(test_linear),
            cmocka_unit_test(test_explosion),
            cmocka_unit_test(test_code_sets),
            cmocka_unit_test(test_classes),
            cmocka_unit_test(test_long_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
