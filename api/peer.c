// SPDX-License-Identifier: Apache-2.0
#include "api/peer.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "api/limit.h"
#include "base/clock.h"
#include "base/hash.h"

/* Who has not moved for so long gives way when the server is nearly full. */
#define STALLED_MS 1000
/* So many are looked at to find one: where most of them stall, the oldest of
 * these is as good as the oldest of all. */
#define SAMPLE 64
/* One in eight places is kept free, while there is anybody to end. */
#define RESERVE_PART 8

/* Where connections come from.  The hash is keyed (limit_hash), so that nobody
 * can choose addresses that share a chain, or a count. */
struct peer_source {
	uint64_t key;
	unsigned count;
	UT_hash_handle hh;
};

struct list {
	struct peer *first, *last;	/* the last has been in it longest */
	unsigned count;
};

/*
 * Invariants, under lock: every open connection is in one of the lists, in fresh
 * until its first request line, so a descriptor found there is still theirs;
 * each counts once with its source; hand is in open, or NULL.
 */
struct peers {
	pthread_mutex_t lock;
	struct list fresh, open;
	struct peer *hand;		/* where the last sample ended */
	struct peer_source *sources;
	_Atomic int64_t now_ms;		/* set by peers_expire() */
};

struct peers *peers_open(void)
{
	struct peers *peers = mem_zalloc(sizeof(*peers));
	pthread_mutex_init(&peers->lock, NULL);
	atomic_store(&peers->now_ms, clock_mono_ms());
	return peers;
}

void peers_close(struct peers *peers)
{
	if (peers == NULL)
		return;
	pthread_mutex_destroy(&peers->lock);
	free(peers);
}

/* ---- Lists and counts, under lock ---- */

static void list_add(struct list *list, struct peer *peer)
{
	peer->prev = NULL;
	peer->next = list->first;
	if (peer->next != NULL)
		peer->next->prev = peer;
	else
		list->last = peer;
	list->first = peer;
	list->count++;
}

static void list_remove(struct list *list, struct peer *peer)
{
	if (peer->next != NULL)
		peer->next->prev = peer->prev;
	else
		list->last = peer->prev;
	if (peer->prev != NULL)
		peer->prev->next = peer->next;
	else
		list->first = peer->next;
	list->count--;
}

static struct list *list_of(struct peers *peers, const struct peer *peer)
{
	return peer->begun ? &peers->open : &peers->fresh;
}

static uint64_t key_of(const struct ip *source)
{
	struct ip whole = ip_source(source);
	return limit_hash(BYTES(whole.octets, whole.len));
}

static struct peer_source *find_source(
    const struct peers *peers, const struct ip *source)
{
	struct peer_source *found = NULL;
	uint64_t key = key_of(source);
	HASH_FIND(hh, peers->sources, &key, sizeof(key), found);
	return found;
}

static void count_in(struct peers *peers, struct peer *peer)
{
	struct peer_source *origin = find_source(peers, &peer->source);
	if (origin == NULL) {
		origin = mem_zalloc(sizeof(*origin));
		origin->key = key_of(&peer->source);
		HASH_ADD(hh, peers->sources, key, sizeof(origin->key), origin);
	}
	origin->count++;
	peer->origin = origin;
}

static void count_out(struct peers *peers, struct peer *peer)
{
	struct peer_source *origin = GIVE(peer->origin);
	if (--origin->count > 0)
		return;
	HASH_DEL(peers->sources, origin);
	free(origin);
}

static void link_in(struct peers *peers, struct peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	list_add(&peers->fresh, peer);
	count_in(peers, peer);
	pthread_mutex_unlock(&peers->lock);
}

static void unlink_from(struct peers *peers, struct peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	if (peers->hand == peer)
		peers->hand = peer->next;
	list_remove(list_of(peers, peer), peer);
	count_out(peers, peer);
	pthread_mutex_unlock(&peers->lock);
}

static void begin(struct peers *peers, struct peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	list_remove(&peers->fresh, peer);
	peer->begun = true;
	list_add(&peers->open, peer);
	pthread_mutex_unlock(&peers->lock);
}

