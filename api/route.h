// SPDX-License-Identifier: Apache-2.0
/* The routes of the API as one table: what may be asked, by whom, how large. */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/target.h"
#include "policies/approvers.h"

#define API_PREFIX "/api/v1"

enum method { METHOD_GET, METHOD_POST, METHOD_PATCH, METHOD_DELETE,
	METHOD_COUNT };

/* Whose object the route concerns, for authorize(). */
enum route_scope {
	SCOPE_NONE,	/* no cluster's: callers bound to one are refused */
	SCOPE_CLUSTER,	/* the one in the path */
	SCOPE_OBJECT,	/* known to the handler alone, which checks again; before
			 * it runs the caller must have the permission for its
			 * own cluster at least */
};

enum {
	ROUTE_JOB = 1 << 0,	/* waits: runs on a worker thread */
	ROUTE_TOKEN = 1 << 1,	/* a bootstrap token may authenticate it */
	ROUTE_CODE = 1 << 2,	/* likewise an enrolment code */
	ROUTE_KEY_TOKEN = 1 << 3, /* likewise a bearer token for keys */
};

#define BODY_JSON (64u * 1024)
#define BODY_CSR (24u * 1024)	/* a request of 16 KiB, escaped as JSON */
#define BODY_EMPTY 64u		/* nothing to say: "" or "{}" */

/* In the flags: the route's action in approvals.yaml, which then stands between
 * the caller's permission and the handler (approvals.h).  For routes that are jobs,
 * and whose body holds no secret: others read it. */
#define NEEDS_SHIFT 16
#define NEEDS(action) ((unsigned)GUARDED_##action << NEEDS_SHIFT)

struct exchange;
typedef enum err_code route_handler(struct exchange *x, struct err *err);

struct route {
	enum method method;
	const char *path;	/* "/clusters/{cluster}/keys/{key}" */
	enum permission permission;
	enum route_scope scope;
	unsigned flags;		/* ROUTE_*, and NEEDS() */
	size_t body_max;	/* octets */
	const char *query;	/* names allowed, joined by ',' */
	route_handler *handler;
};

enum {
#define ROUTE(method, path, perm, scope, flags, body, query, handler)          \
	ROUTE_INDEX_##handler,
#include "api/route.def"
#undef ROUTE
	ROUTE_COUNT
};
extern const struct route route_table[ROUTE_COUNT];

/* What others must consent to; GUARDED_NONE: nothing. */
static inline enum guarded_action route_guarded(const struct route *route)
{
	return (enum guarded_action)(route->flags >> NEEDS_SHIFT);
}

/* The parameters of a path; borrowed from the target. */
struct route_params {
	const char *cluster;
	const char *item;	/* whatever else stands in braces */
};

/*
 * Finds the route for METHOD ("GET", …; HEAD is answered as GET) and path.
 * *route_out stays NULL on failure.
 * Errors: ERR_NOT_FOUND; ERR_BAD_METHOD, and *allow_out (static text) lists
 * the methods that the path has.
 */
MUST_CHECK enum err_code route_find(const char *method,
    const struct target *target, const struct route **route_out,
    struct route_params *params_out, const char **allow_out, struct err *err);

/* Refuses names in the query that ROUTE does not know.
 * Errors: ERR_BAD_FIELD. */
MUST_CHECK enum err_code route_check_query(const struct route *route,
    const struct target *target, struct err *err);

const char *method_name(enum method method);

#define ROUTE(method, path, perm, scope, flags, body, query, handler)          \
	route_handler handler;
#include "api/route.def"
#undef ROUTE

#endif
