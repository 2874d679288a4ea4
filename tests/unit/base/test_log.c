// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"

/* The log goes to a pipe; each line must be one JSON object. */
static int lines[2];

static int open_log(void **state)
{
	(void)state;
	if (pipe2(lines, O_NONBLOCK) != 0)
		return -1;
	log_open(lines[1], "test", LOG_INFO);
	return 0;
}

static int close_log(void **state)
{
	(void)state;
	log_open(STDERR_FILENO, "test", LOG_INFO);
	close(lines[0]);
	return close(lines[1]);
}

/* What the pipe holds, as one text. */
static size_t drain(char *text, size_t size)
{
	ssize_t got = read(lines[0], text, size - 1);

	text[got < 0 ? 0 : got] = '\0';
	return got < 0 ? 0 : (size_t)got;
}

/* The one line that was written. */
static json_t *line(void)
{
	char text[8192];
	size_t len = drain(text, sizeof(text));
	json_error_t why;
	json_t *json;

	assert_true(len > 0 && len <= 4096);
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);
	json = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (json == NULL)
		fail_msg("%s: %s", why.text, text);
	return json;
}

static const char *member(json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static void log_writes_one_object_a_line(void **state)
{
	json_t *json;

	(void)state;
	clock_freeze(1795513500);
	log_set_request("req-1");
	LOG(WARN, "worker started", LOG_NUM("pid", -7), LOG_STR("name", "a"),
	    LOG_STR("none", NULL));
	log_set_request(NULL);
	clock_thaw();
	json = line();
	assert_string_equal(member(json, "time"), "2026-11-24T09:45:00.000Z");
	assert_string_equal(member(json, "level"), "warn");
	assert_string_equal(member(json, "program"), "test");
	assert_string_equal(member(json, "message"), "worker started");
	assert_string_equal(member(json, "request"), "req-1");
	assert_int_equal(
	    json_integer_value(json_object_get(json, "pid")), -7);
	assert_string_equal(member(json, "name"), "a");
	assert_true(json_is_null(json_object_get(json, "none")));
	json_decref(json);
	LOG(INFO, "no fields");
	json = line();
	assert_null(member(json, "request"));
	json_decref(json);
}

static void log_below_its_level_is_silent(void **state)
{
	char text[64];

	(void)state;
	LOG(DEBUG, "hidden");
	assert_int_equal(drain(text, sizeof(text)), 0);
	log_set_level(LOG_DEBUG);
	LOG(DEBUG, "seen");
	json_decref(line());
	log_set_level(LOG_ERROR);
	LOG(WARN, "hidden");
	assert_int_equal(drain(text, sizeof(text)), 0);
}

static void log_level_is_one_of_four_words(void **state)
{
	enum log_level level = LOG_ERROR;

	(void)state;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_true(log_level_parse("warn", &level));
	assert_int_equal(level, LOG_WARN);
	assert_false(log_level_parse("WARN", &level));
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse(NULL, &level));
	assert_int_equal(level, LOG_WARN);
}

static void log_escapes_every_octet(void **state)
{
	char raw[8192];

	(void)state;
	for (int octet = 1; octet < 256; octet++) {
		const char text[] = {'a', (char)octet, 'b', '\0'};
		const char *back;
		json_t *json;

		LOG(INFO, "octet", LOG_STR("text", text));
		json = line();
		back = member(json, "text");
		if (octet < 0x80)
			assert_string_equal(back, text);
		else
			assert_string_equal(back, "a\xef\xbf\xbd" "b");
		json_decref(json);
	}
	LOG(INFO, "forged\n{\"level\":\"error\"}",
	    LOG_STR("c1", "\xc2\x9b[2J\x1b[0m"));
	drain(raw, sizeof(raw));
	for (size_t i = 0; raw[i + 1] != '\0'; i++)
		assert_true(raw[i] >= 0x20 && raw[i] < 0x7f);
}

static void log_keeps_what_is_utf8(void **state)
{
	json_t *json;

	(void)state;
	LOG(INFO, "text", LOG_STR("text", "\xe2\x82\xac\xc3\xa4"));
	json = line();
	assert_string_equal(member(json, "text"), "\xe2\x82\xac\xc3\xa4");
	json_decref(json);
}

static void log_cuts_a_long_line_into_a_valid_one(void **state)
{
	static char text[9000];
	const char *const units[] = {"x", "\n", "\"", "\xff", "\xe2\x82\xac"};

	(void)state;
	for (size_t unit = 0; unit < ARRAY_LEN(units); unit++) {
		for (size_t len = 3900; len < 4100; len++) {
			size_t used = 0;
			json_t *json;

			while (used + 4 < len) {
				memcpy(text + used, units[unit],
				    strlen(units[unit]));
				used += strlen(units[unit]);
			}
			text[used] = '\0';
			LOG(INFO, "m", LOG_STR("text", text),
			    LOG_NUM("after", INT64_MIN), LOG_STR("z", "zz"));
			json = line();
			assert_true(json_is_true(json_object_get(json, "cut")) ||
			    member(json, "z") != NULL);
			json_decref(json);
		}
	}
}

