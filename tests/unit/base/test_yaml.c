// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include "base/yaml.h"

struct rule {
	char *name;
	int level;
};

struct paper {
	char *title;
	unsigned pages;
	bool open;
	struct rule first;
	struct rule *rules;
	unsigned rules_count;
	char **tags;
	unsigned tags_count;
	enum { GREEN, RED } colour;
	uint32_t uses;
};

static const cyaml_strval_t colours[] = {{"green", GREEN}, {"red", RED}};
static const cyaml_strval_t uses[] = {{"sign", 1}, {"wrap", 2}};

static const cyaml_schema_field_t rule_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct rule, name, 1, 9),
    CYAML_FIELD_INT("level", CYAML_FLAG_OPTIONAL, struct rule, level),
    CYAML_FIELD_END};
static const cyaml_schema_value_t rule_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct rule, rule_fields)};
static const cyaml_schema_value_t tag_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, 9)};

static const cyaml_schema_field_t paper_fields[] = {
    CYAML_FIELD_STRING_PTR(
	"title", CYAML_FLAG_POINTER, struct paper, title, 1, 9),
    CYAML_FIELD_UINT("pages", CYAML_FLAG_OPTIONAL, struct paper, pages),
    CYAML_FIELD_BOOL("open", CYAML_FLAG_OPTIONAL, struct paper, open),
    CYAML_FIELD_MAPPING(
	"first", CYAML_FLAG_OPTIONAL, struct paper, first, rule_fields),
    CYAML_FIELD_SEQUENCE("rules", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
	struct paper, rules, &rule_entry, 0, 2),
    CYAML_FIELD_SEQUENCE("tags", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
	struct paper, tags, &tag_entry, 0, 9),
    CYAML_FIELD_ENUM("colour", CYAML_FLAG_STRICT | CYAML_FLAG_OPTIONAL,
	struct paper, colour, colours, ARRAY_LEN(colours)),
    CYAML_FIELD_FLAGS("uses", CYAML_FLAG_STRICT | CYAML_FLAG_OPTIONAL,
	struct paper, uses, uses, ARRAY_LEN(uses)),
    CYAML_FIELD_END};
static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct paper, paper_fields)};

static enum err_code parse(struct bytes text, void **data, struct err *err)
{
	return yaml_parse("f.yaml", text, &schema, data, err);
}

static void yaml_fills_the_struct_of_the_schema(void **state)
{
	const char text[] = "# a comment\n"
			    "title: \"t\"\n"
			    "pages: 10\n"
			    "open: true\n"
			    "colour: red\n"
			    "uses: [sign, wrap]\n"
			    "first: {name: f, level: -1}\n"
			    "rules:\n"
			    "  - name: a\n"
			    "  - name: b\n"
			    "    level: 0\n"
			    "tags: [x, '', \xc3\xa4]\n";
	struct err err;
	void *data = NULL;
	struct paper *paper;

	(void)state;
	assert_ok(parse(BYTES_STR(text), &data, &err));
	paper = data;
	assert_string_equal(paper->title, "t");
	assert_int_equal(paper->pages, 10);
	assert_true(paper->open);
	assert_int_equal(paper->colour, RED);
	assert_int_equal(paper->uses, 3);
	assert_int_equal(paper->first.level, -1);
	assert_int_equal(paper->rules_count, 2);
	assert_string_equal(paper->rules[1].name, "b");
	assert_int_equal(paper->tags_count, 3);
	assert_string_equal(paper->tags[1], "");
	yaml_release(&schema, data);
	yaml_release(&schema, NULL);
}

