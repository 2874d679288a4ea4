// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: whatever a worker does, each caller gets its own answer or
 * the right error in time, and the pool mends itself without being told. */
#include "config.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake.h"
#include "hsm/link.h"

static int begin(void **state)
{
	struct fake *fake = mem_zalloc(sizeof(*fake));

	fake_begin(fake);
	*state = fake;
	return 0;
}

static int end(void **state)
{
	fake_end(*state);
	free(*state);
	return 0;
}

static enum err_code sign(struct fake *fake, const char *word)
{
	OWNED_BUF(out);
	struct err err = {0};

	return fake_sign(fake, word, "data", &out, &err);
}

static bool breaker_open(struct fake *fake)
{
	struct hsm_stats stats;

	hsm_stats(fake->hsm, &stats);
	return stats.breaker_open;
}

static void await_workers(struct fake *fake, unsigned count)
{
	int64_t deadline = clock_mono_ms() + 20000;
	struct hsm_stats stats;

	do {
		assert_true(clock_mono_ms() < deadline);
		nap();
		hsm_stats(fake->hsm, &stats);
	} while (stats.workers != count);
}

/* Starting. */

static void what_is_wrong_at_the_start_is_told_to_the_admin(void **state)
{
	static const struct {
		const char *hello;
		enum err_code code;
		const char *detail;
	} table[] = {
	    {"config", ERR_CONFIG, "correct its path"},
	    {"mute-config", ERR_CONFIG, "check module, token and PIN file"},
	    {"pin", ERR_CONFIG, "correct the PIN file"},
	    {"device", ERR_HSM_UNAVAILABLE, ""},
	    {"crash", ERR_HSM_UNAVAILABLE, ""},
	    {"nonsense", ERR_HSM_UNAVAILABLE, ""},
	};
	struct fake *fake = *state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err err = {0};

		fake_hello(fake, table[i].hello);
		assert_int_equal(
		    hsm_open(&fake->options, true, &fake->hsm, &err),
		    table[i].code);
		assert_int_equal(err.code, table[i].code);
		assert_non_null(strstr(err.detail, table[i].detail));
		assert_null(fake->hsm);
	}
}

static void a_worker_program_that_is_missing_is_named(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};

	fake->options.worker = "/nonexistent/signet-hsm";
	assert_int_equal(
	    hsm_open(&fake->options, true, &fake->hsm, &err), ERR_CONFIG);
	assert_non_null(strstr(err.detail, "/nonexistent/signet-hsm"));
	assert_non_null(strstr(err.detail, "No such file"));
}

static void options_without_module_token_or_pin_file_are_refused(void **state)
{
	struct fake *fake = *state;
	struct hsm_options options = fake->options;
	struct err err = {0};

	options.module = "relative.so";
	assert_int_equal(
	    hsm_open(&options, true, &fake->hsm, &err), ERR_CONFIG);
	options = fake->options;
	options.token = NULL;
	assert_int_equal(
	    hsm_open(&options, true, &fake->hsm, &err), ERR_CONFIG);
	options = fake->options;
	options.pin_file = "";
	assert_int_equal(
	    hsm_open(&options, true, &fake->hsm, &err), ERR_CONFIG);
	assert_int_equal(fake_starts(fake), 0);
}

static void the_worker_is_found_by_the_environment(void **state)
{
	struct fake *fake = *state;

	fake->options.worker = NULL;
	setenv("SIGNET_HSM_WORKER", FAKE_WORKER, 1);
	fake_open(fake, NULL);
	unsetenv("SIGNET_HSM_WORKER");
	assert_int_equal(sign(fake, "key"), ERR_OK);
}

static void a_token_out_of_reach_is_no_error_when_not_waiting(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};

	fake_hello(fake, "device device ok");
	assert_int_equal(
	    hsm_open(&fake->options, false, &fake->hsm, &err), ERR_OK);
	await_workers(fake, 1);
	assert_int_equal(sign(fake, "key"), ERR_OK);
	assert_int_equal(fake_starts(fake), 3);
}

static void a_pool_closes_while_its_worker_starts(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};

	fake_hello(fake, "silent");
	assert_int_equal(
	    hsm_open(&fake->options, false, &fake->hsm, &err), ERR_OK);
	while (fake_starts(fake) == 0)
		nap();
}

