// SPDX-License-Identifier: Apache-2.0
#include "ca/inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ca/digest.h"
#include "ca/tbs.h"
#include "store/alias.h"
#include "store/audit.h"

#define DIGEST_OCTETS 32
#define CLOSE_TRIES 64
/* Another process on the same store does not wake us. */
#define LOOK_AGAIN_MS 200

/* ---- the same request again ---- */

/*
 * CERTS_BY_REQUEST tells the last serial that a request was given.  Whether that
 * one is being issued, was issued, or came to nothing, its intent and its record
 * tell, so the row needs no change when the outcome is there.
 */
struct repeat {
	enum { REPEAT_NONE, REPEAT_PENDING, REPEAT_FOUND } state;
	uint64_t revision;		/* of the row; 0: there is none */
	struct certificate *found;	/* owned */
};

/* Keyed: whoever knows the public key could try names otherwise. */
static void digest_request(struct store *store,
    const struct issue_order *order, uint8_t out[static DIGEST_OCTETS])
{
	OWNED_BUF(text);

	buf_put_lv_str(
	    &text, order->cluster == NULL ? NULL : order->cluster->name);
	buf_put_lv_str(&text, order->issuer);
	buf_put_lv_str(&text, order->profile);
	buf_put(&text, order->request->spki_hash, 32);
	names_write(order->decision->names, &text);
	alias_digest(store, buf_bytes(&text), out);
}

static enum err_code read_row(struct store *store, struct bytes digest,
    struct serial *serial_out, uint64_t *revision_out, struct err *err)
{
	OWNED_BUF(value);
	struct reader in;
	enum err_code code;
	uint8_t version;
	bool found;

	*revision_out = 0;
	code = store_find(store, TABLE_CERTS_BY_REQUEST, digest, &value,
	    revision_out, &found, err);
	if (code != ERR_OK || !found)
		return code;
	in = reader_over(buf_bytes(&value));
	version = reader_u8(&in);
	if (!serial_read(reader_take(&in, in.left), serial_out) ||
	    version != REPEAT_VERSION)
		return err_fail(err, ERR_CORRUPT,
		    "row of a repeated request does not decode");
	return ERR_OK;
}

static bool answers_again(
    const struct certificate *record, int64_t now, int64_t window)
{
	return record != NULL && record->state == CERTIFICATE_VALID &&
	    record->der != NULL &&
	    now <= record->not_after && now - record->created <= window;
}

/* The intent is looked for first: a commit moves it to the certificates, so one
 * that is in neither table, looked at in this order, came to nothing. */
static enum err_code look_up(struct ca *ca, struct bytes digest,
    struct repeat *repeat, struct err *err)
{
	OWNED(certificate) intent = NULL;
	OWNED(certificate) record = NULL;
	struct serial serial;
	enum err_code code;

	*repeat = (struct repeat){.state = REPEAT_NONE};
	code = read_row(
	    ca_store(ca), digest, &serial, &repeat->revision, err);
	if (code != ERR_OK || repeat->revision == 0)
		return code;
	code = intent_find(ca_store(ca), &serial, &intent, err);
	if (code != ERR_OK)
		return code;
	if (intent != NULL) {
		repeat->state = REPEAT_PENDING;
		return ERR_OK;
	}
	code = certificate_find(ca_store(ca), &serial, &record, err);
	if (code == ERR_OK &&
	    answers_again(record, clock_now(),
		ca_config(ca)->repeat_window)) {
		repeat->state = REPEAT_FOUND;
		repeat->found = GIVE(record);
	}
	return code;
}

enum err_code ca_find_repeat(struct ca *ca, const struct issue_order *order,
    struct certificate **found_out, struct err *err)
{
	int64_t until = clock_mono_ms() +
	    ca_config(ca)->limits.request_timeout * 1000;
	uint8_t digest[DIGEST_OCTETS];
	struct repeat repeat;

	*found_out = NULL;
	digest_request(ca_store(ca), order, digest);
	for (;;) {
		uint64_t seen = ca_outcomes(ca);
		enum err_code code =
		    look_up(ca, BYTES_OF(digest), &repeat, err);

		if (code != ERR_OK)
			return code;
		if (repeat.state != REPEAT_PENDING) {
			*found_out = repeat.found;
			return ERR_OK;
		}
		if (clock_mono_ms() >= until)
			return err_fail(err, ERR_DEADLINE,
			    "the same request is still being issued");
		ca_wait_for_outcome(ca, seen, LOOK_AGAIN_MS);
	}
}

/* ---- one issuance ---- */

struct issuance {
	struct ca *ca;
	const struct issue_order *order;
	const struct issuer *issuer;
	uint8_t digest[DIGEST_OCTETS];	/* of the request */
	struct certificate *record;
};

int64_t issue_renew_after(
    const struct serial *serial, int64_t created, int64_t not_after)
{
	const uint8_t *last = serial->octets + serial->len - 2;
	int64_t life = not_after - created + 1;
	int64_t draw = (last[0] << 8 | last[1]) - 0x8000;

	return created + life * 2 / 3 + life * 3 / 100 * draw / 0x8000;
}

