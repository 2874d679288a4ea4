// SPDX-License-Identifier: Apache-2.0
#include "cli/unbox.h"

#include "base/clock.h"

#define PASSPHRASE_MAX 1023 /* what OpenSSL has room for */

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static enum err_code load_key(
    const struct options *options, EVP_PKEY **key_out, struct err *err)
{
	const char *file = options_get(options, "passphrase-file");
	OWNED(secret) passphrase = NULL;
	OWNED(secret) pem = NULL;
	enum err_code code = secret_from_file(
	    options_get(options, "decrypt-with"), RECIPIENT_KEY_MAX, &pem, err);

	if (code == ERR_OK && file != NULL)
		code = secret_from_file(file, PASSPHRASE_MAX, &passphrase, err);
	return code == ERR_OK ? recipient_key(pem, passphrase, key_out, err)
			      : code;
}

static enum err_code refuse_without_key(
    const struct strongbox *box, const char *path, struct err *err)
{
	const struct recipients *recipients = strongbox_recipients(box);
	size_t more = recipients_count(recipients) - 1;
	struct recipient_info info;

	recipients_describe(recipients, 0, &info);
	err_refuse(err, ERR_USAGE,
	    "%.100s is encrypted to %.50s%s: name the private key with "
	    "--decrypt-with.  signet backup --show tells all recipients",
	    path, err_quote_str(info.subject), more == 0 ? "" : " and others");
	recipient_info_end(&info);
	return ERR_USAGE;
}

static enum err_code unlock(const struct options *options,
    struct strongbox *box, const char *path, struct err *err)
{
	__attribute__((cleanup(free_key))) EVP_PKEY *key = NULL;
	enum err_code code;

	if (!options_has(options, "decrypt-with"))
		return refuse_without_key(box, path, err);
	code = load_key(options, &key, err);
	return code == ERR_OK ? strongbox_unlock(box, key, err) : code;
}

enum err_code unbox_open(const struct options *options, const char *path,
    struct strongbox **box_out, struct err *err)
{
	OWNED(strongbox) box = NULL;
	bool encrypted;
	enum err_code code;

	*box_out = NULL;
	if (options_has(options, "passphrase-file") &&
	    !options_has(options, "decrypt-with"))
		return err_refuse(err, ERR_USAGE,
		    "--passphrase-file is for the key that --decrypt-with "
		    "names");
	if ((code = strongbox_is(path, &encrypted, err)) != ERR_OK)
		return code;
	if (!encrypted && options_has(options, "decrypt-with"))
		return err_refuse(err, ERR_USAGE,
		    "%s is not encrypted: leave out --decrypt-with", path);
	if (!encrypted)
		return ERR_OK;
	if ((code = strongbox_open(path, &box, err)) != ERR_OK ||
	    (code = unlock(options, box, path, err)) != ERR_OK)
		return code;
	*box_out = GIVE(box);
	return ERR_OK;
}

static json_t *describe(const struct recipient_info *info, bool as_json)
{
	char text[CLOCK_TEXT_SIZE];
	json_t *object;

	clock_format(info->not_after, text);
	if (!as_json) {
		OWNED_STR(line) = mem_printf("%s (serial %s, until %s)",
		    info->subject, info->serial, text);
		return json_string(line);
	}
	object = json_object();
	json_object_set_new(object, "subject", json_string(info->subject));
	json_object_set_new(object, "issuer", json_string(info->issuer));
	json_object_set_new(object, "serial", json_string(info->serial));
	if (info->key_id != NULL)
		json_object_set_new(
		    object, "key_id", json_string(info->key_id));
	json_object_set_new(object, "not_after", json_string(text));
	return object;
}

json_t *unbox_recipients(const struct recipients *recipients, bool as_json)
{
	json_t *list = json_array();

	for (size_t i = 0; i < recipients_count(recipients); i++) {
		struct recipient_info info;

		recipients_describe(recipients, i, &info);
		json_array_append_new(list, describe(&info, as_json));
		recipient_info_end(&info);
	}
	return list;
}
