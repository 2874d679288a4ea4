// SPDX-License-Identifier: Apache-2.0
/* What each action of the audit log took away, taken away again. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/crl.h"
#include "ca/replay_inside.h"
#include "policies/cluster.h"
#include "policies/token.h"

static enum err_code fail(const struct audit_entry *entry, struct err *err)
{
	return err_fail(err, ERR_CORRUPT,
	    "audit entry %llu, %s, does not tell what it was about",
	    (unsigned long long)entry->sequence, entry->action);
}

/* ---- reading what entries tell ---- */

static const char *behind(const char *text, const char *prefix)
{
	if (text == NULL || !text_has_prefix(text, prefix))
		return NULL;
	return text + strlen(prefix);
}

static bool read_object_serial(
    const struct audit_entry *entry, struct serial *serial_out)
{
	const char *hex = behind(entry->object, "serial:");

	return hex != NULL && serial_parse(hex, serial_out);
}

static bool read_id(
    const char *object, const char *prefix, uint8_t *id_out, size_t size)
{
	const char *hex = behind(object, prefix);

	return hex != NULL && hex_parse(hex, id_out, size);
}

/* The text between the one prefix and the other, as issue_terms wrote it. */
static char *take_between(
    const char **text, const char *prefix, const char *until)
{
	const char *from = *text == NULL ? NULL : behind(*text, prefix);
	const char *to = from == NULL ? NULL : strstr(from, until);

	*text = to;
	return to == NULL ? NULL : mem_strndup(from, (size_t)(to - from));
}

static bool read_until(const char *text, int64_t *until_out)
{
	const char *from = behind(text, ", valid until ");
	OWNED_STR(until) = NULL;

	if (from == NULL)
		return false;
	until = mem_strndup(from, strcspn(from, ";"));
	return clock_parse(until, until_out);
}

static bool read_terms(const char *text, struct certificate *record)
{
	record->profile = take_between(&text, "profile ", ", issuer ");
	record->issuer = take_between(&text, ", issuer ", ", valid until ");
	return text != NULL && text_is_label(record->issuer) &&
	       read_until(text, &record->not_after);
}

/* ---- certificates ---- */

/* One that nobody here has: what the entry tells of it. */
static bool read_told(
    const struct audit_entry *entry, struct certificate *record)
{
	int64_t then = entry->time_ms / 1000;

	if (!read_terms(entry->detail, record) || entry->actor == NULL)
		return false;
	if (entry->cluster != NULL)
		record->cluster = mem_strdup(entry->cluster);
	record->requester = mem_strdup(entry->actor);
	record->names = names_new();
	record->created = then;
	record->not_before =
	    then < record->not_after ? then : record->not_after;
	return true;
}

/* Of an intent that the backup holds, all but the certificate is known. */
static enum err_code read_record(struct replay *replay,
    const struct audit_entry *entry, const struct serial *serial,
    struct certificate **record_out, struct err *err)
{
	OWNED(certificate) record = NULL;
	enum err_code code = intent_find(replay->store, serial, &record, err);

	if (code != ERR_OK)
		return code;
	if (record != NULL) {
		intent_delete(replay->batch, serial);
		record->revision = 0;
	} else {
		record = mem_zalloc(sizeof(*record));
		record->serial = *serial;
		if (!read_told(entry, record))
			return fail(entry, err);
	}
	record->renew_after = 0;
	*record_out = GIVE(record);
	return ERR_OK;
}

/* The one use of its token that it took; an intent has taken it already. */
static enum err_code spend(
    struct replay *replay, const struct audit_entry *entry, struct err *err)
{
	OWNED(token) token = NULL;
	uint8_t id[TOKEN_ID_SIZE];
	enum err_code code;

	if (entry->cluster == NULL ||
	    !read_id(entry->actor, "token:", id, sizeof(id)))
		return ERR_OK;
	if ((code = replay_touch(replay, entry->actor, err)) != ERR_OK)
		return code;
	code = token_get(replay->store, entry->cluster, id, &token, err);
	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		return ERR_OK;
	}
	if (code == ERR_OK && !token_is_spent(token))
		token_spend(replay->batch, token);
	return code;
}

static enum err_code put_told(struct replay *replay,
    const struct audit_entry *entry, bool is_good, struct err *err)
{
	OWNED(certificate) known = NULL;
	OWNED(certificate) record = NULL;
	struct serial serial;
	enum err_code code;
	bool was_intent;

	if (!read_object_serial(entry, &serial))
		return fail(entry, err);
	if ((code = replay_touch(replay, entry->object, err)) != ERR_OK)
		return code;
	code = certificate_find(replay->store, &serial, &known, err);
	if (code != ERR_OK || known != NULL)
		return code;
	code = read_record(replay, entry, &serial, &record, err);
	if (code != ERR_OK)
		return code;
	/* What an entry alone tells has no policy. */
	was_intent = record->policy != NULL;
	record->state = is_good ? CERTIFICATE_VALID : CERTIFICATE_UNRESOLVED;
	record->revoked = is_good ? 0 : entry->time_ms / 1000;
	record->reason = 0;
	certificate_put(replay->batch, record);
	replay->counts.issued++;
	replay->counts.unresolved += is_good ? 0 : 1;
	return was_intent ? ERR_OK : spend(replay, entry, err);
}

