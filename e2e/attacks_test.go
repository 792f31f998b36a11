//go:build e2e && linux

package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// attacks is what somebody may try on purpose, and what holds against it, in the order of the page.
var attacks = []lab.Fault{
	{Key: "spoof", Event: "mDNS: a rogue announces a member at his own address, the swarm with his own key, and malformed records", Promise: "a record is a hint: no certificate, no credential and no task goes to whoever does not prove a member's key", Test: "TestSpoofedRecords"},
	{Key: "routes", Event: "a rogue at the route port: plaintext, old TLS, no certificate, a foreign key, a member's certificate without its key, a key that was put out", Promise: "TLS 1.3 only, keys of the roster only, checked on both sides", Test: "TestRouteMatrix"},
	{Key: "joins", Event: "a rogue at the join port: the same, a replayed proof, guessed, used and expired tokens", Promise: "a proof is bound to its connection, key and name; a token lets one in, once; guesses are slowed; nothing is told of the swarm", Test: "TestJoinMatrix"},
	{Key: "impostor", Event: "an impostor answers for an inviter, or for a peer", Promise: "the key is checked before anything is said: not even a certificate is shown", Test: "TestImpostorLearnsNothing"},
	{Key: "stolen", Event: "a node is stolen, and revoked under load", Promise: "out everywhere <= 10 s, live routes cut, 0 lost", Test: "TestRevokeUnderLoad"},
	{Event: "a credential is stolen, and replaced", Promise: "the old one is refused at once, connections that use it are cut", Test: "TestRotateWhileConnected"},
	{Key: "grants", Event: "every credential tries every subject and every call of JetStream", Promise: "a list of what is allowed, all else refused; nobody is anonymous", Test: "TestGrantMatrix"},
	{Key: "prompts", Event: "observers, and users of other machines, listen for prompts and answers", Promise: "seen by the one who asked alone", Test: "TestPromptsAreTheirOwners"},
	{Event: "an observer has the store speak in its name", Promise: "the store answers to inboxes alone", Test: "TestObserverCannotSteerTheStore (bus/fabric)"},
	{Key: "http", Event: "HTTP: a foreign Host, Origin null, cross-site, no key, a wrong key, another content type, too large a body, on every route", Promise: "refused on every route, before anything happens", Test: "TestHTTPMatrix"},
	{Key: "slow", Event: "HTTP: clients that send a header or a body for ever", Promise: "cut off after 10 s and 60 s", Test: "TestSlowClientsAreCut"},
	{Key: "browser", Event: "a web page in a real browser: fetch, forms, websockets and DNS rebinding against the HTTP port and the bus", Promise: "nothing changes, nothing can be read", Test: "TestWebPage"},
	{Key: "logs", Event: "secrets leak into logs, also of commands, joins, failures and crashes", Promise: "prompts, tokens, phrases and keys are never logged", Test: "TestNoSecretIsToldOf"},
	{Event: "bytes that were made to break a parser", Promise: "every parser of foreign bytes is fuzzed, its corpus runs with the tests", Test: "TestForeignBytesAreFuzzed (internal/archtest)"},
	{Event: "an engine is open to the network", Promise: "`myco doctor` warns: it bypasses all of this", Test: "TestDoctorWarnsOfAnOpenEngine"},
}

// A row of either table names a test that exists.
func TestCatalogueNamesTests(t *testing.T) {
	t.Parallel()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]string{"": read(t, files...)}
	keys := map[string]bool{}
	for _, f := range append(catalogue[:len(catalogue):len(catalogue)], attacks...) {
		name, dir, _ := strings.Cut(strings.TrimSuffix(f.Test, ")"), " (")
		if _, ok := in[dir]; !ok {
			files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			in[dir] = read(t, files...)
		}
		if !regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`).MatchString(in[dir]) {
			t.Errorf("%s: there is no test %s", f.Event, f.Test)
		}
		if f.Key != "" && keys[f.Key] {
			t.Errorf("two rows have the key %s", f.Key)
		}
		keys[f.Key] = true
	}
}

// read gives the text of files.
func read(t *testing.T, files ...string) string {
	t.Helper()
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}
