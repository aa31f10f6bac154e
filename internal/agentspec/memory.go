package agentspec

// What an agent may do with what is remembered of its users.
const (
	// MemoryRead lets it know what is remembered.
	MemoryRead = "read"
	// MemoryWrite lets it remember more, and forget, too.
	MemoryWrite = "write"
)

// The tools that memory brings. No server's tool can have their names, which have no underscore.
const (
	ToolRecall   = "recall"
	ToolRemember = "remember"
	ToolForget   = "forget"
)

// Memory is what the platform remembers of a user beyond one conversation, whichever agent stored it: what fits the user's
// message goes into the prompt, and tools look for more.
type Memory struct {
	// Access is read, for memories in prompts and the tool recall, or write, for the tools remember and forget as well.
	Access string `json:"access" required:"true" enum:"read,write"`
	// Model is the embedding model that the ambassador is asked for; without one, words alone count.
	Model string `json:"model,omitempty" max:"256"`
	// Recall is the most memories that one prompt holds.
	Recall int32 `json:"recall,omitempty" default:"5" min:"1" max:"20"`
	// TTL is how long what this agent stores is remembered; unset is for good.
	TTL Duration `json:"ttl,omitempty" min:"1m" max:"87600h"`
	// Timeout is how long a turn waits for memories; then it goes on without.
	Timeout Duration `json:"timeout,omitempty" default:"2s" min:"50ms" max:"30s"`
}
