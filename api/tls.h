// SPDX-License-Identifier: Apache-2.0
/*
 * TLS of the API listener (GnuTLS).  The server's key is a software key; a
 * client's certificate is asked for, and TLS proves possession of its key, but
 * no chain is built: the store decides whose it is.
 */
#ifndef API_TLS_H
#define API_TLS_H

#include <gnutls/gnutls.h>
#include "base/buf.h"
#include "base/err.h"

struct tls;
struct tls_credentials;

/*
 * Loads CERTIFICATE (PEM: leaf, then its issuers) and KEY.  A new key that was
 * written beside it as KEY.next, when a replacement was interrupted, is taken
 * where only it fits.
 * Errors: ERR_CONFIG (missing, malformed, do not belong together), ERR_IO.
 */
MUST_CHECK enum err_code tls_open(const char *certificate, const char *key,
    struct tls **tls_out, struct err *err);
void tls_close(struct tls *tls);
DEFINE_CLEANUP(tls, tls_close)

/* Loads the files again; new connections use what was loaded.  On failure
 * everything is as before.  Errors: as tls_open. */
MUST_CHECK enum err_code tls_reload(struct tls *tls, struct err *err);

struct tls_validity {
	int64_t not_before, not_after;	/* seconds, of the leaf */
};
struct tls_validity tls_validity(struct tls *tls);
/* Whether the leaf that is served carries NAME, a DNS name or an address. */
bool tls_carries(struct tls *tls, const char *name);

/*
 * Prepares the session of a new connection, before its handshake; returns what
 * it must hold until the connection is closed, then given to tls_end().  NULL:
 * the session cannot be served, and its handshake will fail.
 */
struct tls_credentials *tls_begin(struct tls *tls, gnutls_session_t session);
void tls_end(struct tls_credentials *credentials);

/* The certificate that the peer proved to have the key of; empty: none.
 * Borrowed from the session. */
struct bytes tls_peer_certificate(gnutls_session_t session);

/*
 * TLS 1.2 and 1.3, AEAD, forward secrecy, and the groups that cost little: a
 * client may not choose a group of 8,192 bits for us to calculate in.  There is no
 * compression.  No ticket is given and no session kept, so that none is resumed:
 * each connection proves the client's key anew, and each request asks the store
 * for its certificate.  libmicrohttpd ends a connection that is to be negotiated
 * anew.
 */
#define TLS_PRIORITIES                                                         \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:"                          \
	"-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-MAC-ALL:+AEAD:-COMP-ALL:+COMP-NULL:" \
	"-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"          \
	"-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"            \
	"-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-DSA-SHA1:%SERVER_PRECEDENCE"

#endif
