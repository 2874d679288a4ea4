// SPDX-License-Identifier: Apache-2.0
/*
 * signet.yaml: what is accepted has every member set and within bounds; what is
 * refused names file and line.
 */
#include "tests/fuzz/fuzz.h"

#include "base/config.h"
#include "base/net.h"
#include "base/text.h"

#define FILE_NAME "/etc/signet/signet.yaml"

static void check_endpoint(const char *text)
{
	struct sockaddr_storage sa;
	socklen_t len;

	must(net_endpoint_parse(text, &sa, &len));
}

static void check_path(const char *path)
{
	must(path != NULL && path[0] == '/');
}

static void check_config(const struct config *config)
{
	check_endpoint(config->listen.api);
	check_endpoint(config->listen.public);
	check_endpoint(config->listen.ops);
	check_path(config->tls.certificate);
	check_path(config->tls.key);
	check_path(config->store.path);
	check_path(config->hsm.module);
	check_path(config->policies);
	must(strcmp(config->dir, "/etc/signet") == 0);
	must(!text_has_suffix(config->public_url, "/"));
	must(config->hsm.token != NULL && config->hsm.root_token != NULL);
	must(config->hsm.pin_file != NULL);
	must(config->hsm.workers > 0 && config->hsm.timeout > 0);
	must(config->store.map_size_mib > 0);
	must(config->limits.workers > 0 && config->limits.queue > 0);
	must(config->crl.refresh < config->crl.validity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(config) config = NULL;
	struct err err = {0};
	enum err_code code =
	    config_parse(FILE_NAME, BYTES(data, size), &config, &err);

	if (code == ERR_OK) {
		check_config(config);
		return 0;
	}
	must(code == ERR_CONFIG);
	must_tell(code, &err);
	must(text_has_prefix(err.detail, FILE_NAME ":"));
	return 0;
}
