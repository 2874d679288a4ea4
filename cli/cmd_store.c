// SPDX-License-Identifier: Apache-2.0
/* signet store …: sealing at rest, without the server. */
#include <stdio.h>

#include "ca/storekey.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/unlock.h"
#include "store/audit.h"

static const struct column columns[] = {
    {"store", "store"},
    {"rows", "rows"},
    {"audit entries", "audit_sequence"},
    {0},
};

const struct option_spec store_seal_options[] = {{0}};
const struct option_spec store_rekey_options[] = {{0}};
const struct option_spec store_verify_options[] = {{0}};

struct found {
	uint64_t rows;
	struct audit_head head;
};

/* Everything that can be known of an unlocked store. */
static enum err_code verify(
    struct store *store, struct found *found, struct err *err)
{
	enum err_code code = store_verify(store, &found->rows, err);

	return code == ERR_OK ? audit_verify(store, &found->head, err) : code;
}

/* ANEW: it is sealed and gets another key; else it must not be. */
static enum err_code seal(const struct config *config, bool anew,
    struct found *found, struct err *err)
{
	OWNED(store) store = NULL;
	OWNED(hsm) hsm = NULL;
	bool sealed;
	enum err_code code;

	if ((code = unlock_open(config, false, &store, err)) != ERR_OK ||
	    (code = unlock_is_sealed(store, &sealed, err)) != ERR_OK)
		return code;
	if (sealed && !anew)
		return err_refuse(err, ERR_EXISTS,
		    "the store %s is sealed already; \"signet store rekey\" "
		    "gives it another key",
		    config->store.path);
	if ((code = unlock_token(config, &hsm, err)) != ERR_OK ||
	    (anew && (code = storekey_unseal(store, hsm, err)) != ERR_OK))
		return code;
	fprintf(stderr, "writing the store anew, sealed, and verifying it …\n");
	if ((code = storekey_renew(store, hsm, err)) != ERR_OK)
		return code;
	return verify(store, found, err);
}

static enum err_code look(
    const struct config *config, struct found *found, struct err *err)
{
	OWNED(store) store = NULL;
	enum err_code code;

	if ((code = unlock_open(config, true, &store, err)) != ERR_OK ||
	    (code = unlock_store(config, store, err)) != ERR_OK)
		return code;
	return verify(store, found, err);
}

static int report(const struct options *options, const struct config *config,
    const struct found *found)
{
	OWNED_JSON(answer) = json_object();

	json_object_set_new(answer, "store", json_string(config->store.path));
	json_object_set_new(
	    answer, "rows", json_integer((json_int_t)found->rows));
	json_object_set_new(answer, "audit_sequence",
	    json_integer((json_int_t)found->head.sequence));
	output_object(answer, columns, session_wants_json(options));
	return EXIT_DONE;
}

static int run(const struct options *options, bool write, bool anew)
{
	OWNED(config) config = NULL;
	struct found found = {0};
	struct err err = {0};
	enum err_code code = session_config(options, &config, &err);

	if (code == ERR_OK)
		code = write ? seal(config, anew, &found, &err)
			     : look(config, &found, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	return report(options, config, &found);
}

int store_seal_run(const struct options *options)
{
	return run(options, true, false);
}

int store_rekey_run(const struct options *options)
{
	return run(options, true, true);
}

int store_verify_run(const struct options *options)
{
	return run(options, false, false);
}
