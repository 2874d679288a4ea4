// SPDX-License-Identifier: Apache-2.0
/*
 * Goal of this test: each thing that a look of the watchdog asks for is asked, and
 * is enough to end the feeding.  Server, store and spawner are played: what
 * they tell is set here, and the listeners are sockets of the test.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/app.h"
#include "api/watchdog.h"
#include "base/fs.h"
#include "hsm/spawner.h"

/* ---- what is played ---- */

static struct {
	struct sockaddr_storage address;
	socklen_t len;
	const char *listener;	/* the one that there is */
	struct store_stats stats;
	bool spawner_lives;
} played;

bool server_address(const struct server *server, const char *name,
    struct sockaddr_storage *address, socklen_t *len)
{
	(void)server;
	if (played.listener == NULL || strcmp(name, played.listener) != 0)
		return false;
	*address = played.address;
	*len = played.len;
	return true;
}

void store_stats(struct store *store, struct store_stats *stats)
{
	(void)store;
	*stats = played.stats;
}

bool spawner_alive(struct spawner *spawner)
{
	(void)spawner;
	return played.spawner_lives;
}

/* ---- the world ---- */

struct world {
	struct watchdog watchdog;
	struct app app;
	int fd;		/* of the listener */
	pthread_t thread;
	bool serving;
};

static int start(void **state)
{
	struct world *world = mem_zalloc(sizeof(*world));

	memset(&played, 0, sizeof(played));
	played.stats.writable = true;
	world->fd = -1;
	*state = world;
	return 0;
}

static int end(void **state)
{
	struct world *world = *state;

	if (world->fd >= 0)
		shutdown(world->fd, SHUT_RDWR);
	if (world->serving)
		pthread_join(world->thread, NULL);
	if (world->fd >= 0)
		close(world->fd);
	free(world);
	return 0;
}

/* A listener on the address AT, of which the server tells. */
static void listen_at(struct world *world, const char *at)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&played.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&played.address;

	if (inet_pton(AF_INET, at, &v4->sin_addr) == 1) {
		played.address.ss_family = AF_INET;
		played.len = sizeof(*v4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, at, &v6->sin6_addr), 1);
		played.address.ss_family = AF_INET6;
		played.len = sizeof(*v6);
	}
	world->fd = socket(
	    played.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(world->fd >= 0);
	assert_int_equal(bind(world->fd,
	    (struct sockaddr *)&played.address, played.len), 0);
	assert_int_equal(listen(world->fd, 4), 0);
	assert_int_equal(getsockname(world->fd,
	    (struct sockaddr *)&played.address, &played.len), 0);
	played.listener = "api";
}

/* Takes what comes, says nothing and closes, which is a reaction. */
static void *serve(void *arg)
{
	struct world *world = arg;
	int fd;

	while ((fd = accept(world->fd, NULL, NULL)) >= 0)
		close(fd);
	return NULL;
}

static void answer(struct world *world)
{
	assert_int_equal(
	    pthread_create(&world->thread, NULL, serve, world), 0);
	world->serving = true;
}

static bool look(struct world *world)
{
	return watchdog_look(&world->watchdog, &world->app, NULL);
}

/* ---- what must hold ---- */

static void a_server_with_nothing_amiss_is_fed(void **state)
{
	struct world *world = *state;

	listen_at(world, "127.0.0.1");
	answer(world);
	assert_true(look(world));
	assert_true(look(world));
}

static void listeners_on_every_address_are_asked_on_loopback(void **state)
{
	struct world *world = *state;

	listen_at(world, "0.0.0.0");
	answer(world);
	assert_true(look(world));
}

static void where_there_is_ipv6_listeners_on_all_of_it_are_asked_on_loopback(
    void **state)
{
	struct sockaddr_in6 loopback = {
	    .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct world *world = *state;
	OWNED_FD(fd) = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&loopback,
			  sizeof(loopback)) != 0)
		skip();
	listen_at(world, "::");
	answer(world);
	assert_true(look(world));
}

static void a_listener_that_takes_no_connection_ends_the_feeding(void **state)
{
	struct world *world = *state;

	listen_at(world, "127.0.0.1");
	close(world->fd);
	world->fd = -1;
	assert_false(look(world));
}

/* The kernel takes the connection; nobody cares for it. */
static void a_listener_that_never_answers_ends_the_feeding(void **state)
{
	struct world *world = *state;

	listen_at(world, "127.0.0.1");
	assert_false(look(world));
}

static void any_of_the_listeners_is_enough_to_end_the_feeding(void **state)
{
	static const char *const names[] = {"api", "public", "ops"};
	struct world *world = *state;

	listen_at(world, "127.0.0.1");
	close(world->fd);
	world->fd = -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		played.listener = names[i];
		assert_false(look(world));
	}
	played.listener = NULL;
	assert_true(look(world));
}

/* The listeners lack them, too: nothing is learnt about whether they hang. */
static void without_a_descriptor_listeners_are_not_judged(void **state)
{
	struct world *world = *state;
	struct rlimit before, none;

	listen_at(world, "127.0.0.1");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	bool fed = look(world);

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(fed);
}

static void a_writer_that_hangs_between_two_looks_ends_the_feeding(
    void **state)
{
	struct world *world = *state;

	played.stats.waiting = 2;
	assert_true(look(world));
	assert_false(look(world));
	played.stats.commits++;
	assert_true(look(world));
}

static void a_spawner_that_has_ended_ends_the_feeding(void **state)
{
	struct world *world = *state;

	world->app.spawner = (struct spawner *)&played;
	played.spawner_lives = true;
	assert_true(look(world));
	played.spawner_lives = false;
	assert_false(look(world));
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(a_server_with_nothing_amiss_is_fed),
	    WORLD_TEST(listeners_on_every_address_are_asked_on_loopback),
	    WORLD_TEST(
		where_there_is_ipv6_listeners_on_all_of_it_are_asked_on_loopback),
	    WORLD_TEST(a_listener_that_takes_no_connection_ends_the_feeding),
	    WORLD_TEST(a_listener_that_never_answers_ends_the_feeding),
	    WORLD_TEST(any_of_the_listeners_is_enough_to_end_the_feeding),
	    WORLD_TEST(without_a_descriptor_listeners_are_not_judged),
	    WORLD_TEST(a_writer_that_hangs_between_two_looks_ends_the_feeding),
	    WORLD_TEST(a_spawner_that_has_ended_ends_the_feeding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
