// Package gateway answers HTTP: the native API of a node. It owns requests, who may make them and
// their limits; what they do is behind the interface Swarm.
//
//	GET  /health            no key; 200 while the daemon runs
//	GET  /status            bus.Status
//	GET  /identity          Identity
//	GET  /peers             the list of bus.NodeInfo
//	POST /task              bus.Task; 200 with its bus.TaskInfo once it has ended
//	POST /task?durable=1    bus.Task; 202 with a bus.Receipt once it is on disk
//	GET  /task/{id}         bus.TaskInfo
//
// All but health want "Authorization: Bearer KEY". An error is {"error": {...}}, a bus.Error, with
// the status of its code; without the right key it is 401.
package gateway
