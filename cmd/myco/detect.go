package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/node"
)

// detectCmd looks at this machine. It needs no daemon, and heeds what one says that is there.
type detectCmd struct{}

// machineView is what detect --json prints.
type machineView struct {
	node.Profile

	LANAddress        string       `json:"lan_address"`
	Power             node.Power   `json:"power,omitempty"` // "mains" or "battery", where it is known
	Tier              node.Tier    `json:"tier"`
	GPUTier           node.GPUTier `json:"gpu_tier"`
	Capabilities      []string     `json:"capabilities"`
	LargestModelB     float64      `json:"largest_model_b"` // in billions of parameters
	RecommendedModels []string     `json:"recommended_models"`
	Engines           []engineView `json:"engines"`
	Problems          []string     `json:"problems"`
	// GPUProcesses are what uses the GPUs, the busiest first, where the driver tells.
	GPUProcesses []node.GPUProcess `json:"gpu_processes,omitempty"`

	// DaemonModels are what the daemon has beside them, by an engine that was named to it.
	DaemonModels []bus.ModelInfo `json:"daemon_models,omitempty"`

	answers bool   // some model, and not the demo
	inTurn  string // a model of which the daemon takes its engine to answer one question at a time, against this environment
}

// engineView is one engine of this machine.
type engineView struct {
	Kind   string          `json:"kind"`
	URL    string          `json:"url"`
	Models []bus.ModelInfo `json:"models"`
}

