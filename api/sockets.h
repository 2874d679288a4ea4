// SPDX-License-Identifier: Apache-2.0
/*
 * What the listeners listen on.  Sockets come first: from systemd, which hands
 * them over by name (sd_listen_fds(3)), or bound here while there are still
 * privileges to bind low ports.
 */
#ifndef API_SOCKETS_H
#define API_SOCKETS_H

#include "base/config.h"

enum socket_name { SOCKET_API, SOCKET_PUBLIC, SOCKET_OPS, SOCKETS_COUNT };

struct sockets;

/*
 * Takes what was handed over under the names "api", "public" and "ops", and
 * binds what was not.  Before any thread is started, once in a process.
 * Errors: ERR_CONFIG (an address that is none; a socket of another name or
 * kind); ERR_IO (address in use).
 */
MUST_CHECK enum err_code sockets_open(const struct config *config,
    struct sockets **sockets_out, struct err *err);

/*
 * The socket, which the caller closes; what it does to it in the end, such as
 * shutdown(2), is undone by sockets_close().
 */
int sockets_take(struct sockets *sockets, enum socket_name name);

/* Sockets that were handed over listen again, for the next server: their other
 * end still holds them.  No listener may be left. */
void sockets_close(struct sockets *sockets);
DEFINE_CLEANUP(sockets, sockets_close)

#endif
