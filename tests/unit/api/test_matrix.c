// SPDX-License-Identifier: Apache-2.0
/* Goal: every route, for every role, for the own cluster, a sibling's, one that
 * does not exist, and no bond at all, by every credential good and bad, answers as
 * matrix.def says; and a sibling's answer is that of what does not exist. */
#include "harness.h"
#include "fixture.h"
#include <stdio.h>
#include "api/authn.h"
#include "base/clock.h"

static struct fixture fixture;
static struct err err;

/* ---- What is expected ---- */

enum {
	A = 1 << 0, O = 1 << 1, K = 1 << 2, U = 1 << 3, N = 1 << 4,
	M = 1 << 5, Y = 1 << 6, C = 1 << 7, ALL = 0xff,
	T = 1 << 0, E = 1 << 1, B = 1 << 2,
};
#define ROLES 8
static const char *const role_names[ROLES] = {"admin", "operator",
    "key-officer", "auditor", "node", "kms", "key-user", "own"};

enum reach { PUBLIC, ANYWHERE, CLUSTER, OBJECT, UNBOUND };
struct expectation {
	unsigned roles;
	enum reach reach;
	unsigned bearers;
};

#define EXPECT(handler, roles, reach, bearers)                                 \
	static const struct expectation expect_##handler = {                   \
	    roles, reach, bearers};
#include "matrix.def"
#undef EXPECT

static const struct expectation *const expectations[ROUTE_COUNT] = {
#define ROUTE(method, path, perm, scope, flags, body, query, handler)          \
	&expect_##handler,
#include "api/route.def"
#undef ROUTE
};

/* Whose object the request names, to a caller who is bound to "mine" or not. */
enum bond { OWN, SIBLING, ABSENT, FREE, BONDS };
static const char *const named[BONDS] = {"mine", "theirs", "nosuch", "mine"};

enum credential { VALID, EXPIRED, REVOKED, WRONG_ISSUER, WRONG_USAGE,
	REPLAYED, CREDENTIALS };

static enum err_code by_reach(enum reach reach, enum bond bond)
{
	switch (reach) {
	case PUBLIC:
	case ANYWHERE:
		return ERR_OK;
	case CLUSTER:
	case OBJECT:
		return bond == SIBLING || bond == ABSENT ? ERR_NOT_FOUND
							 : ERR_OK;
	case UNBOUND:
		return bond == FREE ? ERR_OK : ERR_FORBIDDEN;
	}
	return ERR_INTERNAL;
}

static enum err_code expected(
    size_t route, unsigned role, enum bond bond, enum credential credential)
{
	const struct expectation *expect = expectations[route];
	bool self = route_table[route].handler == handle_self;
	bool bound_only = role == N || role == M ||
			  (role == C &&
			      route_table[route].permission == PERM_KEY_USE);
	if (expect->reach == PUBLIC)
		return ERR_OK;
	if (credential != VALID)
		return ERR_UNAUTHENTICATED;
	if (self)
		return ERR_OK;
	if (bond == FREE && bound_only)
		return ERR_FORBIDDEN;
	/* Who may revoke identities gets as far as looking. */
	if (route_table[route].handler == handle_certificate_revoke &&
	    role == A)
		return bond == SIBLING || bond == ABSENT ? ERR_NOT_FOUND
							 : ERR_FORBIDDEN;
	if ((expect->roles & role) == 0)
		return ERR_FORBIDDEN;
	return by_reach(expect->reach, bond);
}

/* ---- The world ---- */

/* Enough DER for a serial to be found in it. */
static void fill_der(struct certificate *record)
{
	OWNED_BUF(der);
	size_t len = record->serial.len;
	buf_put_u8(&der, 0x30);
	buf_put_u8(&der, (uint8_t)(len + 4));
	buf_put_u8(&der, 0x30);
	buf_put_u8(&der, (uint8_t)(len + 2));
	buf_put_u8(&der, 0x02);
	buf_put_u8(&der, (uint8_t)len);
	buf_put(&der, record->serial.octets, len);
	record->der_len = der.len;
	record->der = buf_give(&der).data;
}

