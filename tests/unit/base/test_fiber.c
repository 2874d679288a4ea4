// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: fibers of one thread wait without holding each other up, and
 * each sees its own stack, request and deadline. */
#include "tests/unit/base/harness.h"

#include "base/clock.h"
#include "base/fiber.h"
#include "base/log.h"

#define SOON_MS 20
#define LONG_MS 20000

struct step {
	struct waiter waiter;
	int64_t deadline_ms;
	int began, ended;
	bool was_over, intact;
	char text[32];
	const char *request;
};

static int turn;

static void wait_once(void *arg)
{
	struct step *step = arg;
	char own[32];

	memcpy(own, step->text, sizeof(own));
	log_set_request(step->text);
	step->began = ++turn;
	waiter_init(&step->waiter);
	step->was_over = waiter_wait(&step->waiter, step->deadline_ms);
	step->ended = ++turn;
	step->request = log_request();
	step->intact = strcmp(own, step->text) == 0;
	log_set_request(NULL);
}

static struct fibers *open_fibers(unsigned count)
{
	struct fibers *fibers = NULL;
	struct err err = {0};

	turn = 0;
	assert_int_equal(fibers_open(count, &fibers, &err), ERR_OK);
	return fibers;
}

static void end(struct step *step)
{
	struct bells bells = {0};

	waiter_end(&step->waiter, &bells);
	bells_ring(&bells);
}

static void a_fiber_that_waits_lets_the_next_begin(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(2);
	struct step first = {.deadline_ms = WAIT_FOREVER, .text = "first"};
	struct step second = {.deadline_ms = WAIT_FOREVER, .text = "second"};

	fibers_start(fibers, wait_once, &first);
	fibers_start(fibers, wait_once, &second);
	assert_int_equal(fibers_under_way(fibers), 2);
	assert_int_equal(fibers_idle(fibers), 0);
	assert_int_equal(second.began, 2);
	assert_int_equal(first.ended, 0);
	end(&second);
	assert_true(fibers_go_on(fibers));
	assert_int_equal(second.ended, 3);
	assert_int_equal(first.ended, 0);
	end(&first);
	assert_true(fibers_go_on(fibers));
	assert_int_equal(first.ended, 4);
	assert_true(first.was_over);
	assert_true(first.intact && second.intact);
	assert_int_equal(fibers_under_way(fibers), 0);
	fibers_close(fibers);
}

static void none_goes_on_before_its_waiting_ends(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(1);
	struct step step = {.deadline_ms = WAIT_FOREVER};

	fibers_start(fibers, wait_once, &step);
	assert_false(fibers_go_on(fibers));
	assert_int_equal(step.ended, 0);
	end(&step);
	assert_true(fibers_go_on(fibers));
	assert_false(fibers_go_on(fibers));
	fibers_close(fibers);
}

static void a_deadline_ends_the_waiting_and_says_so(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(2);
	struct step late = {.deadline_ms = clock_mono_ms() + LONG_MS};
	struct step soon = {.deadline_ms = clock_mono_ms() + SOON_MS};
	unsigned strokes = bell_strokes();

	fibers_start(fibers, wait_once, &late);
	fibers_start(fibers, wait_once, &soon);
	assert_int_equal(fibers_deadline(fibers), soon.deadline_ms);
	while (clock_mono_ms() < soon.deadline_ms)
		bell_sleep(strokes, fibers_deadline(fibers));
	assert_true(fibers_go_on(fibers));
	assert_true(soon.ended > 0);
	assert_false(soon.was_over);
	assert_int_equal(late.ended, 0);
	assert_int_equal(fibers_deadline(fibers), late.deadline_ms);
	end(&late);
	assert_true(fibers_go_on(fibers));
	assert_int_equal(fibers_deadline(fibers), WAIT_FOREVER);
	fibers_close(fibers);
}

