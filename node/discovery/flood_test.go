package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// Somebody on the LAN makes up names that all have hundreds of addresses, or hundreds of names: what zeroconf keeps of them
// goes at once, and not when the round ends.
func TestMadeUpRecordsEndARound(t *testing.T) {
	for what, packets := range map[string][]*dns.Msg{
		"addresses of one name": madeUp(1, 1, 300), "names": madeUp(12, 100, 1),
	} {
		t.Run(what, func(t *testing.T) {
			ended := make(chan error, 1)
			go func() { ended <- discovery.Browse(context.Background(), patience, func() {}) }()
			if err := shoutUntil(t, ended, packets); !errors.Is(err, discovery.ErrFlood) {
				t.Errorf("the round ended with %v, want %v", err, discovery.ErrFlood)
			}
		})
	}
}

// A host of containers has many addresses, and is one node all the same.
func TestManyAddressesAreNoFlood(t *testing.T) {
	ctx, heard := context.WithCancel(context.Background())
	defer heard()
	ended := make(chan error, 1)
	go func() { ended <- discovery.Browse(ctx, patience, heard) }()
	if err := shoutUntil(t, ended, madeUp(1, 1, 200)); err != nil || ctx.Err() == nil {
		t.Errorf("the round ended with %v", err)
	}
}

// shoutUntil sends packets again and again, until the round that hears them has ended.
func shoutUntil(t *testing.T, ended <-chan error, packets []*dns.Msg) error {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond) // until it listens, and all have arrived
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
		for _, m := range packets {
			b, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			shout(t, b)
		}
	}
}

// madeUp are packets, each with so many names that all have so many addresses.
func madeUp(packets, names, addrs int) (out []*dns.Msg) {
	for p := range packets {
		m := new(dns.Msg)
		m.Response, m.Compress = true, true
		hdr := func(name string, rrtype uint16) dns.RR_Header {
			return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: 120}
		}
		for n := range names {
			m.Answer = append(m.Answer, &dns.SRV{Hdr: hdr(fmt.Sprintf("x%d-%d.%s.local.", p, n, discovery.Service), dns.TypeSRV), Target: "x.local.", Port: 1})
		}
		for a := range addrs {
			m.Answer = append(m.Answer, &dns.A{Hdr: hdr("x.local.", dns.TypeA), A: net.IPv4(10, 0, byte(a>>8), byte(a))})
		}
		out = append(out, m)
	}
	return out
}
