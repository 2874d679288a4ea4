// SPDX-License-Identifier: Apache-2.0
#include "hsm/ops.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "hsm/frame.h"
#include "hsm/generate.h"
#include "hsm/sign.h"

#define LIST_MAX 4096 /* objects; more do not fit a frame anyway */
#define HMAC_DATA_MAX 4096
#define RANDOM_MAX 1024
#define DATA_KEY_MAX 512

#define BAD_FIELDS(fault)                                                      \
	fault_set((fault), WIRE_BAD_REQUEST, "fields do not parse")

/* A KEK as the request names it. */
struct kek_fields {
	struct bytes root;
	struct bytes blob;
	struct bytes aad;
};

static struct kek_fields read_kek(struct reader *fields)
{
	struct kek_fields kek;

	kek.root = reader_lv(fields);
	kek.blob = reader_lv(fields);
	kek.aad = reader_lv(fields);
	return kek;
}

static enum wire_status load_kek(struct ops *ops, const struct kek_fields *from,
    CK_OBJECT_HANDLE *kek_out, struct fault *fault)
{
	const struct key *root = NULL;
	enum wire_status status =
	    keyring_get(ops->ring, from->root, KEY_WRAP, &root, fault);

	if (status != WIRE_OK)
		return status;
	return kek_load(ops->keks, root, from->blob, kek_out, fault);
}

static enum wire_status op_ping(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	(void)out;
	if (!reader_done(fields))
		return BAD_FIELDS(fault);
	if (token_healthy(ops->token))
		return WIRE_OK;
	/* As any session that is gone: open it again, then ask once more. */
	return fault_ckr(fault, "C_GetSessionInfo", CKR_SESSION_HANDLE_INVALID);
}

static enum wire_status op_list(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	struct template wanted = {.count = 0};
	CK_OBJECT_HANDLE *handles = NULL;
	OWNED_BUF(list);
	struct item object;
	size_t count = 0;
	enum wire_status status;

	if (!reader_done(fields))
		return BAD_FIELDS(fault);
	template_bool(&wanted, CKA_TOKEN, true);
	handles = mem_zalloc_array(LIST_MAX, sizeof(*handles));
	status =
	    item_find(ops->token, &wanted, handles, LIST_MAX, &count, fault);
	for (size_t i = 0; status == WIRE_OK && i < count; i++) {
		status = item_read(ops->token, handles[i], &object, fault);
		if (status == WIRE_OK)
			item_write(ops->token, &object, &list);
	}
	free(handles);
	if (status == WIRE_OK && count == LIST_MAX)
		return fault_set(fault, WIRE_REFUSED,
		    "the token has %d objects or more", LIST_MAX);
	/* Replies with plaintexts may wait in OUT: it grows only wiped. */
	frame_reserve(out, 4 + list.len);
	buf_put_u32(out, (uint32_t)count);
	buf_put_bytes(out, buf_bytes(&list));
	return status;
}

static bool key_type_known(uint8_t type)
{
	return type >= HSM_EC_P256 && type <= HSM_RSA_4096;
}

static enum wire_status op_generate_pair(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	struct generate generate = {
	    ops->token, ops->entropy, reader_lv(fields)};
	const uint8_t type = reader_u8(fields);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);
	enum wire_status status;

	if (!reader_done(fields) || !key_type_known(type))
		return BAD_FIELDS(fault);
	status = generate_pair(
	    &generate, (enum hsm_key_type)type, &uri, &spki, fault);
	if (status != WIRE_OK)
		return status;
	buf_put_lv_str(out, uri);
	buf_put_lv(out, buf_bytes(&spki));
	return WIRE_OK;
}

static enum wire_status op_generate_secret(struct ops *ops,
    struct reader *fields, struct buf *out, struct fault *fault)
{
	struct generate generate = {
	    ops->token, ops->entropy, reader_lv(fields)};
	const uint8_t use = reader_u8(fields);
	OWNED_STR(uri) = NULL;
	enum wire_status status;

	if (!reader_done(fields) || (use != HSM_USE_WRAP && use != HSM_USE_MAC))
		return BAD_FIELDS(fault);
	status =
	    generate_secret(&generate, (enum hsm_secret_use)use, &uri, fault);
	if (status != WIRE_OK)
		return status;
	buf_put_lv_str(out, uri);
	return WIRE_OK;
}

