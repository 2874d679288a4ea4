// SPDX-License-Identifier: Apache-2.0
#include "hsm/keyring.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define URI_MAX 1024
#define KEYS_MAX 1024

struct entry {
	struct key key;
	enum key_role role;
	UT_hash_handle hh;
	size_t uri_len;
	uint8_t uri[];
};

/* The handles of entries are good while epoch is the token's. */
struct keyring {
	struct token *token;
	struct entry *entries;
	uint64_t epoch;
};

struct keyring *keyring_new(struct token *token)
{
	struct keyring *ring = mem_zalloc(sizeof(*ring));

	ring->token = token;
	ring->epoch = token_epoch(token);
	return ring;
}

static void drop_entry(struct keyring *ring, struct entry *entry)
{
	HASH_DEL(ring->entries, entry);
	/* A copy that was void already is none of the token's objects. */
	if (entry->key.copied && ring->epoch == token_epoch(ring->token))
		(void)token_functions(ring->token)
		    ->C_DestroyObject(
			token_owner(ring->token), entry->key.handle);
	free(entry);
}

static void forget_all(struct keyring *ring)
{
	struct entry *entry;
	struct entry *next;

	HASH_ITER (hh, ring->entries, entry, next)
		drop_entry(ring, entry);
}

void keyring_free(struct keyring *ring)
{
	if (ring == NULL)
		return;
	forget_all(ring);
	free(ring);
}

static const char *uri_excess(P11KitUri *uri)
{
	if (p11_kit_uri_get_pin_value(uri) != NULL ||
	    p11_kit_uri_get_pin_source(uri) != NULL)
		return "it holds a PIN";
	if (p11_kit_uri_get_slot_id(uri) != (CK_SLOT_ID)-1)
		return "it names a slot";
	if (p11_kit_uri_any_unrecognized(uri))
		return "it has an attribute that is not known";
	if (p11_kit_uri_get_attribute(uri, CKA_ID) == NULL &&
	    p11_kit_uri_get_attribute(uri, CKA_LABEL) == NULL)
		return "it has neither id nor object";
	return NULL;
}

static enum wire_status parse_uri(
    struct bytes text, P11KitUri *uri, struct fault *fault)
{
	OWNED_STR(str) = NULL;
	const char *excess;
	int result;

	if (text.len == 0 || text.len > URI_MAX ||
	    memchr(text.data, 0, text.len) != NULL)
		return fault_set(fault, WIRE_BAD_REQUEST,
		    "key URI empty, too long or with a NUL");
	str = mem_strndup((const char *)text.data, text.len);
	result = p11_kit_uri_parse(str, P11_KIT_URI_FOR_ANY, uri);
	if (result != P11_KIT_URI_OK)
		return fault_set(fault, WIRE_BAD_REQUEST, "key URI %s: %s",
		    err_quote_str(str), p11_kit_uri_message(result));
	excess = uri_excess(uri);
	if (excess != NULL)
		return fault_set(
		    fault, WIRE_BAD_REQUEST, "key URI refused: %s", excess);
	return WIRE_OK;
}

static void add_from_uri(
    struct template *wanted, P11KitUri *uri, CK_ATTRIBUTE_TYPE type)
{
	const CK_ATTRIBUTE *attribute = p11_kit_uri_get_attribute(uri, type);

	if (attribute != NULL)
		template_bytes(wanted, type,
		    BYTES(attribute->pValue, attribute->ulValueLen));
}

/* The one object of the token, session objects left out, that URI names. */
static enum wire_status find_one(struct keyring *ring, P11KitUri *uri,
    const CK_OBJECT_CLASS *class, CK_OBJECT_HANDLE *handle_out,
    struct fault *fault)
{
	struct template wanted = {.count = 0};
	CK_OBJECT_HANDLE handles[2];
	size_t count = 0;
	enum wire_status status;

