// SPDX-License-Identifier: Apache-2.0
#include "ca/recipient.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/pem.h"
#include "ca/request.h"

#define SECRET_SIZE 32
#define NAMES_SHOWN 2	/* of recipients, in a refusal */

struct recipients {
	X509 *all[RECIPIENTS_MAX];
	struct buf der[RECIPIENTS_MAX];	/* as it was given */
	size_t count;
};

static void free_x509(X509 **certificate)
{
	X509_free(*certificate);
}

static void free_cms(CMS_ContentInfo **cms)
{
	CMS_ContentInfo_free(*cms);
}

static void free_chain(BIO **chain)
{
	BIO_free_all(*chain);
}

#define OSSL(name) __attribute__((cleanup(free_##name)))

struct recipients *recipients_new(void)
{
	return mem_zalloc(sizeof(struct recipients));
}

void recipients_free(struct recipients *recipients)
{
	if (recipients == NULL)
		return;
	for (size_t i = 0; i < recipients->count; i++) {
		X509_free(recipients->all[i]);
		buf_free(&recipients->der[i]);
	}
	free(recipients);
}

/* ---- who may be one ---- */

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	/* What cannot be read has ended. */
	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static enum err_code check_time(X509 *certificate, int64_t now, struct err *err)
{
	int64_t begins = seconds_of(X509_get0_notBefore(certificate));
	int64_t ends = seconds_of(X509_get0_notAfter(certificate));
	char text[CLOCK_TEXT_SIZE];

	if (now < begins)
		return err_refuse(err, ERR_BAD_KEY,
		    "the recipient's certificate begins to be valid at %s: "
		    "check the clock, or take another certificate",
		    clock_format(begins, text));
	if (now > ends)
		return err_refuse(err, ERR_BAD_KEY,
		    "the recipient's certificate has expired at %s: have it "
		    "renewed, with its key, or take another recipient",
		    clock_format(ends, text));
	return ERR_OK;
}

static enum err_code check_usage(X509 *certificate, struct err *err)
{
	bool rsa = EVP_PKEY_is_a(X509_get0_pubkey(certificate), "RSA");
	uint32_t usage = X509_get_key_usage(certificate);

	/* UINT32_MAX: nothing is said of it. */
	if ((usage & (rsa ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT)) != 0)
		return ERR_OK;
	return err_refuse(err, ERR_BAD_KEY,
	    "the recipient's certificate is not for encryption: its keyUsage "
	    "lacks %s (RFC 5280 4.2.1.3)",
	    rsa ? "keyEncipherment" : "keyAgreement");
}

/* The envelope names its recipients by issuer and serial (RFC 5652 6.2.1): of two
 * that share these, one could never open it. */
static enum err_code check_new(const struct recipients *recipients,
    const X509 *certificate, struct err *err)
{
	for (size_t i = 0; i < recipients->count; i++) {
		const X509 *other = recipients->all[i];

		if (X509_cmp(other, certificate) == 0)
			return err_refuse(
			    err, ERR_EXISTS, "the recipient is named twice");
		if (X509_issuer_and_serial_cmp(other, certificate) == 0)
			return err_refuse(err, ERR_EXISTS,
			    "another recipient's certificate has the same "
			    "issuer and serial: only one of them could open "
			    "the backup.  Have one made anew");
	}
	return ERR_OK;
}

static enum err_code decode(
    struct bytes der, X509 **certificate_out, struct err *err)
{
	OSSL(x509) X509 *certificate = NULL;
	const unsigned char *at = der.data;
	enum key_type type;
	EVP_PKEY *key;
	enum err_code code;

	if (der.len > 0 && der.len <= RECIPIENT_DER_MAX)
		certificate = d2i_X509(NULL, &at, (long)der.len);
	ERR_clear_error();
	if (certificate == NULL || at != der.data + der.len)
		return err_refuse(err, ERR_BAD_FIELD,
		    "the recipient's certificate does not decode");
	key = X509_get0_pubkey(certificate);
	ERR_clear_error();
	if (key == NULL)
		return err_refuse(err, ERR_BAD_KEY,
		    "the key of the recipient's certificate does not decode");
	if ((code = keycheck(key, &type, err)) != ERR_OK)
		return code;
	*certificate_out = GIVE(certificate);
	return ERR_OK;
}

static enum err_code add(struct recipients *recipients, X509 *certificate,
    struct bytes der, struct err *err)
{
	if (recipients->count == RECIPIENTS_MAX)
		return err_refuse(err, ERR_TOO_LARGE,
		    "more than %d recipients", RECIPIENTS_MAX);
	if (X509_up_ref(certificate) != 1)
		abort();
	buf_put_bytes(&recipients->der[recipients->count], der);
	recipients->all[recipients->count++] = certificate;
	return ERR_OK;
}

