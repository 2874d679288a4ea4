// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/thread.h"
#include "ca/crl.h"

#define GATHER_MS 20	/* a revocation waits for its neighbours */
#define PAUSE_MS 500	/* between two CRLs of one issuer */
#define TICK_MS 1000	/* the wall clock may be set: it is looked at so often */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 5000
#define PUBLISH_TRIES 4

/* The CRL of one issuer; found by its id, never removed. */
struct published {
	char *issuer;
	struct crl *current;	/* NULL: none yet */
	bool signs;		/* its signer is at hand, and it is not retired */
	bool retired;
	/*
	 * CURRENT lists every revocation that was told when the count of them,
	 * WANTED, stood at COVERED; so it is whole when both are equal.
	 */
	uint64_t wanted, covered;
	int64_t not_before;	/* monotonic ms: no attempt earlier */
	int64_t backoff;	/* ms; 0: the last attempt went well */
	UT_hash_handle hh;
};

struct crl_publisher {
	struct ca *ca;
	pthread_t thread;
	pthread_mutex_t lock;	/* guards all below; never held across the
				 * token, the store or the building */
	pthread_cond_t changed;
	struct published *all;	/* uthash by issuer */
	bool stop;
};

static struct published *find(
    struct crl_publisher *publisher, const char *issuer)
{
	struct published *published;

	HASH_FIND_STR(publisher->all, issuer, published);
	return published;
}

static struct published *find_or_add(
    struct crl_publisher *publisher, const char *issuer)
{
	struct published *published = find(publisher, issuer);

	if (published != NULL)
		return published;
	published = mem_zalloc(sizeof(*published));
	published->issuer = mem_strdup(issuer);
	published->wanted = 1;
	HASH_ADD_KEYPTR(hh, publisher->all, published->issuer,
	    strlen(published->issuer), published);
	return published;
}

/* ---- told by the CA ---- */

static void note_revocation(const char *issuer, void *arg)
{
	struct crl_publisher *publisher = arg;
	struct published *published;
	int64_t soon = clock_mono_ms() + GATHER_MS;

	pthread_mutex_lock(&publisher->lock);
	published = find_or_add(publisher, issuer);
	if (published->wanted++ == published->covered &&
	    published->not_before < soon)
		published->not_before = soon;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->lock);
}

/* ---- building one ---- */

/* Takes CRL over as the current one unless a later one stands there. */
static void adopt(struct published *published, struct crl *crl)
{
	if (published->current != NULL &&
	    published->current->number >= crl->number)
		return;
	crl_free(published->current);
	published->current = crl_ref(crl);
}

static enum err_code build_and_commit(struct crl_publisher *publisher,
    const struct issuer *issuer, const struct crl *last, struct crl **crl_out,
    struct err *err)
{
	struct store *store = ca_store(publisher->ca);
	OWNED(batch) batch = batch_new();
	OWNED(crl) crl = NULL;
	enum err_code code;

	code = crl_build(store, issuer, ca_config(publisher->ca)->crl.validity,
	    last, batch, &crl, err);
	if (code == ERR_OK)
		code = store_commit(store, batch, err);
	if (code == ERR_OK)
		*crl_out = GIVE(crl);
	return code;
}

static enum err_code publish_once(struct crl_publisher *publisher,
    const struct issuer *issuer, struct crl **crl_out, struct err *err)
{
	struct published *published;
	OWNED(crl) last = NULL;
	uint64_t covers;
	enum err_code code;

	pthread_mutex_lock(&publisher->lock);
	published = find_or_add(publisher, issuer->id);
	covers = published->wanted;
	last = crl_ref(published->current);
	pthread_mutex_unlock(&publisher->lock);

	code = build_and_commit(publisher, issuer, last, crl_out, err);
	if (code != ERR_OK)
		return code;

	pthread_mutex_lock(&publisher->lock);
	adopt(published, *crl_out);
	if (published->covered < covers)
		published->covered = covers;
	published->not_before = clock_mono_ms() + PAUSE_MS;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->lock);
	return ERR_OK;
}

/* Another thread or node has published meanwhile: goes on from there. */
static enum err_code catch_up(
    struct crl_publisher *publisher, const char *issuer, struct err *err)
{
	OWNED(crl) stored = NULL;
	enum err_code code;

