package protect

// The protections against attacks, in the order of docs/reliability.md.
const (
	Roster      Protection = "a connection between nodes is for keys of the roster"
	PutOut      Protection = "a node that is put out gives up what it holds of the swarm"
	Pins        Protection = "the server takes routes of pinned keys only, and cuts the others"
	Modern      Protection = "nodes speak TLS 1.3"
	InviterKey  Protection = "a joiner checks the inviter's key before it says anything"
	Once        Protection = "a token lets one node in"
	Guesses     Protection = "who guesses at tokens is slowed"
	Stale       Protection = "connections with a credential that was replaced are cut"
	Clients     Protection = "a client proves a key that the daemon knows"
	Grants      Protection = "a client may do what the list of its grant has, and no more"
	Inboxes     Protection = "a client listens to the inboxes of its own node's users only"
	StoreCalls  Protection = "the store answers to the inboxes of its own clients only"
	Hosts       Protection = "the HTTP port knows its own names only"
	Sites       Protection = "the HTTP port refuses requests that other sites make"
	HTTPKey     Protection = "the HTTP port wants its key"
	KeyRevoked  Protection = "a key that was revoked is refused, and what it has under way ends"
	KeyLimits   Protection = "a key makes as many requests as it may, and no more"
	ContentType Protection = "a task comes as JSON"
	SlowClients Protection = "a header and a body have a time limit"
	Unlogged    Protection = "the log of a task leaves out what it says"
	OpenEngine  Protection = "myco doctor looks for engines that are open to the network"
	Fetches     Protection = "a page is fetched from public addresses alone, whatever a name or a redirect says"
)
