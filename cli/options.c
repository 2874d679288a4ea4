// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

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
	const char *group; /* "cluster" alone, its help asked for */
	bool help; /* the first word was "help" */
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
	    "show this, or the help of a command, as 'help COMMAND'",
	    "--version", "show the version");
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
	if (arg[1] != '-')
		return NULL;
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

/* True when WORD is the first word of WORDS. */
static bool is_first_word(const char *words, const char *word)
{
	size_t len = strcspn(words, " ");

	return strlen(word) == len && strncmp(words, word, len) == 0;
}

static bool begins_command(const struct program *program, const char *word)
{
	for (const struct command *c = program->commands; c->words; c++)
		if (is_first_word(c->words, word))
			return true;
	return false;
}

static void print_group(
    FILE *out, const struct program *program, const char *group)
{
	fprintf(out,
	    "Usage: %s %s COMMAND [ARGUMENT...] [OPTION...]\n\nCommands:\n",
	    program->name, group);
	for (const struct command *c = program->commands; c->words; c++)
		if (is_first_word(c->words, group)) {
			char left[64];
			snprintf(left, sizeof(left), "%s %s %s", program->name,
			    c->words, c->args);
			fprintf(out, "  %-32s %s\n", left, c->help);
		}
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
	/* Mostly a variable of a script that was not set. */
	if (value != NULL && *value == '\0')
		return wrong_use(options, "option has an empty value:", arg);
	if (!spec->repeat && spec->arg != NULL &&
	    options_get(options, spec->name) != NULL)
		return wrong_use(options, "option given twice:", arg);
	if (options->values_count == VALUES_MAX)
		return wrong_use(options, "too many options", NULL);
	options->values[options->values_count++] = (struct value){spec, value};
	return EXIT_DONE;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static int add_command(
    struct options *options, int argc, char **argv, int *index)
{
	const char *word = argv[*index];
	int taken = 0;

	options->command = find_command(
	    options->program, argc - *index, argv + *index, &taken);
	if (options->command != NULL) {
		*index += taken - 1;
		return EXIT_DONE;
	}
	if (!begins_command(options->program, word))
		return wrong_use(options, "unknown command", word);
	for (int i = *index + 1; i < argc; i++)
		options->help = options->help || is_help(argv[i]);
	if (options->help) {
		options->group = word;
		return EXIT_DONE;
	}
	fprintf(stderr, "%s: '%s' needs one of its commands:\n",
	    options->program->name, word);
	print_group(stderr, options->program, word);
	return EXIT_WRONG_USE;
}

static int add_argument(struct options *options, const char *arg)
{
	if (*arg == '\0')
		return wrong_use(options, "an argument is empty", NULL);
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

/* What parsing ended with: a command to run, or something to show. */
enum wish { WISH_RUN, WISH_HELP, WISH_VERSION };

static void show(const struct options *options, enum wish wish)
{
	const struct program *program = options->program;

	if (wish == WISH_VERSION)
		printf("%s %s\n", program->name, PACKAGE_VERSION);
	else if (options->group != NULL)
		print_group(stdout, program, options->group);
	else if (options->command == NULL)
		print_program_help(stdout, program);
	else
		print_command_help(stdout, program, options->command);
}

/* A word that is no option: part of the command's name, or its argument. */
static int add_word(struct options *options, int argc, char **argv, int *index)
{
	if (options->command != NULL)
		return add_argument(options, argv[*index]);
	if (!options->help && strcmp(argv[*index], "help") == 0) {
		options->help = true;
		return EXIT_DONE;
	}
	return add_command(options, argc, argv, index);
}

static int parse(
    struct options *options, int argc, char **argv, enum wish *wish)
{
	bool only_args = false;
	int code = EXIT_DONE;

	for (int i = 1; code == EXIT_DONE && i < argc; i++) {
		const char *arg = argv[i];
		/* "-" alone is a file by custom. */
		bool dashed = !only_args && arg[0] == '-' && arg[1] != '\0';
		if (!dashed)
			code = add_word(options, argc, argv, &i);
		else if (strcmp(arg, "--") == 0)
			only_args = true;
		else if (is_help(arg))
			*wish = WISH_HELP;
		else if (strcmp(arg, "--version") == 0)
			*wish = WISH_VERSION;
		else
			code = add_option(options, argc, argv, &i);
		if (options->group != NULL)
			break;
	}
	if (options->help && *wish == WISH_RUN)
		*wish = WISH_HELP;
	return code;
}

/* Data that did not reach its file is a failure, whatever the command did. */
static int check_written(const struct program *program, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "%s: writing to standard output: %m\n", program->name);
	return code == EXIT_DONE ? EXIT_FAILED : code;
}

int options_run(const struct program *program, int argc, char **argv)
{
	struct options options = {.program = program};
	enum wish wish = WISH_RUN;
	int code = parse(&options, argc, argv, &wish);

	if (code != EXIT_DONE)
		return code;
	if (wish != WISH_RUN) {
		show(&options, wish);
		return check_written(program, EXIT_DONE);
	}
	if (options.command == NULL) {
		print_program_help(stderr, program);
		return EXIT_WRONG_USE;
	}
	if ((code = check_complete(&options)) != EXIT_DONE)
		return code;
	return check_written(program, options.command->run(&options));
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