// Run implements the command.
func (detectCmd) Run(ctx context.Context, a *app) error {
	type found struct {
		set      *engine.Set
		problems []engine.Problem
		err      error
		models   []bus.ModelInfo // that the daemon has
	}
	engines := make(chan found, 1)
	go func() {
		models, tells := a.daemonsModels(ctx)
		demo := slices.ContainsFunc(models, func(m bus.ModelInfo) bool { return m.Demo })
		set, problems, err := engine.Find(ctx, engine.Config{NoDemo: tells && !demo})
		engines <- found{set, problems, err, models}
	}()
	profile := node.Detect(ctx)
	f := <-engines
	if f.err != nil {
		return f.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	m := viewMachine(profile, listEngines(f.set))
	m.Power = node.PowerNow(ctx)
	m.addNamed(f.models)
	m.heed(f.models)
	m.addSpeeds(a.dataDir)
	if m.GPUProcesses, err = node.GPUProcesses(ctx, m.GPUs); err != nil {
		m.Problems = append(m.Problems, err.Error())
	}
	for _, p := range f.problems {
		m.Problems = append(m.Problems, fmt.Sprintf("%v", p.Err))
	}
	if a.json {
		a.object(m)
		return nil
	}
	a.machine(m)
	return nil
}

// daemonLimit is how long the daemon may take to tell its models.
const daemonLimit = 2 * time.Second

// daemonsModels are those that the daemon of this machine answers with; tells is false where there is none that tells.
func (a *app) daemonsModels(ctx context.Context) (models []bus.ModelInfo, tells bool) {
	if !a.asksHere() {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, daemonLimit)
	defer cancel()
	conn, status, err := a.dialStatus(ctx)
	if err != nil {
		return nil, false
	}
	conn.Close()
	return status.Node.Models, true
}

// hasReal reports whether there is a model that is not the demo.
func hasReal(models []bus.ModelInfo) bool {
	return slices.ContainsFunc(models, func(m bus.ModelInfo) bool { return !m.Demo })
}

// addNamed adds the models of the daemon that are on none of the engines.
func (m *machineView) addNamed(models []bus.ModelInfo) {
	m.answers = m.answers || hasReal(models)
	for _, d := range models {
		listed := slices.ContainsFunc(m.Engines, func(e engineView) bool {
			return slices.ContainsFunc(e.Models, func(has bus.ModelInfo) bool { return bus.SameModel(has.Name, d.Name) })
		})
		if !d.Demo && !listed {
			m.DaemonModels = append(m.DaemonModels, d)
		}
	}
}

// heed takes the daemon's word for which models answer one question at a time: it bids by that, and has another environment.
func (m *machineView) heed(models []bus.ModelInfo) {
	for _, e := range m.Engines {
		for i := range e.Models {
			has := &e.Models[i]
			j := slices.IndexFunc(models, func(d bus.ModelInfo) bool {
				return d.Name == has.Name && d.Engine == has.Engine && d.Digest == has.Digest
			})
			if j < 0 {
				continue
			}
			if models[j].OneAtATime && !has.OneAtATime && e.Kind == engine.KindOllama {
				m.inTurn = has.Name
			}
			has.OneAtATime = models[j].OneAtATime
		}
	}
}

// addSpeeds adds what the daemon of a data directory has measured, as far as it is there.
func (m *machineView) addSpeeds(dir string) {
	if dir == "" {
		dir = bus.FindDataDir()
	}
	speeds, err := engine.LoadSpeeds(dir)
	if err != nil {
		m.Problems = append(m.Problems, err.Error())
	}
	for _, e := range m.Engines {
		speeds.Fill(e.Models)
	}
}

// listEngines are the engines that were found, with their models.
func listEngines(set *engine.Set) []engineView {
	views := []engineView{}
	for _, e := range set.Engines() {
		views = append(views, engineView{Kind: e.Kind(), URL: e.URL(), Models: append([]bus.ModelInfo{}, set.ModelsOf(e)...)})
	}
	return views
}

// viewMachine derives what follows from the hardware and the engines.
func viewMachine(p node.Profile, engines []engineView) machineView {
	return machineView{
		Profile: p, LANAddress: p.LANAddr(), Tier: p.Tier(), GPUTier: p.GPUTier(),
		Capabilities:      append([]string{}, node.Capabilities(p, len(engines) > 0)...),
		LargestModelB:     p.LargestModel(),
		RecommendedModels: append([]string{}, node.RecommendedModels(p.GPUTier())...),
		Engines:           engines, Problems: []string{},
		answers: slices.ContainsFunc(engines, func(e engineView) bool { return hasReal(e.Models) }),
	}
}

// machine prints the view for people.
func (a *app) machine(m machineView) {
	pairs := [][2]string{
		{"host", m.Hostname},
		{"tier", fmt.Sprintf("%s (GPU: %s)", m.Tier, m.GPUTier)},
		{"CPU", fmt.Sprintf("%s, %d cores, %d threads, %s", orDash(m.CPU.Model), m.CPU.CoresPhysical, m.CPU.CoresLogical, m.CPU.Architecture)},
		{"memory", fmt.Sprintf("%s, %s free", gib(m.Memory.TotalMB), gib(m.Memory.AvailableMB))},
		{"GPU", gpuLines(m.GPUs)},
		{"disk", diskLines(m.Disks)},
		{"network", networkLines(m)},
		{"engine", engineLines(m.allEngines())},
		{"can do", strings.Join(m.Capabilities, ", ")},
	}
	if m.Power == node.PowerBattery {
		pairs = append(pairs, [2]string{"power", "on battery"})
	}
	pairs = append(pairs, [2]string{"GPU used by", processLines(m.GPUProcesses)})
	if m.LargestModelB > 0 {
		pairs = append(pairs, [2]string{"fits", fmt.Sprintf("models up to about %.1f billion parameters", m.LargestModelB)})
	}
	a.fields(wrapPairs(append(pairs, [2]string{"not there", strings.Join(m.Problems, "\n")}), a.width()))
	if m.inTurn != "" {
		a.hint("OLLAMA_NUM_PARALLEL is set here, but that of mycod counts: it takes %s for a model that answers one question at a time.", m.inTurn)
	}
	a.hint("%s", advice(m))
}

// allEngines are the engines that were found, and what stands for those of the daemon.
func (m *machineView) allEngines() []engineView {
	if len(m.DaemonModels) == 0 {
		return m.Engines
	}
	return append(slices.Clone(m.Engines), engineView{Kind: "of mycod --engine", Models: m.DaemonModels})
}

func gpuLines(gpus []node.GPU) string {
	lines := make([]string, len(gpus))
	for i, g := range gpus {
		switch {
		case g.Integrated:
			lines[i] = g.Name + ", integrated: models gain little there"
		case g.SharedMB > g.VRAMTotalMB:
			lines[i] = fmt.Sprintf("%s, up to %s of the machine's memory", g.Name, gib(g.SharedMB))
		case g.SharesMemory():
			lines[i] = g.Name + ", with the machine's memory"
		default:
			lines[i] = fmt.Sprintf("%s, %s, %s free", g.Name, gib(g.VRAMTotalMB), gib(g.VRAMFreeMB))
		}
	}
	if len(lines) == 0 {
		return "none found"
	}
	return strings.Join(lines, "\n")
}

// processesMost is how many processes are shown to people.
const processesMost = 8

// processLines are the processes beside engines that use a GPU; empty for none.
func processLines(list []node.GPUProcess) string {
	var lines []string
	for _, p := range list {
		if p.Engine {
			continue
		}
		line := fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
		if p.UtilizationPct != nil {
			line += fmt.Sprintf(", %d %%", *p.UtilizationPct)
		}
		if p.MemoryMB > 0 {
			line += ", " + gib(p.MemoryMB)
		}
		lines = append(lines, line)
	}
	if more := len(lines) - processesMost; more > 0 {
		lines = append(lines[:processesMost], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

func diskLines(disks []node.Disk) string {
	lines := make([]string, len(disks))
	for i, d := range disks {
		lines[i] = fmt.Sprintf("%s %.0f GiB, %.0f GiB free", d.Path, d.TotalGB, d.FreeGB)
	}
	return strings.Join(lines, "\n")
}

func networkLines(m machineView) string {
	var lines []string
	for _, n := range m.Network {
		line := n.Name + " " + n.IPv4
		if n.IPv4 == m.LANAddress {
			line += " (others reach this machine here)"
		}
		if !n.IsLoopback {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func engineLines(engines []engineView) string {
	lines := make([]string, len(engines))
	for i, e := range engines {
		names := make([]string, len(e.Models))
		for j, m := range e.Models {
			names[j] = m.Name
			if m.Loaded {
				names[j] += "*"
			}
			names[j] += perSecond(m.Speed)
		}
		lines[i] = strings.TrimSpace(e.Kind+" "+e.URL) + ": " + orDash(strings.Join(names, " "))
	}
	if len(lines) == 0 {
		return "none found"
	}
	return strings.Join(lines, "\n")
}

// advice is the next command for this machine.
func advice(m machineView) string {
	if m.answers {
		return `It can answer: myco ask "What is the capital of France?"`
	}
	recommended := append(m.RecommendedModels, "gemma3:1b")[0]
	if slices.ContainsFunc(m.Engines, func(e engineView) bool { return e.Kind == engine.KindDemo }) {
		return "It has no model but the demo. For a real one: ollama pull " + recommended
	}
	return "It has no model. For one: ollama pull " + recommended
}

func gib(mb int) string { return fmt.Sprintf("%.1f GiB", float64(mb)/1024) }
