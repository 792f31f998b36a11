package web_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

// What is not public is refused before anything is sent, whatever is there.
func TestSpecialAddresses(t *testing.T) {
	t.Parallel()
	h := web.New(web.Config{Own: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("2606:4700:1::/64")} }})
	for _, host := range []string{
		"10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
		"[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[::ffff:0:127.0.0.1]", "224.0.0.1", "255.255.255.255",
		"[ff02::1]", "198.18.0.1",
		"[2606:4700:1::1]", // public, and on this machine's own network
	} {
		_, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: "http://" + host + "/latest/meta-data"})
		if codeOf(err) != bus.CodeForbidden || !strings.Contains(err.Error(), "not a public address") {
			t.Errorf("%s: error %v, want it refused", host, err)
		}
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.page("/", "text/plain", "hello")
	h := web.New(web.Config{Node: "tower", Policy: web.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	_, err := fetch(t.Context(), t, h, bus.FetchRequest{URL: s.URL})
	if codeOf(err) != bus.CodeForbidden || !strings.Contains(err.Error(), "node tower fetches pages from the ports 80, 443") || s.connects.Load() != 0 {
		t.Errorf("error %v after %d connects, want the port refused without any", err, s.connects.Load())
	}
}

// A proxy of the environment would connect in our place, to anything.
func TestNoProxy(t *testing.T) {
	proxy := newSite(t)
	for _, name := range []string{"HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	proxy.page("/", "text/plain", "by proxy")
	r, err := fetch(t.Context(), t, proxy.open(t), bus.FetchRequest{URL: "http://192.0.2.7/"})
	if codeOf(err) != bus.CodeForbidden || proxy.connects.Load() != 0 {
		t.Errorf("text %q, error %v, %d connects to the proxy, want the address refused and none", r.Text, err, proxy.connects.Load())
	}
}

func TestPolicyIsRead(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"192.168.1.7": "192.168.1.7/32", "192.168.1.7/24": "192.168.1.0/24", "fd00::/8": "fd00::/8", "fe80::1%eth0": "fe80::1/128",
		"nas": "", "": "", "192.168.1.0/33": "", "::ffff:10.0.0.1": "", "10.0.0.1:80": "",
	} {
		p, err := web.ParseNetwork(s)
		if (err != nil) != (want == "") || err == nil && p.String() != want {
			t.Errorf("network %q: %v, error %v, want %q", s, p, err, want)
		}
	}
	for s, want := range map[string]uint16{"80": 80, "65535": 65535, "0": 0, "65536": 0, "http": 0, "-1": 0} {
		if n, err := web.ParsePort(s); n != want || (err != nil) != (want == 0) {
			t.Errorf("port %q: %d, error %v, want %d", s, n, err, want)
		}
	}
}
