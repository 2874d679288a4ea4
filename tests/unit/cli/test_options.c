// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/harness.h"

#include <stdio.h>

#include "cli/exit.h"
#include "cli/options.h"

/* What the last run of a command was given. */
static char seen[1024];

static int note(const struct options *options)
{
	size_t len = 0;
	const char *value;

	for (size_t i = 0; options_arg(options, i) != NULL; i++)
		len += (size_t)snprintf(seen + len, sizeof(seen) - len, "[%s]",
		    options_arg(options, i));
	for (size_t i = 0; options_each(options, "dns", i, &value); i++)
		len += (size_t)snprintf(
		    seen + len, sizeof(seen) - len, " dns=%s", value);
	if (options_get(options, "policy") != NULL)
		len += (size_t)snprintf(seen + len, sizeof(seen) - len,
		    " policy=%s", options_get(options, "policy"));
	if (options_get(options, "url") != NULL)
		len += (size_t)snprintf(seen + len, sizeof(seen) - len,
		    " url=%s", options_get(options, "url"));
	if (options_has(options, "json"))
		snprintf(seen + len, sizeof(seen) - len, " json");
	return 0;
}

static int fail_with_5(const struct options *options)
{
	(void)options;
	return 5;
}

static const struct option_spec globals[] = {
    {"url", "URL", "of the server", false, false},
    {"json", NULL, "print JSON", false, false},
    {0},
};
static const struct option_spec create_options[] = {
    {"policy", "POLICY", "its policy", false, true},
    {"dns", "NAME", "its names", true, false},
    {0},
};
static const struct command commands[] = {
    {"status", "", "how it is", NULL, note},
    {"cluster create", "NAME", "make one", create_options, note},
    {"cluster list", "", "list them", NULL, note},
    {"clusters", "", "a longer word", NULL, note},
    {"file", "NAME [MORE]", "files", NULL, note},
    {"end", "", "ends with five", NULL, fail_with_5},
    {0},
};
static const struct program program = {
    .name = "prog",
    .help = "Tries the parser.",
    .globals = globals,
    .commands = commands,
};

static char *out, *errors;

