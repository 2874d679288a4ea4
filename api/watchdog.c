// SPDX-License-Identifier: Apache-2.0
#include "api/watchdog.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "hsm/spawner.h"

#define PATIENCE_MS 2000

/* A server bound to every address is asked on its own. */
static void make_loopback(struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET && v4->sin_addr.s_addr == INADDR_ANY)
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (address->ss_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
		v6->sin6_addr = in6addr_loopback;
}

static bool becomes(int fd, short events, int64_t deadline_ms)
{
	struct pollfd at = {.fd = fd, .events = events};
	int got;

	do {
		int64_t left = deadline_ms - clock_mono_ms();

		got = poll(&at, 1, left > 0 ? (int)left : 0);
	} while (got < 0 && errno == EINTR);
	return got > 0;
}

/*
 * Any reaction will do: an answer, an alert of TLS, a connection refused for
 * being one too many.  What counts is that somebody takes care of it.
 */
static bool reacts(const struct sockaddr_storage *address, socklen_t len)
{
	static const char ask[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
				  "Connection: close\r\n\r\n";
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;
	OWNED_FD(fd) = socket(address->ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* Without a descriptor nothing is learnt; the listeners then lack them,
	 * too, and say so. */
	if (fd < 0)
		return true;
	if (connect(fd, (const struct sockaddr *)address, len) != 0 &&
	    (errno != EINPROGRESS || !becomes(fd, POLLOUT, deadline)))
		return false;
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) < 0)
		return errno == EPIPE || errno == ECONNRESET;
	return becomes(fd, POLLIN, deadline);
}

static bool listeners_react(const struct server *server)
{
	static const char *const names[] = {"api", "public", "ops"};
	bool all = true;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct sockaddr_storage address;
		socklen_t len = sizeof(address);

		if (!server_address(server, names[i], &address, &len))
			continue;
		make_loopback(&address);
		if (reacts(&address, len))
			continue;
		LOG(ERROR, "listener does not react",
		    LOG_STR("listener", names[i]));
		all = false;
	}
	return all;
}

bool watchdog_moves(
    const struct store_stats *before, const struct store_stats *now)
{
	/* Once the disk has failed, each batch is refused at once: who waits
	 * now is not who waited then, and what only reads goes on. */
	return !now->writable || before->waiting == 0 || now->waiting == 0 ||
	    before->batches != now->batches || before->commits != now->commits;
}

static bool writer_moves(struct watchdog *watchdog, const struct app *app)
{
	const struct store_stats before = watchdog->store;

	store_stats(app->store, &watchdog->store);
	if (watchdog_moves(&before, &watchdog->store))
		return true;
	LOG(ERROR, "the store's writer stands still",
	    LOG_NUM("waiting", watchdog->store.waiting));
	return false;
}

static bool workers_can_start(const struct app *app)
{
	if (app->spawner == NULL || spawner_alive(app->spawner))
		return true;
	LOG(ERROR, "the process that starts workers has ended");
	return false;
}

bool watchdog_look(struct watchdog *watchdog, const struct app *app,
    const struct server *server)
{
	bool moves = writer_moves(watchdog, app);
	bool react = listeners_react(server);

	return workers_can_start(app) && moves && react;
}
