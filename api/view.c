// SPDX-License-Identifier: Apache-2.0
#include "api/view.h"

#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "ca/crl.h"

json_t *view_text(const char *text)
{
	json_t *json = json_string(text);
	if (json == NULL)
		json = json_string(err_quote_str(text));
	if (json == NULL)
		abort();
	return json;
}

void view_set(json_t *object, const char *key, json_t *value)
{
	if (value == NULL || json_object_set_new(object, key, value) != 0)
		abort();
}

void view_set_text(json_t *object, const char *key, const char *text)
{
	view_set(object, key, view_text(text));
}

void view_set_opt(json_t *object, const char *key, const char *text)
{
	if (text != NULL)
		view_set_text(object, key, text);
}

void view_set_time(json_t *object, const char *key, int64_t seconds)
{
	char text[CLOCK_TEXT_SIZE];
	view_set_text(object, key, clock_format(seconds, text));
}

void view_set_hex(json_t *object, const char *key, struct bytes octets)
{
	OWNED_STR(text) = hex_new(octets.data, octets.len);
	view_set_text(object, key, text);
}

static json_t *new_object(void)
{
	json_t *object = json_object();
	if (object == NULL)
		abort();
	return object;
}

static json_t *new_array(void)
{
	json_t *array = json_array();
	if (array == NULL)
		abort();
	return array;
}

static void add(json_t *array, json_t *item)
{
	if (json_array_append_new(array, item) != 0)
		abort();
}

static json_t *texts(char *const *items, size_t count)
{
	json_t *array = new_array();
	for (size_t i = 0; i < count; i++)
		add(array, view_text(items[i]));
	return array;
}

static json_t *ranges(const struct cidr *items, size_t count)
{
	char text[IP_TEXT_SIZE];
	json_t *array = new_array();
	for (size_t i = 0; i < count; i++)
		add(array, view_text(cidr_format(&items[i], text)));
	return array;
}

json_t *view_cluster(const struct cluster *cluster)
{
	json_t *json = new_object();
	view_set_text(json, "name", cluster->name);
	view_set_text(json, "policy", cluster->policy);
	view_set_text(json, "issuer", cluster->issuer);
	view_set_text(json, "state",
	    cluster->state == CLUSTER_ACTIVE ? "active" : "retired");
	view_set(json, "dns", texts(cluster->dns, cluster->dns_count));
	view_set(json, "ip", ranges(cluster->ips, cluster->ips_count));
	view_set(json, "from", ranges(cluster->from, cluster->from_count));
	if (cluster->quarantined != 0) {
		json_t *quarantine = new_object();
		view_set_time(quarantine, "since", cluster->quarantined);
		view_set_text(
		    quarantine, "reason", cluster->quarantine_reason);
		view_set(json, "quarantine", quarantine);
	}
	view_set_time(json, "created", cluster->created);
	return json;
}

json_t *view_token(const struct token *token)
{
	json_t *json = new_object();
	view_set_hex(json, "id", BYTES_OF(token->id));
	view_set_text(json, "cluster", token->cluster);
	view_set(json, "profiles",
	    texts(token->profiles, token->profiles_count));
	view_set(json, "uses", json_integer(token->uses));
	view_set(json, "spent", json_integer(token->spent));
	view_set(json, "from", ranges(token->ranges, token->ranges_count));
	view_set_time(json, "created", token->created);
	view_set_time(json, "expires", token->expires);
	view_set(json, "revoked", json_boolean(token->revoked));
	view_set_opt(json, "creator", token->creator);
	return json;
}

json_t *view_identity(const struct identity *identity, int64_t now)
{
	json_t *json = new_object();
	bool token = identity->kind == IDENTITY_TOKEN;
	view_set_hex(json, "id", BYTES_OF(identity->id));
	view_set_text(json, "name", identity->name);
	view_set_text(json, "kind", token ? "token" : "certificate");
	view_set_text(json, "state", identity_state(identity, now));
	view_set(json, "roles",
	    texts(identity->roles, identity->roles_count));
	view_set_opt(json, "cluster", identity->cluster);
	view_set(json, "from",
	    ranges(identity->ranges, identity->ranges_count));
	view_set_time(json, "created", identity->created);
	view_set_opt(json, "creator", identity->creator);
	if (!token)
		view_set(json, "ttl_seconds", json_integer(identity->ttl));
	if (identity->code_used == 0 && identity->code_expires != 0)
		view_set_time(json, "code_expires", identity->code_expires);
	if (identity->enrolled != 0)
		view_set_time(json, "enrolled", identity->enrolled);
	if (identity->expires != 0)
		view_set_time(json, "expires", identity->expires);
	if (identity->revoked != 0)
		view_set_time(json, "revoked", identity->revoked);
	return json;
}