static void yaml_refuses_wrong_texts_with_file_line_and_key(void **state)
{
	const char *const bad[][2] = {
	    {"", "f.yaml:1: holds nothing"},
	    {"# only a comment\n", "holds nothing"},
	    {"- a\n", "f.yaml:1: is a list; want a mapping"},
	    {"title\n", "f.yaml:1: is a single value; want a mapping"},
	    {"title: t\ntitel: x\n",
		"f.yaml:2: unknown key \"titel\"; known: title, pages, open"},
	    {"title: t\nfirst:\n  name: n\n  nam: n\n",
		"f.yaml:4: first: unknown key \"nam\"; known: name, level"},
	    {"title: t\npages: 1\ntitle: u\n",
		"f.yaml:3: key \"title\" is there twice"},
	    {"pages: 1\n", "f.yaml:1: key \"title\" is missing"},
	    {"title: t\nrules:\n- name: a\n- level: 1\n",
		"f.yaml:4: rules[2]: key \"name\" is missing"},
	    {"title: [t]\n", "f.yaml:1: title: is a list; want a text"},
	    {"title: {a: b}\n", "f.yaml:1: title: is a mapping; want a text"},
	    {"title: t\nfirst: x\n",
		"f.yaml:2: first: is a single value; want a mapping"},
	    {"title: t\nfirst:\n", "f.yaml:2: first: is empty; want a mapping"},
	    {"title: t\ntags: x\n",
		"f.yaml:2: tags: is a single value; want a list"},
	    {"title: t\ntags:\n- a\n- {}\n",
		"f.yaml:4: tags[2]: is a mapping; want a text"},
	    {"title: t\npages: many\n",
		"f.yaml:2: pages: \"many\" is not a whole number"},
	    {"title: t\npages: 010\n", "\"010\" is not a whole number"},
	    {"title: t\npages: 0x10\n", "\"0x10\" is not a whole number"},
	    {"title: t\npages: 1.5\n", "\"1.5\" is not a whole number"},
	    {"title: t\npages:\n", "pages: \"\" is not a whole number"},
	    {"title: t\npages: -1\n", "pages: -1 is negative"},
	    {"title: t\npages: 4294967296\n",
		"f.yaml:2: pages: Invalid UINT value"},
	    {"title: t\nfirst: {name: a, level: -}\n",
		"first.level: \"-\" is not a whole number"},
	    {"title: t\nopen: perhaps\n", "f.yaml:2: open: \"perhaps\" is not true or"},
	    {"title: t\nopen: yes\n", "\"yes\" is not true or false"},
	    {"title: t\ncolour: blue\n", "f.yaml:2: colour: "},
	    {"title: t\ncolour: 1\n", "f.yaml:2: colour: "},
	    {"title: t\nuses: [sign, eat]\n", "f.yaml:2: uses"},
	    {"title: t\nuses: [{}]\n", "f.yaml:2: uses[1]: want one word"},
	    {"title: 1234567890\n", "f.yaml:1: title: STRING length > 9"},
	    {"title: \n", "f.yaml:1: title: STRING length < 1"},
	    {"title: t\nrules:\n- name: a\n- name: 1234567890\n",
		"f.yaml:4: rules[2].name: STRING length > 9"},
	    {"title: t\nrules: [{name: a}, {name: b}, {name: c}]\n",
		"f.yaml:2: rules[3]: the list takes at most 2"},
	    {"title: t\n? [a]\n: b\n", "f.yaml:2: a key must be one word"},
	    {"title: &a t\n", "f.yaml:1: title: anchors and aliases"},
	    {"title: t\ntags: &a [x]\n", "tags: anchors and aliases"},
	    {"title: t\nfirst: &a {name: x}\n", "first: anchors and aliases"},
	    {"title: *a\n", "f.yaml:1: title: anchors and aliases"},
	    {"title: !!binary dA==\n", "f.yaml:1: title: tags are not read"},
	    {"title: t\ntags: !x [a]\n", "tags: tags are not read"},
	    {"title: t\n<<: {pages: 1}\n", "unknown key \"<<\""},
	    {"title: \"t\\0u\"\n", "f.yaml:1: title: holds a NUL"},
	    {"title: t\n\"pages\\0\": 1\n", "unknown key \"pages\\x00\""},
	    {"title: t\n---\ntitle: u\n", "f.yaml:2: a second document"},
	    {"title: t\n\tpages: 1\n", "f.yaml:2: not valid YAML"},
	    {"title: t\n  pages: 1\n", "f.yaml:2: not valid YAML"},
	    {"title: t\ntags: [t\n", "not valid YAML"},
	    {"title: \"\xff\"\n", "not valid YAML"},
	    {"\xff\xfet\0:\0", "not valid YAML"},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		void *data = NULL;

		assert_refused(parse(BYTES_STR(bad[i][0]), &data, &err),
		    ERR_CONFIG, bad[i][1]);
		assert_null(data);
	}
}

