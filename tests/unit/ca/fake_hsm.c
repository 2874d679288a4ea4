// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/fake_hsm.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 64
#define MAC_SIZE 32

struct fake_key {
	char *label;
	char *uri;
	const char *kind;
	const char *key_type;
	EVP_PKEY *pair;		/* NULL: a secret key */
};

struct fault {
	unsigned left;		/* calls until it strikes; 0: none */
	enum err_code code;
};

struct hsm {
	pthread_mutex_t lock;	/* guards all below */
	struct fake_key keys[KEYS_MAX];
	size_t count;
	bool away;
	enum fake_lie lie;
	struct fault sign_fault, generate_fault;
	void (*hook)(const char *uri, void *arg);
	void *hook_arg;
	unsigned signatures;
	EVP_PKEY *other;	/* the key that FAKE_OTHER_KEY signs with */
	uint8_t id[16];		/* tells its blobs from those of another */
};

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake_hsm: %s\n", what);
	abort();
}

struct hsm *fake_hsm_new(void)
{
	struct hsm *hsm = mem_zalloc(sizeof(*hsm));

	pthread_mutex_init(&hsm->lock, NULL);
	hsm->other = EVP_EC_gen("P-256");
	must(hsm->other != NULL, "EVP_EC_gen");
	must(RAND_bytes(hsm->id, sizeof(hsm->id)) == 1, "RAND_bytes");
	return hsm;
}

void fake_hsm_free(struct hsm *hsm)
{
	if (hsm == NULL)
		return;
	for (size_t i = 0; i < hsm->count; i++) {
		free(hsm->keys[i].label);
		free(hsm->keys[i].uri);
		EVP_PKEY_free(hsm->keys[i].pair);
	}
	EVP_PKEY_free(hsm->other);
	pthread_mutex_destroy(&hsm->lock);
	free(hsm);
}

void fake_hsm_set_away(struct hsm *hsm, bool away)
{
	pthread_mutex_lock(&hsm->lock);
	hsm->away = away;
	pthread_mutex_unlock(&hsm->lock);
}

void fake_hsm_set_lie(struct hsm *hsm, enum fake_lie lie)
{
	pthread_mutex_lock(&hsm->lock);
	hsm->lie = lie;
	pthread_mutex_unlock(&hsm->lock);
}

void fake_hsm_fail_sign(struct hsm *hsm, unsigned nth, enum err_code code)
{
	pthread_mutex_lock(&hsm->lock);
	hsm->sign_fault = (struct fault){nth, code};
	pthread_mutex_unlock(&hsm->lock);
}

void fake_hsm_fail_generate(struct hsm *hsm, unsigned nth, enum err_code code)
{
	pthread_mutex_lock(&hsm->lock);
	hsm->generate_fault = (struct fault){nth, code};
	pthread_mutex_unlock(&hsm->lock);
}

void fake_hsm_on_sign(
    struct hsm *hsm, void (*hook)(const char *uri, void *arg), void *arg)
{
	pthread_mutex_lock(&hsm->lock);
	hsm->hook = hook;
	hsm->hook_arg = arg;
	pthread_mutex_unlock(&hsm->lock);
}

unsigned fake_hsm_signatures(struct hsm *hsm)
{
	unsigned count;

	pthread_mutex_lock(&hsm->lock);
	count = hsm->signatures;
	pthread_mutex_unlock(&hsm->lock);
	return count;
}

static const struct fake_key *find_key(const struct hsm *hsm, const char *uri)
{
	for (size_t i = 0; i < hsm->count; i++)
		if (strcmp(hsm->keys[i].uri, uri) == 0)
			return &hsm->keys[i];
	return NULL;
}

EVP_PKEY *fake_hsm_key(struct hsm *hsm, const char *uri)
{
	const struct fake_key *key;

	pthread_mutex_lock(&hsm->lock);
	key = find_key(hsm, uri);
	pthread_mutex_unlock(&hsm->lock);
	return key == NULL ? NULL : key->pair;
}

static enum err_code answer_away(struct hsm *hsm, struct err *err)
{
	bool away;

	pthread_mutex_lock(&hsm->lock);
	away = hsm->away;
	pthread_mutex_unlock(&hsm->lock);
	return away ? err_fail(err, ERR_HSM_UNAVAILABLE, "fake: away") : ERR_OK;
}

static enum err_code strike(
    struct hsm *hsm, struct fault *fault, struct err *err)
{
	bool struck;
	enum err_code code;

	if ((code = answer_away(hsm, err)) != ERR_OK)
		return code;
	pthread_mutex_lock(&hsm->lock);
	struck = fault->left > 0 && --fault->left == 0;
	code = fault->code;
	pthread_mutex_unlock(&hsm->lock);
	return struck ? err_fail(err, code, "fake: as ordered") : ERR_OK;
}

