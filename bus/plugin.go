package bus

import "context"

// VerbPlugins asks a daemon for the plugins in its folder: -> []PluginInfo.
const VerbPlugins = "plugins"

// PluginInfo is a plugin of the daemon's machine: a program that does tasks of one type.
type PluginInfo struct {
	// Name is its folder's, Dir the whole path.
	Name string `json:"name"`
	Dir  string `json:"dir"`
	// Type is the kind of task that it does; empty where its plugin.toml cannot be read.
	Type  string `json:"type,omitempty"`
	About string `json:"about,omitempty"`
	// Slots is how many of its tasks run at once, Processes how many processes it has at present.
	Slots     int `json:"slots,omitempty"`
	Processes int `json:"processes"`
	// Confined tells whether it is held back, and May what it may do all the same: "network", "processes",
	// "read PATH", "write PATH".
	Confined bool     `json:"confined"`
	May      []string `json:"may,omitempty"`
	// Error is why it takes no tasks; nil where it does.
	Error *Error `json:"error,omitempty"`
}

// Plugins lists the plugins of the daemon's machine, by their names.
func (c *Conn) Plugins(ctx context.Context) ([]PluginInfo, error) {
	return call[[]PluginInfo](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbPlugins), struct{}{})
}
