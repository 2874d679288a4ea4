// SPDX-License-Identifier: Apache-2.0
#include "ca/issuer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/digest.h"
#include "ca/tlv.h"
#include "store/key.h"

#define RECORD_VERSION 1
#define ISSUERS_MAX 4096
#define PEM_LABEL "CERTIFICATE"

struct issuer_set {
	atomic_size_t references;
	size_t count;
	struct issuer **items;	/* ordered by id */
};

void issuer_free(struct issuer *issuer)
{
	if (issuer == NULL)
		return;
	free(issuer->id);
	free(issuer->key_uri);
	free(issuer->parent);
	free(issuer->der);
	free(issuer->responder_uri);
	free(issuer->responder_spki);
	free(issuer->responder_der);
	free(issuer->subject);
	signer_free(issuer->signer);
	signer_free(issuer->responder);
	free(issuer);
}

void issuer_put(struct batch *batch, const struct issuer *issuer)
{
	struct key key = KEY_INIT;
	OWNED_BUF(value);

	buf_put_u8(&value, RECORD_VERSION);
	buf_put_u8(&value, (uint8_t)issuer->kind);
	buf_put_u8(&value, (uint8_t)issuer->state);
	buf_put_lv_str(&value, issuer->key_uri);
	buf_put_lv_str(&value, issuer->parent);
	buf_put_i64(&value, issuer->not_before);
	buf_put_i64(&value, issuer->not_after);
	buf_put_lv(&value, BYTES(issuer->der, issuer->der_len));
	buf_put_lv_str(&value, issuer->responder_uri);
	buf_put_lv(&value,
	    BYTES(issuer->responder_spki, issuer->responder_spki_len));
	buf_put_lv(
	    &value, BYTES(issuer->responder_der, issuer->responder_der_len));
	buf_put_i64(&value, issuer->responder_not_after);
	key_add_text(&key, issuer->id);
	batch_put(batch, TABLE_ISSUERS, key_bytes(&key), buf_bytes(&value));
	if (issuer->revision == 0)
		batch_require_absent(batch, TABLE_ISSUERS, key_bytes(&key));
	else
		batch_require_revision(batch, TABLE_ISSUERS, key_bytes(&key),
		    issuer->revision);
}

/* An empty text stands for none. */
static char *read_optional(struct reader *in)
{
	char *text = reader_lv_str(in);

	if (text == NULL || text[0] != '\0')
		return text;
	free(text);
	return NULL;
}

static uint8_t *read_octets(struct reader *in, size_t *len_out)
{
	struct bytes octets = reader_lv(in);
	uint8_t *copy;

	*len_out = octets.len;
	if (octets.len == 0)
		return NULL;
	copy = mem_zalloc(octets.len);
	memcpy(copy, octets.data, octets.len);
	return copy;
}

static bool is_sound(const struct issuer *issuer)
{
	return issuer->kind >= ISSUER_ROOT && issuer->kind <= ISSUER_SERVICES &&
	    issuer->state >= ISSUER_ACTIVE && issuer->state <= ISSUER_RETIRED &&
	    issuer->key_uri != NULL && issuer->der != NULL &&
	    (issuer->responder_uri == NULL) ==
		(issuer->responder_spki == NULL);
}

static bool decode(struct bytes key, struct bytes value, struct issuer *issuer)
{
	struct reader in = reader_over(value);
	uint8_t version = reader_u8(&in);

	/* The key is the id and one zero octet. */
	if (key.len < 2 || memchr(key.data, 0, key.len) !=
	    key.data + key.len - 1)
		return false;
	issuer->id = mem_strdup((const char *)key.data);
	issuer->kind = (enum issuer_kind)reader_u8(&in);
	issuer->state = (enum issuer_state)reader_u8(&in);
	issuer->key_uri = read_optional(&in);
	issuer->parent = read_optional(&in);
	issuer->not_before = reader_i64(&in);
	issuer->not_after = reader_i64(&in);
	issuer->der = read_octets(&in, &issuer->der_len);
	issuer->responder_uri = read_optional(&in);
	issuer->responder_spki = read_octets(&in, &issuer->responder_spki_len);
	issuer->responder_der = read_octets(&in, &issuer->responder_der_len);
	issuer->responder_not_after = reader_i64(&in);
	return version == RECORD_VERSION && reader_done(&in) &&
	    is_sound(issuer);
}