/* The scalar of the key LABEL: its SHA-384, cut to the length of the order,
 * with the top bit cleared so that it lies below the order. */
static BIGNUM *scalar_of(const char *label, size_t len)
{
	uint8_t digest[48];
	BIGNUM *scalar;

	must(EVP_Digest(label, strlen(label), digest, NULL, EVP_sha384(),
		 NULL) == 1, "EVP_Digest");
	digest[0] &= 0x7f;
	scalar = BN_bin2bn(digest, (int)len, NULL);
	must(scalar != NULL && !BN_is_zero(scalar), "scalar");
	return scalar;
}

static size_t public_point(int nid, const BIGNUM *scalar, uint8_t *out,
    size_t size)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);
	EC_POINT *point = EC_POINT_new(group);
	size_t len;

	must(EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) == 1, "mul");
	len = EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
	    out, size, NULL);
	EC_POINT_free(point);
	EC_GROUP_free(group);
	return len;
}

static EVP_PKEY *ec_pair(const char *label, const char *curve, int nid)
{
	BIGNUM *scalar = scalar_of(label, nid == NID_secp384r1 ? 48 : 32);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pair = NULL;
	OSSL_PARAM *params;
	uint8_t point[97];
	size_t len = public_point(nid, scalar, point, sizeof(point));

	OSSL_PARAM_BLD_push_utf8_string(
	    build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0);
	OSSL_PARAM_BLD_push_octet_string(
	    build, OSSL_PKEY_PARAM_PUB_KEY, point, len);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar);
	params = OSSL_PARAM_BLD_to_param(build);
	must(EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, params) == 1,
	    "EVP_PKEY_fromdata");
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	BN_free(scalar);
	return pair;
}

static EVP_PKEY *make_pair(
    const char *label, enum hsm_key_type type, const char **name_out)
{
	switch (type) {
	case HSM_EC_P256:
		*name_out = "ec-p256";
		return ec_pair(label, "P-256", NID_X9_62_prime256v1);
	case HSM_EC_P384:
		*name_out = "ec-p384";
		return ec_pair(label, "P-384", NID_secp384r1);
	case HSM_RSA_2048:
		*name_out = "rsa-2048";
		return EVP_RSA_gen(2048);
	case HSM_RSA_3072:
		*name_out = "rsa-3072";
		return EVP_RSA_gen(3072);
	case HSM_RSA_4096:
		*name_out = "rsa-4096";
		return EVP_RSA_gen(4096);
	}
	abort();
}

static bool label_in_use(const struct hsm *hsm, const char *label)
{
	for (size_t i = 0; i < hsm->count; i++)
		if (strcmp(hsm->keys[i].label, label) == 0)
			return true;
	return false;
}

static enum err_code add_key(
    struct hsm *hsm, struct fake_key key, char **uri_out, struct err *err)
{
	enum err_code code = ERR_OK;

	key.uri = mem_printf("pkcs11:token=fake;object=%s;type=%s", key.label,
	    key.kind);
	pthread_mutex_lock(&hsm->lock);
	must(hsm->count < KEYS_MAX, "too many keys");
	if (label_in_use(hsm, key.label))
		code = err_refuse(err, ERR_EXISTS, "label in use");
	else
		hsm->keys[hsm->count++] = key;
	pthread_mutex_unlock(&hsm->lock);
	if (code == ERR_OK) {
		*uri_out = mem_strdup(key.uri);
		return ERR_OK;
	}
	free(key.label);
	free(key.uri);
	EVP_PKEY_free(key.pair);
	return code;
}

enum err_code hsm_generate_pair(struct hsm *hsm, const char *label,
    enum hsm_key_type type, char **uri_out, struct buf *spki, struct err *err)
{
	struct fake_key key = {.kind = "private"};
	uint8_t *der = NULL;
	enum err_code code;
	int len;

	if ((code = strike(hsm, &hsm->generate_fault, err)) != ERR_OK)
		return code;
	key.label = mem_strdup(label);
	key.pair = make_pair(label, type, &key.key_type);
	len = i2d_PUBKEY(key.pair, &der);
	must(len > 0, "i2d_PUBKEY");
	code = add_key(hsm, key, uri_out, err);
	if (code == ERR_OK)
		buf_put(spki, der, (size_t)len);
	OPENSSL_free(der);
	return code;
}

enum err_code hsm_generate_secret(struct hsm *hsm, const char *label,
    enum hsm_secret_use use, char **uri_out, struct err *err)
{
	struct fake_key key = {.kind = "secret-key"};
	enum err_code code;

