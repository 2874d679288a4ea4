// SPDX-License-Identifier: Apache-2.0
#include "policies/overlap.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define PAGE 100

struct finding {
	const struct cluster *cluster;
	size_t left;
	overlap_each *each;
	void *arg;
};

/* "*.x" stands for one label before x. */
static bool covers(const char *pattern, const char *name)
{
	const char *dot = strchr(name, '.');

	return text_has_prefix(pattern, "*.") && dot != NULL &&
	       strcmp(dot + 1, pattern + 2) == 0;
}

bool overlap_dns(const char *a, const char *b)
{
	return strcmp(a, b) == 0 || covers(a, b) || covers(b, a);
}

bool overlap_ip(const struct cidr *a, const struct cidr *b)
{
	return a->base.len == b->base.len &&
	       (cidr_contains(a, &b->base) || cidr_contains(b, &a->base));
}

static void tell(struct finding *finding, const char *own, const char *other,
    const struct cluster *cluster)
{
	OWNED_STR(text) =
	    strcmp(own, other) == 0
		? mem_printf("%s is also of cluster %s", own, cluster->name)
		: mem_printf(
		      "%s meets %s of cluster %s", own, other, cluster->name);

	if (finding->left == 0)
		return;
	finding->left--;
	finding->each(text, finding->arg);
}

static void compare_dns(struct finding *finding, const struct cluster *other)
{
	const struct cluster *own = finding->cluster;

	for (size_t i = 0; i < own->dns_count; i++)
		for (size_t j = 0; j < other->dns_count; j++)
			if (overlap_dns(own->dns[i], other->dns[j]))
				tell(
				    finding, own->dns[i], other->dns[j], other);
}

static void compare_ips(struct finding *finding, const struct cluster *other)
{
	const struct cluster *own = finding->cluster;
	char a[IP_TEXT_SIZE], b[IP_TEXT_SIZE];

	for (size_t i = 0; i < own->ips_count; i++)
		for (size_t j = 0; j < other->ips_count; j++)
			if (overlap_ip(&own->ips[i], &other->ips[j]))
				tell(finding, cidr_format(&own->ips[i], a),
				    cidr_format(&other->ips[j], b), other);
}

static void compare(struct finding *finding, const struct cluster *other)
{
	if (other->state != CLUSTER_ACTIVE ||
	    strcmp(other->name, finding->cluster->name) == 0)
		return;
	compare_dns(finding, other);
	compare_ips(finding, other);
}

enum err_code overlap_find(struct store *store, const struct cluster *cluster,
    size_t limit, overlap_each *each, void *arg, struct err *err)
{
	struct finding finding = {cluster, limit, each, arg};
	OWNED_STR(after) = NULL;
	size_t count;

	do {
		struct cluster *page[PAGE];
		enum err_code code =
		    cluster_list(store, after, PAGE, page, &count, err);

		if (code != ERR_OK)
			return code;
		if (count > 0) {
			free(after);
			after = mem_strdup(page[count - 1]->name);
		}
		for (size_t i = 0; i < count; i++) {
			compare(&finding, page[i]);
			cluster_free(page[i]);
		}
	} while (count == PAGE && finding.left > 0);
	return ERR_OK;
}
