// SPDX-License-Identifier: Apache-2.0
#include "api/server.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <netinet/in.h>
#include <unistd.h>
#include "api/api.h"
#include "api/exchange.h"
#include "api/gate.h"
#include "api/metrics.h"
#include "api/ops.h"
#include "api/public.h"
#include "base/clock.h"
#include "base/net.h"
#include "base/thread.h"

#define TICK_MS 250
#define CONNECTION_MEMORY (32 * 1024)
#define OPS_CONNECTIONS 64
#define CONNECTIONS_MOST 1000000 /* limits.connections may be */
#define SETTLE_POLL_MS 10

enum {
	LISTENER_API = SOCKET_API,
	LISTENER_PUBLIC = SOCKET_PUBLIC,
	LISTENER_OPS = SOCKET_OPS,
	LISTENER_COUNT = SOCKETS_COUNT,
};

struct server {
	struct app *app;
	struct listener listeners[LISTENER_COUNT];
	/* The timer: ends what is too slow. */
	pthread_t timer;
	bool timer_runs;
	pthread_mutex_t lock;
	pthread_cond_t stop;	/* stopping became true */
	bool stopping;		/* under lock */
};

/* ---- Callbacks ---- */

static void on_connection(void *cls, struct MHD_Connection *connection,
    void **context, enum MHD_ConnectionNotificationCode code)
{
	struct listener *listener = cls;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		peer_free(GIVE(*context));
		return;
	}
	/* Handshake and request line are the first part of a request. */
	int64_t most = atomic_load(&listener->app->handshake_timeout_ms);
	int64_t whole = atomic_load(&listener->app->request_timeout_ms);
	*context = peer_new(listener->peers, connection,
	    listener->use_tls ? listener->app->tls : NULL,
	    clock_mono_ms() + (most < whole ? most : whole));
}

static struct peer_caps caps_of(const struct listener *listener)
{
	const struct config *config = app_live(listener->app);
	if (listener->service == &ops_service)
		return (struct peer_caps){
		    OPS_CONNECTIONS, OPS_CONNECTIONS, OPS_CONNECTIONS};
	return (struct peer_caps){config->limits.connections,
	    config->limits.connections_per_ip, config->limits.handshakes};
}

static bool has_place(
    const struct listener *listener, const struct ip *source)
{
	const struct peer_caps caps = caps_of(listener);
	enum peers_ended ended;
	enum peers_verdict verdict =
	    peers_admit(listener->peers, source, &caps, &ended);
	if (ended != PEERS_ENDED_NONE)
		metrics_turned(ended == PEERS_ENDED_FRESH ? TURNED_HANDSHAKES
							  : TURNED_STALLED);
	if (verdict != PEERS_ADMITTED)
		metrics_turned(verdict == PEERS_FULL
			? TURNED_CONNECTIONS : TURNED_SOURCE_CONNECTIONS);
	return verdict == PEERS_ADMITTED;
}

/* Before anything is read, and before TLS.  While draining nobody new comes in;
 * libmicrohttpd's own way of ceasing to listen races with its epoll threads. */
static enum MHD_Result on_accept(
    void *cls, const struct sockaddr *address, socklen_t len)
{
	const struct listener *listener = cls;
	struct ip source;
	(void)len;
	if (listener->service != &ops_service &&
	    atomic_load(&listener->app->stopping))
		return MHD_NO;
	if (!ip_from_sockaddr(address, &source))
		return MHD_NO;
	if (!gate_admits(listener->app, listener->service, &source)) {
		metrics_turned(TURNED_LISTENER);
		return MHD_NO;
	}
	return has_place(listener, &source) ? MHD_YES : MHD_NO;
}

/* We decode, and once: libmicrohttpd leaves the target as it came. */
static size_t leave_escaped(
    void *cls, struct MHD_Connection *connection, char *text)
{
	(void)cls, (void)connection;
	return strlen(text);
}

