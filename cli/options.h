// SPDX-License-Identifier: Apache-2.0
/*
 * Commands and their options as tables, from which parsing and help both come.
 * The options of every command may stand before and after it, its own anywhere
 * after it.  "--" ends the options.  An empty value or argument is refused.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>
#include "base/err.h"

struct option_spec {
	const char *name; /* without the dashes; NULL ends a table */
	const char *arg; /* what its value is called; NULL: a switch */
	const char *help;
	bool repeat; /* may be given several times */
	bool required;
};

struct options;

/* One command: its words, its arguments, and what runs it. */
struct command {
	const char *words; /* "cluster create"; NULL ends a table */
	const char *args; /* "NAME", "[FILE]" or "" */
	const char *help;
	const struct option_spec *options;
	int (*run)(const struct options *options);
};

struct program {
	const char *name;
	const char *help;
	const struct option_spec *globals;
	const struct command *commands;
};

/*
 * Parses, and runs the command; --help and --version are answered here.
 * Returns the exit code, that of a failure when standard output failed.
 */
int options_run(const struct program *program, int argc, char **argv);

/* The value of an option, or NULL; the last one given. */
const char *options_get(const struct options *options, const char *name);
bool options_has(const struct options *options, const char *name);
/* Value INDEX of a repeated option; false past the last. */
bool options_each(const struct options *options, const char *name, size_t index,
    const char **value_out);
/* Argument INDEX of the command; NULL when it was not given. */
const char *options_arg(const struct options *options, size_t index);
const char *options_program(const struct options *options);

#endif
