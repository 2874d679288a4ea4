// SPDX-License-Identifier: Apache-2.0
#include "cli/verifier.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ca/digest.h"
#include "ca/pem.h"
#include "store/audit_json.h"
#include "store/ledger.h"

#define FINGERPRINT_SIZE (7 + 64 + 1)

struct verifier {
	struct ledger *ledger;
	struct buf spki;
	char fingerprint[FINGERPRINT_SIZE];
	char origin[CHECKPOINT_ORIGIN_MAX + 1];
	struct audit_head *wanted; /* sizes rise */
	size_t count, capacity, met;
	uint64_t covered;
};

enum err_code verifier_new(struct verifier **verifier_out, struct err *err)
{
	OWNED(verifier) verifier = mem_zalloc(sizeof(*verifier));
	enum err_code code = ledger_new(&verifier->ledger, err);

	if (code == ERR_OK)
		*verifier_out = GIVE(verifier);
	return code;
}

void verifier_free(struct verifier *verifier)
{
	if (verifier == NULL)
		return;
	ledger_free(verifier->ledger);
	buf_free(&verifier->spki);
	free(verifier->wanted);
	free(verifier);
}

enum err_code verifier_trust(struct verifier *verifier, struct bytes pem,
    const char *fingerprint, struct err *err)
{
	uint8_t digest[32], want[32];
	char hex[65];
	const char *why;

	buf_reset(&verifier->spki);
	if (!pem_parse(pem, "PUBLIC KEY", &verifier->spki, &why))
		return err_refuse(
		    err, ERR_USAGE, "the audit key is no PEM: %s", why);
	digest_sha256(buf_bytes(&verifier->spki), digest);
	memcpy(verifier->fingerprint, "sha256:", 7);
	memcpy(verifier->fingerprint + 7, hex_write(digest, 32, hex), 65);
	if (fingerprint == NULL)
		return ERR_OK;
	if (text_has_prefix(fingerprint, "sha256:"))
		fingerprint += 7;
	if (!hex_parse(fingerprint, want, 32))
		return err_refuse(err, ERR_USAGE,
		    "the fingerprint is not sha256: and 64 hex digits");
	if (memcmp(digest, want, 32) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "the audit key is another one: its fingerprint is %s",
		    verifier->fingerprint);
	return ERR_OK;
}

const char *verifier_fingerprint(const struct verifier *verifier)
{
	return verifier->fingerprint;
}

/* Adds what the log must be, in the order of sizes. */
static enum err_code want(struct verifier *verifier,
    const struct audit_head *head, struct err *err)
{
	size_t at = verifier->count;

	while (at > 0 && verifier->wanted[at - 1].sequence > head->sequence)
		at--;
	if (at > 0 && verifier->wanted[at - 1].sequence == head->sequence) {
		if (memcmp(verifier->wanted[at - 1].hash, head->hash, 32) == 0)
			return ERR_OK;
		return err_fail(err, ERR_CORRUPT,
		    "two roots of the first %llu audit entries contradict "
		    "each other: the log was changed",
		    (unsigned long long)head->sequence);
	}
	if (verifier->count == verifier->capacity) {
		verifier->capacity = verifier->capacity * 2 + 16;
		verifier->wanted = mem_resize(verifier->wanted,
		    verifier->capacity, sizeof(*verifier->wanted));
	}
	memmove(&verifier->wanted[at + 1], &verifier->wanted[at],
	    (verifier->count - at) * sizeof(*verifier->wanted));
	verifier->wanted[at] = *head;
	verifier->count++;
	return ERR_OK;
}

enum err_code verifier_expect_head(struct verifier *verifier,
    const struct audit_head *head, struct err *err)
{
	return want(verifier, head, err);
}

enum err_code verifier_expect(struct verifier *verifier, struct bytes note,
    struct checkpoint *checkpoint_out, struct err *err)
{
	struct checkpoint checkpoint;
	struct audit_head head;
	enum err_code code = checkpoint_check(
	    note, buf_bytes(&verifier->spki), &checkpoint, err);

	if (code != ERR_OK)
		return code;
	if (verifier->origin[0] == '\0')
		memcpy(verifier->origin, checkpoint.origin,
		    sizeof(verifier->origin));
	if (strcmp(verifier->origin, checkpoint.origin) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "checkpoint of %llu entries: of another log, %s",
		    (unsigned long long)checkpoint.size, checkpoint.origin);
	head.sequence = checkpoint.size;
	memcpy(head.hash, checkpoint.root, sizeof(head.hash));
	if (checkpoint.size > verifier->covered)
		verifier->covered = checkpoint.size;
	if (checkpoint_out != NULL)
		*checkpoint_out = checkpoint;
	return want(verifier, &head, err);
}

static enum err_code meet(struct verifier *verifier, struct err *err)
{
	uint64_t size = ledger_size(verifier->ledger);
	struct audit_head have;
	uint64_t before = verifier->met == 0
			      ? 0
			      : verifier->wanted[verifier->met - 1].sequence;

	if (verifier->met == verifier->count ||
	    verifier->wanted[verifier->met].sequence != size)
		return ERR_OK;
	ledger_head(verifier->ledger, &have);
	if (memcmp(have.hash, verifier->wanted[verifier->met].hash, 32) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "audit entries %llu to %llu are not those that the "
		    "checkpoint of %llu entries covers: one of them was "
		    "changed, or the log was forked",
		    (unsigned long long)before + 1, (unsigned long long)size,
		    (unsigned long long)size);
	verifier->met++;
	return ERR_OK;
}

enum err_code verifier_entry(
    struct verifier *verifier, json_t *json, struct err *err)
{
	struct audit_entry entry;
	uint8_t leaf[32];
	enum err_code code = audit_from_json(json, &entry, leaf, err);

	if (code != ERR_OK) {
		OWNED_STR(why) = mem_strdup(err->detail);

		err_clear(err);
		return err_fail(err, ERR_CORRUPT,
		    "audit entry %llu is malformed: %s",
		    (unsigned long long)ledger_size(verifier->ledger) + 1, why);
	}
	code = ledger_follow_entry(verifier->ledger, &entry, leaf, err);
	return code == ERR_OK ? meet(verifier, err) : code;
}

enum err_code verifier_end(struct verifier *verifier, struct err *err)
{
	uint64_t size = ledger_size(verifier->ledger);
	uint64_t before = verifier->met == 0
			      ? 0
			      : verifier->wanted[verifier->met - 1].sequence;

	if (verifier->met == verifier->count)
		return ERR_OK;
	return err_fail(err, ERR_CORRUPT,
	    "audit entry %llu is missing, or one from %llu on was dropped: the "
	    "log was cut or rolled back, for a checkpoint covers %llu entries",
	    (unsigned long long)size + 1, (unsigned long long)before + 1,
	    (unsigned long long)verifier->wanted[verifier->count - 1].sequence);
}

void verifier_head(
    const struct verifier *verifier, struct audit_head *head_out)
{
	ledger_head(verifier->ledger, head_out);
}

uint64_t verifier_covered(const struct verifier *verifier)
{
	return verifier->covered;
}
