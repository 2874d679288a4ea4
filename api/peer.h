// SPDX-License-Identifier: Apache-2.0
/*
 * The connections of one listener, each with a moment by which it must have come
 * further: libmicrohttpd ends silent connections, this ends the slow ones, and
 * counts them all by where they come from.
 */
#ifndef API_PEER_H
#define API_PEER_H

#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include "api/tls.h"
#include "base/buf.h"
#include "base/net.h"
#include "ca/certificate.h"
#include "policies/identity.h"

struct peers;
struct peer_source;
struct MHD_Connection;

/* One connection.  Whoever has its exchange (exchange.h) alone uses what is not
 * atomic; between requests that is its event thread. */
struct peer {
	struct peers *peers;
	struct ip source;
	char source_text[IP_TEXT_SIZE];
	gnutls_session_t session;	/* NULL: plain HTTP */
	struct tls_credentials *credentials;
	int fd;
	_Atomic int64_t deadline_ms;	/* clock_mono_ms(); 0: none */
	_Atomic int64_t moved_ms;	/* when that was last set, about */
	bool begun;			/* a request line has come */
	bool hold;			/* the next record, see peer_hold() */
	struct buf held;		/* records of TLS that wait */
	/* Between requests: who its certificate made the last one, as read from
	 * the store.  The next one is spared the reading while the rows stand. */
	struct certificate *certificate;
	struct identity *identity;
	struct peer *prev, *next;	/* under the lock of peers */
	struct peer_source *origin;	/* likewise */
};

struct peers *peers_open(void);
/* All connections must be gone. */
void peers_close(struct peers *peers);
DEFINE_CLEANUP(peers, peers_close)

/* Connections at once: in all, of one source (an IPv4 address, an IPv6 /64), and
 * of those that have sent no request line yet. */
struct peer_caps {
	unsigned connections, of_source, fresh;
};
enum peers_verdict {
	PEERS_ADMITTED,
	PEERS_FULL,		/* all are busy, or came just now */
	PEERS_SOURCE_FULL,
};
/*
 * May SOURCE open one more?  To be asked before it is made.  Makes room by ending
 * one that keeps the server waiting: past CAPS.fresh the oldest of those without
 * a request, near CAPS.connections one that has not moved for a second.  So
 * whoever stalls, and be it thousands, gives way to whoever does not.
 * *ended_out tells which kind was ended.  Threads that ask at the same moment may
 * each be admitted to the last place.
 */
enum peers_ended { PEERS_ENDED_NONE, PEERS_ENDED_FRESH, PEERS_ENDED_STALLED };
MUST_CHECK enum peers_verdict peers_admit(struct peers *peers,
    const struct ip *source, const struct peer_caps *caps,
    enum peers_ended *ended_out);

/* A connection began; TLS may be NULL.  Its first request must have been sent
 * by DEADLINE_MS. */
struct peer *peer_new(struct peers *peers, struct MHD_Connection *connection,
    struct tls *tls, int64_t deadline_ms);
/* It is closed, and its descriptor not yet used again. */
void peer_free(struct peer *peer);

/* It moved: what it waits for now has come by then; 0: it waits for us.  The
 * first time says that a request line has come. */
void peer_set_deadline(struct peer *peer, int64_t deadline_ms);

/*
 * Has the next record of TLS wait for the one after it: libmicrohttpd gives the
 * head and the body of an answer to the session by themselves, and so they leave
 * in one system call.  What waits is ciphertext: to have GnuTLS gather the two
 * would leave the text, a secret perhaps, in its buffer.
 */
void peer_hold(struct peer *peer);
/* The answer is complete: what still waits (HEAD has no body) is sent.  A socket
 * that takes it not whole is one whose peer asks on and does not read: it is
 * ended. */
void peer_release(struct peer *peer);

/* Shuts down the connections whose deadline has passed; their event threads
 * then see the end of the stream.  Returns how many. */
unsigned peers_expire(struct peers *peers, int64_t now_ms);
unsigned peers_count(struct peers *peers);

#endif
