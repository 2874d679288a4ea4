// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: each caller gets the reply to its own request or none, and
 * nothing is written to a caller that has gone. */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "hsm/link.h"

#define LONG_MS 20000

/* The test is the worker: it writes replies to WORKER. */
struct rig {
	struct link *link;
	int fd;
	int worker;
	pthread_t supervisor;
	enum link_end end;
};

static void *supervise(void *arg)
{
	struct rig *rig = arg;

	rig->end = link_serve(rig->link);
	link_detach(rig->link);
	return NULL;
}

static void rig_attach(struct rig *rig)
{
	struct timeval tick = {.tv_usec = LINK_TICK_MS * 1000};
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	rig->fd = fd[0];
	rig->worker = fd[1];
	setsockopt(rig->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
	link_attach(rig->link, rig->fd);
}

static void rig_open(struct rig *rig)
{
	*rig = (struct rig){.link = link_new()};
	rig_attach(rig);
}

static void rig_serve(struct rig *rig)
{
	assert_int_equal(
	    pthread_create(&rig->supervisor, NULL, supervise, rig), 0);
}

static enum link_end rig_join(struct rig *rig)
{
	pthread_join(rig->supervisor, NULL);
	close(rig->fd);
	close(rig->worker);
	return rig->end;
}

static void reply(struct rig *rig, uint32_t id, const char *text)
{
	OWNED_BUF(out);
	size_t mark = frame_begin(&out, id, WIRE_OK, 0);

	buf_put_lv_str(&out, text);
	assert_true(frame_end(&out, mark));
	assert_true(frame_send(rig->worker, &out));
}

struct caller {
	struct call call;
	uint8_t space[64];
};

static void caller_init(struct caller *caller)
{
	memset(caller, 0, sizeof(*caller));
	caller->call.op = WIRE_SIGN;
	caller->call.space = caller->space;
	caller->call.room = sizeof(caller->space);
}

static void send_call(struct rig *rig, struct caller *caller, int64_t limit)
{
	caller_init(caller);
	assert_int_equal(
	    link_submit(rig->link, &caller->call, limit), LINK_SUBMITTED);
}

static enum call_state await(struct caller *caller)
{
	return link_await(&caller->call, clock_mono_ms() + LONG_MS);
}

static void assert_reply(struct caller *caller, const char *text)
{
	struct reader reader;

	assert_int_equal(await(caller), CALL_ANSWERED);
	assert_int_equal(caller->call.status, WIRE_OK);
	reader = reader_over(caller->call.reply);
	assert_true(bytes_equal(reader_lv(&reader), BYTES_STR(text)));
}

static void replies_go_to_the_callers_in_order(void **state UNUSED)
{
	struct caller callers[3];
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	for (int i = 0; i < 3; i++)
		send_call(&rig, &callers[i], LONG_MS);
	reply(&rig, 0, "zero");
	reply(&rig, 1, "one");
	reply(&rig, 2, "two");
	assert_reply(&callers[2], "two");
	assert_reply(&callers[0], "zero");
	assert_reply(&callers[1], "one");
	link_shut(rig.link);
	assert_int_equal(rig_join(&rig), LINK_END_CLOSED);
	assert_int_equal(link_answered(rig.link), 3);
	link_free(rig.link);
}

static void a_call_given_up_is_never_written_to_again(void **state UNUSED)
{
	struct caller gone, next, untouched;
	struct rig rig;

	rig_open(&rig);
	send_call(&rig, &gone, LONG_MS);
	assert_int_equal(
	    link_await(&gone.call, clock_mono_ms()), CALL_PENDING);
	memset(&gone, 0xa5, sizeof(gone));
	untouched = gone;
	send_call(&rig, &next, LONG_MS);
	rig_serve(&rig);
	reply(&rig, 0, "too late");
	reply(&rig, 1, "in time");
	assert_reply(&next, "in time");
	assert_memory_equal(&gone, &untouched, sizeof(gone));
	link_shut(rig.link);
	rig_join(&rig);
	link_free(rig.link);
}

static void what_is_in_flight_when_the_worker_ends_is_lost(void **state UNUSED)
{
	struct caller callers[2];
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	send_call(&rig, &callers[0], LONG_MS);
	send_call(&rig, &callers[1], LONG_MS);
	reply(&rig, 0, "answered");
	assert_reply(&callers[0], "answered");
	shutdown(rig.worker, SHUT_RDWR);
	assert_int_equal(await(&callers[1]), CALL_LOST);
	assert_int_equal(rig_join(&rig), LINK_END_CLOSED);
	assert_int_equal(link_load(rig.link), LINK_CLOSED);
	assert_int_equal(link_submit(rig.link, &callers[0].call, LONG_MS),
	    LINK_NOT_OPEN);
	link_free(rig.link);
}

static void a_link_serves_again_after_its_worker_was_replaced(
    void **state UNUSED)
{
	struct caller lost, caller;
	struct rig rig;

	rig_open(&rig);
	send_call(&rig, &lost, LONG_MS);
	shutdown(rig.worker, SHUT_RDWR);
	rig_serve(&rig);
	assert_int_equal(await(&lost), CALL_LOST);
	rig_join(&rig);
	rig_attach(&rig);
	rig_serve(&rig);
	send_call(&rig, &caller, LONG_MS);
	reply(&rig, caller.call.id, "again");
	assert_reply(&caller, "again");
	link_shut(rig.link);
	rig_join(&rig);
	link_free(rig.link);
}

static void a_worker_that_takes_longer_than_the_limit_is_hung(
    void **state UNUSED)
{
	struct caller caller;
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	send_call(&rig, &caller, 1);
	assert_int_equal(await(&caller), CALL_LOST);
	assert_int_equal(rig_join(&rig), LINK_END_HUNG);
	link_free(rig.link);
}

struct dribble {
	int fd;
	atomic_bool enough;
};

static void *dribble(void *arg)
{
	struct dribble *one = arg;

	while (!atomic_load(&one->enough))
		(void)!send(one->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	return NULL;
}

static void a_worker_that_dribbles_octets_is_hung_all_the_same(
    void **state UNUSED)
{
	struct caller caller;
	struct dribble one;
	pthread_t thread;
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	one = (struct dribble){.fd = rig.worker};
	send_call(&rig, &caller, 1);
	assert_int_equal(pthread_create(&thread, NULL, dribble, &one), 0);
	assert_int_equal(await(&caller), CALL_LOST);
	atomic_store(&one.enough, true);
	pthread_join(thread, NULL);
	assert_int_not_equal(rig_join(&rig), LINK_END_CLOSED);
	link_free(rig.link);
}

static void an_idle_worker_is_not_hung(void **state UNUSED)
{
	struct caller caller;
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	send_call(&rig, &caller, LONG_MS);
	reply(&rig, 0, "done");
	assert_reply(&caller, "done");
	usleep(3 * LINK_TICK_MS * 1000);
	assert_int_equal(link_load(rig.link), 0);
	link_shut(rig.link);
	assert_int_equal(rig_join(&rig), LINK_END_CLOSED);
	link_free(rig.link);
}

static void what_waits_for_a_worker_is_told_by_what_its_calls_took(
    void **state UNUSED)
{
	struct caller callers[3];
	struct rig rig;
	uint32_t one;

	rig_open(&rig);
	rig_serve(&rig);
	assert_int_equal(link_backlog_us(rig.link), 0);
	send_call(&rig, &callers[0], LONG_MS);
	usleep(LINK_TICK_MS * 1000 / 2);
	reply(&rig, 0, "slow");
	assert_reply(&callers[0], "slow");
	assert_int_equal(link_backlog_us(rig.link), 0);
	send_call(&rig, &callers[1], LONG_MS);
	one = link_backlog_us(rig.link);
	/* A sixty-fourth of what the first one took, at least. */
	assert_true(one >= LINK_TICK_MS * 1000 / 2 / 64);
	send_call(&rig, &callers[2], LONG_MS);
	assert_true(link_backlog_us(rig.link) >= 2 * one);
	link_shut(rig.link);
	rig_join(&rig);
	assert_true(link_backlog_us(rig.link) > LINK_TICK_MS * 1000);
	link_free(rig.link);
}

static void a_full_link_takes_no_more_until_one_is_answered(
    void **state UNUSED)
{
	static struct caller callers[LINK_CALLS_MAX + 1];
	struct caller *last = &callers[LINK_CALLS_MAX];
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	for (int i = 0; i < LINK_CALLS_MAX; i++)
		send_call(&rig, &callers[i], LONG_MS);
	caller_init(last);
	assert_int_equal(
	    link_submit(rig.link, &last->call, LONG_MS), LINK_FULL);
	reply(&rig, 0, "first");
	assert_reply(&callers[0], "first");
	send_call(&rig, last, LONG_MS);
	link_shut(rig.link);
	assert_int_equal(await(last), CALL_LOST);
	rig_join(&rig);
	link_free(rig.link);
}

static void a_reply_that_is_longer_than_it_may_be_ends_the_link(
    void **state UNUSED)
{
	struct caller caller;
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	send_call(&rig, &caller, LONG_MS);
	reply(&rig, 0,
	    "0123456789012345678901234567890123456789012345678901234567890");
	assert_int_equal(await(&caller), CALL_LOST);
	assert_int_equal(rig_join(&rig), LINK_END_GARBAGE);
	link_free(rig.link);
}

static void a_request_longer_than_a_frame_is_not_sent(void **state UNUSED)
{
	static uint8_t data[WIRE_FRAME_MAX];
	const struct field fields[] = {F_LV(BYTES_OF(data))};
	struct caller caller;
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	caller_init(&caller);
	caller.call.fields = fields;
	caller.call.field_count = 1;
	assert_int_equal(
	    link_submit(rig.link, &caller.call, LONG_MS), LINK_TOO_LONG);
	send_call(&rig, &caller, LONG_MS);
	reply(&rig, 0, "next");
	assert_reply(&caller, "next");
	link_shut(rig.link);
	rig_join(&rig);
	link_free(rig.link);
}

/* Fills the socket, since nobody reads; every call is lost in the end. */
static void *send_large_calls(void *arg)
{
	static uint8_t data[8192];
	static struct caller callers[LINK_CALLS_MAX];
	const struct field fields[] = {F_LV(BYTES_OF(data))};
	struct rig *rig = arg;
	size_t sent = 0;

	for (; sent < LINK_CALLS_MAX; sent++) {
		struct call *call = &callers[sent].call;

		caller_init(&callers[sent]);
		call->fields = fields;
		call->field_count = 1;
		if (link_submit(rig->link, call, 300) != LINK_SUBMITTED)
			break;
	}
	for (size_t i = 0; i < sent; i++)
		assert_int_equal(await(&callers[i]), CALL_LOST);
	return NULL;
}

static void a_caller_that_blocks_in_sending_is_freed_when_the_worker_hangs(
    void **state UNUSED)
{
	pthread_t sender;
	struct rig rig;

	rig_open(&rig);
	rig_serve(&rig);
	assert_int_equal(
	    pthread_create(&sender, NULL, send_large_calls, &rig), 0);
	pthread_join(sender, NULL);
	assert_int_equal(rig_join(&rig), LINK_END_HUNG);
	link_free(rig.link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replies_go_to_the_callers_in_order),
	    cmocka_unit_test(a_call_given_up_is_never_written_to_again),
	    cmocka_unit_test(what_is_in_flight_when_the_worker_ends_is_lost),
	    cmocka_unit_test(a_link_serves_again_after_its_worker_was_replaced),
	    cmocka_unit_test(a_worker_that_takes_longer_than_the_limit_is_hung),
	    cmocka_unit_test(
		a_worker_that_dribbles_octets_is_hung_all_the_same),
	    cmocka_unit_test(an_idle_worker_is_not_hung),
	    cmocka_unit_test(
		what_waits_for_a_worker_is_told_by_what_its_calls_took),
	    cmocka_unit_test(a_full_link_takes_no_more_until_one_is_answered),
	    cmocka_unit_test(
		a_reply_that_is_longer_than_it_may_be_ends_the_link),
	    cmocka_unit_test(a_request_longer_than_a_frame_is_not_sent),
	    cmocka_unit_test(
		a_caller_that_blocks_in_sending_is_freed_when_the_worker_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
