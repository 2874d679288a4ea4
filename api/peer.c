// SPDX-License-Identifier: Apache-2.0
#include "api/peer.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Invariant, under lock: the list holds exactly the open connections, so a
 * descriptor found there is still theirs. */
struct peers {
	pthread_mutex_t lock;
	struct peer *first;
	unsigned count;
};

struct peers *peers_open(void)
{
	struct peers *peers = mem_zalloc(sizeof(*peers));
	pthread_mutex_init(&peers->lock, NULL);
	return peers;
}

void peers_close(struct peers *peers)
{
	if (peers == NULL)
		return;
	pthread_mutex_destroy(&peers->lock);
	free(peers);
}

static void link_in(struct peers *peers, struct peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	peer->next = peers->first;
	if (peer->next != NULL)
		peer->next->prev = peer;
	peers->first = peer;
	peers->count++;
	pthread_mutex_unlock(&peers->lock);
}

static void unlink_from(struct peers *peers, struct peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	if (peer->next != NULL)
		peer->next->prev = peer->prev;
	if (peer->prev != NULL)
		peer->prev->next = peer->next;
	else
		peers->first = peer->next;
	peers->count--;
	pthread_mutex_unlock(&peers->lock);
}

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
	}
	atomic_store(&peer->deadline_ms, deadline_ms);
	link_in(peers, peer);
	return peer;
}

void peer_free(struct peer *peer)
{
	if (peer == NULL)
		return;
	unlink_from(peer->peers, peer);
	tls_end(peer->credentials);
	free(peer);
}

void peer_set_deadline(struct peer *peer, int64_t deadline_ms)
{
	atomic_store_explicit(
	    &peer->deadline_ms, deadline_ms, memory_order_relaxed);
}

unsigned peers_expire(struct peers *peers, int64_t now_ms)
{
	unsigned expired = 0;
	pthread_mutex_lock(&peers->lock);
	for (struct peer *peer = peers->first; peer; peer = peer->next) {
		int64_t deadline = atomic_load_explicit(
		    &peer->deadline_ms, memory_order_relaxed);
		if (deadline == 0 || deadline > now_ms)
			continue;
		shutdown(peer->fd, SHUT_RDWR);
		peer_set_deadline(peer, 0);
		expired++;
	}
	pthread_mutex_unlock(&peers->lock);
	return expired;
}

unsigned peers_count(struct peers *peers)
{
	pthread_mutex_lock(&peers->lock);
	unsigned count = peers->count;
	pthread_mutex_unlock(&peers->lock);
	return count;
}
