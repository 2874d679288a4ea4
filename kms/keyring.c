// SPDX-License-Identifier: Apache-2.0
#include "kms/keyring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/clock.h"
#include "base/text.h"
#include "kms/record.h"
#include "store/key.h"

/* Records remembered as verified; a power of two, beyond the 20,000 keys that
 * one instance is built for. */
#define VERIFIED_SLOTS 32768
#define DIGEST_SIZE 32

struct keyring {
	struct store *store; /* borrowed */
	struct hsm *hsm; /* borrowed */
	char *root_uri;
	char *mac_uri;
	EVP_MD *sha256;

	/* Digests of records, MAC included, whose MAC the token has confirmed.
	 * Direct-mapped: a slot forgets the older of two that collide. */
	pthread_rwlock_t lock;
	uint8_t (*verified)[DIGEST_SIZE];
};

enum err_code keyring_open(struct store *store, struct hsm *hsm,
    const struct keyring_keys *keys, struct keyring **ring_out, struct err *err)
{
	EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);

	if (sha256 == NULL)
		return err_fail_crypto(err, "fetching SHA-256");
	struct keyring *ring = mem_zalloc(sizeof(*ring));
	ring->store = store;
	ring->hsm = hsm;
	ring->root_uri = mem_strdup(keys->root);
	ring->mac_uri = mem_strdup(keys->mac);
	ring->sha256 = sha256;
	pthread_rwlock_init(&ring->lock, NULL);
	ring->verified = mem_zalloc_array(VERIFIED_SLOTS, DIGEST_SIZE);
	*ring_out = ring;
	return ERR_OK;
}

void keyring_close(struct keyring *ring)
{
	if (ring == NULL)
		return;
	free(ring->verified);
	pthread_rwlock_destroy(&ring->lock);
	EVP_MD_free(ring->sha256);
	free(ring->mac_uri);
	free(ring->root_uri);
	free(ring);
}

struct hsm *keyring_hsm(struct keyring *ring)
{
	return ring->hsm;
}

const char *keyring_root(const struct keyring *ring)
{
	return ring->root_uri;
}

void key_info_free(struct key_info *info)
{
	if (info == NULL)
		return;
	free(info->cluster);
	free(info->name);
	free(info);
}

static uint8_t *slot_of(struct keyring *ring, const uint8_t *digest)
{
	size_t index =
	    ((size_t)digest[0] << 16 | (size_t)digest[1] << 8 | digest[2]) %
	    VERIFIED_SLOTS;

	return ring->verified[index];
}

static bool is_verified(struct keyring *ring, const uint8_t *digest)
{
	pthread_rwlock_rdlock(&ring->lock);
	bool same = memcmp(slot_of(ring, digest), digest, DIGEST_SIZE) == 0;
	pthread_rwlock_unlock(&ring->lock);
	return same;
}

static void remember_verified(struct keyring *ring, const uint8_t *digest)
{
	pthread_rwlock_wrlock(&ring->lock);
	memcpy(slot_of(ring, digest), digest, DIGEST_SIZE);
	pthread_rwlock_unlock(&ring->lock);
}

/*
 * Asks the token for the MAC, unless it has confirmed these very octets before.
 * The state stands under the MAC, so a record that changed is always asked.
 */
static enum err_code check_mac(struct keyring *ring,
    const struct key_info *info, const struct kek_record *record,
    struct err *err)
{
	OWNED_BUF(input);
	uint8_t digest[DIGEST_SIZE], mac[KEK_MAC_SIZE];
	enum err_code code;

	kek_record_mac_input(record, info, &input);
	size_t mac_input_len = input.len;
	buf_put(&input, record->mac, sizeof(record->mac));
	if (!EVP_Digest(
		input.data, input.len, digest, NULL, ring->sha256, NULL))
		return err_fail_crypto(err, "digest of a KEK record");
	if (is_verified(ring, digest))
		return ERR_OK;
	if ((code = hsm_hmac(ring->hsm, ring->mac_uri,
		 BYTES(input.data, mac_input_len), mac, err)) != ERR_OK)
		return code;
	if (CRYPTO_memcmp(mac, record->mac, sizeof(mac)) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "MAC of key %s of cluster %s, version %u, does not fit",
		    info->name, info->cluster, record->version);
	remember_verified(ring, digest);
	return ERR_OK;
}