static struct serial serial_of(
    unsigned role, bool bound, enum credential credential)
{
	struct serial serial = {.len = 18};
	memset(serial.octets, 0x55, serial.len);
	serial.octets[0] = 1;
	serial.octets[15] = (uint8_t)role;
	serial.octets[16] = bound;
	serial.octets[17] = (uint8_t)credential;
	return serial;
}

static void put_certificate(struct batch *batch, const struct serial *serial,
    unsigned role, const char *cluster, enum credential credential)
{
	struct certificate *record = mem_zalloc(sizeof(*record));
	int64_t now = clock_now();
	record->serial = *serial;
	record->state = credential == REVOKED ? CERTIFICATE_REVOKED
					      : CERTIFICATE_VALID;
	record->revoked = credential == REVOKED ? now : 0;
	record->issuer = mem_strdup("services");
	record->profile = mem_strdup("peer");
	record->policy = mem_strdup("etcd");
	record->requester = mem_strdup("system");
	record->cluster = cluster == NULL ? NULL : mem_strdup(cluster);
	record->roles = role == N ? ROLE_NODE : 0;
	record->not_before = now - 3600;
	record->not_after = credential == EXPIRED ? now - 60 : now + 3600;
	record->created = now - 3600;
	if (role != N && credential != WRONG_USAGE)
		memcpy(record->identity, serial->octets + 2, IDENTITY_ID_SIZE);
	if (credential == WRONG_USAGE)
		record->roles = 0;
	record->names = names_new();
	fill_der(record);
	certificate_put(batch, record);
	certificate_free(record);
}

static void put_identity(struct batch *batch, const struct serial *serial,
    size_t role, const char *cluster, enum credential credential)
{
	OWNED_STR(name) = mem_strdup(role_names[role]);
	OWNED_STR(bond) = cluster == NULL ? NULL : mem_strdup(cluster);
	char creator[] = "test";
	char *roles[] = {name};
	struct identity identity = {.kind = IDENTITY_CERTIFICATE,
	    .name = name,
	    .roles = roles,
	    .roles_count = 1,
	    .cluster = bond,
	    .ttl = 3600,
	    .created = 1,
	    .enrolled = 1,
	    .creator = creator};
	/* What is shown again after its identity has ended. */
	identity.revoked = credential == REPLAYED ? 2 : 0;
	memcpy(identity.id, serial->octets + 2, IDENTITY_ID_SIZE);
	identity_put(batch, &identity);
}

static void make_callers(void)
{
	OWNED(batch) batch = batch_new();
	for (size_t role = 0; role < ROLES; role++)
		for (int bound = 0; bound < 2; bound++)
			for (int c = 0; c < CREDENTIALS; c++) {
				struct serial serial = serial_of(
				    1u << role, bound, (enum credential)c);
				const char *cluster = bound ? "mine" : NULL;
				put_certificate(batch, &serial, 1u << role,
				    cluster, (enum credential)c);
				put_identity(batch, &serial, role, cluster,
				    (enum credential)c);
			}
	assert_ok(store_commit(fixture.app->store, batch, &err));
}

/* One certificate that each cluster has. */
static struct serial object_of(enum bond bond)
{
	struct serial serial = {.len = 18};
	memset(serial.octets, 0x66, serial.len);
	serial.octets[0] = 2;
	serial.octets[17] = (uint8_t)(bond == FREE ? OWN : bond);
	return serial;
}