static enum err_code issue(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	return put_told(replay, entry, is_signed, err);
}

static enum err_code leave_unresolved(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	(void)is_signed;
	return put_told(replay, entry, false, err);
}

static enum err_code revoke(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(certificate) record = NULL;
	struct serial serial;
	enum err_code code;

	(void)is_signed;
	if (!read_object_serial(entry, &serial))
		return fail(entry, err);
	if ((code = replay_touch(replay, entry->object, err)) != ERR_OK ||
	    (code = certificate_find(replay->store, &serial, &record, err)) !=
		ERR_OK)
		return code;
	/* Its record is pruned once it has expired for long. */
	if (record == NULL || record->state != CERTIFICATE_VALID)
		return ERR_OK;
	record->state = CERTIFICATE_REVOKED;
	record->revoked = entry->time_ms / 1000;
	if (record->revoked < record->created)
		record->revoked = record->created;
	if (entry->detail == NULL ||
	    !reason_parse(entry->detail, &record->reason))
		record->reason = 0;
	certificate_put(replay->batch, record);
	replay->counts.revoked++;
	return ERR_OK;
}

/* ---- tokens, identities, clusters ---- */

/* What was made after the backup is not here, and cannot be used either. */
static enum err_code or_absent(enum err_code code, struct err *err)
{
	if (code != ERR_NOT_FOUND)
		return code;
	err_clear(err);
	return ERR_OK;
}

static enum err_code revoke_token(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(token) token = NULL;
	uint8_t id[TOKEN_ID_SIZE];
	enum err_code code;

	(void)is_signed;
	if (entry->cluster == NULL ||
	    !read_id(entry->object, "token:", id, sizeof(id)))
		return fail(entry, err);
	if ((code = replay_touch(replay, entry->object, err)) != ERR_OK)
		return code;
	code = token_get(replay->store, entry->cluster, id, &token, err);
	if (code != ERR_OK)
		return or_absent(code, err);
	if (token->revoked)
		return ERR_OK;
	token_revoke(replay->batch, token);
	replay->counts.tokens++;
	return ERR_OK;
}

static enum err_code find_identity(struct replay *replay,
    const struct audit_entry *entry, struct identity **identity_out,
    struct err *err)
{
	uint8_t id[IDENTITY_ID_SIZE];
	enum err_code code;

	*identity_out = NULL;
	if (!read_id(entry->object, "identity:", id, sizeof(id)))
		return fail(entry, err);
	if ((code = replay_touch(replay, entry->object, err)) != ERR_OK)
		return code;
	return identity_find(replay->store, id, identity_out, err);
}

static enum err_code revoke_identity(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = find_identity(replay, entry, &identity, err);

	(void)is_signed;
	if (code != ERR_OK || identity == NULL || identity->revoked != 0)
		return code;
	identity_revoke(replay->batch, identity);
	replay->counts.identities++;
	return ERR_OK;
}

/* Its code is used up, whatever came of the enrolment. */
static enum err_code enroll_identity(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = find_identity(replay, entry, &identity, err);

	(void)is_signed;
	if (code == ERR_OK && identity != NULL && identity->code_used == 0)
		identity_enroll(replay->batch, identity);
	return code;
}

/* The code of the backup is good no longer; the one in its place is lost. */
static enum err_code replace_code(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = find_identity(replay, entry, &identity, err);

	(void)is_signed;
	if (code != ERR_OK || identity == NULL)
		return code;
	identity_forget_code(identity);
	identity_put(replay->batch, identity);
	return ERR_OK;
}

static bool is_in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; list != NULL; list = strchr(list, ',')) {
		list += *list == ',';
		if (strncmp(list, name, len) == 0 &&
		    (list[len] == ',' || list[len] == '\0'))
			return true;
	}
	return false;
}

/* The roles that it had no longer; those that it got are an admin's to give. */
static enum err_code reduce_identity(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(identity) identity = NULL;
	enum err_code code = find_identity(replay, entry, &identity, err);
	const char *told = behind(entry->detail, "roles ");
	OWNED_STR(list) =
	    told == NULL ? NULL : mem_strndup(told, strcspn(told, ";"));
	size_t kept = 0;

	(void)is_signed;
	if (code != ERR_OK || identity == NULL || list == NULL)
		return code;
	for (size_t i = 0; i < identity->roles_count; i++) {
		if (is_in_list(list, identity->roles[i]))
			identity->roles[kept++] = identity->roles[i];
		else
			free(identity->roles[i]);
	}
	identity->roles_count = kept;
	identity_put(replay->batch, identity);
	return ERR_OK;
}

