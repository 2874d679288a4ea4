// SPDX-License-Identifier: Apache-2.0
/*
 * The key store as the rest of Signet sees it: a pool of worker processes that
 * hold the PKCS#11 module and the PIN.  Octets go in, octets come out; no key,
 * session or handle of the token ever crosses.
 *
 * Keys are named by PKCS#11 URI (RFC 7512) with token, object or id, and type.
 * All functions are safe from any thread and block at most until the pool's
 * operation timeout (the making of key pairs and secrets: two minutes).  What a
 * dead worker left undone is given to another, at most twice and never the
 * making of keys.  Errors, where nothing else is said:
 *   ERR_HSM_UNAVAILABLE  no worker can reach the token; answered at once while
 *                        the breaker is open
 *   ERR_DEADLINE         the operation did not end in time; its worker is
 *                        killed and replaced
 *   ERR_HSM_REFUSED      the token said no (mechanism, attributes, key absent)
 *   ERR_OVERLOADED       too many operations wait
 */
#ifndef HSM_HSM_H
#define HSM_HSM_H

#include "base/buf.h"
#include "base/config.h"
#include "base/err.h"
#include "base/secret.h"

struct hsm;
struct spawner;

struct hsm_options {
	const char *worker;	/* path of signet-hsm; NULL: found by itself
				 * (SIGNET_HSM_WORKER, else libexec) */
	const char *module;	/* PKCS#11 module, absolute path */
	const char *token;	/* PKCS#11 URI of the token */
	const char *pin_file;	/* read by the worker alone */
	char *const *environment; /* NAME=VALUE, added for the worker */
	unsigned environment_count;
	unsigned workers;	/* processes; 0: number of processors */
	int64_t timeout_ms;	/* of one operation; 0: 10 seconds */
	const char *sandbox;	/* of the workers, as in signet.yaml(5);
				 * NULL: strict */
	struct spawner *spawner; /* starts the workers, was opened with these
				 * options; NULL: this process does */
};

/* What CONFIG says of the token that the server uses; borrows from it. */
struct hsm_options hsm_options_from(const struct config *config);

/*
 * Starts the workers and waits until one has logged in.  With WAIT false a token
 * that is out of reach is no error here: the pool goes on trying.
 */
MUST_CHECK enum err_code hsm_open(const struct hsm_options *options,
    bool wait, struct hsm **hsm_out, struct err *err);
/* Ends the workers.  No other thread may be inside. */
void hsm_close(struct hsm *hsm);
DEFINE_CLEANUP(hsm, hsm_close)

/* Makes a new token on a module that offers a free slot (SoftHSM): label,
 * SO PIN and user PIN from files.  Runs one worker to its end.
 * Uses module, environment and worker of OPTIONS. */
MUST_CHECK enum err_code hsm_init_token(const struct hsm_options *options,
    const char *label, const char *so_pin_file, const char *pin_file,
    struct err *err);

/*
 * Appends to MISSING which of the mechanisms that Signet needs the token does
 * not offer, each with its use; nothing when all are there.  Runs one worker to
 * its end, which does not log in.
 * Errors: ERR_CONFIG, ERR_HSM_UNAVAILABLE.
 */
MUST_CHECK enum err_code hsm_missing_mechanisms(
    const struct hsm_options *options, struct buf *missing, struct err *err);

enum hsm_key_type {
	HSM_EC_P256 = 1,
	HSM_EC_P384 = 2,
	HSM_RSA_2048 = 3,
	HSM_RSA_3072 = 4,
	HSM_RSA_4096 = 5,
};

/*
 * Makes a key pair for signing in the token under LABEL with a new random
 * CKA_ID of 16 octets, every attribute set explicitly (private, sensitive, not
 * extractable, not modifiable, sign only), reads it back and checks it.
 * *uri_out is the private key's URI, malloc'd; SPKI receives the public key as
 * DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7).  Never retried.
 * Errors: also ERR_EXISTS when LABEL is in use; ERR_HSM_KEY_UNSAFE.
 */
MUST_CHECK enum err_code hsm_generate_pair(struct hsm *hsm, const char *label,
    enum hsm_key_type type, char **uri_out, struct buf *spki,
    struct err *err);

enum hsm_secret_use {
	HSM_USE_WRAP = 1,	/* AES-256, wraps and unwraps, nothing else */
	HSM_USE_MAC = 2,	/* generic secret, HMAC-SHA-256, nothing else */
};
MUST_CHECK enum err_code hsm_generate_secret(struct hsm *hsm,
    const char *label, enum hsm_secret_use use, char **uri_out,
    struct err *err);

enum hsm_mechanism {
	HSM_ECDSA = 1,		/* digest in, raw r||s out (both padded) */
	HSM_RSA_PKCS1 = 2,	/* DER DigestInfo in (RFC 8017 9.2) */
	HSM_RSA_PSS_SHA256 = 3,	/* digest in, salt of 32 octets */
	HSM_RSA_PSS_SHA384 = 4,	/* digest in, salt of 48 octets */
};
/* Signs DATA (at most 128 octets) with the private key URI. */
MUST_CHECK enum err_code hsm_sign(struct hsm *hsm, const char *uri,
    enum hsm_mechanism mechanism, struct bytes data, struct buf *signature,
    struct err *err);

