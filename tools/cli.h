/* SPDX-License-Identifier: MIT */
/*
 * What every shmbus tool does alike on its command line: exit codes, the form of its errors
 * ("shmbus-NAME: what: why (what to do)", on stderr) and the reading of numbers, sizes and times.
 */
#ifndef SHMBUS_TOOLS_CLI_H
#define SHMBUS_TOOLS_CLI_H

#include <stddef.h>
#include <stdint.h>

/* Exit codes. A function below that reads an option returns CLI_OK or CLI_USAGE. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
};

/*
 * Begins a tool: sets the name that stands before every error (the string must last), and sees to
 * it that standard input, output and error are open.
 */
void cli_begin(const char *program);

/* Prints one error line and returns CLI_FAILED. */
int cli_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints one line of the same form about something that is no failure. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints one error line and where help is, and returns CLI_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Says what was wrong with the option that getopt_long() stopped at with '?' or ':' (its own
 * messages are off), and returns CLI_USAGE.
 */
int cli_bad_option(int code, char *const *arguments);

/* What the library said about the call of it that failed last. */
const char *cli_why(int error);

/*
 * Prints what a call of the library said about a bus, with a hint at what to do (NULL: none), and
 * returns CLI_USAGE where it was the arguments that were wrong and CLI_FAILED for the rest.
 */
int cli_bus_failed(const char *bus, int error, const char *hint);

/* Prints the version and returns CLI_OK; flushed and checked as cli_flush_stdout() does. */
int cli_version(void);

/* Prints a help text and returns as cli_version() does. */
int cli_help(const char *text);

/* Writes out what stdio still keeps; CLI_FAILED with an error line when that cannot be written. */
int cli_flush_stdout(void);

/* Reads a decimal number of least to most. `option` is what the error calls it. */
int cli_number(const char *option, const char *text, uint64_t least, uint64_t most,
               uint64_t *out_number);

/* The same with an optional K, M or G for 1024, 1024^2 or 1024^3. */
int cli_size(const char *option, const char *text, uint64_t least, uint64_t most,
             uint64_t *out_size);

/* Reads seconds, with a fraction if need be, up to ten years, as nanoseconds. */
int cli_seconds(const char *option, const char *text, int64_t *out_ns);

/* The same for what has to last: 0 is refused. */
int cli_duration(const char *option, const char *text, int64_t *out_ns);

/* Reads the name of a way to wait, as enum shmbus_wait_strategy. */
int cli_wait_strategy(const char *text, uint32_t *out_strategy);

/* The time of CLOCK_MONOTONIC in nanoseconds. */
int64_t cli_now_ns(void);

#endif