enum err_code recipients_add_der(
    struct recipients *recipients, struct bytes der, struct err *err)
{
	OSSL(x509) X509 *certificate = NULL;
	enum err_code code = decode(der, &certificate, err);

	return code == ERR_OK ? add(recipients, certificate, der, err) : code;
}

enum err_code recipients_add(struct recipients *recipients, struct bytes pem,
    int64_t now, int64_t *ends_out, struct err *err)
{
	OSSL(x509) X509 *certificate = NULL;
	OWNED_BUF(der);
	const char *why;
	enum err_code code;

	if (!pem_parse(pem, "CERTIFICATE", &der, &why))
		return err_refuse(err, ERR_BAD_FIELD,
		    "a recipient is one certificate in PEM: %s", why);
	if ((code = decode(buf_bytes(&der), &certificate, err)) != ERR_OK ||
	    (code = check_usage(certificate, err)) != ERR_OK ||
	    (code = check_time(certificate, now, err)) != ERR_OK)
		return code;
	if ((code = check_new(recipients, certificate, err)) != ERR_OK)
		return code;
	*ends_out = seconds_of(X509_get0_notAfter(certificate));
	return add(recipients, certificate, buf_bytes(&der), err);
}

/* ---- who they are ---- */

size_t recipients_count(const struct recipients *recipients)
{
	return recipients->count;
}

struct bytes recipients_der(const struct recipients *recipients, size_t index)
{
	return buf_bytes(&recipients->der[index]);
}

static char *name_text(const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	char *copy;
	long len;

	if (bio == NULL ||
	    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
		BIO_free(bio);
		ERR_clear_error();
		return mem_strdup("");
	}
	len = BIO_get_mem_data(bio, &text);
	copy = len > 0 ? mem_strndup(text, (size_t)len) : mem_strdup("");
	BIO_free(bio);
	return copy;
}

void recipient_info_end(struct recipient_info *info)
{
	free(info->subject);
	free(info->issuer);
	free(info->serial);
	free(info->key_id);
	*info = (struct recipient_info){0};
}

void recipients_describe(const struct recipients *recipients, size_t index,
    struct recipient_info *info_out)
{
	X509 *certificate = recipients->all[index];
	const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
	const ASN1_OCTET_STRING *key_id = X509_get0_subject_key_id(certificate);

	*info_out = (struct recipient_info){
	    .subject = name_text(X509_get_subject_name(certificate)),
	    .issuer = name_text(X509_get_issuer_name(certificate)),
	    .serial = hex_new(ASN1_STRING_get0_data(serial),
		(size_t)ASN1_STRING_length(serial)),
	    .key_id = key_id == NULL
		? NULL
		: hex_new(ASN1_STRING_get0_data(key_id),
		      (size_t)ASN1_STRING_length(key_id)),
	    .not_after = seconds_of(X509_get0_notAfter(certificate)),
	};
	ERR_clear_error();
}

/* ---- sealing to them ---- */

/* The defaults are SHA-1 and PKCS#1 v1.5. */
static bool set_algorithms(CMS_RecipientInfo *info)
{
	EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(info);

	if (context == NULL)
		return false;
	if (CMS_RecipientInfo_type(info) == CMS_RECIPINFO_AGREE)
		return EVP_PKEY_CTX_set_ecdh_kdf_md(context, EVP_sha256()) > 0;
	return EVP_PKEY_CTX_set_rsa_padding(
		   context, RSA_PKCS1_OAEP_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) > 0 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) > 0;
}

static CMS_ContentInfo *envelope_to(const struct recipients *recipients)
{
	OSSL(cms) CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL,
	    EVP_aes_256_gcm(), CMS_PARTIAL | CMS_BINARY | CMS_STREAM);

	for (size_t i = 0; cms != NULL && i < recipients->count; i++) {
		CMS_RecipientInfo *info = CMS_add1_recipient_cert(
		    cms, recipients->all[i], CMS_KEY_PARAM);

		if (info == NULL || !set_algorithms(info))
			return NULL;
	}
	return GIVE(cms);
}

/* CMS_final() would leave the secret on the stack. */
static bool put_content(CMS_ContentInfo *cms, const struct secret *secret)
{
	OSSL(chain) BIO *chain = CMS_dataInit(cms, NULL);
	int len = (int)secret_len(secret);

	return chain != NULL &&
	       BIO_write(chain, secret_bytes(secret).data, len) == len &&
	       BIO_flush(chain) == 1 && CMS_dataFinal(cms, chain) == 1;
}

