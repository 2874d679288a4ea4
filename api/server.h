// SPDX-License-Identifier: Apache-2.0
/* The three listeners, their start and their end. */
#ifndef API_SERVER_H
#define API_SERVER_H

#include "api/app.h"
#include "api/peer.h"
#include "api/sockets.h"

struct service;
struct server;

/* One daemon of libmicrohttpd: the closure of its callbacks. */
struct listener {
	struct app *app;
	const struct service *service;
	struct peers *peers;
	struct jobs *jobs;	/* where what waits is run; borrowed */
	struct MHD_Daemon *daemon;
	char *address;		/* as configured */
	bool use_tls;
	unsigned threads;
};

/*
 * Begins to serve on SOCKETS.  Both APP and SOCKETS are borrowed and outlive the
 * server.  Errors: ERR_IO.
 */
MUST_CHECK enum err_code server_open(struct app *app, struct sockets *sockets,
    struct server **server_out, struct err *err);

/*
 * Lets what runs come to its end: new connections are refused, new requests
 * answered "stopping"; waits for the jobs, at most TIMEOUT_MS.
 * False when some are still running: then server_close() must not be called.
 */
MUST_CHECK bool server_drain(struct server *server, int64_t timeout_ms);
void server_close(struct server *server);
DEFINE_CLEANUP(server, server_close)

/* The port a listener is bound to ("api", "public", "ops"); 0: no such one. */
uint16_t server_port(const struct server *server, const char *name);
/* Its address into ADDRESS of *LEN octets; false: no such one. */
bool server_address(const struct server *server, const char *name,
    struct sockaddr_storage *address, socklen_t *len);
unsigned server_connections(const struct server *server, const char *name);

/* How many milliseconds a keep-alive connection may stay silent. */
#define IDLE_TIMEOUT_MS (30 * 1000)

#endif
