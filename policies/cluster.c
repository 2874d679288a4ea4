// SPDX-License-Identifier: Apache-2.0
#include "policies/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policies/record.h"
#include "policies/row.h"
#include "policies/syntax.h"
#include "store/key.h"

void cluster_free(struct cluster *cluster)
{
	if (cluster == NULL)
		return;
	record_texts_free(cluster->dns, cluster->dns_count);
	free(cluster->ips);
	free(cluster->from);
	free(cluster->quarantine_reason);
	free(cluster->name);
	free(cluster->policy);
	free(cluster->issuer);
	free(cluster);
}

static enum err_code check_labels(
    const struct cluster_request *request, struct err *err)
{
	const struct {
		const char *what, *text;
	} labels[] = {
		{"cluster", request->name},
		{"policy", request->policy},
		{"issuer", request->issuer},
	};

	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		if (labels[i].text != NULL && text_is_label(labels[i].text))
			continue;
		return err_refuse(err, ERR_BAD_FIELD,
		    "name of %s \"%s\": wanted are 1 to 63 of a-z, 0-9 and '-', "
		    "with a letter or digit at both ends", labels[i].what,
		    err_quote_str(labels[i].text));
	}
	return ERR_OK;
}

static bool has_pattern(const struct cluster *cluster, const char *pattern)
{
	for (size_t i = 0; i < cluster->dns_count; i++) {
		if (strcmp(cluster->dns[i], pattern) == 0)
			return true;
	}
	return false;
}

static enum err_code parse_pattern(
    struct cluster *cluster, const char *text, struct err *err)
{
	const char *wrong = syntax_dns_pattern(BYTES_STR(text));
	OWNED_STR(pattern) = NULL;

	if (wrong != NULL)
		return err_refuse(err, ERR_BAD_FIELD,
		    "DNS pattern \"%s\" %s; wanted is one such as db1.example.net "
		    "or *.orders.example.net", err_quote_str(text), wrong);
	pattern = mem_strdup(text);
	for (char *c = pattern; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	if (!has_pattern(cluster, pattern))
		cluster->dns[cluster->dns_count++] = GIVE(pattern);
	return ERR_OK;
}

enum err_code cluster_set_from(struct cluster *cluster,
    const char *const *ranges, size_t count, struct err *err)
{
	struct cidr *from;
	enum err_code code;

	if (count > CLUSTER_PATTERNS_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "a cluster has at most %d source ranges",
		    CLUSTER_PATTERNS_MAX);
	from = mem_zalloc_array(count, sizeof(*from));
	code = record_parse_ranges(ranges, count, from, err);
	if (code != ERR_OK) {
		free(from);
		return code;
	}
	free(cluster->from);
	cluster->from = from;
	cluster->from_count = count;
	return ERR_OK;
}

/* One line for people. */
static bool is_reason(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > CLUSTER_REASON_MAX ||
	    !text_is_utf8(BYTES(text, len)))
		return false;
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

enum err_code cluster_set_quarantine(
    struct cluster *cluster, const char *reason, struct err *err)
{
	if (reason != NULL && !is_reason(reason))
		return err_refuse(err, ERR_BAD_FIELD,
		    "Field \"reason\": wanted is one line of 1 to %d octets",
		    CLUSTER_REASON_MAX);
	free(cluster->quarantine_reason);
	cluster->quarantine_reason =
	    reason == NULL ? NULL : mem_strdup(reason);
	if (reason == NULL)
		cluster->quarantined = 0;
	else if (cluster->quarantined == 0)
		cluster->quarantined = clock_now();
	return ERR_OK;
}

enum err_code cluster_check_source(
    const struct cluster *cluster, const struct ip *source, struct err *err)
{
	char text[IP_TEXT_SIZE];

	if (cidrs_admit(cluster->from, cluster->from_count, source))
		return ERR_OK;
	return err_refuse(err, ERR_FORBIDDEN,
	    "%s is not among the addresses that callers of cluster %s come from",
	    ip_format(source, text), cluster->name);
}

enum err_code cluster_check_usable(
    const struct cluster *cluster, struct err *err)
{
	if (cluster->state != CLUSTER_ACTIVE)
		return err_refuse(err, ERR_POLICY,
		    "Cluster %s is retired: nothing is issued or used for it",
		    cluster->name);
	if (cluster->quarantined != 0)
		return err_refuse(err, ERR_QUARANTINED,
		    "Cluster %s is quarantined: %s", cluster->name,
		    cluster->quarantine_reason);
	return ERR_OK;
}

enum err_code cluster_parse(const struct cluster_request *request,
    struct cluster **cluster_out, struct err *err)
{
	OWNED(cluster) cluster = mem_zalloc(sizeof(*cluster));
	enum err_code code;

