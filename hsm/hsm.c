// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "hsm/object.h"
#include "hsm/pool.h"

#define DEFAULT_TIMEOUT_MS 10000

/* What the contract in hsm.h allows to cross, in octets. */
enum {
	SIGN_MAX = 128,
	DATA_MAX = 4096,
	RANDOM_MAX = 1024,
	SEAL_OVERHEAD = 12 + 16, /* IV and tag */
	LENGTH_SIZE = 4,
};

/* Room on the stack for most replies; longer ones go to the heap. */
#define SPACE_SIZE 640

struct hsm {
	struct pool *pool;
	_Atomic uint64_t signatures[HSM_SIGN_CLASSES];
	_Atomic uint64_t sign_us;
};

const int64_t hsm_sign_bounds_us[HSM_SIGN_CLASSES - 1] = {50, 100, 250, 500,
    1000, 2500, 5000, 10000, 25000, 100000, 500000, 2500000};

static enum err_code check_options(
    const struct hsm_options *options, struct err *err)
{
	if (options->module == NULL || options->module[0] != '/')
		return err_refuse(err, ERR_CONFIG,
		    "The PKCS#11 module must be given by its absolute path");
	if (options->token == NULL || options->token[0] == '\0')
		return err_refuse(err, ERR_CONFIG,
		    "The token must be named by a PKCS#11 URI (RFC 7512)");
	if (options->pin_file == NULL || options->pin_file[0] == '\0')
		return err_refuse(
		    err, ERR_CONFIG, "The file with the PIN must be given");
	return ERR_OK;
}

struct hsm_options hsm_options_from(const struct config *config)
{
	return (struct hsm_options){
	    .module = config->hsm.module,
	    .token = config->hsm.token,
	    .pin_file = config->hsm.pin_file,
	    .environment = config->hsm.environment,
	    .environment_count = config->hsm.environment_count,
	    .workers = config->hsm.workers,
	    .timeout_ms = config->hsm.timeout * 1000,
	    .sandbox = config->hsm.sandbox,
	};
}

enum err_code hsm_open(const struct hsm_options *options, bool wait,
    struct hsm **hsm_out, struct err *err)
{
	struct hsm_options settled = *options;
	OWNED(hsm) hsm = NULL;
	enum err_code code;

	if ((code = check_options(options, err)) != ERR_OK)
		return code;
	if (settled.timeout_ms <= 0)
		settled.timeout_ms = DEFAULT_TIMEOUT_MS;
	hsm = mem_zalloc(sizeof(*hsm));
	hsm->pool = pool_new(&settled);
	if ((code = pool_start(hsm->pool, err)) != ERR_OK)
		return code;
	if (wait && (code = pool_wait_started(hsm->pool, err)) != ERR_OK)
		return code;
	*hsm_out = GIVE(hsm);
	return ERR_OK;
}

void hsm_close(struct hsm *hsm)
{
	if (hsm == NULL)
		return;
	pool_free(hsm->pool);
	free(hsm);
}

void hsm_stats(struct hsm *hsm, struct hsm_stats *stats_out)
{
	pool_stats(hsm->pool, stats_out);
	for (size_t i = 0; i < HSM_SIGN_CLASSES; i++)
		stats_out->signatures[i] = atomic_load_explicit(
		    &hsm->signatures[i], memory_order_relaxed);
	stats_out->sign_us =
	    atomic_load_explicit(&hsm->sign_us, memory_order_relaxed);
}

/* The label that a request to make a key names. */
static const char *quote_label(const struct call *call)
{
	struct bytes label = call->fields[0].lv;

	return err_quote(label.data, label.len);
}

