// SPDX-License-Identifier: Apache-2.0
#include "cli/unlock.h"

#include "ca/storekey.h"

enum err_code unlock_open(const struct config *config, bool read_only,
    struct store **store_out, struct err *err)
{
	const struct store_options options = {.path = config->store.path,
	    .map_size = config->store.map_size_mib << 20,
	    .read_only = read_only};

	return store_open(&options, store_out, err);
}

enum err_code unlock_token(
    const struct config *config, struct hsm **hsm_out, struct err *err)
{
	struct hsm_options options = hsm_options_from(config);

	options.workers = 1;
	return hsm_open(&options, true, hsm_out, err);
}

enum err_code unlock_is_sealed(
    struct store *store, bool *sealed_out, struct err *err)
{
	OWNED_BUF(record);

	return store_seal_record(store, &record, sealed_out, err);
}

enum err_code unlock_store(
    const struct config *config, struct store *store, struct err *err)
{
	OWNED(hsm) hsm = NULL;
	bool sealed;
	enum err_code code = unlock_is_sealed(store, &sealed, err);

	if (code != ERR_OK || !sealed ||
	    (code = unlock_token(config, &hsm, err)) != ERR_OK)
		return code;
	return storekey_unseal(store, hsm, err);
}
