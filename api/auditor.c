// SPDX-License-Identifier: Apache-2.0
#include "api/auditor.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/witness.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/thread.h"
#include "ca/notary.h"
#include "store/audit_json.h"
#include "store/key.h"

#define INTERVAL_MS 1000
#define BACKOFF_MAX_MS 60000
#define KEEP_ENTRIES 2000	/* told before a position is kept */
#define CLOSE_SECONDS 5		/* for what is left to tell */
#define BEHIND_ALARM 1000	/* entries: a witness that is slow, no more */
#define POSITION_FORMAT 1
#define POSITION_PREFIX "audit-witness"

struct watcher {
	struct auditor *auditor;
	struct witness *witness;
	pthread_t thread;
	struct witness_position position;	/* its thread's alone */
	int64_t backoff_ms;			/* likewise */
	_Atomic uint64_t entries;
	atomic_bool failing;
};

/* "covered" is what a checkpoint that is durably stored covers: no witness hears
 * of more, so that a stop of the machine never leaves a witness ahead. */
struct auditor {
	struct app *app;
	struct notary *notary;		/* the signer's alone; NULL: not yet */
	pthread_t signer;
	struct watcher watchers[AUDITOR_WITNESSES_MAX];
	unsigned count;
	_Atomic uint64_t covered;
	_Atomic int64_t time_ms;
	atomic_bool failing;

	pthread_mutex_t lock;
	pthread_cond_t changed;		/* covered, stopping or ending */
	bool stopping;			/* under lock: the signer ends */
	bool ending;			/* under lock: the watchers end */
};

/* ---- Time ---- */

static struct timespec in_ms(int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	return (struct timespec){until / 1000, until % 1000 * 1000000};
}

/* Waits MS, or until *STOP; gives *STOP. */
static bool rest(struct auditor *auditor, int64_t ms, const bool *stop)
{
	struct timespec until = in_ms(ms);
	int waited = 0;
	pthread_mutex_lock(&auditor->lock);
	while (!*stop && waited == 0)
		waited = pthread_cond_timedwait(
		    &auditor->changed, &auditor->lock, &until);
	bool stopped = *stop;
	pthread_mutex_unlock(&auditor->lock);
	return stopped;
}

/* Waits until more is covered than a watcher has, or the end. */
static bool wait_for_more(struct watcher *watcher)
{
	struct auditor *auditor = watcher->auditor;
	pthread_mutex_lock(&auditor->lock);
	while (!auditor->ending &&
	    atomic_load(&auditor->covered) <= watcher->position.checkpoint)
		pthread_cond_wait(&auditor->changed, &auditor->lock);
	bool ending = auditor->ending;
	pthread_mutex_unlock(&auditor->lock);
	return !ending;
}

static void tell(struct auditor *auditor, bool *flag)
{
	pthread_mutex_lock(&auditor->lock);
	if (flag != NULL)
		*flag = true;
	pthread_cond_broadcast(&auditor->changed);
	pthread_mutex_unlock(&auditor->lock);
}

/* Tells once when something begins to fail, and once when it works again. */
static void note(atomic_bool *failing, const char *what, enum err_code code,
    const struct err *err)
{
	bool failed = code != ERR_OK;
	if (atomic_exchange(failing, failed) == failed)
		return;
	if (failed)
		log_err(LOG_WARN, what, err);
	else
		LOG(INFO, "works again", LOG_STR("what", what));
}

/* ---- Signing ---- */

static enum err_code find_notary(struct auditor *auditor, struct err *err)
{
	struct app *app = auditor->app;
	if (auditor->notary != NULL)
		return ERR_OK;
	enum err_code code =
	    notary_open(app->store, app->hsm, &auditor->notary, err);
	if (code != ERR_NOT_FOUND)
		return code;
	err_clear(err);
	code = notary_make(app->store, app->hsm, err);
	if (code != ERR_OK)
		return code;
	LOG(INFO, "made the key of the audit log", LOG_STR("key", LABEL_AUDIT));
	return notary_open(app->store, app->hsm, &auditor->notary, err);
}

static enum err_code keep(struct auditor *auditor,
    const struct audit_head *head, struct bytes text, struct err *err)
{
	OWNED(batch) batch = batch_new();
	struct store *store = auditor->app->store;
	enum err_code code =
	    checkpoint_put(store, batch, head->sequence, text, err);
	return code == ERR_OK ? store_commit(store, batch, err) : code;
}