static enum err_code refuse_unusable(const struct key_info *info,
    const struct kek_record *record, struct err *err)
{
	switch (record->state) {
	case KEK_ENABLED:
		return ERR_OK;
	case KEK_DISABLED:
		return err_refuse(err, ERR_KEY_DISABLED,
		    "key %s, version %u, is disabled", info->name,
		    record->version);
	case KEK_PENDING_DESTRUCTION:
		return err_refuse(err, ERR_KEY_DISABLED,
		    "key %s, version %u, is waiting for its destruction",
		    info->name, record->version);
	case KEK_DESTROYED:
		return err_refuse(err, ERR_KEY_DISABLED,
		    "key %s, version %u, has been destroyed", info->name,
		    record->version);
	}
	return err_fail(err, ERR_CORRUPT, "KEK state %d", (int)record->state);
}

/* A key without its active version is damage; without another, a question
 * about what never was. */
static enum err_code no_version(const struct key_info *info, uint32_t version,
    struct err *err)
{
	if (version == info->version)
		return err_fail(err, ERR_CORRUPT,
		    "key %s of cluster %s lacks its active version %u",
		    info->name, info->cluster, version);
	return err_refuse(err, ERR_NOT_FOUND, "key %s has no version %u",
	    info->name, version);
}

/* The record of a version (0: the active one), its MAC checked. */
static enum err_code find_kek(struct keyring *ring, const struct key_info *info,
    uint32_t version, struct kek_record *record, struct err *err)
{
	if (version == 0)
		version = info->version;
	struct key row = kek_row(info->id, version);
	OWNED_BUF(value);
	bool found;
	enum err_code code;

	if ((code = store_find(ring->store, TABLE_KEKS, key_bytes(&row), &value,
		 NULL, &found, err)) != ERR_OK)
		return code;
	if (!found)
		return no_version(info, version, err);
	if (!kek_record_read(buf_bytes(&value), record) ||
	    record->version != version ||
	    memcmp(record->key_id, info->id, KEY_ID_SIZE) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "KEK record of key %s of cluster %s, version %u",
		    info->name, info->cluster, version);
	return check_mac(ring, info, record, err);
}

enum err_code keyring_kek(struct keyring *ring, const struct key_info *info,
    uint32_t version, struct kek_record *record_out, struct err *err)
{
	enum err_code code = find_kek(ring, info, version, record_out, err);

	return code != ERR_OK ? code : refuse_unusable(info, record_out, err);
}

static enum err_code make_version(struct keyring *ring,
    const struct key_info *info, struct kek_record *record, struct err *err)
{
	OWNED_BUF(blob);
	OWNED_BUF(input);
	enum err_code code;

	if ((code = hsm_kek_new(ring->hsm, ring->root_uri, &blob, err)) !=
	    ERR_OK)
		return code;
	if (blob.len == 0 || blob.len > sizeof(record->blob))
		return err_fail(err, ERR_HSM_REFUSED,
		    "a wrapped KEK of %zu octets", blob.len);
	*record = (struct kek_record){.version = info->version,
	    .state = info->state,
	    .created = info->created,
	    .blob_len = blob.len};
	memcpy(record->key_id, info->id, KEY_ID_SIZE);
	memcpy(record->blob, blob.data, blob.len);
	kek_record_mac_input(record, info, &input);
	return hsm_hmac(
	    ring->hsm, ring->mac_uri, buf_bytes(&input), record->mac, err);
}

enum err_code keyring_create(struct keyring *ring, const char *cluster,
    const char *name, struct batch *batch, struct key_info **info_out,
    struct err *err)
{
	enum err_code code;

	if (!text_is_label(name))
		return err_refuse(err, ERR_BAD_FIELD,
		    "name %s: a key's name is 1 to 63 of a-z, 0-9 and '-', "
		    "not beginning or ending with '-'",
		    err_quote_str(name));
	OWNED(key_info) info = mem_zalloc(sizeof(*info));
	info->cluster = mem_strdup(cluster);
	info->name = mem_strdup(name);
	info->version = 1;
	info->state = KEK_ENABLED;
	info->created = clock_now();
	if (RAND_bytes(info->id, sizeof(info->id)) != 1)
		return err_fail_crypto(err, "drawing a key id");

	struct kek_record record;
	if ((code = make_version(ring, info, &record, err)) != ERR_OK)
		return code;

