package main

import (
	"context"
	"net/url"
	"os"
	"slices"
	"sync"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// toolCalls speak the Model Context Protocol: with a command that they start, or else with an address. As MCP_KEY the
// environment has a key.
func toolCalls(base *url.URL, model string, command []string) (calls []call) {
	for _, version := range []string{mcp.LATEST_LEGACY_PROTOCOL_VERSION, mcp.ProtocolVersion20260728} {
		calls = append(calls, call{version, func(ctx context.Context) (any, error) {
			c, err := toolClient(ctx, base, command)
			if err != nil {
				return nil, err
			}
			defer c.Close()
			h := &toolHost{Client: c, model: model, progress: make(chan string, 100)}
			c.OnNotification(h.hear)
			return h.all(ctx, version)
		}})
	}
	return calls
}

func toolClient(ctx context.Context, base *url.URL, command []string) (*client.Client, error) {
	if len(command) > 0 {
		c, err := client.NewStdioMCPClient(command[0], os.Environ(), command[1:]...)
		if err != nil {
			return nil, err
		}
		return c, c.Start(ctx) // for notifications: the command runs already
	}
	var options []transport.StreamableHTTPCOption
	if key := os.Getenv("MCP_KEY"); key != "" {
		options = append(options, transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + key}))
	}
	c, err := client.NewStreamableHttpClient(base.JoinPath("mcp").String(), options...)
	if err != nil {
		return nil, err
	}
	return c, c.Start(ctx)
}

// toolHost is a program with a client.
type toolHost struct {
	*client.Client
	model    string
	progress chan string // what is told of it

	mu   sync.Mutex
	last float64
	back bool // the number did not grow
}

// hear takes in what the server tells by itself.
func (h *toolHost) hear(n mcp.JSONRPCNotification) {
	if n.Method != "notifications/progress" {
		return
	}
	told := n.Params.AdditionalFields
	at, _ := told["progress"].(float64)
	message, _ := told["message"].(string)
	h.mu.Lock()
	h.back = h.back || at <= h.last
	h.last = at
	h.mu.Unlock()
	select {
	case h.progress <- message:
	default: // enough
	}
}

// call calls a tool.
func (h *toolHost) call(ctx context.Context, tool string, args map[string]any) (map[string]any, error) {
	h.mu.Lock()
	h.last = 0
	h.mu.Unlock()
	var req mcp.CallToolRequest
	req.Params.Name, req.Params.Arguments, req.Params.Meta = tool, args, &mcp.Meta{ProgressToken: tool}
	res, err := h.CallTool(ctx, req)
	if err != nil {
		return nil, err
	}
	texts := []string{}
	for _, c := range res.Content {
		if text, ok := c.(mcp.TextContent); ok {
			texts = append(texts, text.Text)
		}
	}
	return map[string]any{"texts": texts, "failed": res.IsError}, nil
}

// all makes every call.
func (h *toolHost) all(ctx context.Context, version string) (any, error) {
	init, err := h.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{ProtocolVersion: version, ClientInfo: mcp.Implementation{Name: "clients", Version: "1"}}})
	if err != nil {
		return nil, err
	}
	list, err := h.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, t := range list.Tools {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	asked, err := h.call(ctx, "ask", map[string]any{"prompt": "scripted task <mcp>", "model": h.model})
	if err != nil {
		return nil, err
	}
	missing, err := h.call(ctx, "ask", map[string]any{"prompt": "hello", "model": "missing"})
	if err != nil {
		return nil, err
	}
	// One that never ends is cancelled as soon as it is told how far it is.
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	for len(h.progress) > 0 {
		<-h.progress
	}
	message := make(chan string, 1)
	go func() {
		defer cancel()
		select {
		case m := <-h.progress:
			message <- m
		case <-ctx.Done():
		}
	}()
	_, err = h.call(within, "ask", map[string]any{"prompt": "scripted task <endless>", "model": h.model})
	progress := ""
	select {
	case progress = <-message:
	default:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return map[string]any{
		"server": init.ServerInfo.Name, "version": init.ProtocolVersion, "tools": names, "ask": asked, "missing": missing,
		"endless": progress, "cancelled": err != nil, "grows": !h.back,
	}, nil
}
