// SPDX-License-Identifier: Apache-2.0
/* Issuing and renewing: what may be asked for is settled here, from records and
 * policies as they are now; ca/ makes the certificate. */
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/authn.h"
#include "api/body.h"
#include "api/gate.h"
#include "api/metrics.h"
#include "api/trail.h"
#include "api/view.h"
#include "base/clock.h"

#define REASON_CESSATION_OF_OPERATION 5	/* RFC 5280 5.3.1 */

/* One request for a certificate.  What is asked stays; what it is judged by is
 * read anew at each attempt. */
struct enrolment {
	const char *profile;
	int64_t ttl;			/* seconds; 0: the profile's default */
	struct request *request;

	struct cluster *cluster;
	struct policy_set *policies;
	const struct policy *policy;
	struct issuer_set *issuers;
	const struct issuer *issuer;
	struct decision *decision;

	struct certificate *issued;
	bool repeated;
	bool counted;			/* by the gate, at the first attempt */
};

static void drop_judgement(struct enrolment *it)
{
	cluster_free(GIVE(it->cluster));
	policy_set_free(GIVE(it->policies));
	it->policy = NULL;
	it->issuer = NULL;
	issuer_set_free(GIVE(it->issuers));
	decision_free(GIVE(it->decision));
	certificate_free(GIVE(it->issued));
}

static void enrolment_end(struct enrolment *it)
{
	drop_judgement(it);
	request_free(it->request);
}

#define OWNED_ENROLMENT(name)                                                  \
	__attribute__((cleanup(enrolment_end))) struct enrolment name = {0}

static enum err_code refuse_profile(const struct enrolment *it, struct err *err)
{
	enum err_code code = err_refuse(err, ERR_POLICY,
	    "The bootstrap token was not made for profile \"%s\"",
	    err_quote_str(it->profile));
	/* What stands there may be a name that came into the wrong field. */
	if (policy_has_private_names(it->policy) &&
	    !policy_has_profile(it->policy, it->profile))
		err_keep(err, "The bootstrap token was not made for such a "
		    "profile");
	return code;
}

static enum err_code check_profile(
    const struct exchange *x, const struct enrolment *it, struct err *err)
{
	if (x->token == NULL)
		return ERR_OK;
	if (x->token->profiles_count == 0 &&
	    policy_wants_named_token(it->policy, it->profile))
		return err_refuse(err, ERR_POLICY,
		    "A bootstrap token for profile \"%s\" has to name it "
		    "(token create --profile)",
		    err_quote_str(it->profile));
	if (token_allows_profile(x->token, it->profile))
		return ERR_OK;
	return refuse_profile(it, err);
}

static enum err_code find_issuer(
    const struct exchange *x, struct enrolment *it, struct err *err)
{
	it->issuers = ca_issuers(x->app->ca);
	it->issuer = issuer_set_find(it->issuers, it->cluster->issuer);
	if (it->issuer == NULL)
		return err_fail(err, ERR_CORRUPT,
		    "cluster %s names issuer %s, which does not exist",
		    it->cluster->name, it->cluster->issuer);
	return ERR_OK;
}

static enum err_code judge(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	enum err_code code;
	drop_judgement(it);
	it->policies = app_policies(x->app);
	if ((code = api_active_cluster(x, &it->cluster, err)) != ERR_OK ||
	    (code = policy_set_get(it->policies, it->cluster->policy,
		 &it->policy, err)) != ERR_OK ||
	    (code = check_profile(x, it, err)) != ERR_OK ||
	    (code = find_issuer(x, it, err)) != ERR_OK)
		return code;
	const char *private = NULL;
	const struct policy_question question = {
	    .policy = it->policy,
	    .cluster = it->cluster,
	    .profile = it->profile,
	    .key_type = it->request->key_type,
	    .names = it->request->names,
	    .ttl = it->ttl,
	    .now = clock_now(),
	    .issuer_not_after = it->issuer->not_after,
	    .store = x->app->store,
	    .private_out = &private,
	};
	code = policy_decide(&question, &it->decision, err);
	free(GIVE(x->withheld));
	if (private != NULL)
		x->withheld = mem_strdup(private);
	return code;
}

/* The token as it is now: another request may have spent it, or it ended while
 * this one waited; then the answer is that of any token that is not good. */