static const char *state_name(const struct certificate *record, int64_t now)
{
	switch (record->state) {
	case CERTIFICATE_VALID:
		return now > record->not_after ? "expired" : "valid";
	case CERTIFICATE_REVOKED:
		return "revoked";
	case CERTIFICATE_UNRESOLVED:
		return "unresolved";
	}
	abort();
}

static void set_names(json_t *json, const struct names *names)
{
	static const struct {
		const char *key;
		enum name_kind kind;
	} kinds[] = {{"dns", NAME_DNS}, {"ip", NAME_IP}, {"uri", NAME_URI}};
	view_set_opt(json, "common_name", names->common_name);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		json_t *array = new_array();
		for (size_t i = 0; i < names->sans_count; i++)
			if (names->sans[i].kind == kinds[k].kind)
				add(array, view_text(names->sans[i].text));
		view_set(json, kinds[k].key, array);
	}
}

static void set_pem(json_t *json, const char *key, struct bytes der)
{
	OWNED_BUF(pem);
	pem_put(&pem, "CERTIFICATE", der);
	OWNED_STR(text) = buf_to_str(&pem);
	view_set_text(json, key, text);
}

static const char *approval_state_text(const struct approval *approval,
    const struct approver_rule *rule, unsigned count, int64_t now)
{
	switch (approval->state) {
	case APPROVAL_REJECTED:
		return "rejected";
	case APPROVAL_EXECUTED:
		return "executed";
	case APPROVAL_EXPIRED:
		return "expired";
	case APPROVAL_OPEN:
		break;
	}
	if (!approval_is_open(approval, now))
		return "expired";
	return rule == NULL || count >= rule->needed ? "approved" : "pending";
}

static json_t *view_decision(const struct approval_decision *decision)
{
	json_t *json = new_object();
	view_set_hex(json, "identity", BYTES_OF(decision->identity));
	view_set_text(json, "name", decision->name);
	view_set_text(
	    json, "decision", decision->consents ? "approve" : "reject");
	view_set_time(json, "time", decision->time);
	if (decision->reason[0] != '\0')
		view_set_text(json, "reason", decision->reason);
	return json;
}

/* What is to be read by whoever decides. */
static void view_content(json_t *json, const struct approval *approval)
{
	char digest[2 * APPROVAL_DIGEST_SIZE + 1];
	OWNED_STR(text) = mem_printf("sha256:%s",
	    hex_write(approval->digest, sizeof(approval->digest), digest));
	view_set_text(json, "digest", text);
	view_set_text(json, "action", approval->action);
	view_set_hex(json, "requester", BYTES_OF(approval->requester));
	view_set_text(json, "requester_name", approval->requester_name);
	view_set_opt(json, "cluster", approval->cluster);
	view_set_text(json, "method", approval->method);
	view_set_text(json, "path", approval->path);
	if (approval->body[0] == '\0')
		return;
	json_t *body = json_loads(approval->body, JSON_DECODE_ANY, NULL);
	view_set(json, "body",
	    body == NULL ? view_text(approval->body) : body);
}

json_t *view_approval(const struct approval *approval,
    const struct approver_rule *rule, unsigned count, int64_t now)
{
	json_t *json = new_object();
	json_t *decisions = new_array();
	view_set_hex(json, "id", BYTES_OF(approval->id));
	view_set_text(json, "state",
	    approval_state_text(approval, rule, count, now));
	view_content(json, approval);
	view_set(json, "approvals", json_integer(count));
	view_set(json, "needed",
	    json_integer(rule == NULL ? 0 : (json_int_t)rule->needed));
	view_set_time(json, "created", approval->created);
	view_set_time(json, "expires", approval->expires);
	if (approval->ended != 0)
		view_set_time(json, "ended", approval->ended);
	for (size_t i = 0; i < approval->decisions_count; i++)
		json_array_append_new(
		    decisions, view_decision(&approval->decisions[i]));
	view_set(json, "decisions", decisions);
	return json;
}

