// SPDX-License-Identifier: Apache-2.0
#include "ca/notary.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/ceremony.h"
#include "ca/node.h"
#include "ca/signer.h"

#define META_KEY_SPKI "audit-key-spki"	/* base64 */
#define ORIGIN_BEGINS "signet.audit/"
#define ORIGIN_OCTETS 16

struct notary {
	struct signer *signer;
	char *origin;
	uint8_t node;
};

enum err_code notary_record(struct batch *batch, const char *uri,
    struct bytes spki, struct err *err)
{
	uint8_t octets[ORIGIN_OCTETS];
	OWNED_STR(name) = NULL;
	OWNED_STR(origin) = NULL;
	OWNED_STR(key) = NULL;
	OWNED_BUF(text);

	if (RAND_bytes(octets, sizeof(octets)) != 1)
		return err_fail_crypto(err, "drawing the name of the log");
	name = hex_new(octets, sizeof(octets));
	origin = mem_printf(ORIGIN_BEGINS "%s", name);
	base64_put(&text, spki);
	key = buf_to_str(&text);
	meta_put_text(batch, META_AUDIT_LOG, origin);
	meta_put_text(batch, META_AUDIT_KEY_URI, uri);
	meta_put_text(batch, META_KEY_SPKI, key);
	return ERR_OK;
}

enum err_code notary_make(
    struct store *store, struct hsm *hsm, struct err *err)
{
	OWNED(batch) batch = batch_new();
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);
	enum err_code code = hsm_generate_pair(
	    hsm, LABEL_AUDIT, HSM_EC_P256, &uri, &spki, err);

	if (code == ERR_EXISTS) {
		err_clear(err);
		return err_refuse(err, ERR_EXISTS,
		    "the token has a key \"" LABEL_AUDIT "\" that this store "
		    "does not know: if no other store uses it, remove it with "
		    "pkcs11-tool --login --delete-object --type privkey "
		    "--label " LABEL_AUDIT " (and --type pubkey)");
	}
	if (code != ERR_OK)
		return code;
	batch_audit(batch,
	    &(struct audit_entry){.action = "audit.key",
		.result = "granted",
		.actor = "system",
		.source = "local",
		.object = uri});
	code = notary_record(batch, uri, buf_bytes(&spki), err);
	return code == ERR_OK ? store_commit(store, batch, err) : code;
}

enum err_code notary_find_key(
    struct store *store, struct buf *spki, struct err *err)
{
	OWNED_STR(text) = NULL;
	enum err_code code = meta_get_text(store, META_KEY_SPKI, &text, err);

	buf_reset(spki);
	if (code == ERR_OK && !base64_parse(bytes_str(text), spki))
		return err_fail(
		    err, ERR_CORRUPT, "the audit key does not decode");
	return code;
}

static enum err_code read_node(
    struct store *store, uint8_t *node_out, struct err *err)
{
	OWNED(batch) batch = batch_new();
	enum err_code code = node_get(store, batch, node_out, err);

	/* A store that is only read has its node already. */
	return code == ERR_OK && !batch_is_empty(batch)
	    ? store_commit(store, batch, err) : code;
}

enum err_code notary_open(struct store *store, struct hsm *hsm,
    struct notary **notary_out, struct err *err)
{
	OWNED(notary) notary = mem_zalloc(sizeof(*notary));
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);
	enum err_code code;

	if ((code = meta_get_text(store, META_AUDIT_KEY_URI, &uri, err)) != ERR_OK ||
	    (code = meta_get_text(store, META_AUDIT_LOG, &notary->origin, err)) !=
		ERR_OK ||
	    (code = notary_find_key(store, &spki, err)) != ERR_OK ||
	    (code = read_node(store, &notary->node, err)) != ERR_OK ||
	    (code = signer_new(hsm, uri, buf_bytes(&spki), &notary->signer,
		 err)) != ERR_OK)
		return code;
	*notary_out = GIVE(notary);
	return ERR_OK;
}

void notary_close(struct notary *notary)
{
	if (notary == NULL)
		return;
	signer_free(notary->signer);
	free(notary->origin);
	free(notary);
}

const char *notary_origin(const struct notary *notary)
{
	return notary->origin;
}

struct bytes notary_spki(const struct notary *notary)
{
	return signer_spki(notary->signer);
}

enum err_code notary_sign(struct notary *notary, const struct audit_head *head,
    struct buf *note, struct err *err)
{
	struct checkpoint checkpoint = {.size = head->sequence,
	    .time_ms = clock_now_ms(),
	    .node = notary->node};
	OWNED_BUF(signature);
	enum err_code code;

	if (strlen(notary->origin) > CHECKPOINT_ORIGIN_MAX)
		return err_fail(err, ERR_CORRUPT, "the log's name is too long");
	memcpy(checkpoint.origin, notary->origin, strlen(notary->origin));
	memcpy(checkpoint.root, head->hash, sizeof(checkpoint.root));
	buf_reset(note);
	checkpoint_put_text(note, &checkpoint);
	code = signer_signature(
	    notary->signer, buf_bytes(note), &signature, err);
	if (code != ERR_OK)
		return code;
	return checkpoint_put_signature(note, notary->origin,
	    notary_spki(notary), buf_bytes(&signature), err);
}

enum err_code notary_checkpoint(
    struct store *store, struct hsm *hsm, struct err *err)
{
	OWNED(notary) notary = NULL;
	OWNED(batch) batch = batch_new();
	OWNED_BUF(note);
	struct audit_head head;
	enum err_code code;

	if ((code = notary_open(store, hsm, &notary, err)) != ERR_OK ||
	    (code = audit_head(store, &head, err)) != ERR_OK ||
	    (code = notary_sign(notary, &head, &note, err)) != ERR_OK ||
	    (code = checkpoint_put(store, batch, head.sequence,
		 buf_bytes(&note), err)) != ERR_OK)
		return code;
	return store_commit(store, batch, err);
}
