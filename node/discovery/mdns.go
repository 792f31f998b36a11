package discovery

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

const (
	// roundMin is the length of the first round of browsing; each is twice the one before, up
	// to roundMax.
	roundMin = time.Second
	roundMax = 20 * time.Second
	// poll is how often the network interfaces are looked at.
	poll = 5 * time.Second
	// quiet is after how many rounds without our own announcement multicast counts as broken.
	quiet = 2
)

// MDNS announces this node and finds others, over multicast DNS.
type MDNS struct {
	cfg   Config
	heard chan struct{} // closed when our own announcement came back

	// telling is held while OnFound runs, so that its calls come one at a time and in order.
	telling sync.Mutex

	mu       sync.Mutex // guards what follows
	table    *table
	problem  error
	loopback bool                 // addresses of loopback are worth telling
	echoed   bool                 // our own announcement came back in this round
	copies   map[string]time.Time // where else our own record was heard from, HOST:PORT, and when
}

// New makes an MDNS; Run starts it. It is an error if what cfg would announce is not valid.
func New(cfg Config) (*MDNS, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	return &MDNS{cfg: cfg, heard: make(chan struct{}), table: newTable(cfg.Known)}, nil
}

// Heard is closed once our own announcement has come back: multicast works. It never is
// where multicast does not; Problem tells of that after about 3 s.
func (m *MDNS) Heard() <-chan struct{} { return m.heard }

// Echo reports whether our own announcement has come back: multicast works, on this machine at
// least.
func (m *MDNS) Echo() bool {
	select {
	case <-m.heard:
		return true
	default:
		return false
	}
}

// Problem tells why others cannot be found at present; nil if they can, or if it is too early
// to say.
func (m *MDNS) Problem() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.problem
}

// Nearby returns the nodes heard in the last 80 s, by id.
func (m *MDNS) Nearby() []Found {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.list(time.Now())
}

// Run announces this node and looks for others until ctx ends, and returns nil: without a
// network, or without multicast, it goes on trying. It is called once.
func (m *MDNS) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		chosen := m.choose()
		session, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		if len(chosen) > 0 {
			wg.Go(func() { m.session(session, chosen) })
		}
		m.awaitChange(ctx, chosen)
		cancel()
		wg.Wait()
	}
	return nil
}

// choose returns the interfaces to use now.
func (m *MDNS) choose() []iface.Interface {
	all, err := iface.List()
	if err != nil {
		m.trouble(err)
		return nil
	}
	chosen := iface.Choose(all, m.cfg.Interfaces)
	if len(chosen) == 0 {
		m.trouble(errors.New("no network interface to announce on is up"))
	}
	return chosen
}

// awaitChange returns when ctx ends or the interfaces to use are others than these.
func (m *MDNS) awaitChange(ctx context.Context, these []iface.Interface) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := m.choose(); !reflect.DeepEqual(now, these) {
			m.cfg.Logger.Info("network interfaces changed; announcing anew", "interfaces", names(now))
			return
		}
	}
}

// session announces and browses on one set of interfaces until ctx ends.
func (m *MDNS) session(ctx context.Context, on []iface.Interface) {
	m.mu.Lock()
	m.loopback = false
	for _, i := range on {
		m.loopback = m.loopback || i.Loopback
	}
	m.mu.Unlock()

	var announced *announcement
	defer func() { announced.stop() }()
	silent, flooded := 0, false
	for length := roundMin; ctx.Err() == nil; length = min(2*length, roundMax) {
		var failed error
		next := time.After(roundMin)
		if announced == nil {
			announced, failed = announce(m.cfg, on)
		}
		m.mu.Lock()
		m.echoed = false
		m.mu.Unlock()
		failed = errors.Join(failed, browse(ctx, on, length, m.see))
		switch {
		case ctx.Err() != nil:
		case errors.Is(failed, errFlood):
			if !flooded {
				flooded = true
				m.cfg.Logger.Warn("nodes may be found late", "err", errFlood)
			}
			select { // each round asks, and all answer
			case <-next:
			case <-ctx.Done():
			}
		case failed != nil:
			m.trouble(failed)
		case m.cameBack():
			silent = 0
		default:
			if silent++; silent >= quiet {
				m.trouble(errors.New("our own announcement does not come back: multicast, or UDP port 5353, is blocked"))
				// Part of it may have failed in silence: zeroconf is content with IPv6 alone.
				announced.stop()
				announced = nil
			}
		}
	}
}

func (m *MDNS) cameBack() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.echoed
}

// trouble notes why others cannot be found, and logs it where it is new.
func (m *MDNS) trouble(err error) {
	problem := bus.Errorf(bus.CodeUnavailable, "discovery over mDNS does not work: %w", err).
		WithHint("name another node with --peer HOST:PORT")
	m.mu.Lock()
	known := m.problem != nil && m.problem.Error() == problem.Error()
	m.problem = problem
	m.mu.Unlock()
	if !known {
		m.cfg.Logger.Warn("cannot discover other nodes", "err", err, "hint", problem.Hint)
	}
}

// see takes in what browsing found: TXT strings, port and addresses of one node.
func (m *MDNS) see(txt []string, port int, addrs []netip.Addr) {
	record, err := ParseTXT(txt)
	if err != nil {
		m.cfg.Logger.Debug("passed over an mDNS record", "err", err)
		return
	}
	if record.Fingerprint == m.cfg.Fingerprint {
		if elsewhere := m.elsewhere(port, addrs); len(elsewhere) > 0 {
			m.seeCopy(elsewhere)
		} else {
			m.seeSelf()
		}
		return
	}
	m.telling.Lock()
	defer m.telling.Unlock()
	m.mu.Lock()
	if !m.loopback {
		// Somebody's loopback: ours would answer.
		addrs = withoutLoopback(addrs)
	}
	found, tell := m.table.see(sighting{record: record, port: port, addrs: addrs}, time.Now())
	m.mu.Unlock()
	if tell {
		m.cfg.OnFound(found)
	}
}

func (m *MDNS) seeSelf() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.echoed = true
	if m.problem != nil {
		m.problem = nil
		m.cfg.Logger.Info("discovery over mDNS works again")
	}
	select {
	case <-m.heard:
	default:
		close(m.heard)
	}
}

func withoutLoopback(addrs []netip.Addr) []netip.Addr {
	var left []netip.Addr
	for _, a := range addrs {
		if !a.IsLoopback() {
			left = append(left, a)
		}
	}
	return left
}

func names(on []iface.Interface) []string {
	list := make([]string, 0, len(on))
	for _, i := range on {
		list = append(list, i.Name)
	}
	return list
}