static enum err_code status_error(const struct call *call, struct err *err)
{
	switch (call->status) {
	case WIRE_OK:
		return ERR_OK;
	case WIRE_BAD_REQUEST:
		return err_fail(err, ERR_INTERNAL,
		    "worker did not understand operation %d: %s",
		    (int)call->op, call->text);
	case WIRE_REFUSED:
		return err_fail(err, ERR_HSM_REFUSED,
		    "operation %d: %s", (int)call->op, call->text);
	case WIRE_NO_KEY:
		return err_fail(err, ERR_HSM_REFUSED,
		    "operation %d: no such key: %s", (int)call->op,
		    call->text);
	case WIRE_EXISTS:
		return err_refuse(err, ERR_EXISTS,
		    "The token already holds an object labelled %s",
		    quote_label(call));
	case WIRE_UNSAFE:
		return err_fail(err, ERR_HSM_KEY_UNSAFE, "%s", call->text);
	case WIRE_UNWRAP:
		/* Elsewhere the KEK's own blob is what does not fit: ours. */
		if (call->op != WIRE_OPEN_SEALED)
			return err_fail(err, ERR_HSM_REFUSED,
			    "KEK does not unwrap: %s", call->text);
		return err_refuse(err, ERR_UNWRAP,
		    "The ciphertext does not open with this key and context");
	case WIRE_DEVICE_GONE:
	case WIRE_PIN:
	case WIRE_CONFIG:
		return err_fail(err, ERR_HSM_UNAVAILABLE, "operation %d: %s",
		    (int)call->op, call->text);
	}
	return err_fail(err, ERR_INTERNAL, "unknown status");
}

static enum err_code run(struct hsm *hsm, struct call *call, struct err *err)
{
	enum err_code code = pool_run(hsm->pool, call, err);

	if (code != ERR_OK)
		return code;
	return status_error(call, err);
}

static enum err_code check_size(
    const char *what, size_t len, size_t max, struct err *err)
{
	if (len <= max)
		return ERR_OK;
	return err_refuse(err, ERR_TOO_LARGE,
	    "%s of %zu octets; the key store takes at most %zu", what, len,
	    max);
}

static enum err_code wrong_length(const struct call *call, struct err *err)
{
	return err_fail(err, ERR_INTERNAL,
	    "reply to operation %d has a wrong length", (int)call->op);
}

/* Runs a call whose reply is one string of octets, not secret, into OUT. */
static enum err_code run_for_octets(
    struct hsm *hsm, struct call *call, struct buf *out, struct err *err)
{
	uint8_t space[SPACE_SIZE];
	OWNED_BUF(spill);
	struct reader reply;
	enum err_code code;

	call->space = space;
	call->room = sizeof(space);
	call->spill = &spill;
	if ((code = run(hsm, call, err)) != ERR_OK)
		return code;
	reply = reader_over(call->reply);
	buf_put_bytes(out, reader_lv(&reply));
	return ERR_OK;
}

#define CALL(op_, fields_)                                                     \
	((struct call){.op = (op_),                                            \
	    .fields = (fields_),                                               \
	    .field_count = ARRAY_LEN(fields_)})

enum err_code hsm_generate_pair(struct hsm *hsm, const char *label,
    enum hsm_key_type type, char **uri_out, struct buf *spki,
    struct err *err)
{
	const struct field fields[] = {F_STR(label), F_U8(type)};
	struct call call = CALL(WIRE_GENERATE_PAIR, fields);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spill);
	struct reader reply;
	enum err_code code;

	call.spill = &spill;
	if ((code = run(hsm, &call, err)) != ERR_OK)
		return code;
	reply = reader_over(call.reply);
	uri = reader_lv_str(&reply);
	if (uri == NULL)
		return wrong_length(&call, err);
	buf_put_bytes(spki, reader_lv(&reply));
	*uri_out = GIVE(uri);
	return ERR_OK;
}

enum err_code hsm_generate_secret(struct hsm *hsm, const char *label,
    enum hsm_secret_use use, char **uri_out, struct err *err)
{
	const struct field fields[] = {F_STR(label), F_U8(use)};
	struct call call = CALL(WIRE_GENERATE_SECRET, fields);
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spill);
	struct reader reply;
	enum err_code code;

	call.spill = &spill;
	if ((code = run(hsm, &call, err)) != ERR_OK)
		return code;
	reply = reader_over(call.reply);
	uri = reader_lv_str(&reply);
	if (uri == NULL)
		return wrong_length(&call, err);
	*uri_out = GIVE(uri);
	return ERR_OK;
}