/* What the worker is given. */

static void the_worker_gets_its_socket_and_environment_and_no_more(
    void **state)
{
	struct fake *fake = *state;
	OWNED_FD(extra) = open("/dev/null", O_RDONLY);
	OWNED_STR(text) = NULL;
	OWNED_STR(want) = NULL;
	OWNED_BUF(out);
	struct err err = {0};

	setenv("SIGNET_TEST_CANARY", "secret", 1);
	signal(SIGPIPE, SIG_IGN);
	fake->options.workers = 2;
	fake_open(fake, NULL);
	await_workers(fake, 2);
	assert_int_equal(fake_sign(fake, "report", "", &out, &err), ERR_OK);
	unsetenv("SIGNET_TEST_CANARY");
	text = buf_to_str(&out);
	want = mem_printf(
	    "arg signet-hsm\narg --sandbox=strict\narg --module\narg /module.so\narg --token\n"
	    "arg pkcs11:token=t\narg --pin-file\narg /pin\nenv %s\n"
	    "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:"
	    "/bin\n"
	    "fd 0\nfd 1\nfd 2\nfd 3\ngroup own\n",
	    fake->environment[0]);
	assert_true(extra > 2);
	assert_string_equal(text, want);
}

static void no_descriptor_is_left_after_many_workers(void **state)
{
	struct fake *fake = *state;
	unsigned before = count_descriptors();

	fake_open(fake, NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sign(fake, "die"), ERR_HSM_UNAVAILABLE);
		assert_int_equal(sign(fake, "key"), ERR_OK);
	}
	hsm_close(GIVE(fake->hsm));
	assert_int_equal(fake_starts(fake), 10);
	assert_int_equal(count_descriptors(), before);
}

static void a_closed_pool_leaves_no_process(void **state)
{
	struct fake *fake = *state;
	int pid;

	fake_open(fake, NULL);
	pid = fake_pid(fake);
	hsm_close(GIVE(fake->hsm));
	assert_int_equal(kill(pid, 0), -1);
}

/* Workers that fail. */

static void a_call_whose_worker_dies_is_done_by_the_next(void **state)
{
	struct fake *fake = *state;

	fake_open(fake, NULL);
	assert_int_equal(sign(fake, "die-once"), ERR_OK);
	assert_int_equal(fake_logged(fake, "5 die-once"), 2);
}

static void a_call_that_kills_its_workers_is_not_tried_a_fourth_time(
    void **state)
{
	struct fake *fake = *state;

	fake_open(fake, NULL);
	assert_int_equal(sign(fake, "die"), ERR_HSM_UNAVAILABLE);
	assert_int_equal(fake_logged(fake, "5 die"), 3);
	assert_int_equal(sign(fake, "key"), ERR_OK);
}

static void the_making_of_keys_is_never_repeated(void **state)
{
	struct fake *fake = *state;
	char *uri = NULL;
	OWNED_BUF(out);
	struct err err = {0};

	fake_open(fake, NULL);
	assert_int_equal(hsm_generate_pair(
			     fake->hsm, "die", HSM_EC_P256, &uri, &out, &err),
	    ERR_HSM_UNAVAILABLE);
	assert_int_equal(
	    hsm_generate_secret(fake->hsm, "die", HSM_USE_WRAP, &uri, &err),
	    ERR_HSM_UNAVAILABLE);
	assert_int_equal(hsm_kek_new(fake->hsm, "die", &out, &err),
	    ERR_HSM_UNAVAILABLE);
	assert_int_equal(fake_logged(fake, "3 die"), 1);
	assert_int_equal(fake_logged(fake, "4 die"), 1);
	assert_int_equal(fake_logged(fake, "7 die"), 1);
}

static void replies_against_the_protocol_end_the_worker(void **state)
{
	static const char *const words[] = {"too-long", "too-short",
	    "bad-status", "wrong-id", "bad-fields", "truncated"};
	struct fake *fake = *state;

	fake_open(fake, NULL);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t before = fake_starts(fake);

		assert_int_equal(sign(fake, words[i]), ERR_HSM_UNAVAILABLE);
		assert_int_equal(sign(fake, "key"), ERR_OK);
		assert_int_equal(fake_starts(fake), before + 3);
	}
}

