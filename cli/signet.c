// SPDX-License-Identifier: Apache-2.0
/* signet: the admin's program. */
#include <curl/curl.h>

#include "base/fs.h"
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"

#define SECRET_HEAP ((size_t)64 * 1024)

#define ROW(words, args, name, help)                                           \
	{                                                                      \
		words, args, help, name##_options, name##_run                  \
	}

static const struct command commands[] = {
    ROW("init", "", init, "make a new instance: keys, CAs, first admin"),
    ROW("status", "", status, "how the server, its token and its CAs are"),
    ROW("doctor", "", doctor, "check everything, and say what to do next"),
    ROW("cluster create", "NAME", cluster_create, "make a cluster"),
    ROW("cluster list", "", cluster_list, "list the clusters"),
    ROW("cluster show", "NAME", cluster_show, "show a cluster"),
    ROW("cluster set", "NAME", cluster_set,
	"change where the callers of a cluster come from"),
    ROW("cluster quarantine", "NAME", cluster_quarantine,
	"stop all issuing and key use of a cluster, or --lift that"),
    ROW("cluster retire", "NAME", cluster_retire,
	"end a cluster: revoke its certificates and tokens"),
    ROW("token create", "", token_create,
	"make a bootstrap token for nodes of a cluster"),
    ROW("token list", "", token_list, "list a cluster's tokens"),
    ROW("token revoke", "ID", token_revoke, "make a token useless"),
    ROW("cert list", "", cert_list, "list certificates"),
    ROW("cert show", "SERIAL", cert_show, "show a certificate"),
    ROW("cert revoke", "SERIAL", cert_revoke, "revoke a certificate"),
    ROW("cert issue", "", cert_issue, "issue for a request at hand"),
    ROW("issuer list", "", issuer_list, "list the CAs"),
    ROW("crl list", "", crl_list, "list the CRLs as published"),
    ROW("crl publish", "ISSUER", crl_publish, "build and publish a CRL now"),
    ROW("key create", "NAME", key_create, "make a key-encryption key"),
    ROW("key list", "", key_list, "list a cluster's keys"),
    ROW("key show", "NAME", key_show, "show a key"),
    ROW("key report", "", key_report,
	"what is in the token, and whether its attributes are safe"),
    ROW("key datakey", "NAME", key_datakey, "make a data key"),
    ROW("key unwrap", "NAME", key_unwrap, "open a data key's ciphertext"),
    ROW("hsm selftest", "", hsm_selftest,
	"try the known attacks on the token, in throwaway objects"),
    ROW("identity create", "", identity_create,
	"make an identity: a person, or a program that uses keys"),
    ROW("identity set", "ID", identity_set,
	"change what an identity may do, its name, or where it comes from"),
    ROW("identity code", "ID", identity_code,
	"draw a new enrolment code; the one before is good no longer"),
    ROW("identity list", "", identity_list, "list the identities"),
    ROW("identity show", "ID", identity_show, "show an identity"),
    ROW("identity revoke", "ID", identity_revoke,
	"end an identity and its certificates, at once"),
    ROW("identity enroll", "", identity_enroll,
	"get the first certificate by an enrolment code"),
    ROW("identity renew", "", identity_renew,
	"renew the certificate of --cert when it is due"),
    ROW("role list", "", role_list,
	"list the roles that identities may have, and what each may do"),
    ROW("approval list", "", approval_list,
	"list what waits for approval, and what did"),
    ROW("approval show", "ID", approval_show, "show what is asked, exactly"),
    ROW("approval approve", "ID", approval_approve,
	"consent to exactly what is asked"),
    ROW("approval reject", "ID", approval_reject, "end a request"),
    ROW("policy list", "", policy_list, "list the policies"),
    ROW("policy show", "NAME", policy_show, "show what a policy allows"),
    ROW("policy check", "FILE", policy_check, "check a policy file"),
    ROW("audit list", "", audit_list, "list what was decided"),
    ROW("audit verify", "", audit_verify,
	"recompute the audit log, and check what signs it"),
    ROW("audit export", "", audit_export,
	"write the audit log into files, or go on with them"),
    ROW("store verify", "", store_verify,
	"open every sealed row of the store, and count them"),
    ROW("store seal", "", store_seal,
	"seal a store that was made before stores were"),
    ROW("store rekey", "", store_rekey, "seal the store under a new key"),
    ROW("backup", "FILE", backup, "copy the record store, consistent"),
    ROW("restore", "FILE", restore, "make a store from a backup"),
    {0},
};

static const struct program program = {
    .name = "signet",
    .help = "Administers a Signet instance.",
    .globals = session_options,
    .commands = commands,
};

int main(int argc, char **argv)
{
	struct err err = {0};

	fs_open_standard();
	log_open(2, "signet", LOG_WARN);
	if (secret_heap_open(SECRET_HEAP, &err) != ERR_OK)
		return exit_with("signet", &err);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	int code = options_run(&program, argc, argv);
	curl_global_cleanup();
	return code;
}
