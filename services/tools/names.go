package tools

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// maxName is what model providers allow for a function's name.
const maxName = 64

// handoffPrefix begins the names of the tools that agents make for handoffs.
const handoffPrefix = "handoff_to_"

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_-]`)

// modelName is what models call a server's tool: ^[a-zA-Z0-9_-]{1,64}$. Characters that are not allowed become
// underscores; the end of a name that is too long becomes a digest of it.
func modelName(server, tool string) string {
	name := server + "_" + notInNames.ReplaceAllString(tool, "_")
	if len(name) <= maxName {
		return name
	}

	digest := sha256.Sum256([]byte(tool))
	end := "_" + hex.EncodeToString(digest[:4])

	return name[:maxName-len(end)] + end
}
