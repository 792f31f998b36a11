//go:build e2e && linux

package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// rules are what holds against an attack.
type rules = []protect.Protection

// attacks is what somebody may try on purpose, and what holds against it, in the order of the page.
var attacks = []lab.Fault{
	{
		Key: "spoof", Event: "mDNS: a rogue announces a member at his own address, the swarm with his own key, and malformed records",
		Promise: "a record is a hint: no certificate, no credential and no task goes to whoever does not prove a member's key",
		Test:    "TestSpoofedRecords", Without: rules{protect.Roster}, Then: `the rogue was shown \d+ certificates`,
	},
	{
		Key: "routes", Event: "a rogue at the route port: plaintext, no certificate, a foreign key, a member's certificate without its key, a key that was put out",
		Promise: "keys of the roster only, checked on both sides",
		Test:    "TestRouteMatrix", Without: rules{protect.Roster, protect.Pins}, Then: `a foreign key, at a: held false, told "INFO`,
	},
	{
		Event: "a rogue at the route port with an older TLS", Promise: "TLS 1.3 only",
		Test: "TestRouteMatrix", Without: rules{protect.Modern}, Then: `TLS 1.2, at a: held false, told "INFO`,
	},
	{
		Key: "joins", Event: "a rogue at the join port: the same, a replayed proof, a guessed one, one for another key or name",
		Promise: "a proof is bound to its connection, key and name; nothing is told of the swarm",
		Test:    "TestJoinMatrix", Without: rules{protect.JoinProof}, Then: `a replayed proof: refused as "", want "bad_token"`,
	},
	{
		Event: "a token is used twice", Promise: "it lets one in, once",
		Test: "TestJoinMatrix", Without: rules{protect.Once}, Then: `the second with a token: refused as "", want "used"`,
	},
	{
		Event: "an expired token is used", Promise: "refused",
		Test: "TestJoinMatrix", Without: rules{protect.TokenLife}, Then: `an expired token: refused as "", want "expired"`,
	},
	{
		Event: "somebody guesses at tokens", Promise: "slowed after 10, others are not",
		Test: "TestJoinMatrix", Without: rules{protect.Guesses}, Then: `after 12 guesses: "bad_token"`,
	},
	{
		Key: "impostor", Event: "an impostor answers for an inviter, or for a peer",
		Promise: "the key is checked before anything is said: not even a certificate is shown",
		Test:    "TestImpostorLearnsNothing", Without: rules{protect.InviterKey}, Then: `the rogue was shown 1 certificates and told "[^"]{1,8}`,
	},
	{
		Key: "stolen", Event: "a node is stolen, and revoked under load", Promise: "out everywhere <= 10 s, 0 lost",
		Test: "TestRevokeUnderLoad", Without: rules{protect.PutOut, protect.Pins}, Then: `keeps nothing of the others: not within \S+|knows that it is out: not within \S+`,
	},
	{
		Event: "a stolen node does not want to hear of it", Promise: "its live routes are cut",
		Test: "TestRevokingCutsALiveRoute", Package: "./bus/fabric", Without: rules{protect.Pins}, Then: `not within \S+ the route is cut`,
	},
	{
		Event: "a credential is stolen, and replaced", Promise: "the old one is refused at once, connections that use it are cut",
		Test: "TestRotateWhileConnected", Without: rules{protect.Stale}, Then: `the observer was not cut`,
	},
	{
		Key: "grants", Event: "every credential tries every subject and every call of JetStream", Promise: "a list of what is allowed, all else refused",
		Test: "TestGrantMatrix", Without: rules{protect.Grants}, Then: `grants.golden lacks: sub  payload.>\s+user observer`,
	},
	{
		Event: "a client without a credential, or with another daemon's", Promise: "nobody is anonymous",
		Test: "TestGrantMatrix", Without: rules{protect.Clients}, Then: `grants.golden lacks: in   bus: nobody\s+let in`,
	},
	{
		Key: "prompts", Event: "observers, and users of other machines, listen for prompts and answers", Promise: "heard by the one who asked alone",
		Test: "TestPromptsAreTheirOwners", Without: rules{protect.Inboxes}, Then: `the user of a third machine hears \d+ messages`,
	},
	{
		Event: "an observer has the store speak in its name", Promise: "the store answers to inboxes alone",
		Test: "TestObserverCannotSteerTheStore", Package: "./bus/fabric", Without: rules{protect.StoreCalls}, Then: `the observer wrote \d+ messages`,
	},
	{
		Key: "http", Event: "HTTP: a site whose name points here (DNS rebinding), on every route", Promise: "own names only, whatever else is in order",
		Test: "TestHTTPMatrix", Without: rules{protect.Hosts}, Then: `the attacks on /task made \d+ tasks`,
	},
	{
		Event: "HTTP: requests of other sites, of Origin null", Promise: "refused; no answer may be read across origins",
		Test: "TestHTTPMatrix", Without: rules{protect.Sites}, Then: `the attacks on /task made \d+ tasks`,
	},
	{
		Event: "HTTP: no key, a wrong one, or in another place", Promise: "401 on every route but health, and but the interfaces of others on this machine",
		Test: "TestHTTPMatrix", Without: rules{protect.HTTPKey}, Then: `the attacks on /task made \d+ tasks`,
	},
	{
		Event: "HTTP: a key that was revoked, and what it has under way", Promise: "401 at once on every route, and what is under way is cut",
		Test: "TestKeyIsRevoked", Package: "./gateway", Without: rules{protect.KeyRevoked}, Then: `a request of the key that was revoked goes on`,
	},
	{
		Event: "HTTP: a key makes more requests than it may", Promise: "429, and when to come again, in the interface's own words; other keys are served",
		Test: "TestRateOfAKey", Package: "./gateway", Without: rules{protect.KeyLimits}, Then: `beyond the limit: 200`,
	},
	{
		Event: "HTTP: another content type, as of a form", Promise: "no task; Ollama's interface takes it, but not from a browser",
		Test: "TestHTTPMatrix", Without: rules{protect.ContentType}, Then: `the attacks on /task made \d+ tasks`,
	},
	{
		Key: "slow", Event: "HTTP: clients that send a header or a body for ever", Promise: "cut off after 10 s and 60 s",
		Test: "TestSlowClientsAreCut", Without: rules{protect.SlowClients}, Then: `header: held for [0-9]+m`,
	},
	{
		Key: "browser", Event: "a web page in a real browser: fetch, forms, websockets and DNS rebinding against the HTTP port and the bus",
		Promise: "nothing changes, nothing can be read",
		Test:    "TestWebPage", Without: rules{protect.Hosts, protect.Sites, protect.HTTPKey}, Then: `the own origin fetch reads "[^,]*`,
	},
	{
		Event:   "SSRF: a page is asked for, by a name, a redirect, a rebinding resolver or another spelling, that is inside",
		Promise: "public addresses only, checked at each connect: 0 connects",
		Test:    "TestNothingButPublicAddresses", Package: "./handlers/web", Without: rules{protect.Fetches}, Then: `\d+ connects by \d+ ways to what is inside`,
	},
	{
		Key: "logs", Event: "secrets leak into logs, also of commands, joins, failures and crashes", Promise: "prompts, tokens, phrases and keys are never logged",
		Test: "TestNoSecretIsToldOf", Without: rules{protect.Unlogged}, Then: `a prompt or an answer is in the log of b`,
	},
	{
		Event: "bytes that were made to break a parser", Promise: "every parser of foreign bytes is fuzzed, its corpus runs with the tests",
		Test: "TestForeignBytesAreFuzzed", Package: "./internal/archtest",
	},
	{
		Event: "an engine is open to the network", Promise: "`myco doctor` warns: it bypasses all of this",
		Test: "TestDoctorWarnsOfAnOpenEngine", Without: rules{protect.OpenEngine}, Then: `want one thing, warn`,
	},
}

// guarded are the attacks that one rule or a few hold against.
func guarded() []lab.Fault {
	return slices.DeleteFunc(slices.Clone(attacks), func(f lab.Fault) bool { return len(f.Without) == 0 })
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
	for _, f := range slices.Concat(catalogue, attacks) {
		name, dir := f.Test, f.Package
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
