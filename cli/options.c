// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/exit.h"
#include "config.h"

#define ARGS_MAX 4
#define VALUES_MAX 256

struct value {
	const struct option_spec *spec;
	const char *text;
};

struct options {
	const struct program *program;
	const struct command *command;
	const char *args[ARGS_MAX];
	size_t args_count;
	struct value values[VALUES_MAX];
	size_t values_count;
};

static void print_option(FILE *out, const struct option_spec *spec)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s%s", spec->name,
	    spec->arg == NULL ? "" : " ", spec->arg == NULL ? "" : spec->arg,
	    spec->repeat ? " ..." : "");
	fprintf(out, "  %-26s %s%s\n", left, spec->help,
	    spec->required ? " (required)" : "");
}

static void print_options(
    FILE *out, const char *title, const struct option_spec *spec)
{
	if (spec == NULL || spec->name == NULL)
		return;
	fprintf(out, "\n%s:\n", title);
	for (; spec->name != NULL; spec++)
		print_option(out, spec);
}

static void print_program_help(FILE *out, const struct program *program)
{
	fprintf(out,
	    "Usage: %s [OPTION...] COMMAND [ARGUMENT...]\n%s\n\n"
	    "Commands:\n",
	    program->name, program->help);
	for (const struct command *c = program->commands; c->words; c++) {
		char left[64];
		snprintf(left, sizeof(left), "%s %s", c->words, c->args);
		fprintf(out, "  %-26s %s\n", left, c->help);
	}
	print_options(out, "Options for every command", program->globals);
	fprintf(out, "  %-26s %s\n  %-26s %s\n", "--help",
	    "show this, or the help of a command", "--version",
	    "show the version");
}

static void print_command_help(
    FILE *out, const struct program *program, const struct command *command)
{
	fprintf(out, "Usage: %s %s%s%s [OPTION...]\n%s\n", program->name,
	    command->words, command->args[0] == '\0' ? "" : " ", command->args,
	    command->help);
	print_options(out, "Options", command->options);
	print_options(out, "Options for every command", program->globals);
}

static int wrong_use(
    const struct options *options, const char *what, const char *which)
{
	fprintf(stderr, "%s: %s%s%s\n", options->program->name, what,
	    which == NULL ? "" : " ", which == NULL ? "" : which);
	fprintf(stderr, "Try '%s%s%s --help'.\n", options->program->name,
	    options->command == NULL ? "" : " ",
	    options->command == NULL ? "" : options->command->words);
	return EXIT_WRONG_USE;
}

static const struct option_spec *find_in(
    const struct option_spec *table, const char *name, size_t len)
{
	if (table == NULL)
		return NULL;
	for (; table->name != NULL; table++)
		if (strlen(table->name) == len &&
		    strncmp(table->name, name, len) == 0)
			return table;
	return NULL;
}

/* The option that ARG ("--name" or "--name=value") names. */
static const struct option_spec *find_option(
    const struct options *options, const char *arg, const char **value_out)
{
	const char *name = arg + 2;
	size_t len = strcspn(name, "=");
	const struct option_spec *spec =
	    options->command == NULL
		? NULL
		: find_in(options->command->options, name, len);

	if (spec == NULL)
		spec = find_in(options->program->globals, name, len);
	*value_out = name[len] == '=' ? name + len + 1 : NULL;
	return spec;
}

/* True when WORDS ("cluster create") begin ARGV at INDEX; *taken_out words. */
static bool words_match(
    const char *words, int argc, char **argv, int *taken_out)
{
	int taken = 0;

	while (*words != '\0') {
		size_t len = strcspn(words, " ");
		if (taken == argc || strlen(argv[taken]) != len ||
		    strncmp(argv[taken], words, len) != 0)
			return false;
		taken++;
		words += len + (words[len] == ' ');
	}
	*taken_out = taken;
	return true;
}

static bool begins_command(const struct program *program, const char *word)
{
	for (const struct command *c = program->commands; c->words; c++) {
		size_t len = strcspn(c->words, " ");
		if (strlen(word) == len && strncmp(c->words, word, len) == 0)
			return true;
	}
	return false;
}

static const struct command *find_command(
    const struct program *program, int argc, char **argv, int *taken_out)
{
	for (const struct command *c = program->commands; c->words; c++)
		if (words_match(c->words, argc, argv, taken_out))
			return c;
	return NULL;
}

static int add_option(
    struct options *options, int argc, char **argv, int *index)
{
	const char *value = NULL;
	const char *arg = argv[*index];
	const struct option_spec *spec = find_option(options, arg, &value);

	if (spec == NULL)
		return wrong_use(options, "unknown option", arg);
	if (spec->arg == NULL && value != NULL)
		return wrong_use(options, "option takes no value:", arg);
	if (spec->arg != NULL && value == NULL) {
		if (*index + 1 >= argc)
			return wrong_use(options, "option needs a value:", arg);
		value = argv[++*index];
	}
	if (!spec->repeat && spec->arg != NULL &&
	    options_get(options, spec->name) != NULL)
		return wrong_use(options, "option given twice:", arg);
	if (options->values_count == VALUES_MAX)
		return wrong_use(options, "too many options", NULL);
	options->values[options->values_count++] = (struct value){spec, value};
	return EXIT_DONE;
}