static void make_objects(void)
{
	OWNED(batch) batch = batch_new();
	for (int bond = OWN; bond <= SIBLING; bond++) {
		struct serial serial = object_of((enum bond)bond);
		OWNED_STR(name) = mem_strdup(named[bond]);
		OWNED_STR(policy) = mem_strdup("etcd");
		OWNED_STR(issuer) = mem_strdup("issuing-1");
		const struct cluster_request request = {
		    .name = name, .policy = policy, .issuer = issuer};
		OWNED(cluster) cluster = NULL;
		assert_ok(cluster_parse(&request, &cluster, &err));
		cluster_create(batch, cluster);
		put_certificate(batch, &serial, N, name, VALID);
	}
	assert_ok(store_commit(fixture.app->store, batch, &err));
}

static void load_roles(void)
{
	fixture_rules(&fixture, ROLES_FILE,
	    "version: 1\nroles:\n  - name: own\n    description: of the test\n"
	    "    actions: [cert.read, cluster.read, key.use, audit.read]\n");
}

/* ---- One cell ---- */

/* Each from an address of its own: how often one may fail is another test's. */
static void come_from_elsewhere(struct exchange *x)
{
	static uint32_t cells;
	char text[32];
	cells++;
	snprintf(text, sizeof(text), "10.%u.%u.%u", cells >> 16 & 255u,
	    cells >> 8 & 255u, cells & 255u);
	assert_true(ip_parse(text, &x->caller.source));
}

static struct exchange *make_request(size_t route, enum bond bond)
{
	struct serial serial = object_of(bond);
	OWNED_STR(text) = serial_format(&serial);
	OWNED_STR(query) = mem_printf("cluster=%s", named[bond]);
	bool by_cluster = route_table[route].scope == SCOPE_CLUSTER;
	bool list = route_table[route].handler == handle_certificate_list;
	struct exchange *x = exchange_make(&fixture,
	    &(struct ask){.handler = route_table[route].handler,
		.cluster = by_cluster ? named[bond] : NULL,
		.query = list ? query : NULL});
	if (strstr(route_table[route].path, "{serial}") != NULL)
		x->params.item = mem_strdup(text);
	come_from_elsewhere(x);
	return x;
}

static void end_request(struct exchange *x, size_t route)
{
	if (strstr(route_table[route].path, "{serial}") != NULL) {
		char *text;
		memcpy(&text, &x->params.item, sizeof(text));
		free(text);
	}
	exchange_done(x);
}

/* What the route says, and where the object alone can tell whose it is, what is
 * said about the object. */
static enum err_code decide(
    struct exchange *x, const struct credentials *credentials)
{
	OWNED(certificate) record = NULL;
	enum err_code code = ERR_OK;
	if (x->route->permission == PERM_PUBLIC)
		return ERR_OK;
	code = authn_identify(x, credentials, &err);
	if (code == ERR_OK)
		code = authn_may_route(x, &err);
	if (code == ERR_OK)
		code = authn_still_holds(x, &err);
	if (code != ERR_OK || x->route->scope != SCOPE_OBJECT)
		return code;
	if (x->route->handler == handle_certificate_list)
		return handle_certificate_list(x, &err);
	if (x->params.item == NULL)
		return ERR_OK;
	return authn_certificate(x, &record, &err);
}

/* The detail without what the request itself named. */
static void neutralize(char *detail, enum bond bond)
{
	struct serial serial = object_of(bond);
	OWNED_STR(text) = serial_format(&serial);
	char *at;
	while ((at = strstr(detail, named[bond])) != NULL)
		memset(at, '*', strlen(named[bond]));
	while ((at = strstr(detail, text)) != NULL)
		memset(at, '*', strlen(text));
}

struct answer {
	enum err_code code;
	char detail[sizeof(err.detail)];
	bool denied;
};

static struct answer ask_cell(
    size_t route, enum bond bond, const struct credentials *credentials)
{
	struct exchange *x = make_request(route, bond);
	struct answer answer = {0};
	err = (struct err){0};
	answer.code = decide(x, credentials);
	memcpy(answer.detail, err.detail, sizeof(answer.detail));
	answer.denied = x->denied;
	neutralize(answer.detail, bond);
	end_request(x, route);
	return answer;
}