__attribute__((format(printf, 2, 0))) static void on_log(
    void *cls, const char *format, va_list args)
{
	const struct listener *listener = cls;
	char text[256];
	int len = vsnprintf(text, sizeof(text), format, args);
	if (len < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	LOG(DEBUG, "microhttpd", LOG_STR("listener", listener->service->name),
	    LOG_STR("text", text));
}

/* A daemon for TLS must be told of some certificate.  Each session gets its own
 * before the handshake (tls_begin); one that did not must not succeed. */
static int no_certificate(gnutls_session_t session,
    const gnutls_datum_t *authorities, int authorities_count,
    const gnutls_pk_algorithm_t *algorithms, int algorithms_count,
    gnutls_pcert_st **certificates, unsigned *count, gnutls_privkey_t *key)
{
	(void)session, (void)authorities, (void)authorities_count;
	(void)algorithms, (void)algorithms_count, (void)certificates;
	(void)count, (void)key;
	return -1;
}

/* ---- Start ---- */

#define OPTIONS_MAX 20

struct options {
	struct MHD_OptionItem items[OPTIONS_MAX];
	size_t count;
};

static void add(struct options *options, enum MHD_OPTION option,
    intptr_t value, const void *pointer)
{
	if (options->count == OPTIONS_MAX - 1)
		abort();
	options->items[options->count++] = (struct MHD_OptionItem){
	    option, value, (void *)(uintptr_t)pointer};
	options->items[options->count].option = MHD_OPTION_END;
}

/* A function as an option: its address goes where the value does, and what it
 * is called with where the pointer does. */
#define ADD_CALL(options, option, function, cls)                               \
	add((options), (option), (intptr_t)(function), (cls))

static void add_limits(struct options *options, const struct listener *listener)
{
	/* on_accept() keeps the limits.  This one is divided among the threads
	 * of the pool, however unevenly they accept: above what any can reach. */
	add(options, MHD_OPTION_CONNECTION_LIMIT,
	    (intptr_t)CONNECTIONS_MOST * listener->threads, NULL);
	add(options, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_MS / 1000,
	    NULL);
	add(options, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
	    NULL);
	add(options, MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL);
	/* One is what a daemon has without a pool. */
	if (listener->threads > 1)
		add(options, MHD_OPTION_THREAD_POOL_SIZE, listener->threads,
		    NULL);
}

static void add_calls(struct options *options, struct listener *listener)
{
	ADD_CALL(options, MHD_OPTION_NOTIFY_COMPLETED, exchange_on_completed,
	    listener);
	ADD_CALL(options, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
	    listener);
	ADD_CALL(options, MHD_OPTION_URI_LOG_CALLBACK, exchange_on_target,
	    listener);
	ADD_CALL(options, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped,
	    listener);
}

/*
 * Under TLS libmicrohttpd 0.9.75 does not note in its epoll loop that a handshake
 * has to wait for the peer: it asks again and again, so that one client who
 * stops in the middle keeps a thread busy.  Its poll loop waits as it should,
 * and costs little for as many connections as the API has.
 */
static unsigned flags_of(const struct listener *listener)
{
	unsigned flags =
	    MHD_USE_ITC | MHD_USE_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	if (listener->use_tls)
		flags |= MHD_USE_TLS | MHD_USE_POLL_INTERNAL_THREAD;
	else
		flags |= MHD_USE_EPOLL_INTERNAL_THREAD;
	return flags;
}

/* FD is the daemon's once it runs. */
static enum err_code start(struct listener *listener, int fd, struct err *err)
{
	struct options options = {.items = {{.option = MHD_OPTION_END}}};
	add_limits(&options, listener);
	add_calls(&options, listener);
	if (listener->use_tls) {
		add(&options, MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
		    (const void *)(uintptr_t)no_certificate);
		add(&options, MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES);
	}
	errno = 0;
	listener->daemon = MHD_start_daemon(flags_of(listener), 0,
	    on_accept, listener, exchange_on_request, listener,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, listener,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_ARRAY, options.items,
	    MHD_OPTION_END);
	if (listener->daemon != NULL)
		return ERR_OK;
	int error = errno;
	close(fd);
	return err_fail(err, ERR_IO, "listener %s on %s: %s",
	    listener->service->name, listener->address,
	    error == 0 ? "cannot start" : strerror(error));
}

static void set_up(struct listener *listener, struct app *app,
    const struct service *service, char *address)
{
	bool ops = service == &ops_service;
	*listener = (struct listener){
	    .app = app,
	    .service = service,
	    .peers = peers_open(),
	    .jobs = service == &public_service ? app->public_jobs : app->jobs,
	    .address = address,
	    .use_tls = service == &api_service,
	    .threads = ops ? 1 : app->config->limits.event_threads,
	};
}

static enum err_code start_all(
    struct server *server, struct sockets *sockets, struct err *err)
{
	const struct config *config = server->app->config;
	set_up(&server->listeners[LISTENER_API], server->app, &api_service,
	    config->listen.api);
	set_up(&server->listeners[LISTENER_PUBLIC], server->app,
	    &public_service, config->listen.public);
	set_up(&server->listeners[LISTENER_OPS], server->app, &ops_service,
	    config->listen.ops);
	for (size_t i = 0; i < LISTENER_COUNT; i++) {
		struct listener *listener = &server->listeners[i];
		enum err_code code = start(listener,
		    sockets_take(sockets, (enum socket_name)i), err);
		if (code != ERR_OK)
			return code;
		LOG(INFO, "listening",
		    LOG_STR("listener", listener->service->name),
		    LOG_STR("address", listener->address),
		    LOG_NUM("port",
			server_port(server, listener->service->name)));
	}
	return ERR_OK;
}

/* ---- The timer ---- */

static void tick(struct server *server)
{
	int64_t now = clock_mono_ms();
	jobs_expire(server->app->jobs, now);
	jobs_expire(server->app->public_jobs, now);
	for (size_t i = 0; i < LISTENER_COUNT; i++) {
		unsigned expired =
		    peers_expire(server->listeners[i].peers, now);
		while (expired-- > 0)
			metrics_count(METRIC_SLOW_CONNECTIONS);
	}
}

static void *run_timer(void *arg)
{
	struct server *server = arg;
	pthread_mutex_lock(&server->lock);
	while (!server->stopping) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&server->stop, &server->lock, &until);
		pthread_mutex_unlock(&server->lock);
		tick(server);
		pthread_mutex_lock(&server->lock);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

static enum err_code start_timer(struct server *server, struct err *err)
{
	enum err_code code =
	    thread_start(&server->timer, "timer", run_timer, server, err);
	server->timer_runs = code == ERR_OK;
	return code;
}

static void stop_timer(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	server->stopping = true;
	pthread_cond_signal(&server->stop);
	pthread_mutex_unlock(&server->lock);
	if (server->timer_runs)
		pthread_join(server->timer, NULL);
}

/* ---- Life ---- */

enum err_code server_open(struct app *app, struct sockets *sockets,
    struct server **server_out, struct err *err)
{
	OWNED(server) server = mem_zalloc(sizeof(*server));
	pthread_condattr_t monotonic;
	server->app = app;
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&server->stop, &monotonic);
	pthread_condattr_destroy(&monotonic);
	enum err_code code = start_all(server, sockets, err);
	if (code == ERR_OK)
		code = start_timer(server, err);
	if (code != ERR_OK)
		return code;
	*server_out = GIVE(server);
	return ERR_OK;
}

