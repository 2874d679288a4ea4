// SPDX-License-Identifier: Apache-2.0
/* signet.yaml: what one Signet instance is told by its admin.  signet.yaml(5)
 * documents each key; doc/config.md shows a whole file. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/buf.h"
#include "base/log.h"
#include "base/net.h"

/* "50/s burst 200": one each 20 ms in the long run, 200 at once. */
struct config_rate {
	int64_t interval_us;	/* 0: no limit */
	int64_t burst;
};

/* Where somebody may come from; none: from anywhere. */
struct config_ranges {
	struct cidr *items;
	size_t count;
};

/* Paths are absolute after loading: relative ones start at the file's folder.
 * Durations are seconds.  Every member is set: absent keys get the default
 * that stands behind it. */
struct config {
	char *path;		/* of the file itself, absolute */
	char *dir;		/* its folder */

	struct {
		char *api;	/* host:port, TLS */
		char *public;	/* host:port, plain HTTP: CRL, OCSP, CA */
		char *ops;	/* host:port, plain HTTP, loopback by default */
	} listen;

	/* Source addresses; see config_ranges. */
	struct {
		struct config_ranges api, public, ops;	/* listeners */
		struct {
			struct config_ranges admin, operator, key_officer;
			struct config_ranges auditor, node, kms;
		} roles;
	} access;

	/* Base of the URLs written into certificates (CDP, AIA), e.g.
	 * "http://pki.example.net"; no trailing slash. */
	char *public_url;

	struct {
		char *user;	/* whom a server started as root becomes; NULL */
	} server;

	struct {
		char *certificate;	/* [tls/server.pem] leaf, issuer, root */
		char *key;		/* [tls/server-key.pem] */
		char **names;		/* DNS names and addresses of the API */
		unsigned names_count;
	} tls;

	struct {
		char *path;		/* [store] folder */
		uint64_t map_size_mib;	/* [65536] address space, sparse */
		int64_t scrub_period;	/* [24h] seconds */
	} store;

	struct {
		char *module;		/* PKCS#11 module, absolute path */
		char *token;		/* PKCS#11 URI of the token */
		char *root_token;	/* where the root CA key lives; [token] */
		char *pin_file;		/* or a name in CREDENTIALS_DIRECTORY */
		char **environment;	/* NAME=VALUE for the worker */
		unsigned environment_count;
		unsigned workers;	/* [number of processors] */
		int64_t timeout;	/* [10s] one operation */
		char *sandbox;		/* [strict], network or off */
	} hsm;

	struct {
		unsigned event_threads;	/* [number of processors] */
		unsigned workers;	/* [64] jobs under way at once */
		unsigned queue;		/* [512] jobs waiting; beyond: 503 */
		unsigned connections;	/* [4096] each listener */
		unsigned connections_per_ip; /* [1024] IPv4, or IPv6 /64 */
		unsigned handshakes;	/* [2048] connections without a request */
		int64_t handshake_timeout; /* [10s] until the first request */
		int64_t request_timeout; /* [30s] whole request */
		int64_t drain_timeout;	/* [20s] at SIGTERM */
		struct {
			/* Of one source: requests without a certificate, */
			struct config_rate source;  /* [200/s burst 20000] */
			/* and credentials that are refused. */
			struct config_rate failures;	/* [1/s burst 100] */
			struct config_rate identity; /* [500/s burst 20000] */
			/* New certificates of a cluster, and those for the
			 * same names in it. */
			struct config_rate cluster; /* [50/s burst 10000] */
			struct config_rate names;	/* [1/m burst 100] */
			/* Of one source on the public listener: requests, and
			 * OCSP answers that cost a signature. */
			struct config_rate public; /* [1000/s burst 20000] */
			struct config_rate ocsp_signed;	/* [100/s burst 5000] */
		} rate;
	} limits;

	struct {
		int64_t validity;	/* [24h] nextUpdate - thisUpdate */
		int64_t refresh;	/* [8h] rebuilt at least this often */
	} crl;

	struct {
		int64_t validity;	/* [8h] of one response */
		unsigned cache_entries;	/* [65536] */
	} ocsp;

	struct {
		/* [none] where the audit log is told: "file:PATH" (absolute
		 * once loaded), "syslog", "syslog:SOCKET", "https://…" */
		char **witness;
		unsigned witness_count;
		/* Of those that are https://: whom to believe, and who to be;
		 * [none] each. */
		char *witness_ca;
		char *witness_certificate, *witness_key;
	} audit;

	int64_t repeat_window;		/* [10m] same request, same certificate */
	char *policies;			/* [policies] folder of *.yaml */
	enum log_level log_level;	/* [info] */
};

/*
 * Loads and checks PATH.  The caller owns *config_out.
 * Errors: ERR_CONFIG with file and line; ERR_NOT_FOUND.
 */
MUST_CHECK enum err_code config_load(
    const char *path, struct config **config_out, struct err *err);
/* As config_load from memory; PATH, absolute, stands for the file. */
MUST_CHECK enum err_code config_parse(const char *path, struct bytes text,
    struct config **config_out, struct err *err);
void config_free(struct config *config);
DEFINE_CLEANUP(config, config_free)

#endif