static void log_err_tells_code_texts_and_place(void **state)
{
	struct err err;
	json_t *json;

	(void)state;
	err_fail(&err, ERR_STORE, "disk on fire");
	log_err(LOG_ERROR, "commit failed", &err);
	json = line();
	assert_string_equal(member(json, "code"), "store-fault");
	assert_string_equal(member(json, "cause"), "disk on fire");
	assert_null(member(json, "detail"));
	assert_non_null(strstr(member(json, "place"), "test_log.c:"));
	json_decref(json);
	err_refuse(&err, ERR_POLICY, "not yours");
	log_err(LOG_ERROR, "refused", &err);
	json = line();
	assert_string_equal(member(json, "detail"), "not yours");
	json_decref(json);
	err_keep(&err, "not %s", "theirs");
	log_err(LOG_ERROR, "refused", &err);
	json = line();
	assert_string_equal(member(json, "detail"), "not theirs");
	json_decref(json);
	err_clear(&err);
	log_err(LOG_ERROR, "nothing", &err);
	json_decref(line());
}

static void log_leaves_errno_alone(void **state)
{
	(void)state;
	log_open(-1, "test", LOG_INFO);
	errno = ENOSPC;
	LOG(ERROR, "lost");
	assert_int_equal(errno, ENOSPC);
}

static void *write_many(void *arg)
{
	for (int i = 0; i < 20; i++)
		LOG(INFO, "line of a thread", LOG_STR("who", arg));
	return NULL;
}

static void log_lines_of_threads_do_not_mix(void **state)
{
	static char text[65536];
	pthread_t threads[4];
	char who[1000];
	int count = 0;

	(void)state;
	memset(who, 'w', sizeof(who) - 1);
	who[sizeof(who) - 1] = '\0';
	/* Room for all 80 lines, for nobody reads meanwhile. */
	assert_true(fcntl(lines[1], F_SETPIPE_SZ, 1 << 18) >= 1 << 18);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, write_many, who), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	FILE *file = fdopen(dup(lines[0]), "r");

	while (fgets(text, sizeof(text), file) != NULL) {
		json_t *json = json_loads(text, 0, NULL);

		assert_non_null(json);
		assert_string_equal(member(json, "who"), who);
		json_decref(json);
		count++;
	}
	fclose(file);
	assert_int_equal(count, 80);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, open_log, close_log)

static size_t lines_in(const char *text)
{
	size_t count = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		count++;
	return count;
}

static void log_gathers_lines_until_a_warning_or_the_word(void **state)
{
	struct log_gathered gathered = {0};
	char text[8192];

	(void)state;
	log_gather(&gathered);
	LOG(INFO, "one");
	LOG(INFO, "two");
	assert_int_equal(drain(text, sizeof(text)), 0);
	log_write_gathered();
	drain(text, sizeof(text));
	assert_int_equal(lines_in(text), 2);
	assert_true(strstr(text, "one") < strstr(text, "two"));
	LOG(INFO, "three");
	LOG(WARN, "four");
	drain(text, sizeof(text));
	assert_int_equal(lines_in(text), 2);
	LOG(INFO, "five");
	log_gather(NULL);
	LOG(INFO, "six");
	drain(text, sizeof(text));
	assert_int_equal(lines_in(text), 2);
}

/* A pipe takes so much whole, whoever else writes. */
static void log_gathers_no_more_than_one_write_takes(void **state)
{
	struct log_gathered gathered = {0};
	char text[8192], word[1000];

	(void)state;
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	log_gather(&gathered);
	for (int i = 0; i < 4; i++)
		LOG(INFO, word);
	drain(text, sizeof(text));
	assert_int_equal(lines_in(text), 3);
	log_gather(NULL);
	drain(text, sizeof(text));
	assert_int_equal(lines_in(text), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    LOG_TEST(log_writes_one_object_a_line),
	    LOG_TEST(log_below_its_level_is_silent),
	    LOG_TEST(log_level_is_one_of_four_words),
	    LOG_TEST(log_escapes_every_octet),
	    LOG_TEST(log_keeps_what_is_utf8),
	    LOG_TEST(log_cuts_a_long_line_into_a_valid_one),
	    LOG_TEST(log_err_tells_code_texts_and_place),
	    LOG_TEST(log_leaves_errno_alone),
	    LOG_TEST(log_lines_of_threads_do_not_mix),
	    LOG_TEST(log_gathers_lines_until_a_warning_or_the_word),
	    LOG_TEST(log_gathers_no_more_than_one_write_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
