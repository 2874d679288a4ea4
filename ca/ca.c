// SPDX-License-Identifier: Apache-2.0
#include "ca/ca.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "ca/inside.h"
#include "ca/node.h"

#define WATCHERS_MAX 8

struct watcher {
	ca_watcher *watch;	/* NULL: a free place */
	void *arg;
};

/*
 * Invariants: SET is never NULL after opening, and what it points to never
 * changes; a reload puts another in its place.  A watcher is called with
 * WATCH_LOCK held, so that none is called after ca_unwatch has returned.
 */
struct ca {
	struct store *store;
	struct hsm *hsm;
	const struct config *config;
	uint8_t node;

	pthread_mutex_t lock;		/* over SET and OUTCOMES */
	struct issuer_set *set;
	uint64_t outcomes;
	struct condition outcome;

	pthread_mutex_t watch_lock;	/* over WATCHERS */
	struct watcher watchers[WATCHERS_MAX];
};

struct store *ca_store(const struct ca *ca)
{
	return ca->store;
}

struct hsm *ca_hsm(const struct ca *ca)
{
	return ca->hsm;
}

const struct config *ca_config(const struct ca *ca)
{
	return ca->config;
}

uint8_t ca_node(const struct ca *ca)
{
	return ca->node;
}

struct issuer_set *ca_issuers(struct ca *ca)
{
	struct issuer_set *set;

	pthread_mutex_lock(&ca->lock);
	set = issuer_set_ref(ca->set);
	pthread_mutex_unlock(&ca->lock);
	return set;
}

enum err_code ca_reload(struct ca *ca, struct err *err)
{
	struct issuer_set *set, *old;
	enum err_code code = issuer_set_load(ca->store, ca->hsm, &set, err);

	if (code != ERR_OK)
		return code;
	pthread_mutex_lock(&ca->lock);
	old = ca->set;
	ca->set = set;
	pthread_mutex_unlock(&ca->lock);
	issuer_set_free(old);
	return ERR_OK;
}

void ca_watch(struct ca *ca, ca_watcher *watch, void *arg)
{
	size_t i = 0;

	pthread_mutex_lock(&ca->watch_lock);
	while (i < WATCHERS_MAX && ca->watchers[i].watch != NULL)
		i++;
	if (i == WATCHERS_MAX)
		abort();
	ca->watchers[i] = (struct watcher){watch, arg};
	pthread_mutex_unlock(&ca->watch_lock);
}

void ca_unwatch(struct ca *ca, void *arg)
{
	pthread_mutex_lock(&ca->watch_lock);
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		if (ca->watchers[i].arg == arg)
			ca->watchers[i] = (struct watcher){NULL, NULL};
	}
	pthread_mutex_unlock(&ca->watch_lock);
}

void ca_revoked(struct ca *ca, const char *issuer)
{
	pthread_mutex_lock(&ca->watch_lock);
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		if (ca->watchers[i].watch != NULL)
			ca->watchers[i].watch(issuer, ca->watchers[i].arg);
	}
	pthread_mutex_unlock(&ca->watch_lock);
}

uint64_t ca_outcomes(struct ca *ca)
{
	uint64_t outcomes;

	pthread_mutex_lock(&ca->lock);
	outcomes = ca->outcomes;
	pthread_mutex_unlock(&ca->lock);
	return outcomes;
}

void ca_wait_for_outcome(struct ca *ca, uint64_t seen, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	pthread_mutex_lock(&ca->lock);
	while (ca->outcomes == seen &&
	    condition_wait(&ca->outcome, &ca->lock, until))
		;
	pthread_mutex_unlock(&ca->lock);
}

void ca_tell_outcome(struct ca *ca)
{
	pthread_mutex_lock(&ca->lock);
	ca->outcomes++;
	condition_tell(&ca->outcome);
	pthread_mutex_unlock(&ca->lock);
}

static struct ca *ca_new(
    struct store *store, struct hsm *hsm, const struct config *config)
{
	struct ca *ca = mem_zalloc(sizeof(*ca));

	ca->store = store;
	ca->hsm = hsm;
	ca->config = config;
	if (pthread_mutex_init(&ca->lock, NULL) != 0 ||
	    pthread_mutex_init(&ca->watch_lock, NULL) != 0)
		abort();
	return ca;
}

void ca_close(struct ca *ca)
{
	if (ca == NULL)
		return;
	issuer_set_free(ca->set);
	pthread_mutex_destroy(&ca->lock);
	pthread_mutex_destroy(&ca->watch_lock);
	free(ca);
}

/* A token that is away is met again when it signs; a key that it shows to be
 * unsafe, or does not have, is not used. */
static enum err_code check_key(
    struct hsm *hsm, const char *uri, bool *away, struct err *err)
{
	enum err_code code;

	if (uri == NULL || *away)
		return ERR_OK;
	code = hsm_check_key(hsm, uri, err);
	*away = code == ERR_HSM_UNAVAILABLE || code == ERR_DEADLINE ||
	    code == ERR_OVERLOADED;
	if (!*away)
		return code;
	log_err(LOG_WARN, "issuer keys not checked: token out of reach", err);
	err_clear(err);
	return ERR_OK;
}

static enum err_code check_keys(struct ca *ca, struct err *err)
{
	bool away = false;
	enum err_code code = ERR_OK;

	for (size_t i = 0; i < issuer_set_count(ca->set); i++) {
		const struct issuer *issuer = issuer_set_at(ca->set, i);

		if (issuer->signer == NULL)
			continue;
		code = check_key(ca->hsm, issuer->key_uri, &away, err);
		if (code == ERR_OK)
			code = check_key(
			    ca->hsm, issuer->responder_uri, &away, err);
		if (code != ERR_OK)
			return code;
	}
	return code;
}

static enum err_code load_node(struct ca *ca, struct err *err)
{
	OWNED(batch) batch = batch_new();
	enum err_code code = node_get(ca->store, batch, &ca->node, err);

	if (code != ERR_OK || batch_is_empty(batch))
		return code;
	return store_commit(ca->store, batch, err);
}

enum err_code ca_open(struct store *store, struct hsm *hsm,
    const struct config *config, struct ca **ca_out, struct err *err)
{
	OWNED(ca) ca = ca_new(store, hsm, config);
	uint64_t settled;
	enum err_code code;

	if ((code = load_node(ca, err)) != ERR_OK ||
	    (code = issuer_set_load(store, hsm, &ca->set, err)) != ERR_OK ||
	    (code = check_keys(ca, err)) != ERR_OK ||
	    (code = reconcile(store, ca->node, &settled, err)) != ERR_OK)
		return code;
	if (settled > 0)
		LOG(WARN, "intents without a result settled as unresolved",
		    LOG_NUM("count", settled));
	*ca_out = GIVE(ca);
	return ERR_OK;
}