/* Subject and SubjectPublicKeyInfo of a DER certificate (RFC 5280 4.1). */
static bool read_der(
    struct bytes der, struct tlv *subject_out, struct tlv *spki_out)
{
	struct tlv outer, tbs, element;
	struct bytes in;

	if (!tlv_take(&der, DER_SEQUENCE, &outer) || der.len > 0 ||
	    !tlv_take(&outer.content, DER_SEQUENCE, &tbs))
		return false;
	in = tbs.content;
	return tlv_take(&in, DER_CONTEXT(0), &element) &&
	    tlv_take(&in, DER_INTEGER, &element) &&
	    tlv_take(&in, DER_SEQUENCE, &element) &&	/* algorithm */
	    tlv_take(&in, DER_SEQUENCE, &element) &&	/* issuer */
	    tlv_take(&in, DER_SEQUENCE, &element) &&	/* validity */
	    tlv_take(&in, DER_SEQUENCE, subject_out) &&
	    tlv_take(&in, DER_SEQUENCE, spki_out);
}

/* The content of the key's BIT STRING without its octet of unused bits. */
static bool read_key_bits(struct bytes spki, struct bytes *bits_out)
{
	struct tlv algorithm, bits;

	if (!tlv_take(&spki, DER_SEQUENCE, &algorithm) ||
	    !tlv_take(&spki, DER_BIT_STRING, &bits) || bits.content.len < 2)
		return false;
	*bits_out = BYTES(bits.content.data + 1, bits.content.len - 1);
	return true;
}

enum err_code issuer_derive(
    struct issuer *issuer, struct hsm *hsm, struct err *err)
{
	struct bytes der = BYTES(issuer->der, issuer->der_len), bits;
	struct tlv subject, spki;
	enum err_code code = ERR_OK;

	if (!read_der(der, &subject, &spki) ||
	    !read_key_bits(spki.content, &bits))
		return err_fail(err, ERR_CORRUPT,
		    "certificate of issuer %s does not decode", issuer->id);
	digest_sha256(der, issuer->fingerprint);
	issuer->subject_len = subject.whole.len;
	free(issuer->subject);
	issuer->subject = mem_zalloc(subject.whole.len);
	memcpy(issuer->subject, subject.whole.data, subject.whole.len);
	(void)digest_compute(
	    DIGEST_SHA1, subject.whole, issuer->name_hash_sha1);
	digest_sha256(subject.whole, issuer->name_hash_sha256);
	(void)digest_compute(DIGEST_SHA1, bits, issuer->key_hash_sha1);
	digest_sha256(bits, issuer->key_hash_sha256);
	if (hsm == NULL || issuer->kind == ISSUER_ROOT)
		return ERR_OK;
	code = signer_new(
	    hsm, issuer->key_uri, spki.whole, &issuer->signer, err);
	if (code != ERR_OK || issuer->responder_uri == NULL)
		return code;
	return signer_new(hsm, issuer->responder_uri,
	    BYTES(issuer->responder_spki, issuer->responder_spki_len),
	    &issuer->responder, err);
}

static struct issuer_set *set_new(void)
{
	struct issuer_set *set = mem_zalloc(sizeof(*set));

	atomic_init(&set->references, 1);
	return set;
}

struct issuer_set *issuer_set_ref(struct issuer_set *set)
{
	atomic_fetch_add(&set->references, 1);
	return set;
}

void issuer_set_free(struct issuer_set *set)
{
	if (set == NULL || atomic_fetch_sub(&set->references, 1) > 1)
		return;
	for (size_t i = 0; i < set->count; i++)
		issuer_free(set->items[i]);
	free(set->items);
	free(set);
}

