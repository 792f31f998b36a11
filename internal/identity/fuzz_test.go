package identity_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add("myco1")
	f.Add("myco1aeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	h, err := identity.Open(f.TempDir(), identity.Options{Name: "host"})
	if err != nil {
		f.Fatal(err)
	}
	for _, addrs := range [][]string{{"192.0.2.1:7423"}, {"[2001:db8::1]:7423", "host.example:1"}} {
		token, _, err := h.Invite(addrs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := identity.ParseToken(text)
		if err != nil {
			return
		}
		if len(token.Addrs) == 0 || len(token.Addrs) > identity.MaxAddrs || len(token.Inviter) != 64 {
			t.Errorf("a token that no one can use: %+v", token)
		}
	})
}

func FuzzImport(f *testing.F) {
	dir := f.TempDir()
	h, err := identity.Open(dir, identity.Options{Name: "host"})
	if err != nil {
		f.Fatal(err)
	}
	id := string(h.Swarm().ID)
	f.Add(h.Export())
	f.Add([]byte(`{"v":1,"swarm":"` + id + `","records":[{"body":"{}","key":"","sig":""},null]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = []byte(strings.ReplaceAll(string(b), "SWARM", id)) // lets stored seeds reach the records
		changed, _ := h.Import(b)
		if changed || len(h.Members()) != 1 {
			t.Errorf("bytes that nobody signed changed the roster")
		}
	})
}

func FuzzJoinMessages(f *testing.F) {
	h, err := identity.Open(f.TempDir(), identity.Options{Name: "host"})
	if err != nil {
		f.Fatal(err)
	}
	text, _, err := h.Invite([]string{"192.0.2.1:7423"})
	if err != nil {
		f.Fatal(err)
	}
	token, err := identity.ParseToken(text)
	if err != nil {
		f.Fatal(err)
	}
	frame := func(s string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
	}
	f.Add(frame(`{"v":1,"token":"0123456789abcdef","proof":"AAAA","name":"guest"}`))
	f.Add(frame(`{"v":1,"refused":"used"}`))
	f.Add(frame(`{"v":1,"roster":` + string(h.Export()) + `,"fabric":["192.0.2.1:7422"]}`))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	const joiner = identity.Fingerprint("0000000000000000000000000000000000000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, message := range [][]byte{b, frame(string(b))} {
			_ = identity.DecodeRequest(message)
			if identity.DecodeAnswer(message, token, joiner) == nil {
				t.Error("an answer that nobody signed was taken")
			}
		}
	})
}