/* Runs the words; *out and *errors hold what it printed. */
#define run(...) run_words((const char *const[]){"prog", __VA_ARGS__, NULL})
static int run_words(const char *const *words)
{
	char *argv[32] = {0};
	int argc = 0;

	for (; words[argc] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	seen[0] = '\0';
	struct capture one = capture_begin(1);
	struct capture two = capture_begin(2);
	int code = options_run(&program, argc, argv);
	free(errors);
	free(out);
	errors = capture_end(&two);
	out = capture_end(&one);
	return code;
}

#define assert_runs(text, ...)                                                 \
	do {                                                                   \
		assert_int_equal(run(__VA_ARGS__), 0);                         \
		assert_string_equal(seen, (text));                             \
		assert_string_equal(errors, "");                               \
	} while (0)
#define assert_wrong(text, ...)                                                \
	do {                                                                   \
		assert_int_equal(run(__VA_ARGS__), EXIT_WRONG_USE);            \
		assert_string_equal(seen, "");                                 \
		assert_string_equal(out, "");                                  \
		assert_has(errors, (text));                                    \
	} while (0)

static void options_of_every_form_are_taken(void **state)
{
	(void)state;
	assert_runs("[a] policy=p", "cluster", "create", "a", "--policy", "p");
	assert_runs("[a] policy=p", "cluster", "create", "a", "--policy=p");
	assert_runs("[a] policy=p", "cluster", "create", "--policy=p", "a");
	assert_runs("[a] policy=p=q", "cluster", "create", "--policy=p=q", "a");
	assert_runs(
	    "[a] policy=--x", "cluster", "create", "--policy", "--x", "a");
	assert_runs("", "status");
}

static void options_of_every_command_stand_before_and_after_it(void **state)
{
	(void)state;
	assert_runs(" json", "--json", "status");
	assert_runs(" json", "status", "--json");
	assert_runs(" json", "--json", "status", "--json");
	assert_runs(" url=u json", "--json", "cluster", "list", "--url", "u");
	assert_runs(" url=u", "--url=u", "cluster", "list");
}

static void options_of_one_command_are_unknown_to_another(void **state)
{
	(void)state;
	assert_wrong("unknown option --policy", "status", "--policy", "p");
	assert_wrong("unknown option --policy", "--policy", "p", "status");
	assert_wrong("unknown option --polic", "cluster", "create", "a",
	    "--polic", "p");
	assert_wrong("unknown option --jsonx", "status", "--jsonx");
	assert_wrong("unknown option -v", "status", "-v");
	assert_wrong("unknown option -json", "-json", "status");
	assert_has(errors, "Try 'prog --help'");
}

static void option_that_repeats_keeps_all_its_values(void **state)
{
	(void)state;
	assert_runs("[a] dns=x dns=y dns=z policy=p", "cluster", "create", "a",
	    "--dns", "x", "--policy", "p", "--dns=y", "--dns", "z");
}

static void option_given_twice_is_refused_unless_it_repeats(void **state)
{
	(void)state;
	assert_wrong("option given twice: --policy", "cluster", "create", "a",
	    "--policy", "p", "--policy", "p");
	assert_wrong("option given twice: --url=2", "--url=1", "status",
	    "--url=2");
}

static void option_without_its_value_is_refused(void **state)
{
	(void)state;
	assert_wrong("option needs a value: --policy", "cluster", "create", "a",
	    "--policy");
	assert_has(errors, "Try 'prog cluster create --help'");
	assert_wrong("option takes no value: --json=yes", "status",
	    "--json=yes");
}

static void option_or_argument_that_is_empty_is_refused(void **state)
{
	(void)state;
	assert_wrong("empty value: --policy", "cluster", "create", "a",
	    "--policy", "");
	assert_wrong("empty value: --policy=", "cluster", "create", "a",
	    "--policy=");
	assert_wrong(
	    "argument is empty", "cluster", "create", "", "--policy", "p");
}

static void option_that_is_required_is_missed_by_name(void **state)
{
	(void)state;
	assert_wrong(
	    "missing option: --policy POLICY", "cluster", "create", "a");
}

static void arguments_are_counted(void **state)
{
	(void)state;
	assert_wrong("missing argument: NAME", "cluster", "create",
	    "--policy=p");
	assert_wrong("too many arguments: b", "cluster", "create", "a", "b",
	    "--policy=p");
	assert_wrong("too many arguments: x", "status", "x");
	assert_runs("[a]", "file", "a");
	assert_runs("[a][b]", "file", "a", "b");
	assert_wrong("too many arguments: c", "file", "a", "b", "c");
	assert_wrong("too many arguments: e", "file", "a", "b", "c", "d", "e");
}

static void two_dashes_end_the_options(void **state)
{
	(void)state;
	assert_runs("[--json]", "file", "--", "--json");
	assert_runs("[--help][--]", "file", "--", "--help", "--");
	assert_runs("[--version]", "file", "--", "--version");
	assert_runs("[-]", "file", "-");
	assert_runs("", "--", "status");
}

static void command_that_is_unknown_is_refused(void **state)
{
	(void)state;
	assert_wrong("unknown command bogus", "bogus");
	assert_wrong("unknown command stat", "stat");
	assert_wrong("unknown command statuses", "statuses");
}

static void first_word_alone_lists_its_commands(void **state)
{
	(void)state;
	assert_wrong("'cluster' needs one of its commands", "cluster");
	assert_has(errors, "prog cluster create NAME");
	assert_has(errors, "prog cluster list");
	assert_lacks(errors, "prog clusters");
	assert_wrong("needs one of its commands", "cluster", "bogus");
	assert_wrong("needs one of its commands", "--json", "cluster");
}

static void no_command_shows_the_help_as_an_error(void **state)
{
	(void)state;
	assert_wrong("Usage: prog", "--json");
	assert_has(errors, "cluster create");
}

static void help_is_data_and_shows_what_was_asked_about(void **state)
{
	(void)state;
	assert_int_equal(run("--help"), 0);
	assert_has(out, "Usage: prog [OPTION...] COMMAND");
	assert_has(out, "cluster create NAME");
	assert_has(out, "--url URL");
	assert_string_equal(errors, "");
	assert_int_equal(run("cluster", "create", "--help"), 0);
	assert_has(out, "Usage: prog cluster create NAME");
	assert_has(out, "--policy POLICY");
	assert_has(out, "(required)");
	assert_has(out, "--dns NAME ...");
	assert_has(out, "--json");
	assert_int_equal(run("--help", "status"), 0);
	assert_has(out, "Usage: prog status");
	assert_int_equal(run("status", "-h"), 0);
	assert_has(out, "Usage: prog status");
	assert_int_equal(run("help"), 0);
	assert_has(out, "Usage: prog [OPTION...] COMMAND");
	assert_int_equal(run("help", "cluster", "create"), 0);
	assert_has(out, "Usage: prog cluster create NAME");
	assert_int_equal(run("help", "cluster", "create", "--help"), 0);
	assert_has(out, "Usage: prog cluster create NAME");
	assert_int_equal(run("help", "cluster"), 0);
	assert_has(out, "Usage: prog cluster COMMAND");
	assert_has(out, "prog cluster create NAME");
	assert_wrong("unknown command", "help", "bogus");
	assert_int_equal(run("cluster", "--help"), 0);
	assert_has(out, "Usage: prog cluster COMMAND");
	assert_has(out, "prog cluster create NAME");
	assert_lacks(out, "prog status");
	assert_string_equal(seen, "");
	assert_wrong("unknown command", "bogus", "--help");
}

static void version_is_data(void **state)
{
	(void)state;
	assert_int_equal(run("--version"), 0);
	assert_has(out, "prog ");
	assert_int_equal(run("status", "--version"), 0);
	assert_has(out, "prog ");
	assert_string_equal(seen, "");
}

static void code_of_the_command_is_that_of_the_program(void **state)
{
	(void)state;
	assert_int_equal(run("end"), 5);
}

static void more_options_than_can_be_kept_are_refused(void **state)
{
	char *argv[400] = {(char *)(uintptr_t) "prog",
	    (char *)(uintptr_t) "cluster", (char *)(uintptr_t) "create",
	    (char *)(uintptr_t) "a"};

	(void)state;
	for (int i = 4; i < 399; i++)
		argv[i] = (char *)(uintptr_t) "--dns=x";
	struct capture two = capture_begin(2);
	int code = options_run(&program, 399, argv);
	OWNED_STR(text) = capture_end(&two);
	assert_int_equal(code, EXIT_WRONG_USE);
	assert_has(text, "too many options");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(options_of_every_form_are_taken),
	    cmocka_unit_test(
		options_of_every_command_stand_before_and_after_it),
	    cmocka_unit_test(options_of_one_command_are_unknown_to_another),
	    cmocka_unit_test(option_that_repeats_keeps_all_its_values),
	    cmocka_unit_test(option_given_twice_is_refused_unless_it_repeats),
	    cmocka_unit_test(option_without_its_value_is_refused),
	    cmocka_unit_test(option_or_argument_that_is_empty_is_refused),
	    cmocka_unit_test(option_that_is_required_is_missed_by_name),
	    cmocka_unit_test(arguments_are_counted),
	    cmocka_unit_test(two_dashes_end_the_options),
	    cmocka_unit_test(command_that_is_unknown_is_refused),
	    cmocka_unit_test(first_word_alone_lists_its_commands),
	    cmocka_unit_test(no_command_shows_the_help_as_an_error),
	    cmocka_unit_test(help_is_data_and_shows_what_was_asked_about),
	    cmocka_unit_test(version_is_data),
	    cmocka_unit_test(code_of_the_command_is_that_of_the_program),
	    cmocka_unit_test(more_options_than_can_be_kept_are_refused),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(out);
	free(errors);
	return failed;
}