static int add_command(
    struct options *options, int argc, char **argv, int *index)
{
	int taken = 0;

	options->command = find_command(
	    options->program, argc - *index, argv + *index, &taken);
	if (options->command != NULL) {
		*index += taken - 1;
		return EXIT_DONE;
	}
	if (begins_command(options->program, argv[*index])) {
		fprintf(stderr, "%s: '%s' needs one of its commands:\n",
		    options->program->name, argv[*index]);
		for (const struct command *c = options->program->commands;
		     c->words; c++)
			if (text_has_prefix(c->words, argv[*index]))
				fprintf(stderr, "  %s %s %s\n",
				    options->program->name, c->words, c->args);
		return EXIT_WRONG_USE;
	}
	return wrong_use(options, "unknown command", argv[*index]);
}

static int add_argument(struct options *options, const char *arg)
{
	if (options->args_count == ARGS_MAX)
		return wrong_use(options, "too many arguments:", arg);
	options->args[options->args_count++] = arg;
	return EXIT_DONE;
}

/* Words of ARGS ("NAME [FILE]"): those that must be there, and all. */
static void count_args(const char *args, size_t *least, size_t *most)
{
	*least = *most = 0;
	while (*args != '\0') {
		(*most)++;
		if (*args != '[')
			(*least)++;
		args += strcspn(args, " ");
		args += strspn(args, " ");
	}
}

static int check_complete(const struct options *options)
{
	size_t least, most;
	const struct option_spec *spec = options->command->options;

	count_args(options->command->args, &least, &most);
	if (options->args_count < least)
		return wrong_use(
		    options, "missing argument:", options->command->args);
	if (options->args_count > most)
		return wrong_use(
		    options, "too many arguments:", options->args[most]);
	for (; spec != NULL && spec->name != NULL; spec++)
		if (spec->required && !options_has(options, spec->name)) {
			char name[64];
			snprintf(name, sizeof(name), "--%s %s", spec->name,
			    spec->arg);
			return wrong_use(options, "missing option:", name);
		}
	return EXIT_DONE;
}

static void show_help(const struct options *options)
{
	if (options->command == NULL)
		print_program_help(stdout, options->program);
	else
		print_command_help(stdout, options->program, options->command);
}

static int parse(struct options *options, int argc, char **argv, bool *help)
{
	bool only_args = false;

	for (int i = 1; i < argc; i++) {
		int code;
		if (!only_args && strcmp(argv[i], "--") == 0) {
			only_args = true;
			continue;
		}
		if (!only_args && (strcmp(argv[i], "--help") == 0 ||
				      strcmp(argv[i], "-h") == 0)) {
			*help = true;
			continue;
		}
		if (!only_args && text_has_prefix(argv[i], "--"))
			code = add_option(options, argc, argv, &i);
		else if (options->command == NULL)
			code = add_command(options, argc, argv, &i);
		else
			code = add_argument(options, argv[i]);
		if (code != EXIT_DONE)
			return code;
	}
	return EXIT_DONE;
}

int options_run(const struct program *program, int argc, char **argv)
{
	struct options options = {.program = program};
	bool help = false;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", program->name, PACKAGE_VERSION);
			return EXIT_DONE;
		}
	int code = parse(&options, argc, argv, &help);
	if (help) {
		show_help(&options);
		return EXIT_DONE;
	}
	if (code != EXIT_DONE)
		return code;
	if (options.command == NULL) {
		print_program_help(stderr, program);
		return EXIT_WRONG_USE;
	}
	if ((code = check_complete(&options)) != EXIT_DONE)
		return code;
	return options.command->run(&options);
}

const char *options_get(const struct options *options, const char *name)
{
	for (size_t i = options->values_count; i > 0; i--)
		if (strcmp(options->values[i - 1].spec->name, name) == 0)
			return options->values[i - 1].text;
	return NULL;
}

bool options_has(const struct options *options, const char *name)
{
	for (size_t i = 0; i < options->values_count; i++)
		if (strcmp(options->values[i].spec->name, name) == 0)
			return true;
	return false;
}

bool options_each(const struct options *options, const char *name, size_t index,
    const char **value_out)
{
	size_t seen = 0;

	for (size_t i = 0; i < options->values_count; i++)
		if (strcmp(options->values[i].spec->name, name) == 0 &&
		    seen++ == index) {
			*value_out = options->values[i].text;
			return true;
		}
	return false;
}

const char *options_arg(const struct options *options, size_t index)
{
	return index < options->args_count ? options->args[index] : NULL;
}

const char *options_program(const struct options *options)
{
	return options->program->name;
}