	if ((code = strike(hsm, &hsm->generate_fault, err)) != ERR_OK)
		return code;
	key.label = mem_strdup(label);
	key.key_type = use == HSM_USE_MAC ? "generic-256" : "aes-256";
	return add_key(hsm, key, uri_out, err);
}

static const EVP_MD *digest_of(enum hsm_mechanism mechanism, size_t len)
{
	if (mechanism == HSM_RSA_PSS_SHA384 || len == 48)
		return EVP_sha384();
	return EVP_sha256();
}

/* Signs as the token would for the key, in OpenSSL's own form. */
static void sign_natively(EVP_PKEY *pair, enum hsm_mechanism mechanism,
    struct bytes data, struct buf *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
	size_t len = 0;

	must(EVP_PKEY_sign_init(ctx) == 1, "EVP_PKEY_sign_init");
	/* PKCS #1 v1.5 without a digest pads the DigestInfo as it is given. */
	if (mechanism == HSM_ECDSA)
		must(EVP_PKEY_CTX_set_signature_md(
			 ctx, digest_of(mechanism, data.len)) == 1, "md");
	else if (mechanism != HSM_RSA_PKCS1)
		must(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) ==
			1 && EVP_PKEY_CTX_set_signature_md(
			 ctx, digest_of(mechanism, data.len)) == 1, "pss");
	must(EVP_PKEY_sign(ctx, NULL, &len, data.data, data.len) == 1, "size");
	must(EVP_PKEY_sign(ctx, buf_extend(out, len), &len, data.data,
		 data.len) == 1, "EVP_PKEY_sign");
	out->len = len;
	EVP_PKEY_CTX_free(ctx);
}

/* ECDSA-Sig-Value to r||s, each padded to HALF octets. */
static void to_raw(struct bytes der, size_t half, struct buf *out)
{
	const uint8_t *next = der.data;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &next, (long)der.len);
	uint8_t *at = buf_extend(out, 2 * half);

	must(sig != NULL, "d2i_ECDSA_SIG");
	must(BN_bn2binpad(ECDSA_SIG_get0_r(sig), at, (int)half) > 0, "r");
	must(BN_bn2binpad(ECDSA_SIG_get0_s(sig), at + half, (int)half) > 0,
	    "s");
	ECDSA_SIG_free(sig);
}

static void tell_lie(enum fake_lie lie, struct buf *signature, size_t begin)
{
	switch (lie) {
	case FAKE_FLIPPED:
		signature->data[begin + 7] ^= 0x10;
		break;
	case FAKE_SHORT:
		signature->len--;
		break;
	case FAKE_EMPTY:
		signature->len = begin;
		break;
	case FAKE_HONEST:
	case FAKE_OTHER_KEY:
		break;
	}
}

static void sign_raw(EVP_PKEY *pair, enum hsm_mechanism mechanism,
    struct bytes data, struct buf *signature)
{
	OWNED_BUF(native);

	sign_natively(pair, mechanism, data, &native);
	if (mechanism == HSM_ECDSA)
		to_raw(buf_bytes(&native),
		    EVP_PKEY_get_bits(pair) == 384 ? 48 : 32, signature);
	else
		buf_put_bytes(signature, buf_bytes(&native));
}

enum err_code hsm_sign(struct hsm *hsm, const char *uri,
    enum hsm_mechanism mechanism, struct bytes data, struct buf *signature,
    struct err *err)
{
	size_t begin = signature->len;
	void (*hook)(const char *uri, void *arg);
	const struct fake_key *key;
	EVP_PKEY *pair;
	enum fake_lie lie;
	enum err_code code;
	void *arg;

	pthread_mutex_lock(&hsm->lock);
	hook = hsm->hook;
	arg = hsm->hook_arg;
	lie = hsm->lie;
	key = find_key(hsm, uri);
	pair = key == NULL || lie != FAKE_OTHER_KEY ? NULL : hsm->other;
	if (pair == NULL && key != NULL)
		pair = key->pair;
	pthread_mutex_unlock(&hsm->lock);
	if (hook != NULL)
		hook(uri, arg);
	if ((code = strike(hsm, &hsm->sign_fault, err)) != ERR_OK)
		return code;
	if (pair == NULL)
		return err_fail(err, ERR_HSM_REFUSED, "fake: no key %s", uri);
	sign_raw(pair, mechanism, data, signature);
	tell_lie(lie, signature, begin);
	pthread_mutex_lock(&hsm->lock);
	hsm->signatures++;
	pthread_mutex_unlock(&hsm->lock);
	return ERR_OK;
}

enum err_code hsm_random(
    struct hsm *hsm, size_t len, struct buf *out, struct err *err)
{
	enum err_code code = answer_away(hsm, err);