/* ---- One connection ---- */

static void *session_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info == NULL ? NULL : info->tls_session;
}

static void read_source(struct peer *peer, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (info != NULL && ip_from_sockaddr(info->client_addr, &peer->source))
		ip_format(&peer->source, peer->source_text);
}

static void move(struct peer *peer, int64_t deadline_ms)
{
	atomic_store_explicit(&peer->moved_ms,
	    atomic_load_explicit(&peer->peers->now_ms, memory_order_relaxed),
	    memory_order_relaxed);
	atomic_store_explicit(
	    &peer->deadline_ms, deadline_ms, memory_order_relaxed);
}

/* ---- Sending ---- */

#define PIECES_MAX 8

/* Sends what waits, then PIECES.  How much of PIECES was taken; -1: see errno. */
static ssize_t send_pieces(
    struct peer *peer, const giovec_t *pieces, size_t count)
{
	struct iovec all[PIECES_MAX + 1] = {
	    {peer->held.data, peer->held.len}};
	struct msghdr message = {.msg_iov = all, .msg_iovlen = count + 1};
	for (size_t i = 0; i < count; i++)
		all[i + 1] = pieces[i];
	ssize_t sent = sendmsg(peer->fd, &message, MSG_NOSIGNAL);
	if (sent < 0)
		return -1;
	if ((size_t)sent >= peer->held.len) {
		sent -= (ssize_t)peer->held.len;
		buf_reset(&peer->held);
		return sent;
	}
	peer->held.len -= (size_t)sent;
	memmove(peer->held.data, peer->held.data + sent, peer->held.len);
	return 0;
}

/* A gnutls_vec_push_func. */
static ssize_t push(
    gnutls_transport_ptr_t arg, const giovec_t *pieces, int count)
{
	struct peer *peer = arg;
	size_t used = (size_t)count < PIECES_MAX ? (size_t)count : PIECES_MAX;
	if (peer->hold) {
		size_t before = peer->held.len;
		peer->hold = false;
		for (int i = 0; i < count; i++)
			buf_put(&peer->held, pieces[i].iov_base,
			    pieces[i].iov_len);
		return (ssize_t)(peer->held.len - before);
	}
	ssize_t sent = send_pieces(peer, pieces, used);
	if (sent != 0)
		return sent;
	errno = EAGAIN;
	return -1;
}

void peer_hold(struct peer *peer)
{
	peer->hold = peer->session != NULL;
}

struct peer *peer_new(struct peers *peers, struct MHD_Connection *connection,
    struct tls *tls, int64_t deadline_ms)
{
	struct peer *peer = mem_zalloc(sizeof(*peer));
	peer->peers = peers;
	peer->fd = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_CONNECTION_FD)
		       ->connect_fd;
	read_source(peer, connection);
	if (tls != NULL) {
		peer->session = session_of(connection);
		peer->credentials = tls_begin(tls, peer->session);
		gnutls_transport_set_ptr2(peer->session,
		    (gnutls_transport_ptr_t)(intptr_t)peer->fd, peer);
		gnutls_transport_set_vec_push_function(peer->session, push);
	}
	move(peer, deadline_ms);
	link_in(peers, peer);
	return peer;
}

void peer_free(struct peer *peer)
{
	if (peer == NULL)
		return;
	unlink_from(peer->peers, peer);
	tls_end(peer->credentials);
	buf_free(&peer->held);
	certificate_free(peer->certificate);
	identity_free(peer->identity);
	free(peer);
}

void peer_set_deadline(struct peer *peer, int64_t deadline_ms)
{
	if (!peer->begun)
		begin(peer->peers, peer);
	move(peer, deadline_ms);
}

/* ---- All of them ---- */

/* Its event thread then sees the end of the stream. */
static void end(struct peer *peer)
{
	shutdown(peer->fd, SHUT_RDWR);
	atomic_store_explicit(&peer->deadline_ms, 0, memory_order_relaxed);
}