static void a_reply_that_nobody_asked_for_ends_the_worker(void **state)
{
	struct fake *fake = *state;

	fake_open(fake, NULL);
	assert_int_equal(sign(fake, "unasked"), ERR_HSM_REFUSED);
	assert_int_equal(sign(fake, "key"), ERR_OK);
	await_workers(fake, 1);
	assert_int_equal(fake_starts(fake), 2);
}

static void a_hung_worker_is_killed_and_replaced(void **state)
{
	struct fake *fake = *state;
	int pid;

	fake->options.timeout_ms = 1500;
	fake_open(fake, NULL);
	pid = fake_pid(fake);
	assert_int_equal(sign(fake, "hang"), ERR_DEADLINE);
	while (fake_starts(fake) < 2)
		nap();
	await_workers(fake, 1);
	assert_int_not_equal(fake_pid(fake), pid);
	assert_int_equal(kill(pid, 0), -1);
}

static void *sign_hang(void *fake)
{
	assert_int_equal(sign(fake, "hang"), ERR_DEADLINE);
	return NULL;
}

static void other_workers_go_on_while_one_hangs(void **state)
{
	struct fake *fake = *state;
	pthread_t thread;

	fake->options.workers = 2;
	fake->options.timeout_ms = 3000;
	fake_open(fake, NULL);
	await_workers(fake, 2);
	assert_int_equal(pthread_create(&thread, NULL, sign_hang, fake), 0);
	while (fake_logged(fake, "5 hang") == 0)
		nap();
	for (int i = 0; i < 100; i++)
		assert_int_equal(sign(fake, "key"), ERR_OK);
	pthread_join(thread, NULL);
}

/* The breaker. */

static void the_breaker_opens_when_no_worker_can_log_in(void **state)
{
	struct fake *fake = *state;

	fake_open(fake, "ok device");
	assert_false(breaker_open(fake));
	assert_int_equal(sign(fake, "die"), ERR_HSM_UNAVAILABLE);
	assert_true(breaker_open(fake));
	assert_int_equal(sign(fake, "key"), ERR_HSM_UNAVAILABLE);
	assert_int_equal(fake_logged(fake, "5 key"), 0);
}

static void the_breaker_opens_when_workers_die_at_every_start(void **state)
{
	struct fake *fake = *state;

	fake_open(fake, "ok crash");
	assert_int_equal(sign(fake, "die"), ERR_HSM_UNAVAILABLE);
	assert_true(breaker_open(fake));
	assert_true(fake_starts(fake) > 2); /* it went on trying meanwhile */
	assert_int_equal(sign(fake, "key"), ERR_HSM_UNAVAILABLE);
}

static void a_call_that_waits_for_a_worker_ends_at_its_deadline(void **state)
{
	struct fake *fake = *state;

	fake->options.timeout_ms = 200;
	fake_open(fake, "ok crash");
	assert_int_equal(sign(fake, "die"), ERR_DEADLINE);
}

static void the_breaker_closes_when_a_worker_answers_its_probe(void **state)
{
	struct fake *fake = *state;
	struct hsm_stats stats;

	fake_open(fake, "ok device");
	assert_int_equal(sign(fake, "die"), ERR_HSM_UNAVAILABLE);
	fake_hello(fake, "ok");
	await_workers(fake, 1);
	assert_false(breaker_open(fake));
	assert_int_equal(sign(fake, "key"), ERR_OK);
	hsm_stats(fake->hsm, &stats);
	assert_true(stats.restarts >= 2);
	assert_int_equal(stats.failures, 1);
	assert_int_equal(stats.operations, 1);
}

static void a_device_that_is_gone_is_reported_by_its_worker(void **state)
{
	struct fake *fake = *state;

	fake_open(fake, "ok device");
	assert_int_equal(sign(fake, "status=7"), ERR_HSM_UNAVAILABLE);
	assert_int_equal(sign(fake, "key"), ERR_HSM_UNAVAILABLE);
	assert_true(breaker_open(fake));
}

static void a_wrong_pin_is_tried_once_not_once_for_each_worker(void **state)
{
	struct fake *fake = *state;
	struct err err = {0};

	fake->options.workers = 8;
	fake_hello(fake, "pin");
	assert_int_equal(
	    hsm_open(&fake->options, true, &fake->hsm, &err), ERR_CONFIG);
	assert_int_equal(fake_starts(fake), 1);
}

