// SPDX-License-Identifier: Apache-2.0
/*
 * The connections of this server, each with a moment by which it must have come
 * further: libmicrohttpd ends silent connections, this ends the slow ones.
 */
#ifndef API_PEER_H
#define API_PEER_H

#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include "api/tls.h"
#include "base/net.h"

struct peers;
struct MHD_Connection;

/* One connection.  Its own event thread alone uses what is not atomic. */
struct peer {
	struct peers *peers;
	struct ip source;
	char source_text[IP_TEXT_SIZE];
	gnutls_session_t session;	/* NULL: plain HTTP */
	struct tls_credentials *credentials;
	int fd;
	_Atomic int64_t deadline_ms;	/* clock_mono_ms(); 0: none */
	struct peer *prev, *next;	/* under the lock of peers */
};

struct peers *peers_open(void);
/* All connections must be gone. */
void peers_close(struct peers *peers);
DEFINE_CLEANUP(peers, peers_close)

/* A connection began; TLS may be NULL.  Its first request must have been sent
 * by DEADLINE_MS. */
struct peer *peer_new(struct peers *peers, struct MHD_Connection *connection,
    struct tls *tls, int64_t deadline_ms);
/* It is closed, and its descriptor not yet used again. */
void peer_free(struct peer *peer);

void peer_set_deadline(struct peer *peer, int64_t deadline_ms);

/* Shuts down the connections whose deadline has passed; their event threads
 * then see the end of the stream.  Returns how many. */
unsigned peers_expire(struct peers *peers, int64_t now_ms);
unsigned peers_count(struct peers *peers);

#endif
