// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/config_rules.h"
#include "base/fs.h"
#include "base/yaml.h"

#define MOST_TEXT 1024		/* octets of a path, URI or name */
#define MOST_LIST 64

/* Every mapping of the schema lies over this whole struct, so that an offset
 * means the same at any depth. */
struct file {
	struct config config;
	struct config_words words;
};

#define TEXT(key, member)                                                      \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER,  \
	    struct file, member, 1, MOST_TEXT)
#define NUMBER(key, member)                                                    \
	CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, struct file, member)
#define LIST(key, member)                                                      \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER,    \
	    struct file, member, &text_entry, 0, MOST_LIST)
#define PART(name, part_fields)                                                \
	{                                                                      \
		.key = name, .data_offset = 0, .value = {                      \
			CYAML_VALUE_MAPPING(                                   \
			    CYAML_FLAG_OPTIONAL, struct file, part_fields)     \
		}                                                              \
	}

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, MOST_TEXT)};

static const cyaml_schema_field_t listen_fields[] = {
    TEXT("api", config.listen.api),
    TEXT("public", config.listen.public),
    TEXT("ops", config.listen.ops),
    CYAML_FIELD_END};

#define RANGES(key, list)                                                      \
	LIST(key, words.access.list.items)

static const cyaml_schema_field_t access_role_fields[] = {
    RANGES("admin", admin),
    RANGES("operator", operator),
    RANGES("key-officer", key_officer),
    RANGES("auditor", auditor),
    RANGES("node", node),
    RANGES("kms", kms),
    CYAML_FIELD_END};

static const cyaml_schema_field_t access_fields[] = {
    RANGES("api", api),
    RANGES("public", public),
    RANGES("ops", ops),
    PART("roles", access_role_fields),
    CYAML_FIELD_END};

static const cyaml_schema_field_t server_fields[] = {
    TEXT("user", config.server.user), CYAML_FIELD_END};

static const cyaml_schema_field_t tls_fields[] = {
    TEXT("certificate", config.tls.certificate),
    TEXT("key", config.tls.key),
    LIST("names", config.tls.names),
    CYAML_FIELD_END};

static const cyaml_schema_field_t store_fields[] = {
    TEXT("path", config.store.path),
    NUMBER("map_size_mib", config.store.map_size_mib),
    TEXT("scrub_period", words.scrub_period),
    CYAML_FIELD_END};

static const cyaml_schema_field_t hsm_fields[] = {
    TEXT("module", config.hsm.module),
    TEXT("token", config.hsm.token),
    TEXT("root_token", config.hsm.root_token),
    TEXT("pin_file", config.hsm.pin_file),
    LIST("environment", config.hsm.environment),
    NUMBER("workers", config.hsm.workers),
    TEXT("timeout", words.hsm_timeout),
    TEXT("sandbox", config.hsm.sandbox),
    CYAML_FIELD_END};

static const cyaml_schema_field_t rate_fields[] = {
    TEXT("source", words.rate.source),
    TEXT("failures", words.rate.failures),
    TEXT("identity", words.rate.identity),
    TEXT("cluster", words.rate.cluster),
    TEXT("names", words.rate.names),
    TEXT("public", words.rate.public),
    TEXT("ocsp_signed", words.rate.ocsp_signed),
    CYAML_FIELD_END};

static const cyaml_schema_field_t limits_fields[] = {
    NUMBER("event_threads", config.limits.event_threads),
    NUMBER("workers", config.limits.workers),
    NUMBER("queue", config.limits.queue),
    NUMBER("connections", config.limits.connections),
    NUMBER("connections_per_ip", config.limits.connections_per_ip),
    NUMBER("handshakes", config.limits.handshakes),
    TEXT("handshake_timeout", words.handshake_timeout),
    TEXT("request_timeout", words.request_timeout),
    TEXT("drain_timeout", words.drain_timeout),
    PART("rate", rate_fields),
    CYAML_FIELD_END};

static const cyaml_schema_field_t crl_fields[] = {
    TEXT("validity", words.crl_validity),
    TEXT("refresh", words.crl_refresh),
    CYAML_FIELD_END};