static enum err_code sign_head(struct auditor *auditor, struct err *err)
{
	struct audit_head head;
	OWNED_BUF(text);
	enum err_code code;
	if ((code = find_notary(auditor, err)) != ERR_OK ||
	    (code = audit_head(auditor->app->store, &head, err)) != ERR_OK ||
	    head.sequence == atomic_load(&auditor->covered))
		return code;
	/* Never a second, shorter history under the same key. */
	if (head.sequence < atomic_load(&auditor->covered))
		return err_fail(err, ERR_CORRUPT,
		    "the audit log ends at entry %llu, and a checkpoint covers "
		    "%llu", (unsigned long long)head.sequence,
		    (unsigned long long)atomic_load(&auditor->covered));
	if ((code = notary_sign(auditor->notary, &head, &text, err)) !=
		ERR_OK ||
	    (code = keep(auditor, &head, buf_bytes(&text), err)) != ERR_OK)
		return code;
	atomic_store(&auditor->time_ms, clock_now_ms());
	atomic_store(&auditor->covered, head.sequence);
	tell(auditor, NULL);
	return ERR_OK;
}

static void *sign(void *arg)
{
	struct auditor *auditor = arg;
	bool stopped;
	do {
		struct err err = {0};
		stopped = rest(auditor, INTERVAL_MS, &auditor->stopping);
		enum err_code code = sign_head(auditor, &err);
		note(&auditor->failing, "audit checkpoint not signed", code,
		    &err);
	} while (!stopped);
	return NULL;
}

/* ---- Telling ---- */

static struct key position_key(const struct watcher *watcher)
{
	struct key key = KEY_INIT;
	uint8_t digest[32];
	struct bytes name = bytes_str(witness_name(watcher->witness));
	key_add_text(&key, POSITION_PREFIX);
	/* A path may be longer than a key. */
	if (EVP_Digest(name.data, name.len, digest, NULL, EVP_sha256(), NULL) !=
	    1)
		abort();
	key_add_octets(&key, BYTES_OF(digest));
	return key;
}

static enum err_code load_position(struct watcher *watcher, struct err *err)
{
	struct key key = position_key(watcher);
	OWNED_BUF(value);
	bool found;
	enum err_code code = store_find(watcher->auditor->app->store,
	    TABLE_META, key_bytes(&key), &value, NULL, &found, err);
	if (code != ERR_OK || !found)
		return code;
	struct reader reader = reader_over(buf_bytes(&value));
	uint8_t format = reader_u8(&reader);
	watcher->position.entries = reader_u64(&reader);
	watcher->position.checkpoint = reader_u64(&reader);
	if (format != POSITION_FORMAT || !reader_done(&reader))
		return err_fail(err, ERR_CORRUPT,
		    "position of audit witness %s does not decode",
		    witness_name(watcher->witness));
	atomic_store(&watcher->entries, watcher->position.entries);
	return ERR_OK;
}

static enum err_code keep_position(struct watcher *watcher, struct err *err)
{
	struct key key = position_key(watcher);
	OWNED(batch) batch = batch_new();
	OWNED_BUF(value);
	buf_put_u8(&value, POSITION_FORMAT);
	buf_put_u64(&value, watcher->position.entries);
	buf_put_u64(&value, watcher->position.checkpoint);
	batch_put(batch, TABLE_META, key_bytes(&key), buf_bytes(&value));
	return store_commit(watcher->auditor->app->store, batch, err);
}

struct lines {
	struct buf text;
	uint64_t last;
};

static void lines_end(struct lines *lines)
{
	buf_free(&lines->text);
}

static bool add_line(const struct audit_entry *entry,
    const uint8_t leaf[static 32], void *arg)
{
	struct lines *lines = arg;
	OWNED_JSON(json) = audit_to_json(entry, leaf);
	json_put(&lines->text, json);
	buf_put_u8(&lines->text, '\n');
	lines->last = entry->sequence;
	return true;
}

static enum err_code tell_entries(
    struct watcher *watcher, uint64_t size, struct err *err)
{
	__attribute__((cleanup(lines_end))) struct lines lines = {0};
	uint64_t at = watcher->position.entries;
	uint64_t count = witness_batch(watcher->witness);
	if (count > size - at)
		count = size - at;
	enum err_code code = audit_read(watcher->auditor->app->store, at + 1,
	    count, add_line, &lines, err);
	if (code != ERR_OK)
		return code;
	if (lines.last != at + count)
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is missing",
		    (unsigned long long)lines.last + 1);
	code = witness_write(watcher->witness, buf_bytes(&lines.text), err);
	if (code != ERR_OK)
		return code;
	watcher->position.entries = lines.last;
	atomic_store(&watcher->entries, lines.last);
	return ERR_OK;
}