	code = crl_find(ca_store(publisher->ca), issuer, &stored, err);
	if (code != ERR_OK || stored == NULL)
		return code;
	pthread_mutex_lock(&publisher->lock);
	adopt(find_or_add(publisher, issuer), stored);
	pthread_mutex_unlock(&publisher->lock);
	return ERR_OK;
}

static void log_published(const struct crl *crl)
{
	LOG(INFO, "crl published", LOG_STR("issuer", crl->issuer),
	    LOG_NUM("number", crl->number), LOG_NUM("entries", crl->entries),
	    LOG_NUM("octets", crl->der_len));
}

enum err_code crl_publish(struct crl_publisher *publisher, const char *id,
    struct crl **crl_out, struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(publisher->ca);
	const struct issuer *issuer = issuer_set_find(set, id);
	enum err_code code = ERR_OK;

	if (issuer == NULL)
		return err_refuse(err, ERR_NOT_FOUND, "no issuer %s",
		    err_quote_str(id));
	if (issuer->signer == NULL)
		return err_refuse(err, ERR_CONFLICT, "the key of issuer %s is "
		    "not at hand: its CRL is signed where the key is", id);
	for (int i = 0; i < PUBLISH_TRIES; i++) {
		code = publish_once(publisher, issuer, crl_out, err);
		if (code == ERR_OK)
			log_published(*crl_out);
		if (code != ERR_CONFLICT)
			return code;
		if ((code = catch_up(publisher, id, err)) != ERR_OK)
			return code;
	}
	return err_fail(err, ERR_OVERLOADED,
	    "CRL of %s: others keep publishing it", id);
}

/* ---- the thread ---- */

/* Issuers come and change by ca_reload. */
static void sync_issuers(struct crl_publisher *publisher)
{
	OWNED(issuer_set) set = ca_issuers(publisher->ca);

	pthread_mutex_lock(&publisher->lock);
	for (size_t i = 0; i < issuer_set_count(set); i++) {
		const struct issuer *issuer = issuer_set_at(set, i);
		struct published *published =
		    find_or_add(publisher, issuer->id);

		published->retired = issuer->state == ISSUER_RETIRED;
		published->signs =
		    issuer->signer != NULL && !published->retired;
	}
	pthread_mutex_unlock(&publisher->lock);
}

static bool is_wanted(
    const struct published *published, int64_t refresh, int64_t now)
{
	const struct crl *crl = published->current;

	if (!published->signs)
		return false;
	return crl == NULL || published->wanted != published->covered ||
	    now >= crl->this_update + refresh || now >= crl->next_update;
}

/* The issuer whose turn it is, or NULL; *WAKE is when the next one's comes.
 * With the lock held. */
static struct published *choose(struct crl_publisher *publisher, int64_t *wake)
{
	int64_t refresh = ca_config(publisher->ca)->crl.refresh;
	struct published *published, *next;
	int64_t mono = clock_mono_ms(), now = clock_now();

	*wake = mono + TICK_MS;
	HASH_ITER (hh, publisher->all, published, next) {
		if (!is_wanted(published, refresh, now))
			continue;
		if (published->not_before <= mono)
			return published;
		if (published->not_before < *wake)
			*wake = published->not_before;
	}
	return NULL;
}

static void wait_until(struct crl_publisher *publisher, int64_t mono_ms)
{
	struct timespec until = {
	    .tv_sec = mono_ms / 1000,
	    .tv_nsec = mono_ms % 1000 * 1000000,
	};

	pthread_cond_timedwait(&publisher->changed, &publisher->lock, &until);
}

static void note_failure(struct crl_publisher *publisher,
    struct published *published, const struct err *err)
{
	int64_t backoff;

	pthread_mutex_lock(&publisher->lock);
	backoff = published->backoff;
	published->backoff = backoff == 0 ? BACKOFF_MIN_MS : 2 * backoff;
	if (published->backoff > BACKOFF_MAX_MS)
		published->backoff = BACKOFF_MAX_MS;
	published->not_before = clock_mono_ms() + published->backoff;
	pthread_mutex_unlock(&publisher->lock);
	/* Once in a row of failures: the first says why. */
	if (backoff == 0)
		log_err(LOG_ERROR, "crl not published, trying again", err);
}

static void attempt(
    struct crl_publisher *publisher, struct published *published)
{
	OWNED(crl) crl = NULL;
	struct err err;