	if (!p11_kit_uri_match_token_info(uri, token_info(ring->token)))
		return fault_set(
		    fault, WIRE_NO_KEY, "the key URI names another token");
	template_bool(&wanted, CKA_TOKEN, true);
	if (class != NULL)
		template_number(&wanted, CKA_CLASS, *class);
	else
		add_from_uri(&wanted, uri, CKA_CLASS);
	add_from_uri(&wanted, uri, CKA_ID);
	add_from_uri(&wanted, uri, CKA_LABEL);
	status = item_find(
	    ring->token, &wanted, handles, ARRAY_LEN(handles), &count, fault);
	if (status != WIRE_OK)
		return status;
	if (count == 0)
		return fault_set(
		    fault, WIRE_NO_KEY, "no such key in the token");
	if (count > 1)
		return fault_set(fault, WIRE_NO_KEY,
		    "several keys fit the URI; name it by id");
	*handle_out = handles[0];
	return WIRE_OK;
}

static const struct {
	CK_OBJECT_CLASS class;
	uint32_t needs; /* HSM_ATTR_* */
	bool copy;
	const char *name;
} roles[] = {
    [KEY_SIGN] = {CKO_PRIVATE_KEY, HSM_ATTR_SIGN, true, "sign"},
    [KEY_MAC] = {CKO_SECRET_KEY, HSM_ATTR_SIGN, true, "make a MAC"},
    [KEY_WRAP] = {CKO_SECRET_KEY, HSM_ATTR_WRAP | HSM_ATTR_UNWRAP, false,
	"wrap and unwrap"},
};

static bool type_fits(const struct item *object, enum key_role role)
{
	switch (role) {
	case KEY_SIGN:
		return object->key_type == CKK_EC ||
		       object->key_type == CKK_RSA;
	case KEY_MAC:
		return object->key_type == CKK_GENERIC_SECRET ||
		       object->key_type == CKK_SHA256_HMAC;
	case KEY_WRAP:
		return object->key_type == CKK_AES;
	}
	return false;
}

static enum wire_status check_use(
    const struct item *object, enum key_role role, struct fault *fault)
{
	const char *unsafe = item_unsafe(object);

	if (unsafe != NULL)
		return fault_set(fault, WIRE_UNSAFE, "key %s %s",
		    err_quote_str(object->label), unsafe);
	if (object->class != roles[role].class ||
	    (object->attributes & roles[role].needs) != roles[role].needs ||
	    !type_fits(object, role))
		return fault_set(fault, WIRE_REFUSED,
		    "key %s (%s) is not made to %s",
		    err_quote_str(object->label), object->type_text,
		    roles[role].name);
	return WIRE_OK;
}

/* A copy must be no weaker than its original. */
static bool copy_safe(struct keyring *ring, CK_OBJECT_HANDLE copy)
{
	struct fault ignored;
	struct item object;
	const uint32_t must = HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE;
	const uint32_t must_not =
	    HSM_ATTR_TOKEN | HSM_ATTR_EXTRACTABLE | HSM_ATTR_MODIFIABLE;

	return item_read(ring->token, copy, &object, &ignored) == WIRE_OK &&
	       (object.attributes & must) == must &&
	       ((object.attributes | object.unknown) & must_not) == 0;
}

/* A session object costs SoftHSM no file access per use.  Where copying is
 * refused the object of the token serves. */
static void try_copy(struct keyring *ring, struct key *key)
{
	struct template session = {.count = 0};
	CK_FUNCTION_LIST *p11 = token_functions(ring->token);
	CK_OBJECT_HANDLE copy = 0;

	if (!token_quirks(ring->token)->copies)
		return;
	template_bool(&session, CKA_TOKEN, false);
	if (p11->C_CopyObject(token_owner(ring->token), key->handle,
		session.attributes, session.count, &copy) != CKR_OK)
		return;
	if (!copy_safe(ring, copy)) {
		(void)p11->C_DestroyObject(token_owner(ring->token), copy);
		return;
	}
	key->handle = copy;
	key->copied = true;
}

static enum wire_status find_key(struct keyring *ring, P11KitUri *uri,
    enum key_role role, struct key *key_out, struct fault *fault)
{
	const CK_ATTRIBUTE *class = p11_kit_uri_get_attribute(uri, CKA_CLASS);
	struct item object;
	enum wire_status status;