static void a_refused_pin_is_not_tried_again_until_reopened(void **state)
{
	struct fake *fake = *state;
	int64_t until;

	fake_open(fake, "ok pin");
	assert_int_equal(sign(fake, "die"), ERR_HSM_UNAVAILABLE);
	assert_true(breaker_open(fake));
	/* Longer than several of the backoffs that would follow. */
	until = clock_mono_ms() + 700;
	while (clock_mono_ms() < until) {
		assert_int_equal(sign(fake, "key"), ERR_HSM_UNAVAILABLE);
		nap();
	}
	assert_int_equal(fake_starts(fake), 2);
	hsm_close(GIVE(fake->hsm));
	fake_open(fake, "ok");
	assert_int_equal(sign(fake, "key"), ERR_OK);
}

static void a_server_without_standard_input_has_workers(void **state)
{
	struct fake *fake = *state;
	int input = dup(STDIN_FILENO);

	assert_int_not_equal(input, -1);
	close(STDIN_FILENO);
	fake_open(fake, "ok");
	assert_int_equal(sign(fake, "key"), ERR_OK);
	hsm_close(GIVE(fake->hsm));
	assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
	close(input);
}

static void a_pin_refused_to_a_running_worker_is_not_tried_by_the_next(
    void **state)
{
	struct fake *fake = *state;
	int64_t until;

	fake_open(fake, "ok");
	assert_int_equal(sign(fake, "status=8"), ERR_HSM_UNAVAILABLE);
	until = clock_mono_ms() + 700;
	while (clock_mono_ms() < until) {
		assert_int_equal(sign(fake, "key"), ERR_HSM_UNAVAILABLE);
		nap();
	}
	assert_true(breaker_open(fake));
	assert_int_equal(fake_starts(fake), 1);
}

/* Many callers. */

struct crowd {
	struct fake *fake;
	pthread_mutex_t lock;
	unsigned answered, overloaded, failed;
	int rounds;
};

static void count(struct crowd *crowd, unsigned *counter)
{
	pthread_mutex_lock(&crowd->lock);
	(*counter)++;
	pthread_mutex_unlock(&crowd->lock);
}

static unsigned counted(struct crowd *crowd, const unsigned *counter)
{
	unsigned value;

	pthread_mutex_lock(&crowd->lock);
	value = *counter;
	pthread_mutex_unlock(&crowd->lock);
	return value;
}

static void run_crowd(struct crowd *crowd, pthread_t *threads, unsigned size,
    void *(*run)(void *))
{
	pthread_mutex_init(&crowd->lock, NULL);
	for (unsigned i = 0; i < size; i++) {
		assert_int_equal(
		    pthread_create(&threads[i], NULL, run, crowd), 0);
	}
}

static void join_crowd(pthread_t *threads, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		pthread_join(threads[i], NULL);
}

static void *sign_at_gate(void *arg)
{
	struct crowd *crowd = arg;

	switch ((int)sign(crowd->fake, "gate")) {
	case ERR_OK:
		count(crowd, &crowd->answered);
		break;
	case ERR_OVERLOADED:
		count(crowd, &crowd->overloaded);
		break;
	default:
		count(crowd, &crowd->failed);
		break;
	}
	return NULL;
}

static void callers_beyond_the_bound_are_turned_away_at_once(void **state)
{
	enum { EXCESS = 20, SIZE = LINK_CALLS_MAX + EXCESS };
	struct crowd crowd = {.fake = *state};
	OWNED_STR(gate) = fake_path(*state, "gate");
	pthread_t threads[SIZE];
	int fd;

	assert_int_equal(mkfifo(gate, 0600), 0);
	fake_open(crowd.fake, NULL);
	run_crowd(&crowd, threads, SIZE, sign_at_gate);
	while (counted(&crowd, &crowd.overloaded) < EXCESS)
		nap();
	assert_int_equal(counted(&crowd, &crowd.answered), 0);
	fd = open(gate, O_RDWR); /* stays open: every later reader passes */
	join_crowd(threads, SIZE);
	close(fd);
	assert_int_equal(crowd.overloaded, EXCESS);
	assert_int_equal(crowd.answered, LINK_CALLS_MAX);
}