enum err_code recipients_seal(const struct recipients *recipients,
    const struct secret *secret, struct buf *blob, struct err *err)
{
	OSSL(cms) CMS_ContentInfo *cms = NULL;
	unsigned char *der = NULL;
	int len = 0;

	if (secret_len(secret) != SECRET_SIZE || recipients->count == 0)
		abort();
	ERR_clear_error();
	cms = envelope_to(recipients);
	if (cms != NULL && put_content(cms, secret))
		len = i2d_CMS_ContentInfo(cms, &der);
	if (len <= 0 || (size_t)len > RECIPIENT_BLOB_MAX) {
		OPENSSL_free(der);
		return err_fail_crypto(err, "sealing to the recipients");
	}
	buf_put(blob, der, (size_t)len);
	OPENSSL_free(der);
	return ERR_OK;
}

/* ---- opening ---- */

static X509 *find_of(const struct recipients *recipients, EVP_PKEY *key)
{
	for (size_t i = 0; i < recipients->count; i++)
		if (EVP_PKEY_eq(
			X509_get0_pubkey(recipients->all[i]), key) == 1)
			return recipients->all[i];
	ERR_clear_error();
	return NULL;
}

static enum err_code refuse_key(
    const struct recipients *recipients, struct err *err)
{
	OWNED_BUF(names);
	size_t more = recipients->count > NAMES_SHOWN
	    ? recipients->count - NAMES_SHOWN : 0;

	for (size_t i = 0; i + more < recipients->count; i++) {
		struct recipient_info info;

		recipients_describe(recipients, i, &info);
		buf_printf(&names, "%s%.30s (serial %.40s)",
		    i == 0 ? "" : ", ", err_quote_str(info.subject),
		    info.serial);
		recipient_info_end(&info);
	}
	if (more > 0)
		buf_printf(&names, ", and %zu more", more);
	return err_refuse(err, ERR_UNWRAP,
	    "the key is none of its recipients': it was encrypted to %.*s",
	    (int)names.len, (const char *)names.data);
}

static bool take_content(CMS_ContentInfo *cms, struct secret *secret)
{
	OSSL(chain) BIO *chain = CMS_dataInit(cms, NULL);
	uint8_t more;

	return chain != NULL &&
	       BIO_read(chain, secret_data(secret), SECRET_SIZE) ==
		   SECRET_SIZE &&
	       BIO_read(chain, &more, 1) <= 0 &&
	       BIO_get_cipher_status(chain) == 1;
}

enum err_code recipients_open(const struct recipients *recipients,
    struct bytes blob, EVP_PKEY *key, struct secret **secret_out,
    struct err *err)
{
	OSSL(cms) CMS_ContentInfo *cms = NULL;
	OWNED(secret) secret = secret_new(SECRET_SIZE);
	X509 *certificate = find_of(recipients, key);
	const unsigned char *at = blob.data;
	bool opened;

	if (certificate == NULL)
		return refuse_key(recipients, err);
	if (blob.len > 0 && blob.len <= RECIPIENT_BLOB_MAX)
		cms = d2i_CMS_ContentInfo(NULL, &at, (long)blob.len);
	opened = cms != NULL && at == blob.data + blob.len &&
	    OBJ_obj2nid(CMS_get0_type(cms)) ==
		NID_id_smime_ct_authEnvelopedData &&
	    CMS_decrypt_set1_pkey(cms, key, certificate) == 1 &&
	    take_content(cms, secret);
	ERR_clear_error();
	if (!opened)
		return err_fail(err, ERR_CORRUPT,
		    "the key is one of its recipients', but what was sealed to "
		    "it does not open: it was changed");
	*secret_out = GIVE(secret);
	return ERR_OK;
}

/* ---- private keys ---- */

struct asked {
	const struct secret *passphrase;
	bool asked;
};

static int give_passphrase(char *room, int size, int writing, void *arg)
{
	struct asked *asked = arg;

	(void)writing;
	asked->asked = true;
	if (asked->passphrase == NULL ||
	    secret_len(asked->passphrase) > (size_t)size)
		return -1;
	memcpy(room, secret_bytes(asked->passphrase).data,
	    secret_len(asked->passphrase));
	return (int)secret_len(asked->passphrase);
}

enum err_code recipient_key(const struct secret *pem,
    const struct secret *passphrase, EVP_PKEY **key_out, struct err *err)
{
	struct asked asked = {.passphrase = passphrase};
	struct bytes text = secret_bytes(pem);
	BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);

	*key_out = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asked);
	BIO_free(bio);
	ERR_clear_error();
	if (*key_out != NULL)
		return ERR_OK;
	if (asked.asked && passphrase == NULL)
		return err_refuse(err, ERR_CONFIG,
		    "the key is protected by a passphrase: name a file that "
		    "has it with --passphrase-file");
	return err_refuse(err, ERR_CONFIG, asked.asked
		? "the passphrase does not open the key"
		: "that is no private key in PEM");
}
