// SPDX-License-Identifier: Apache-2.0
#include "cli/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/session.h"

char *call_path(const char *before, const char *segment, const char *after)
{
	OWNED_BUF(path);

	buf_put_str(&path, before);
	url_put(&path, segment);
	buf_put_str(&path, after);
	return buf_to_str(&path);
}

void call_set_text(json_t *body, const char *field, const char *value)
{
	if (value != NULL)
		json_object_set_new(body, field, json_string(value));
}

void call_set_texts(json_t *body, const char *field,
    const struct options *options, const char *option)
{
	json_t *values = json_array();
	const char *value;

	for (size_t i = 0; options_each(options, option, i, &value); i++)
		json_array_append_new(values, json_string(value));
	json_object_set_new(body, field, values);
}

enum err_code call_set_number(json_t *body, const char *field,
    const struct options *options, const char *option, struct err *err)
{
	const char *text = options_get(options, option);
	char *end;

	if (text == NULL)
		return ERR_OK;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0')
		return err_refuse(err, ERR_USAGE, "--%s %s is not a number",
		    option, err_quote_str(text));
	json_object_set_new(body, field, json_integer(number));
	return ERR_OK;
}

static const struct column approval_columns[] = {
    {"approval", "id"},
    {"state", "state"},
    {"action", "action"},
    {"requester", "requester_name"},
    {"cluster", "cluster"},
    {"method", "method"},
    {"path", "path"},
    {"body", "body"},
    {"digest", "digest"},
    {"needed", "needed"},
    {"approvals", "approvals"},
    {"created", "created"},
    {"expires", "expires"},
    {"ended", "ended"},
    {"decisions", "decisions"},
    {0},
};

void call_print_approval(const struct options *options, const json_t *approval)
{
	output_object(approval, approval_columns, session_wants_json(options));
}

int call_show_object(const struct options *options, const char *method,
    const char *path, const json_t *body, const struct call_view *view)
{
	OWNED(client) client = NULL;
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	bool as_json = session_wants_json(options);
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = client_call(client, method, path, body, &answer, &err);
	if (code == ERR_OK && view->say != NULL && !as_json)
		view->say(answer);
	if (code == ERR_OK)
		output_object(answer, view->columns, as_json);
	if (code == ERR_AWAITING)
		call_print_approval(options, answer);
	return session_end(options, code, &err);
}

int call_object(const struct options *options, const char *method,
    const char *path, const json_t *body, const struct column *columns)
{
	const struct call_view view = {.columns = columns};

	return call_show_object(options, method, path, body, &view);
}

/* What qsort() has no argument for. */
struct ranked {
	const char *text;
	size_t place;
	json_t *item;
};

static int compare(const void *a, const void *b)
{
	const struct ranked *left = a, *right = b;
	int order = strcmp(left->text, right->text);

	return order != 0 ? order : (left->place > right->place) -
				    (left->place < right->place);
}

/* In the order of FIELD; items that are alike stay as they came. */
static void sort(json_t *items, const char *field)
{
	size_t count = json_array_size(items), index;
	struct ranked *ranked = mem_zalloc_array(count + 1, sizeof(*ranked));
	json_t *item;

	json_array_foreach(items, index, item)
	{
		const char *text =
		    json_string_value(json_object_get(item, field));

		ranked[index] = (struct ranked){
		    text == NULL ? "" : text, index, json_incref(item)};
	}
	qsort(ranked, count, sizeof(*ranked), compare);
	for (size_t i = 0; i < count; i++)
		json_array_set_new(items, i, ranked[i].item);
	free(ranked);
}

int call_show_list(const struct options *options, const char *path,
    const struct call_view *view)
{
	OWNED(client) client = NULL;
	OWNED_JSON(items) = NULL;
	struct err err = {0};
	bool as_json = session_wants_json(options);
	enum err_code code;
	size_t index;
	json_t *item;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = client_list(client, path, &items, &err);
	if (code == ERR_OK && view->sort_by != NULL)
		sort(items, view->sort_by);
	if (code == ERR_OK && view->say != NULL && !as_json)
		json_array_foreach(items, index, item) view->say(item);
	if (code == ERR_OK)
		output_list(items, view->columns, view->empty, as_json);
	return session_end(options, code, &err);
}

int call_list(const struct options *options, const char *path,
    const struct column *columns, const char *empty)
{
	const struct call_view view = {.columns = columns, .empty = empty};

	return call_show_list(options, path, &view);
}