	if (class != NULL &&
	    !bytes_equal(BYTES(class->pValue, class->ulValueLen),
		BYTES(&roles[role].class, sizeof(roles[role].class))))
		return fault_set(fault, WIRE_NO_KEY,
		    "the key URI's type is not that of a key to %s",
		    roles[role].name);
	status = find_one(ring, uri, &roles[role].class, &object.handle, fault);
	if (status == WIRE_OK)
		status = item_read(ring->token, object.handle, &object, fault);
	if (status == WIRE_OK)
		status = check_use(&object, role, fault);
	if (status != WIRE_OK)
		return status;
	*key_out = (struct key){.handle = object.handle,
	    .type = object.key_type,
	    .bits = object.bits};
	if (roles[role].copy)
		try_copy(ring, key_out);
	return WIRE_OK;
}

static struct entry *add_entry(struct keyring *ring, struct bytes uri,
    enum key_role role, const struct key *key)
{
	struct entry *entry = mem_zalloc(sizeof(*entry) + uri.len);

	if (HASH_COUNT(ring->entries) >= KEYS_MAX)
		forget_all(ring);
	entry->key = *key;
	entry->role = role;
	entry->uri_len = uri.len;
	memcpy(entry->uri, uri.data, uri.len);
	HASH_ADD_KEYPTR(
	    hh, ring->entries, entry->uri, (unsigned)entry->uri_len, entry);
	return entry;
}

static void follow_epoch(struct keyring *ring)
{
	if (ring->epoch == token_epoch(ring->token))
		return;
	forget_all(ring);
	ring->epoch = token_epoch(ring->token);
}

enum wire_status keyring_get(struct keyring *ring, struct bytes uri,
    enum key_role role, const struct key **key_out, struct fault *fault)
{
	struct entry *entry = NULL;
	struct key key;
	P11KitUri *parsed;
	enum wire_status status;

	follow_epoch(ring);
	if (uri.len > 0 && uri.len <= URI_MAX)
		HASH_FIND(
		    hh, ring->entries, uri.data, (unsigned)uri.len, entry);
	if (entry != NULL && entry->role == role) {
		*key_out = &entry->key;
		return WIRE_OK;
	}
	parsed = p11_kit_uri_new();
	status = parse_uri(uri, parsed, fault);
	if (status == WIRE_OK)
		status = find_key(ring, parsed, role, &key, fault);
	p11_kit_uri_free(parsed);
	if (status != WIRE_OK)
		return status;
	*key_out = &add_entry(ring, uri, role, &key)->key;
	return WIRE_OK;
}

static enum wire_status read_now(struct keyring *ring, struct bytes uri,
    struct item *object_out, struct fault *fault)
{
	P11KitUri *parsed = p11_kit_uri_new();
	CK_OBJECT_HANDLE handle = 0;
	enum wire_status status = parse_uri(uri, parsed, fault);

	if (status == WIRE_OK)
		status = find_one(ring, parsed, NULL, &handle, fault);
	if (status == WIRE_OK)
		status = item_read(ring->token, handle, object_out, fault);
	p11_kit_uri_free(parsed);
	return status;
}

enum wire_status keyring_check(struct keyring *ring, struct bytes uri,
    struct item *object_out, struct fault *fault)
{
	struct entry *entry = NULL;
	const char *unsafe;
	enum wire_status status;

	follow_epoch(ring);
	status = read_now(ring, uri, object_out, fault);
	unsafe = status == WIRE_OK ? item_unsafe(object_out) : NULL;
	if (status == WIRE_OK && unsafe == NULL)
		return WIRE_OK;
	if (uri.len > 0 && uri.len <= URI_MAX)
		HASH_FIND(
		    hh, ring->entries, uri.data, (unsigned)uri.len, entry);
	if (entry != NULL)
		drop_entry(ring, entry);
	if (unsafe != NULL)
		return fault_set(fault, WIRE_UNSAFE, "key %s %s",
		    err_quote_str(object_out->label), unsafe);
	return status;
}