/* A schema that nests without end. */
struct deep {
	struct deep *a;
};

static const cyaml_schema_field_t deep_fields[] = {
    CYAML_FIELD_MAPPING_PTR("a", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
	struct deep, a, deep_fields),
    CYAML_FIELD_END};
static const cyaml_schema_value_t deep = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct deep, deep_fields)};

static void yaml_nested_deeper_than_eight_is_refused(void **state)
{
	struct err err;
	void *data = NULL;

	(void)state;
	assert_ok(yaml_parse("f.yaml",
	    BYTES_STR("{a: {a: {a: {a: {a: {a: {a: {}}}}}}}}"), &deep, &data,
	    &err));
	yaml_release(&deep, data);
	data = NULL;
	assert_refused(
	    yaml_parse("f.yaml",
		BYTES_STR("{a: {a: {a: {a: {a: {a: {a: {a: {}}}}}}}}}"), &deep,
		&data, &err),
	    ERR_CONFIG, "nested deeper than 8");
}

static void yaml_reads_a_file_within_its_bound(void **state)
{
	OWNED_STR(path) = harness_file(*state, "f.yaml", "title: t\n");
	OWNED_STR(wrong) = harness_file(*state, "w.yaml", "title: t\nx: y\n");
	OWNED_STR(absent) = fs_join(*state, "absent.yaml");
	OWNED_STR(place) = mem_printf("%s:2: unknown key", wrong);
	OWNED_BUF(large);
	struct err err;
	void *data = NULL;

	assert_ok(yaml_load(path, &schema, &data, &err));
	yaml_release(&schema, data);
	data = NULL;
	assert_refused(
	    yaml_load(wrong, &schema, &data, &err), ERR_CONFIG, place);
	assert_refused(yaml_load(absent, &schema, &data, &err), ERR_NOT_FOUND,
	    "absent.yaml");
	buf_put_str(&large, "title: t\n#");
	memset(buf_extend(&large, YAML_MAX_SIZE), 'x', YAML_MAX_SIZE);
	assert_refused(
	    parse(buf_bytes(&large), &data, &err), ERR_CONFIG, "longer");
	assert_ok(fs_write(path, 0600, buf_bytes(&large), &err));
	assert_refused(yaml_load(path, &schema, &data, &err), ERR_CONFIG,
	    "longer than 1048576");
}

static void yaml_line_of_finds_where_a_value_begins(void **state)
{
	struct bytes text = BYTES_STR("title: t\n\nfirst:\n  name: n\nrules:\n"
				      "- name: a\n- name: b\n  level: 2\n");

	(void)state;
	assert_int_equal(yaml_line_of(text, &schema, "title"), 1);
	assert_int_equal(yaml_line_of(text, &schema, "first.name"), 4);
	assert_int_equal(yaml_line_of(text, &schema, "rules[2].level"), 8);
	assert_int_equal(yaml_line_of(text, &schema, "pages"), 0);
	assert_int_equal(yaml_line_of(text, &schema, "rules[3]"), 0);
	text = BYTES_STR("title: t\npages: [");
	assert_int_equal(yaml_line_of(text, &schema, "title"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(yaml_fills_the_struct_of_the_schema),
	    cmocka_unit_test(yaml_refuses_wrong_texts_with_file_line_and_key),
	    cmocka_unit_test(yaml_nested_deeper_than_eight_is_refused),
	    DIR_TEST(yaml_reads_a_file_within_its_bound),
	    cmocka_unit_test(yaml_line_of_finds_where_a_value_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