json_t *view_certificate(
    const struct certificate *certificate, int64_t now, bool with_pem)
{
	json_t *json = new_object();
	view_set_hex(json, "serial", serial_bytes(&certificate->serial));
	view_set_text(json, "state", state_name(certificate, now));
	view_set_opt(json, "cluster", certificate->cluster);
	view_set_opt(json, "profile", certificate->profile);
	view_set_opt(json, "policy", certificate->policy);
	view_set_text(json, "issuer", certificate->issuer);
	set_names(json, certificate->names);
	view_set_opt(json, "requester", certificate->requester);
	view_set_time(json, "not_before", certificate->not_before);
	view_set_time(json, "not_after", certificate->not_after);
	/* It is not renewed: whoever holds it enrols again. */
	view_set_time(json, "renew_after",
	    certificate_is_told(certificate) ? certificate->not_after
					     : certificate->renew_after);
	view_set_time(json, "created", certificate->created);
	if (certificate->state != CERTIFICATE_VALID) {
		view_set_time(json, "revoked", certificate->revoked);
		view_set_text(
		    json, "reason", reason_name(certificate->reason));
	}
	if (with_pem && certificate->der != NULL)
		set_pem(json, "certificate",
		    BYTES(certificate->der, certificate->der_len));
	return json;
}

static void set_crl_fields(json_t *json, const struct crl *crl)
{
	view_set(json, "number", json_integer((json_int_t)crl->number));
	view_set_time(json, "this_update", crl->this_update);
	view_set_time(json, "next_update", crl->next_update);
	view_set(json, "entries", json_integer((json_int_t)crl->entries));
}

json_t *view_crl(const struct crl *crl)
{
	json_t *json = new_object();
	view_set_text(json, "issuer", crl->issuer);
	set_crl_fields(json, crl);
	return json;
}

static const char *kind_name(enum issuer_kind kind)
{
	switch (kind) {
	case ISSUER_ROOT:
		return "root";
	case ISSUER_ISSUING:
		return "issuing";
	case ISSUER_SERVICES:
		return "services";
	}
	abort();
}

static const char *issuer_state_name(enum issuer_state state)
{
	switch (state) {
	case ISSUER_ACTIVE:
		return "active";
	case ISSUER_CRL_ONLY:
		return "crl-only";
	case ISSUER_RETIRED:
		return "retired";
	}
	abort();
}

json_t *view_issuer(const struct issuer *issuer, const struct crl *crl)
{
	json_t *json = new_object();
	view_set_text(json, "id", issuer->id);
	view_set_text(json, "kind", kind_name(issuer->kind));
	view_set_text(json, "state", issuer_state_name(issuer->state));
	view_set_hex(json, "fingerprint", BYTES_OF(issuer->fingerprint));
	view_set_text(json, "key_uri", issuer->key_uri);
	view_set_time(json, "not_before", issuer->not_before);
	view_set_time(json, "not_after", issuer->not_after);
	set_pem(json, "certificate", BYTES(issuer->der, issuer->der_len));
	if (crl != NULL) {
		json_t *fields = new_object();
		set_crl_fields(fields, crl);
		view_set(json, "crl", fields);
	}
	return json;
}

static const char *key_state_name(enum kek_state state)
{
	switch (state) {
	case KEK_ENABLED:
		return "enabled";
	case KEK_DISABLED:
		return "disabled";
	case KEK_PENDING_DESTRUCTION:
		return "pending-destruction";
	case KEK_DESTROYED:
		return "destroyed";
	}
	abort();
}

json_t *view_key(const struct key_info *key)
{
	json_t *json = new_object();
	view_set_text(json, "cluster", key->cluster);
	view_set_text(json, "name", key->name);
	view_set_hex(json, "id", BYTES_OF(key->id));
	view_set(json, "version", json_integer(key->version));
	view_set_text(json, "state", key_state_name(key->state));
	view_set_time(json, "created", key->created);
	return json;
}