static enum err_code tell_checkpoint(
    struct watcher *watcher, struct bytes text, struct err *err)
{
	OWNED_JSON(json) = audit_checkpoint_json(text);
	OWNED_BUF(line);
	json_put(&line, json);
	buf_put_u8(&line, '\n');
	return witness_write(watcher->witness, buf_bytes(&line), err);
}

/* Up to the next checkpoint that it lacks; *MORE_OUT false: there is none. */
static enum err_code tell_next(
    struct watcher *watcher, bool *more_out, struct err *err)
{
	struct store *store = watcher->auditor->app->store;
	const struct witness_position *at = &watcher->position;
	/* Of a file that a crash has cut, entries may be ahead. */
	uint64_t least = at->entries > at->checkpoint ? at->entries
						     : at->checkpoint + 1;
	uint64_t covered = atomic_load(&watcher->auditor->covered);
	struct checkpoint next;
	OWNED_BUF(text);
	enum err_code code =
	    checkpoint_find(store, least, &text, more_out, err);
	if (code == ERR_OK && !*more_out && at->checkpoint < covered)
		return err_fail(err, ERR_CORRUPT,
		    "it has audit entry %llu, and the checkpoints end at %llu",
		    (unsigned long long)at->entries,
		    (unsigned long long)covered);
	if (code != ERR_OK || !*more_out)
		return code;
	if (!checkpoint_parse(buf_bytes(&text), &next, NULL))
		return err_fail(
		    err, ERR_CORRUPT, "a kept checkpoint does not decode");
	uint64_t kept = at->entries;
	while (at->entries < next.size) {
		if ((code = tell_entries(watcher, next.size, err)) != ERR_OK)
			return code;
		if (at->entries - kept < KEEP_ENTRIES)
			continue;
		if ((code = keep_position(watcher, err)) != ERR_OK)
			return code;
		kept = at->entries;
	}
	code = tell_checkpoint(watcher, buf_bytes(&text), err);
	if (code != ERR_OK)
		return code;
	watcher->position.checkpoint = next.size;
	return keep_position(watcher, err);
}

static enum err_code tell_all(struct watcher *watcher, struct err *err)
{
	bool more = true;
	enum err_code code =
	    witness_open(watcher->witness, &watcher->position, err);
	while (code == ERR_OK && more)
		code = tell_next(watcher, &more, err);
	return code;
}

/* One try; after a failure, a pause that grows. */
static void try_to_tell(struct watcher *watcher)
{
	struct err err = {0};
	enum err_code code = tell_all(watcher, &err);
	OWNED_STR(what) = mem_printf("audit witness %s does not take entries",
	    witness_name(watcher->witness));
	note(&watcher->failing, what, code, &err);
	if (code == ERR_OK) {
		watcher->backoff_ms = 0;
		return;
	}
	watcher->backoff_ms = watcher->backoff_ms == 0
	    ? INTERVAL_MS : watcher->backoff_ms * 2;
	if (watcher->backoff_ms > BACKOFF_MAX_MS)
		watcher->backoff_ms = BACKOFF_MAX_MS;
	rest(watcher->auditor, watcher->backoff_ms, &watcher->auditor->ending);
}

static void *watch(void *arg)
{
	struct watcher *watcher = arg;
	while (wait_for_more(watcher))
		try_to_tell(watcher);
	try_to_tell(watcher);
	return NULL;
}

/* ---- Life ---- */