static const cyaml_schema_field_t ocsp_fields[] = {
    TEXT("validity", words.ocsp_validity),
    NUMBER("cache_entries", config.ocsp.cache_entries),
    CYAML_FIELD_END};

static const cyaml_schema_field_t audit_fields[] = {
    LIST("witness", config.audit.witness),
    TEXT("witness_ca", config.audit.witness_ca),
    TEXT("witness_certificate", config.audit.witness_certificate),
    TEXT("witness_key", config.audit.witness_key),
    CYAML_FIELD_END};

static const cyaml_schema_field_t log_fields[] = {
    TEXT("level", words.log_level), CYAML_FIELD_END};

static const cyaml_schema_field_t file_fields[] = {
    PART("listen", listen_fields),
    PART("access", access_fields),
    TEXT("public_url", config.public_url),
    PART("server", server_fields),
    PART("tls", tls_fields),
    PART("store", store_fields),
    PART("hsm", hsm_fields),
    PART("limits", limits_fields),
    PART("crl", crl_fields),
    PART("ocsp", ocsp_fields),
    TEXT("repeat_window", words.repeat_window),
    TEXT("policies", config.policies),
    PART("audit", audit_fields),
    PART("log", log_fields),
    CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file_fields)};

static enum err_code absolute(
    const char *path, char **absolute_out, struct err *err)
{
	OWNED_STR(here) = NULL;

	if (path[0] != '/' && (here = getcwd(NULL, 0)) == NULL)
		return err_fail(err, ERR_IO, "getcwd: %s",
		    strerrordesc_np(errno));
	*absolute_out = fs_join(here == NULL ? "/" : here, path);
	return ERR_OK;
}

static enum err_code read_text(
    const char *path, struct buf *text, struct err *err)
{
	enum err_code code = fs_read(path, YAML_MAX_SIZE, text, err);

	if (code == ERR_TOO_LARGE)
		return err_refuse(err, ERR_CONFIG,
		    "%s:1: longer than %zu octets", path, YAML_MAX_SIZE);
	return code;
}

enum err_code config_load(
    const char *path, struct config **config_out, struct err *err)
{
	OWNED_BUF(text);
	OWNED_STR(whole) = NULL;
	enum err_code code = absolute(path, &whole, err);

	if (code == ERR_OK)
		code = read_text(whole, &text, err);
	if (code == ERR_OK)
		code = config_parse(whole, buf_bytes(&text), config_out, err);
	return code;
}

enum err_code config_parse(const char *path, struct bytes text,
    struct config **config_out, struct err *err)
{
	void *data = NULL;
	struct file *file;
	enum err_code code = yaml_parse(path, text, &schema, &data, err);

	if (code != ERR_OK)
		return code;
	/* From here on the config owns its parts; the words stay behind. */
	OWNED(config) config = mem_zalloc(sizeof(*config));
	file = data;
	*config = file->config;
	file->config = (struct config){0};
	config->path = mem_strdup(path);
	config->dir = fs_dirname(path);
	code = config_rules_apply(config, &file->words, text, &schema, err);
	yaml_release(&schema, data);
	if (code == ERR_OK)
		*config_out = GIVE(config);
	return code;
}

static void free_list(char **list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	free(config->path);
	free(config->dir);
	free(config->listen.api);
	free(config->listen.public);
	free(config->listen.ops);
	free(config->public_url);
	free(config->tls.certificate);
	free(config->server.user);
	free(config->tls.key);
	free(config->access.api.items);
	free(config->access.public.items);
	free(config->access.ops.items);
	free(config->access.roles.admin.items);
	free(config->access.roles.operator.items);
	free(config->access.roles.key_officer.items);
	free(config->access.roles.auditor.items);
	free(config->access.roles.node.items);
	free(config->access.roles.kms.items);
	free_list(config->tls.names, config->tls.names_count);
	free(config->store.path);
	free(config->hsm.module);
	free(config->hsm.token);
	free(config->hsm.root_token);
	free(config->hsm.pin_file);
	free(config->hsm.sandbox);
	free_list(config->hsm.environment, config->hsm.environment_count);
	free_list(config->audit.witness, config->audit.witness_count);
	free(config->audit.witness_ca);
	free(config->audit.witness_certificate);
	free(config->audit.witness_key);
	free(config->policies);
	free(config);
}