	struct key name_row = key_row(cluster, name);
	struct key version_row = kek_row(info->id, info->version);
	OWNED_BUF(name_value);
	OWNED_BUF(version_value);
	key_record_write(info, &name_value);
	kek_record_write(&record, &version_value);
	batch_require_absent(batch, TABLE_KEYS, key_bytes(&name_row));
	batch_put(
	    batch, TABLE_KEYS, key_bytes(&name_row), buf_bytes(&name_value));
	batch_require_absent(batch, TABLE_KEKS, key_bytes(&version_row));
	batch_put(batch, TABLE_KEKS, key_bytes(&version_row),
	    buf_bytes(&version_value));
	*info_out = GIVE(info);
	return ERR_OK;
}

enum err_code keyring_lookup(struct keyring *ring, const char *cluster,
    const char *name, struct key_info **info_out, struct err *err)
{
	struct key row = KEY_INIT;
	OWNED_BUF(value);
	bool found = false;
	enum err_code code;

	/* Only labels can have been recorded, and fit into a row's key. */
	if (text_is_label(cluster) && text_is_label(name)) {
		row = key_row(cluster, name);
		if ((code = store_find(ring->store, TABLE_KEYS, key_bytes(&row),
			 &value, NULL, &found, err)) != ERR_OK)
			return code;
	}
	if (!found)
		return err_refuse(err, ERR_NOT_FOUND,
		    "cluster %s has no key %s", err_quote_str(cluster),
		    err_quote_str(name));
	if (!key_record_read(key_bytes(&row), buf_bytes(&value), info_out))
		return err_fail(err, ERR_CORRUPT,
		    "record of key %s of cluster %s", name, cluster);
	return ERR_OK;
}

static enum err_code read_state(
    struct keyring *ring, struct key_info *info, struct err *err)
{
	struct kek_record record;
	enum err_code code = find_kek(ring, info, 0, &record, err);

	if (code == ERR_OK)
		info->state = record.state;
	return code;
}

enum err_code keyring_get(struct keyring *ring, const char *cluster,
    const char *name, struct key_info **info_out, struct err *err)
{
	OWNED(key_info) info = NULL;
	enum err_code code;

	if ((code = keyring_lookup(ring, cluster, name, &info, err)) !=
		ERR_OK ||
	    (code = read_state(ring, info, err)) != ERR_OK)
		return code;
	*info_out = GIVE(info);
	return ERR_OK;
}

struct page {
	struct key_info **infos; /* the caller's array */
	size_t count, limit;
};

/* One page of names, on one snapshot that is given up before anything waits
 * for the token. */
static enum err_code read_names(struct keyring *ring, const char *cluster,
    const char *after, struct page *page, struct err *err)
{
	struct key prefix = KEY_INIT, from = KEY_INIT;
	OWNED(scan) scan = NULL;
	struct bytes row, value;
	bool more = true;
	enum err_code code;

	key_add_text(&prefix, cluster);
	if (after != NULL)
		from = key_row(cluster, after);
	if ((code = scan_open(ring->store, TABLE_KEYS, key_bytes(&prefix),
		 key_bytes(&from), &scan, err)) != ERR_OK)
		return code;
	while (page->count < page->limit) {
		code = scan_next(scan, &row, &value, &more, err);
		if (code != ERR_OK || !more)
			return code;
		if (!key_record_read(row, value, &page->infos[page->count]))
			return err_fail(err, ERR_CORRUPT,
			    "a record of a key's name, cluster %s", cluster);
		page->count++;
	}
	return ERR_OK;
}

enum err_code keyring_list(struct keyring *ring, const char *cluster,
    const char *after, size_t limit, struct key_info **infos, size_t *count_out,
    struct err *err)
{
	struct page page = {.infos = infos, .limit = limit};
	enum err_code code = ERR_OK;

	*count_out = 0;
	if (!text_is_label(cluster))
		return ERR_OK;
	if (after != NULL && !text_is_label(after))
		return err_refuse(err, ERR_BAD_FIELD,
		    "cursor %s is not the name of a key", err_quote_str(after));
	code = read_names(ring, cluster, after, &page, err);
	for (size_t i = 0; code == ERR_OK && i < page.count; i++)
		code = read_state(ring, infos[i], err);
	if (code == ERR_OK) {
		*count_out = page.count;
		return ERR_OK;
	}
	while (page.count > 0)
		key_info_free(infos[--page.count]);
	return code;
}