static char *copy_text(const char *text)
{
	return text == NULL ? NULL : mem_strdup(text);
}

static enum err_code new_record(struct issuance *it, struct err *err)
{
	const struct issue_order *order = it->order;
	struct certificate *record = mem_zalloc(sizeof(*record));
	enum err_code code;

	it->record = record;
	record->created = clock_now();
	code = serial_draw(
	    ca_node(it->ca), record->created, &record->serial, err);
	if (code != ERR_OK)
		return code;
	record->state = CERTIFICATE_VALID;
	record->issuer = mem_strdup(it->issuer->id);
	if (order->cluster != NULL)
		record->cluster = mem_strdup(order->cluster->name);
	record->profile = mem_strdup(order->profile);
	record->policy = copy_text(order->policy);
	record->requester = mem_strdup(order->requester);
	record->roles = order->roles;
	record->not_before = order->decision->not_before;
	record->not_after = order->decision->not_after;
	record->renew_after = issue_renew_after(
	    &record->serial, record->created, record->not_after);
	memcpy(record->spki_hash, order->request->spki_hash, 32);
	if (order->token_id != NULL)
		memcpy(record->token_id, order->token_id, TOKEN_ID_SIZE);
	if (order->identity != NULL)
		memcpy(record->identity, order->identity, IDENTITY_ID_SIZE);
	record->names = names_copy(order->decision->names);
	return ERR_OK;
}

static enum err_code write_tbs(
    const struct issuance *it, struct buf *tbs, struct err *err)
{
	const struct issuer *issuer = it->issuer;
	const struct decision *decision = it->order->decision;
	const char *base = ca_config(it->ca)->public_url;
	OWNED_STR(crl) = mem_printf("%s/crl/%s.crl", base, issuer->id);
	OWNED_STR(ocsp) = mem_printf("%s/ocsp", base);
	OWNED_STR(cer) = mem_printf("%s/ca/%s.cer", base, issuer->id);
	enum err_code code;

	code = tbs_write(&(struct tbs_spec){
	    .serial = serial_bytes(&it->record->serial),
	    .algorithm = signer_algorithm(issuer->signer),
	    .issuer_name = BYTES(issuer->subject, issuer->subject_len),
	    .issuer_key_id = BYTES(signer_key_id(issuer->signer), 20),
	    .subject_spki = BYTES(it->order->request->spki,
		it->order->request->spki_len),
	    .names = decision->names,
	    .not_before = decision->not_before,
	    .not_after = decision->not_after,
	    .key_usage = decision->key_usage,
	    .ext_usage = decision->ext_usage,
	    .path_len = -1,
	    .ocsp_nocheck = (decision->ext_usage & EKU_OCSP_SIGNING) != 0,
	    .crl_url = crl, .ocsp_url = ocsp, .issuer_url = cer}, tbs, err);
	if (code == ERR_OK)
		digest_sha256(buf_bytes(tbs), it->record->tbs_hash);
	return code;
}

static enum err_code commit_intent(
    struct issuance *it, struct batch *batch, struct err *err)
{
	struct bytes key = BYTES_OF(it->digest);
	OWNED_BUF(row);
	struct repeat repeat;
	enum err_code code = look_up(it->ca, key, &repeat, err);

	if (code != ERR_OK)
		return code;
	certificate_free(repeat.found);
	if (repeat.state != REPEAT_NONE)
		return err_refuse(err, ERR_CONFLICT,
		    "the same request is being answered, or was just now");
	buf_put_u8(&row, REPEAT_VERSION);
	buf_put_bytes(&row, serial_bytes(&it->record->serial));
	batch_put(batch, TABLE_CERTS_BY_REQUEST, key, buf_bytes(&row));
	if (repeat.revision == 0)
		batch_require_absent(batch, TABLE_CERTS_BY_REQUEST, key);
	else
		batch_require_revision(
		    batch, TABLE_CERTS_BY_REQUEST, key, repeat.revision);
	intent_put(batch, it->record);
	return store_commit(ca_store(it->ca), batch, err);
}

enum err_code issue_sign(struct signer *signer, struct bytes tbs,
    struct certificate *record, struct err *err)
{
	OWNED_BUF(der);
	struct buf given;
	enum err_code code =
	    signer_sign(signer, tbs, BYTES(NULL, 0), &der, err);

	if (code != ERR_OK)
		return code;
	given = buf_give(&der);
	record->der = given.data;
	record->der_len = given.len;
	return ERR_OK;
}

char *issue_terms(const struct certificate *record)
{
	char until[CLOCK_TEXT_SIZE];

	return mem_printf("profile %s, issuer %s, valid until %s",
	    record->profile, record->issuer,
	    clock_format(record->not_after, until));
}