/* "nosuch" and "theirs" are of one length, so that stars compare. */
static void assert_alike(
    size_t route, const struct answer *sibling, const struct answer *absent)
{
	if (sibling->code != absent->code ||
	    sibling->denied != absent->denied ||
	    strcmp(sibling->detail, absent->detail) != 0)
		fail_msg("%s: a sibling's \"%s\", absent \"%s\"",
		    route_table[route].path, sibling->detail, absent->detail);
}

/* ---- By certificate ---- */

static struct credentials present(struct certificate *shown, unsigned role,
    bool bound, enum credential credential)
{
	shown->serial = serial_of(role, bound, credential);
	fill_der(shown);
	if (credential == WRONG_ISSUER)
		shown->der[shown->der_len - 4] ^= 0x40;
	return (struct credentials){
	    NULL, BYTES(shown->der, shown->der_len)};
}

static unsigned check_row(
    size_t route, size_t role, enum credential credential)
{
	struct answer answers[BONDS];
	for (int bond = 0; bond < BONDS; bond++) {
		OWNED(certificate) shown = mem_zalloc(sizeof(*shown));
		struct credentials credentials = present(
		    shown, 1u << role, bond != FREE, credential);
		enum err_code want = expected(route, 1u << role,
		    (enum bond)bond, credential);
		/* A node has no identity that could end. */
		if (1u << role == N && credential == REPLAYED)
			want = expected(
			    route, N, (enum bond)bond, VALID);
		answers[bond] =
		    ask_cell(route, (enum bond)bond, &credentials);
		if (answers[bond].code != want)
			fail_msg("%s %s, %s, bond %d, credential %d: %s, "
				 "wanted %s (%s)",
			    method_name(route_table[route].method),
			    route_table[route].path, role_names[role], bond,
			    (int)credential, err_slug(answers[bond].code),
			    err_slug(want), answers[bond].detail);
	}
	assert_alike(route, &answers[SIBLING], &answers[ABSENT]);
	return BONDS;
}

static void each_certificate_may_on_each_route_what_the_matrix_says(
    void **state)
{
	unsigned cells = 0;
	(void)state;
	for (size_t route = 0; route < ROUTE_COUNT; route++)
		for (size_t role = 0; role < ROLES; role++)
			for (int c = 0; c < CREDENTIALS; c++)
				cells += check_row(
				    route, role, (enum credential)c);
	assert_true(cells > 7000);
}

/* A credential of the wrong issuer differs in what was signed, not in what is
 * looked up: its serial is on record. */
static void a_look_alike_is_found_and_refused_for_its_octets(void **state)
{
	OWNED(certificate) shown = mem_zalloc(sizeof(*shown));
	struct exchange *x = make_request(0, OWN);
	(void)state;
	struct credentials credentials = present(shown, A, false, VALID);
	assert_ok(authn_identify(x, &credentials, &err));
	exchange_done(x);
	x = make_request(0, OWN);
	credentials.certificate.len--;
	assert_int_equal(
	    authn_identify(x, &credentials, &err), ERR_UNAUTHENTICATED);
	exchange_done(x);
}

static void put_node(struct serial *serial_out)
{
	OWNED(batch) batch = batch_new();
	*serial_out = serial_of(N, true, VALID);
	serial_out->octets[1] ^= 0x0f;
	put_certificate(batch, serial_out, N, "mine", VALID);
	assert_ok(store_commit(fixture.app->store, batch, &err));
}

static void end_certificate(const struct serial *serial)
{
	OWNED(batch) batch = batch_new();
	OWNED(certificate) record = NULL;
	assert_ok(certificate_get(fixture.app->store, serial, &record, &err));
	record->state = CERTIFICATE_REVOKED;
	record->revoked = clock_now();
	certificate_put(batch, record);
	assert_ok(store_commit(fixture.app->store, batch, &err));
}

