// SPDX-License-Identifier: Apache-2.0
/* Goal: the worker program as the pool meets it, over its socket, on a real
 * SoftHSM token: its start and end, its frames, what it lists and what it
 * refuses. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "hsm/hsm.h"
#include "tests/unit/hsm/alpha.h"
#include "tests/unit/hsm/home.h"

static void ping_works(struct peer *peer)
{
	OWNED_BUF(fields);

	assert_int_equal(alpha_call(peer, WIRE_PING, &fields), WIRE_OK);
}

static void a_worker_ends_with_its_socket(void **state)
{
	struct peer peer;

	(void)state;
	alpha_start(&peer);
	ping_works(&peer);
	assert_int_equal(peer_stop(&peer), WIRE_OK);
}

static void a_stop_of_the_process_group_does_not_end_a_worker(void **state)
{
	struct peer peer;

	(void)state;
	alpha_start(&peer);
	assert_int_equal(kill(peer.pid, SIGTERM), 0);
	assert_int_equal(kill(peer.pid, SIGINT), 0);
	assert_int_equal(kill(peer.pid, SIGHUP), 0);
	ping_works(&peer);
	alpha_stop(&peer);
}

static void requests_that_do_not_parse_are_refused(void **state)
{
	struct peer peer;
	OWNED_BUF(fields);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    alpha_call(&peer, (enum wire_op)0, &fields), WIRE_BAD_REQUEST);
	assert_int_equal(
	    alpha_call(&peer, (enum wire_op)200, &fields), WIRE_BAD_REQUEST);
	for (int op = WIRE_GENERATE_PAIR; op <= WIRE_CHECK_KEY; op++)
		assert_int_equal(
		    alpha_call(&peer, (enum wire_op)op, &fields), WIRE_BAD_REQUEST);
	buf_put_u8(&fields, 0); /* one octet too many, or too few */
	for (int op = WIRE_PING; op <= WIRE_CHECK_KEY; op++)
		assert_int_equal(
		    alpha_call(&peer, (enum wire_op)op, &fields), WIRE_BAD_REQUEST);
	ping_works(&peer);
	alpha_stop(&peer);
}

static void keys_that_are_not_there_or_badly_named_are_refused(void **state)
{
	struct peer peer;
	OWNED_BUF(out);

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_sign(&peer, TOKEN ";object=nowhere", HSM_ECDSA, alpha_sha256, &out),
	    WIRE_NO_KEY);
	assert_int_equal(peer_sign(&peer, "pkcs11:token=other;object=nowhere",
			     HSM_ECDSA, alpha_sha256, &out),
	    WIRE_NO_KEY);
	assert_int_equal(peer_sign(&peer, "nonsense", HSM_ECDSA, alpha_sha256, &out),
	    WIRE_BAD_REQUEST);
	assert_int_equal(
	    peer_sign(&peer, "", HSM_ECDSA, alpha_sha256, &out), WIRE_BAD_REQUEST);
	alpha_stop(&peer);
}

static void a_frame_that_comes_in_pieces_is_answered_when_whole(void **state)
{
	static const uint8_t ping[] = {0, 0, 0, 5, 0, 0, 0, 9, WIRE_PING};
	struct peer peer;
	OWNED_BUF(reply);
	enum wire_status status;
	uint32_t id = 0;

	(void)state;
	alpha_start(&peer);
	for (size_t i = 0; i < sizeof(ping); i++)
		assert_int_equal(write(peer.fd, &ping[i], 1), 1);
	assert_true(peer_read(&peer, &id, &status, &reply));
	assert_int_equal(id, 9);
	assert_int_equal(status, WIRE_OK);
	/* half a frame and then the end is an end */
	assert_int_equal(write(peer.fd, ping, 6), 6);
	alpha_stop(&peer);
}

static void a_frame_against_the_protocol_ends_the_worker(void **state)
{
	static const uint8_t longer[] = {0x00, 0x10, 0x00, 0x01, 0, 0, 0, 1, 1};
	static const uint8_t shorter[] = {0, 0, 0, 4, 0, 0, 0, 1};
	struct peer peer;

	(void)state;
	alpha_start(&peer);
	assert_int_equal(write(peer.fd, longer, sizeof(longer)), 9);
	assert_int_equal(peer_wait(&peer), WIRE_BAD_REQUEST);
	alpha_start(&peer);
	assert_int_equal(write(peer.fd, shorter, sizeof(shorter)), 8);
	assert_int_equal(peer_wait(&peer), WIRE_BAD_REQUEST);
}