void issue_audit(struct batch *batch, const struct certificate *record,
    const char *source, const char *rule, const char *request_id)
{
	OWNED_STR(serial) = serial_format(&record->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	OWNED_STR(detail) = issue_terms(record);

	batch_audit(batch, &(struct audit_entry){
	    .action = "certificate.issue", .result = "granted",
	    .actor = record->requester, .source = source,
	    .cluster = record->cluster, .object = object, .rule = rule,
	    .request_id = request_id, .detail = detail});
}

static enum err_code commit_result(struct issuance *it, struct err *err)
{
	OWNED(batch) batch = batch_new();

	certificate_put(batch, it->record);
	intent_delete(batch, &it->record->serial);
	issue_audit(batch, it->record, it->order->source,
	    it->order->decision->rule, it->order->request_id);
	return store_commit(ca_store(it->ca), batch, err);
}

static enum err_code close_once(struct issuance *it, bool keep,
    const char *reason, bool *gone, struct err *err)
{
	OWNED(certificate) intent = NULL;
	OWNED(batch) batch = batch_new();
	struct store *store = ca_store(it->ca);
	enum err_code code =
	    intent_find(store, &it->record->serial, &intent, err);

	*gone = code == ERR_OK && intent == NULL;
	if (code != ERR_OK || *gone)
		return code;
	code = settle_intent(store, batch, intent, keep, reason, err);
	if (code != ERR_OK)
		return code;
	batch_delete(batch, TABLE_CERTS_BY_REQUEST, BYTES_OF(it->digest));
	return store_commit(store, batch, err);
}

/*
 * What a failure behind the intent leaves: nothing where the token did not sign,
 * else the serial as unresolved.  A conflict comes from other uses of the same
 * token; an intent that is gone was settled by somebody, or its result was
 * committed after all.
 */
static void close_intent(
    struct issuance *it, bool keep, const char *reason)
{
	struct err err;
	enum err_code code = ERR_CONFLICT;
	bool gone = false;

	for (int i = 0; i < CLOSE_TRIES && code == ERR_CONFLICT; i++)
		code = close_once(it, keep, reason, &gone, &err);
	if (code != ERR_OK)
		log_err(LOG_ERROR, "intent left for the next start", &err);
	else if (keep && !gone)
		ca_revoked(it->ca, it->issuer->id);
}

/* From the committed intent to the committed certificate. */
static enum err_code sign_and_commit(
    struct issuance *it, struct bytes tbs, struct err *err)
{
	enum err_code code =
	    issue_sign(it->issuer->signer, tbs, it->record, err);

	if (code != ERR_OK) {
		close_intent(it, code == ERR_DEADLINE || code == ERR_CORRUPT,
		    err_slug(code));
		return code;
	}
	code = commit_result(it, err);
	if (code != ERR_OK)
		close_intent(it, true, err_slug(code));
	return code;
}

/* An issuer that signs only CRLs still answers for what it has issued, so its
 * OCSP responder is renewed. */
static bool may_issue(
    const struct issuer *issuer, const struct decision *decision)
{
	if (issuer->signer == NULL)
		return false;
	switch (issuer->state) {
	case ISSUER_ACTIVE:
		return true;
	case ISSUER_CRL_ONLY:
		return decision->ext_usage == EKU_OCSP_SIGNING;
	case ISSUER_RETIRED:
		break;
	}
	return false;
}

static enum err_code check_issuer(
    const struct issuance *it, const char *id, struct err *err)
{
	if (it->issuer == NULL)
		return err_refuse(err, ERR_NOT_FOUND,
		    "there is no issuer \"%s\"", err_quote_str(id));
	if (!may_issue(it->issuer, it->order->decision))
		return err_refuse(err, ERR_POLICY,
		    "issuer \"%s\" does not issue certificates",
		    err_quote_str(id));
	if (it->order->decision->not_after > it->issuer->not_after)
		return err_fail(err, ERR_INTERNAL,
		    "certificate would outlive its issuer %s", id);
	return ERR_OK;
}

static enum err_code issue(
    struct issuance *it, struct batch *intent, struct err *err)
{
	OWNED_BUF(tbs);
	enum err_code code;

	if ((code = check_issuer(it, it->order->issuer, err)) != ERR_OK ||
	    (code = new_record(it, err)) != ERR_OK)
		return code;
	buf_reserve(&tbs, 1024);
	if ((code = write_tbs(it, &tbs, err)) != ERR_OK ||
	    (code = commit_intent(it, intent, err)) != ERR_OK)
		return code;
	code = sign_and_commit(it, buf_bytes(&tbs), err);
	ca_tell_outcome(it->ca);
	return code;
}

enum err_code ca_issue(struct ca *ca, const struct issue_order *order,
    struct batch *intent, struct certificate **certificate_out,
    struct err *err)
{
	OWNED(issuer_set) set = ca_issuers(ca);
	OWNED(certificate) record = NULL;
	struct issuance it = {.ca = ca, .order = order,
	    .issuer = issuer_set_find(set, order->issuer)};
	enum err_code code;

	digest_request(ca_store(ca), order, it.digest);
	code = issue(&it, intent, err);
	record = it.record;
	if (code != ERR_OK)
		return code;
	record->revision = 1;
	*certificate_out = GIVE(record);
	return ERR_OK;
}