/* Answers that are being sent get a moment to arrive. */
static void settle(const struct server *server, int64_t until_ms)
{
	const struct timespec pause = {0, SETTLE_POLL_MS * 1000000L};
	while (atomic_load(&server->app->exchanges) > 0 &&
	    clock_mono_ms() < until_ms)
		nanosleep(&pause, NULL);
}

bool server_drain(struct server *server, int64_t timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms;
	atomic_store(&server->app->stopping, true);
	if (!jobs_drain(server->app->jobs, timeout_ms))
		return false;
	int64_t left = until - clock_mono_ms();
	if (!jobs_drain(server->app->public_jobs, left < 0 ? 0 : left))
		return false;
	settle(server, until);
	return true;
}

void server_close(struct server *server)
{
	if (server == NULL)
		return;
	stop_timer(server);
	for (size_t i = 0; i < LISTENER_COUNT; i++) {
		struct listener *listener = &server->listeners[i];
		if (listener->daemon != NULL)
			MHD_stop_daemon(listener->daemon);
		peers_close(listener->peers);
	}
	public_close();
	pthread_cond_destroy(&server->stop);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

static const struct listener *find(
    const struct server *server, const char *name)
{
	for (size_t i = 0; i < LISTENER_COUNT; i++)
		if (strcmp(server->listeners[i].service->name, name) == 0)
			return &server->listeners[i];
	return NULL;
}

bool server_address(const struct server *server, const char *name,
    struct sockaddr_storage *address, socklen_t *len)
{
	const struct listener *listener = find(server, name);
	if (listener == NULL || listener->daemon == NULL)
		return false;
	const union MHD_DaemonInfo *info =
	    MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_LISTEN_FD);
	return info != NULL &&
	    getsockname(info->listen_fd, (struct sockaddr *)address, len) == 0;
}

uint16_t server_port(const struct server *server, const char *name)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	if (!server_address(server, name, &address, &len))
		return 0;
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return address.ss_family == AF_INET
	    ? ntohs(((struct sockaddr_in *)&address)->sin_port) : 0;
}

unsigned server_connections(const struct server *server, const char *name)
{
	const struct listener *listener = find(server, name);
	return listener == NULL ? 0 : peers_count(listener->peers);
}