/* What a connection keeps of its caller is good while the rows are as they were. */
static void a_kept_caller_is_nobody_once_the_certificate_is_revoked(
    void **state)
{
	OWNED(certificate) shown = mem_zalloc(sizeof(*shown));
	(void)state;
	put_node(&shown->serial);
	fill_der(shown);
	const struct credentials credentials = {
	    NULL, BYTES(shown->der, shown->der_len)};
	for (int i = 0; i < 2; i++) {
		struct exchange *x = make_request(0, OWN);
		assert_ok(authn_identify(x, &credentials, &err));
		assert_string_equal(x->caller.cluster, "mine");
		authn_keep(x);
		assert_non_null(fixture.peer.certificate);
		exchange_done(x);
	}
	end_certificate(&shown->serial);
	struct exchange *x = make_request(0, OWN);
	assert_int_equal(
	    authn_identify(x, &credentials, &err), ERR_UNAUTHENTICATED);
	authn_keep(x);
	assert_null(fixture.peer.certificate);
	exchange_done(x);
}

static void a_kept_caller_is_nobody_once_the_certificate_has_expired(
    void **state)
{
	OWNED(certificate) shown = mem_zalloc(sizeof(*shown));
	struct credentials credentials = present(shown, A, false, VALID);
	struct exchange *x = make_request(0, OWN);
	(void)state;
	assert_ok(authn_identify(x, &credentials, &err));
	const int64_t not_after = x->certificate->not_after;
	authn_keep(x);
	exchange_done(x);
	clock_freeze(not_after + 1);
	x = make_request(0, OWN);
	assert_int_equal(
	    authn_identify(x, &credentials, &err), ERR_UNAUTHENTICATED);
	exchange_done(x);
	clock_thaw();
}

/* ---- By token and code ---- */

static const char *const prefixes[] = {"sgt_", "sgc_", "sgk_"};

static char *text_of(const struct secret *secret)
{
	return mem_strndup(
	    (const char *)secret_bytes(secret).data, secret_len(secret));
}

static char *make_token(enum credential credential)
{
	const struct token_request request = {
	    .cluster = "mine", .creator = "test", .ttl = 3600};
	OWNED(batch) batch = batch_new();
	OWNED(token) token = NULL;
	OWNED(secret) text = NULL;
	assert_ok(token_create(batch, &request, &token, &text, &err));
	assert_ok(store_commit(fixture.app->store, batch, &err));
	if (credential == REVOKED) {
		OWNED(batch) ended = batch_new();
		token->revision = 1;
		token_revoke(ended, token);
		assert_ok(store_commit(fixture.app->store, ended, &err));
	}
	return text_of(text);
}

static char *make_bearer(enum identity_kind kind, enum credential credential)
{
	static const char *const roles[] = {"kms"};
	const struct identity_request request = {.name = "x",
	    .cluster = "mine",
	    .creator = "test",
	    .kind = kind,
	    .roles = roles,
	    .roles_count = 1,
	    .ttl = 3600};
	OWNED(batch) batch = batch_new();
	OWNED(identity) identity = NULL;
	OWNED(secret) text = NULL;
	assert_ok(
	    identity_create(batch, NULL, &request, &identity, &text, &err));
	assert_ok(store_commit(fixture.app->store, batch, &err));
	if (credential == REVOKED || credential == REPLAYED) {
		OWNED(batch) ended = batch_new();
		identity->revision = 1;
		identity_revoke(ended, identity);
		assert_ok(store_commit(fixture.app->store, ended, &err));
	}
	return text_of(text);
}

/* Of the wrong issuer: of the right form, and nobody's.  Of the wrong usage: one
 * kind's bits under another's prefix. */
