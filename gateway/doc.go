// Package gateway answers HTTP: the native API of a node, and the interfaces of Ollama, OpenAI and
// Anthropic, so that programs made for those use the whole swarm. It owns requests, who may make them,
// their limits, and the translation between these interfaces and tasks; what tasks do is behind the
// interface Swarm.
//
//	GET  /health            no key; 200 while the daemon runs
//	GET  /status            bus.Status
//	GET  /identity          Identity
//	GET  /peers             the list of bus.NodeInfo
//	POST /task              bus.Task; 200 with its bus.TaskInfo once it has ended
//	POST /task?durable=1    bus.Task; 202 with a bus.Receipt once it is on disk
//	POST /task?events=1     bus.Task; its output and its end as server-sent events; with &reattach=1
//	                        it waits for a client that has dropped
//	GET  /task/ID/events    the same of a task that was handed over before
//	GET  /tasks             a page of bus.TaskInfo without results, see taskPage
//	GET  /task/{id}         bus.TaskInfo
//	DELETE /task/{id}       cancels it; bus.TaskInfo without a result
//	GET  /task/{id}/why     bus.Why
//
// All but health want "Authorization: Bearer KEY". An error is {"error": {...}}, a bus.Error, with
// the status of its code; without the right key it is 401.
//
//	GET  /                          "Ollama is running"
//	GET  /api/version, tags, ps     POST /api/show, chat, generate, embed, embeddings, web_search, web_fetch
//	GET  /v1/models, models/{model} POST /v1/chat/completions, completions, embeddings, responses, messages
//	POST, GET /v1/files, batches    files of requests that are answered while nobody waits, see package batch
//	GET, DELETE /v1/answers/{id}    an answer that was asked for by a name: comes back to it, or stops it
//
//	GET  /ui/                       the dashboard, see dashboardRoutes
//
// These want the key only of those who do not call from this machine, and spell errors as the interface
// does. What becomes of each field of a request is in docs/api.md.
package gateway