/* HMAC-SHA-256 of DATA (at most 4,096 octets) under the MAC key URI. */
MUST_CHECK enum err_code hsm_hmac(struct hsm *hsm, const char *uri,
    struct bytes data, uint8_t mac_out[static 32], struct err *err);

/*
 * Key-encryption keys.  A KEK exists as BLOB, an AES-256 key made in the token
 * and wrapped there by the key ROOT (RFC 3394).  The token unwraps it into a
 * session object that a worker caches; it is never readable outside.
 */
struct hsm_kek {
	const char *root;	/* URI of the wrapping key */
	struct bytes blob;
};
MUST_CHECK enum err_code hsm_kek_new(struct hsm *hsm, const char *root,
    struct buf *blob, struct err *err);

/*
 * AES-256-GCM under KEK with a fresh random IV of 12 octets.  SEALED receives
 * IV || ciphertext || tag (16).  PLAINTEXT at most 4,096 octets, AAD 4,096.
 */
MUST_CHECK enum err_code hsm_seal(struct hsm *hsm, const struct hsm_kek *kek,
    struct bytes aad, struct bytes plaintext, struct buf *sealed,
    struct err *err);
/* Errors: also ERR_UNWRAP when the tag does not fit; nothing else tells why. */
MUST_CHECK enum err_code hsm_open_sealed(struct hsm *hsm,
    const struct hsm_kek *kek, struct bytes aad, struct bytes sealed,
    struct secret **plaintext_out, struct err *err);
/* LEN random octets (the token's generator mixed with OpenSSL's) sealed in one
 * crossing.  PLAINTEXT_OUT may be NULL: then they never leave the worker. */
MUST_CHECK enum err_code hsm_data_key(struct hsm *hsm,
    const struct hsm_kek *kek, struct bytes aad, size_t len,
    struct secret **plaintext_out, struct buf *sealed, struct err *err);

/* LEN octets (at most 1,024) of the token's generator. */
MUST_CHECK enum err_code hsm_random(
    struct hsm *hsm, size_t len, struct buf *out, struct err *err);

/* One object of the token, with attributes as they are now. */
struct hsm_object {
	char *uri;
	char *label;
	char *kind;		/* "private", "public", "secret-key", "cert", "data" */
	char *key_type;		/* "ec-p256", "rsa-3072", "aes-256", … */
	uint8_t id[32];
	size_t id_len;
	uint32_t attributes;	/* HSM_ATTR_* that are true */
	uint32_t unknown;	/* HSM_ATTR_* that the token does not tell */
};
enum {
	HSM_ATTR_TOKEN = 1 << 0,
	HSM_ATTR_PRIVATE = 1 << 1,
	HSM_ATTR_SENSITIVE = 1 << 2,
	HSM_ATTR_ALWAYS_SENSITIVE = 1 << 3,
	HSM_ATTR_EXTRACTABLE = 1 << 4,
	HSM_ATTR_NEVER_EXTRACTABLE = 1 << 5,
	HSM_ATTR_MODIFIABLE = 1 << 6,
	HSM_ATTR_LOCAL = 1 << 7,
	HSM_ATTR_SIGN = 1 << 8,
	HSM_ATTR_VERIFY = 1 << 9,
	HSM_ATTR_ENCRYPT = 1 << 10,
	HSM_ATTR_DECRYPT = 1 << 11,
	HSM_ATTR_WRAP = 1 << 12,
	HSM_ATTR_UNWRAP = 1 << 13,
	HSM_ATTR_DERIVE = 1 << 14,
};
struct hsm_object_list {
	struct hsm_object *objects;
	size_t count;
};
MUST_CHECK enum err_code hsm_list(
    struct hsm *hsm, struct hsm_object_list **list_out, struct err *err);
void hsm_object_list_free(struct hsm_object_list *list);
DEFINE_CLEANUP(hsm_object_list, hsm_object_list_free)

/* What OBJECT does against the rule for signing, wrapping or MAC keys ("is
 * extractable"), or NULL when it is safe (design: refuse extractable,
 * modifiable, not private, or both wrapping and decrypting). */
const char *hsm_object_unsafe(const struct hsm_object *object);
/* Errors: ERR_HSM_KEY_UNSAFE with the reason; ERR_HSM_REFUSED when absent. */
MUST_CHECK enum err_code hsm_check_key(
    struct hsm *hsm, const char *uri, struct err *err);

/* A worker answers and the token is logged in. */
MUST_CHECK enum err_code hsm_ping(struct hsm *hsm, struct err *err);

/* Upper bounds, in microseconds, of the classes that signatures fall into by
 * the time they took, waiting for a worker included; the last class has none. */
#define HSM_SIGN_CLASSES 13
extern const int64_t hsm_sign_bounds_us[HSM_SIGN_CLASSES - 1];

struct hsm_stats {
	unsigned workers;	/* processes alive and logged in */
	uint64_t restarts;
	uint64_t operations;
	uint64_t failures;
	uint64_t signatures[HSM_SIGN_CLASSES]; /* that succeeded, by time */
	uint64_t sign_us;	/* taken by them together */
	bool breaker_open;
};
void hsm_stats(struct hsm *hsm, struct hsm_stats *stats_out);

#endif