/* Reads what KEY holds now, with its revision: a scan does not tell those. */
static enum err_code add_issuer(struct issuer_set *set, struct bytes key,
    struct store *store, struct hsm *hsm, struct err *err)
{
	OWNED(issuer) issuer = mem_zalloc(sizeof(*issuer));
	OWNED_BUF(value);
	enum err_code code;
	bool found;

	code = store_find(store, TABLE_ISSUERS, key, &value,
	    &issuer->revision, &found, err);
	if (code != ERR_OK || !found)
		return code;
	if (!decode(key, buf_bytes(&value), issuer))
		return err_fail(err, ERR_CORRUPT,
		    "record of issuer %s does not decode",
		    err_quote(key.data, key.len));
	if ((code = issuer_derive(issuer, hsm, err)) != ERR_OK)
		return code;
	set->items = mem_resize(
	    set->items, set->count + 1, sizeof(struct issuer *));
	set->items[set->count++] = GIVE(issuer);
	return ERR_OK;
}

/* The keys of all issuers, each with its length before it. */
static enum err_code list_keys(
    struct store *store, struct buf *keys, struct err *err)
{
	OWNED(scan) scan = NULL;
	struct bytes key, value;
	enum err_code code;
	bool more;

	code = scan_open(store, TABLE_ISSUERS, BYTES(NULL, 0), BYTES(NULL, 0),
	    &scan, err);
	for (size_t count = 0; code == ERR_OK; count++) {
		code = scan_next(scan, &key, &value, &more, err);
		if (code != ERR_OK || !more)
			break;
		if (count == ISSUERS_MAX)
			return err_fail(err, ERR_CORRUPT,
			    "more than %d issuers", ISSUERS_MAX);
		buf_put_lv(keys, key);
	}
	return code;
}

enum err_code issuer_set_load(struct store *store, struct hsm *hsm,
    struct issuer_set **set_out, struct err *err)
{
	OWNED(issuer_set) set = set_new();
	OWNED_BUF(keys);
	struct reader in;
	enum err_code code = list_keys(store, &keys, err);

	in = reader_over(buf_bytes(&keys));
	while (code == ERR_OK && in.left > 0)
		code = add_issuer(set, reader_lv(&in), store, hsm, err);
	if (code != ERR_OK)
		return code;
	*set_out = GIVE(set);
	return ERR_OK;
}

size_t issuer_set_count(const struct issuer_set *set)
{
	return set->count;
}

const struct issuer *issuer_set_at(const struct issuer_set *set, size_t index)
{
	if (index >= set->count)
		abort();
	return set->items[index];
}

static int compare_id(const void *id, const void *item)
{
	return strcmp(id, (*(struct issuer *const *)item)->id);
}

const struct issuer *issuer_set_find(
    const struct issuer_set *set, const char *id)
{
	struct issuer **found;

	if (set->count == 0)
		return NULL;
	found = bsearch(id, set->items, set->count, sizeof(struct issuer *),
	    compare_id);
	return found == NULL ? NULL : *found;
}

/* The youngest, so that a new issuing CA takes over what is new. */
const struct issuer *issuer_set_default(const struct issuer_set *set)
{
	const struct issuer *best = NULL;

	for (size_t i = 0; i < set->count; i++) {
		const struct issuer *issuer = set->items[i];

		if (issuer->kind == ISSUER_ISSUING &&
		    issuer->state == ISSUER_ACTIVE &&
		    (best == NULL || issuer->not_before >= best->not_before))
			best = issuer;
	}
	return best;
}

void issuer_chain_pem(const struct issuer_set *set,
    const struct issuer *issuer, bool with_root, struct buf *out)
{
	/* Bounded by the count, should the records ever form a circle. */
	for (size_t i = 0; issuer != NULL && i < set->count; i++) {
		if (issuer->parent == NULL && !with_root)
			return;
		pem_put(out, PEM_LABEL,
		    BYTES(issuer->der, issuer->der_len));
		issuer = issuer->parent == NULL
		    ? NULL
		    : issuer_set_find(set, issuer->parent);
	}
}
