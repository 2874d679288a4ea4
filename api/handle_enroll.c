// SPDX-License-Identifier: Apache-2.0
/* How an identity gets its certificates: the first by its enrolment code, the
 * next by the one it holds. */
#include <string.h>
#include "api/api.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/text.h"
#include "ca/ceremony.h"

#define REASON_PRIVILEGE_WITHDRAWN 9	/* RFC 5280 5.3.1 */
/* A program that renews in a loop is stopped, not served for ever. */
#define CERTIFICATES_MAX 8		/* valid at a time */

/* One request; what it is judged by is read anew at each attempt. */
struct enrolment {
	struct request *request;
	struct names *names;
	char *requester;
	struct identity *identity;	/* as it is now */
	struct cluster *cluster;	/* its, or NULL */
	struct certificate *issued;
	bool repeated;
};

static void drop_judgement(struct enrolment *it)
{
	identity_free(GIVE(it->identity));
	cluster_free(GIVE(it->cluster));
	certificate_free(GIVE(it->issued));
}

static void enrolment_end(struct enrolment *it)
{
	drop_judgement(it);
	request_free(it->request);
	names_free(it->names);
	free(it->requester);
}

#define OWNED_ENROLMENT(name)                                                  \
	__attribute__((cleanup(enrolment_end))) struct enrolment name = {0}

/* The name is the identity's: a request has it or none. */
static enum err_code check_names(const struct exchange *x,
    const struct names *asked, struct err *err)
{
	const char *cn = asked->common_name;
	if (asked->sans_count == 0 &&
	    (cn == NULL || strcmp(cn, x->identity->name) == 0))
		return ERR_OK;
	return err_refuse(err, ERR_POLICY,
	    "The request asks for a name; a certificate of an identity has the "
	    "name of the identity alone: leave the subject empty");
}

static enum err_code read_request(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	OWNED_JSON(json) = NULL;
	const char *csr = NULL;
	const struct json_field fields[] = {
	    {"csr", JSON_KIND_STR, true, 1, REQUEST_SIZE_MAX, &csr},
	};
	char id[2 * IDENTITY_ID_SIZE + 1];
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code == ERR_OK)
		code = request_parse(BYTES_STR(csr), &it->request, err);
	if (code == ERR_OK)
		code = check_names(x, it->request->names, err);
	if (code != ERR_OK)
		return code;
	it->requester = mem_printf("identity:%s",
	    hex_write(x->identity->id, IDENTITY_ID_SIZE, id));
	it->names = names_new();
	return names_set_cn(it->names, BYTES_STR(x->identity->name), err);
}

/* What has become of it since its caller was found. */
static const char *why_not(
    const struct exchange *x, const struct identity *now)
{
	if (now == NULL)
		return "no such identity";
	if (identity_fault(now, clock_now()) != NULL)
		return identity_fault(now, clock_now());
	if (memcmp(now->hash, x->identity->hash, sizeof(now->hash)) != 0 &&
	    x->caller.kind == CALLER_CODE)
		return "another code was drawn while it waited";
	if (strcmp(now->name, x->identity->name) != 0)
		return "it was renamed while it waited";
	return NULL;
}

static enum err_code judge(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	drop_judgement(it);
	enum err_code code = identity_find(
	    x->app->store, x->identity->id, &it->identity, err);
	if (code != ERR_OK)
		return code;
	const char *why = why_not(x, it->identity);
	if (why != NULL)
		return authn_refuse_bearer(x, "identity", why, err);
	if (it->identity->cluster == NULL)
		return ERR_OK;
	return api_get_active(x, it->identity->cluster, &it->cluster, err);
}

static uint32_t roles_of(const struct identity *identity)
{
	struct caller taken = {0};
	for (size_t i = 0; i < identity->roles_count; i++)
		(void)!role_take(NULL, identity->roles[i], &taken);
	return taken.roles;
}

static enum err_code certify(struct exchange *x, struct enrolment *it,
    struct batch *intent, struct err *err)
{
	const struct identity *identity = it->identity;
	const struct service_order order = {
	    .profile = PROFILE_IDENTITY,
	    .names = it->names,
	    .roles = roles_of(identity),
	    .cluster = identity->cluster,
	    .ttl = identity->ttl,
	    .until = identity->expires,
	    .requester = it->requester,
	    .identity = identity->id,
	    .code = x->caller.kind == CALLER_CODE ? identity->hash : NULL,
	    .source = x->source,
	    .request_id = x->request_id,
	};
	return service_certify(
	    x->app->ca, &order, it->request, intent, &it->issued, err);
}

/* The answer to a request that was answered before. */
static enum err_code find_repeat(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	enum err_code code = certify(x, it, NULL, err);
	if (code != ERR_OK || it->issued == NULL)
		return code;
	if (memcmp(it->issued->identity, it->identity->id,
		IDENTITY_ID_SIZE) != 0)
		return err_refuse(err, ERR_BAD_KEY,
		    "The key of the request is in use; make a new one");
	it->repeated = true;
	return ERR_OK;
}

