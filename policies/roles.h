// SPDX-License-Identifier: Apache-2.0
/*
 * Roles of the installation's own, beside the built-in ones: sets of actions in
 * the file roles.yaml of the folder of policies.  signet-policy(5) documents it.
 */
#ifndef POLICIES_ROLES_H
#define POLICIES_ROLES_H

#include "policies/access.h"

#define ROLES_FILE "roles.yaml"

/* Not changed once loaded. */
struct role_set;

/*
 * Loads the file PATH; one that does not exist gives an empty set.
 * Errors: ERR_CONFIG with file and line, for an action that is unknown or not to
 * be given away, a built-in role, or a role that is there twice; ERR_IO.
 */
MUST_CHECK enum err_code role_set_load(
    const char *path, struct role_set **set_out, struct err *err);
void role_set_free(struct role_set *set);
DEFINE_CLEANUP(role_set, role_set_free)

size_t role_set_count(const struct role_set *set);
const char *role_set_name(const struct role_set *set, size_t index);
const char *role_set_description(const struct role_set *set, size_t index);
/* What the role NAME adds; false: there is none.  SET may be NULL. */
MUST_CHECK bool role_set_find(const struct role_set *set, const char *name,
    permissions *permissions_out);
/* The set as people read it. */
void role_set_print(const struct role_set *set, struct buf *out);

/* Gives CALLER the role NAME, built-in or of SET.  One that is not known (any
 * more) gives nothing: false. */
MUST_CHECK bool role_take(
    const struct role_set *set, const char *name, struct caller *caller);

#endif
