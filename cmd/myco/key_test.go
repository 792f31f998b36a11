package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// keeping is a daemon with two keys.
func keeping(t *testing.T) *daemon {
	t.Helper()
	d := setup(t)
	keys := []bus.KeyInfo{
		{ID: "aaaa2222", KeyRequest: bus.KeyRequest{Name: "phone", PerMinute: 60, Concurrent: 2}},
		{ID: "bbbb3333", KeyRequest: bus.KeyRequest{Admin: true}},
	}
	on(d, payload(bus.VerbKeys), func(struct{}) any { return keys })
	on(d, payload(bus.VerbKeyCreate), func(r bus.KeyRequest) any {
		return bus.NewKey{KeyInfo: bus.KeyInfo{ID: "cccc4444", Created: noon, KeyRequest: r}, Key: bus.KeyPrefix + "secret"}
	})
	on(d, payload(bus.VerbKeyRevoke), func(r bus.KeyInfo) any {
		i := slices.IndexFunc(keys, func(k bus.KeyInfo) bool { return k.ID == r.ID })
		if i < 0 {
			return bus.Errorf(bus.CodeNotFound, "no key %q", r.ID).WithHint("myco key ls")
		}
		return keys[i]
	})
	return d
}

func TestKeys(t *testing.T) {
	t.Parallel()
	d := keeping(t)
	golden(t, "key_ls.golden", d.myco("key", "ls").want(t, 0).out)
	golden(t, "key_ls_json.golden", d.myco("key", "ls", "--json").want(t, 0).out)
	created := d.myco("key", "create", "--name", "tablet", "--rate", "30/min", "--concurrent", "3", "--admin").want(t, 0, "only time", "cccc4444")
	if created.out != bus.KeyPrefix+"secret\n" {
		t.Errorf("the key is printed as %q, want it alone", created.out)
	}
	golden(t, "key_create_json.golden", d.myco("key", "create", "--name", "tablet", "--rate", "30/min", "--concurrent", "3", "--admin", "--json").want(t, 0).out)
	if r := d.myco("key", "revoke", "aaaa2222").want(t, 0); !strings.Contains(r.out, "aaaa2222 (phone) is revoked") {
		t.Errorf("revoked: %q", r.out)
	}
	golden(t, "key_revoke_json.golden", d.myco("key", "revoke", "aaaa2222", "--json").want(t, 0).out)
	d.myco("key", "revoke", "zzzz").want(t, 3, `no key with the id or the name "zzzz"`, "myco key ls")
	if r := d.myco("key", "revoke", "phone").want(t, 0); !strings.Contains(r.out, "aaaa2222 (phone) is revoked") {
		t.Errorf("revoked by its name: %q", r.out)
	}
	d.myco("key", "revoke", bus.KeyPrefix+"secret").want(t, 2, "not its id")
	for _, bad := range []string{"x", "0", "-1/min", "5/hour", "1000001"} {
		d.myco("key", "create", "--rate="+bad).want(t, 2, "myco key create")
	}
	d.myco("key", "create", "--concurrent=-1").want(t, 2, "at one time")
}

func TestKeysOfOneName(t *testing.T) {
	t.Parallel()
	d := setup(t)
	phone := bus.KeyRequest{Name: "phone"}
	on(d, payload(bus.VerbKeys), func(struct{}) any {
		return []bus.KeyInfo{{ID: "aaaa2222", KeyRequest: phone}, {ID: "bbbb3333", KeyRequest: phone}, {ID: "cccc4444"}}
	})
	on(d, payload(bus.VerbKeyRevoke), func(r bus.KeyInfo) any {
		if r.ID != "phone" {
			t.Errorf("%q is revoked", r.ID)
		}
		return bus.Errorf(bus.CodeNotFound, "no key %q", r.ID)
	})
	d.myco("key", "revoke", "").want(t, 2, "myco key ls") // as of a variable that is not set: not the one without a name
	d.myco("key", "revoke", "phone").want(t, 2, `2 keys are named "phone": aaaa2222, bbbb3333`)
}