static void replies_come_in_the_order_of_the_requests(void **state)
{
	struct peer peer;
	OWNED_BUF(out);
	OWNED_BUF(reply);
	enum wire_status status;

	(void)state;
	alpha_start(&peer);
	for (uint32_t i = 0; i < 1000; i++) {
		uint8_t op = i % 3 == 0 ? WIRE_RANDOM : WIRE_PING;
		size_t mark = frame_begin(&out, i, op, 2);

		if (op == WIRE_RANDOM)
			buf_put_u16(&out, (uint16_t)(i % 64 + 1));
		assert_true(frame_end(&out, mark));
	}
	assert_true(frame_send(peer.fd, &out));
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t id = 0;

		assert_true(peer_read(&peer, &id, &status, &reply));
		assert_int_equal(id, i);
		assert_int_equal(status, WIRE_OK);
		assert_int_equal(reply.len, i % 3 == 0 ? 4 + i % 64 + 1 : 0);
	}
	alpha_stop(&peer);
}

static void the_list_tells_what_was_made(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	unsigned found = 0;

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_pair(&peer, "listed", HSM_EC_P384, &uri), WIRE_OK);
	assert_int_equal(peer_call(&peer, WIRE_LIST, &fields, &reply), WIRE_OK);
	reader = reader_over(buf_bytes(&reply));
	for (uint32_t left = reader_u32(&reader); left > 0; left--) {
		OWNED_STR(this) = reader_lv_str(&reader);
		OWNED_STR(label) = reader_lv_str(&reader);
		OWNED_STR(kind) = reader_lv_str(&reader);
		OWNED_STR(type) = reader_lv_str(&reader);
		struct bytes id = reader_lv(&reader);
		uint32_t attributes = reader_u32(&reader);

		(void)reader_u32(&reader);
		assert_false(reader.failed);
		assert_true((attributes & HSM_ATTR_TOKEN) != 0);
		if (strcmp(this, uri) != 0)
			continue;
		found++;
		assert_string_equal(label, "listed");
		assert_string_equal(kind, "private");
		assert_string_equal(type, "ec-p384");
		assert_int_equal(id.len, 16);
		assert_int_equal(attributes,
		    HSM_ATTR_TOKEN | HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE |
			HSM_ATTR_ALWAYS_SENSITIVE | HSM_ATTR_NEVER_EXTRACTABLE |
			HSM_ATTR_LOCAL | HSM_ATTR_SIGN);
	}
	assert_true(reader_done(&reader));
	assert_int_equal(found, 1);
	alpha_stop(&peer);
}

static void refused_at_start(
    const char *module, const char *token, const char *pin_file)
{
	struct peer peer;

	home_uncount(&alpha_home);
	peer_start(&peer, module, token, pin_file);
	assert_int_equal(peer.started, WIRE_CONFIG);
	assert_true(strlen(peer.text) > 0);
	assert_int_equal(peer_wait(&peer), WIRE_CONFIG);
	assert_int_equal(home_count(&alpha_home, "C_Login"), 0);
}

static void a_configuration_that_cannot_work_is_told_at_start(void **state)
{
	OWNED_STR(open) = mem_printf("%s/open-pin", alpha_home.dir);
	OWNED_STR(absent) = mem_printf("%s/absent", alpha_home.dir);

	(void)state;
	home_write(open, HOME_PIN);
	assert_int_equal(chmod(open, 0644), 0);
	refused_at_start(alpha_home.shim, TOKEN, open);
	refused_at_start(alpha_home.shim, TOKEN, absent);
	refused_at_start(alpha_home.shim, "pkcs11:token=nowhere", alpha_home.pin_file);
	refused_at_start(alpha_home.shim, "alpha", alpha_home.pin_file);
	refused_at_start(absent, TOKEN, alpha_home.pin_file);
}

static void a_check_tells_the_attributes_of_now(void **state)
{
	struct peer peer;
	OWNED_STR(uri) = NULL;
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;

	(void)state;
	alpha_start(&peer);
	assert_int_equal(
	    peer_make_secret(&peer, "checked", HSM_USE_WRAP, &uri), WIRE_OK);
	buf_put_lv_str(&fields, uri);
	assert_int_equal(
	    peer_call(&peer, WIRE_CHECK_KEY, &fields, &reply), WIRE_OK);
	reader = reader_over(buf_bytes(&reply));
	OWNED_STR(same) = reader_lv_str(&reader);
	assert_string_equal(same, uri);
	buf_reset(&fields);
	buf_put_lv_str(&fields, TOKEN ";object=absent");
	assert_int_equal(alpha_call(&peer, WIRE_CHECK_KEY, &fields), WIRE_NO_KEY);
	alpha_stop(&peer);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_worker_ends_with_its_socket),
	    T(a_stop_of_the_process_group_does_not_end_a_worker),
	    T(requests_that_do_not_parse_are_refused),
	    T(keys_that_are_not_there_or_badly_named_are_refused),
	    T(a_frame_that_comes_in_pieces_is_answered_when_whole),
	    T(a_frame_against_the_protocol_ends_the_worker),
	    T(replies_come_in_the_order_of_the_requests),
	    T(the_list_tells_what_was_made),
	    T(a_configuration_that_cannot_work_is_told_at_start),
	    T(a_check_tells_the_attributes_of_now),
	};

	return cmocka_run_group_tests(tests, alpha_set_up, alpha_tear_down);
}
