// SPDX-License-Identifier: Apache-2.0
#include "api/restart.h"

#include <stddef.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_UNSIGNED, KIND_SECONDS, KIND_SIZE };

/* What is not here is taken at once, or is compared by hand below. */
static const struct {
	const char *key;
	size_t offset;
	enum kind kind;
} settings[] = {
#define ROW(key, member, kind)                                                 \
	{                                                                      \
		key, offsetof(struct config, member), kind                     \
	}
    ROW("public_url", public_url, KIND_TEXT),
    ROW("listen.api", listen.api, KIND_TEXT),
    ROW("listen.public", listen.public, KIND_TEXT),
    ROW("listen.ops", listen.ops, KIND_TEXT),
    ROW("tls.certificate", tls.certificate, KIND_TEXT),
    ROW("tls.key", tls.key, KIND_TEXT),
    ROW("store.path", store.path, KIND_TEXT),
    ROW("store.map_size_mib", store.map_size_mib, KIND_SIZE),
    ROW("store.scrub_period", store.scrub_period, KIND_SECONDS),
    ROW("hsm.module", hsm.module, KIND_TEXT),
    ROW("hsm.token", hsm.token, KIND_TEXT),
    ROW("hsm.root_token", hsm.root_token, KIND_TEXT),
    ROW("hsm.pin_file", hsm.pin_file, KIND_TEXT),
    ROW("hsm.workers", hsm.workers, KIND_UNSIGNED),
    ROW("hsm.timeout", hsm.timeout, KIND_SECONDS),
    ROW("limits.event_threads", limits.event_threads, KIND_UNSIGNED),
    ROW("limits.workers", limits.workers, KIND_UNSIGNED),
    ROW("limits.queue", limits.queue, KIND_UNSIGNED),
    ROW("limits.connections", limits.connections, KIND_UNSIGNED),
    ROW("limits.connections_per_ip", limits.connections_per_ip, KIND_UNSIGNED),
    ROW("limits.handshakes", limits.handshakes, KIND_UNSIGNED),
    ROW("crl.validity", crl.validity, KIND_SECONDS),
    ROW("crl.refresh", crl.refresh, KIND_SECONDS),
    ROW("ocsp.validity", ocsp.validity, KIND_SECONDS),
    ROW("ocsp.cache_entries", ocsp.cache_entries, KIND_UNSIGNED),
    ROW("audit.witness_ca", audit.witness_ca, KIND_TEXT),
    ROW("audit.witness_certificate", audit.witness_certificate, KIND_TEXT),
    ROW("audit.witness_key", audit.witness_key, KIND_TEXT),
    ROW("repeat_window", repeat_window, KIND_SECONDS),
#undef ROW
};

static bool same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool same(const struct config *a, const struct config *b, size_t i)
{
	const char *x = (const char *)a + settings[i].offset;
	const char *y = (const char *)b + settings[i].offset;
	const char *text_a = NULL, *text_b = NULL;

	switch (settings[i].kind) {
	case KIND_UNSIGNED:
		return memcmp(x, y, sizeof(unsigned)) == 0;
	case KIND_SECONDS:
		return memcmp(x, y, sizeof(int64_t)) == 0;
	case KIND_SIZE:
		return memcmp(x, y, sizeof(uint64_t)) == 0;
	case KIND_TEXT:
		memcpy(&text_a, x, sizeof(text_a));
		memcpy(&text_b, y, sizeof(text_b));
		return same_text(text_a, text_b);
	}
	return true;
}

static bool same_list(
    char *const *a, unsigned a_count, char *const *b, unsigned b_count)
{
	if (a_count != b_count)
		return false;
	for (unsigned i = 0; i < a_count; i++)
		if (!same_text(a[i], b[i]))
			return false;
	return true;
}

static void add(struct buf *keys, const char *key)
{
	buf_printf(keys, "%s%s", keys->len > 0 ? ", " : "", key);
}

void restart_keys(
    const struct config *running, const struct config *fresh, struct buf *keys)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (!same(running, fresh, i))
			add(keys, settings[i].key);
	if (!same_list(running->tls.names, running->tls.names_count,
		fresh->tls.names, fresh->tls.names_count))
		add(keys, "tls.names");
	if (!same_list(running->audit.witness, running->audit.witness_count,
		fresh->audit.witness, fresh->audit.witness_count))
		add(keys, "audit.witness");
	if (!same_list(running->hsm.environment, running->hsm.environment_count,
		fresh->hsm.environment, fresh->hsm.environment_count))
		add(keys, "hsm.environment");
}