	if (code == ERR_OK)
		must(RAND_bytes(buf_extend(out, len), (int)len) == 1, "RAND");
	return code;
}

/* A blob that only this token knows; there is no key behind it. */
enum err_code hsm_kek_new(
    struct hsm *hsm, const char *root, struct buf *blob, struct err *err)
{
	enum err_code code = hsm_check_key(hsm, root, err);

	if (code == ERR_OK)
		buf_put(blob, hsm->id, sizeof(hsm->id));
	return code;
}

static enum err_code check_kek(
    struct hsm *hsm, const struct hsm_kek *kek, struct err *err)
{
	enum err_code code = hsm_check_key(hsm, kek->root, err);

	if (code == ERR_OK && !bytes_equal(kek->blob, BYTES_OF(hsm->id)))
		return err_fail(err, ERR_HSM_REFUSED, "fake: unwrapping");
	return code;
}

/* "Sealed" is the AAD, and then the octets themselves. */
enum err_code hsm_data_key(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, size_t len, struct secret **plaintext_out,
    struct buf *sealed, struct err *err)
{
	OWNED(secret) plaintext = secret_new(len);
	enum err_code code = check_kek(hsm, kek, err);

	if (code != ERR_OK)
		return code;
	must(RAND_bytes(secret_data(plaintext), (int)len) == 1, "RAND_bytes");
	buf_put_lv(sealed, aad);
	buf_put_bytes(sealed, secret_bytes(plaintext));
	*plaintext_out = GIVE(plaintext);
	return ERR_OK;
}

enum err_code hsm_open_sealed(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, struct bytes sealed, struct secret **plaintext_out,
    struct err *err)
{
	struct reader reader = reader_over(sealed);
	struct bytes bound = reader_lv(&reader);
	enum err_code code = check_kek(hsm, kek, err);

	if (code != ERR_OK)
		return code;
	if (reader.failed || reader.left == 0 || !bytes_equal(bound, aad))
		return err_refuse(err, ERR_UNWRAP, "fake: the tag does not fit");
	*plaintext_out = secret_copy(reader.next, reader.left);
	return ERR_OK;
}

enum err_code hsm_check_key(struct hsm *hsm, const char *uri, struct err *err)
{
	enum err_code code = answer_away(hsm, err);
	bool found;

	if (code != ERR_OK)
		return code;
	pthread_mutex_lock(&hsm->lock);
	found = find_key(hsm, uri) != NULL;
	pthread_mutex_unlock(&hsm->lock);
	return found ? ERR_OK
		     : err_fail(err, ERR_HSM_REFUSED, "fake: no key %s", uri);
}

enum err_code hsm_ping(struct hsm *hsm, struct err *err)
{
	return answer_away(hsm, err);
}

void hsm_stats(struct hsm *hsm, struct hsm_stats *stats_out)
{
	*stats_out = (struct hsm_stats){.workers = 1};
	pthread_mutex_lock(&hsm->lock);
	stats_out->operations = hsm->signatures;
	stats_out->breaker_open = hsm->away;
	pthread_mutex_unlock(&hsm->lock);
}

enum err_code hsm_list(
    struct hsm *hsm, struct hsm_object_list **list_out, struct err *err)
{
	struct hsm_object_list *list;
	enum err_code code = answer_away(hsm, err);

	if (code != ERR_OK)
		return code;
	list = mem_zalloc(sizeof(*list));
	list->objects = mem_zalloc_array(KEYS_MAX, sizeof(*list->objects));
	pthread_mutex_lock(&hsm->lock);
	for (; list->count < hsm->count; list->count++) {
		const struct fake_key *key = &hsm->keys[list->count];
		struct hsm_object *object = &list->objects[list->count];

		object->uri = mem_strdup(key->uri);
		object->label = mem_strdup(key->label);
		object->kind = mem_strdup(key->kind);
		object->key_type = mem_strdup(key->key_type);
		object->attributes = HSM_ATTR_TOKEN | HSM_ATTR_PRIVATE |
		    HSM_ATTR_SENSITIVE | HSM_ATTR_LOCAL | HSM_ATTR_SIGN;
	}
	pthread_mutex_unlock(&hsm->lock);
	*list_out = list;
	return ERR_OK;
}

void hsm_object_list_free(struct hsm_object_list *list)
{
	if (list == NULL)
		return;
	for (size_t i = 0; i < list->count; i++) {
		free(list->objects[i].uri);
		free(list->objects[i].label);
		free(list->objects[i].kind);
		free(list->objects[i].key_type);
	}
	free(list->objects);
	free(list);
}

const char *hsm_object_unsafe(const struct hsm_object *object)
{
	return (object->attributes & HSM_ATTR_EXTRACTABLE) != 0
	    ? "is extractable"
	    : NULL;
}