static void a_stack_is_used_again_by_the_next_job(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(1);

	for (int i = 0; i < 100; i++) {
		struct step step = {.deadline_ms = WAIT_FOREVER};

		fibers_start(fibers, wait_once, &step);
		end(&step);
		assert_true(fibers_go_on(fibers));
		assert_int_equal(fibers_idle(fibers), 1);
	}
	fibers_close(fibers);
}

static void each_logs_for_its_own_request(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(2);
	struct step first = {.deadline_ms = WAIT_FOREVER, .text = "a"};
	struct step second = {.deadline_ms = WAIT_FOREVER, .text = "b"};

	fibers_start(fibers, wait_once, &first);
	assert_null(log_request());
	fibers_start(fibers, wait_once, &second);
	end(&first);
	end(&second);
	assert_true(fibers_go_on(fibers));
	assert_ptr_equal(first.request, first.text);
	assert_ptr_equal(second.request, second.text);
	assert_null(log_request());
	fibers_close(fibers);
}

static void wait_not_at_all(void *arg)
{
	struct step *step = arg;

	waiter_init(&step->waiter);
	end(step);
	step->was_over = waiter_wait(&step->waiter, WAIT_FOREVER);
}

static void waiting_for_what_is_over_does_not_stop(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(1);
	struct step step = {.was_over = false};

	fibers_start(fibers, wait_not_at_all, &step);
	assert_true(step.was_over);
	assert_int_equal(fibers_idle(fibers), 1);
	fibers_close(fibers);
}

static unsigned acted;

static void act(void *arg)
{
	acted += *(unsigned *)arg;
}

static void defer_and_wait(void *arg)
{
	static unsigned one = 1;

	fiber_defer(act, &one);
	wait_once(arg);
}

static void what_fibers_defer_is_done_when_the_thread_asks(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(2);
	struct step first = {.deadline_ms = WAIT_FOREVER};
	struct step second = {.deadline_ms = WAIT_FOREVER};

	acted = 0;
	fibers_start(fibers, defer_and_wait, &first);
	fibers_start(fibers, defer_and_wait, &second);
	assert_int_equal(acted, 0);
	fibers_act(fibers);
	assert_int_equal(acted, 2);
	fibers_act(fibers);
	assert_int_equal(acted, 2);
	end(&first);
	end(&second);
	assert_true(fibers_go_on(fibers));
	fibers_close(fibers);
}

static void what_is_deferred_waits_for_a_few_fibers_at_most(void **state UNUSED)
{
	struct fibers *fibers = open_fibers(20);
	struct step steps[20];

	acted = 0;
	for (size_t i = 0; i < 20; i++) {
		steps[i] = (struct step){.deadline_ms = WAIT_FOREVER};
		fibers_start(
		    fibers, i == 0 ? defer_and_wait : wait_once, &steps[i]);
	}
	assert_int_equal(acted, 1);
	for (size_t i = 0; i < 20; i++)
		end(&steps[i]);
	assert_true(fibers_go_on(fibers));
	assert_int_equal(fibers_idle(fibers), 20);
	fibers_close(fibers);
}

static void outside_of_a_fiber_nothing_is_deferred(void **state UNUSED)
{
	unsigned two = 2;

	acted = 0;
	fiber_defer(act, &two);
	assert_int_equal(acted, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_fiber_that_waits_lets_the_next_begin),
	    cmocka_unit_test(none_goes_on_before_its_waiting_ends),
	    cmocka_unit_test(a_deadline_ends_the_waiting_and_says_so),
	    cmocka_unit_test(a_stack_is_used_again_by_the_next_job),
	    cmocka_unit_test(each_logs_for_its_own_request),
	    cmocka_unit_test(waiting_for_what_is_over_does_not_stop),
	    cmocka_unit_test(what_fibers_defer_is_done_when_the_thread_asks),
	    cmocka_unit_test(what_is_deferred_waits_for_a_few_fibers_at_most),
	    cmocka_unit_test(outside_of_a_fiber_nothing_is_deferred),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