static enum err_code read_token_again(struct exchange *x, struct err *err)
{
	if (x->token == NULL)
		return ERR_OK;
	struct token *fresh = NULL;
	enum err_code code = token_get(
	    x->app->store, x->token->cluster, x->token->id, &fresh, err);
	if (code == ERR_NOT_FOUND)
		return authn_refuse_bearer(x, "token", "no such token", err);
	if (code != ERR_OK)
		return code;
	token_free(x->token);
	x->token = fresh;
	if (fresh->revoked || clock_now() >= fresh->expires)
		return authn_refuse_bearer(
		    x, "token", "ended while its request waited", err);
	return ERR_OK;
}

/* A token whose uses are spent answers for what it got, and for nothing else. */
static enum err_code check_token(
    const struct exchange *x, const struct enrolment *it, struct err *err)
{
	if (x->token == NULL)
		return ERR_OK;
	bool own = it->issued != NULL &&
	    strcmp(it->issued->requester, x->caller.id) == 0;
	if (own || !token_is_spent(x->token))
		return ERR_OK;
	return err_refuse(err, ERR_UNAUTHENTICATED,
	    "The bootstrap token is spent; ask for another one");
}

/* What is signed anew counts against its names and its cluster, once. */
static enum err_code pass_gate(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	const struct gate_order order = {
	    .cluster = it->cluster->name,
	    .profile = it->profile,
	    .names = it->decision->names,
	    .renewal = x->route->handler == handle_certificate_renew,
	};
	if (it->counted)
		return ERR_OK;
	it->counted = true;
	return gate_certificate(x, &order, err);
}

static enum err_code issue_new(struct exchange *x, struct enrolment *it,
    const struct issue_order *order, struct err *err)
{
	OWNED(batch) intent = batch_new();
	if (x->token != NULL)
		token_spend(intent, x->token);
	authn_require(x, intent);
	cluster_require(intent, it->cluster);
	return ca_issue(x->app->ca, order, intent, &it->issued, err);
}

static enum err_code attempt_issue(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	enum err_code code = authn_still_holds(x, err);
	if (code == ERR_OK)
		code = read_token_again(x, err);
	if (code == ERR_OK)
		code = judge(x, it, err);
	if (code != ERR_OK)
		return code;
	const struct issue_order order = {
	    .cluster = it->cluster,
	    .issuer = it->cluster->issuer,
	    .profile = it->profile,
	    .policy = it->cluster->policy,
	    .request = it->request,
	    .decision = it->decision,
	    .requester = x->caller.id,
	    .source = x->source,
	    .request_id = x->request_id,
	    .roles = ROLE_NODE,
	    .token_id = x->token == NULL ? NULL : x->token->id,
	};
	code = ca_find_repeat(x->app->ca, &order, &it->issued, err);
	if (code == ERR_OK)
		code = check_token(x, it, err);
	if (code != ERR_OK)
		return code;
	it->repeated = it->issued != NULL;
	if (it->repeated)
		return ERR_OK;
	code = pass_gate(x, it, err);
	return code == ERR_OK ? issue_new(x, it, &order, err) : code;
}

/*
 * A cluster that was retired between intent and certificate: the retirement may
 * have looked for certificates before this one was there, so it is revoked
 * here, and nobody gets it.
 */
static enum err_code withdraw(
    struct exchange *x, const struct enrolment *it, struct err *err)
{
	OWNED(batch) batch = batch_new();
	OWNED_STR(serial) = serial_format(&it->issued->serial);
	OWNED_STR(object) = mem_printf("serial:%s", serial);
	enum err_code code = ca_revoke(x->app->ca, batch, it->issued,
	    REASON_CESSATION_OF_OPERATION, err);
	if (code != ERR_OK)
		return code == ERR_CONFLICT ? ERR_OK : code;
	trail_add(x, batch,
	    &(struct audit_entry){.action = "certificate.revoke",
		.object = object,
		.rule = "cluster.retire"});
	code = authn_commit_anyway(x, batch, err);
	if (code == ERR_OK)
		ca_revoked(x->app->ca, it->issued->issuer);
	/* ERR_CONFLICT: the retirement was there first. */
	return code == ERR_CONFLICT ? ERR_OK : code;
}

static enum err_code check_still_active(
    struct exchange *x, const struct enrolment *it, struct err *err)
{
	OWNED(cluster) now = NULL;
	enum err_code code = api_active_cluster(x, &now, err);
	if (code != ERR_POLICY)
		return code;
	struct err failed = {0};
	if (withdraw(x, it, &failed) != ERR_OK) {
		*err = failed;
		return failed.code;
	}
	return code;
}

