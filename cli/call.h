// SPDX-License-Identifier: Apache-2.0
/* What most commands are: one call of the API, and its answer printed. */
#ifndef CLI_CALL_H
#define CLI_CALL_H

#include "base/json.h"
#include "cli/options.h"
#include "cli/output.h"

/* BEFORE, then SEGMENT percent-encoded, then AFTER; malloc'd. */
char *call_path(const char *before, const char *segment, const char *after);

/* Set a member of BODY when the value or option is given at all. */
void call_set_text(json_t *body, const char *field, const char *value);
void call_set_texts(json_t *body, const char *field,
    const struct options *options, const char *option);
/* An option that is a whole number.  Errors: ERR_USAGE. */
MUST_CHECK enum err_code call_set_number(json_t *body, const char *field,
    const struct options *options, const char *option, struct err *err);

/* Prints an approval, whole. */
void call_print_approval(const struct options *options, const json_t *approval);

/* Calls and prints one object, or the list of all pages; gives the exit code.  What
 * waits for approval is printed instead, as the approval that it is. */
int call_object(const struct options *options, const char *method,
    const char *path, const json_t *body, const struct column *columns);
int call_list(const struct options *options, const char *path,
    const struct column *columns, const char *empty);

/* How one object, or each item of a list, is shown. */
struct call_view {
	const struct column *columns;
	const char *empty;	/* of a list that has nothing */
	const char *sort_by;	/* a member of text, ascending; NULL: as it comes */
	void (*say)(json_t *item); /* words for people, where no JSON is asked
				    * for; may be NULL */
};
int call_show_object(const struct options *options, const char *method,
    const char *path, const json_t *body, const struct call_view *view);
int call_show_list(const struct options *options, const char *path,
    const struct call_view *view);

#endif
