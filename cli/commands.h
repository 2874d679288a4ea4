// SPDX-License-Identifier: Apache-2.0
/* The commands of signet: what each runs, and the options it takes.  One file
 * a noun; cli/signet.c lists them all. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

/* Declares the options and the function of a command. */
#define COMMAND(name)                                                          \
	extern const struct option_spec name##_options[];                      \
	int name##_run(const struct options *options)

COMMAND(init);
COMMAND(status);
COMMAND(doctor);
COMMAND(backup);
COMMAND(restore);

COMMAND(store_seal);
COMMAND(store_rekey);
COMMAND(store_verify);

COMMAND(cluster_create);
COMMAND(cluster_list);
COMMAND(cluster_show);
COMMAND(cluster_retire);
COMMAND(cluster_set);
COMMAND(cluster_quarantine);

COMMAND(token_create);
COMMAND(token_list);
COMMAND(token_revoke);

COMMAND(cert_list);
COMMAND(cert_show);
COMMAND(cert_revoke);
COMMAND(cert_issue);

COMMAND(issuer_list);
COMMAND(crl_list);
COMMAND(crl_publish);

COMMAND(key_create);
COMMAND(key_list);
COMMAND(key_show);
COMMAND(key_report);
COMMAND(key_datakey);
COMMAND(key_unwrap);

COMMAND(hsm_selftest);

COMMAND(identity_create);
COMMAND(identity_set);
COMMAND(identity_code);
COMMAND(identity_list);
COMMAND(identity_show);
COMMAND(identity_revoke);
COMMAND(identity_enroll);
COMMAND(identity_renew);
COMMAND(role_list);

COMMAND(policy_list);
COMMAND(policy_show);
COMMAND(policy_check);

COMMAND(approval_list);
COMMAND(approval_show);
COMMAND(approval_approve);
COMMAND(approval_reject);

COMMAND(audit_list);
COMMAND(audit_verify);
COMMAND(audit_export);

#endif