static enum err_code check_count(
    const struct exchange *x, const struct enrolment *it, struct err *err)
{
	struct certificate *held[CERTIFICATES_MAX];
	size_t count = 0;
	enum err_code code = certificate_list_identity(x->app->store,
	    it->identity->id, held, CERTIFICATES_MAX, &count, err);
	for (size_t i = 0; i < count; i++)
		certificate_free(held[i]);
	if (code == ERR_OK && count == CERTIFICATES_MAX)
		return err_refuse(err, ERR_POLICY,
		    "The identity has %d certificates that are valid: have "
		    "those revoked that are not in use", CERTIFICATES_MAX);
	return code;
}

/* A code is used up by the first certificate, in the commit of its intent; where
 * nothing comes of that, settling the intent makes it good again. */
static enum err_code spend(struct exchange *x, const struct enrolment *it,
    struct batch *intent, struct err *err)
{
	if (it->cluster != NULL)
		cluster_require(intent, it->cluster);
	if (x->caller.kind != CALLER_CODE) {
		authn_require(x, intent);
		return ERR_OK;
	}
	if (it->identity->code_used != 0)
		return err_refuse(err, ERR_UNAUTHENTICATED,
		    "The enrolment code is used up; ask for a new one");
	if (clock_now() >= it->identity->code_expires)
		return authn_refuse_bearer(
		    x, "identity", "code expired while it waited", err);
	identity_enroll(intent, it->identity);
	return ERR_OK;
}

static enum err_code attempt(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	OWNED(batch) intent = batch_new();
	enum err_code code;
	if ((code = authn_still_holds(x, err)) != ERR_OK ||
	    (code = judge(x, it, err)) != ERR_OK ||
	    (code = find_repeat(x, it, err)) != ERR_OK || it->repeated ||
	    (code = spend(x, it, intent, err)) != ERR_OK ||
	    (code = check_count(x, it, err)) != ERR_OK)
		return code;
	trail_add(x, intent,
	    &(struct audit_entry){.action =
		    permission_name(x->route->permission),
		.cluster = it->identity->cluster,
		.object = it->requester,
		.rule = "identity"});
	return certify(x, it, intent, err);
}

static enum err_code withdraw(
    struct exchange *x, const struct certificate *issued, struct err *err)
{
	OWNED(batch) batch = batch_new();
	OWNED_STR(serial) = serial_format(&issued->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	enum err_code code = ca_revoke(
	    x->app->ca, batch, issued, REASON_PRIVILEGE_WITHDRAWN, err);
	if (code == ERR_OK) {
		trail_add(x, batch,
		    &(struct audit_entry){.action = "certificate.revoke",
			.cluster = issued->cluster,
			.object = object,
			.rule = "identity.revoke"});
		code = authn_commit_anyway(x, batch, err);
	}
	if (code == ERR_OK)
		ca_revoked(x->app->ca, issued->issuer);
	/* ERR_CONFLICT: the revocation was there first. */
	return code == ERR_CONFLICT ? ERR_OK : code;
}

/* An identity that was revoked between intent and certificate: its revocation
 * may not have met this one, so it is revoked here, and nobody gets it. */
static enum err_code check_still_good(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	OWNED(certificate) issued = GIVE(it->issued);
	enum err_code code = judge(x, it, err);
	struct err failed = {0};
	if (code != ERR_OK && err_is_refusal(code) &&
	    withdraw(x, issued, &failed) != ERR_OK) {
		*err = failed;
		return failed.code;
	}
	it->issued = GIVE(issued);
	return code;
}

static enum err_code enroll(struct exchange *x, struct err *err)
{
	OWNED_ENROLMENT(it);
	unsigned tries = 0;
	if (x->identity == NULL)
		return err_refuse(err, ERR_FORBIDDEN,
		    "Only an identity has a certificate of one");
	enum err_code code = read_request(x, &it, err);
	if (code != ERR_OK)
		return code;
	do
		code = attempt(x, &it, err);
	while (api_again(code, &tries));
	if (code == ERR_OK)
		code = check_still_good(x, &it, err);
	if (code != ERR_OK)
		return code;
	OWNED(issuer_set) issuers = ca_issuers(x->app->ca);
	x->reply.status = it.repeated ? MHD_HTTP_OK : MHD_HTTP_CREATED;
	x->reply.type = "application/json";
	view_issued(&x->reply.body, issuers, it.issued, it.repeated);
	return ERR_OK;
}

enum err_code handle_identity_enroll(struct exchange *x, struct err *err)
{
	return enroll(x, err);
}

enum err_code handle_identity_renew(struct exchange *x, struct err *err)
{
	return enroll(x, err);
}
