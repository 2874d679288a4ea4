// SPDX-License-Identifier: Apache-2.0
/*
 * The folder that an agent keeps for a database: key.pem, cert.pem, chain.pem,
 * fullchain.pem and ca.pem, which change together or not at all.
 *
 * The five are links into ".current", itself a link to the folder of one
 * generation; replacing that one link switches all.  What the agent must know
 * to renew stands in agent.json; a key whose certificate has not come yet in
 * pending-key.pem, so that a request repeated after a lost answer is the same.
 */
#ifndef CLI_OUTDIR_H
#define CLI_OUTDIR_H

#include "base/json.h"
#include "cli/bundle.h"

/* Makes the folder when absent (mode 0755), and looks whether the five names are
 * free or the agent's own.  Errors: ERR_IO; ERR_USAGE when the folder above is not
 * there; ERR_EXISTS for a file of somebody else. */
MUST_CHECK enum err_code outdir_make(const char *dir, struct err *err);
/* As outdir_make, then writes a new generation, syncs it, switches to it, and
 * removes all but the one before.  Stopped at any moment the five names show
 * the old set whole, or the new.  Errors: ERR_IO, ERR_EXISTS. */
MUST_CHECK enum err_code outdir_switch(
    const char *dir, const struct bundle *set, struct err *err);

/* Errors: ERR_CONFIG when nothing is enrolled in DIR, or its state cannot be
 * read. */
MUST_CHECK enum err_code outdir_read_state(
    const char *dir, json_t **state_out, struct err *err);
MUST_CHECK enum err_code outdir_write_state(
    const char *dir, const json_t *state, struct err *err);

/* The pending key when there is one of TYPE, else a new one, written before it
 * is returned.  Errors: ERR_USAGE for no type, ERR_IO, ERR_CONFIG (modes). */
MUST_CHECK enum err_code outdir_pending_key(const char *dir, const char *type,
    struct secret **key_pem_out, struct err *err);
bool outdir_has_pending(const char *dir);
void outdir_drop_pending(const char *dir);

#endif