static void count_signature(struct hsm *hsm, int64_t us)
{
	size_t i = 0;

	while (i < HSM_SIGN_CLASSES - 1 && us > hsm_sign_bounds_us[i])
		i++;
	atomic_fetch_add_explicit(
	    &hsm->signatures[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(
	    &hsm->sign_us, (uint64_t)us, memory_order_relaxed);
}

enum err_code hsm_sign(struct hsm *hsm, const char *uri,
    enum hsm_mechanism mechanism, struct bytes data, struct buf *signature,
    struct err *err)
{
	const struct field fields[] = {
	    F_STR(uri), F_U8(mechanism), F_LV(data)};
	struct call call = CALL(WIRE_SIGN, fields);
	const int64_t begun = clock_mono_us();
	enum err_code code;

	if ((code = check_size("Data to sign", data.len, SIGN_MAX, err)) !=
	    ERR_OK)
		return code;
	code = run_for_octets(hsm, &call, signature, err);
	if (code == ERR_OK)
		count_signature(hsm, clock_mono_us() - begun);
	return code;
}

enum err_code hsm_hmac(struct hsm *hsm, const char *uri, struct bytes data,
    uint8_t mac_out[static 32], struct err *err)
{
	const struct field fields[] = {F_STR(uri), F_LV(data)};
	struct call call = CALL(WIRE_HMAC, fields);
	uint8_t space[LENGTH_SIZE + 32];
	enum err_code code;

	if ((code = check_size("Data for a MAC", data.len, DATA_MAX, err)) !=
	    ERR_OK)
		return code;
	call.space = space;
	call.room = sizeof(space);
	if ((code = run(hsm, &call, err)) != ERR_OK)
		return code;
	if (call.reply.len != sizeof(space))
		return wrong_length(&call, err);
	memcpy(mac_out, space + LENGTH_SIZE, 32);
	return ERR_OK;
}

enum err_code hsm_kek_new(
    struct hsm *hsm, const char *root, struct buf *blob, struct err *err)
{
	const struct field fields[] = {F_STR(root)};
	struct call call = CALL(WIRE_KEK_NEW, fields);

	return run_for_octets(hsm, &call, blob, err);
}

enum err_code hsm_seal(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, struct bytes plaintext, struct buf *sealed,
    struct err *err)
{
	const struct field fields[] = {F_STR(kek->root), F_LV(kek->blob),
	    F_LV(aad), F_LV(plaintext)};
	struct call call = CALL(WIRE_SEAL, fields);
	size_t before = sealed->len;
	enum err_code code;

	if ((code = check_size("Context", aad.len, DATA_MAX, err)) != ERR_OK ||
	    (code = check_size("Plaintext", plaintext.len, DATA_MAX, err)) !=
		ERR_OK)
		return code;
	if ((code = run_for_octets(hsm, &call, sealed, err)) != ERR_OK)
		return code;
	if (sealed->len - before == plaintext.len + SEAL_OVERHEAD)
		return ERR_OK;
	sealed->len = before;
	return wrong_length(&call, err);
}

enum err_code hsm_open_sealed(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, struct bytes sealed, struct secret **plaintext_out,
    struct err *err)
{
	const struct field fields[] = {F_STR(kek->root), F_LV(kek->blob),
	    F_LV(aad), F_LV(sealed)};
	struct call call = CALL(WIRE_OPEN_SEALED, fields);
	OWNED(secret) space = NULL;
	size_t len = sealed.len - SEAL_OVERHEAD;
	enum err_code code;

	if ((code = check_size("Context", aad.len, DATA_MAX, err)) != ERR_OK)
		return code;
	if (sealed.len <= SEAL_OVERHEAD || len > DATA_MAX)
		return err_refuse(err, ERR_UNWRAP,
		    "The ciphertext does not open with this key and context");
	space = secret_new(LENGTH_SIZE + len);
	call.space = secret_data(space);
	call.room = LENGTH_SIZE + len;
	if ((code = run(hsm, &call, err)) != ERR_OK)
		return code;
	if (call.reply.len != LENGTH_SIZE + len)
		return wrong_length(&call, err);
	*plaintext_out = secret_copy(call.reply.data + LENGTH_SIZE, len);
	return ERR_OK;
}

/* Takes apart the reply to a data key: the sealed one, then the plaintext. */
static enum err_code take_data_key(const struct call *call, size_t len,
    struct secret **plaintext_out, struct buf *sealed, struct err *err)
{
	struct reader reply = reader_over(call->reply);
	struct bytes wrapped = reader_lv(&reply);
	struct bytes plaintext = reader_lv(&reply);

	if (wrapped.len != len + SEAL_OVERHEAD ||
	    plaintext.len != (plaintext_out == NULL ? 0 : len))
		return wrong_length(call, err);
	if (plaintext_out != NULL)
		*plaintext_out = secret_copy(plaintext.data, plaintext.len);
	buf_put_bytes(sealed, wrapped);
	return ERR_OK;
}

enum err_code hsm_data_key(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, size_t len, struct secret **plaintext_out,
    struct buf *sealed, struct err *err)
{
	const struct field fields[] = {F_STR(kek->root), F_LV(kek->blob),
	    F_LV(aad), F_U16(len), F_U8(plaintext_out != NULL)};
	struct call call = CALL(WIRE_DATA_KEY, fields);
	uint8_t space[2 * LENGTH_SIZE + RANDOM_MAX + SEAL_OVERHEAD];
	OWNED(secret) locked = NULL;
	enum err_code code;

	if ((code = check_size("Context", aad.len, DATA_MAX, err)) != ERR_OK ||
	    (code = check_size("Data key", len, RANDOM_MAX, err)) != ERR_OK)
		return code;
	call.space = space;
	call.room = LENGTH_SIZE + len + SEAL_OVERHEAD + LENGTH_SIZE;
	if (plaintext_out != NULL) {
		call.room += len;
		locked = secret_new(call.room);
		call.space = secret_data(locked);
	}
	if ((code = run(hsm, &call, err)) != ERR_OK)
		return code;
	return take_data_key(&call, len, plaintext_out, sealed, err);
}

enum err_code hsm_random(
    struct hsm *hsm, size_t len, struct buf *out, struct err *err)
{
	const struct field fields[] = {F_U16(len)};
	struct call call = CALL(WIRE_RANDOM, fields);
	size_t before = out->len;
	enum err_code code;

	if ((code = check_size("Random octets", len, RANDOM_MAX, err)) !=
		ERR_OK ||
	    (code = run_for_octets(hsm, &call, out, err)) != ERR_OK)
		return code;
	if (out->len - before == len)
		return ERR_OK;
	out->len = before;
	return wrong_length(&call, err);
}

enum err_code hsm_list(
    struct hsm *hsm, struct hsm_object_list **list_out, struct err *err)
{
	struct call call = {.op = WIRE_LIST};
	OWNED(hsm_object_list) list = NULL;
	OWNED_BUF(spill);
	struct reader reply;
	enum err_code code;
	uint32_t count;

	call.spill = &spill;
	if ((code = run(hsm, &call, err)) != ERR_OK)
		return code;
	reply = reader_over(call.reply);
	count = reader_u32(&reply); /* as many are there: call.c looked */
	list = mem_zalloc(sizeof(*list));
	list->objects =
	    mem_zalloc_array((size_t)count + 1, sizeof(*list->objects));
	while (list->count < count) {
		struct hsm_object *object = &list->objects[list->count++];

		if (!object_parse(&reply, object))
			return wrong_length(&call, err);
	}
	*list_out = GIVE(list);
	return ERR_OK;
}

enum err_code hsm_check_key(struct hsm *hsm, const char *uri, struct err *err)
{
	const struct field fields[] = {F_STR(uri)};
	struct call call = CALL(WIRE_CHECK_KEY, fields);
	struct hsm_object object = {0};
	OWNED_BUF(spill);
	struct reader reply;
	enum err_code code;
	const char *unsafe;
	bool parsed;

	call.spill = &spill;
	if ((code = run(hsm, &call, err)) != ERR_OK)
		return code;
	reply = reader_over(call.reply);
	parsed = object_parse(&reply, &object);
	unsafe = parsed ? hsm_object_unsafe(&object) : NULL;
	object_clear(&object);
	if (!parsed)
		return wrong_length(&call, err);
	if (unsafe != NULL)
		return err_fail(err, ERR_HSM_KEY_UNSAFE, "key %s %s",
		    err_quote_str(uri), unsafe);
	return ERR_OK;
}

enum err_code hsm_ping(struct hsm *hsm, struct err *err)
{
	struct call call = {.op = WIRE_PING};

	return run(hsm, &call, err);
}