enum err_code auditor_check(
    const struct config *config, struct store *store, struct err *err)
{
	for (unsigned i = 0; i < config->audit.witness_count; i++) {
		OWNED(witness) witness =
		    witness_new(config->audit.witness[i]);
		enum err_code code = witness_compare(witness, store, err);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* What was signed once is not signed otherwise: LAST must be of this log. */
static enum err_code check_last(struct store *store,
    const struct checkpoint *last, struct err *err)
{
	struct audit_head head;
	uint8_t root[32];
	enum err_code code = audit_head(store, &head, err);
	if (code != ERR_OK)
		return code;
	if (last->size > head.sequence)
		return err_fail(err, ERR_CORRUPT,
		    "the audit log was cut or rolled back: it ends at entry "
		    "%llu, and a checkpoint in the store covers %llu",
		    (unsigned long long)head.sequence,
		    (unsigned long long)last->size);
	code = audit_root(store, last->size, root, err);
	if (code == ERR_OK && memcmp(root, last->root, sizeof(root)) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "the audit log was changed: its first %llu entries are not "
		    "those that a checkpoint in the store covers",
		    (unsigned long long)last->size);
	return code;
}

/* What the last checkpoint in the store covers. */
static enum err_code load_covered(struct auditor *auditor, struct err *err)
{
	struct checkpoint last;
	OWNED_BUF(text);
	bool found;
	enum err_code code = checkpoint_last(
	    auditor->app->store, &text, &found, err);
	if (code != ERR_OK || !found)
		return code;
	if (!checkpoint_parse(buf_bytes(&text), &last, NULL))
		return err_fail(
		    err, ERR_CORRUPT, "a kept checkpoint does not decode");
	code = check_last(auditor->app->store, &last, err);
	if (code != ERR_OK)
		return code;
	atomic_store(&auditor->covered, last.size);
	atomic_store(&auditor->time_ms, last.time_ms);
	return ERR_OK;
}

static struct auditor *auditor_new(struct app *app)
{
	struct auditor *auditor = mem_zalloc(sizeof(*auditor));
	pthread_condattr_t monotonic;
	auditor->app = app;
	pthread_mutex_init(&auditor->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&auditor->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return auditor;
}

static void dispose(struct auditor *auditor)
{
	for (unsigned i = 0; i < auditor->count; i++)
		witness_free(auditor->watchers[i].witness);
	notary_close(auditor->notary);
	pthread_cond_destroy(&auditor->changed);
	pthread_mutex_destroy(&auditor->lock);
	free(auditor);
}

/* A thread that cannot be had ends the program: at start, and nothing is lost. */
static void start(
    pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
	struct err err = {0};
	if (thread_start(thread, name, run, arg, &err) != ERR_OK)
		abort();
}

static enum err_code add_watcher(
    struct auditor *auditor, const char *spec, struct err *err)
{
	struct watcher *watcher = &auditor->watchers[auditor->count++];
	watcher->auditor = auditor;
	watcher->witness = witness_new(spec);
	return load_position(watcher, err);
}

enum err_code auditor_open(
    struct app *app, struct auditor **auditor_out, struct err *err)
{
	const struct config *config = app->config;
	struct auditor *auditor = auditor_new(app);
	enum err_code code = load_covered(auditor, err);
	for (unsigned i = 0; code == ERR_OK && i < config->audit.witness_count;
	     i++)
		code = add_watcher(auditor, config->audit.witness[i], err);
	if (code != ERR_OK) {
		dispose(auditor);
		return code;
	}
	start(&auditor->signer, "auditor", sign, auditor);
	for (unsigned i = 0; i < auditor->count; i++)
		start(&auditor->watchers[i].thread, "witness", watch,
		    &auditor->watchers[i]);
	*auditor_out = auditor;
	return ERR_OK;
}

bool auditor_close(struct auditor *auditor)
{
	struct timespec until;
	bool ended = true;
	if (auditor == NULL)
		return true;
	tell(auditor, &auditor->stopping);
	pthread_join(auditor->signer, NULL);
	tell(auditor, &auditor->ending);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_SECONDS;
	for (unsigned i = 0; i < auditor->count; i++)
		if (pthread_timedjoin_np(
			auditor->watchers[i].thread, NULL, &until) != 0)
			ended = false;
	if (ended)
		dispose(auditor);
	return ended;
}

/* ---- Told to others ---- */

void auditor_stats(struct auditor *auditor, struct auditor_stats *stats_out)
{
	*stats_out = (struct auditor_stats){0};
	if (auditor == NULL)
		return;
	stats_out->entries = atomic_load(&auditor->covered);
	stats_out->time_ms = atomic_load(&auditor->time_ms);
	stats_out->failing = atomic_load(&auditor->failing);
	stats_out->count = auditor->count;
	for (unsigned i = 0; i < auditor->count; i++) {
		struct watcher *watcher = &auditor->watchers[i];
		uint64_t has = atomic_load(&watcher->entries);
		stats_out->witnesses[i].name = witness_name(watcher->witness);
		stats_out->witnesses[i].entries = has;
		stats_out->witnesses[i].behind =
		    has < stats_out->entries ? stats_out->entries - has : 0;
		stats_out->witnesses[i].failing =
		    atomic_load(&watcher->failing);
	}
}

bool auditor_is_behind(const struct auditor_stats *stats)
{
	bool behind = stats->failing;
	for (unsigned i = 0; i < stats->count; i++)
		behind = behind || stats->witnesses[i].failing ||
		    stats->witnesses[i].behind > BEHIND_ALARM;
	return behind;
}
