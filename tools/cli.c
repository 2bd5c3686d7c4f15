/* SPDX-License-Identifier: MIT */
/*
 * What every shmbus tool does alike on its command line: see cli.h. Numbers are read strictly: no
 * sign, no space, no rest that is left unread, because a typing error in a geometry would otherwise
 * make another bus than the one that was meant.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <shmbus/shmbus.h>

#define SECONDS_MOST 315360000u /* ten years */

static const char *program_name = "shmbus";

void cli_begin(const char *program)
{
    program_name = program;
    /*
     * Where standard input, output or error is closed, the next file that is opened would become
     * it, and what is printed would go into the bus. The place holders can be neither read (input)
     * nor written (output, error).
     */
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1) {
            const int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
            (void)opened;
        }
    }
}

static void print_error(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

static void print_error(const char *format, va_list arguments)
{
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int cli_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_error(format, arguments);
    va_end(arguments);
    return CLI_FAILED;
}

void cli_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_error(format, arguments);
    va_end(arguments);
}

int cli_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_error(format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try '%s --help'.\n", program_name);
    return CLI_USAGE;
}

int cli_bad_option(int code, char *const *arguments)
{
    if (code == ':') {
        return cli_usage("option '%s' needs an argument", arguments[optind - 1]);
    }
    if (optopt > 0 && optopt < 128) {
        return cli_usage("unknown option '-%c'", optopt);
    }
    if (optopt != 0) {
        return cli_usage("option '%s' takes no argument", arguments[optind - 1]);
    }
    return cli_usage("unknown or ambiguous option '%s'", arguments[optind - 1]);
}

const char *cli_why(int error)
{
    const char *text = shmbus_error_text();
    return text[0] != '\0' ? text : shmbus_strerror(error);
}

int cli_bus_failed(const char *bus, int error, const char *hint)
{
    const char *why = cli_why(error);
    const size_t name_length = strlen(bus);
    /* The library's text often begins with the bus's name too. */
    if (strncmp(why, bus, name_length) == 0 && strncmp(why + name_length, ": ", 2) == 0) {
        why += name_length + 2;
    }
    if (hint) {
        cli_failed("bus '%s': %s (%s)", bus, why, hint);
    } else {
        cli_failed("bus '%s': %s", bus, why);
    }
    return error == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

int cli_flush_stdout(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return cli_failed("standard output: %s", strerror(errno));
    }
    return CLI_OK;
}

int cli_version(void)
{
    printf("%s %s\n", program_name, shmbus_version());
    return cli_flush_stdout();
}

int cli_help(const char *text)
{
    fputs(text, stdout);
    return cli_flush_stdout();
}

/* Reads the digits at *text and moves it past them; -1 if there are none or they are too many. */
static int read_digits(const char **text, uint64_t *out_number)
{
    const char *at = *text;
    uint64_t number = 0;
    if (*at < '0' || *at > '9') {
        return -1;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');
        if (number > (UINT64_MAX - digit) / 10) {
            return -1;
        }
        number = number * 10 + digit;
    }
    *text = at;
    *out_number = number;
    return 0;
}

static int out_of_range(const char *option, const char *text, uint64_t least, uint64_t most)
{
    return cli_usage("%s: '%s' is not a number from %llu to %llu", option, text,
                     (unsigned long long)least, (unsigned long long)most);
}

int cli_number(const char *option, const char *text, uint64_t least, uint64_t most,
               uint64_t *out_number)
{
    const char *at = text;
    uint64_t number = 0;
    if (read_digits(&at, &number) != 0 || *at != '\0' || number < least || number > most) {
        return out_of_range(option, text, least, most);
    }
    *out_number = number;
    return CLI_OK;
}

int cli_size(const char *option, const char *text, uint64_t least, uint64_t most,
             uint64_t *out_size)
{
    static const char suffixes[] = "KMG";
    const char *at = text;
    uint64_t size = 0;
    if (read_digits(&at, &size) != 0) {
        return out_of_range(option, text, least, most);
    }
    if (*at != '\0') {
        const char *suffix = strchr(suffixes, *at);
        const unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
        if (!suffix || at[1] != '\0' || size > UINT64_MAX >> shift) {
            return out_of_range(option, text, least, most);
        }
        size <<= shift;
    }
    if (size < least || size > most) {
        return out_of_range(option, text, least, most);
    }
    *out_size = size;
    return CLI_OK;
}

int cli_seconds(const char *option, const char *text, int64_t *out_ns)
{
    const char *at = text;
    uint64_t seconds = 0;
    int64_t fraction_ns = 0;
    int bad = read_digits(&at, &seconds) != 0 || seconds > SECONDS_MOST;
    if (!bad && *at == '.') {
        int64_t weight_ns = 100000000;
        for (at++; *at >= '0' && *at <= '9'; at++) {
            fraction_ns += (int64_t)(*at - '0') * weight_ns;
            weight_ns /= 10;
        }
    }
    if (bad || *at != '\0') {
        return cli_usage("%s: '%s' is not a number of seconds from 0 to %u", option, text,
                         SECONDS_MOST);
    }
    *out_ns = (int64_t)seconds * INT64_C(1000000000) + fraction_ns;
    return CLI_OK;
}

int cli_duration(const char *option, const char *text, int64_t *out_ns)
{
    const int result = cli_seconds(option, text, out_ns);
    if (result == CLI_OK && *out_ns == 0) {
        return cli_usage("%s: '%s' is not a number of seconds above 0", option, text);
    }
    return result;
}

int cli_wait_strategy(const char *text, uint32_t *out_strategy)
{
    static const char *const words[] = {
        [SHMBUS_WAIT_ADAPTIVE] = "adaptive",
        [SHMBUS_WAIT_SPIN] = "spin",
        [SHMBUS_WAIT_YIELD] = "yield",
        [SHMBUS_WAIT_PARK] = "park",
    };
    for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out_strategy = i;
            return CLI_OK;
        }
    }
    return cli_usage("--wait-strategy: '%s' is none of spin, yield, adaptive, park", text);
}

int64_t cli_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