	if (crl_publish(publisher, published->issuer, &crl, &err) != ERR_OK) {
		note_failure(publisher, published, &err);
		return;
	}
	pthread_mutex_lock(&publisher->lock);
	published->backoff = 0;
	pthread_mutex_unlock(&publisher->lock);
}

static void *run(void *arg)
{
	struct crl_publisher *publisher = arg;
	struct published *chosen;
	bool stop = false;
	int64_t wake;

	while (!stop) {
		sync_issuers(publisher);
		pthread_mutex_lock(&publisher->lock);
		chosen = choose(publisher, &wake);
		if (chosen == NULL && !publisher->stop)
			wait_until(publisher, wake);
		stop = publisher->stop;
		pthread_mutex_unlock(&publisher->lock);
		if (chosen != NULL && !stop)
			attempt(publisher, chosen);
	}
	return NULL;
}

/* ---- open and close ---- */

static enum err_code load_all(struct crl_publisher *publisher, struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(publisher->ca);

	for (size_t i = 0; i < issuer_set_count(set); i++) {
		const char *id = issuer_set_at(set, i)->id;
		enum err_code code = catch_up(publisher, id, err);

		if (code != ERR_OK)
			return code;
	}
	sync_issuers(publisher);
	return ERR_OK;
}

static void publisher_free(struct crl_publisher *publisher)
{
	struct published *published, *next;

	HASH_ITER (hh, publisher->all, published, next) {
		HASH_DEL(publisher->all, published);
		crl_free(published->current);
		free(published->issuer);
		free(published);
	}
	pthread_cond_destroy(&publisher->changed);
	pthread_mutex_destroy(&publisher->lock);
	free(publisher);
}

static struct crl_publisher *publisher_new(struct ca *ca)
{
	struct crl_publisher *publisher = mem_zalloc(sizeof(*publisher));
	pthread_condattr_t attr;

	publisher->ca = ca;
	pthread_mutex_init(&publisher->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&publisher->changed, &attr);
	pthread_condattr_destroy(&attr);
	return publisher;
}

enum err_code crl_publisher_open(
    struct ca *ca, struct crl_publisher **publisher_out, struct err *err)
{
	struct crl_publisher *publisher = publisher_new(ca);
	enum err_code code = load_all(publisher, err);

	if (code != ERR_OK) {
		publisher_free(publisher);
		return code;
	}
	ca_watch(ca, note_revocation, publisher);
	code = thread_start(
	    &publisher->thread, "crl-publisher", run, publisher, err);
	if (code != ERR_OK) {
		ca_unwatch(ca, publisher);
		publisher_free(publisher);
		return code;
	}
	*publisher_out = publisher;
	return ERR_OK;
}

void crl_publisher_close(struct crl_publisher *publisher)
{
	if (publisher == NULL)
		return;
	ca_unwatch(publisher->ca, publisher);
	pthread_mutex_lock(&publisher->lock);
	publisher->stop = true;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->lock);
	pthread_join(publisher->thread, NULL);
	publisher_free(publisher);
}

/* ---- reading ---- */

struct crl *crl_current(struct crl_publisher *publisher, const char *issuer)
{
	struct published *published;
	struct crl *crl = NULL;

	pthread_mutex_lock(&publisher->lock);
	published = find(publisher, issuer);
	if (published != NULL)
		crl = crl_ref(published->current);
	pthread_mutex_unlock(&publisher->lock);
	return crl;
}

bool crl_all_fresh(struct crl_publisher *publisher, int64_t now)
{
	struct published *published, *next;
	bool fresh = true;

	pthread_mutex_lock(&publisher->lock);
	HASH_ITER (hh, publisher->all, published, next)
		if (!published->retired &&
		    (published->current == NULL ||
			now >= published->current->next_update))
			fresh = false;
	pthread_mutex_unlock(&publisher->lock);
	return fresh;
}

bool crl_settle(struct crl_publisher *publisher, const char *issuer,
    int64_t timeout_ms)
{
	int64_t end = clock_mono_ms() + timeout_ms;
	struct published *published;
	uint64_t wanted;
	bool settled;

	pthread_mutex_lock(&publisher->lock);
	published = find(publisher, issuer);
	wanted = published == NULL ? 0 : published->wanted;
	while (published != NULL && published->covered < wanted &&
	    clock_mono_ms() < end)
		wait_until(publisher, end);
	settled = published != NULL && published->covered >= wanted;
	pthread_mutex_unlock(&publisher->lock);
	return settled;
}