static void count(const struct enrolment *it, enum err_code code)
{
	/* As a label only what a policy names: others could invent any. */
	const char *profile = it->policy != NULL &&
		policy_has_profile(it->policy, it->profile)
	    ? it->profile : "unknown";
	if (code == ERR_OK && it->repeated)
		metrics_count(METRIC_REPEATED_CERTIFICATES);
	else if (code == ERR_OK)
		metrics_issued(profile, ISSUE_GRANTED);
	else
		metrics_issued(profile,
		    err_is_refusal(code) ? ISSUE_REFUSED : ISSUE_FAILED);
}

static enum err_code enrol(
    struct exchange *x, struct enrolment *it, struct err *err)
{
	unsigned attempt = 0;
	enum err_code code;
	do
		code = attempt_issue(x, it, err);
	while (api_again(code, &attempt));
	if (code == ERR_CONFLICT)
		code = err_fail(err, ERR_OVERLOADED,
		    "others changed the same records %d times", API_ATTEMPTS);
	if (code == ERR_OK)
		code = check_still_active(x, it, err);
	count(it, code);
	if (code != ERR_OK)
		return code;
	x->reply.status = it->repeated ? MHD_HTTP_OK : MHD_HTTP_CREATED;
	x->reply.type = "application/json";
	view_issued(&x->reply.body, it->issuers, it->issued,
	    it->repeated);
	return ERR_OK;
}

/* What is refused before its cluster is read may be a name, too: where names are
 * private, or nobody knows whether they are, nothing is kept of it. */
static enum err_code keep_no_name(
    const struct exchange *x, enum err_code code, struct err *err)
{
	OWNED(policy_set) policies = app_policies(x->app);
	OWNED(cluster) cluster = NULL;
	const struct policy *policy = NULL;
	struct err unknown = {0};
	if (cluster_get(x->app->store, x->params.cluster, &cluster, &unknown) !=
		ERR_OK ||
	    policy_set_get(policies, cluster->policy, &policy, &unknown) !=
		ERR_OK ||
	    policy_has_private_names(policy))
		err_keep(err, "The request is not what is taken here");
	return code;
}

static enum err_code parse_request(
    const char *csr, struct enrolment *it, struct err *err)
{
	return request_parse(BYTES_STR(csr), &it->request, err);
}

enum err_code handle_certificate_issue(struct exchange *x, struct err *err)
{
	OWNED_ENROLMENT(it);
	OWNED_JSON(json) = NULL;
	const char *csr = NULL, *ttl = NULL;
	const struct json_field fields[] = {
	    {"csr", JSON_KIND_STR, true, 1, REQUEST_SIZE_MAX, &csr},
	    {"profile", JSON_KIND_STR, true, 1, 63, &it.profile},
	    {"ttl", JSON_KIND_STR, false, 1, 31, &ttl},
	};
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code == ERR_OK)
		code = body_duration(ttl, "ttl", &it.ttl, err);
	if (code == ERR_OK)
		code = parse_request(csr, &it, err);
	return code == ERR_OK ? enrol(x, &it, err)
			      : keep_no_name(x, code, err);
}

static bool is_nameless(const struct names *names)
{
	return names->common_name == NULL && names->sans_count == 0;
}

/* Without names the request asks for those of the certificate; else each must
 * be one of them. */
static enum err_code settle_names(const struct certificate *held,
    struct request *request, struct err *err)
{
	if (is_nameless(request->names)) {
		names_free(request->names);
		request->names = names_copy(held->names);
		return ERR_OK;
	}
	if (!names_within(request->names, held->names))
		return err_refuse(err, ERR_POLICY,
		    "The request asks for a name that the certificate it is "
		    "authenticated by does not have; renewing adds none");
	return ERR_OK;
}

enum err_code handle_certificate_renew(struct exchange *x, struct err *err)
{
	OWNED_ENROLMENT(it);
	OWNED_JSON(json) = NULL;
	const char *csr = NULL;
	const struct json_field fields[] = {
	    {"csr", JSON_KIND_STR, true, 1, REQUEST_SIZE_MAX, &csr},
	};
	if (x->certificate == NULL || x->certificate->profile == NULL)
		return err_refuse(err, ERR_FORBIDDEN,
		    "Renewing needs the certificate that is renewed, by mTLS");
	it.profile = x->certificate->profile;
	enum err_code code =
	    body_read(x, fields, ARRAY_LEN(fields), &json, err);
	if (code == ERR_OK)
		code = parse_request(csr, &it, err);
	if (code != ERR_OK)
		return keep_no_name(x, code, err);
	code = settle_names(x->certificate, it.request, err);
	return code == ERR_OK ? enrol(x, &it, err) : code;
}
