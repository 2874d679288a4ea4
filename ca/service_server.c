// SPDX-License-Identifier: Apache-2.0
#include "ca/ceremony.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/net.h"

#define SERVER_TTL (90 * INT64_C(86400)) /* seconds */

static enum err_code server_names(
    const struct config *config, struct names **names_out, struct err *err)
{
	OWNED(names) names = names_new();

	for (unsigned i = 0; i < config->tls.names_count; i++) {
		const char *text = config->tls.names[i];
		struct ip ip;
		struct err why = {0};
		enum name_kind kind =
		    ip_parse(text, &ip) ? NAME_IP : NAME_DNS;
		if (names_add(names, kind, bytes_str(text), &why) != ERR_OK)
			return err_refuse(err, ERR_CONFIG,
			    "tls.names in %s: %s", config->path, why.detail);
	}
	if (names->sans_count == 0)
		return err_refuse(err, ERR_CONFIG,
		    "tls.names in %s is empty: name what clients call the "
		    "server",
		    config->path);
	*names_out = GIVE(names);
	return ERR_OK;
}

/* The last of three steps: key beside its place, certificate, key in its place.
 * Who stops in between leaves a pair that the loader can tell: either the old
 * one, or the certificate and the key beside. */
static enum err_code take_place(
    const char *next, const char *path, struct err *err)
{
	OWNED_STR(dir) = fs_dirname(path);

	if (rename(next, path) != 0)
		return err_fail(err, ERR_IO, "rename %s to %s: %s", next, path,
		    strerror(errno));
	return fs_sync_dir(dir, err);
}

enum err_code service_write(struct ca *ca,
    const struct certificate *certificate, const struct secret *key_pem,
    const char *cert_path, const char *key_path, struct err *err)
{
	OWNED(issuer_set) issuers = ca_issuers(ca);
	OWNED_BUF(pem);
	const struct issuer *issuer =
	    issuer_set_find(issuers, certificate->issuer);
	enum err_code code;

	if (issuer == NULL)
		return err_fail(err, ERR_INTERNAL, "issuer %s is gone",
		    certificate->issuer);
	pem_put(&pem, "CERTIFICATE",
	    BYTES(certificate->der, certificate->der_len));
	issuer_chain_pem(issuers, issuer, true, &pem);
	OWNED_STR(next) = mem_printf("%s.next", key_path);
	if ((code = fs_write(next, 0600, secret_bytes(key_pem), err)) !=
		ERR_OK ||
	    (code = fs_write(cert_path, 0644, buf_bytes(&pem), err)) != ERR_OK)
		return code;
	return take_place(next, key_path, err);
}

enum err_code service_server(struct ca *ca, const struct config *config,
    int64_t *renew_after_out, struct err *err)
{
	OWNED(names) names = NULL;
	OWNED(secret) key = NULL;
	OWNED(certificate) certificate = NULL;
	enum err_code code;

	if ((code = server_names(config, &names, err)) != ERR_OK)
		return code;
	const struct service_order order = {
	    .profile = PROFILE_API_SERVER,
	    .names = names,
	    .ttl = SERVER_TTL,
	    .requester = "system",
	};
	if ((code = service_issue(ca, &order, &key, &certificate, err)) !=
		ERR_OK ||
	    (code = service_write(ca, certificate, key,
		 config->tls.certificate, config->tls.key, err)) != ERR_OK)
		return code;
	if (renew_after_out != NULL)
		*renew_after_out = certificate->renew_after;
	return ERR_OK;
}