	if ((code = check_labels(request, err)) != ERR_OK)
		return code;
	if (request->dns_count > CLUSTER_PATTERNS_MAX ||
	    request->ips_count > CLUSTER_PATTERNS_MAX)
		return err_refuse(err, ERR_BAD_FIELD,
		    "a cluster has at most %d DNS patterns and %d IP ranges",
		    CLUSTER_PATTERNS_MAX, CLUSTER_PATTERNS_MAX);
	cluster->dns =
	    mem_zalloc_array(request->dns_count, sizeof(*cluster->dns));
	for (size_t i = 0; i < request->dns_count; i++) {
		code = parse_pattern(cluster, request->dns[i], err);
		if (code != ERR_OK)
			return code;
	}
	cluster->ips =
	    mem_zalloc_array(request->ips_count, sizeof(*cluster->ips));
	code = record_parse_ranges(
	    request->ips, request->ips_count, cluster->ips, err);
	if (code != ERR_OK)
		return code;
	cluster->ips_count = request->ips_count;
	code = cluster_set_from(
	    cluster, request->from, request->from_count, err);
	if (code != ERR_OK)
		return code;
	cluster->name = mem_strdup(request->name);
	cluster->policy = mem_strdup(request->policy);
	cluster->issuer = mem_strdup(request->issuer);
	cluster->state = CLUSTER_ACTIVE;
	cluster->created = clock_now();
	*cluster_out = GIVE(cluster);
	return ERR_OK;
}

void cluster_write(const struct cluster *cluster, struct buf *out)
{
	buf_put_u8(out, CLUSTER_RECORD_VERSION);
	buf_put_lv_str(out, cluster->policy);
	buf_put_lv_str(out, cluster->issuer);
	buf_put_u8(out, (uint8_t)cluster->state);
	buf_put_i64(out, cluster->created);
	record_put_texts(out, cluster->dns, cluster->dns_count);
	record_put_ranges(out, cluster->ips, cluster->ips_count);
	record_put_ranges(out, cluster->from, cluster->from_count);
	buf_put_i64(out, cluster->quarantined);
	buf_put_lv_str(out, cluster->quarantine_reason == NULL
		? "" : cluster->quarantine_reason);
}

static bool has_upper_case(const char *text)
{
	return strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

/* Is what was read within the bounds that cluster_parse keeps? */
static bool is_sound(const struct cluster *cluster)
{
	for (size_t i = 0; i < cluster->dns_count; i++) {
		const char *pattern = cluster->dns[i];

		if (syntax_dns_pattern(BYTES_STR(pattern)) != NULL ||
		    has_upper_case(pattern))
			return false;
	}
	if (cluster->quarantined < 0 ||
	    (cluster->quarantined != 0) != (cluster->quarantine_reason != NULL))
		return false;
	return text_is_label(cluster->name) && text_is_label(cluster->policy) &&
	    text_is_label(cluster->issuer) &&
	    (cluster->state == CLUSTER_ACTIVE ||
		cluster->state == CLUSTER_RETIRED);
}

/* What version 2 has more. */
static bool read_exposure(struct reader *reader, struct cluster *cluster)
{
	OWNED_STR(reason) = NULL;

	cluster->from = record_read_ranges(
	    reader, CLUSTER_PATTERNS_MAX, &cluster->from_count);
	cluster->quarantined = reader_i64(reader);
	reason = reader_lv_str(reader);
	if (reader->failed || reason == NULL)
		return false;
	if (reason[0] == '\0')
		return true;
	if (!is_reason(reason))
		return false;
	cluster->quarantine_reason = GIVE(reason);
	return true;
}

bool cluster_read(
    const char *name, struct bytes record, struct cluster **cluster_out)
{
	OWNED(cluster) cluster = mem_zalloc(sizeof(*cluster));
	struct reader reader = reader_over(record);
	uint8_t version = reader_u8(&reader);

	if (version < 1 || version > CLUSTER_RECORD_VERSION)
		return false;
	cluster->name = mem_strdup(name);
	cluster->policy = reader_lv_str(&reader);
	cluster->issuer = reader_lv_str(&reader);
	cluster->state = (enum cluster_state)reader_u8(&reader);
	cluster->created = reader_i64(&reader);
	cluster->dns = record_read_texts(
	    &reader, CLUSTER_PATTERNS_MAX, &cluster->dns_count);
	cluster->ips = record_read_ranges(
	    &reader, CLUSTER_PATTERNS_MAX, &cluster->ips_count);
	if (version >= 2 && !read_exposure(&reader, cluster))
		return false;
	if (!reader_done(&reader) || !is_sound(cluster))
		return false;
	*cluster_out = GIVE(cluster);
	return true;
}

static struct key key_of(const char *name)
{
	struct key key = KEY_INIT;

	key_add_text(&key, name);
	return key;
}

static void put(struct batch *batch, const struct cluster *cluster)
{
	struct key key = key_of(cluster->name);
	OWNED_BUF(record);

	cluster_write(cluster, &record);
	batch_put(batch, TABLE_CLUSTERS, key_bytes(&key), buf_bytes(&record));
}

void cluster_create(struct batch *batch, const struct cluster *cluster)
{
	struct key key = key_of(cluster->name);

	batch_require_absent(batch, TABLE_CLUSTERS, key_bytes(&key));
	put(batch, cluster);
}

void cluster_update(struct batch *batch, const struct cluster *cluster)
{
	cluster_require(batch, cluster);
	put(batch, cluster);
}

void cluster_retire(struct batch *batch, const struct cluster *cluster)
{
	struct cluster retired = *cluster;

	retired.state = CLUSTER_RETIRED;
	cluster_update(batch, &retired);
}

void cluster_require(struct batch *batch, const struct cluster *cluster)
{
	struct key key = key_of(cluster->name);

	batch_require_revision(
	    batch, TABLE_CLUSTERS, key_bytes(&key), cluster->revision);
}

static enum err_code find_record(struct store *store, const char *name,
    struct buf *record, uint64_t *revision_out, struct err *err)
{
	struct key key;
	bool found = false;
	enum err_code code;

	/* What is no label was never a cluster, and could overflow a key. */
	if (text_is_label(name)) {
		key = key_of(name);
		code = store_find(store, TABLE_CLUSTERS, key_bytes(&key),
		    record, revision_out, &found, err);
		if (code != ERR_OK)
			return code;
	}
	if (!found)
		return err_refuse(err, ERR_NOT_FOUND, "there is no cluster \"%s\"",
		    err_quote_str(name));
	return ERR_OK;
}

enum err_code cluster_get(struct store *store, const char *name,
    struct cluster **cluster_out, struct err *err)
{
	uint64_t revision = 0;
	OWNED_BUF(record);
	enum err_code code =
	    find_record(store, name, &record, &revision, err);

	if (code != ERR_OK)
		return code;
	if (!cluster_read(name, buf_bytes(&record), cluster_out))
		return err_fail(err, ERR_CORRUPT,
		    "record of cluster %s cannot be read", name);
	(*cluster_out)->revision = revision;
	return ERR_OK;
}

/* The cluster under KEY, which is its name and a zero octet. */
static bool read_row(
    struct bytes key, struct bytes record, uint64_t revision, void *slot)
{
	OWNED_STR(name) = mem_strndup(
	    (const char *)key.data, key.len == 0 ? 0 : key.len - 1);
	struct cluster **cluster = slot;

	if (!cluster_read(name, record, cluster))
		return false;
	(*cluster)->revision = revision;
	return true;
}

static void drop_row(void *slot)
{
	cluster_free(*(struct cluster **)slot);
}

static const struct row_kind cluster_row = {
    .name = "cluster",
    .table = TABLE_CLUSTERS,
    .read = read_row,
    .drop = drop_row,
};

enum err_code cluster_list(struct store *store, const char *after, size_t limit,
    struct cluster **clusters, size_t *count_out, struct err *err)
{
	struct row_page page = {.limit = limit, .slots = clusters};
	struct key key = KEY_INIT;
	enum err_code code;

	*count_out = 0;
	if (after != NULL && !text_is_label(after))
		return err_refuse(err, ERR_BAD_FIELD,
		    "\"%s\" is not the name of a cluster", err_quote_str(after));
	if (after != NULL)
		key = key_of(after);
	page.after = key_bytes(&key);
	code = row_list(store, &cluster_row, &page, err);
	*count_out = page.count;
	return code;
}
