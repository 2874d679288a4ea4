// SPDX-License-Identifier: Apache-2.0
#include "api/route.h"

#include <string.h>

const struct route route_table[ROUTE_COUNT] = {
#define ROUTE(method, path, perm, scope, flags, body, query, handler)          \
	{METHOD_##method, path, PERM_##perm, SCOPE_##scope, flags, body,       \
	    query, handler},
#include "api/route.def"
#undef ROUTE
};

const char *method_name(enum method method)
{
	static const char *const names[METHOD_COUNT] = {
	    [METHOD_GET] = "GET",
	    [METHOD_POST] = "POST",
	    [METHOD_PATCH] = "PATCH",
	    [METHOD_DELETE] = "DELETE",
	};
	return names[method];
}

static bool method_parse(const char *name, enum method *method_out)
{
	if (strcmp(name, "HEAD") == 0)
		name = "GET";
	for (int i = 0; i < METHOD_COUNT; i++) {
		if (strcmp(name, method_name((enum method)i)) == 0) {
			*method_out = (enum method)i;
			return true;
		}
	}
	return false;
}

/* Does the segment match the part of a template of LEN octets? */
static bool match_segment(const char *part, size_t len, const char *segment,
    struct route_params *params)
{
	static const char cluster[] = "{cluster}";
	if (part[0] != '{')
		return strncmp(part, segment, len) == 0 &&
		    segment[len] == '\0';
	if (len == strlen(cluster) && memcmp(part, cluster, len) == 0)
		params->cluster = segment;
	else
		params->item = segment;
	return true;
}

static bool match_path(const char *path, const struct target *target,
    struct route_params *params)
{
	*params = (struct route_params){0};
	for (size_t i = 0; i < target->segments_count; i++) {
		if (*path != '/')
			return false;
		size_t len = strcspn(path + 1, "/");
		if (!match_segment(path + 1, len, target->segments[i], params))
			return false;
		path += 1 + len;
	}
	return *path == '\0';
}

/* The text of Allow for a set of methods, one bit each. */
static const char *allow_text(unsigned methods)
{
	static const char *const texts[1 << METHOD_COUNT] = {
	    [1 << METHOD_GET] =
		"GET, HEAD",
	    [1 << METHOD_POST] =
		"POST",
	    [1 << METHOD_PATCH] =
		"PATCH",
	    [1 << METHOD_DELETE] =
		"DELETE",
	    [1 << METHOD_GET | 1 << METHOD_POST] =
		"GET, HEAD, POST",
	    [1 << METHOD_GET | 1 << METHOD_PATCH] =
		"GET, HEAD, PATCH",
	    [1 << METHOD_GET | 1 << METHOD_DELETE] =
		"GET, HEAD, DELETE",
	    [1 << METHOD_POST | 1 << METHOD_PATCH] =
		"POST, PATCH",
	    [1 << METHOD_POST | 1 << METHOD_DELETE] =
		"POST, DELETE",
	    [1 << METHOD_PATCH | 1 << METHOD_DELETE] =
		"PATCH, DELETE",
	    [1 << METHOD_GET | 1 << METHOD_POST | 1 << METHOD_PATCH] =
		"GET, HEAD, POST, PATCH",
	    [1 << METHOD_GET | 1 << METHOD_POST | 1 << METHOD_DELETE] =
		"GET, HEAD, POST, DELETE",
	    [1 << METHOD_GET | 1 << METHOD_PATCH | 1 << METHOD_DELETE] =
		"GET, HEAD, PATCH, DELETE",
	    [1 << METHOD_POST | 1 << METHOD_PATCH | 1 << METHOD_DELETE] =
		"POST, PATCH, DELETE",
	    [1 << METHOD_GET | 1 << METHOD_POST | 1 << METHOD_PATCH | 1 << METHOD_DELETE] =
		"GET, HEAD, POST, PATCH, DELETE",
	};
	return texts[methods];
}

enum err_code route_find(const char *method, const struct target *target,
    const struct route **route_out, struct route_params *params_out,
    const char **allow_out, struct err *err)
{
	enum method wanted = METHOD_COUNT;
	bool known = method_parse(method, &wanted);
	unsigned methods = 0;
	*route_out = NULL;
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		const struct route *route = &route_table[i];
		if (!match_path(route->path, target, params_out))
			continue;
		if (known && route->method == wanted) {
			*route_out = route;
			return ERR_OK;
		}
		methods |= 1u << route->method;
	}
	if (methods == 0)
		return err_refuse(
		    err, ERR_NOT_FOUND, "There is nothing at this path");
	*allow_out = allow_text(methods);
	return err_refuse(err, ERR_BAD_METHOD,
	    "This path has the methods %s", *allow_out);
}

static bool list_has(const char *list, const char *name)
{
	size_t len = strlen(name);
	while (*list != '\0') {
		size_t part = strcspn(list, ",");
		if (part == len && memcmp(list, name, len) == 0)
			return true;
		list += part;
		list += *list == ',';
	}
	return false;
}

enum err_code route_check_query(const struct route *route,
    const struct target *target, struct err *err)
{
	for (size_t i = 0; i < target->query_count; i++) {
		const char *name = target->query[i].name;
		if (*name != '\0' && list_has(route->query, name))
			continue;
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"%s\" of the query is not known here; known: %s",
		    err_quote_str(name),
		    *route->query == '\0' ? "none" : route->query);
	}
	return ERR_OK;
}
