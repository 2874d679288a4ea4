// SPDX-License-Identifier: Apache-2.0
#include "api/watcher.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/app.h"
#include "api/teller.h"
#include "api/witness.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/thread.h"
#include "store/audit_json.h"
#include "store/checkpoint.h"
#include "store/key.h"

#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 60000
#define KEEP_ENTRIES 2000	/* told before a position is kept */
#define POSITION_FORMAT 1
#define POSITION_PREFIX "audit-witness"

struct watcher {
	struct app *app;
	struct store *store;
	struct progress *progress;
	struct witness *witness;
	struct teller *teller;	/* NULL: tells it without */
	pthread_t thread;
	bool started;
	struct witness_position position;	/* its thread's alone */
	int64_t backoff_ms;			/* likewise */
	enum err_code last;			/* of its last try; likewise */
	_Atomic uint64_t entries;
	atomic_bool failing;
};

/* ---- Progress ---- */

void progress_init(struct progress *progress)
{
	pthread_condattr_t monotonic;
	pthread_mutex_init(&progress->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&progress->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void progress_end(struct progress *progress)
{
	pthread_cond_destroy(&progress->changed);
	pthread_mutex_destroy(&progress->lock);
}

bool progress_rest(struct progress *progress, int64_t ms, const bool *stop)
{
	int64_t at = clock_mono_ms() + ms;
	struct timespec until = {at / 1000, at % 1000 * 1000000};
	int waited = 0;
	pthread_mutex_lock(&progress->lock);
	while (!*stop && waited == 0)
		waited = pthread_cond_timedwait(
		    &progress->changed, &progress->lock, &until);
	bool stopped = *stop;
	pthread_mutex_unlock(&progress->lock);
	return stopped;
}

void progress_tell(struct progress *progress, bool *flag)
{
	pthread_mutex_lock(&progress->lock);
	if (flag != NULL)
		*flag = true;
	pthread_cond_broadcast(&progress->changed);
	pthread_mutex_unlock(&progress->lock);
}

void progress_note(atomic_bool *failing, const char *what, enum err_code code,
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

/* Waits until more is covered than a watcher has, or the end. */
static bool wait_for_more(struct watcher *watcher)
{
	struct progress *progress = watcher->progress;
	pthread_mutex_lock(&progress->lock);
	while (!progress->ending &&
	    atomic_load(&progress->covered) <= watcher->position.checkpoint)
		pthread_cond_wait(&progress->changed, &progress->lock);
	bool ending = progress->ending;
	pthread_mutex_unlock(&progress->lock);
	return !ending;
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
	enum err_code code = store_find(watcher->store,
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
	return store_commit(watcher->store, batch, err);
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
	enum err_code code = audit_read(watcher->store, at + 1,
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
	struct store *store = watcher->store;
	const struct witness_position *at = &watcher->position;
	/* Of a file that a crash has cut, entries may be ahead. */
	uint64_t least = at->entries > at->checkpoint ? at->entries
						     : at->checkpoint + 1;
	uint64_t covered = atomic_load(&watcher->progress->covered);
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
	    witness_open(
		watcher->witness, watcher->store, &watcher->position, err);
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
	/* What is worse must not hide behind what failed before it. */
	if (code != ERR_OK && watcher->last != ERR_OK && code != watcher->last)
		log_err(LOG_WARN, what, &err);
	watcher->last = code;
	progress_note(&watcher->failing, what, code, &err);
	if (witness_refutes(watcher->witness))
		app_end(watcher->app);
	if (code == ERR_OK) {
		watcher->backoff_ms = 0;
		return;
	}
	watcher->backoff_ms = watcher->backoff_ms == 0
	    ? BACKOFF_MIN_MS : watcher->backoff_ms * 2;
	if (watcher->backoff_ms > BACKOFF_MAX_MS)
		watcher->backoff_ms = BACKOFF_MAX_MS;
	progress_rest(watcher->progress, watcher->backoff_ms,
	    &watcher->progress->ending);
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

enum err_code watcher_new(const char *spec, struct app *app,
    struct progress *progress, struct watcher **watcher_out, struct err *err)
{
	OWNED(watcher) watcher = mem_zalloc(sizeof(*watcher));
	watcher->app = app;
	watcher->store = app->store;
	watcher->teller = tellers_find(app->tellers, spec);
	watcher->progress = progress;
	watcher->witness = witness_new(spec);
	witness_tell_by(watcher->witness, watcher->teller);
	enum err_code code = load_position(watcher, err);
	if (code == ERR_OK)
		*watcher_out = GIVE(watcher);
	return code;
}

void watcher_free(struct watcher *watcher)
{
	if (watcher == NULL)
		return;
	witness_free(watcher->witness);
	free(watcher);
}

/* A thread that cannot be had ends the program: at start, and nothing is lost. */
void watcher_start(struct watcher *watcher)
{
	struct err err = {0};
	if (thread_start(&watcher->thread, "witness", watch, watcher, &err) !=
	    ERR_OK)
		abort();
	watcher->started = true;
}

bool watcher_join(struct watcher *watcher, const struct timespec *until)
{
	if (watcher->started &&
	    pthread_timedjoin_np(watcher->thread, NULL, until) != 0)
		return false;
	watcher->started = false;
	return true;
}

void watcher_cut(struct watcher *watcher)
{
	if (watcher->teller != NULL)
		teller_cut(watcher->teller);
}

const char *watcher_name(const struct watcher *watcher)
{
	return witness_name(watcher->witness);
}

uint64_t watcher_entries(struct watcher *watcher)
{
	return atomic_load(&watcher->entries);
}

bool watcher_is_failing(struct watcher *watcher)
{
	return atomic_load(&watcher->failing);
}

bool watcher_losses(const struct watcher *watcher, uint64_t *losses_out)
{
	*losses_out =
	    watcher->teller == NULL ? 0 : teller_losses(watcher->teller);
	return watcher->teller != NULL;
}