static enum err_code find_cluster(struct replay *replay,
    const struct audit_entry *entry, struct cluster **cluster_out,
    struct err *err)
{
	const char *name = behind(entry->object, "cluster:");
	enum err_code code;

	*cluster_out = NULL;
	if (name == NULL)
		return fail(entry, err);
	if ((code = replay_touch(replay, entry->object, err)) != ERR_OK)
		return code;
	return or_absent(
	    cluster_get(replay->store, name, cluster_out, err), err);
}

static enum err_code retire(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	enum err_code code = find_cluster(replay, entry, &cluster, err);

	(void)is_signed;
	if (code != ERR_OK || cluster == NULL ||
	    cluster->state == CLUSTER_RETIRED)
		return code;
	cluster_retire(replay->batch, cluster);
	replay->counts.clusters++;
	return ERR_OK;
}

static enum err_code quarantine(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	OWNED(cluster) cluster = NULL;
	enum err_code code = find_cluster(replay, entry, &cluster, err);
	const char *reason =
	    entry->detail == NULL ? "before the restore" : entry->detail;

	(void)is_signed;
	if (code != ERR_OK || cluster == NULL)
		return code;
	code = cluster_set_quarantine(cluster, reason, err);
	if (code != ERR_OK)
		return fail(entry, err);
	cluster_update(replay->batch, cluster);
	replay->counts.clusters++;
	return ERR_OK;
}

/* ---- CRLs ---- */

static enum err_code publish(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	const char *issuer = behind(entry->object, "crl:");
	const char *number = behind(entry->detail, "number ");
	struct told_crl *crl;
	char *end;
	uint64_t value;

	(void)is_signed;
	if (issuer == NULL || number == NULL || number[0] < '0' ||
	    number[0] > '9')
		return fail(entry, err);
	value = strtoull(number, &end, 10);
	if (*end != ',' || value > CRL_NUMBER_MAX)
		return fail(entry, err);
	crl = replay_crl(replay, issuer);
	if (value > crl->number)
		crl->number = value;
	crl->time = entry->time_ms / 1000;
	return ERR_OK;
}

/* ---- all of them ---- */

typedef enum err_code effect(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err);

/* What each action took away.  No effect: nothing of it is in the store, or
 * nothing that would have to come back.  What it gave is lost where whoever
 * restores is told of it all the same. */
static const struct {
	const char *action, *result;
	effect *effect;
	bool is_told;
} effects[] = {
    {"approval.request", "granted", NULL, false}, /* replay_finish() ends them all */
    {"approval.approve", "granted", NULL, false},
    {"approval.reject", "granted", NULL, false},
    {"approval.execute", "granted", NULL, false},
    {"approval.expire", "granted", NULL, false},
    {"certificate.issue", "granted", issue, false},
    {"certificate.unresolved", "failed", leave_unresolved, false},
    {"certificate.revoke", "granted", revoke, false},
    {"token.revoke", "granted", revoke_token, false},
    {"identity.revoke", "granted", revoke_identity, false},
    {"identity.enroll", "granted", enroll_identity, false},
    {"identity.code", "granted", replace_code, true},
    {"identity.change", "granted", reduce_identity, true},
    {"cluster.retire", "granted", retire, false},
    {"cluster.quarantine", "granted", quarantine, false},
    {"crl.publish", "granted", publish, false},
    {"crl.request", "granted", NULL, false},
    {"identity.renew", "granted", NULL, false},
    {"issuer.responder", "granted", NULL, false},
    {"key.datakey", "granted", NULL, false},
    {"key.unwrap", "granted", NULL, false},
    {"self", "granted", NULL, false},
    {"store.restore", "granted", NULL, false},
};

/* Every permission to read ends so, and takes nothing away. */
static bool is_read(const struct audit_entry *entry)
{
	return text_has_suffix(entry->action, ".read");
}

/* What was granted and is not known to leave nothing behind is lost: whoever
 * restores is told. */
static void note_by_hand(struct replay *replay, const struct audit_entry *entry)
{
	if (entry->result == NULL || strcmp(entry->result, "granted") != 0 ||
	    is_read(entry))
		return;
	if (replay->counts.by_hand++ >= REPLAY_BY_HAND_MAX)
		return;
	buf_printf(&replay->by_hand, "%s %s", entry->action,
	    entry->object == NULL ? "-" : entry->object);
	if (entry->cluster != NULL)
		buf_printf(&replay->by_hand, " of %s", entry->cluster);
	buf_put_u8(&replay->by_hand, '\n');
}

enum err_code replay_effect(struct replay *replay,
    const struct audit_entry *entry, bool is_signed, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(effects); i++) {
		if (entry->result == NULL ||
		    strcmp(effects[i].action, entry->action) != 0 ||
		    strcmp(effects[i].result, entry->result) != 0)
			continue;
		if (effects[i].is_told)
			note_by_hand(replay, entry);
		if (effects[i].effect == NULL)
			return ERR_OK;
		return effects[i].effect(replay, entry, is_signed, err);
	}
	note_by_hand(replay, entry);
	return ERR_OK;
}