static enum wire_status op_sign(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	const struct bytes uri = reader_lv(fields);
	const uint8_t mechanism = reader_u8(fields);
	const struct bytes data = reader_lv(fields);
	const struct key *key = NULL;
	struct signature signature;
	enum wire_status status;

	if (!reader_done(fields))
		return BAD_FIELDS(fault);
	status = keyring_get(ops->ring, uri, KEY_SIGN, &key, fault);
	if (status == WIRE_OK)
		status = sign_data(
		    ops->token, key, mechanism, data, &signature, fault);
	if (status != WIRE_OK)
		return status;
	buf_put_lv(out, BYTES(signature.data, signature.len));
	return WIRE_OK;
}

static enum wire_status op_hmac(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	const struct bytes uri = reader_lv(fields);
	const struct bytes data = reader_lv(fields);
	const struct key *key = NULL;
	struct signature mac;
	enum wire_status status;

	if (!reader_done(fields) || data.len > HMAC_DATA_MAX)
		return BAD_FIELDS(fault);
	status = keyring_get(ops->ring, uri, KEY_MAC, &key, fault);
	if (status == WIRE_OK)
		status = sign_hmac(ops->token, key, data, &mac, fault);
	if (status != WIRE_OK)
		return status;
	buf_put_lv(out, BYTES(mac.data, mac.len));
	return WIRE_OK;
}

static enum wire_status op_kek_new(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	const struct bytes uri = reader_lv(fields);
	const struct key *root = NULL;
	uint8_t blob[KEK_BLOB_SIZE];
	enum wire_status status;

	if (!reader_done(fields))
		return BAD_FIELDS(fault);
	status = keyring_get(ops->ring, uri, KEY_WRAP, &root, fault);
	if (status == WIRE_OK)
		status = kek_new(ops->keks, root, blob, fault);
	if (status != WIRE_OK)
		return status;
	buf_put_lv(out, BYTES_OF(blob));
	return WIRE_OK;
}

/* A field that is written straight into the reply: its length is set after. */
static size_t lv_begin(struct buf *out)
{
	buf_put_u32(out, 0);
	return out->len;
}

static void lv_end(struct buf *out, size_t start)
{
	const uint32_t len = (uint32_t)(out->len - start);
	uint8_t *at = out->data + start - 4;

	at[0] = (uint8_t)(len >> 24);
	at[1] = (uint8_t)(len >> 16);
	at[2] = (uint8_t)(len >> 8);
	at[3] = (uint8_t)len;
}

/* kek_seal or kek_open. */
typedef enum wire_status kek_function(struct kek_cache *cache,
    CK_OBJECT_HANDLE kek, struct bytes aad, struct bytes in, struct buf *out,
    struct fault *fault);

/* Runs FUNCTION on the last field, its result into the reply. */
static enum wire_status with_kek(struct ops *ops, kek_function *function,
    struct reader *fields, struct buf *out, struct fault *fault)
{
	const struct kek_fields from = read_kek(fields);
	const struct bytes in = reader_lv(fields);
	CK_OBJECT_HANDLE kek = 0;
	enum wire_status status;
	size_t start;

	if (!reader_done(fields))
		return BAD_FIELDS(fault);
	status = load_kek(ops, &from, &kek, fault);
	if (status != WIRE_OK)
		return status;
	start = lv_begin(out);
	status = function(ops->keks, kek, from.aad, in, out, fault);
	lv_end(out, start);
	return status;
}

static enum wire_status op_seal(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	return with_kek(ops, kek_seal, fields, out, fault);
}

static enum wire_status op_open_sealed(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	return with_kek(ops, kek_open, fields, out, fault);
}