static void *echo(void *arg)
{
	struct crowd *crowd = arg;
	OWNED_BUF(out);

	for (int i = 0; i < crowd->rounds; i++) {
		char data[128];
		int len = snprintf(data, sizeof(data), "%p %d %*s",
		    (void *)&out, i, i % 64, "");
		struct err err = {0};

		if (fake_sign(crowd->fake, "key", data, &out, &err) == ERR_OK &&
		    bytes_equal(buf_bytes(&out), BYTES(data, len)))
			count(crowd, &crowd->answered);
		else
			count(crowd, &crowd->failed);
	}
	return NULL;
}

static void each_of_64_callers_gets_its_own_answers(void **state)
{
	enum { SIZE = 64, ROUNDS = 200 };
	struct crowd crowd = {.fake = *state, .rounds = ROUNDS};
	pthread_t threads[SIZE];

	crowd.fake->options.workers = 2;
	fake_open(crowd.fake, NULL);
	run_crowd(&crowd, threads, SIZE, echo);
	join_crowd(threads, SIZE);
	assert_int_equal(crowd.failed, 0);
	assert_int_equal(crowd.answered, SIZE * ROUNDS);
}

static void no_call_fails_while_workers_are_killed_under_load(void **state)
{
	enum { SIZE = 16, ROUNDS = 400, KILLS = 8 };
	struct crowd crowd = {.fake = *state, .rounds = ROUNDS};
	pthread_t threads[SIZE];

	crowd.fake->options.workers = 2;
	fake_open(crowd.fake, NULL);
	await_workers(crowd.fake, 2);
	run_crowd(&crowd, threads, SIZE, echo);
	for (int i = 0; i < KILLS; i++) {
		kill(fake_pid(crowd.fake), SIGKILL);
		/* A call is repeated once, so one kill at a time. */
		while (fake_starts(crowd.fake) < (size_t)i + 3)
			nap();
		await_workers(crowd.fake, 2);
	}
	join_crowd(threads, SIZE);
	assert_int_equal(crowd.failed, 0);
	assert_int_equal(crowd.answered, SIZE * ROUNDS);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_wrong_at_the_start_is_told_to_the_admin),
	    TEST(a_worker_program_that_is_missing_is_named),
	    TEST(options_without_module_token_or_pin_file_are_refused),
	    TEST(the_worker_is_found_by_the_environment),
	    TEST(a_token_out_of_reach_is_no_error_when_not_waiting),
	    TEST(a_pool_closes_while_its_worker_starts),
	    TEST(the_worker_gets_its_socket_and_environment_and_no_more),
	    TEST(no_descriptor_is_left_after_many_workers),
	    TEST(a_closed_pool_leaves_no_process),
	    TEST(a_call_whose_worker_dies_is_done_by_the_next),
	    TEST(a_call_that_kills_its_workers_is_not_tried_a_fourth_time),
	    TEST(the_making_of_keys_is_never_repeated),
	    TEST(replies_against_the_protocol_end_the_worker),
	    TEST(a_reply_that_nobody_asked_for_ends_the_worker),
	    TEST(a_hung_worker_is_killed_and_replaced),
	    TEST(other_workers_go_on_while_one_hangs),
	    TEST(the_breaker_opens_when_no_worker_can_log_in),
	    TEST(the_breaker_opens_when_workers_die_at_every_start),
	    TEST(a_call_that_waits_for_a_worker_ends_at_its_deadline),
	    TEST(the_breaker_closes_when_a_worker_answers_its_probe),
	    TEST(a_device_that_is_gone_is_reported_by_its_worker),
	    TEST(a_wrong_pin_is_tried_once_not_once_for_each_worker),
	    TEST(a_refused_pin_is_not_tried_again_until_reopened),
	    TEST(a_server_without_standard_input_has_workers),
	    TEST(a_pin_refused_to_a_running_worker_is_not_tried_by_the_next),
	    TEST(callers_beyond_the_bound_are_turned_away_at_once),
	    TEST(each_of_64_callers_gets_its_own_answers),
	    TEST(no_call_fails_while_workers_are_killed_under_load),
	};
	struct err err = {0};

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