static char *make_header(size_t kind, enum credential credential)
{
	if (credential == EXPIRED)
		clock_freeze(clock_now() - 8 * 86400);
	OWNED_STR(text) = kind == 0
	    ? make_token(credential)
	    : make_bearer(kind == 1 ? IDENTITY_CERTIFICATE : IDENTITY_TOKEN,
		  credential);
	clock_thaw();
	if (credential == WRONG_ISSUER)
		text[20] = text[20] == 'A' ? 'B' : 'A';
	if (credential == WRONG_USAGE)
		memcpy(text, prefixes[(kind + 1) % 3], 4);
	return mem_printf("Bearer %s", text);
}

static enum err_code bearer_expected(
    size_t route, size_t kind, enum bond bond, enum credential credential)
{
	const struct expectation *expect = expectations[route];
	if (expect->reach == PUBLIC)
		return ERR_OK;
	/* A spent bootstrap token is its handler's to refuse. */
	if ((expect->bearers & 1u << kind) == 0 ||
	    (credential != VALID && !(kind == 0 && credential == REPLAYED)))
		return ERR_UNAUTHENTICATED;
	return by_reach(expect->reach, bond);
}

static unsigned check_bearer(
    size_t kind, enum credential credential, const char *header)
{
	const struct credentials credentials = {header, {NULL, 0}};
	for (size_t route = 0; route < ROUTE_COUNT; route++) {
		struct answer answers[ABSENT + 1];
		for (int bond = OWN; bond <= ABSENT; bond++) {
			enum err_code want = bearer_expected(
			    route, kind, (enum bond)bond, credential);
			answers[bond] =
			    ask_cell(route, (enum bond)bond, &credentials);
			if (answers[bond].code != want)
				fail_msg("%s %s, %s bond %d, credential %d: "
					 "%s, wanted %s (%s)",
				    method_name(route_table[route].method),
				    route_table[route].path, prefixes[kind],
				    bond, (int)credential,
				    err_slug(answers[bond].code),
				    err_slug(want), answers[bond].detail);
		}
		assert_alike(route, &answers[SIBLING], &answers[ABSENT]);
	}
	return ROUTE_COUNT * (ABSENT + 1);
}

static void each_token_and_code_may_on_each_route_what_the_matrix_says(
    void **state)
{
	unsigned cells = 0;
	(void)state;
	for (size_t kind = 0; kind < ARRAY_LEN(prefixes); kind++)
		for (int c = 0; c < CREDENTIALS; c++) {
			OWNED_STR(header) =
			    make_header(kind, (enum credential)c);
			cells += check_bearer(
			    kind, (enum credential)c, header);
		}
	assert_true(cells > 2000);
}

/* ---- By nothing ---- */

static void nobody_may_what_is_not_public(void **state)
{
	const struct credentials nothing = {NULL, {NULL, 0}};
	(void)state;
	for (size_t route = 0; route < ROUTE_COUNT; route++)
		for (int bond = 0; bond < BONDS; bond++) {
			struct answer answer =
			    ask_cell(route, (enum bond)bond, &nothing);
			assert_int_equal(answer.code,
			    expectations[route]->reach == PUBLIC
				? ERR_OK : ERR_UNAUTHENTICATED);
		}
}

static int begin(void **state)
{
	(void)state;
	fixture_begin(&fixture);
	load_roles();
	make_callers();
	make_objects();
	return 0;
}

static int end(void **state)
{
	(void)state;
	fixture_end(&fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		each_certificate_may_on_each_route_what_the_matrix_says),
	    cmocka_unit_test(
		a_kept_caller_is_nobody_once_the_certificate_is_revoked),
	    cmocka_unit_test(
		a_kept_caller_is_nobody_once_the_certificate_has_expired),
	    cmocka_unit_test(a_look_alike_is_found_and_refused_for_its_octets),
	    cmocka_unit_test(
		each_token_and_code_may_on_each_route_what_the_matrix_says),
	    cmocka_unit_test(nobody_may_what_is_not_public),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