void peer_release(struct peer *peer)
{
	const int off = 0;
	peer->hold = false;
	if (peer->held.len == 0)
		return;
	/* libmicrohttpd has pushed already, and left the socket corked. */
	if (send_pieces(peer, NULL, 0) < 0 || peer->held.len > 0 ||
	    setsockopt(peer->fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)) != 0)
		end(peer);
}

static unsigned expire(const struct list *list, int64_t now_ms)
{
	unsigned expired = 0;
	for (struct peer *peer = list->first; peer; peer = peer->next) {
		int64_t deadline = atomic_load_explicit(
		    &peer->deadline_ms, memory_order_relaxed);
		if (deadline == 0 || deadline > now_ms)
			continue;
		end(peer);
		expired++;
	}
	return expired;
}

unsigned peers_expire(struct peers *peers, int64_t now_ms)
{
	atomic_store_explicit(&peers->now_ms, now_ms, memory_order_relaxed);
	pthread_mutex_lock(&peers->lock);
	unsigned expired =
	    expire(&peers->fresh, now_ms) + expire(&peers->open, now_ms);
	pthread_mutex_unlock(&peers->lock);
	return expired;
}

/* It waits for its peer; one that was ended already does not. */
static bool waits(const struct peer *peer)
{
	return atomic_load_explicit(
		   &peer->deadline_ms, memory_order_relaxed) != 0;
}

static int64_t moved(const struct peer *peer)
{
	return atomic_load_explicit(&peer->moved_ms, memory_order_relaxed);
}

/* The oldest without a request line that was not ended yet.  Those that were are
 * gone as soon as their event threads come to them. */
static bool end_oldest_fresh(struct peers *peers, int64_t moved_before_ms)
{
	struct peer *peer = peers->fresh.last;
	for (unsigned i = 0; peer != NULL && i < SAMPLE; i++) {
		if (waits(peer) && moved(peer) <= moved_before_ms) {
			end(peer);
			return true;
		}
		peer = peer->prev;
	}
	return false;
}

static bool end_stalled(struct peers *peers, int64_t moved_before_ms)
{
	struct peer *oldest = NULL;
	for (unsigned i = 0; i < SAMPLE && i < peers->open.count; i++) {
		struct peer *peer = peers->hand;
		if (peer == NULL)
			peer = peers->open.first;
		peers->hand = peer->next;
		if (waits(peer) && moved(peer) <= moved_before_ms &&
		    (oldest == NULL || moved(peer) < moved(oldest)))
			oldest = peer;
	}
	if (oldest != NULL)
		end(oldest);
	return oldest != NULL;
}

/* Under lock. */
static enum peers_ended make_room(
    struct peers *peers, const struct peer_caps *caps)
{
	unsigned count = peers->fresh.count + peers->open.count;
	int64_t stalled = atomic_load(&peers->now_ms) - STALLED_MS;
	if (peers->fresh.count >= caps->fresh &&
	    end_oldest_fresh(peers, INT64_MAX))
		return PEERS_ENDED_FRESH;
	if (count < caps->connections - caps->connections / RESERVE_PART)
		return PEERS_ENDED_NONE;
	if (end_oldest_fresh(peers, stalled) || end_stalled(peers, stalled))
		return PEERS_ENDED_STALLED;
	return PEERS_ENDED_NONE;
}

enum peers_verdict peers_admit(struct peers *peers, const struct ip *source,
    const struct peer_caps *caps, enum peers_ended *ended_out)
{
	enum peers_verdict verdict = PEERS_ADMITTED;
	*ended_out = PEERS_ENDED_NONE;
	pthread_mutex_lock(&peers->lock);
	const struct peer_source *origin = find_source(peers, source);
	if (origin != NULL && origin->count >= caps->of_source)
		verdict = PEERS_SOURCE_FULL;
	else
		*ended_out = make_room(peers, caps);
	if (peers->fresh.count + peers->open.count >= caps->connections)
		verdict = PEERS_FULL;
	pthread_mutex_unlock(&peers->lock);
	return verdict;
}

unsigned peers_count(struct peers *peers)
{
	pthread_mutex_lock(&peers->lock);
	unsigned count = peers->fresh.count + peers->open.count;
	pthread_mutex_unlock(&peers->lock);
	return count;
}