static enum wire_status op_data_key(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	const struct kek_fields from = read_kek(fields);
	const size_t len = reader_u16(fields);
	const uint8_t wanted = reader_u8(fields);
	OWNED(secret) key = NULL;
	CK_OBJECT_HANDLE kek = 0;
	enum wire_status status;
	size_t start;

	if (!reader_done(fields) || len == 0 || len > DATA_KEY_MAX ||
	    wanted > 1)
		return BAD_FIELDS(fault);
	status = load_kek(ops, &from, &kek, fault);
	if (status != WIRE_OK)
		return status;
	key = secret_new(len);
	status = entropy_draw(ops->entropy, secret_data(key), len, fault);
	if (status != WIRE_OK)
		return status;
	start = lv_begin(out);
	status =
	    kek_seal(ops->keks, kek, from.aad, secret_bytes(key), out, fault);
	lv_end(out, start);
	buf_put_lv(out, wanted == 1 ? secret_bytes(key) : BYTES(NULL, 0));
	return status;
}

static enum wire_status op_random(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	const size_t len = reader_u16(fields);

	if (!reader_done(fields) || len == 0 || len > RANDOM_MAX)
		return BAD_FIELDS(fault);
	buf_put_u32(out, (uint32_t)len);
	return entropy_draw(ops->entropy, buf_extend(out, len), len, fault);
}

static enum wire_status op_check_key(struct ops *ops, struct reader *fields,
    struct buf *out, struct fault *fault)
{
	const struct bytes uri = reader_lv(fields);
	struct item object;
	enum wire_status status;

	if (!reader_done(fields))
		return BAD_FIELDS(fault);
	status = keyring_check(ops->ring, uri, &object, fault);
	if (status == WIRE_OK)
		item_write(ops->token, &object, out);
	return status;
}

static const struct {
	enum wire_status (*run)(struct ops *ops, struct reader *fields,
	    struct buf *out, struct fault *fault);
	bool once; /* leaves something behind: never done twice */
} table[] = {
    [WIRE_PING] = {op_ping, false},
    [WIRE_LIST] = {op_list, false},
    [WIRE_GENERATE_PAIR] = {op_generate_pair, true},
    [WIRE_GENERATE_SECRET] = {op_generate_secret, true},
    [WIRE_SIGN] = {op_sign, false},
    [WIRE_HMAC] = {op_hmac, false},
    [WIRE_KEK_NEW] = {op_kek_new, false},
    [WIRE_SEAL] = {op_seal, false},
    [WIRE_OPEN_SEALED] = {op_open_sealed, false},
    [WIRE_DATA_KEY] = {op_data_key, false},
    [WIRE_RANDOM] = {op_random, false},
    [WIRE_CHECK_KEY] = {op_check_key, false},
};

/* A loss may meet the second try too, as when a device drops sessions at a rate. */
#define TRIES_MAX 3

enum next { NEXT_ANSWER, NEXT_AGAIN };

/* Makes the token usable again after FAULT, whose status may become graver. */
static enum next mend(struct ops *ops, struct fault *fault)
{
	struct fault worse = {.status = WIRE_OK};

	switch (fault->trouble) {
	case TROUBLE_SESSION:
	case TROUBLE_UNSURE:
		LOG(WARN, "sessions with the token opened again",
		    LOG_STR("cause", fault->text));
		if (token_recover(ops->token, &worse) == WIRE_OK)
			return NEXT_AGAIN;
		*fault = worse;
		break;
	case TROUBLE_CALLER:
		/* The failed operation may still be open in the session. */
		if (!token_renew(ops->token) &&
		    token_recover(ops->token, &worse) != WIRE_OK)
			*fault = worse;
		break;
	case TROUBLE_NONE:
	case TROUBLE_DEVICE:
	case TROUBLE_PIN:
		break;
	}
	return NEXT_ANSWER;
}

enum wire_status ops_run(struct ops *ops, uint8_t op, struct reader fields,
    struct buf *out, struct fault *fault)
{
	const size_t mark = out->len;

	if (op >= ARRAY_LEN(table) || table[op].run == NULL)
		return fault_set(
		    fault, WIRE_BAD_REQUEST, "operation %u is not known", op);
	for (int tries = 1;; tries++) {
		struct reader again = fields;
		enum wire_status status =
		    table[op].run(ops, &again, out, fault);

		if (status == WIRE_OK)
			return WIRE_OK;
		frame_drop(out, mark);
		if (mend(ops, fault) == NEXT_ANSWER || table[op].once ||
		    tries == TRIES_MAX)
			return fault->status;
	}
}
