// SPDX-License-Identifier: Apache-2.0
#include "ca/authority.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/digest.h"
#include "ca/inside.h"
#include "ca/tbs.h"

/* As far back as a profile may date a certificate, so that none seems older than
 * its issuer. */
#define BACKDATE 86400
#define KEY_ID_SIZE 20

static const char *profile_of(enum issuer_kind kind)
{
	switch (kind) {
	case ISSUER_ROOT:
		return "root-ca";
	case ISSUER_ISSUING:
		return "issuing-ca";
	case ISSUER_SERVICES:
		return "services-ca";
	}
	abort();
}

static enum err_code make_names(const struct authority_order *order,
    const struct signer *own, struct names **names_out, struct err *err)
{
	OWNED(names) names = names_new();
	char digits[9];
	OWNED_STR(cn) = mem_printf("%s %s", order->title,
	    hex_write(signer_key_id(own), 4, digits));
	enum err_code code = names_set_cn(names, bytes_str(cn), err);

	if (code == ERR_OK)
		*names_out = GIVE(names);
	return code;
}

static enum err_code new_record(const struct authority_order *order,
    const struct signer *own, struct certificate **record_out,
    struct err *err)
{
	OWNED(certificate) record = mem_zalloc(sizeof(*record));
	int64_t now = clock_now();
	enum err_code code;

	code = serial_draw(order->node, now, &record->serial, err);
	if (code != ERR_OK ||
	    (code = make_names(order, own, &record->names, err)) != ERR_OK)
		return code;
	record->state = CERTIFICATE_VALID;
	record->issuer = mem_strdup(
	    order->parent == NULL ? order->id : order->parent->id);
	record->profile = mem_strdup(profile_of(order->kind));
	record->requester = mem_strdup(order->requester);
	record->created = now;
	record->not_before = now - BACKDATE;
	record->not_after = now + order->validity - 1;
	if (order->parent != NULL &&
	    record->not_after > order->parent->not_after)
		record->not_after = order->parent->not_after;
	record->renew_after = issue_renew_after(
	    &record->serial, record->not_before, record->not_after);
	digest_sha256(order->spki, record->spki_hash);
	*record_out = GIVE(record);
	return ERR_OK;
}

static enum err_code write_tbs(const struct authority_order *order,
    const struct certificate *record, struct buf *tbs, struct err *err)
{
	const struct issuer *parent = order->parent;
	struct tbs_spec spec = {
	    .serial = serial_bytes(&record->serial),
	    .subject_spki = order->spki,
	    .organization = order->organization,
	    .names = record->names,
	    .not_before = record->not_before,
	    .not_after = record->not_after,
	    .key_usage = USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
	    .is_ca = true,
	    .path_len = 0};
	OWNED_STR(crl) = mem_printf("%s/crl/%s.crl", order->public_url,
	    parent->id);
	OWNED_STR(cer) = mem_printf("%s/ca/%s.cer", order->public_url,
	    parent->id);

	spec.algorithm = signer_algorithm(parent->signer);
	spec.issuer_name = BYTES(parent->subject, parent->subject_len);
	spec.issuer_key_id = BYTES(signer_key_id(parent->signer), KEY_ID_SIZE);
	spec.crl_url = crl;
	spec.issuer_url = cer;
	return tbs_write(&spec, tbs, err);
}

static enum err_code write_root_tbs(const struct authority_order *order,
    const struct certificate *record, const struct signer *own,
    struct buf *tbs, struct err *err)
{
	OWNED_BUF(name);

	tbs_write_name(order->organization, record->names->common_name, &name);
	return tbs_write(&(struct tbs_spec){
	    .serial = serial_bytes(&record->serial),
	    .algorithm = signer_algorithm(own),
	    .issuer_name = buf_bytes(&name),
	    .subject_spki = order->spki,
	    .organization = order->organization,
	    .names = record->names,
	    .not_before = record->not_before,
	    .not_after = record->not_after,
	    .key_usage = USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
	    .is_ca = true,
	    .path_len = -1}, tbs, err);
}

static enum err_code new_issuer(const struct authority_order *order,
    const struct certificate *record, struct issuer **issuer_out,
    struct err *err)
{
	OWNED(issuer) issuer = mem_zalloc(sizeof(*issuer));
	enum err_code code;

	issuer->id = mem_strdup(order->id);
	issuer->kind = order->kind;
	issuer->state = ISSUER_ACTIVE;
	issuer->key_uri = mem_strdup(order->key_uri);
	if (order->parent != NULL)
		issuer->parent = mem_strdup(order->parent->id);
	issuer->not_before = record->not_before;
	issuer->not_after = record->not_after;
	issuer->der_len = record->der_len;
	issuer->der = mem_zalloc(record->der_len);
	memcpy(issuer->der, record->der, record->der_len);
	if ((code = issuer_derive(issuer, NULL, err)) != ERR_OK)
		return code;
	*issuer_out = GIVE(issuer);
	return ERR_OK;
}

enum err_code authority_certify(const struct authority_order *order,
    struct issuer **issuer_out, struct certificate **record_out,
    struct err *err)
{
	OWNED(certificate) record = NULL;
	OWNED(issuer) issuer = NULL;
	OWNED(signer) own = NULL;
	OWNED_BUF(tbs);
	enum err_code code;

	code = signer_new(order->hsm, order->key_uri, order->spki, &own, err);
	if (code != ERR_OK ||
	    (code = new_record(order, own, &record, err)) != ERR_OK)
		return code;
	code = order->parent == NULL
	    ? write_root_tbs(order, record, own, &tbs, err)
	    : write_tbs(order, record, &tbs, err);
	if (code != ERR_OK)
		return code;
	digest_sha256(buf_bytes(&tbs), record->tbs_hash);
	code = issue_sign(order->parent == NULL ? own : order->parent->signer,
	    buf_bytes(&tbs), record, err);
	if (code != ERR_OK ||
	    (code = new_issuer(order, record, &issuer, err)) != ERR_OK)
		return code;
	issuer->signer = GIVE(own);
	*issuer_out = GIVE(issuer);
	*record_out = GIVE(record);
	return ERR_OK;
}