json_t *view_policy(const struct policy *policy, bool with_text)
{
	json_t *json = new_object();
	json_t *profiles = new_array();
	view_set_text(json, "name", policy_name(policy));
	view_set_text(json, "description", policy_description(policy));
	for (size_t i = 0; i < policy_profile_count(policy); i++)
		add(profiles, view_text(policy_profile_name(policy, i)));
	view_set(json, "profiles", profiles);
	if (with_text) {
		OWNED_BUF(printed);
		policy_print(policy, &printed);
		OWNED_STR(text) = buf_to_str(&printed);
		view_set_text(json, "text", text);
	}
	return json;
}

json_t *view_role(const struct role_view *role)
{
	json_t *json = new_object();
	json_t *actions = new_array();
	view_set_text(json, "name", role->name);
	view_set_text(json, "kind", role->is_builtin ? "built-in" : "own");
	view_set_text(json, "description", role->description);
	view_set(json, "needs_cluster", json_boolean(role->needs_cluster));
	for (unsigned p = 0; p < PERM_COUNT; p++)
		if ((role->actions & PERMISSION_BIT(p)) != 0)
			add(actions,
			    view_text(permission_name((enum permission)p)));
	view_set(json, "actions", actions);
	return json;
}

json_t *view_list(json_t *items, const char *next)
{
	json_t *json = new_object();
	view_set(json, "items", items);
	view_set_opt(json, "next", next);
	return json;
}

/* A member whose value is PEM: of JSON's escapes it needs the line end alone. */
static void put_pem(struct buf *out, const char *key, const struct buf *pem)
{
	buf_printf(out, ",\"%s\":\"", key);
	buf_reserve(out, pem->len + pem->len / 32);
	const uint8_t *at = pem->data, *end = pem->data + pem->len;
	while (at < end) {
		const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((line == NULL ? end : line) - at);
		buf_put(out, at, len);
		at += len;
		if (line != NULL) {
			buf_put(out, "\\n", 2);
			at++;
		}
	}
	buf_put_u8(out, '"');
}

static void put_roots(struct buf *pem, const struct issuer_set *issuers)
{
	for (size_t i = 0; i < issuer_set_count(issuers); i++) {
		const struct issuer *issuer = issuer_set_at(issuers, i);
		if (issuer->kind == ISSUER_ROOT &&
		    issuer->state != ISSUER_RETIRED)
			pem_put(pem, "CERTIFICATE",
			    BYTES(issuer->der, issuer->der_len));
	}
}

/* The hot answer: written straight, without a tree in between. */
void view_issued(struct buf *out, const struct issuer_set *issuers,
    const struct certificate *certificate, bool repeated)
{
	char serial[2 * SERIAL_MAX + 1];
	char before[CLOCK_TEXT_SIZE], after[CLOCK_TEXT_SIZE];
	char renew[CLOCK_TEXT_SIZE];
	OWNED_BUF(pem);
	hex_write(
	    certificate->serial.octets, certificate->serial.len, serial);
	buf_reserve(out, 6 * 1024);
	buf_printf(out, "{\"serial\":\"%s\"", serial);
	pem_put(&pem, "CERTIFICATE",
	    BYTES(certificate->der, certificate->der_len));
	put_pem(out, "certificate", &pem);
	buf_reset(&pem);
	const struct issuer *issuer =
	    issuer_set_find(issuers, certificate->issuer);
	if (issuer != NULL)
		issuer_chain_pem(issuers, issuer, false, &pem);
	put_pem(out, "chain", &pem);
	buf_reset(&pem);
	put_roots(&pem, issuers);
	put_pem(out, "ca", &pem);
	buf_printf(out,
	    ",\"not_before\":\"%s\",\"not_after\":\"%s\","
	    "\"renew_after\":\"%s\",\"repeated\":%s}",
	    clock_format(certificate->not_before, before),
	    clock_format(certificate->not_after, after),
	    clock_format(certificate->renew_after, renew),
	    repeated ? "true" : "false");
}
